/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The parsing of parted's output, and the calls of the tool, which is simulated. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include <glib/gstdio.h>

#include <base/error.h>
#include <base/units.h>

#include "disk/label.h"

static const char sun[] = "CYL;\n"
                          "/dev/sdb:1028cyl:scsi:512:512:sun:A disk:;\n"
                          "1028:255:2:261kB;\n"
                          "BYT;\n"
                          "/dev/sdb:268435456B:scsi:512:512:sun:A disk:;\n"
                          "1:0B:1044479B:1044480B:free;\n"
                          "1:1044480B:9661439B:8616960B:ext4::;\n"
                          "1:9661440B:268431359B:258769920B:free;\n"
                          "\n";

/* Parses the output with @from replaced by @to. Returns NULL with *ret_code if it is rejected. */
static DiskTable *parse_changed(const char *from, const char *to, int *ret_code)
{
    const char *at = strstr(sun, from);
    g_autofree char *text = NULL;
    g_autoptr(GError) error = NULL;
    DiskTable *table = NULL;

    assert_non_null(at);
    text = g_strdup_printf("%.*s%s%s", (int)(at - sun), sun, to, at + strlen(from));
    *ret_code = 0;
    if (!disk_parted_parse(text, &table, &error)) {
        assert_null(table);
        *ret_code = error->code;
    }
    return table;
}

static void everything_is_read(void **state)
{
    g_autoptr(DiskTable) table = NULL;
    const DiskPartition *partition;
    const CstDeviceExtent *extent;

    assert_true(disk_parted_parse(sun, &table, NULL));
    assert_string_equal(table->label, "sun");
    assert_int_equal(table->size, 268435456);
    assert_int_equal(table->sector, 512);
    assert_int_equal(table->slots, 8);
    assert_int_equal(table->grain, 255 * 2 * 512);
    assert_int_equal(table->step, 255 * 2 * 512);
    partition = disk_table_find(table, 1);
    assert_int_equal(partition->start, 1044480);
    assert_int_equal(partition->end, 9661440);
    assert_int_equal(partition->kind, DISK_PRIMARY);
    assert_false(partition->reserved);
    assert_true(disk_table_find(table, 3)->reserved);
    assert_int_equal(table->free->len, 2);
    extent = &g_array_index(table->free, CstDeviceExtent, 1);
    assert_int_equal(extent->start, 9661440);
    assert_int_equal(extent->end, 268431360);
    assert_int_equal(extent->type, DISK_PRIMARY);
}

/* Names may contain the separator of fields. */
static void partition_type_may_have_any_name(void **state)
{
    int code;
    g_autoptr(DiskTable) table = parse_changed("ext4::;", "ext4:a:free;:b;", &code);

    assert_int_equal(code, 0);
    assert_int_equal(disk_table_find(table, 1)->end, 9661440);
}

static void unsupported_labels_give_no_table(void **state)
{
    int code;
    g_autoptr(DiskTable) table =
        parse_changed("268435456B:scsi:512:512:sun", "268435456B:scsi:512:512:loop", &code);

    assert_int_equal(code, 0);
    assert_null(table);
}

static void each_label_has_its_own_rules(void **state)
{
    static const struct {
        const char *label;
        guint slots, own;
        uint64_t grain;
    } rows[] = {
        {"bsd", 8, 0, CST_MIB}, {"dvh", 16, 9, CST_MIB}, {"mac", 64, 1, CST_MIB},
        {"sun", 8, 3, 261120},  {"pc98", 16, 0, 261120},
    };

    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        g_autofree char *line = g_strdup_printf("268435456B:scsi:512:512:%s", rows[i].label);
        int code;
        g_autoptr(DiskTable) table = parse_changed("268435456B:scsi:512:512:sun", line, &code);

        assert_int_equal(code, 0);
        assert_string_equal(table->label, rows[i].label);
        assert_int_equal(table->slots, rows[i].slots);
        assert_int_equal(table->grain, rows[i].grain);
        assert_int_equal(table->step, rows[i].grain == CST_MIB ? 512 : rows[i].grain);
        if (rows[i].own > 0)
            assert_true(disk_table_find(table, rows[i].own)->reserved);
    }
}

