/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Information from a pool's backend that the service passes on: its health, failing storage, the
 * losses of a revert. Also information that the backend does not have: that a volume contains an
 * image.
 */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include <base/error.h>
#include <image/image.h>
#include <pool/memory.h>
#include <pool/registry.h>
#include <service/images.h>
#include <service/snapshots.h>
#include <service/trust.h>

#include "await.h"
#include "fixture.h"

/* --- storage that reports --------------------------------------------------------------------- */

static CstBackend backend;
static CstSnapshotBackend snapshots;
static gint level;        /* atomic: CstHealthLevel; UNKNOWN: the query fails */
static gint fails;        /* atomic: the storage fails */
static const char *lost;  /* names of the snapshots that a revert removes */
static gint with_details; /* atomic: number of queries for these names */

/* Pools of files use the product's backend. */
extern const CstBackend cst_dir_backend;

const CstBackend *cst_backend_for(CstPoolType type, GError **error)
{
    return type == CST_POOL_DIR ? &cst_dir_backend : &backend;
}

gboolean cst_backend_exists(CstPoolType type)
{
    return type == backend.type || type == CST_POOL_DIR;
}

static gboolean fake_health(CstPoolState *state, gboolean details, CstPoolHealth *ret_health,
                            GError **error)
{
    g_atomic_int_add(&with_details, details);
    ret_health->level = (CstHealthLevel)g_atomic_int_get(&level);
    if (ret_health->level == CST_HEALTH_UNKNOWN)
        return cst_fail(error, CST_ERROR_IO, "the storage does not answer");
    ret_health->state = g_strdup("IN SOME WAY");
    if (details)
        cst_pool_health_note(ret_health, "a note");
    return TRUE;
}

static gboolean fake_touch(const CstPoolDef *def, GError **error)
{
    return !g_atomic_int_get(&fails) || cst_fail_errno(error, EIO, "the disk fails");
}

static gboolean fake_loses(CstPoolState *state, const char *volume, const char *name,
                           GPtrArray *names, GError **error)
{
    g_auto(GStrv) words = g_strsplit(lost, " ", -1);

    for (char **word = words; *word; word++)
        g_ptr_array_add(names, g_strdup(*word));
    return TRUE;
}

static CstPool *start_pool(Fixture *f)
{
    g_autoptr(GError) error = NULL;
    CstPool *pool = cst_service_pool_create(
        f->service,
        "<pool type='rbd'><name>p</name><source><host name='localhost'/><name>s</name></source>"
        "</pool>",
        CST_POOL_CREATE_WITH_BUILD, NULL, &error);

    assert_no_error(error);
    return pool;
}

static CstPoolRunState state_of(CstPool *pool)
{
    CstPoolInfo info;

    cst_pool_get_info(pool, &info);
    return info.state;
}

static void await_state(CstPool *pool, CstPoolRunState state)
{
    AWAIT(state_of(pool) == state);
}

/* --- health ----------------------------------------------------------------------------------- */

static void a_pools_state_follows_its_health(void **state)
{
    g_autoptr(CstPool) pool = start_pool(*state);
    gint asked = g_atomic_int_get(&with_details);

    assert_int_equal(state_of(pool), CST_POOL_RUNNING);
    g_atomic_int_set(&level, CST_HEALTH_DEGRADED);
    await_state(pool, CST_POOL_DEGRADED);
    g_atomic_int_set(&level, CST_HEALTH_FAILED);
    await_state(pool, CST_POOL_INACCESSIBLE);
    g_atomic_int_set(&level, CST_HEALTH_GOOD);
    await_state(pool, CST_POOL_RUNNING);
    assert_int_equal(g_atomic_int_get(&with_details), asked);
}

