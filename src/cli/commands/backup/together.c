/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Creates the snapshots of several volumes as close to the same point in time as possible. It makes
 * one call for each pool, and the server creates them in one step if the storage supports it. The
 * volumes are reported as consistent only if a single step created all snapshots.
 */
#include "create.h"

#include <string.h>

#include <base/error.h>

#include "snapshots.h"

gboolean backup_make_snapshot_set(BackupCreate *create, const GPtrArray *members,
                                  CstSnapshotSet *ret_set, GError **error)
{
    const CstSnapshotRequest request = {.name = create->snapshot};
    g_autoptr(GPtrArray) vols = g_ptr_array_new();

    for (guint i = 0; i < members->len; i++)
        g_ptr_array_add(vols, ((BackupSource *)members->pdata[i])->ref);
    if (!cst_conn_snapshot_create_set(create->ctl->conn, vols, &request, NULL, ret_set, error))
        return FALSE;
    for (guint i = 0; i < members->len; i++) {
        BackupSource *source = members->pdata[i];

        source->snapshot = g_strdup(create->snapshot);
        source->consistency = ret_set->consistency;
        source->reason = g_strdup(ret_set->reason);
        if (source->machine)
            source->machine->one_moment = ret_set->one_step;
    }
    return TRUE;
}

/* Whether the snapshots of both are made by the same call. */
static gboolean sources_belong_together(const BackupSource *a, const BackupSource *b)
{
    if (a->machine || b->machine)
        return a->machine == b->machine;
    return strcmp(a->ref->pool, b->ref->pool) == 0;
}

/*
 * Return: sources of the first machine or pool that has sources without a snapshot, up to the
 * maximum of a set.
 */
static GPtrArray *next_members(const BackupCreate *create)
{
    GPtrArray *members = g_ptr_array_new();

    for (guint i = 0; i < create->sources->len; i++) {
        BackupSource *source = create->sources->pdata[i];
        const BackupSource *first = members->len > 0 ? members->pdata[0] : source;

        if (!source->snapshot && !source->direct && sources_belong_together(source, first) &&
            members->len < CST_CONN_SNAPSHOT_SET_MAX)
            g_ptr_array_add(members, source);
    }
    return members;
}

/* In a dry run: check whether the volume supports snapshots. */
static gboolean check_member(BackupCreate *create, BackupSource *source, GError **error)
{
    GError *why = NULL;

    if (source->snapshot || source->direct ||
        cst_conn_snapshot_create(create->ctl->conn, source->ref, create->snapshot, 0, NULL, &why))
        return TRUE;
    if (cst_error_code(why) == CST_ERROR_DRY_RUN) {
        g_error_free(why);
        return TRUE;
    }
    g_propagate_error(error, why);
    return FALSE;
}

/* A dry run cannot detect whether a file system can share extents. Only a snapshot shows it. */
static gboolean try_member(BackupCreate *create, BackupSource *source, GError **error)
{
    if (source->snapshot || source->direct)
        return TRUE;
    if (!cst_conn_snapshot_create(create->ctl->conn, source->ref, create->snapshot, 0, NULL, error))
        return FALSE;
    return cst_conn_snapshot_delete(create->ctl->conn, source->ref, create->snapshot, NULL, error);
}

/*
 * After a set failed with @why, omit the members that refuse a snapshot, so that the set can be
 * tried again. Takes ownership of @why. Return: FALSE if no member refuses.
 */
static gboolean leave_out_refusing(BackupCreate *create, GError *why, GError **error)
{
    CstConn *conn = create->ctl->conn;
    guint missing = create->missing->len;
    gboolean fine;

    if (cst_error_code(why) == CST_ERROR_CANCELLED || !cst_conn_set_dry_run(conn, TRUE, NULL)) {
        g_propagate_error(error, why);
        return FALSE;
    }
    fine = backup_each(create, check_member, error);
    if (!cst_conn_set_dry_run(conn, FALSE, fine ? error : NULL))
        fine = FALSE;
    if (fine && create->missing->len == missing && backup_no_snapshots(why))
        fine = backup_each(create, try_member, error);
    if (fine && create->missing->len == missing) {
        g_propagate_error(error, g_steal_pointer(&why));
        fine = FALSE;
    }
    g_clear_error(&why);
    return fine;
}

/*
 * Read the disks of a machine without snapshots, because a part of them cannot have one. The
 * machine may be shut off. A volume that a process writes is refused when it is read.
 */
static gboolean read_directly(const GPtrArray *members, const GError *why)
{
    if (!((const BackupSource *)members->pdata[0])->machine || !backup_no_snapshots(why))
        return FALSE;
    for (guint i = 0; i < members->len; i++) {
        BackupSource *source = members->pdata[i];

        source->direct = TRUE;
        backup_read_whole(source, why->message);
    }
    return TRUE;
}

static gboolean backup_reads_directly(const BackupCreate *create)
{
    for (guint i = 0; i < create->sources->len; i++)
        if (((const BackupSource *)create->sources->pdata[i])->direct)
            return TRUE;
    return FALSE;
}

gboolean backup_snapshots_together(BackupCreate *create, GError **error)
{
    gint64 began = g_get_monotonic_time();
    g_auto(CstSnapshotSet) set = {0};
    uint64_t span_us;
    guint sets = 0;

    for (;;) {
        g_autoptr(GPtrArray) members = next_members(create);
        GError *why = NULL;

        if (members->len == 0)
            break;
        cst_snapshot_set_clear(&set);
        if (backup_make_snapshot_set(create, members, &set, &why))
            sets++;
        else if (read_directly(members, why))
            g_error_free(why);
        else if (!leave_out_refusing(create, why, error))
            return FALSE;
    }
    span_us = (uint64_t)(g_get_monotonic_time() - began);
    if (sets == 1 && set.span_us > 0)
        span_us = set.span_us;
    if (sets == 1 && set.one_step && !backup_reads_directly(create))
        cst_writer_moment(create->writer, CST_BACKUP_ONE_STEP, 0);
    else
        cst_writer_moment(create->writer, CST_BACKUP_IN_TURN, span_us);
    return TRUE;
}
