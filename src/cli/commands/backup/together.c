/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Creates the snapshots of several volumes as close to the same point in time as possible. It makes
 * one call for each pool, and the server creates them in one step if the storage supports it. The
 * volumes are reported as consistent only if a single step created all snapshots.
 */
#include "create.h"

#include <string.h>

#include <base/error.h>
#include <base/i18n.h>

#include "commands/xml.h"
#include "snapshots.h"

void backup_put_set(BackupCreate *create, const GPtrArray *members, gboolean live,
                    const CstSnapshotSet *set)
{
    create->sets++;
    create->one_step = set->one_step;
    create->span_us = set->span_us;
    create->ended_us = g_get_monotonic_time();
    for (guint i = 0; i < members->len; i++) {
        BackupSource *source = members->pdata[i];

        source->snapshot = live ? g_strconcat(CST_LIVE_PREFIX, create->snapshot, NULL)
                                : g_strdup(create->snapshot);
        source->live = live;
        source->consistency = set->consistency;
        g_free(source->reason);
        source->reason = g_strdup(set->reason);
    }
}

gboolean backup_make_snapshot_set(BackupCreate *create, const GPtrArray *members, GError **error)
{
    const CstSnapshotRequest request = {
        .name = create->snapshot, .minimum = create->minimum, .qmp = create->qmp};
    g_autoptr(GPtrArray) vols = backup_vols_of(members);
    g_auto(CstSnapshotSet) set = {0};

    if (!cst_conn_snapshot_create_set(create->ctl->conn, vols, &request, NULL, &set, error))
        return FALSE;
    backup_put_set(create, members, FALSE, &set);
    return TRUE;
}

/*
 * Return: sources of the first pool that has sources without a snapshot, up to the maximum of a
 * set.
 */
static GPtrArray *next_members(const BackupCreate *create)
{
    GPtrArray *members = g_ptr_array_new();

    for (guint i = 0; i < create->sources->len; i++) {
        BackupSource *source = create->sources->pdata[i];
        const BackupSource *first = members->len > 0 ? members->pdata[0] : source;

        if (!source->machine && !source->snapshot &&
            strcmp(source->ref->pool, first->ref->pool) == 0 &&
            members->len < CST_CONN_SNAPSHOT_SET_MAX)
            g_ptr_array_add(members, source);
    }
    return members;
}

/* In a dry run: check whether the volume supports snapshots. */
static gboolean check_member(BackupCreate *create, BackupSource *source, GError **error)
{
    GError *why = NULL;

    if (source->snapshot ||
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
    if (source->snapshot)
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

gboolean backup_snapshots_together(BackupCreate *create, GError **error)
{
    for (;;) {
        g_autoptr(GPtrArray) members = next_members(create);
        GError *why = NULL;

        if (members->len == 0)
            return TRUE;
        if (!backup_make_snapshot_set(create, members, &why) &&
            !leave_out_refusing(create, why, error))
            return FALSE;
    }
}

gboolean backup_snapshots_of_qemu(BackupCreate *create, GError **error)
{
    for (guint i = 0; i < create->sources->len; i++) {
        const BackupSource *source = create->sources->pdata[i];

        if (cli_xml_has(source->xml, "/volume/backingStore/path[. != '']"))
            return cst_fail(error, CST_ERROR_UNSUPPORTED,
                            _("vol '%s' has a backing file, whose data its snapshot does not have; "
                              "shut the machine down first, then leave out --qmp"),
                            source->ref->name);
    }
    return backup_make_snapshot_set(create, create->sources, error);
}

void backup_put_moment(BackupCreate *create)
{
    for (guint i = 0; i < create->sources->len; i++)
        if (((const BackupSource *)create->sources->pdata[i])->direct)
            return;
    if (create->sets == 1 && create->one_step)
        cst_writer_moment(create->writer, CST_BACKUP_ONE_STEP, 0);
    else if (create->sets == 1 && create->span_us > 0)
        cst_writer_moment(create->writer, CST_BACKUP_IN_TURN, create->span_us);
    else
        cst_writer_moment(create->writer, CST_BACKUP_IN_TURN,
                          (uint64_t)(create->ended_us - create->began_us));
}
