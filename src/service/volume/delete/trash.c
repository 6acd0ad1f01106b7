/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The trash: deleted volumes that are kept. A volume enters and leaves the trash by a rename, to
 * and from a name that is not a volume's name (CST_TRASH_PREFIX). The data kept by name move with
 * it (by_name.c); in the trash they include the record of its former name. So the intent of the
 * rename and its replay also recover the trash after a crash (rename.c).
 *
 * The record is written before the rename (rename.c), and removed after the volume. A record
 * without a volume is left over from a crash. A function that finds one, with the hidden name
 * claimed, removes it. trash_empty.c removes volumes. The retention is decided at the deletion: a
 * later change of the pool's setting does not apply to volumes that are already in the trash.
 *
 * Domains are checked at the deletion. They name no volume by its hidden name, so that a removal of
 * many volumes does not ask libvirt for each.
 */
#include "trash.h"

#include <string.h>

#include <base/dry_run.h>
#include <base/error.h>
#include <base/flags.h>
#include <base/i18n.h>
#include <base/log.h>
#include <base/test_point.h>
#include <service/trash.h>
#include <store/trash.h>

#include "core/events.h"
#include "core/job.h"
#include "core/pool.h"
#include "core/promise.h"
#include "core/scan.h"
#include "core/service.h"
#include "core/trash_names.h"
#include "dependency/guard.h"
#include "remove.h"
#include "volume/declare.h"
#include "volume/rename/by_name.h"
#include "volume/rename/rename.h"

#define DAY_S  (24 * 3600)
#define ID_LEN 12
/*
 * Maximal length of the volume's name in the hidden name, which lets administrators recognise it on
 * the storage. It is enough for a UUID with a short prefix. LVM and ZFS have little more room.
 */
#define SHOWN_MAX 40

int64_t trash_now_s(void)
{
    return g_get_real_time() / G_USEC_PER_SEC;
}

/*
 * The definition for the pool's next start applies immediately, because the setting does not affect
 * the storage.
 */
guint trash_days(CstPool *pool)
{
    guint days;

    g_mutex_lock(&pool->lock);
    days = pool->new_def ? pool->new_def->trash_days : pool->def->trash_days;
    g_mutex_unlock(&pool->lock);
    return days;
}

/* --- names ------------------------------------------------------------------------------------ */

/* The hidden name ends with the id, so it never ends like the name of a draft. */
char *trash_name_of(const char *name)
{
    const char *slash = strrchr(name, '/');
    const char *last = slash ? slash + 1 : name, *end;
    char text[CST_UUID_TEXT_LEN];
    CstUuid uuid;

    cst_uuid_generate(&uuid);
    cst_uuid_format(&uuid, text);
    g_utf8_validate(last, (gssize)MIN(strlen(last), SHOWN_MAX), &end);
    return g_strdup_printf("%.*s" CST_TRASH_PREFIX "%.*s-%s", (int)(last - name), name,
                           (int)(end - last), last, text + strlen(text) - ID_LEN);
}

static const char *trashed_id(const CstTrashed *trashed)
{
    const char *dash = strrchr(trashed->hidden, '-');

    return dash ? dash + 1 : trashed->hidden;
}

GPtrArray *trash_records(CstPool *pool, GError **error)
{
    return cst_trash_list(pool->service->paths, &pool->uuid, error);
}

/* Returns TRUE if the volume exists, or if the scan failed; its next user reports that error. */
static gboolean trashed_exists(CstPoolState *state, const CstTrashed *trashed)
{
    g_autoptr(CstVolume) volume = NULL;

    return !cst_pool_state_scan_any(state, trashed->hidden, NULL, &volume, NULL) || volume;
}

const CstTrashed *trash_find_record(CstPoolState *state, const GPtrArray *records,
                                    const char *which, GError **error)
{
    g_autoptr(GString) ids = g_string_new(NULL);
    const CstTrashed *found = NULL;
    guint count = 0;

    for (guint i = 0; i < records->len; i++) {
        const CstTrashed *trashed = g_ptr_array_index(records, i);

        if (strcmp(trashed_id(trashed), which) == 0)
            return trashed;
        if (strcmp(trashed->name, which) != 0 || !trashed_exists(state, trashed))
            continue;
        found = trashed;
        g_string_append_printf(ids, "%s%s", count++ ? ", " : "", trashed_id(trashed));
    }
    if (count == 0)
        cst_fail(error, CST_ERROR_NO_VOL, _("there is no volume '%s' in the trash"), which);
    else if (count > 1)
        cst_fail(error, CST_ERROR_INVALID,
                 _("there are %u volumes '%s' in the trash; say which by its id: %s"), count, which,
                 ids->str);
    return count == 1 ? found : NULL;
}

