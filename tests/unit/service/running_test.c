/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Growth of a device that a running domain has as a disk. The volumes of the example backend are
 * devices here, and the domain is part of the test.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include <base/dry_run.h>
#include <base/error.h>
#include <pool/memory.h>
#include <pool/registry.h>

#include "core/domains.h"
#include "fixture.h"
#include "points.h"

#define SMALL 65536
#define LARGE 131072

/* --- volumes that are devices ----------------------------------------------------------------- */

static CstBackend backend;

const CstBackend *cst_backend_for(CstPoolType type, GError **error)
{
    return &backend;
}

gboolean cst_backend_exists(CstPoolType type)
{
    return type == backend.type;
}

static void device_sink(CstVolume *volume, gpointer data)
{
    const CstScan *scan = data;

    volume->type = CST_VOL_BLOCK;
    scan->sink(volume, scan->data);
}

static CstVolume *device_known(const char *name, gpointer data)
{
    const CstScan *scan = data;

    return scan->known(name, scan->data);
}

static gboolean device_scan(CstPoolState *state, const CstScan *scan, CstTask *task, GError **error)
{
    const CstScan devices = {.known = device_known, .sink = device_sink, .data = (gpointer)scan};

    return cst_memory_backend.scan(state, &devices, task, error);
}

static gboolean device_scan_one(CstPoolState *state, const char *name, CstVolume *known,
                                CstVolume **ret_volume, GError **error)
{
    gboolean ok = cst_memory_backend.scan_one(state, name, known, ret_volume, error);

    if (*ret_volume)
        (*ret_volume)->type = CST_VOL_BLOCK;
    return ok;
}

/* --- the domain ------------------------------------------------------------------------------- */

static Fixture *fixture;
static CstPool *pool;
static uint64_t guest;                 /* bytes of its disk */
static CstDiskFitness first, second;   /* of the check, and of the change */
static const CstErrorCode *fails_with; /* error of the change after its work; NULL: success */
static guint changes;
static gboolean grows_meanwhile; /* another program grows the device during the check */
static guint disk_level;
static gboolean disk_shareable;
static CstDomainState disk_state;
static guint disks_by_name; /* further disks of the domain, each with the names of the volume */

gboolean __wrap_volume_not_saved(const VolumeClaim *claim, GPtrArray **ret_running, GError **error);
gboolean __wrap_volume_domain_resize(const VolumeClaim *claim, const CstDomainDisk *found,
                                     CstHypervisorDisk *disk, CstDiskFitness *ret_fitness,
                                     uint64_t *ret_capacity, gboolean *ret_sent, GError **error);

gboolean __wrap_volume_not_saved(const VolumeClaim *claim, GPtrArray **ret_running, GError **error)
{
    CstDomainDisk *disk = g_new0(CstDomainDisk, 1);

    disk->domain = g_strdup("web1");
    disk->target = g_strdup("vda");
    disk->level = disk_level;
    disk->shareable = disk_shareable;
    disk->state = disk_state;
    *ret_running = g_ptr_array_new_with_free_func((GDestroyNotify)cst_domain_disk_free);
    g_ptr_array_add(*ret_running, disk);
    for (guint i = 0; i < disks_by_name; i++) {
        disk = g_new0(CstDomainDisk, 1);
        disk->domain = g_strdup("web2");
        disk->target = g_strdup("vdb");
        disk->by_name = disk->shareable = TRUE;
        g_ptr_array_add(*ret_running, disk);
    }
    return TRUE;
}

/* Bytes of the device, which the backend reports. */
static uint64_t device_bytes(void)
{
    CstVolInfo info;

    assert_true(cst_vol_get_info(pool, "v", &info, NULL));
    return info.capacity;
}

gboolean __wrap_volume_domain_resize(const VolumeClaim *claim, const CstDomainDisk *found,
                                     CstHypervisorDisk *disk, CstDiskFitness *ret_fitness,
                                     uint64_t *ret_capacity, gboolean *ret_sent, GError **error)
{
    assert_string_equal(disk->format, "raw");
    *ret_fitness = disk->change ? second : first;
    if (disk->change && second == CST_DISK_FIT) {
        changes++;
        guest = disk->bytes;
    }
    if (!disk->change && grows_meanwhile)
        assert_true(cst_pool_state_vol_resize(claim->state, "v", 2 * LARGE, NULL, NULL));
    *ret_capacity = guest;
    *ret_sent = disk->change && second == CST_DISK_FIT;
    return !disk->change || !fails_with || cst_fail(error, *fails_with, "no answer");
}

