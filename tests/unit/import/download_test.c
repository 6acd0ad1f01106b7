/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Interrupted downloads that continue: the first requested byte, the durable bytes, and the
 * remaining files. Writes and syncs go through this file, which makes them fail on demand.
 */
#include "points.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include <base/file.h>
#include <base/place.h>

#include "download.h"
#include "fake_curl.h"

#define MIB  (1024 * 1024)
#define SIZE (2 * MIB + 333)
#define SYNC (32 * MIB) /* received bytes are synced at this interval */

ssize_t __real_pwrite64(int fd, const void *buf, size_t len, off_t offset);
ssize_t __wrap_pwrite64(int fd, const void *buf, size_t len, off_t offset);
int __wrap_fdatasync(int fd);
gboolean __real_cst_place_replace(const CstPlace *place, const void *data, size_t len, mode_t mode,
                                  gboolean replace, GError **error);
gboolean __wrap_cst_place_replace(const CstPlace *place, const void *data, size_t len, mode_t mode,
                                  gboolean replace, GError **error);

static gint64 writes_left; /* number before one fails; -1: no write fails */
static gboolean syncs_fail;
static uint64_t on_disk; /* size of the file at its last sync */
static guint saves;      /* replacements of KEY.info */
static uint64_t saved;   /* bytes that the last of them speaks of */

ssize_t __wrap_pwrite64(int fd, const void *buf, size_t len, off_t offset)
{
    if (writes_left == 0) {
        writes_left = -1;
        errno = ENOSPC;
        return -1;
    }
    writes_left -= writes_left > 0;
    return __real_pwrite64(fd, buf, len, offset);
}

int __wrap_fdatasync(int fd)
{
    struct stat st;

    if (syncs_fail) {
        errno = EIO;
        return -1;
    }
    assert_int_equal(fstat(fd, &st), 0);
    on_disk = (uint64_t)st.st_size;
    return 0;
}

/* Verifies that the recorded bytes are on the disk. */
gboolean __wrap_cst_place_replace(const CstPlace *place, const void *data, size_t len, mode_t mode,
                                  gboolean replace, GError **error)
{
    g_autoptr(GKeyFile) file = g_key_file_new();

    assert_true(g_key_file_load_from_data(file, data, len, G_KEY_FILE_NONE, NULL));
    saved = g_key_file_get_uint64(file, "download", "done", NULL);
    assert_true(saved <= on_disk);
    saves++;
    return __real_cst_place_replace(place, data, len, mode, replace, error);
}

/* --- the fixture ------------------------------------------------------------------------------ */

static char *dir;  /* for spools */
static char *part; /* of the download; NULL: not known yet */
static CstImportHow how;
static ImportContext context;

static int set_up(void **state)
{
    fake_server_reset(SIZE);
    dir = g_dir_make_tmp("download-XXXXXX", NULL);
    how = (CstImportHow){.source = "http://server/file", .spool_dir = dir};
    context = (ImportContext){.how = &how, .max_size = CST_IMPORT_MAX_SIZE, .timeout_s = 30};
    writes_left = -1;
    syncs_fail = FALSE;
    on_disk = saved = saves = 0;
    return 0;
}

static int tear_down(void **state)
{
    g_autofree char *command = g_strdup_printf("rm -rf '%s'", dir);

    assert_int_equal(system(command), 0);
    g_clear_pointer(&dir, g_free);
    g_clear_pointer(&part, g_free);
    return 0;
}

static char *own_dir(void)
{
    return g_strdup_printf("%s/cistern-%u", dir, (unsigned)geteuid());
}

/* How many files the directory of downloads has; finds the one with the bytes. */
static guint count_files(void)
{
    g_autofree char *own = own_dir();
    g_autoptr(GDir) entries = g_dir_open(own, 0, NULL);
    const char *name;
    guint count = 0;

    while (entries && (name = g_dir_read_name(entries))) {
        count++;
        if (g_str_has_suffix(name, ".part")) {
            g_free(part);
            part = g_build_filename(own, name, NULL);
        }
    }
    return count;
}

