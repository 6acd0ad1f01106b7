/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A disk that is temporarily full or failing. A failed call leaves the state unchanged, or reports
 * its changes. libc functions are replaced, for SQLite as well.
 */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cmocka.h>

#include <base/error.h>
#include <base/log.h>
#include <base/units.h>
#include <service/images.h>
#include <service/trash.h>
#include <service/trust.h>
#include <store/trash.h>

#include "await.h"
#include "fixture.h"
#include "points.h"

/* --- the disk --------------------------------------------------------------------------------- */

typedef enum {
    NO_WRITES = 1 << 0,     /* below the path */
    NO_GROWTH = 1 << 1,     /* writes after the end of a file */
    NO_ALLOCATION = 1 << 2, /* fallocate() that reserves space */
    NO_DIR_SYNC = 1 << 3,   /* fsync() of the path itself */
} Fault;

static struct {
    GMutex lock;
    char *path; /* NULL: the disk works */
    unsigned faults;
    guint after;     /* calls that succeed before the faults begin */
    int write_errno; /* of failed writes; 0: ENOSPC */
} disk;

static void disk_fail(const char *path, unsigned faults, guint after)
{
    g_mutex_lock(&disk.lock);
    disk.write_errno = 0;
    disk.path = g_strdup(path);
    disk.faults = faults;
    disk.after = after;
    g_mutex_unlock(&disk.lock);
}

static void disk_fail_writes(const char *path, int code)
{
    disk_fail(path, NO_WRITES, 0);
    g_mutex_lock(&disk.lock);
    disk.write_errno = code;
    g_mutex_unlock(&disk.lock);
}

static void disk_repair(void)
{
    g_mutex_lock(&disk.lock);
    g_clear_pointer(&disk.path, g_free);
    g_mutex_unlock(&disk.lock);
}

/*
 * Returns whether a call on @fd fails now because of @faults. Then errno is @code. Otherwise it is
 * unchanged. The log of events calls it in another thread.
 */
static gboolean fails(int fd, unsigned faults, gboolean itself, int code)
{
    g_autofree char *link = g_strdup_printf("/proc/self/fd/%d", fd);
    int saved = errno;
    gboolean failed = FALSE;

    g_mutex_lock(&disk.lock);
    if (disk.path && (disk.faults & faults)) {
        g_autofree char *path = g_file_read_link(link, NULL);

        failed = path &&
                 (itself ? strcmp(path, disk.path) == 0 : g_str_has_prefix(path, disk.path)) &&
                 (disk.after == 0 || disk.after-- == 0);
        if (failed)
            saved = faults & NO_WRITES && disk.write_errno ? disk.write_errno : code;
    }
    g_mutex_unlock(&disk.lock);
    errno = saved;
    return failed;
}

ssize_t pwrite64(int fd, const void *buf, size_t len, off_t offset)
{
    struct stat st;
    gboolean grows = fstat(fd, &st) == 0 && offset + (off_t)len > st.st_size;

    if (fails(fd, NO_WRITES | (grows ? NO_GROWTH : 0), FALSE, ENOSPC))
        return -1;
    return syscall(SYS_pwrite64, fd, buf, len, offset);
}

int fallocate64(int fd, int mode, off_t offset, off_t len)
{
    if (mode == 0 && fails(fd, NO_ALLOCATION, FALSE, ENOSPC))
        return -1;
    return (int)syscall(SYS_fallocate, fd, mode, offset, len);
}

/* The tests need no durable data. */
int fsync(int fd)
{
    return fails(fd, NO_DIR_SYNC, TRUE, EIO) ? -1 : 0;
}

/* --- helpers ---------------------------------------------------------------------------------- */

static char *path_in(Fixture *f, const char *pool, const char *name)
{
    return g_build_filename(f->images, pool, name, NULL);
}

static void create_overlay(Fixture *f, CstPool *pool)
{
    g_autofree char *base = path_in(f, "p", "base");
    g_autofree char *more = g_strdup_printf("<backingStore><path>%s</path><format type='qcow2'/>"
                                            "</backingStore>",
                                            base);

    fixture_create(pool, "base", "qcow2", "");
    fixture_create(pool, "over", "qcow2", more);
}

