/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The action "copy": replication to the daemon of another host. Each run makes a snapshot here,
 * sends its content by vol-copy, and makes a snapshot of the same name there. The next run sends
 * the changes since the newest snapshot that both hosts have. The rules apply to the snapshots
 * there. Here only the newest one stays, as the base of the next run.
 */
#include <string.h>

#include <base/error.h>
#include <base/i18n.h>

#include "program.h"
#include "schedule.h"

/* The other host. */
typedef struct {
    CstConn *conn;
    const char *uri;
    GPtrArray *copies; /* of CstScheduleCopy *: all of the schedule, before this run */
} FarHost;

static gboolean far_open(const ScheduleWork *work, FarHost *far, GError **error)
{
    far->uri = cst_schedule_option(work->schedule, "to");
    far->copies = cst_conn_schedule_copies(work->ctl->conn, work->schedule->name, error);
    far->conn = far->copies ? cst_conn_open(far->uri, NULL, error) : NULL;
    return far->conn != NULL;
}

static void far_clear(FarHost *far)
{
    g_clear_pointer(&far->conn, cst_conn_free);
    if (far->copies)
        g_ptr_array_unref(far->copies);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(FarHost, far_clear)

static const char *far_pool(const ScheduleWork *work, const CstVolRef *vol)
{
    const char *pool = cst_schedule_option(work->schedule, "newpool");

    return pool ? pool : vol->pool;
}

/* Returns the volume at the other host, or NULL: it does not exist, or a failure in @error. */
static CstVolRef *far_vol(const ScheduleWork *work, const FarHost *far, const CstVolRef *vol,
                          GError **error)
{
    g_autoptr(CstPoolRef) pool = cst_conn_pool_by_name(far->conn, far_pool(work, vol), error);
    g_autoptr(GError) why = NULL;
    CstVolRef *found = pool ? cst_conn_vol_by_name(far->conn, pool, vol->name, &why) : NULL;

    if (why && !g_error_matches(why, CST_ERROR, CST_ERROR_NO_VOL))
        g_propagate_error(error, g_steal_pointer(&why));
    return found;
}

/* Whether the schedule had made snapshot @name (NULL: any) of the volume before this run. */
static gboolean has_copy(const FarHost *far, const char *place, const char *pool,
                         const char *volume, const char *name)
{
    for (guint i = 0; i < far->copies->len; i++) {
        const CstScheduleCopy *copy = far->copies->pdata[i];

        if (strcmp(copy->place, place) == 0 && strcmp(copy->pool, pool) == 0 &&
            strcmp(copy->volume, volume) == 0 && (!name || strcmp(copy->name, name) == 0))
            return TRUE;
    }
    return FALSE;
}

/* Returns the newest snapshot that this schedule made here and there, borrowed; NULL: none. */
static const char *common_snapshot(const ScheduleWork *work, const FarHost *far,
                                   const CstVolRef *vol)
{
    for (guint i = 0; i < far->copies->len; i++) {
        const CstScheduleCopy *copy = far->copies->pdata[i];

        if (has_copy(far, "", vol->pool, vol->name, copy->name) &&
            has_copy(far, far->uri, far_pool(work, vol), vol->name, copy->name))
            return copy->name;
    }
    return NULL;
}

/* Makes the snapshot of the copy there, and records it. */
static gboolean far_snapshot(ScheduleWork *work, const FarHost *far, const CstVolRef *vol,
                             const char *name, GError **error)
{
    g_autoptr(CstVolRef) there = far_vol(work, far, vol, error);
    g_autoptr(GPtrArray) snapshots = NULL;
    g_autoptr(GPtrArray) copies =
        g_ptr_array_new_with_free_func((GDestroyNotify)cst_schedule_copy_free);
    CstScheduleCopy *copy = g_new0(CstScheduleCopy, 1);
    const CstSnapshot *snapshot;

    *copy = (CstScheduleCopy){.place = g_strdup(far->uri),
                              .pool = g_strdup(far_pool(work, vol)),
                              .volume = g_strdup(vol->name),
                              .name = g_strdup(name),
                              .time = work->run.planned};
    g_ptr_array_add(copies, copy);
    if (!there || !cst_conn_snapshot_create(far->conn, there, name, 0, NULL, error))
        return FALSE;
    work->run.made++;
    snapshots = cst_conn_snapshot_list(far->conn, there, error);
    if (!snapshots)
        return FALSE;
    snapshot = cst_snapshot_find(snapshots, name);
    copy->created = snapshot ? snapshot->created : 0;
    return cst_conn_schedule_set_copies(work->ctl->conn, work->schedule->name, copies, error);
}

/* Sends the content of the snapshot @name. */
static gboolean vol_send(ScheduleWork *work, const FarHost *far, const CstVolRef *vol,
                         const char *name, GError **error)
{
    static const char *const options[] = {"newpool", "rate-limit", "consistency"};
    g_autoptr(GPtrArray) words = g_ptr_array_new_with_free_func(g_free);
    g_autoptr(GError) why = NULL;
    g_autoptr(CstVolRef) there = far_vol(work, far, vol, &why);
    const char *since = there ? common_snapshot(work, far, vol) : NULL;

    if (why) {
        g_propagate_error(error, g_steal_pointer(&why));
        return FALSE;
    }
    if (there && !has_copy(far, far->uri, there->pool, there->name, NULL))
        return cst_fail(error, CST_ERROR_VOL_EXISTS,
                        _("volume '%s' of pool '%s' on the other host is no copy of this "
                          "schedule; rename or delete it, or choose another pool (--newpool)"),
                        there->name, there->pool);
    schedule_words_add(words, "vol-copy");
    schedule_words_add(words, "%s/%s", vol->pool, vol->name);
    schedule_words_add(words, "--to=%s", far->uri);
    schedule_words_add(words, "--snapshot=%s", name);
    for (guint i = 0; i < G_N_ELEMENTS(options); i++) {
        const char *value = cst_schedule_option(work->schedule, options[i]);

        if (value)
            schedule_words_add(words, "--%s=%s", options[i], value);
    }
    if (since)
        schedule_words_add(words, "--since=%s", since);
    else if (there)
        schedule_words_add(words, "--update");
    if (there)
        schedule_words_add(words, "--yes");
    return schedule_program(work->ctl, words, NULL, NULL, error);
}

/* Removes the snapshot here after its copy failed, so that the former one is the newest again. */
static void vol_drop_snapshot(ScheduleWork *work, const CstVolRef *vol, const char *name)
{
    CstConn *conn = work->ctl->conn;
    g_autoptr(GPtrArray) copies = cst_conn_schedule_copies(conn, work->schedule->name, NULL);
    g_autoptr(GPtrArray) dropped = g_ptr_array_new();

    if (!cst_conn_snapshot_delete(conn, vol, name, NULL, NULL))
        return;
    for (guint i = 0; copies && i < copies->len; i++) {
        const CstScheduleCopy *copy = copies->pdata[i];

        if (!*copy->place && strcmp(copy->pool, vol->pool) == 0 &&
            strcmp(copy->volume, vol->name) == 0 && strcmp(copy->name, name) == 0)
            g_ptr_array_add(dropped, copies->pdata[i]);
    }
    if (dropped->len > 0)
        cst_conn_schedule_forget_copies(conn, dropped, NULL);
}

static gboolean vol_replicate(ScheduleWork *work, const FarHost *far, const CstVolRef *vol,
                              const char *name, GError **error)
{
    if (vol_send(work, far, vol, name, error) &&
        (work->ctl->settings.dry_run || far_snapshot(work, far, vol, name, error)))
        return TRUE;
    if (!work->ctl->settings.dry_run)
        vol_drop_snapshot(work, vol, name);
    return FALSE;
}

/* Each disk of a machine is sent, also after a failure of another one. */
static gboolean group_copy(ScheduleWork *work, const ScheduleGroup *group, const char *name,
                           gpointer data, GError **error)
{
    const FarHost *far = data;
    guint32 made = work->run.made;
    gboolean ok = TRUE;

    if (!schedule_group_snapshot(work, group, name, error))
        return FALSE;
    /* The snapshots there are counted, not these. */
    work->run.made = made;
    for (guint i = 0; i < group->vols->len; i++)
        ok = vol_replicate(work, far, group->vols->pdata[i], name, ok ? error : NULL) && ok;
    work->done += ok;
    return ok;
}

gboolean schedule_run_copy(ScheduleWork *work, GError **error)
{
    g_autoptr(GPtrArray) groups = schedule_select(work, error);
    g_auto(FarHost) far = {0};

    return groups && far_open(work, &far, error) &&
           schedule_each_group(work, groups, group_copy, &far, error);
}

gboolean schedule_prune_copies(ScheduleWork *work, GError **error)
{
    const CstSchedule here = {.keep = {.last = 1}, .keep_min = 1};
    g_auto(FarHost) far = {0};

    return far_open(work, &far, error) &&
           schedule_prune_place(work, far.conn, far.uri, work->schedule, error) &&
           schedule_prune_place(work, work->ctl->conn, "", &here, error);
}