/* --- into the trash --------------------------------------------------------------------------- */

static CstTrashed *record_new(const VolumeClaim *claim, const char *hidden, guint days)
{
    CstTrashed *trashed = g_new0(CstTrashed, 1);
    uid_t uid;
    pid_t pid;

    cst_task_owner(claim->task, &uid, &pid);
    trashed->hidden = g_strdup(hidden);
    trashed->name = g_strdup(claim->name);
    trashed->deleted = trash_now_s();
    trashed->until = trashed->deleted + (int64_t)days * DAY_S;
    trashed->uid = uid;
    return trashed;
}

/*
 * Drops the record of a volume that has kept its name. If that fails, the record has no volume,
 * which is harmless.
 */
static void drop_unused_record(const VolumeClaim *hidden)
{
    CstPool *pool = hidden->pool;
    g_autoptr(CstVolume) volume = NULL;

    if (cst_pool_state_scan_any(hidden->state, hidden->name, NULL, &volume, NULL) && !volume)
        cst_trash_remove(pool->service->paths, &pool->uuid, hidden->name, NULL);
}

gboolean trash_volume(VolumeClaim *claim, CstVolume *volume, unsigned flags, guint days,
                      GError **error)
{
    g_auto(VolumeClaim) hidden_claim = {.task = claim->task, .after = claim};
    g_autofree char *hidden = trash_name_of(claim->name);
    g_auto(KeptByName) kept = {0};

    if (!cst_flags_check(flags, CST_VOL_DELETE_WITH_SNAPSHOTS, "virStorageVolDelete", error) ||
        !cst_pool_state_check_trash(claim->state, error) ||
        !volume_not_needed_outside_trash(claim, error) ||
        !volume_snapshots_agreed(claim, volume, flags, error) ||
        !volume_claim(&hidden_claim, claim->pool, hidden, CLAIM_WRITE, error) ||
        !kept_read(claim->pool, claim->state, volume, &kept, error))
        return FALSE;
    kept.trashed = record_new(claim, hidden, days);
    if (!volume_rename_claimed(claim, volume, hidden, &kept, error)) {
        drop_unused_record(&hidden_claim);
        return FALSE;
    }
    volume_orphan_readers(claim);
    return TRUE;
}

/* --- list ------------------------------------------------------------------------------------- */

static CstTrashRow *trash_row_new(CstPool *pool, const CstTrashed *trashed, const CstVolume *volume)
{
    CstTrashRow *row = g_new0(CstTrashRow, 1);

    row->id = g_strdup(trashed_id(trashed));
    row->name = g_strdup(trashed->name);
    row->hidden = g_strdup(trashed->hidden);
    row->pool = g_strdup(pool->name);
    row->deleted = trashed->deleted;
    row->until = trashed->until;
    row->uid = trashed->uid;
    row->has_size = volume != NULL;
    row->capacity = volume ? volume->capacity : 0;
    row->allocation = volume ? volume->allocation : 0;
    return row;
}

/*
 * Adds the row of a volume. Does nothing if the volume or its record does not exist, or if the
 * record cannot be read. @state NULL: the pool is not active, and the record decides.
 */
static gboolean trash_row_add(CstPool *pool, CstPoolState *state, const char *hidden,
                              GPtrArray *rows, GError **error)
{
    g_autoptr(CstTrashed) trashed = NULL;
    g_autoptr(CstVolume) volume = NULL;
    g_autoptr(GError) why = NULL;

    if (!cst_trash_find(pool->service->paths, &pool->uuid, hidden, &trashed, &why))
        cst_log(CST_LOG_WARNING, "%s", why->message);
    if (!trashed)
        return TRUE;
    if (state && !cst_pool_state_scan_any(state, hidden, NULL, &volume, error))
        return FALSE;
    if (volume || !state)
        g_ptr_array_add(rows, trash_row_new(pool, trashed, volume));
    return TRUE;
}

/* Returns the index of the first name after @after, which may be NULL. */
static guint trash_page_first(const GPtrArray *names, const char *after)
{
    guint first = 0, end = after ? names->len : 0;

    while (first < end) {
        guint middle = first + (end - first) / 2;

        if (strcmp(names->pdata[middle], after) <= 0)
            first = middle + 1;
        else
            end = middle;
    }
    return first;
}