static ImportHttp *open_http(void)
{
    g_autoptr(GError) error = NULL;
    ImportHttp *http;

    fake_server_clear_script();
    http = import_http_open(&context, how.source, &error);
    assert_null(error);
    fake_server_clear_script();
    return http;
}

static void assert_content(const ImportDownload *download)
{
    CstBlob *blob = import_download_blob(download);
    g_autofree uint8_t *bytes = g_malloc(fake_server.size);
    uint64_t size;

    assert_true(cst_blob_get_size(blob, &size, NULL));
    assert_int_equal(size, fake_server.size);
    assert_true(cst_blob_pread(blob, bytes, size, 0, NULL));
    for (uint64_t i = 0; i < size; i++)
        if (bytes[i] != fake_server_byte(fake_server.version, i))
            fail_msg("byte %u of the content is another one", (unsigned)i);
}

/* The requests from the @first one on break, each after so many bytes. */
static void break_requests(guint first, int after)
{
    for (guint i = first; i < FAKE_REQUESTS; i++)
        fake_server.script[i].break_at = after + 1;
}

/* Breaks after @done bytes, and keeps the received part. */
static void leave_part(int done)
{
    g_autoptr(ImportHttp) http = open_http();
    g_autoptr(GError) error = NULL;
    gboolean busy;

    fake_server.script[0].break_at = done + 1;
    break_requests(1, 0);
    assert_null(import_download(&context, http, &busy, &error));
    assert_false(busy);
    assert_true(g_error_matches(error, CST_ERROR, CST_ERROR_IO));
    assert_int_equal(saved, done);
    assert_int_equal(count_files(), 2);
}

/* Downloads the file. The first request must ask for @range; "": no request. */
static void assert_goes_on(const char *range)
{
    g_autoptr(ImportHttp) http = open_http();
    g_autoptr(ImportDownload) download = NULL;
    g_autoptr(GError) error = NULL;
    gboolean busy;

    download = import_download(&context, http, &busy, &error);
    assert_null(error);
    assert_non_null(download);
    assert_string_equal(fake_server.asked[0], range);
    assert_content(download);
    assert_int_equal(saved, fake_server.size);
    /* The file is kept until it is no longer needed. */
    assert_int_equal(count_files(), 2);
    import_download_forget(download);
    assert_int_equal(count_files(), 0);
}

/* --- going on --------------------------------------------------------------------------------- */

static void interrupted_download_continues_at_its_last_byte(void **state)
{
    leave_part(1000000);
    assert_goes_on("1000000-2097484 if a");
}

static void complete_download_sends_no_request(void **state)
{
    g_autoptr(ImportHttp) http = open_http();
    gboolean busy;

    import_download_free(import_download(&context, http, &busy, NULL));
    assert_int_equal(count_files(), 2);
    saved = 0;
    assert_true(SIZE == fake_server.size);
    {
        g_autoptr(ImportHttp) again = open_http();
        g_autoptr(ImportDownload) download = import_download(&context, again, &busy, NULL);

        assert_int_equal(fake_server.requests, 0);
        assert_content(download);
    }
}

static void another_version_begins_anew(void **state)
{
    leave_part(1000000);
    fake_server.version = 'b';
    assert_goes_on("0-2097484 if b");
}

static void another_size_begins_anew(void **state)
{
    leave_part(1000000);
    fake_server.size = SIZE - 1;
    assert_goes_on("0-2097483 if a");
}

/* After a power cut the file may have bytes that were never written. */
static void bytes_after_the_durable_part_are_requested_again(void **state)
{
    g_autofree char *garbage = g_strnfill(500000, 'x');
    int fd;

    leave_part(1000000);
    fd = open(part, O_WRONLY | O_CLOEXEC);
    assert_int_equal(__real_pwrite64(fd, garbage, 500000, 1000000), 500000);
    close(fd);
    assert_goes_on("1000000-2097484 if a");
}