/* Free space inside of dvh's header is the header. */
static void the_labels_own_partition_has_no_room(void **state)
{
    static const char dvh[] = "CYL;\n/dev/sdb:1028cyl:scsi:512:512:dvh:A:;\n1028:255:2:261kB;\n"
                              "BYT;\n/dev/sdb:268435456B:scsi:512:512:dvh:A:;\n"
                              "9:0B:2097151B:2097152B:::;\n"
                              "1:512B:2097151B:2096640B:free;\n"
                              "1:2097152B:268435455B:266338304B:free;\n";
    g_autoptr(DiskTable) table = NULL;

    assert_true(disk_parted_parse(dvh, &table, NULL));
    assert_int_equal(table->free->len, 1);
    assert_int_equal(g_array_index(table->free, CstDeviceExtent, 0).start, 2097152);
    assert_true(disk_table_find(table, 9)->reserved);
}

static void malformed_output_of_parted_is_refused(void **state)
{
    static const struct {
        const char *from, *to;
    } rows[] = {
        {"CYL;", "CYX;"},
        {"BYT;", "BYX;"},
        {"CYL;\n/dev/sdb:1028cyl:scsi:512:512:sun:A disk:;\n1028:255:2:261kB;\n", "CYL;\n"},
        {"268435456B:", "268435456:"},
        {"268435456B:", "9223372036854775808B:"},
        {"268435456B:", "-1B:"},
        {"268435456B:", ":"},
        {"268435456B:scsi:512:", "268435456B:scsi:256:"},
        {"268435456B:scsi:512:", "268435456B:scsi:1048576:"},
        {"268435456B:scsi:512:512:sun:A disk:;", "268435456B:scsi:512:512:sun;"},
        {"1028:255:2:", "1028:0:2:"},
        {"1028:255:2:", "1028:255:0:"},
        {"1028:255:2:", "1028:99999999:2:"},
        {"1028:255:2:261kB;", "1028;"},
        {"1:1044480B", "0:1044480B"},
        {"1:1044480B", "1025:1044480B"},
        {"1:1044480B", "x:1044480B"},
        {"1:1044480B", "1:1044480"},
        {"1:1044480B", "1:1044481B"},
        {":9661439B", ":268435456B"},
        {":9661439B", ":1044479B"},
        {":8616960B:", ":8616961B:"},
        {":8616960B:", "::"},
        {"1:1044480B:9661439B:8616960B:ext4::;", "1:1044480B"},
        /* free space in the place of a partition */
        {"1:9661440B:268431359B:258769920B:free;", "1:9661439B:268431359B:258769921B:free;"},
        /* the same number twice */
        {"1:9661440B:268431359B:258769920B:free;", "1:9661440B:268431359B:258769920B:ext4::;"},
    };

    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        int code;
        g_autoptr(DiskTable) table = parse_changed(rows[i].from, rows[i].to, &code);

        if (code != CST_ERROR_CORRUPT)
            fail_msg("'%s' may be '%s' (%d)", rows[i].from, rows[i].to, code);
        assert_null(table);
    }
}

/* Checks that an accepted table is within the disk. */
static void assert_sound(const DiskTable *table)
{
    for (guint i = 0; i < table->partitions->len; i++) {
        const DiskPartition *partition = &g_array_index(table->partitions, DiskPartition, i);

        assert_true(partition->start < partition->end && partition->end <= table->size);
    }
    for (guint i = 0; i < table->free->len; i++) {
        const CstDeviceExtent *extent = &g_array_index(table->free, CstDeviceExtent, i);

        assert_true(extent->start < extent->end && extent->end <= table->size);
    }
}

static void garbage_is_borne(void **state)
{
    g_autoptr(GRand) rand = g_rand_new_with_seed(3);

    for (guint round = 0; round < 20000; round++) {
        g_autofree char *text = g_strdup(sun);
        g_autoptr(DiskTable) table = NULL;
        g_autoptr(GError) error = NULL;

        for (int change = g_rand_int_range(rand, 1, 4); change > 0; change--)
            text[g_rand_int_range(rand, 0, (gint32)strlen(sun))] =
                "0123456789B:;\nCYLBTfree-x"[g_rand_int_range(rand, 0, 26)];
        if (disk_parted_parse(text, &table, &error)) {
            if (table)
                assert_sound(table);
        } else {
            assert_int_equal(error->code, CST_ERROR_CORRUPT);
        }
    }
}

static void each_prefix_is_borne(void **state)
{
    for (size_t len = 0; len < sizeof(sun); len++) {
        g_autofree char *text = g_strndup(sun, len);
        g_autoptr(DiskTable) table = NULL;

        if (disk_parted_parse(text, &table, NULL) && table)
            assert_sound(table);
    }
}

