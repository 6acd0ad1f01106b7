/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include <base/error.h>
#include <base/range.h>
#include <base/units.h>
#include <blob/fault.h>
#include <image/amend.h>
#include <image/compare.h>
#include <image/convert.h>
#include <image/hold.h>
#include <image/map.h>
#include <image/measure.h>
#include <image/options.h>
#include <image/pack.h>

/* Operations on any image, over blobs in memory: results, failures of the storage, cancelling. */

#define SIZE (9 * CST_MIB + 512)

static CstBlob *plain(uint64_t size)
{
    CstBlob *blob = cst_blob_memory_new(NULL, size);

    for (uint64_t at = 0; at + 512 < size; at += 700 * CST_KIB)
        assert_true(cst_blob_pwrite(blob, &at, sizeof(at), at + 8, NULL));
    return blob;
}

static void poke(CstBlob *blob, uint64_t offset, char byte)
{
    assert_true(cst_blob_pwrite(blob, &byte, 1, offset, NULL));
}

static const CstImageFormat *format(const char *name)
{
    return cst_image_format_find(name, NULL);
}

/* --- compare ---------------------------------------------------------------------------------- */

static void test_compare_finds_the_first_difference(void **state)
{
    static const uint64_t places[] = {SIZE - 1, 8 * CST_MIB, 4 * CST_MIB - 1, 524288, 1, 0};
    g_autoptr(CstBlob) a = plain(SIZE);
    g_autoptr(CstBlob) b = plain(SIZE);
    g_autoptr(CstTask) task = cst_task_new();
    CstDifference difference;

    assert_true(cst_image_compare(a, b, &difference, task, NULL));
    assert_true(difference.same && difference.sizes_same);
    assert_int_equal(cst_task_progress(task).done, SIZE);
    assert_int_equal(cst_task_progress(task).total, SIZE);
    for (size_t i = 0; i < G_N_ELEMENTS(places); i++) {
        poke(b, places[i], 'x');
        assert_true(cst_image_compare(a, b, &difference, NULL, NULL));
        assert_false(difference.same);
        assert_int_equal(difference.offset, places[i]);
    }
}

static void test_compare_treats_a_longer_rest_as_zero(void **state)
{
    g_autoptr(CstBlob) a = plain(SIZE);
    g_autoptr(CstBlob) b = plain(SIZE);
    CstDifference difference;

    assert_true(cst_blob_resize(b, SIZE + CST_MIB, NULL));
    assert_true(cst_image_compare(a, b, &difference, NULL, NULL));
    assert_true(difference.same && !difference.sizes_same);
    poke(b, SIZE + 7, 'x');
    assert_true(cst_image_compare(b, a, &difference, NULL, NULL));
    assert_false(difference.same);
    assert_int_equal(difference.offset, SIZE + 7);
}

static void test_compare_fails_with_the_storage(void **state)
{
    g_autoptr(CstBlob) a = plain(SIZE);
    g_autoptr(CstBlob) inner = plain(SIZE);
    g_autoptr(CstBlob) b = cst_blob_fault_new(inner);
    g_autoptr(CstTask) task = cst_task_new();
    CstDifference difference;
    unsigned reads;

    cst_blob_fault_arm(b, CST_FAULT_READ, 1000000, CST_FAULT_ONCE);
    assert_true(cst_image_compare(a, b, &difference, NULL, NULL));
    reads = cst_blob_fault_count(b, CST_FAULT_READ);
    assert_true(reads > 0);
    for (unsigned nth = 1; nth <= reads; nth++) {
        g_autoptr(GError) error = NULL;

        cst_blob_fault_arm(b, CST_FAULT_READ, nth, CST_FAULT_ONCE);
        assert_false(cst_image_compare(a, b, &difference, NULL, &error));
        assert_true(g_error_matches(error, CST_ERROR, CST_ERROR_IO));
    }
    cst_task_cancel(task);
    assert_false(cst_image_compare(a, b, &difference, task, NULL));
}