static void file_longer_than_the_content_is_cut(void **state)
{
    leave_part(1000000);
    assert_int_equal(truncate(part, SIZE + 5000), 0);
    assert_goes_on("1000000-2097484 if a");
}

static void file_shorter_than_was_noted_begins_anew(void **state)
{
    leave_part(1000000);
    assert_int_equal(truncate(part, 999999), 0);
    assert_goes_on("0-2097484 if a");
}

static void file_without_a_note_begins_anew(void **state)
{
    g_autofree char *info = NULL;

    leave_part(1000000);
    info = g_strdup(part);
    memcpy(info + strlen(info) - strlen(".info"), ".info", strlen(".info"));
    assert_int_equal(unlink(info), 0);
    assert_goes_on("0-2097484 if a");
}

static void long_download_is_made_durable_on_its_way(void **state)
{
    fake_server_reset(2 * (uint64_t)SYNC + 1000);
    {
        g_autoptr(ImportHttp) http = open_http();
        gboolean busy;

        import_download_free(import_download(&context, http, &busy, NULL));
    }
    assert_int_equal(saves, 3);
    assert_int_equal(saved, fake_server.size);
}

/* --- failures --------------------------------------------------------------------------------- */

static void cancel_task(gpointer task)
{
    cst_task_cancel(task);
}

static void full_disk_is_reported_and_the_download_continues_later(void **state)
{
    g_autoptr(ImportHttp) http = open_http();
    g_autoptr(GError) error = NULL;
    gboolean busy;

    writes_left = 3;
    assert_null(import_download(&context, http, &busy, &error));
    assert_true(g_error_matches(error, CST_ERROR, CST_ERROR_NO_SPACE));
    assert_int_equal(count_files(), 2);
    assert_int_equal(saved, 3 * 16384);
    assert_goes_on("49152-2097484 if a");
}

/* Bytes that a failed sync may have lost do not count as present. */
static void failed_sync_is_reported_and_not_recorded(void **state)
{
    g_autoptr(ImportHttp) http = open_http();
    g_autoptr(GError) error = NULL;
    gboolean busy;

    syncs_fail = TRUE;
    assert_null(import_download(&context, http, &busy, &error));
    assert_true(g_error_matches(error, CST_ERROR, CST_ERROR_IO));
    assert_int_equal(saves, 0);
    syncs_fail = FALSE;
    assert_goes_on("0-2097484 if a");
}

/* A damaged download starts from the beginning. An interrupted one continues. */
static void damaged_download_is_removed_and_a_cancelled_one_is_not(void **state)
{
    for (int cancelled = 0; cancelled < 2; cancelled++) {
        g_autoptr(CstTask) task = cst_task_new();
        g_autoptr(GError) error = NULL;

        fake_server_clear_script();
        how.checksum = "sha256:"
                       "0000000000000000000000000000000000000000000000000000000000000000";
        if (cancelled)
            point_run("download.part.opened", cancel_task, task);
        assert_null(cst_import_open(&how, task, &error));
        assert_int_equal(error->code, cancelled ? CST_ERROR_CANCELLED : CST_ERROR_MISMATCH);
        assert_int_equal(count_files(), cancelled ? 2 : 0);
        if (cancelled)
            points_clear();
    }
}

/* --- several imports -------------------------------------------------------------------------- */

static void second_import_of_the_same_file_does_not_share_it(void **state)
{
    g_autoptr(ImportHttp) http = open_http(), other = open_http();
    g_autoptr(ImportDownload) download = NULL;
    g_autoptr(GError) error = NULL;
    gboolean busy;

    download = import_download(&context, http, &busy, NULL);
    assert_non_null(download);
    assert_null(import_download(&context, other, &busy, &error));
    assert_true(busy);
    assert_null(error);
    assert_content(download);
    /* The lock is held as long as the blob is. */
    {
        g_autoptr(CstBlob) blob = cst_blob_ref(import_download_blob(download));

        import_download_free(g_steal_pointer(&download));
        assert_null(import_download(&context, other, &busy, &error));
        assert_true(busy);
    }
    download = import_download(&context, other, &busy, NULL);
    assert_non_null(download);
}

