/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The tables of live snapshots (core/live.h). The backup jobs of libvirt are simulated. */
#include "fixture.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <base/error.h>
#include <hypervisor/backup.h>

#include "await.h"
#include "core/domains.h"
#include "core/live.h"
#include "core/service.h"

/* --- libvirt ---------------------------------------------------------------------------------- */

static struct {
    gint begun, ended;       /* atomic: backup jobs */
    CstLiveSnapshots *leave; /* the connection ends while the job begins; NULL: it stays */
} jobs;

GPtrArray *__wrap_volume_domains(CstPool *pool, CstPoolState *state, const char *name,
                                 CstTask *task, GError **error);
CstHypervisorVolume *__wrap_volumes_identify(const CstSnapshotVolume *volumes, guint count,
                                             GError **error);
CstHypervisorBackup *__wrap_domain_backup_begin(CstService *service, const CstDomainDisk *disk,
                                                const CstHypervisorVolume *volumes, guint count,
                                                const CstLiveRequest *checkpoints, CstTask *task,
                                                CstHypervisorPauseResult *ret_result,
                                                GError **error);
void __wrap_cst_hypervisor_backup_end(CstHypervisorBackup *backup);
char *__wrap_cst_hypervisor_backup_identity(const CstHypervisorBackup *backup, guint volume);
char *__wrap_cst_hypervisor_backup_base_identity(const CstHypervisorBackup *backup, guint volume);

GPtrArray *__wrap_volume_domains(CstPool *pool, CstPoolState *state, const char *name,
                                 CstTask *task, GError **error)
{
    GPtrArray *disks = g_ptr_array_new_with_free_func((GDestroyNotify)cst_domain_disk_free);
    CstDomainDisk *disk = g_new0(CstDomainDisk, 1);

    disk->domain = g_strdup("guest");
    disk->uuid = g_strdup("6695eb01-f6a4-8304-79aa-97f2502e193f");
    disk->target = g_strdup("vda");
    g_ptr_array_add(disks, disk);
    return disks;
}

CstHypervisorVolume *__wrap_volumes_identify(const CstSnapshotVolume *volumes, guint count,
                                             GError **error)
{
    return g_new0(CstHypervisorVolume, count);
}

CstHypervisorBackup *__wrap_domain_backup_begin(CstService *service, const CstDomainDisk *disk,
                                                const CstHypervisorVolume *volumes, guint count,
                                                const CstLiveRequest *checkpoints, CstTask *task,
                                                CstHypervisorPauseResult *ret_result,
                                                GError **error)
{
    g_atomic_int_inc(&jobs.begun);
    ret_result->consistency = CST_CONSISTENCY_CRASH;
    if (jobs.leave)
        cst_live_snapshots_close(jobs.leave);
    return (CstHypervisorBackup *)&jobs;
}

void __wrap_cst_hypervisor_backup_end(CstHypervisorBackup *backup)
{
    if (backup)
        g_atomic_int_inc(&jobs.ended);
}

char *__wrap_cst_hypervisor_backup_identity(const CstHypervisorBackup *backup, guint volume)
{
    return NULL;
}

char *__wrap_cst_hypervisor_backup_base_identity(const CstHypervisorBackup *backup, guint volume)
{
    return NULL;
}

/* --- tests ------------------------------------------------------------------------------------ */

static int set_up(void **state)
{
    jobs.begun = jobs.ended = 0;
    jobs.leave = NULL;
    return fixture_setup(state);
}

static gboolean create(CstLiveSnapshots *live, CstPool *pool, const char *name,
                       CstConsistency minimum, GError **error)
{
    const CstSnapshotVolume volumes[] = {{pool, "a"}, {pool, "b"}};
    const CstLiveRequest request = {.snapshot = {.name = name, .minimum = minimum}};
    g_auto(CstSnapshotSet) set = {0};

    return cst_live_snapshots_create(live, volumes, G_N_ELEMENTS(volumes), &request, NULL, &set,
                                     error);
}

static gboolean is_found(Fixture *f, const char *volume)
{
    guint index;
    g_autoptr(LiveSet) set = live_set_find(f->service, "p", volume, "live/s", &index);

    if (set)
        assert_int_equal(index, volume[0] - 'a');
    return set != NULL;
}