/* --- pack ------------------------------------------------------------------------------------- */

static CstImage *empty_qcow2(CstBlob *blob, uint64_t capacity)
{
    const CstImageCreate options = {.capacity = capacity};

    assert_true(cst_image_create(blob, format("qcow2"), &options, NULL, NULL));
    return cst_image_open(blob, format("qcow2"), CST_IMAGE_WRITE, NULL, NULL);
}

static void test_pack_reads_back_the_same(void **state)
{
    g_autoptr(CstBlob) source = plain(SIZE - 100); /* no multiple of a sector */
    g_autoptr(CstBlob) file = cst_blob_memory_new(NULL, 0);
    CstImage *image = empty_qcow2(file, SIZE - 100);
    g_autoptr(CstTask) task = cst_task_new();
    g_autoptr(CstBlob) guest = NULL;
    CstDifference difference;

    assert_true(cst_image_pack(source, image, 0, task, NULL));
    assert_int_equal(cst_task_progress(task).done, SIZE - 100);
    assert_true(cst_image_flush(image, NULL));
    guest = cst_image_guest_blob(image);
    assert_true(cst_image_compare(source, guest, &difference, NULL, NULL));
    assert_true(difference.same);
}

static void test_pack_fails_with_the_storage_and_stops_on_cancel(void **state)
{
    g_autoptr(CstBlob) inner = plain(SIZE);
    g_autoptr(CstBlob) source = cst_blob_fault_new(inner);
    g_autoptr(CstTask) task = cst_task_new();

    for (unsigned nth = 1; nth <= 5; nth++) {
        g_autoptr(CstBlob) file = cst_blob_memory_new(NULL, 0);
        g_autoptr(CstImage) image = empty_qcow2(file, SIZE);
        g_autoptr(GError) error = NULL;

        cst_blob_fault_arm(source, CST_FAULT_READ, nth, CST_FAULT_ONCE);
        assert_false(cst_image_pack(source, image, 0, NULL, &error));
        assert_true(g_error_matches(error, CST_ERROR, CST_ERROR_IO));
        g_clear_error(&error);
        cst_task_cancel(task);
        assert_false(cst_image_pack(inner, image, 0, task, &error));
        assert_true(g_error_matches(error, CST_ERROR, CST_ERROR_CANCELLED));
    }
}

/* --- patch ------------------------------------------------------------------------------------ */

static char byte_at(CstBlob *blob, uint64_t offset)
{
    char byte;

    assert_true(cst_blob_pread(blob, &byte, 1, offset, NULL));
    return byte;
}

/*
 * Writes only inside the ranges, and only bytes that differ from the present content. No other
 * cluster is allocated.
 */
static void test_patch_writes_the_differences_inside_its_ranges(void **state)
{
    const CstRange rows[] = {{0, 64 * CST_KIB}, {200 * CST_KIB, 200 * CST_KIB}};
    g_autoptr(GArray) ranges = g_array_new(FALSE, FALSE, sizeof(CstRange));
    g_autoptr(CstBlob) from = cst_blob_memory_new(NULL, CST_MIB);
    g_autoptr(CstBlob) blob = cst_blob_memory_new(NULL, 0);
    g_autoptr(CstBlob) guest = cst_image_guest_blob(empty_qcow2(blob, CST_MIB));
    g_autoptr(CstTask) task = cst_task_new();
    CstExtent extent;

    g_array_append_vals(ranges, rows, G_N_ELEMENTS(rows));
    poke(from, 10, 'a');
    poke(from, 300 * CST_KIB, 'b');
    poke(from, 700 * CST_KIB, 'c');
    assert_true(cst_image_patch(from, guest, ranges, task, NULL));
    assert_int_equal(byte_at(guest, 10), 'a');
    assert_int_equal(byte_at(guest, 300 * CST_KIB), 'b');
    assert_int_equal(byte_at(guest, 700 * CST_KIB), 0);
    assert_true(cst_blob_extent(guest, 320 * CST_KIB, 64 * CST_KIB, &extent, NULL));
    assert_true(extent.flags & CST_EXTENT_ZERO);
    assert_int_equal(cst_task_progress(task).done, 264 * CST_KIB);
    poke(from, 10, 0);
    assert_true(cst_image_patch(from, guest, ranges, NULL, NULL));
    assert_int_equal(byte_at(guest, 10), 0);
    assert_int_equal(byte_at(guest, 300 * CST_KIB), 'b');
}