static void health_is_asked_for_with_its_notes(void **state)
{
    g_autoptr(CstPool) pool = start_pool(*state);
    g_auto(CstPoolHealth) health = {0}, stopped = {0};
    g_autoptr(GError) error = NULL;

    g_atomic_int_set(&level, CST_HEALTH_DEGRADED);
    assert_true(cst_pool_get_health(pool, &health, NULL));
    assert_int_equal(health.level, CST_HEALTH_DEGRADED);
    assert_string_equal(health.state, "IN SOME WAY");
    assert_string_equal(g_ptr_array_index(health.notes, 0), "a note");
    g_atomic_int_set(&level, CST_HEALTH_UNKNOWN);
    assert_false(cst_pool_get_health(pool, &stopped, &error));
    assert_error(&error, CST_ERROR_IO);
    assert_true(cst_pool_stop(pool, NULL, NULL));
    assert_true(cst_pool_get_health(pool, &stopped, NULL));
    assert_int_equal(stopped.level, CST_HEALTH_UNKNOWN);
}

/* --- storage that fails ----------------------------------------------------------------------- */

static void assert_problem(CstPool *pool, const char *expected)
{
    g_autofree char *problem = cst_pool_get_problem(pool);

    assert_true(expected ? problem && strstr(problem, expected) : !problem);
}

/*
 * No client calls the pool. Cached volumes may still be listed, which does not mean that the
 * storage works.
 */
static void storage_that_fails_is_a_problem_until_it_works(void **state)
{
    g_autoptr(CstPool) pool = NULL;

    backend.touch = fake_touch;
    pool = start_pool(*state);
    assert_problem(pool, NULL);
    g_atomic_int_set(&fails, TRUE);
    await_state(pool, CST_POOL_INACCESSIBLE);
    assert_problem(pool, "the disk fails");
    assert_true(cst_pool_refresh(pool, 0, NULL, NULL));
    assert_int_equal(state_of(pool), CST_POOL_INACCESSIBLE);
    assert_problem(pool, "the disk fails");
    g_atomic_int_set(&fails, FALSE);
    await_state(pool, CST_POOL_RUNNING);
    assert_problem(pool, NULL);
}

/* --- changes that are reported without a name ------------------------------------------------- */

/* A clock controlled by the test; atomic. */
static gint64 stopped_at;
static gint is_stopped, steps;

gint64 __real_g_get_monotonic_time(void);
gint64 __wrap_g_get_monotonic_time(void);

gint64 __wrap_g_get_monotonic_time(void)
{
    if (!g_atomic_int_get(&is_stopped))
        return __real_g_get_monotonic_time();
    return stopped_at + g_atomic_int_get(&steps) * 10 * G_TIME_SPAN_MILLISECOND;
}

static void clock_stop(void)
{
    stopped_at = __real_g_get_monotonic_time();
    g_atomic_int_set(&is_stopped, TRUE);
}

static void clock_step(void)
{
    g_atomic_int_inc(&steps);
}

static void clock_go_on(void)
{
    g_atomic_int_set(&is_stopped, FALSE);
}

static int reports[2]; /* a pipe: one byte per report */
static gint reported;  /* atomic: bytes that were read */
static gint scans;     /* atomic */
static gint covered;   /* atomic: bytes that were read before the last scan */

static int watch_pipe(CstPoolState *state, GError **error)
{
    return dup(reports[0]);
}

static void read_nameless(CstPoolState *state, int fd,
                          void (*changed)(const char *name, gpointer data), gpointer data)
{
    char bytes[64];
    ssize_t count = read(fd, bytes, sizeof(bytes));

    if (count <= 0)
        return;
    changed(NULL, data);
    g_atomic_int_add(&reported, (gint)count);
}

static gboolean scan_counted(CstPoolState *state, const CstScan *scan, CstTask *task,
                             GError **error)
{
    g_atomic_int_set(&covered, g_atomic_int_get(&reported));
    g_atomic_int_inc(&scans);
    return cst_memory_backend.scan(state, scan, task, error);
}

/*
 * Changes of this process are reported with every change, and a scan for each would slow down the
 * next.
 */
static void a_scan_of_all_waits_for_the_end_of_a_burst(void **state)
{
    g_autoptr(CstPool) pool = NULL;

    assert_int_equal(pipe2(reports, O_NONBLOCK | O_CLOEXEC), 0);
    backend.watch_open = watch_pipe;
    backend.watch_read = read_nameless;
    backend.scan = scan_counted;
    pool = start_pool(*state);
    g_atomic_int_set(&scans, 0);
    clock_stop();
    assert_int_equal(write(reports[1], "x", 1), 1);
    AWAIT((clock_step(), g_atomic_int_get(&reported) == 1));
    assert_int_equal(write(reports[1], "xxxxxxx", 7), 7);
    AWAIT((clock_step(), g_atomic_int_get(&scans) > 0));
    assert_int_equal(g_atomic_int_get(&scans), 1);
    assert_int_equal(g_atomic_int_get(&covered), 8);
    assert_true(cst_pool_stop(pool, NULL, NULL));
    clock_go_on();
    close(reports[0]);
    close(reports[1]);
}