/* --- the tests -------------------------------------------------------------------------------- */

/* Makes the device "v", and a domain that has it as its disk. */
static int set_up(void **state)
{
    g_autoptr(GError) error = NULL;
    g_autofree char *xml =
        g_strdup_printf("<volume><name>v</name><capacity>%d</capacity></volume>", SMALL);

    backend = cst_memory_backend;
    backend.scan = device_scan;
    backend.scan_one = device_scan_one;
    guest = SMALL;
    first = second = CST_DISK_FIT;
    fails_with = NULL;
    changes = disks_by_name = disk_level = 0;
    disk_shareable = grows_meanwhile = FALSE;
    disk_state = CST_DOMAIN_RUNNING;
    assert_int_equal(fixture_setup(state), 0);
    fixture = *state;
    pool = cst_service_pool_define(fixture->service,
                                   "<pool type='rbd'><name>p</name><source>"
                                   "<host name='localhost'/><name>p</name></source></pool>",
                                   0, &error);
    assert_no_error(error);
    assert_true(cst_pool_build(pool, 0, NULL, NULL));
    assert_true(cst_pool_start(pool, 0, NULL, NULL));
    fixture_create_xml(pool, xml);
    return 0;
}

static int tear_down(void **state)
{
    g_clear_pointer(&pool, cst_pool_unref);
    fixture_teardown(state);
    cst_memory_release();
    cst_memory_clear();
    return 0;
}

static gboolean grow(GError **error)
{
    return cst_vol_resize(pool, "v", LARGE, 0, NULL, error);
}

static void guest_is_small(gpointer unused)
{
    assert_int_equal(guest, SMALL);
}

static void device_grows_before_the_disk(void **unused)
{
    g_autoptr(GError) error = NULL;

    point_run("volume.grow.device", guest_is_small, NULL);
    grow(&error);
    assert_no_error(error);
    points_clear();
    assert_int_equal(device_bytes(), LARGE);
    assert_int_equal(guest, LARGE);
}

static void unfit_disk_leaves_the_device_as_it_is(void **unused)
{
    static const CstDiskFitness unfit[] = {CST_DISK_STOPPED, CST_DISK_DOMAIN_HAS_JOB,
                                           CST_DISK_HAS_BLOCK_JOB, CST_DISK_SHAREABLE,
                                           CST_DISK_LARGER};

    for (guint i = 0; i < G_N_ELEMENTS(unfit); i++) {
        g_autoptr(GError) error = NULL;

        first = unfit[i];
        assert_false(grow(&error));
        assert_non_null(
            strstr(error->message, "cannot change volume 'v', which domain 'web1' has"));
        assert_error(&error, CST_ERROR_BUSY);
        assert_int_equal(device_bytes(), SMALL);
    }
    assert_int_equal(changes, 0);
}

static void device_that_is_no_disk_any_more_grows_alone(void **unused)
{
    static const CstDiskFitness gone[] = {CST_DISK_GONE, CST_DISK_INACTIVE};

    for (guint i = 0; i < G_N_ELEMENTS(gone); i++) {
        g_autoptr(GError) error = NULL;

        first = gone[i];
        cst_vol_resize(pool, "v", LARGE + i * SMALL, 0, NULL, &error);
        assert_no_error(error);
        assert_int_equal(device_bytes(), LARGE + i * SMALL);
    }
    assert_int_equal(changes, 0);
}

static void disks_with_the_same_names_do_not_forbid_the_growth(void **unused)
{
    g_autoptr(GError) error = NULL;

    disks_by_name = 2;
    grow(&error);
    assert_no_error(error);
    assert_int_equal(guest, LARGE);
}

static void device_with_another_size_than_its_disk_grows_alone(void **unused)
{
    static const CstDiskFitness alone[] = {CST_DISK_OTHER_FORMAT, CST_DISK_ABOVE_VOLUME,
                                           CST_DISK_NO_SIZE};

    for (guint i = 0; i < G_N_ELEMENTS(alone); i++) {
        g_autoptr(GError) error = NULL;

        first = alone[i];
        cst_vol_resize(pool, "v", LARGE + i * SMALL, 0, NULL, &error);
        assert_no_error(error);
        assert_int_equal(device_bytes(), LARGE + i * SMALL);
    }
    assert_int_equal(changes, 0);
}

