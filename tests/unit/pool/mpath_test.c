/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Multipath maps on a simulated device-mapper: status lines, invalid lines, paths. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <linux/dm-ioctl.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/sysmacros.h>

#include <base/error.h>
#include <base/liveness.h>
#include <base/units.h>
#include <pool/backend.h>

#include "await.h"
#include "fake_sysfs.h"
#include "mpath/mpath.h"

#define TWO_PATHS "2 0 0 0 2 1 A 0 1 2 8:16 A 0 0 1 E 0 1 2 8:32 F 3 0 1"

static const char definition[] = "<pool type='mpath'><name>m</name><source/>"
                                 "<target><path>/dev/mapper</path></target></pool>";

/* --- device-mapper ---------------------------------------------------------------------------- */

typedef struct {
    const char *type;
    const char *status;
} Table;

static Table tables[3]; /* by minor number; type NULL: the device does not exist */
static int dm_errno;
static gboolean unended; /* the text of the answer is not terminated */
/* The test changes the tables. A probe finds no map in them until the test has set this; atomic. */
static gint probes_find_maps;
static GThread *tester;

int ioctl(int fd, unsigned long request, ...)
{
    struct dm_ioctl *answer;
    struct dm_target_spec *target;
    const Table *table;
    va_list args;

    if (g_thread_self() != tester && !g_atomic_int_get(&probes_find_maps)) {
        errno = ENXIO;
        return -1;
    }
    va_start(args, request);
    answer = va_arg(args, struct dm_ioctl *);
    va_end(args);
    assert_int_equal(request, DM_TABLE_STATUS);
    assert_int_equal(answer->version[0], DM_VERSION_MAJOR);
    assert_int_equal(major(answer->dev), 253);
    table = &tables[minor(answer->dev)];
    errno = dm_errno ? dm_errno : ENXIO;
    if (dm_errno || !table->type)
        return -1;
    target = (struct dm_target_spec *)((char *)answer + answer->data_start);
    answer->target_count = *table->type ? 1 : 0;
    g_strlcpy(target->target_type, table->type, sizeof(target->target_type));
    if (unended)
        memset(target + 1, 'x', answer->data_size - answer->data_start - sizeof(*target));
    else
        g_strlcpy((char *)(target + 1), table->status, 4096);
    return 0;
}

static void put_device(unsigned minor_number, const char *name, const char *uuid)
{
    const char *const values[][2] = {
        {"dm/name", name}, {"dm/uuid", uuid}, {"dm/suspended", "0\n"}, {"size", "16384\n"}};
    g_autofree char *number = g_strdup_printf("253:%u\n", minor_number);
    g_autofree char *dir = g_strdup_printf("/sys/block/dm-%u", minor_number);
    g_autofree char *dev = g_build_filename(dir, "dev", NULL);
    g_autofree char *node = g_strdup_printf("/dev/dm-%u", minor_number);

    for (size_t i = 0; i < G_N_ELEMENTS(values); i++) {
        g_autofree char *path = g_build_filename(dir, values[i][0], NULL);

        kernel_put(path, values[i][1]);
    }
    kernel_put(dev, number);
    kernel_put(node, number);
}

/* Sets up a map, an LV, and a partition of the map. */
static int set_up(void **state)
{
    fake_sysfs_set_up(state);
    tester = g_thread_self();
    dm_errno = 0;
    unended = FALSE;
    kernel_put("/dev/mapper/control", "");
    put_device(0, "vg-lv\n", "LVM-xyz\n");
    put_device(1, "mpatha\n", "mpath-36001405\n");
    put_device(2, "mpatha1\n", "part1-mpath-36001405\n");
    tables[0] = (Table){"linear", "0 4096"};
    tables[1] = (Table){"multipath", TWO_PATHS};
    tables[2] = (Table){"linear", ""};
    fake_lun("2:0:0:1", "sdb", 16, 8 * CST_MIB, "naa.1");
    fake_lun("3:0:0:1", "sdc", 32, 8 * CST_MIB, "naa.1");
    kernel_put("/sys/dev/block/8:16/uevent", "MAJOR=8\nDEVNAME=sdb\nDEVTYPE=disk\n");
    kernel_put("/sys/bus/scsi/devices/3:0:0:1/state", "transport-offline\n");
    return 0;
}