/* --- the tool --------------------------------------------------------------------------------- */

static char *folder;

static void put(const char *name, const char *text)
{
    g_autofree char *path = g_build_filename(folder, name, NULL);

    assert_true(g_file_set_contents(path, text, -1, NULL));
}

/*
 * Makes the simulated tool. It logs its arguments. "print" outputs "out", and the file "fails"
 * makes it fail. Like Debian's parted it waits for udev if udevadm is found, and that wait would
 * block on our lock.
 */
static int tool_set_up(void **state)
{
    g_autofree char *tool = NULL, *settle = NULL, *path = NULL;

    folder = g_dir_make_tmp("cistern-parted-XXXXXX", NULL);
    put("parted", "#!/bin/sh\n"
                  "cd \"${0%/*}\"\n"
                  "! command -v udevadm >/dev/null || echo settles >>log\n"
                  "PATH=/usr/bin:/bin\n"
                  "echo \"$*\" >>log\n"
                  "case \"$*\" in *print*) word=print;; *) word=change;; esac\n"
                  "[ ! -e \"fails-$word\" ] || { cat \"fails-$word\" >&2; exit 1; }\n"
                  "[ $word = change ] || cat out\n");
    put("udevadm", "");
    tool = g_build_filename(folder, "parted", NULL);
    settle = g_build_filename(folder, "udevadm", NULL);
    assert_int_equal(chmod(tool, 0700), 0);
    assert_int_equal(chmod(settle, 0700), 0);
    path = g_strconcat(folder, ":/usr/bin:/bin", NULL);
    g_setenv("PATH", path, TRUE);
    put("log", "");
    put("out", sun);
    return 0;
}

static int tool_tear_down(void **state)
{
    static const char *const names[] = {"parted", "udevadm",     "log",         "out",
                                        "disk",   "fails-print", "fails-change"};

    for (size_t i = 0; i < G_N_ELEMENTS(names); i++) {
        g_autofree char *path = g_build_filename(folder, names[i], NULL);

        g_unlink(path);
    }
    g_rmdir(folder);
    g_clear_pointer(&folder, g_free);
    return 0;
}

/* Checks the arguments of the tool, one line per call. */
static void assert_asked(const char *expected)
{
    g_autofree char *path = g_build_filename(folder, "log", NULL);
    g_autofree char *text = NULL;

    assert_true(g_file_get_contents(path, &text, NULL, NULL));
    assert_string_equal(text, expected);
    put("log", "");
}

#define READ "--script --machine -- /dev/sdb unit cyl print unit B print free\n"

static void a_table_is_read_by_it(void **state)
{
    DiskTable *table = NULL;
    g_autoptr(GError) error = NULL;

    assert_true(disk_parted.read(-1, "/dev/sdb", &table, NULL));
    assert_asked(READ);
    assert_string_equal(table->label, "sun");
    g_clear_pointer(&table, disk_table_free);
    put("fails-print", "Error: /dev/sdb: unrecognised disk label\n");
    assert_true(disk_parted.read(-1, "/dev/sdb", &table, NULL));
    assert_null(table);
    put("fails-print", "Error: Input/output error during read on /dev/sdb\n");
    assert_false(disk_parted.read(-1, "/dev/sdb", &table, &error));
    assert_non_null(strstr(error->message, "Input/output error"));
}

static void read_disk(const char *node)
{
    g_autoptr(DiskTable) table = NULL;

    assert_true(disk_parted.read(-1, node, &table, NULL));
    assert_string_equal(table->label, "sun");
}

/* udev treats the read as a change. The pool would be notified, and would read again. */
static void a_disk_that_has_not_changed_is_not_read_again(void **state)
{
    g_autofree char *disk = g_build_filename(folder, "disk", NULL);
    g_autofree char *asked =
        g_strdup_printf("--script --machine -- %s unit cyl print unit B print free\n", disk);

    put("disk", "a table");
    read_disk(disk);
    assert_asked(asked);
    read_disk(disk);
    assert_asked("");
    put("disk", "A table");
    read_disk(disk);
    assert_asked(asked);
    assert_int_equal(truncate(disk, 100), 0);
    read_disk(disk);
    assert_asked(asked);
    assert_int_equal(truncate(disk, 101), 0);
    read_disk(disk);
    assert_asked(asked);
    read_disk(disk);
    assert_asked("");
}

