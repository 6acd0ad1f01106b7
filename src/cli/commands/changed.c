/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The changes in a volume since a snapshot, as reported by the storage (VOL_CHANGED), in chunks of
 * the caller's size. Used by vol-copy --since and backup-create --incremental.
 */
#include "changed.h"

#include <string.h>

#include <base/alloc.h>
#include <base/error.h>
#include <base/i18n.h>
#include <base/units.h>

void cli_changed_clear(CliChanged *changed)
{
    g_clear_pointer(&changed->dirty, g_free);
    g_clear_pointer(&changed->identity, g_free);
}

static uint64_t chunks_of(const CliChanged *changed)
{
    return cst_div_up(changed->capacity, changed->chunk);
}

static size_t changed_bitmap_bytes(const CliChanged *changed)
{
    return (size_t)cst_div_up(chunks_of(changed), 8);
}

static gboolean is_dirty(const CliChanged *changed, uint64_t chunk)
{
    return (changed->dirty[chunk / 8] >> (chunk % 8)) & 1;
}

void cli_changed_mark(CliChanged *changed, uint64_t offset, uint64_t length)
{
    uint64_t count = chunks_of(changed);

    for (uint64_t i = offset / changed->chunk; i < count && i * changed->chunk < offset + length;
         i++)
        changed->dirty[i / 8] |= (uint8_t)(1u << (i % 8));
}

static gboolean changed_mark_range(uint64_t offset, uint64_t length, gpointer data, GError **error)
{
    cli_changed_mark(data, offset, length);
    return TRUE;
}

/*
 * Return: TRUE if the storage cannot report changes, which is not a failure. Passes other errors
 * on.
 */
static gboolean is_change_unsupported(GError **why, GError **error)
{
    if (g_error_matches(*why, CST_ERROR, CST_ERROR_UNSUPPORTED) ||
        g_error_matches(*why, CST_ERROR, CST_ERROR_NO_SUPPORT))
        return TRUE;
    g_propagate_error(error, g_steal_pointer(why));
    return FALSE;
}

gboolean cli_check_size(const char *name, uint64_t before, uint64_t now, GError **error)
{
    return now == before ||
           cst_fail(error, CST_ERROR_BUSY,
                    _("vol %s changed its size during the operation; try again"), name);
}

gboolean cli_changed_ask(CstConn *conn, const CstVolRef *vol, const char *since, const char *until,
                         uint64_t chunk, uint64_t capacity, CstTask *task, CliChanged *ret,
                         GError **error)
{
    g_autoptr(GError) why = NULL;
    CstVolChanged told = {0};

    cli_changed_clear(ret);
    ret->chunk = chunk;
    ret->capacity = capacity;
    ret->dirty = cst_alloc0(changed_bitmap_bytes(ret), 1, vol->name, error);
    if (!ret->dirty)
        return FALSE;
    if (cst_conn_vol_changed(conn, vol, since, until, changed_mark_range, ret, task, &told, &why)) {
        ret->identity = told.identity;
        return cli_check_size(vol->name, capacity, told.capacity, error);
    }
    cli_changed_clear(ret);
    return is_change_unsupported(&why, error);
}

gboolean cli_changed_equal(const CliChanged *a, const CliChanged *b)
{
    return a->dirty && b->dirty && strcmp(a->identity, b->identity) == 0 &&
           changed_bitmap_bytes(a) == changed_bitmap_bytes(b) &&
           memcmp(a->dirty, b->dirty, changed_bitmap_bytes(a)) == 0;
}

GArray *cli_changed_runs(const CliChanged *changed, uint64_t gap)
{
    GArray *runs = g_array_new(FALSE, FALSE, sizeof(CstRange));
    uint64_t count = chunks_of(changed);

    for (uint64_t i = 0; i < count; i++) {
        uint64_t offset = i * changed->chunk;

        if (is_dirty(changed, i))
            cli_runs_add(runs, offset, MIN(changed->chunk, changed->capacity - offset), gap);
    }
    return runs;
}

static gboolean pass_over(uint64_t offset, uint64_t length, gpointer data, GError **error)
{
    return TRUE;
}

gboolean cli_snapshot_identify(CstConn *conn, const CstVolRef *vol, const char *snapshot,
                               char **ret_identity, uint64_t *ret_capacity, GError **error)
{
    g_autoptr(GError) why = NULL;
    CstVolChanged told = {0};

    if (!cst_conn_vol_changed(conn, vol, snapshot, snapshot, pass_over, NULL, NULL, &told, &why) &&
        !is_change_unsupported(&why, error))
        return FALSE;
    *ret_identity = told.identity ? told.identity : g_strdup("");
    *ret_capacity = told.capacity;
    return TRUE;
}

/* --- runs ------------------------------------------------------------------------------------- */

void cli_runs_add(GArray *runs, uint64_t offset, uint64_t length, uint64_t gap)
{
    const CstRange run = {offset, length};
    CstRange *last = runs->len > 0 ? &g_array_index(runs, CstRange, runs->len - 1) : NULL;

    if (last && offset - (last->offset + last->length) <= gap)
        last->length = offset + length - last->offset;
    else
        g_array_append_val(runs, run);
}

uint64_t cli_runs_total(const GArray *runs)
{
    uint64_t total = 0;

    for (guint i = 0; i < runs->len; i++)
        total += g_array_index(runs, CstRange, i).length;
    return total;
}