/* --- map -------------------------------------------------------------------------------------- */

static gboolean count_runs(const CstMapRun *run, gpointer data, GError **error)
{
    GArray *runs = data;

    g_array_append_val(runs, *run);
    return TRUE;
}

static void test_map_reports_allocation_of_the_image_itself(void **state)
{
    const CstImageCreate options = {
        .capacity = CST_MIB, .backing = "elsewhere", .backing_format = "raw"};
    g_autoptr(CstBlob) file = cst_blob_memory_new(NULL, 0);
    g_autoptr(GArray) runs = g_array_new(FALSE, FALSE, sizeof(CstMapRun));
    g_autofree char *cluster = g_malloc0(65536);
    g_autoptr(CstChain) chain = NULL;
    CstImage *image;

    assert_true(cst_image_create(file, format("qcow2"), &options, NULL, NULL));
    image = cst_image_open(file, format("qcow2"), CST_IMAGE_WRITE, NULL, NULL);
    {
        g_autoptr(CstBlob) guest = cst_image_guest_blob(image);

        memset(cluster, 'x', 65536);
        assert_true(cst_blob_pwrite(guest, cluster, 65536, 131072, NULL));
        assert_true(cst_blob_flush(guest, NULL));
    }
    chain = cst_chain_look(file, format("qcow2"), NULL, NULL);
    assert_true(cst_chain_map(chain, count_runs, runs, NULL, NULL));
    assert_int_equal(runs->len, 3);
    for (guint i = 0; i < 3; i++) {
        const CstMapRun *run = &g_array_index(runs, CstMapRun, i);

        assert_int_equal(run->data, i == 1);
        assert_int_equal(run->present, i == 1);
        assert_int_equal(run->has_offset, i == 1);
        assert_false(run->zero);
    }
    assert_int_equal(g_array_index(runs, CstMapRun, 1).start, 131072);
    assert_int_equal(g_array_index(runs, CstMapRun, 1).length, 65536);
    assert_true(
        cst_blob_pread(file, cluster, 65536, g_array_index(runs, CstMapRun, 1).offset, NULL));
    assert_true(cluster[0] == 'x' && cluster[65535] == 'x');
}

/* Also without a backing image, because blocks of these formats can be absent. */
static void test_map_reports_absent_blocks(void **state)
{
    static const char *const formats[] = {"qcow2", "qcow", "qed", "vmdk", "parallels"};

    for (size_t i = 0; i < G_N_ELEMENTS(formats); i++) {
        const CstImageCreate options = {.capacity = 4 * CST_MIB};
        g_autoptr(CstBlob) file = cst_blob_memory_new(NULL, 0), guest = NULL;
        g_autoptr(GArray) runs = g_array_new(FALSE, FALSE, sizeof(CstMapRun));
        g_autofree char *block = g_strnfill(CST_MIB, 'x');
        g_autoptr(CstChain) chain = NULL;

        assert_true(cst_image_create(file, format(formats[i]), &options, NULL, NULL));
        guest = cst_image_guest_blob(
            cst_image_open(file, format(formats[i]), CST_IMAGE_WRITE, NULL, NULL));
        assert_true(cst_blob_pwrite(guest, block, CST_MIB, 2 * CST_MIB, NULL));
        assert_true(cst_blob_flush(guest, NULL));
        chain = cst_chain_look(file, format(formats[i]), NULL, NULL);
        assert_true(cst_chain_map(chain, count_runs, runs, NULL, NULL));
        for (guint n = 0; n < runs->len; n++) {
            const CstMapRun *run = &g_array_index(runs, CstMapRun, n);
            gboolean there = run->start >= 2 * CST_MIB && run->start < 3 * CST_MIB;

            assert_int_equal(run->present, there);
            assert_int_equal(run->data, there);
            assert_int_equal(run->has_offset, there);
            assert_int_equal(run->zero, !there);
        }
    }
}