/* --- reverts ---------------------------------------------------------------------------------- */

static void revert_removes_only_the_snapshots_that_were_agreed_to(void **state)
{
    static const char *const some[] = {"two", NULL}, *const all[] = {"three", "two", NULL};
    g_autoptr(CstPool) pool = start_pool(*state);
    g_autoptr(GPtrArray) names = NULL;
    g_autoptr(GError) error = NULL;
    g_autofree char *made = NULL;

    assert_true(cst_vol_create(pool,
                               "<volume><name>v</name><capacity unit='MiB'>1</capacity></volume>",
                               0, NULL, &made, NULL));
    assert_true(cst_vol_snapshot_create(pool, "v", "one", 0, NULL, NULL));
    lost = "two three";
    names = cst_vol_snapshot_revert_loses(pool, "v", "one", NULL, NULL);
    assert_int_equal(names->len, 2);
    assert_string_equal(g_ptr_array_index(names, 1), "three");
    assert_false(cst_vol_snapshot_revert(pool, "v", "one", NULL, NULL, &error));
    assert_non_null(strstr(error->message, "'two', 'three'"));
    assert_error(&error, CST_ERROR_BUSY);
    assert_false(cst_vol_snapshot_revert(pool, "v", "one", some, NULL, &error));
    assert_null(strstr(error->message, "'two'"));
    assert_non_null(strstr(error->message, "'three'"));
    assert_error(&error, CST_ERROR_BUSY);
    assert_true(cst_vol_snapshot_revert(pool, "v", "one", all, NULL, NULL));
    lost = "";
    g_ptr_array_unref(names);
    names = cst_vol_snapshot_revert_loses(pool, "v", "one", NULL, NULL);
    assert_int_equal(names->len, 0);
}

/* --- images on devices ------------------------------------------------------------------------ */

static CstPoolState *opened; /* the state that was opened last */

static CstPoolState *open_noted(const CstPoolDef *def, GError **error)
{
    return opened = cst_memory_backend.open(def, error);
}

/* A volume cannot be distinguished from an earlier one with its name, as in RBD. */
static gboolean scan_nameless(CstPoolState *state, const char *name, CstVolume *known,
                              CstVolume **ret_volume, GError **error)
{
    if (!cst_memory_backend.scan_one(state, name, NULL, ret_volume, error))
        return FALSE;
    if (*ret_volume)
        (*ret_volume)->stamp.inode = 0;
    return TRUE;
}

static void create_volume(CstPool *pool)
{
    g_autoptr(GError) error = NULL;
    g_autofree char *made = NULL;

    cst_vol_create(pool, "<volume><name>v</name><capacity unit='MiB'>8</capacity></volume>", 0,
                   NULL, &made, &error);
    assert_no_error(error);
}

/* Writes an image, as a guest could do on its disk. */
static void write_image(void)
{
    const CstImageCreate how = {.capacity = 1 << 20, .file_name = "v"};
    g_autoptr(GError) error = NULL;
    g_autoptr(CstBlob) blob = cst_memory_backend.vol_open(opened, "v", TRUE, &error);

    assert_true(blob &&
                cst_image_create(blob, cst_image_format_find("qcow2", NULL), &how, NULL, &error));
}

static gboolean declare(CstPool *pool, const CstVolDeclare *how, GError **error)
{
    return cst_vol_declare(pool, "v", how, NULL, error);
}

/* Checks the format in use. @format NULL: raw, which cannot be checked. */
static void assert_checked_as(CstPool *pool, const char *format)
{
    g_autoptr(GError) error = NULL;
    CstCheckReport report = {0};

    if (cst_vol_check(pool, "v", 0, NULL, &report, &error)) {
        cst_findings_free(report.findings);
        assert_non_null(format);
        assert_string_equal(report.format, format);
        return;
    }
    assert_null(format);
    assert_error(&error, CST_ERROR_UNSUPPORTED);
}

