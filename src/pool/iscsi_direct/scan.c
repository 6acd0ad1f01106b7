/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Records of the LUNs. */
#include "iscsi_direct.h"

#include <string.h>

#include <base/error.h>
#include <base/i18n.h>

/* Fills in the stamp. The unit's digest replaces the inode of a file. */
static void direct_set_stamp(CstVolume *volume, const CstScsiUnit *unit)
{
    volume->stamp.inode = g_str_hash(unit->id);
    volume->stamp.size = volume->capacity;
    volume->stamp.device = unit->block_size;
}

static CstVolume *direct_lun_to_volume(DirectState *state, const CstIscsiLun *lun)
{
    g_autofree char *name = direct_name(lun->lun);
    CstVolume *volume = cst_volume_new(name);
    g_autoptr(GError) why = NULL;

    volume->type = CST_VOL_NETWORK;
    volume->format = "raw";
    volume->mode = volume->uid = volume->gid = CST_PERMS_UNSET;
    if (!lun->error)
        volume->capacity = lun->unit.blocks * lun->unit.block_size;
    volume->allocation = lun->error ? 0 : lun->allocated;
    direct_set_stamp(volume, &lun->unit);
    if (lun->error)
        cst_volume_extra(volume)->problem = g_strdup(lun->error->message);
    else if (!direct_is_known(state, lun, &why))
        cst_volume_extra(volume)->problem = g_strdup(why->message);
    return volume;
}

/* Returns the old record if it is unchanged, else the new one. Adopts both references. */
static CstVolume *direct_newest_volume(CstVolume *known, CstVolume *now)
{
    gboolean same = known && cst_volume_stamp_equal(&known->stamp, &now->stamp) &&
                    known->allocation == now->allocation &&
                    g_strcmp0(cst_volume_problem(known), cst_volume_problem(now)) == 0;

    cst_volume_unref(same ? now : known);
    return same ? known : now;
}

/* --- usage of the pool ------------------------------------------------------------------------ */

typedef struct {
    uint64_t capacity, allocation; /* bytes */
} Size;

/* Call it with the lock held. */
static void note_size(DirectState *state, const CstIscsiLun *lun)
{
    gpointer key = GUINT_TO_POINTER(lun->lun);
    Size *size;

    if (!direct_is_volume(lun) || lun->error) {
        g_hash_table_remove(state->sizes, key);
        return;
    }
    size = g_new(Size, 1);
    *size = (Size){lun->unit.blocks * lun->unit.block_size, lun->allocated};
    g_hash_table_insert(state->sizes, key, size);
}

/*
 * Records the sizes of all LUNs. If a LUN was observed since @begun, the start of the list, its
 * size may be outdated. Then the next query lists again.
 */
static void note_all_sizes(DirectState *state, const GArray *luns, guint begun)
{
    g_mutex_lock(&state->lock);
    g_hash_table_remove_all(state->sizes);
    for (guint i = 0; i < luns->len; i++)
        note_size(state, &g_array_index(luns, CstIscsiLun, i));
    state->scanned = begun == state->looks;
    state->looks++;
    g_mutex_unlock(&state->lock);
}

/*
 * Adds up the sizes. @listed: the sizes were recorded just now. Returns FALSE if they are outdated.
 */
static gboolean direct_sum_usage(DirectState *state, gboolean listed, CstPoolUsage *ret_usage)
{
    GHashTableIter iter;
    gpointer value;
    gboolean current;

    g_mutex_lock(&state->lock);
    current = listed || state->scanned;
    g_hash_table_iter_init(&iter, state->sizes);
    while (current && g_hash_table_iter_next(&iter, NULL, &value)) {
        const Size *size = value;

        ret_usage->capacity += MIN(size->capacity, UINT64_MAX - ret_usage->capacity);
        ret_usage->allocation += MIN(size->allocation, UINT64_MAX - ret_usage->allocation);
    }
    g_mutex_unlock(&state->lock);
    return current;
}

/*
 * Uses the sizes from the scans, because another query would return the same. Reports no available
 * space, because no volume can be created.
 */
gboolean direct_usage(CstPoolState *head, CstPoolUsage *ret_usage, GError **error)
{
    DirectState *state = (DirectState *)head;
    g_autoptr(GArray) luns = NULL;
    guint begun;

    if (direct_sum_usage(state, FALSE, ret_usage))
        return TRUE;
    luns = direct_units(state, &begun, error);
    if (!luns)
        return FALSE;
    note_all_sizes(state, luns, begun);
    return direct_sum_usage(state, TRUE, ret_usage);
}

/* --- scans ------------------------------------------------------------------------------------ */

gboolean direct_scan(CstPoolState *head, const CstScan *scan, CstTask *task, GError **error)
{
    DirectState *state = (DirectState *)head;
    guint begun;
    g_autoptr(GArray) luns = direct_units(state, &begun, error);

    if (!luns)
        return FALSE;
    direct_forget_gone(state, luns, begun);
    note_all_sizes(state, luns, begun);
    for (guint i = 0; i < luns->len; i++) {
        const CstIscsiLun *lun = &g_array_index(luns, CstIscsiLun, i);
        CstVolume *volume;

        if (!cst_task_check(task, error))
            return FALSE;
        if (!direct_is_volume(lun))
            continue;
        volume = direct_lun_to_volume(state, lun);
        scan->sink(direct_newest_volume(scan->known(volume->name, scan->data), volume), scan->data);
    }
    return TRUE;
}

gboolean direct_scan_one(CstPoolState *head, const char *name, CstVolume *known,
                         CstVolume **ret_volume, GError **error)
{
    DirectState *state = (DirectState *)head;
    g_auto(CstIscsiLun) lun = {0};

    *ret_volume = NULL;
    if (!direct_lun_of(name, &lun.lun))
        return TRUE;
    if (!cst_iscsi_look(state->session, &lun, 1, error) ||
        !cst_iscsi_measure(state->session, &lun, 1, error))
        return FALSE;
    g_mutex_lock(&state->lock);
    note_size(state, &lun);
    state->looks++;
    g_mutex_unlock(&state->lock);
    if (direct_is_volume(&lun))
        *ret_volume = direct_newest_volume(known ? cst_volume_ref(known) : NULL,
                                           direct_lun_to_volume(state, &lun));
    return TRUE;
}
