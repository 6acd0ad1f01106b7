/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <pool/pool.h>

#include <base/dry_run.h>
#include <base/error.h>
#include <base/i18n.h>

#include "dispatch.h"

/* Who uses a volume, what hangs on it, what it draws from. */

void cst_holder_free(CstHolder *holder)
{
    g_free(holder->what);
    g_free(holder);
}

CstHolder *cst_holders_add(GPtrArray *holders, int64_t pid, const char *format, ...)
{
    CstHolder *holder = g_new0(CstHolder, 1);
    va_list args;

    va_start(args, format);
    holder->what = g_strdup_vprintf(format, args);
    va_end(args);
    holder->pid = pid;
    g_ptr_array_add(holders, holder);
    return holder;
}

void cst_room_free(CstRoom *room)
{
    g_free(room->what);
    g_free(room);
}

void cst_rooms_add(GPtrArray *rooms, guint hundredths, gboolean lost, const char *format, ...)
{
    CstRoom *room = g_new0(CstRoom, 1);
    va_list args;

    va_start(args, format);
    room->what = g_strdup_vprintf(format, args);
    va_end(args);
    room->hundredths = hundredths;
    room->lost = lost;
    g_ptr_array_add(rooms, room);
}

GPtrArray *cst_pool_state_vol_holders(CstPoolState *state, const char *name, GError **error)
{
    g_autoptr(GPtrArray) holders = g_ptr_array_new_with_free_func((GDestroyNotify)cst_holder_free);

    if (state->backend->vol_holders &&
        !pool_checked(state->backend->vol_holders(state, name, holders, error), state,
                      "vol_holders", error))
        return NULL;
    return g_steal_pointer(&holders);
}

GPtrArray *cst_pool_state_vol_children(CstPoolState *state, const char *name, GError **error)
{
    g_autoptr(GPtrArray) children = g_ptr_array_new_with_free_func(g_free);

    if (state->backend->vol_children &&
        !pool_checked(state->backend->vol_children(state, name, children, error), state,
                      "vol_children", error))
        return NULL;
    return g_steal_pointer(&children);
}

gboolean cst_pool_state_vol_flatten(CstPoolState *state, const char *name, CstTask *task,
                                    GError **error)
{
    if (!state->backend->vol_flatten)
        return pool_unsupported(state, _("storage pool has no volumes that share content"), error);
    if (!cst_may_change(error))
        return FALSE;
    return pool_checked(state->backend->vol_flatten(state, name, task, error), state, "vol_flatten",
                        error);
}

GPtrArray *cst_pool_state_thin(CstPoolState *state, GError **error)
{
    g_autoptr(GPtrArray) stores =
        g_ptr_array_new_with_free_func((GDestroyNotify)cst_thin_store_free);

    if (state->backend->thin &&
        !pool_checked(state->backend->thin(state, stores, error), state, "thin", error))
        return NULL;
    return g_steal_pointer(&stores);
}

GPtrArray *cst_pool_state_rooms(CstPoolState *state, GError **error)
{
    g_autoptr(GPtrArray) rooms = g_ptr_array_new_with_free_func((GDestroyNotify)cst_room_free);

    if (state->backend->rooms &&
        !pool_checked(state->backend->rooms(state, rooms, error), state, "rooms", error))
        return NULL;
    return g_steal_pointer(&rooms);
}

gboolean cst_pool_state_holds_images(CstPoolState *state)
{
    return cst_pool_type_info(state->def->type)->volume_type == CST_VOL_FILE;
}
