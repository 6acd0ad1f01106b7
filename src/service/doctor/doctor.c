/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The command doctor: pages of checks, and mutes. A page is about the host, a path, or a pool with
 * some of its volumes. It ends after DOCTOR_PAGE_US, and a finding then says where. No check holds
 * a lock or a claim for longer than it reads memory, except for the list of an image's snapshots.
 */
#include <service/doctor.h>

#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <base/dry_run.h>
#include <base/error.h>
#include <base/i18n.h>
#include <base/test_point.h>
#include <service/volumes.h>
#include <store/doctor_mutes.h>

#include "core/scan.h"
#include "core/table.h"
#include "core/threads.h"

#include "access.h"
#include "condition.h"
#include "host.h"
#include "space.h"
#include "thin.h"
#include "volume.h"

#define DOCTOR_FILES 64 /* images that are opened in a page */

/* --- pages ------------------------------------------------------------------------------------ */

/* Sets the pool of the run: its state and a copy of its definition. Consumes @pool. */
static void run_set_pool(DoctorRun *run, CstPool *pool)
{
    run->pool = pool;
    run->state = pool_state_get(pool, NULL);
    run->files_left = DOCTOR_FILES;
    g_mutex_lock(&pool->lock);
    run->def = cst_pool_def_copy(pool->def);
    run->is_persistent = pool->persistent;
    run->has_autostart = pool->autostart;
    run->is_starting = pool->starting;
    run->next_def = cst_pool_def_copy(pool->new_def ? pool->new_def : pool->def);
    run->is_redefined = pool->active && pool->new_def;
    g_mutex_unlock(&pool->lock);
}