static void a_device_is_the_image_that_is_declared(void **state)
{
    const CstVolDeclare qcow2 = {.format = "qcow2"}, vdi = {.format = "vdi"},
                        nothing = {.flags = CST_VOL_DECLARE_NOTHING}, content = {0},
                        based = {.format = "qcow2", .backing = "/dev/null"};
    Fixture *f = *state;
    g_autoptr(CstPool) pool = NULL;
    g_autoptr(GError) error = NULL;
    CstVolInfo info;

    backend.open = open_noted;
    pool = start_pool(f);
    create_volume(pool);
    assert_false(declare(pool, &qcow2, &error));
    assert_error(&error, CST_ERROR_INVALID);
    write_image();
    assert_checked_as(pool, NULL);
    assert_false(declare(pool, &content, &error));
    assert_error(&error, CST_ERROR_INVALID);
    assert_false(declare(pool, &vdi, &error));
    assert_error(&error, CST_ERROR_INVALID);
    assert_false(declare(pool, &based, &error));
    assert_error(&error, CST_ERROR_UNSUPPORTED);
    assert_checked_as(pool, NULL);
    assert_true(declare(pool, &qcow2, NULL));
    assert_checked_as(pool, "qcow2");
    /* The size of the volume itself is unchanged. */
    assert_true(cst_vol_get_info(pool, "v", &info, NULL));
    assert_int_equal(info.capacity, 8 << 20);
    assert_true(declare(pool, &nothing, NULL));
    assert_checked_as(pool, NULL);
}

static char *devices; /* directory of their nodes; the nodes are empty */

static char *device_path(CstPoolState *state, const char *name)
{
    return g_build_filename(devices, name, NULL);
}

static char *name_of_device(CstPoolState *state, const char *path)
{
    return g_str_has_prefix(path, devices) ? g_path_get_basename(path) : NULL;
}

static gboolean create_overlay(CstPool *files, const char *format, GError **error)
{
    g_autofree char *device = device_path(NULL, "v");
    g_autofree char *xml =
        g_strdup_printf("<volume><name>over</name><target><format type='qcow2'/></target>"
                        "<backingStore><path>%s</path><format type='%s'/></backingStore></volume>",
                        device, format);
    g_autofree char *made = NULL;

    return cst_vol_create(files, xml, 0, NULL, &made, error);
}

static guint problems_of(CstPool *files)
{
    g_autoptr(GPtrArray) problems = cst_vol_problems(files, "over", NULL);

    return problems->len;
}

static void overlays_in_files_use_the_declaration_of_their_base(void **state)
{
    const CstVolDeclare qcow2 = {.format = "qcow2"}, nothing = {.flags = CST_VOL_DECLARE_NOTHING};
    Fixture *f = *state;
    g_autofree char *node = NULL;
    CstVolRebase off = {0}, on = {0};
    g_autoptr(CstPool) pool = NULL, files = NULL;
    g_autoptr(GError) error = NULL;
    g_autoptr(CstVolMap) map = NULL;
    CstVolInfo info;

    backend.open = open_noted;
    backend.vol_path = device_path;
    backend.vol_resolve = name_of_device;
    devices = g_build_filename(f->images, "devices", NULL);
    on.backing = node = device_path(NULL, "v");
    assert_int_equal(g_mkdir_with_parents(devices, 0700), 0);
    assert_true(g_file_set_contents(node, "", 0, NULL));
    pool = start_pool(f);
    files = fixture_pool(f, "files");
    create_volume(pool);
    write_image();
    assert_false(create_overlay(files, "qcow2", &error));
    assert_error(&error, CST_ERROR_CONFIG);
    assert_true(declare(pool, &qcow2, NULL));
    assert_false(create_overlay(files, "raw", &error));
    assert_error(&error, CST_ERROR_CONFIG);
    create_overlay(files, "qcow2", &error);
    assert_no_error(error);
    /* It has the size of the image, and shows the image's content. */
    assert_true(cst_vol_get_info(files, "over", &info, NULL));
    assert_int_equal(info.capacity, 1 << 20);
    assert_int_equal(problems_of(files), 0);
    map = cst_vol_map(files, "over", 0, 0, NULL, &error);
    assert_no_error(error);
    assert_int_equal(map->files->len, 2);
    /* A rebase uses the declared format. */
    assert_true(cst_vol_rebase(files, "over", &off, NULL, &error));
    assert_true(cst_vol_rebase(files, "over", &on, NULL, &error));
    assert_int_equal(problems_of(files), 0);
    assert_true(declare(pool, &nothing, NULL));
    assert_int_equal(problems_of(files), 1);
    g_free(devices);
}