/* --- maps ------------------------------------------------------------------------------------- */

static void test_maps_are_volumes(void **state)
{
    g_autoptr(CstPoolState) pool = fake_pool(definition);
    g_autofree char *found = fake_scan(pool);
    g_autofree char *path = cst_pool_state_vol_path(pool, "dm-1");
    g_autofree char *name = cst_pool_state_vol_resolve(pool, "/dev/mapper/mpatha");
    gboolean active;

    assert_string_equal(found, "dm-1");
    assert_string_equal(path, "/dev/mapper/mpatha");
    assert_string_equal(name, "dm-1");
    assert_true(cst_pool_state_check(pool, &active, NULL));
    assert_true(active);
}

static void test_volume_shows_its_paths(void **state)
{
    g_autoptr(CstPoolState) pool = fake_pool(definition);
    g_autofree char *xml = fake_volume_xml(pool, "dm-1");

    assert_non_null(strstr(xml, "<cistern:option name='wwid' value='36001405'/>"));
    /* The kernel no longer has a name for the second path. */
    assert_non_null(strstr(xml, "<cistern:option name='paths' value='sdb active, 8:32 failed "
                                "(transport-offline)'/>"));
    assert_non_null(strstr(xml, "<capacity unit='bytes'>8388608</capacity>"));
    assert_non_null(strstr(xml, "<key>/dev/mapper/mpatha</key>"));
}

static void test_map_that_would_keep_readers_waiting(void **state)
{
    static const struct {
        const char *status;
        const char *suspended;
        const char *problem;
    } rows[] = {
        {"2 1 0 0 1 1 E 0 1 2 8:16 F 1 0 1", "0\n",
         "dm-1!no path to the multipath map works: sdb failed"},
        {"2 0 0 0 0 0", "0\n", "dm-1!the multipath map has no path"},
        {TWO_PATHS, "1\n", "dm-1!the multipath map is suspended"},
    };

    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        g_autoptr(CstPoolState) pool = fake_pool(definition);
        g_autofree char *found = NULL;

        kernel_put("/sys/block/dm-1/dm/suspended", rows[i].suspended);
        tables[1].status = rows[i].status;
        found = fake_scan(pool);
        assert_string_equal(found, rows[i].problem);
    }
}

static void test_map_removed_during_a_scan_is_skipped(void **state)
{
    g_autoptr(CstPoolState) pool = fake_pool(definition);
    g_autofree char *found = NULL;

    tables[1].type = NULL;
    found = fake_scan(pool);
    assert_string_equal(found, "");
}

static void test_map_without_a_table(void **state)
{
    g_autoptr(CstPoolState) pool = fake_pool(definition);
    g_autofree char *found = NULL;

    tables[1].type = "";
    found = fake_scan(pool);
    assert_string_equal(found, "");
}

static void test_kernel_that_refuses(void **state)
{
    g_autoptr(CstPoolState) pool = fake_pool(definition);
    g_autofree char *found = NULL, *none = NULL;

    dm_errno = EPERM;
    found = fake_scan(pool);
    assert_non_null(strstr(found, "cannot ask device-mapper"));
    kernel_drop("/dev/mapper/control");
    none = fake_scan(pool);
    assert_non_null(strstr(none, "cannot open '/dev/mapper/control'"));
}

static void test_answer_without_an_end(void **state)
{
    g_autoptr(CstPoolState) pool = fake_pool(definition);
    g_autofree char *found = NULL;

    unended = TRUE;
    found = fake_scan(pool);
    assert_string_equal(found, "");
}