/* Returns the index of the first volume after @after, by its name. */
static guint volumes_first_after(const GPtrArray *volumes, const char *after)
{
    guint low = 0, high = volumes->len;

    while (after && low < high) {
        guint middle = low + (high - low) / 2;

        if (strcmp(((const CstVolume *)volumes->pdata[middle])->name, after) <= 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

/* Checks a page of volumes. *ret_next: the last one, if more volumes follow. */
static void volumes_check(DoctorRun *run, const char *after, char **ret_next)
{
    g_autoptr(GPtrArray) volumes = pool_table_sorted(run->pool);
    guint first = volumes_first_after(volumes, after);
    guint end = MIN(volumes->len, first + CST_DOCTOR_PAGE);

    for (guint i = first; i < end; i++) {
        const CstVolume *volume = volumes->pdata[i];

        if (doctor_run_is_over(run)) {
            doctor_report(run, "doctor-incomplete", run->pool->name, NULL,
                          _("the volumes from '%s' on were not checked, because the checks took "
                            "too long"),
                          volume->name);
            return;
        }
        doctor_check_volume(run, volume);
    }
    if (end < volumes->len)
        *ret_next = g_strdup(((const CstVolume *)volumes->pdata[end - 1])->name);
}

/* --- storage ---------------------------------------------------------------------------------- */

/*
 * The checks of a pool's storage. If the storage may hang, they run in a thread of their own, and
 * the caller leaves it behind after DOCTOR_PAGE_US. The thread stays until the kernel releases it,
 * and the service exists as long as the thread (core/threads.h). The monitor of the storage then
 * lets no further thread begin.
 */
typedef struct {
    gint refs;
    DoctorRun *run;
    char *volume; /* NULL: a page of volumes */
    char *after;

    GMutex lock; /* guards the members below */
    GCond cond;
    gboolean ended;
    gboolean abandoned;
    gboolean done;
    char *next;
    GError *why;
} StorageWork;

static void storage_work_unref(StorageWork *work)
{
    if (!g_atomic_int_dec_and_test(&work->refs))
        return;
    g_clear_pointer(&work->run->task, cst_task_unref);
    doctor_run_free(work->run);
    g_free(work->volume);
    g_free(work->after);
    g_free(work->next);
    g_clear_error(&work->why);
    g_mutex_clear(&work->lock);
    g_cond_clear(&work->cond);
    g_free(work);
}

static gboolean storage_check(StorageWork *work)
{
    DoctorRun *run = work->run;
    g_autoptr(CstVolume) volume = NULL;

    if (work->volume) {
        volume = pool_volume_now(run->pool, run->state, work->volume, &work->why);
        if (!volume)
            return FALSE;
        run->is_single = TRUE;
        doctor_check_volume(run, volume);
        return TRUE;
    }
    if (!pool_scan_if_new(run->pool, run->state, &work->why))
        return FALSE;
    /* The first page has the findings about the pool itself. */
    if (!work->after) {
        doctor_check_storage(run);
        doctor_check_space(run);
        doctor_check_thin(run);
    }
    volumes_check(run, work->after, &work->next);
    return TRUE;
}

static gpointer storage_thread(gpointer data)
{
    StorageWork *work = data;
    gboolean done = storage_check(work);

    g_mutex_lock(&work->lock);
    work->done = done;
    work->ended = TRUE;
    g_cond_broadcast(&work->cond);
    g_mutex_unlock(&work->lock);
    storage_work_unref(work);
    return NULL;
}

/* Waits for the thread. Returns FALSE if it is left behind; it then owns the run. */
static gboolean storage_await(StorageWork *work)
{
    gint64 until = work->run->until + DOCTOR_STORAGE_US;

    g_mutex_lock(&work->lock);
    CST_TEST_POINT("doctor.storage.wait");
    while (!work->ended && g_cond_wait_until(&work->cond, &work->lock, until))
        ;
    work->abandoned = !work->ended;
    g_mutex_unlock(&work->lock);
    return !work->abandoned;
}

/* Moves the findings of the work to the caller. A failed scan of the pool is a finding. */
static gboolean storage_finish(StorageWork *work, GPtrArray **ret_findings, char **ret_next,
                               GError **error)
{
    DoctorRun *run = work->run;

    if (!work->done && work->volume) {
        g_propagate_error(error, g_steal_pointer(&work->why));
        return FALSE;
    }
    if (!work->done)
        doctor_report(run, "check-failed", run->pool->name, NULL,
                      _("its volumes cannot be checked: %s"), work->why->message);
    *ret_findings = g_ptr_array_ref(run->findings);
    *ret_next = g_steal_pointer(&work->next);
    return TRUE;
}

/* Consumes @run. */
static gboolean storage_run(DoctorRun *run, const CstDoctorQuery *query, GPtrArray **ret_findings,
                            char **ret_next, GError **error)
{
    StorageWork *work = g_new0(StorageWork, 1);
    gboolean done = TRUE;

    if (run->task)
        cst_task_ref(run->task);
    *work = (StorageWork){
        .refs = 1, .run = run, .volume = g_strdup(query->volume), .after = g_strdup(query->after)};
    g_mutex_init(&work->lock);
    g_cond_init(&work->cond);
    if (!cst_pool_state_may_hang(run->state)) {
        work->done = storage_check(work);
        done = storage_finish(work, ret_findings, ret_next, error);
    } else {
        g_atomic_int_inc(&work->refs);
        if (!service_thread_start(run->service, "doctor", storage_thread, work, &work->why)) {
            storage_work_unref(work);
            done = storage_finish(work, ret_findings, ret_next, error);
        } else if (storage_await(work)) {
            done = storage_finish(work, ret_findings, ret_next, error);
        } else {
            *ret_findings = cst_doctor_findings_new();
            cst_doctor_findings_add(
                *ret_findings, "pool-not-answering", CST_SEVERITY_ERROR, query->pool, NULL,
                g_strdup_printf(_("the storage of pool '%s' did not answer the checks"),
                                query->pool));
        }
    }
    storage_work_unref(work);
    return done;
}

/* Consumes @run. */
static gboolean pool_check(DoctorRun *run, const CstDoctorQuery *query, GPtrArray **ret_findings,
                           char **ret_next, GError **error)
{
    CstPool *pool = cst_service_pool_by_name(run->service, query->pool, error);
    gboolean usable;

    if (!pool) {
        doctor_run_free(run);
        return FALSE;
    }
    run_set_pool(run, pool);
    usable = doctor_check_condition(run);
    if (query->volume && !run->state) {
        pool_not_active(run->pool, error);
        doctor_run_free(run);
        return FALSE;
    }
    /* The first page has the findings about the pool itself. */
    if (query->after)
        g_ptr_array_set_size(run->findings, 0);
    if (usable)
        return storage_run(run, query, ret_findings, ret_next, error);
    *ret_findings = g_ptr_array_ref(run->findings);
    doctor_run_free(run);
    return TRUE;
}

/* Checks the access to a file that is no volume. */
static gboolean path_check(DoctorRun *run, const char *path, GError **error)
{
    struct stat st;
    uid_t uid;
    pid_t pid;

    /* The answer shows a file that only this process may be able to see. */
    cst_task_owner(run->task, &uid, &pid);
    if (uid != geteuid())
        return cst_fail(error, CST_ERROR_DENIED,
                        _("'%s' is in no active pool, so only user %u may have it checked"), path,
                        (unsigned)geteuid());
    if (!cst_mounts_is_local(run->mounts, path))
        return cst_fail(error, CST_ERROR_UNSUPPORTED,
                        _("'%s' is on a network file system and in no active pool; define a pool "
                          "for it first"),
                        path);
    if (stat(path, &st) < 0)
        return cst_fail_errno(error, errno, _("cannot check '%s'"), path);
    doctor_check_access(run, path, path, DOCTOR_DISK);
    return TRUE;
}

GPtrArray *cst_service_doctor(CstService *service, const CstDoctorQuery *query, CstTask *task,
                              char **ret_next, GError **error)
{
    g_autoptr(CstPool) pool = NULL;
    g_autofree char *name = NULL;
    CstDoctorQuery volume = *query;
    GPtrArray *findings = NULL;
    DoctorRun *run;

    *ret_next = NULL;
    if (query->path && !g_path_is_absolute(query->path)) {
        cst_fail(error, CST_ERROR_INVALID, _("'%s' is no absolute path"), query->path);
        return NULL;
    }
    /* A path of an active pool is that of a volume. */
    if (query->path && cst_service_volume_by_path(service, query->path, &pool, &name, NULL)) {
        volume = (CstDoctorQuery){.pool = cst_pool_name(pool), .volume = name};
        query = &volume;
    }
    run = doctor_run_new(service, task);
    if (query->pool)
        return pool_check(run, query, &findings, ret_next, error) ? findings : NULL;
    if (!query->path)
        doctor_check_host(run);
    if (!query->path || path_check(run, query->path, error))
        findings = g_ptr_array_ref(run->findings);
    doctor_run_free(run);
    return findings;
}

/* --- mutes ------------------------------------------------------------------------------------ */

static int64_t seconds_now(void)
{
    return g_get_real_time() / G_USEC_PER_SEC;
}

GPtrArray *cst_service_doctor_mutes(CstService *service, GError **error)
{
    return cst_doctor_mutes_list(service->paths, seconds_now(), error);
}

gboolean cst_service_doctor_mute(CstService *service, const CstDoctorMute *mute, GError **error)
{
    if (mute->until == 0)
        return cst_may_change(error) &&
               cst_doctor_mutes_remove(service->paths, mute->id, mute->object, error);
    return cst_doctor_mute_check(mute, seconds_now(), error) && cst_may_change(error) &&
           cst_doctor_mutes_set(service->paths, mute, seconds_now(), error);
}