/* --- measure ---------------------------------------------------------------------------------- */

static void test_measure_equals_the_size_after_creation(void **state)
{
    static const uint64_t clusters[] = {512, 4096, 65536, 2 * CST_MIB};

    for (size_t i = 0; i < G_N_ELEMENTS(clusters); i++) {
        const CstImageCreate options = {
            .capacity = 5 * CST_MIB + 512,
            .cluster_size = clusters[i],
            .preallocation = CST_PREALLOC_METADATA,
        };
        g_autoptr(CstBlob) file = cst_blob_memory_new(NULL, 0);
        CstImageMeasure measure;
        uint64_t size = 0;

        assert_true(cst_image_measure(format("qcow2"), &options, NULL, &measure, NULL, NULL));
        assert_true(cst_image_create(file, format("qcow2"), &options, NULL, NULL));
        assert_true(cst_blob_get_size(file, &size, NULL));
        assert_true(size <= measure.fully_allocated);
        /* at most the rounding of the guest data's space, and one table */
        assert_true(size + 2 * MAX(clusters[i], 65536) >= measure.fully_allocated);
    }
}

static void test_measure_refuses_the_options_that_creation_refuses(void **state)
{
    static const struct {
        const char *format;
        CstImageCreate options;
    } bad[] = {
        {"iso", {0}},
        {"qcow2", {.cluster_size = 3072}},
        {"raw", {.cluster_size = 65536}},
        {"vdi", {.subformat = "round"}},
        {"vpc", {.capacity = 3 * CST_TIB}},
        {"vhdx", {.block_size = 3 * CST_MIB}},
        {"vmdk", {.subformat = "streamOptimized", .preallocation = CST_PREALLOC_FULL}},
        {"qcow2", {.capacity = UINT64_MAX}},
    };

    for (size_t i = 0; i < G_N_ELEMENTS(bad); i++) {
        g_autoptr(GError) error = NULL;
        CstImageMeasure measure;

        assert_false(cst_image_measure(format(bad[i].format), &bad[i].options, NULL, &measure, NULL,
                                       &error));
        assert_non_null(error);
    }
}

/* --- hold ------------------------------------------------------------------------------------- */

static CstBlob *file_again(const char *path)
{
    return cst_blob_file_new(open(path, O_RDWR | O_CLOEXEC), path, TRUE, NULL);
}

static gboolean is_locked(CstBlob *blob, off_t byte)
{
    struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = byte, .l_len = 1};

    assert_int_equal(fcntl(cst_blob_file_fd(blob), F_OFD_GETLK, &lock), 0);
    return lock.l_type != F_UNLCK;
}

static void test_held_files_refuse_a_second_writer(void **state)
{
    g_autofree char *path = g_build_filename(g_get_tmp_dir(), "hold-XXXXXX", NULL);
    int fd = g_mkstemp(path);
    g_autoptr(CstBlob) a = cst_blob_file_new(fd, path, TRUE, NULL);
    g_autoptr(CstBlob) b = file_again(path);
    g_autoptr(GError) error = NULL;

    assert_true(cst_image_hold(a, NULL));
    for (off_t byte = 99; byte < 210; byte++)
        assert_int_equal(is_locked(b, byte),
                         byte == 100 || byte == 101 || byte == 103 || byte == 201 || byte == 203);
    assert_false(cst_image_hold(b, &error));
    assert_true(g_error_matches(error, CST_ERROR, CST_ERROR_BUSY));
    assert_false(is_locked(a, 101)); /* the image that lost has released its lock */
    g_clear_pointer(&a, cst_blob_unref);
    assert_true(cst_image_hold(b, NULL));
    unlink(path);
}

