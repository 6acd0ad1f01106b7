/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "logical.h"

#include <base/crash.h>
#include <base/error.h>
#include <base/flags.h>
#include <base/i18n.h>
#include <base/units.h>
#include <pool/device.h>

/* --- delete -------------------------------------------------------------------------------------
 */

/* LVM would remove an origin together with what hangs on it, without a word. */
static gboolean refuse_children(CstPoolState *state, const LvmGroup *group, const LvmVolume *lv,
                                GError **error)
{
    g_autoptr(GString) names = g_string_new(NULL);

    for (guint i = 0; i < group->volumes->len; i++) {
        const LvmVolume *other = g_ptr_array_index(group->volumes, i);

        if (lvm_is_cow(other) && !logical_is_hidden(other->name) &&
            lvm_group_origin(group, other) == lv)
            g_string_append_printf(names, "%s%s/%s", names->len > 0 ? ", " : "", state->def->name,
                                   other->name);
    }
    return names->len == 0 ||
           cst_fail(error, CST_ERROR_BUSY,
                    _("volume '%s' is the origin of %s; delete or flatten those first"), lv->name,
                    names->str);
}

static gboolean remove_snapshots(LogicalState *state, const GPtrArray *snapshots, GError **error)
{
    for (guint i = 0; i < snapshots->len; i++) {
        const LvmVolume *lv = g_ptr_array_index(snapshots, i);

        if (!logical_remove_lv(state, lv->name, error))
            return FALSE;
        CST_CRASH_POINT("logical.delete.snapshot_removed");
    }
    return TRUE;
}

gboolean logical_vol_delete(CstPoolState *state, const char *name, unsigned flags, GError **error)
{
    LogicalState *logical = LOGICAL(state);
    g_autoptr(LvmGroup) group = NULL;
    g_autoptr(GPtrArray) snapshots = NULL;
    g_autofree char *id = NULL;
    const LvmVolume *lv;

    if (!cst_flags_check(flags, CST_VOL_DELETE_WITH_SNAPSHOTS, "virStorageBackendLogicalDeleteVol",
                         error))
        return FALSE;
    group = logical_look(logical, NULL, error);
    lv = group ? logical_find(group, name, error) : NULL;
    if (!lv || !refuse_children(state, group, lv, error))
        return FALSE;
    id = logical_volume_id(lv);
    snapshots = logical_snapshots_of(group, id);
    if (snapshots->len > 0 && !(flags & CST_VOL_DELETE_WITH_SNAPSHOTS))
        return cst_fail(error, CST_ERROR_BUSY,
                        _("volume '%s' has %u snapshots; delete them first, or with it "
                          "(--delete-snapshots)"),
                        name, snapshots->len);
    CST_CRASH_POINT("logical.delete.before");
    if (!remove_snapshots(logical, snapshots, error) || !logical_remove_lv(logical, name, error))
        return FALSE;
    CST_CRASH_POINT("logical.delete.removed");
    return TRUE;
}

/* --- wipe ---------------------------------------------------------------------------------------
 */

/* A snapshot that has to hold all of its capacity runs out of room, and is lost. */
gboolean logical_vol_check_wipe(CstPoolState *state, const char *name, GError **error)
{
    g_autoptr(LvmGroup) group = logical_look(LOGICAL(state), NULL, error);
    const LvmVolume *lv = group ? logical_find(group, name, error) : NULL;
    g_autofree char *path = logical_device(LOGICAL(state), name);

    if (!lv)
        return FALSE;
    return !lvm_is_cow(lv) ||
           cst_fail(error, CST_ERROR_NO_SUPPORT,
                    _("logical volume '%s' is sparse, volume wipe not supported"), path);
}

/* --- resize -------------------------------------------------------------------------------------
 */

static gboolean check_resizable(CstPoolState *state, const LvmVolume *lv, uint64_t size,
                                GError **error)
{
    g_autoptr(GPtrArray) holders = g_ptr_array_new_with_free_func((GDestroyNotify)cst_holder_free);

    if (lvm_is_cow(lv))
        return cst_fail(error, CST_ERROR_UNSUPPORTED,
                        _("volume '%s' is a snapshot or sparse: LVM can't change its capacity"),
                        lv->name);
    if (lvm_kind(lv) == 'o' || lvm_kind(lv) == 'O')
        return cst_fail(error, CST_ERROR_BUSY,
                        _("volume '%s' has snapshots, which LVM keeps to its size; delete them "
                          "first"),
                        lv->name);
    if (size >= lv->size)
        return TRUE;
    if (!logical_vol_holders(state, lv->name, holders, error))
        return FALSE;
    return holders->len == 0 ||
           cst_fail(error, CST_ERROR_BUSY, _("volume '%s' can't be made smaller while in use: %s"),
                    lv->name, ((const CstHolder *)g_ptr_array_index(holders, 0))->what);
}

/* The size that the LV has now, whatever the tool said. */
static gboolean check_size(LogicalState *state, const char *name, uint64_t size, GError **why,
                           GError **error)
{
    g_autoptr(LvmGroup) group = logical_look(state, NULL, error);
    const LvmVolume *lv = group ? logical_find(group, name, error) : NULL;

    if (!lv)
        return FALSE;
    if (lv->size == size)
        return TRUE;
    if (!*why)
        return cst_fail(
            error, CST_ERROR_FAILED,
            _("LVM claims to have resized volume '%s', but it has %" G_GUINT64_FORMAT " bytes"),
            name, lv->size);
    g_propagate_error(error, g_steal_pointer(why));
    return FALSE;
}

gboolean logical_vol_resize(CstPoolState *state, const char *name, uint64_t capacity, CstTask *task,
                            GError **error)
{
    LogicalState *logical = LOGICAL(state);
    g_autoptr(LvmGroup) group = logical_look(logical, task, error);
    const LvmVolume *lv = group ? logical_find(group, name, error) : NULL;
    g_autofree char *target = logical_target(logical, name);
    g_autofree char *option = NULL;
    g_autoptr(GError) why = NULL;
    uint64_t size;

    if (!lv)
        return FALSE;
    if (capacity == 0 || capacity > G_MAXINT64 - group->extent_size)
        return cst_fail(error, CST_ERROR_INVALID,
                        _("volume '%s' can't have %" G_GUINT64_FORMAT " bytes"), name, capacity);
    size = cst_round_up(capacity, group->extent_size);
    if (!check_resizable(state, lv, size, error))
        return FALSE;
    if (size == lv->size)
        return TRUE;
    option = lvm_size("-L", size);
    CST_CRASH_POINT("logical.resize.before");
    if (size > lv->size)
        lvm_change(task, &why, "lvextend", option, target, NULL);
    else
        lvm_change(task, &why, "lvreduce", "-f", option, target, NULL);
    logical_changed(logical);
    CST_CRASH_POINT("logical.resize.done");
    return check_size(logical, name, size, &why, error);
}
