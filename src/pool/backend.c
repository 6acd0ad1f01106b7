/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Functions that backends use, below all backends: the references of a pool's state, the host's
 * declarations, common failures, and the lists that callbacks append to. The list of backends is in
 * a higher layer (registry.c, pool.c). No function here calls a backend, except that the last
 * reference closes its state.
 *
 * No lock is needed: reference counts are atomic, and a list belongs to the caller.
 */
#include <pool/backend.h>

#include <string.h>

#include <base/i18n.h>

/* --- failures --------------------------------------------------------------------------------- */

gboolean(cst_fail_no_volume)(const char *name, GError **error)
{
    return cst_fail(error, CST_ERROR_NO_VOL, _("no storage vol with matching name '%s'"), name);
}

gboolean(cst_fail_no_snapshot)(const char *volume, const char *name, GError **error)
{
    return cst_fail(error, CST_ERROR_NOT_FOUND, _("volume '%s' has no snapshot '%s'"), volume,
                    name);
}

gboolean(cst_fail_snapshot_exists)(const char *volume, const char *name, GError **error)
{
    return cst_fail(error, CST_ERROR_EXISTS, _("volume '%s' has a snapshot '%s' already"), volume,
                    name);
}

/* --- names ------------------------------------------------------------------------------------ */

gboolean cst_name_is_trash(const char *name)
{
    const char *slash = strrchr(name, '/');

    return g_str_has_prefix(slash ? slash + 1 : name, CST_TRASH_PREFIX);
}

/* --- states and drafts ------------------------------------------------------------------------ */

CstPoolState *cst_pool_state_ref(CstPoolState *state)
{
    g_atomic_int_inc(&state->refs);
    return state;
}

void cst_pool_state_unref(CstPoolState *state)
{
    CstLiveness *liveness;

    if (!state || !g_atomic_int_dec_and_test(&state->refs))
        return;
    liveness = state->liveness;
    state->backend->close(state);
    cst_liveness_unref(liveness);
}

/* Without a host (tests, tools) no volume has a declaration. */
void cst_pool_state_declared(const CstPoolState *state, CstVolume *const *volumes, guint count,
                             CstDeclaration **declarations)
{
    if (count > 0 && state->host && state->host->declared)
        state->host->declared(state, volumes, count, declarations, state->host->data);
}

void cst_vol_draft_clear(CstVolDraft *draft)
{
    g_clear_pointer(&draft->token, g_free);
    g_clear_pointer(&draft->name, g_free);
    g_clear_pointer(&draft->blob, cst_blob_unref);
}

/* --- lists ------------------------------------------------------------------------------------ */

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

char *cst_holders_describe(const GPtrArray *holders)
{
    GString *text = g_string_new(NULL);

    for (guint i = 0; i < holders->len; i++)
        g_string_append_printf(text, "%s%s", i > 0 ? ", " : "",
                               ((const CstHolder *)g_ptr_array_index(holders, i))->what);
    return g_string_free(text, FALSE);
}

GHashTable *cst_pool_state_drafts(const CstPoolState *state, GError **error)
{
    const CstPoolHost *host = state->host;

    return host && host->drafts ? host->drafts(host->data, error)
                                : g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
}

static void holder_list_free(gpointer list)
{
    if (list)
        g_ptr_array_unref(list);
}

GPtrArray *cst_holder_lists_new(guint count)
{
    GPtrArray *lists = g_ptr_array_new_with_free_func(holder_list_free);

    g_ptr_array_set_size(lists, (int)count);
    return lists;
}

gboolean cst_holders_pass(const GPtrArray *holders)
{
    for (guint i = 0; i < holders->len; i++)
        if (!((const CstHolder *)g_ptr_array_index(holders, i))->passing)
            return FALSE;
    return holders->len > 0;
}

gboolean cst_holders_refuse(const GPtrArray *holders, const char *volume, GError **error)
{
    g_autofree char *text = cst_holders_describe(holders);

    return holders->len == 0 ||
           cst_fail(error, CST_ERROR_BUSY, _("volume '%s' is in use: %s"), volume, text);
}

void cst_space_usage_free(CstSpaceUsage *space)
{
    g_free(space->what);
    g_free(space);
}

CstSpaceUsage *cst_space_usage_add(GPtrArray *usage, guint hundredths, gboolean lost,
                                   const char *format, ...)
{
    CstSpaceUsage *space = g_new0(CstSpaceUsage, 1);
    va_list args;

    va_start(args, format);
    space->what = g_strdup_vprintf(format, args);
    va_end(args);
    space->hundredths = hundredths;
    space->lost = lost;
    g_ptr_array_add(usage, space);
    return space;
}