/* --- options ---------------------------------------------------------------------------------- */

static void test_options_of_all_kinds(void **state)
{
    g_auto(CstImageOptions) options = {0};
    g_autoptr(GError) error = NULL;

    assert_true(cst_image_options_parse(&options, format("qcow2"),
                                        "cluster_size=4k,lazy_refcounts,compat=v3,size=1G,"
                                        "backing_file=a,,b,,,backing_fmt=raw,refcount_bits=8,"
                                        "preallocation=falloc",
                                        &error));
    assert_int_equal(options.create.cluster_size, 4096);
    assert_true(options.create.lazy_refcounts);
    assert_string_equal(options.create.compat, "1.1");
    assert_true(options.has_size);
    assert_int_equal(options.create.capacity, CST_GIB);
    assert_string_equal(options.create.backing, "a,b,");
    assert_int_equal(options.create.refcount_bits, 8);
    assert_int_equal(options.create.preallocation, CST_PREALLOC_FALLOC);
}

static void test_options_refuse_nonsense(void **state)
{
    static const char *const bad[] = {
        "=",           "cluster_size=",    "cluster_size=-1", "compat", "compat=",
        "size=12x",    "refcount_bits=-1", "nosuch=1",        ",",      "lazy_refcounts=yes",
        "subformat=x", "cluster_size=0",   "refcount_bits=0"};

    for (size_t i = 0; i < G_N_ELEMENTS(bad); i++) {
        g_auto(CstImageOptions) options = {0};
        g_autoptr(GError) error = NULL;
        gboolean ok = cst_image_options_parse(&options, format("qcow2"), bad[i], &error);

        /* "compat" alone is compat=on, which only the format knows to be wrong */
        if (strcmp(bad[i], "compat") == 0)
            assert_true(ok);
        else
            assert_true(!ok && error);
    }
}

/** Options as a user types them, and why they are refused; code 0: they are not. */
typedef struct {
    const char *format, *text;
    gboolean amends;
    int code;
    const char *message;
} Typed;

static const Typed typed[] = {
    {"qcow2", "size=1G,lazy_refcounts=off", TRUE, 0, NULL},
    {"qcow2", "cluster_size=64k", TRUE, CST_ERROR_ARGUMENT_UNSUPPORTED, "can't be changed"},
    {"qcow2", "preallocation=full", TRUE, CST_ERROR_ARGUMENT_UNSUPPORTED, "can't be changed"},
    {"qcow2", "encrypt.keyslot=1", TRUE, CST_ERROR_UNSUPPORTED, "'encrypt.keyslot': keys of"},
    {"qcow2", "encrypt.keyslot=1", FALSE, CST_ERROR_ARGUMENT_UNSUPPORTED, "has no option"},
    {"qcow2", "encrypt=on", TRUE, CST_ERROR_ARGUMENT_UNSUPPORTED, "has no option 'encrypt'"},
    {"qcow2", "e=on", TRUE, CST_ERROR_ARGUMENT_UNSUPPORTED, "has no option 'e'"},
    {"qcow2", "subformat=x", TRUE, CST_ERROR_ARGUMENT_UNSUPPORTED, "has no option 'subformat'"},
    {"qcow2", "lazy_refcounts=maybe", TRUE, CST_ERROR_INVALID, "can't be 'maybe'; it takes on|off"},
    {"vdi", "size=1G", TRUE, CST_ERROR_ARGUMENT_UNSUPPORTED, "can't be changed"},
    {"vdi", "static=on", FALSE, 0, NULL},
    {"vdi", "static=1", FALSE, CST_ERROR_INVALID, "it takes on|off"},
    {"vhdx", "block_size=0,log_size=2M", FALSE, 0, NULL},
    {"qed", "table_size=0", FALSE, CST_ERROR_INVALID, "it takes 1|2|4|8|16"},
};