static gboolean add_second(const char *label, uint64_t start, GError **error)
{
    DiskTable table = {.label = label};
    DiskChange change = {.action = DISK_ADD,
                         .partition = {.number = 1, .start = start, .end = 9661440}};

    return disk_parted.change("/dev/sdb", &table, &change, error);
}

static void a_partition_is_added_with_the_words_of_its_label(void **state)
{
    static const struct {
        const char *label, *word;
    } rows[] = {{"sun", "ext2"},
                {"bsd", "ext2"},
                {"dvh", "primary"},
                {"mac", "cistern"},
                {"pc98", "cistern"}};

    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        g_autofree char *asked = g_strdup_printf(
            "--script --align none -- /dev/sdb mkpart %s 1044480B 9661439B\n" READ, rows[i].word);

        assert_true(add_second(rows[i].label, 1044480, NULL));
        assert_asked(asked);
    }
}

/* The tool makes another partition than requested. */
static void a_partition_of_another_number_is_removed_again(void **state)
{
    DiskTable table = {.label = "sun"};
    DiskChange change = {.action = DISK_ADD,
                         .partition = {.number = 2, .start = 1044480, .end = 9661440}};
    g_autoptr(GError) error = NULL;

    assert_false(disk_parted.change("/dev/sdb", &table, &change, &error));
    assert_int_equal(error->code, CST_ERROR_INVALID);
    assert_non_null(strstr(error->message, "gives number 1"));
    assert_asked("--script --align none -- /dev/sdb mkpart ext2 1044480B 9661439B\n" READ
                 "--script -- /dev/sdb rm 1\n");
    g_clear_error(&error);
    /* The tool reports success without making a partition. */
    assert_false(add_second("sun", 20 * CST_MIB, &error));
    assert_non_null(strstr(error->message, "gives number 0"));
}

static void its_failures_are_understood(void **state)
{
    static const struct {
        const char *says;
        int code;
    } rows[] = {
        {"Error: The closest location we can manage is 2097kB to 9437kB", CST_ERROR_NO_SPACE},
        {"Error: Partition(s) 1 on /dev/sdb are being used.", CST_ERROR_BUSY},
        {"Error: Too many primary partitions.", CST_ERROR_STATE},
        {"Error: who knows", CST_ERROR_FAILED},
        {"", CST_ERROR_FAILED},
    };

    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        g_autoptr(GError) error = NULL;

        put("fails-change", rows[i].says);
        assert_false(add_second("sun", 1044480, &error));
        assert_int_equal(error->code, rows[i].code);
    }
}

static void the_other_changes_are_asked_for(void **state)
{
    DiskTable table = {.label = "sun"};
    DiskChange change = {.action = DISK_REMOVE, .partition = {.number = 4}};
    g_autoptr(GError) error = NULL;

    assert_true(disk_parted.change("/dev/sdb", &table, &change, NULL));
    assert_true(disk_parted.put_label("/dev/sdb", "mac", NULL));
    assert_asked("--script -- /dev/sdb rm 4\n--script -- /dev/sdb mklabel mac\n");
    change.action = DISK_RESIZE;
    assert_false(disk_parted.change("/dev/sdb", &table, &change, &error));
    assert_int_equal(error->code, CST_ERROR_UNSUPPORTED);
    assert_asked("");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(everything_is_read),
        cmocka_unit_test(partition_type_may_have_any_name),
        cmocka_unit_test(unsupported_labels_give_no_table),
        cmocka_unit_test(each_label_has_its_own_rules),
        cmocka_unit_test(the_labels_own_partition_has_no_room),
        cmocka_unit_test(malformed_output_of_parted_is_refused),
        cmocka_unit_test(garbage_is_borne),
        cmocka_unit_test(each_prefix_is_borne),
#define TOOL_TEST(name) cmocka_unit_test_setup_teardown(name, tool_set_up, tool_tear_down)
        TOOL_TEST(a_table_is_read_by_it),
        TOOL_TEST(a_disk_that_has_not_changed_is_not_read_again),
        TOOL_TEST(a_partition_is_added_with_the_words_of_its_label),
        TOOL_TEST(a_partition_of_another_number_is_removed_again),
        TOOL_TEST(its_failures_are_understood),
        TOOL_TEST(the_other_changes_are_asked_for),
    };

    return cmocka_run_group_tests_name("disk parted", tests, NULL, NULL);
}