/* --- health ----------------------------------------------------------------------------------- */

static char *health_of(CstPoolState *pool, CstHealthLevel level)
{
    g_auto(CstPoolHealth) brief = {0};
    g_auto(CstPoolHealth) health = {0};
    g_autoptr(GString) text = g_string_new(NULL);

    assert_true(cst_pool_state_health(pool, FALSE, &brief, NULL));
    assert_null(brief.notes);
    assert_true(cst_pool_state_health(pool, TRUE, &health, NULL));
    assert_int_equal(brief.level, level);
    assert_int_equal(health.level, level);
    g_string_append(text, health.state);
    for (guint i = 0; health.notes && i < health.notes->len; i++)
        g_string_append_printf(text, "; %s", (char *)g_ptr_array_index(health.notes, i));
    return g_string_free(g_steal_pointer(&text), FALSE);
}

static void test_lost_path_is_a_loss_of_safety(void **state)
{
    g_autoptr(CstPoolState) pool = fake_pool(definition);
    g_autofree char *one = NULL, *both = NULL, *none = NULL, *no_map = NULL;

    one = health_of(pool, CST_HEALTH_DEGRADED);
    assert_string_equal(one, "1 of 2 paths work; "
                             "mpatha: sdb active, 8:32 failed (transport-offline)");
    tables[1].status = "1 queue_if_no_path 1 alua 1 1 A 2 x y 2 0 8:16 A 0 8:32 A 12";
    both = health_of(pool, CST_HEALTH_GOOD);
    assert_string_equal(both, "2 of 2 paths work");
    tables[1].status = "2 1 0 0 1 1 E 0 1 2 8:16 F 1 0 1";
    none = health_of(pool, CST_HEALTH_DEGRADED);
    assert_string_equal(none, "0 of 1 paths work; mpatha: sdb failed");
    tables[1].type = NULL;
    no_map = health_of(pool, CST_HEALTH_GOOD);
    assert_string_equal(no_map, "0 of 0 paths work");
}

static void test_health_that_cannot_be_asked_for(void **state)
{
    g_autoptr(CstPoolState) pool = fake_pool(definition);
    g_auto(CstPoolHealth) health = {0};
    g_autoptr(GError) error = NULL;

    dm_errno = EPERM;
    assert_false(cst_pool_state_health(pool, FALSE, &health, &error));
    assert_non_null(strstr(error->message, "cannot ask device-mapper"));
}

/* --- status lines ----------------------------------------------------------------------------- */

static void test_status_lines(void **state)
{
    static const struct {
        const char *line;
        const char *paths;
    } rows[] = {
        {TWO_PATHS, "8:16A 8:32F"},
        {"1 queue_if_no_path 1 alua 1 1 A 2 x y 2 0 65:0 A 0 253:7 A 12", "65:0A 253:7A"},
        {"0 0 0 0", ""},
        {"0  0  1 1  A 0 1 1 8:0  A 0 9 ", "8:0A"},
    };

    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        g_autoptr(GError) error = NULL;
        g_autoptr(GArray) paths = mpath_status_parse(rows[i].line, &error);
        g_autoptr(GString) text = g_string_new(NULL);

        assert_null(error);
        for (guint p = 0; p < paths->len; p++) {
            const MpathPath *path = &g_array_index(paths, MpathPath, p);

            g_string_append_printf(text, "%s%u:%u%c", p > 0 ? " " : "", major(path->device),
                                   minor(path->device), path->active ? 'A' : 'F');
        }
        assert_string_equal(text->str, rows[i].paths);
    }
}