static void test_refused_options_report_the_reason(void **state)
{
    for (size_t i = 0; i < G_N_ELEMENTS(typed); i++) {
        g_auto(CstImageOptions) options = {0};
        g_autoptr(GError) error = NULL;
        const CstImageFormat *of = format(typed[i].format);
        gboolean ok = typed[i].amends
                          ? cst_image_amend_parse(&options, of, typed[i].text, &error)
                          : cst_image_options_parse(&options, of, typed[i].text, &error);

        assert_int_equal(ok, typed[i].code == 0);
        if (ok)
            continue;
        if (!g_error_matches(error, CST_ERROR, typed[i].code) ||
            !strstr(error->message, typed[i].message))
            fail_msg("%s: %s", typed[i].text, error->message);
    }
}

static void test_switches_that_are_not_given_are_kept(void **state)
{
    static const struct {
        const char *text;
        CstAmendSwitch lazy, raw;
    } cases[] = {
        {"compat=v3", CST_AMEND_KEEP, CST_AMEND_KEEP},
        {"lazy_refcounts", CST_AMEND_ON, CST_AMEND_KEEP},
        {"lazy_refcounts=off,data_file_raw=on", CST_AMEND_OFF, CST_AMEND_ON},
        {"lazy_refcounts=on,lazy_refcounts=off", CST_AMEND_OFF, CST_AMEND_KEEP},
        {"data_file_raw=off", CST_AMEND_KEEP, CST_AMEND_OFF},
    };

    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_auto(CstImageOptions) options = {0};
        CstImageAmend amend;

        assert_true(cst_image_amend_parse(&options, format("qcow2"), cases[i].text, NULL));
        cst_image_amend_read(&options, &amend);
        assert_int_equal(amend.lazy_refcounts, cases[i].lazy);
        assert_int_equal(amend.data_file_raw, cases[i].raw);
        assert_false(amend.has_size);
    }
}

static void test_static_is_a_subformat(void **state)
{
    static const char *const words[][2] = {{"static=on", "static"}, {"static=off", "dynamic"}};

    for (size_t i = 0; i < G_N_ELEMENTS(words); i++) {
        g_auto(CstImageOptions) options = {0};

        assert_true(cst_image_options_parse(&options, format("vdi"), words[i][0], NULL));
        assert_string_equal(options.create.subformat, words[i][1]);
    }
}

static void test_a_copy_has_the_size_and_all_data_of_its_source(void **state)
{
    static const struct {
        const char *text;
        gboolean ok;
    } cases[] = {
        {"cluster_size=4k", TRUE},
        {"size=1G", FALSE},
        {"backing_file=a", FALSE},
        {"backing_fmt=raw", FALSE},
    };

    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_auto(CstImageOptions) options = {0};

        assert_true(cst_image_options_parse(&options, format("qcow2"), cases[i].text, NULL));
        assert_int_equal(cst_image_options_for_copy(&options, NULL), cases[i].ok);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_refused_options_report_the_reason),
        cmocka_unit_test(test_switches_that_are_not_given_are_kept),
        cmocka_unit_test(test_static_is_a_subformat),
        cmocka_unit_test(test_a_copy_has_the_size_and_all_data_of_its_source),
        cmocka_unit_test(test_compare_finds_the_first_difference),
        cmocka_unit_test(test_compare_treats_a_longer_rest_as_zero),
        cmocka_unit_test(test_compare_fails_with_the_storage),
        cmocka_unit_test(test_pack_reads_back_the_same),
        cmocka_unit_test(test_pack_fails_with_the_storage_and_stops_on_cancel),
        cmocka_unit_test(test_patch_writes_the_differences_inside_its_ranges),
        cmocka_unit_test(test_map_reports_allocation_of_the_image_itself),
        cmocka_unit_test(test_map_reports_absent_blocks),
        cmocka_unit_test(test_measure_equals_the_size_after_creation),
        cmocka_unit_test(test_measure_refuses_the_options_that_creation_refuses),
        cmocka_unit_test(test_held_files_refuse_a_second_writer),
        cmocka_unit_test(test_options_of_all_kinds),
        cmocka_unit_test(test_options_refuse_nonsense),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