static void remove_part(gpointer data)
{
    count_files();
    assert_int_equal(unlink(part), 0);
}

/* Another import has finished, and removed the file, between its opening and its lock. */
static void file_that_was_removed_before_the_lock_is_made_anew(void **state)
{
    g_autoptr(ImportHttp) http = open_http();
    g_autoptr(ImportDownload) download = NULL;
    gboolean busy;

    point_run("download.part.opened", remove_part, NULL);
    download = import_download(&context, http, &busy, NULL);
    assert_non_null(download);
    assert_int_equal(point_passed("download.part.opened"), 2);
    points_clear();
    assert_content(download);
    assert_int_equal(count_files(), 2);
    import_download_forget(download);
    assert_int_equal(count_files(), 0);
}

static void set_age(time_t days)
{
    const struct timespec times[2] = {{.tv_sec = time(NULL) - days * 24 * 60 * 60, .tv_nsec = 0},
                                      {.tv_sec = time(NULL) - days * 24 * 60 * 60, .tv_nsec = 0}};

    assert_int_equal(utimensat(AT_FDCWD, part, times, 0), 0);
}

/* Downloads of other files are removed when they are old, and not in use. */
static void old_downloads_are_removed_unless_they_are_in_use(void **state)
{
    static const struct {
        int days;
        gboolean locked;
        guint files; /* of both downloads */
    } rows[] = {{6, FALSE, 4}, {8, TRUE, 4}, {8, FALSE, 2}};

    how.source = "http://server/other";
    leave_part(1000);
    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        g_autoptr(ImportHttp) http = NULL;
        g_autoptr(ImportDownload) download = NULL;
        gboolean busy;
        int fd;

        how.source = "http://server/file";
        set_age(rows[i].days);
        fd = open(part, O_RDWR | O_CLOEXEC);
        if (rows[i].locked)
            assert_int_equal(flock(fd, LOCK_EX | LOCK_NB), 0);
        {
            g_autofree char *other = g_strdup(part);

            http = open_http();
            download = import_download(&context, http, &busy, NULL);
            assert_non_null(download);
            assert_int_equal(count_files(), rows[i].files);
            import_download_forget(download);
            g_free(part);
            part = g_steal_pointer(&other);
        }
        close(fd);
    }
}

static void directory_of_other_users_is_refused(void **state)
{
    g_autofree char *own = own_dir();
    g_autoptr(ImportHttp) http = open_http();
    g_autoptr(GError) error = NULL;
    gboolean busy;

    assert_int_equal(mkdir(own, 0700), 0);
    assert_int_equal(chmod(own, 0750), 0);
    assert_null(import_download(&context, http, &busy, &error));
    assert_true(g_error_matches(error, CST_ERROR, CST_ERROR_DENIED));
    assert_false(busy);
}

#define download_test(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        download_test(interrupted_download_continues_at_its_last_byte),
        download_test(complete_download_sends_no_request),
        download_test(another_version_begins_anew),
        download_test(another_size_begins_anew),
        download_test(bytes_after_the_durable_part_are_requested_again),
        download_test(file_longer_than_the_content_is_cut),
        download_test(file_shorter_than_was_noted_begins_anew),
        download_test(file_without_a_note_begins_anew),
        download_test(long_download_is_made_durable_on_its_way),
        download_test(full_disk_is_reported_and_the_download_continues_later),
        download_test(failed_sync_is_reported_and_not_recorded),
        download_test(damaged_download_is_removed_and_a_cancelled_one_is_not),
        download_test(second_import_of_the_same_file_does_not_share_it),
        download_test(file_that_was_removed_before_the_lock_is_made_anew),
        download_test(old_downloads_are_removed_unless_they_are_in_use),
        download_test(directory_of_other_users_is_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