/* The format of the disk decides, which only the second question reads. */
static void device_that_is_no_plain_disk_grows_alone(void **unused)
{
    for (guint i = 0; i < 3; i++) {
        g_autoptr(GError) error = NULL;

        first = CST_DISK_OTHER_FORMAT;
        disk_level = i == 0;
        disk_shareable = i == 1;
        disk_state = i == 2 ? CST_DOMAIN_IO_ERROR : CST_DOMAIN_RUNNING;
        cst_vol_resize(pool, "v", LARGE + i * SMALL, 0, NULL, &error);
        assert_no_error(error);
        assert_int_equal(device_bytes(), LARGE + i * SMALL);
    }
    assert_int_equal(changes, 0);
}

/* The domain that stopped starts with the new size. */
static void domain_that_stops_during_the_growth_is_no_failure(void **unused)
{
    g_autoptr(GError) error = NULL;

    second = CST_DISK_INACTIVE;
    grow(&error);
    assert_no_error(error);
    assert_int_equal(device_bytes(), LARGE);
}

/* As after a kill between the growth of the device and that of the disk. */
static void repetition_tells_the_guest_the_size_of_the_device(void **unused)
{
    static const CstErrorCode timeout = CST_ERROR_TIMEOUT;
    g_autoptr(GError) error = NULL;

    fails_with = &timeout;
    assert_false(grow(&error));
    assert_non_null(strstr(error->message, "volume 'v' has its new capacity, but the guest may not "
                                           "see it; run vol-resize 'v' 131072B --pool 'p': "));
    assert_error(&error, CST_ERROR_TIMEOUT);
    assert_int_equal(device_bytes(), LARGE);
    fails_with = NULL;
    guest = SMALL;
    grow(&error);
    assert_no_error(error);
    assert_int_equal(guest, LARGE);
    assert_int_equal(changes, 2);
    grow(&error);
    assert_no_error(error);
    assert_int_equal(changes, 2);
}

/* The requested size, which was larger at first, would shrink it. */
static void device_that_grows_during_the_check_is_not_changed(void **unused)
{
    g_autoptr(GError) error = NULL;

    grows_meanwhile = TRUE;
    assert_false(grow(&error));
    assert_non_null(strstr(error->message, "changed the capacity of volume 'v' to 262144 bytes"));
    assert_error(&error, CST_ERROR_BUSY);
    assert_int_equal(device_bytes(), 2 * LARGE);
    assert_int_equal(changes, 0);
}

static void job_that_begins_during_the_growth_asks_for_a_repetition(void **unused)
{
    g_autoptr(GError) error = NULL;

    second = CST_DISK_DOMAIN_HAS_JOB;
    assert_false(grow(&error));
    assert_non_null(strstr(error->message, "run vol-resize 'v' 131072B --pool 'p': "));
    assert_error(&error, CST_ERROR_BUSY);
}

/* The domain runs, so that its guest has the old size until the next start. */
static void device_that_is_replaced_during_the_growth_is_a_failure(void **unused)
{
    g_autoptr(GError) error = NULL;

    second = CST_DISK_GONE;
    assert_false(grow(&error));
    assert_non_null(strstr(error->message, "volume 'v' has its new capacity, but the guest may not "
                                           "see it; run vol-resize 'v' 131072B --pool 'p': "));
    assert_non_null(strstr(error->message, "the domain has another volume as this disk"));
    assert_error(&error, CST_ERROR_BUSY);
}

static void dry_run_makes_the_checks_and_leaves_the_size(void **unused)
{
    g_autoptr(GError) error = NULL;

    cst_dry_run_set(TRUE);
    assert_false(grow(&error));
    assert_error(&error, CST_ERROR_DRY_RUN);
    first = CST_DISK_DOMAIN_HAS_JOB;
    assert_false(grow(&error));
    assert_error(&error, CST_ERROR_BUSY);
    cst_dry_run_set(FALSE);
    assert_int_equal(device_bytes(), SMALL);
    assert_int_equal(changes, 0);
}

int main(void)
{
#define CASE(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        CASE(device_grows_before_the_disk),
        CASE(unfit_disk_leaves_the_device_as_it_is),
        CASE(device_that_is_no_disk_any_more_grows_alone),
        CASE(disks_with_the_same_names_do_not_forbid_the_growth),
        CASE(device_with_another_size_than_its_disk_grows_alone),
        CASE(device_that_is_no_plain_disk_grows_alone),
        CASE(domain_that_stops_during_the_growth_is_no_failure),
        CASE(repetition_tells_the_guest_the_size_of_the_device),
        CASE(device_that_grows_during_the_check_is_not_changed),
        CASE(job_that_begins_during_the_growth_asks_for_a_repetition),
        CASE(device_that_is_replaced_during_the_growth_is_a_failure),
        CASE(dry_run_makes_the_checks_and_leaves_the_size),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