static void assert_base_is_needed(CstPool *pool)
{
    g_autoptr(GError) error = NULL;

    assert_false(cst_vol_delete(pool, "base", 0, NULL, &error));
    assert_true(g_error_matches(error, CST_ERROR, CST_ERROR_BUSY));
}

static void assert_says(const GError *error, const char *text)
{
    assert_non_null(error);
    if (!strstr(error->message, text))
        fail_msg("'%s' is not in: %s", text, error->message);
}

/* Returns whether a directory of the service's own data is empty or missing. */
static gboolean is_empty(Fixture *f, const char *name)
{
    g_autofree char *path = g_build_filename(f->paths->data_dir, name, NULL);
    g_autoptr(GDir) dir = g_dir_open(path, 0, NULL);

    return !dir || !g_dir_read_name(dir);
}

/* --- declarations ----------------------------------------------------------------------------- */

static gboolean upload(CstPool *pool, GError **error)
{
    g_autoptr(CstUpload) stream = cst_vol_upload(pool, "over", 0, 0, 0, NULL, error);

    return stream && cst_upload_write(stream, "xxxx", 4, error) && cst_upload_finish(stream, error);
}

static void test_upload_without_space_for_its_record_keeps_the_declaration(void **state)
{
    Fixture *f = *state;
    g_autoptr(CstPool) pool = fixture_pool(f, "p");
    g_autoptr(GError) error = NULL;

    create_overlay(f, pool);
    disk_fail(f->paths->data_dir, NO_WRITES, 0);
    assert_false(upload(pool, &error));
    disk_repair();
    assert_true(g_error_matches(error, CST_ERROR, CST_ERROR_NO_SPACE));
    assert_says(error, f->paths->data_dir);
    assert_says(error, "No space left on device");
    assert_true(cst_pool_refresh(pool, 0, NULL, NULL));
    assert_base_is_needed(pool);
}

static void test_declaration_without_space_keeps_the_former_one(void **state)
{
    static const CstVolDeclare revoke = {.flags = CST_VOL_DECLARE_NOTHING};
    static const CstVolDeclare other = {.format = "raw"};
    const CstVolDeclare *calls[] = {&revoke, &other};
    Fixture *f = *state;
    g_autoptr(CstPool) pool = fixture_pool(f, "p");

    create_overlay(f, pool);
    for (size_t i = 0; i < G_N_ELEMENTS(calls); i++) {
        g_autoptr(GError) error = NULL;

        disk_fail(f->paths->data_dir, NO_WRITES, 0);
        assert_false(cst_vol_declare(pool, "over", calls[i], NULL, &error));
        disk_repair();
        assert_true(g_error_matches(error, CST_ERROR, CST_ERROR_NO_SPACE));
        assert_true(cst_pool_refresh(pool, 0, NULL, NULL));
        assert_base_is_needed(pool);
    }
}

static void test_mismatching_declaration_is_not_recorded(void **state)
{
    const CstVolDeclare wrong = {.backing = "elsewhere", .backing_format = "qcow2"};
    Fixture *f = *state;
    g_autoptr(CstPool) pool = fixture_pool(f, "p");
    g_autoptr(GError) error = NULL;

    create_overlay(f, pool);
    assert_false(cst_vol_declare(pool, "over", &wrong, NULL, &error));
    assert_true(g_error_matches(error, CST_ERROR, CST_ERROR_MISMATCH));
    assert_true(cst_pool_refresh(pool, 0, NULL, NULL));
    assert_base_is_needed(pool);
}

static void test_declaration_over_quota_is_refused_with_the_reason(void **state)
{
    static const CstVolDeclare other = {.format = "raw"};
    Fixture *f = *state;
    g_autoptr(CstPool) pool = fixture_pool(f, "p");
    g_autoptr(GError) error = NULL;

    create_overlay(f, pool);
    disk_fail_writes(f->paths->data_dir, EDQUOT);
    assert_false(cst_vol_declare(pool, "over", &other, NULL, &error));
    disk_repair();
    assert_true(g_error_matches(error, CST_ERROR, CST_ERROR_NO_SPACE));
    assert_says(error, "declarations.db");
    assert_says(error, g_strerror(EDQUOT));
}