static void assert_ended(Fixture *f)
{
    AWAIT(g_atomic_int_get(&jobs.ended) == 1);
    assert_int_equal(g_atomic_int_get(&jobs.begun), 1);
    assert_int_equal(f->service->live_sets->len, 0);
    assert_false(is_found(f, "a"));
}

static void end_removes_the_snapshots_of_all_volumes(void **state)
{
    Fixture *f = *state;
    g_autoptr(CstPool) pool = fixture_pool(f, "p");
    CstLiveSnapshots *live = cst_live_snapshots_new(f->service);
    g_autoptr(GError) error = NULL;

    assert_true(create(live, pool, "live/s", CST_CONSISTENCY_UNKNOWN, &error));
    assert_true(is_found(f, "a"));
    assert_true(is_found(f, "b"));
    assert_false(is_found(f, "c"));
    assert_false(create(live, pool, "live/s", CST_CONSISTENCY_UNKNOWN, &error));
    assert_error(&error, CST_ERROR_EXISTS);
    assert_true(cst_live_snapshots_end(live, "live/s", &error));
    assert_ended(f);
    assert_false(cst_live_snapshots_end(live, "live/s", &error));
    assert_error(&error, CST_ERROR_NOT_FOUND);
    cst_live_snapshots_free(live);
}

static void snapshots_of_a_connection_end_with_it(void **state)
{
    Fixture *f = *state;
    g_autoptr(CstPool) pool = fixture_pool(f, "p");
    CstLiveSnapshots *live = cst_live_snapshots_new(f->service);
    g_autoptr(GError) error = NULL;

    assert_true(create(live, pool, "live/s", CST_CONSISTENCY_UNKNOWN, &error));
    cst_live_snapshots_close(live);
    assert_ended(f);
    cst_live_snapshots_free(live);
}

/* The call of a reader holds the set until it ends. */
static void job_ends_after_its_last_reader(void **state)
{
    Fixture *f = *state;
    g_autoptr(CstPool) pool = fixture_pool(f, "p");
    CstLiveSnapshots *live = cst_live_snapshots_new(f->service);
    g_autoptr(GError) error = NULL;
    LiveSet *reader;
    guint index;

    assert_true(create(live, pool, "live/s", CST_CONSISTENCY_UNKNOWN, &error));
    reader = live_snapshots_find(live, pool, "b", &index, &error);
    assert_int_equal(index, 1);
    assert_true(cst_live_snapshots_end(live, "live/s", &error));
    assert_false(is_found(f, "a"));
    assert_int_equal(g_atomic_int_get(&jobs.ended), 0);
    live_set_unref(reader);
    assert_ended(f);
    cst_live_snapshots_free(live);
}

static void connection_that_ends_during_the_begin_leaves_no_job(void **state)
{
    Fixture *f = *state;
    g_autoptr(CstPool) pool = fixture_pool(f, "p");
    CstLiveSnapshots *live = jobs.leave = cst_live_snapshots_new(f->service);
    g_autoptr(GError) error = NULL;

    assert_false(create(live, pool, "live/s", CST_CONSISTENCY_UNKNOWN, &error));
    assert_error(&error, CST_ERROR_STATE);
    assert_ended(f);
    cst_live_snapshots_free(live);
}

static void worse_consistency_than_requested_leaves_no_job(void **state)
{
    Fixture *f = *state;
    g_autoptr(CstPool) pool = fixture_pool(f, "p");
    CstLiveSnapshots *live = cst_live_snapshots_new(f->service);
    g_autoptr(GError) error = NULL;

    assert_false(create(live, pool, "live/s", CST_CONSISTENCY_FILESYSTEM, &error));
    assert_error(&error, CST_ERROR_STATE);
    assert_ended(f);
    cst_live_snapshots_free(live);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, fixture_teardown)
    const struct CMUnitTest tests[] = {
        TEST(end_removes_the_snapshots_of_all_volumes),
        TEST(snapshots_of_a_connection_end_with_it),
        TEST(job_ends_after_its_last_reader),
        TEST(connection_that_ends_during_the_begin_leaves_no_job),
        TEST(worse_consistency_than_requested_leaves_no_job),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