static void test_garbage_is_refused(void **state)
{
    static const char *const lines[] = {
        "",
        " ",
        "x",
        "0",
        "0 0",
        "0 0 1",
        "0 0 1 1",
        "0 0 1 1 A",
        "0 0 1 1 A 0 1",
        "0 0 1 1 A 0 1 0",
        "0 0 1 1 A 0 1 0 8:16",
        "0 0 1 1 A 0 1 0 8:16 B 0",
        "0 0 1 1 A 0 1 0 8-16 A 0",
        "0 0 1 1 A 0 1 0 8:16x A 0",
        "0 0 1 1 A 0 1 2 8:16 A 0 1",
        "9999999 0",
        "-1 0 0 0",
        "0 0 18446744073709551615 1",
    };

    for (size_t i = 0; i < G_N_ELEMENTS(lines); i++) {
        g_autoptr(GError) error = NULL;

        assert_null(mpath_status_parse(lines[i], &error));
        assert_int_equal(error->code, CST_ERROR_CORRUPT);
    }
}

/*
 * The array of words grows in steps, so a parser that reads past the last word usually finds NULL.
 * Lines of each length fill the array completely, so that AddressSanitizer detects the access.
 */
static void test_line_that_ends_early_is_refused_at_each_length(void **state)
{
    for (guint features = 0; features < 70; features++) {
        g_autoptr(GString) line = g_string_new(NULL);
        const char *space;

        g_string_printf(line, "%u", features);
        for (guint i = 0; i < features; i++)
            g_string_append(line, " f");
        g_string_append(line, " 0 1 1 A 0 9 1 8:16 A 0 1 8:32 F 0 1");
        while ((space = strrchr(line->str, ' '))) {
            g_autoptr(GError) error = NULL;

            assert_null(mpath_status_parse(line->str, &error));
            assert_int_equal(error->code, CST_ERROR_CORRUPT);
            g_string_truncate(line, (gsize)(space - line->str));
        }
    }
}

/* --- maps that hang --------------------------------------------------------------------------- */

static int tear_down(void **state)
{
    g_atomic_pointer_set(&kernel_hanging, NULL);
    g_atomic_int_set(&probes_find_maps, FALSE);
    return fake_sysfs_tear_down(state);
}

static void calls_fail_while_each_map_hangs(void **state)
{
    const struct CstLivenessTimes before = cst_liveness_times;
    g_autoptr(CstPoolState) pool = NULL;
    g_autofree char *refused = NULL;

    cst_liveness_times = (struct CstLivenessTimes){.patience = 1000, .period = 1000};
    pool = fake_pool(definition);
    g_atomic_pointer_set(&kernel_hanging, "/dev/dm-1");
    g_atomic_int_set(&probes_find_maps, TRUE);
    AWAIT(!cst_pool_state_answers(pool, NULL));
    refused = fake_scan(pool);
    assert_non_null(strstr(refused, "has not answered"));
    g_atomic_pointer_set(&kernel_hanging, NULL);
    AWAIT(cst_pool_state_answers(pool, NULL));
    cst_liveness_times = before;
}

static void map_without_a_path_is_not_probed(void **state)
{
    g_autoptr(CstPoolState) pool = fake_pool(definition);

    tables[1].status = "2 1 queue_if_no_path 0 1 1 E 0 1 2 8:32 F 3 0 1";
    g_atomic_pointer_set(&kernel_hanging, "/dev/dm-1");
    assert_true(pool->backend->touch(pool->def, NULL));
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(test_maps_are_volumes),
        TEST(test_volume_shows_its_paths),
        TEST(test_map_that_would_keep_readers_waiting),
        TEST(test_map_removed_during_a_scan_is_skipped),
        TEST(test_map_without_a_table),
        TEST(test_kernel_that_refuses),
        TEST(test_answer_without_an_end),
        TEST(test_lost_path_is_a_loss_of_safety),
        TEST(test_health_that_cannot_be_asked_for),
        TEST(calls_fail_while_each_map_hangs),
        TEST(map_without_a_path_is_not_probed),
        cmocka_unit_test(test_status_lines),
        cmocka_unit_test(test_garbage_is_refused),
        cmocka_unit_test(test_line_that_ends_early_is_refused_at_each_length),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