/* The names are sorted. Therefore a volume is on one page only, also while other volumes change. */
GPtrArray *cst_pool_trash_page(CstPool *pool, const char *after, guint limit, char **ret_next,
                               GError **error)
{
    g_autoptr(GPtrArray) rows = g_ptr_array_new_with_free_func((GDestroyNotify)cst_trash_row_free);
    g_autoptr(GPtrArray) names = trash_names_get(pool, after != NULL, error);
    g_autoptr(CstPoolState) state = pool_state_get(pool, NULL);
    guint first, end;

    *ret_next = NULL;
    if (!names)
        return NULL;
    first = trash_page_first(names, after);
    end = first + MIN(limit, names->len - first);
    for (guint i = first; i < end; i++)
        if (!trash_row_add(pool, state, names->pdata[i], rows, error))
            return NULL;
    if (end < names->len)
        *ret_next = g_strdup(names->pdata[end - 1]);
    return g_steal_pointer(&rows);
}

GPtrArray *cst_pool_trash_list(CstPool *pool, GError **error)
{
    g_autofree char *next = NULL;
    GPtrArray *rows = cst_pool_trash_page(pool, NULL, G_MAXUINT, &next, error);

    if (rows)
        cst_trash_rows_sort(rows);
    return rows;
}

/*
 * Claims a deleted volume. *ret_volume is NULL if it was removed or restored by another operation,
 * or if a crash has left its record, which is removed then.
 */
static gboolean claim_trashed(VolumeClaim *claim, CstPool *pool, const char *hidden,
                              CstVolume **ret_volume, GError **error)
{
    if (!volume_claim(claim, pool, hidden, CLAIM_WRITE, error) ||
        !cst_pool_state_scan_any(claim->state, hidden, NULL, ret_volume, error))
        return FALSE;
    return *ret_volume || cst_dry_run() ||
           cst_trash_remove(pool->service->paths, &pool->uuid, hidden, error);
}

/* --- out of the trash ------------------------------------------------------------------------- */

static gboolean trash_restore_volume(CstPool *pool, const CstTrashed *trashed, const char *name,
                                     CstTask *task, GError **error)
{
    g_auto(VolumeClaim) claim = {.task = task};
    g_auto(VolumeClaim) new_claim = {.task = task, .after = &claim, .creating = TRUE};
    g_autoptr(CstVolume) volume = NULL;
    g_auto(KeptByName) kept = {0};
    g_auto(PoolPromise) promise = {0};
    PromiseRequest request = {.name = name, .added = TRUE};

    if (!claim_trashed(&claim, pool, trashed->hidden, &volume, error))
        return FALSE;
    if (!volume)
        return cst_fail(error, CST_ERROR_NO_VOL, _("there is no volume '%s' in the trash"),
                        trashed->name);
    if (!cst_pool_state_volume_name_check(claim.state, name, error) ||
        !pool_check_free(pool, claim.state, name, error) ||
        !volume_claim(&new_claim, pool, name, CLAIM_WRITE, error) ||
        !pool_check_free(pool, claim.state, name, error) || !volume_not_open(&claim, error) ||
        !kept_read(pool, claim.state, volume, &kept, error) ||
        !pool_promise_of(claim.state, volume, &request.more, error) ||
        !pool_promise_reserve(&promise, pool, claim.state, &request, error))
        return FALSE;
    g_clear_pointer(&kept.trashed, cst_trashed_free);
    return volume_rename_claimed(&claim, volume, name, &kept, error);
}

static gboolean restore_found(CstPool *pool, const char *which, const char *new_name, CstTask *task,
                              char **ret_name, GError **error)
{
    g_autoptr(CstPoolState) state = pool_state_get(pool, error);
    g_autoptr(GPtrArray) records = state ? trash_records(pool, error) : NULL;
    const CstTrashed *trashed = records ? trash_find_record(state, records, which, error) : NULL;
    const char *name = trashed && !new_name ? trashed->name : new_name;

    CST_TEST_POINT("trash.restore.found");
    if (!trashed || !trash_restore_volume(pool, trashed, name, task, error))
        return FALSE;
    *ret_name = g_strdup(name);
    return TRUE;
}

gboolean cst_pool_trash_restore(CstPool *pool, const char *which, const char *new_name,
                                CstTask *task, char **ret_name, GError **error)
{
    g_auto(Job) job = {0};
    gboolean done;

    job_begin(&job, pool, "trash-restore", new_name ? new_name : which, &task);
    done = restore_found(pool, which, new_name, task, ret_name, error);
    /* libvirt has no event for this. Clients reload the list of volumes after this event. */
    if (done) {
        event_emit_pool(pool, CST_EVENT_POOL_REFRESH, 0);
        event_record_volume(pool, CST_EVENT_VOLUME_CREATED, *ret_name, NULL);
    }
    return job_end(&job, done, error);
}