/* --- deletions -------------------------------------------------------------------------------- */

static CstPool *pool_with_trash(Fixture *f)
{
    g_autoptr(CstPool) pool = fixture_pool(f, "p");
    g_autofree char *xml = cst_pool_get_xml(pool, CST_STORAGE_XML_INACTIVE, NULL);
    g_autoptr(GString) text = g_string_new(xml);

    g_string_replace(text, "</pool>",
                     "<c:trash xmlns:c='urn:cistern:storage:1.0' days='7'/></pool>", 1);
    return cst_service_pool_define(f->service, text->str, 0, NULL);
}

static guint count_trash(CstPool *pool)
{
    g_autoptr(GPtrArray) rows = cst_pool_trash_list(pool, NULL);

    assert_non_null(rows);
    return rows->len;
}

static void test_deletion_without_space_for_its_record_keeps_the_volume(void **state)
{
    Fixture *f = *state;
    g_autoptr(CstPool) pool = pool_with_trash(f);
    g_autofree char *records = g_build_filename(f->paths->data_dir, "trash", NULL);
    g_autoptr(GError) error = NULL;

    fixture_create(pool, "v", "raw", "");
    disk_fail(records, NO_WRITES, 0);
    assert_false(cst_vol_delete(pool, "v", 0, NULL, &error));
    disk_repair();
    assert_true(g_error_matches(error, CST_ERROR, CST_ERROR_NO_SPACE));
    assert_says(error, records);
    assert_true(fixture_exists(f, "p", "v"));
    assert_int_equal(count_trash(pool), 0);
    assert_true(is_empty(f, "journal"));
    assert_true(cst_vol_delete(pool, "v", 0, NULL, NULL));
    assert_int_equal(count_trash(pool), 1);
}

static void test_unsynced_deletion_reports_that_it_is_done(void **state)
{
    Fixture *f = *state;
    g_autoptr(CstPool) pool = fixture_pool(f, "p");
    g_autofree char *dir = path_in(f, "p", NULL);
    g_autoptr(GError) error = NULL;

    fixture_create(pool, "v", "raw", "");
    disk_fail(dir, NO_DIR_SYNC, 0);
    assert_false(cst_vol_delete(pool, "v", 0, NULL, &error));
    disk_repair();
    assert_false(fixture_exists(f, "p", "v"));
    assert_says(error, "volume 'v' is deleted, but a power cut may undo that (check the disk, then "
                       "run sync): cannot sync directory '");
}

/* --- space ------------------------------------------------------------------------------------ */

static void test_growth_that_cannot_be_allocated_is_undone(void **state)
{
    static const char *const formats[] = {"raw", "qcow2", "vdi",      "vhdx",
                                          "vpc", "vmdk",  "parallels"};
    Fixture *f = *state;
    g_autoptr(CstPool) pool = fixture_pool(f, "p");

    point_watch("image.resize.undo");
    for (size_t i = 0; i < G_N_ELEMENTS(formats); i++) {
        g_autofree char *path = path_in(f, "p", formats[i]);
        g_auto(CstCheckReport) report = {0};
        g_autoptr(GError) error = NULL;
        CstVolInfo info;

        fixture_create(pool, formats[i], formats[i], "");
        disk_fail(path, NO_ALLOCATION, 0);
        if (cst_vol_resize(pool, formats[i], 96 * CST_MIB, CST_VOL_RESIZE_ALLOCATE, NULL, &error))
            fail_msg("%s grows without space", formats[i]);
        disk_repair();
        assert_true(g_error_matches(error, CST_ERROR, CST_ERROR_NO_SPACE));
        assert_true(cst_vol_get_info(pool, formats[i], &info, NULL));
        if (info.capacity != CST_MIB)
            fail_msg("%s has %" G_GUINT64_FORMAT " bytes", formats[i], (guint64)info.capacity);
        if (cst_vol_check(pool, formats[i], 0, NULL, &report, NULL) && report.errors > 0)
            fail_msg("%s has %d errors", formats[i], (int)report.errors);
        assert_true(
            cst_vol_resize(pool, formats[i], 96 * CST_MIB, CST_VOL_RESIZE_ALLOCATE, NULL, NULL));
    }
    assert_true(point_passed("image.resize.undo") > 0);
    points_clear();
}