/* Covers a volume deleted by this program, and one deleted by another program. */
static void new_device_does_not_inherit_the_record_of_an_earlier_one(void **state)
{
    const CstVolDeclare qcow2 = {.format = "qcow2"};
    CstVolDef theirs = {.name = (char *)"v", .capacity = 8 << 20};
    g_autoptr(CstPool) pool = NULL;

    backend.open = open_noted;
    backend.scan_one = scan_nameless;
    pool = start_pool(*state);
    for (guint ours = 0; ours < 2; ours++) {
        create_volume(pool);
        write_image();
        assert_checked_as(pool, NULL);
        assert_true(declare(pool, &qcow2, NULL));
        assert_checked_as(pool, "qcow2");
        if (ours)
            assert_true(cst_vol_delete(pool, "v", 0, NULL, NULL));
        else
            assert_true(cst_memory_backend.vol_delete(opened, "v", 0, NULL));
    }
    assert_true(cst_memory_backend.vol_make(opened, &theirs, NULL));
    write_image();
    assert_checked_as(pool, NULL);
}

/* --- devices that udev opens ------------------------------------------------------------------ */

static gint looks; /* atomic: number of further checks that find the volume in use */
static gboolean passing;

static gboolean held_for_a_while(CstPoolState *state, const char *name, GPtrArray *holders,
                                 GError **error)
{
    if (g_atomic_int_add(&looks, -1) > 0)
        cst_holders_add(holders, getpid(), "somebody")->passing = passing;
    return TRUE;
}

static void only_short_lived_holders_are_waited_for(void **state)
{
    g_autoptr(CstPool) pool = NULL;
    g_autoptr(GError) error = NULL;

    backend.vol_holders = held_for_a_while;
    pool = start_pool(*state);
    create_volume(pool);
    g_atomic_int_set(&looks, 3);
    assert_false(cst_vol_delete(pool, "v", 0, NULL, &error));
    assert_error(&error, CST_ERROR_BUSY);
    assert_int_equal(g_atomic_int_get(&looks), 2);
    passing = TRUE;
    assert_true(cst_vol_delete(pool, "v", 0, NULL, NULL));
    passing = FALSE;
    assert_int_equal(g_atomic_int_get(&looks), -1);
}

static int set_up(void **state)
{
    snapshots = *cst_memory_backend.snapshots;
    snapshots.revert_loses = fake_loses;
    backend = cst_memory_backend;
    backend.snapshots = &snapshots;
    backend.health = fake_health;
    level = CST_HEALTH_GOOD;
    fails = FALSE;
    return fixture_setup(state);
}

static int tear_down(void **state)
{
    int failed = fixture_teardown(state);

    cst_memory_clear();
    return failed;
}

int main(void)
{
#define TECHNOLOGY_TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TECHNOLOGY_TEST(a_pools_state_follows_its_health),
        TECHNOLOGY_TEST(health_is_asked_for_with_its_notes),
        TECHNOLOGY_TEST(storage_that_fails_is_a_problem_until_it_works),
        TECHNOLOGY_TEST(a_scan_of_all_waits_for_the_end_of_a_burst),
        TECHNOLOGY_TEST(revert_removes_only_the_snapshots_that_were_agreed_to),
        TECHNOLOGY_TEST(a_device_is_the_image_that_is_declared),
        TECHNOLOGY_TEST(overlays_in_files_use_the_declaration_of_their_base),
        TECHNOLOGY_TEST(new_device_does_not_inherit_the_record_of_an_earlier_one),
        TECHNOLOGY_TEST(only_short_lived_holders_are_waited_for),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