static void test_flatten_without_space_leaks_no_cluster(void **state)
{
    Fixture *f = *state;
    g_autoptr(CstPool) pool = fixture_pool(f, "p");
    g_autofree char *content = g_strnfill(4 * CST_MIB, 'x');
    g_autofree char *path = path_in(f, "p", "top");
    g_autofree char *more = NULL, *xml = NULL;
    const CstVolConvert how = {.name = "bottom", .format = "qcow2"};
    gboolean failed = TRUE;

    fixture_write(f, "p", "plain", content);
    assert_true(cst_pool_refresh(pool, 0, NULL, NULL));
    assert_true(cst_vol_convert(pool, pool, "plain", &how, NULL, NULL));
    xml = g_strdup_printf("<volume><name>top</name><target><format type='qcow2'/></target>"
                          "<backingStore><path>%s/p/bottom</path></backingStore></volume>",
                          f->images);
    for (guint after = 0; failed; after++) {
        g_auto(CstCheckReport) report = {0};
        CstCompareReport compared = {0};
        g_autoptr(GError) error = NULL;

        fixture_create_xml(pool, xml);
        disk_fail(path, NO_GROWTH, after);
        failed = !cst_vol_flatten(pool, "top", NULL, &error);
        disk_repair();
        assert_true(failed || after > 0);
        if (failed)
            assert_true(g_error_matches(error, CST_ERROR, CST_ERROR_NO_SPACE));
        assert_true(cst_vol_check(pool, "top", 0, NULL, &report, NULL));
        if (report.errors + report.leaks > 0)
            fail_msg("write %u: %d errors, %d leaks", after, (int)report.errors, (int)report.leaks);
        assert_true(cst_vol_compare(pool, "top", pool, "plain", NULL, &compared, NULL));
        assert_true(compared.same);
        assert_true(cst_vol_delete(pool, "top", 0, NULL, NULL));
    }
}

/* --- the log ---------------------------------------------------------------------------------- */

static guint warnings;

static GLogWriterOutput count_warning(GLogLevelFlags level, const GLogField *fields, gsize count,
                                      gpointer unused)
{
    for (gsize i = 0; i < count; i++)
        if (g_str_equal(fields[i].key, "MESSAGE") && strstr(fields[i].value, "'odd'"))
            warnings++;
    return G_LOG_WRITER_HANDLED;
}

static void test_odd_file_is_logged_once_for_each_content(void **state)
{
    Fixture *f = *state;
    g_autoptr(CstPool) pool = fixture_pool(f, "p");

    warnings = 0;
    fixture_write(f, "p", "odd", "QFI\xfb and no image");
    for (int i = 0; i < 3; i++)
        assert_true(cst_pool_refresh(pool, 0, NULL, NULL));
    assert_int_equal(warnings, 1);
    fixture_write(f, "p", "odd", "QFI\xfb and still no image");
    for (int i = 0; i < 3; i++)
        assert_true(cst_pool_refresh(pool, 0, NULL, NULL));
    assert_int_equal(warnings, 2);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_upload_without_space_for_its_record_keeps_the_declaration),
        TEST(test_declaration_without_space_keeps_the_former_one),
        TEST(test_declaration_over_quota_is_refused_with_the_reason),
        TEST(test_mismatching_declaration_is_not_recorded),
        TEST(test_deletion_without_space_for_its_record_keeps_the_volume),
        TEST(test_unsynced_deletion_reports_that_it_is_done),
        TEST(test_growth_that_cannot_be_allocated_is_undone),
        TEST(test_flatten_without_space_leaks_no_cluster),
        TEST(test_odd_file_is_logged_once_for_each_content),
    };

    g_log_set_writer_func(count_warning, NULL, NULL);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
