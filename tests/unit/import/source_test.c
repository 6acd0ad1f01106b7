/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Imports of files: the sent bytes, detection of changes, and refused names. */
#include "points.h"

#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>
#include <glib/gstdio.h>
#include <zlib.h>

#include <base/error.h>
#include <import/import.h>

#include "archive.h"

typedef struct {
    char *dir, *path;
    GByteArray *sent; /* holes as zeroes */
    uint64_t holes;   /* bytes */
} World;

static int make(void **state)
{
    World *world = g_new0(World, 1);

    world->dir = g_dir_make_tmp("import-XXXXXX", NULL);
    world->path = g_build_filename(world->dir, "disk.raw", NULL);
    world->sent = g_byte_array_new();
    *state = world;
    return world->dir == NULL;
}

static int drop(void **state)
{
    World *world = *state;

    g_unlink(world->path);
    g_rmdir(world->dir);
    g_free(world->dir);
    g_free(world->path);
    g_byte_array_unref(world->sent);
    g_free(world);
    return 0;
}

static gboolean take(const void *bytes, size_t len, uint64_t hole, gpointer data, GError **error)
{
    World *world = data;
    guint before = world->sent->len;

    g_byte_array_append(world->sent, bytes, (guint)len);
    if (hole > 0) {
        g_byte_array_set_size(world->sent, (guint)(before + hole));
        memset(world->sent->data + before, 0, hole);
        world->holes += hole;
    }
    return TRUE;
}

static void test_runs_in_order(void **state)
{
    World *world = *state;
    CstImportHow how = {.source = world->path};
    g_autoptr(CstImport) import = NULL;
    g_autoptr(GError) error = NULL;
    int fd = open(world->path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);

    assert_int_equal(pwrite(fd, "data", 4, 3 << 20), 4);
    assert_int_equal(ftruncate(fd, (4 << 20) + 17), 0);
    import = cst_import_open(&how, NULL, &error);
    assert_null(error);
    assert_string_equal(cst_import_format(import, 0), "raw");
    assert_int_equal(cst_import_capacity(import, 0), (4 << 20) + 17);
    assert_true(cst_import_send(import, 0, take, world, &error));
    assert_int_equal(world->sent->len, (4 << 20) + 17);
    assert_memory_equal(world->sent->data + (3 << 20), "data", 4);
    assert_true(world->holes > 3 << 20);
    close(fd);
}

/* Writes a byte of the file until its time has changed. */
static void change_file(gpointer data)
{
    const World *world = data;
    int fd = open(world->path, O_WRONLY | O_CLOEXEC);
    struct stat before, after;

    assert_int_equal(fstat(fd, &before), 0);
    do {
        assert_int_equal(pwrite(fd, "1", 1, 0), 1);
        assert_int_equal(fstat(fd, &after), 0);
    } while (before.st_ctim.tv_sec == after.st_ctim.tv_sec &&
             before.st_ctim.tv_nsec == after.st_ctim.tv_nsec);
    close(fd);
}

/* Not by its size, which is the same: by the file's times. */
static void test_a_file_that_changes_while_it_is_sent(void **state)
{
    World *world = *state;
    CstImportHow how = {.source = world->path, .format = "raw"};
    g_autoptr(CstImport) import = NULL;
    g_autoptr(GError) error = NULL;

    assert_true(g_file_set_contents(world->path, "0", 1, NULL));
    import = cst_import_open(&how, NULL, &error);
    assert_null(error);
    change_file(world);
    assert_false(cst_import_send(import, 0, take, world, &error));
    assert_int_equal(error->code, CST_ERROR_MISMATCH);
}

static GByteArray *compress_gzip(const char *text, size_t len)
{
    GByteArray *packed = g_byte_array_new();
    uint8_t out[1024];
    z_stream stream = {.next_in = (Bytef *)text, .avail_in = (uInt)len};

    stream.next_out = out;
    stream.avail_out = sizeof(out);
    assert_int_equal(deflateInit2(&stream, 9, Z_DEFLATED, 16 + MAX_WBITS, 8, Z_DEFAULT_STRATEGY),
                     Z_OK);
    assert_int_equal(deflate(&stream, Z_FINISH), Z_STREAM_END);
    deflateEnd(&stream);
    return g_byte_array_append(packed, out, (guint)(sizeof(out) - stream.avail_out));
}

static void save_bytes(const World *world, const GByteArray *bytes)
{
    assert_true(g_file_set_contents(world->path, (char *)bytes->data, bytes->len, NULL));
}

/* Parts of two versions would be one content, if the compression has no digest of its own. */
static void file_that_changes_while_it_is_unpacked_is_refused(void **state)
{
    World *world = *state;
    CstImportHow how = {.source = world->path, .format = "raw", .spool_dir = world->dir};
    g_autoptr(GByteArray) packed = compress_gzip("content", 7);
    g_autoptr(GError) error = NULL;
    g_autoptr(CstImport) import = NULL;

    save_bytes(world, packed);
    point_run("import_source.spooled", change_file, world);
    assert_null(cst_import_open(&how, NULL, &error));
    assert_int_equal(error->code, CST_ERROR_MISMATCH);
    points_clear();
    save_bytes(world, packed);
    import = cst_import_open(&how, NULL, NULL);
    assert_non_null(import);
    assert_true(cst_import_send(import, 0, take, world, NULL));
    assert_int_equal(world->sent->len, 7);
    assert_memory_equal(world->sent->data, "content", 7);
}

static void archive_that_changes_while_it_is_unpacked_is_refused(void **state)
{
    World *world = *state;
    CstImportHow how = {.source = world->path, .spool_dir = world->dir};
    g_autoptr(GByteArray) packed = g_byte_array_new();
    g_autoptr(GError) error = NULL;

    archive_add(packed, '0', "disk", "content", 7);
    archive_end(packed);
    save_bytes(world, packed);
    point_run("import_source.extracted", change_file, world);
    assert_null(cst_import_open(&how, NULL, &error));
    assert_int_equal(error->code, CST_ERROR_MISMATCH);
    points_clear();
}

static char *checksum_of(const GByteArray *bytes)
{
    g_autofree char *hex = g_compute_checksum_for_data(G_CHECKSUM_SHA256, bytes->data, bytes->len);

    return g_strconcat("sha256:", hex, NULL);
}

/* Of the file as it is, with the padding that no decompressor needs. */
static void checksum_is_that_of_the_whole_compressed_file(void **state)
{
    World *world = *state;
    CstImportHow how = {.source = world->path, .format = "raw", .spool_dir = world->dir};
    g_autoptr(GByteArray) packed = compress_gzip("content", 7);
    g_autofree char *alone = checksum_of(packed), *padded = NULL;
    static const uint8_t padding[5000];
    g_autoptr(CstImport) import = NULL;
    g_autoptr(GError) error = NULL;

    g_byte_array_append(packed, padding, sizeof(padding));
    padded = checksum_of(packed);
    save_bytes(world, packed);
    how.checksum = alone;
    assert_null(cst_import_open(&how, NULL, &error));
    assert_int_equal(error->code, CST_ERROR_MISMATCH);
    how.checksum = padded;
    import = cst_import_open(&how, NULL, NULL);
    assert_non_null(import);
}

/* A file that is writable for other users is read once, so the sent bytes are the verified ones. */
static void file_of_other_users_is_sent_as_it_was_verified(void **state)
{
    World *world = *state;
    CstImportHow how = {.source = world->path, .format = "raw", .spool_dir = world->dir};
    g_autoptr(GByteArray) bytes = g_byte_array_new();
    g_autofree char *checksum = NULL;

    g_byte_array_append(bytes, (const uint8_t *)"0 is verified", 13);
    how.checksum = checksum = checksum_of(bytes);
    for (int others = 0; others < 2; others++) {
        g_autoptr(CstImport) import = NULL;
        g_autoptr(GError) error = NULL;

        save_bytes(world, bytes);
        assert_int_equal(chmod(world->path, others ? 0622 : 0600), 0);
        import = cst_import_open(&how, NULL, NULL);
        assert_non_null(import);
        change_file(world);
        g_byte_array_set_size(world->sent, 0);
        assert_int_equal(cst_import_send(import, 0, take, world, &error), others);
        if (others)
            assert_memory_equal(world->sent->data, bytes->data, bytes->len);
        else
            assert_int_equal(error->code, CST_ERROR_MISMATCH);
    }
}

static void zeroes_at_the_end_of_a_spool_are_content(void **state)
{
    World *world = *state;
    CstImportHow how = {.source = world->path, .format = "raw", .spool_dir = world->dir};
    const size_t len = 300000;
    g_autofree char *text = g_malloc0(len);
    g_autoptr(GByteArray) packed = NULL;
    g_autoptr(CstImport) import = NULL;

    memcpy(text, "content", 7);
    packed = compress_gzip(text, len);
    save_bytes(world, packed);
    import = cst_import_open(&how, NULL, NULL);
    assert_non_null(import);
    assert_int_equal(cst_import_capacity(import, 0), len);
    assert_true(cst_import_send(import, 0, take, world, NULL));
    assert_int_equal(world->sent->len, len);
    assert_memory_equal(world->sent->data, text, len);
}

#define FLOOD (64 << 20)

static gpointer flood_pipe(gpointer data)
{
    const World *world = data;
    g_autofree char *piece = g_malloc(1 << 20);
    int fd = open(world->path, O_WRONLY | O_CLOEXEC);
    size_t written = 0;

    memset(piece, 'x', 1 << 20);
    while (written < FLOOD && write(fd, piece, 1 << 20) == 1 << 20)
        written += 1 << 20;
    close(fd);
    return GSIZE_TO_POINTER(written);
}

/* A pipe has no known length. */
static void pipe_that_is_too_long_is_not_spooled_whole(void **state)
{
    World *world = *state;
    CstImportHow how = {
        .source = world->path, .format = "raw", .spool_dir = world->dir, .max_size = 1000};
    g_autoptr(GError) error = NULL;
    GThread *writer;

    signal(SIGPIPE, SIG_IGN);
    assert_int_equal(mkfifo(world->path, 0600), 0);
    writer = g_thread_new("writer", flood_pipe, world);
    assert_null(cst_import_open(&how, NULL, &error));
    assert_int_equal(error->code, CST_ERROR_LIMIT);
    assert_true(GPOINTER_TO_SIZE(g_thread_join(writer)) < FLOOD);
}

/* The directory of spools contains only the file itself after any failure. */
static void failed_import_leaves_no_spool_file(void **state)
{
    World *world = *state;
    CstImportHow how = {.source = world->path, .format = "raw", .spool_dir = world->dir};
    g_autoptr(GByteArray) packed = compress_gzip("content", 7);
    g_autoptr(GDir) entries = NULL;

    packed->data[packed->len - 6] ^= 1; /* of the CRC */
    save_bytes(world, packed);
    assert_null(cst_import_open(&how, NULL, NULL));
    packed->data[packed->len - 6] ^= 1;
    save_bytes(world, packed);
    how.max_size = 3;
    assert_null(cst_import_open(&how, NULL, NULL));
    how.max_size = 0;
    {
        g_autoptr(CstImport) import = cst_import_open(&how, NULL, NULL);

        assert_non_null(import);
    }
    entries = g_dir_open(world->dir, 0, NULL);
    assert_string_equal(g_dir_read_name(entries), "disk.raw");
    assert_null(g_dir_read_name(entries));
}

static void test_file_over_the_limit_or_with_a_wrong_checksum_is_refused(void **state)
{
    World *world = *state;
    CstImportHow how = {.source = world->path, .format = "raw", .max_size = 2};
    g_autoptr(CstTask) task = cst_task_new();
    g_autoptr(GError) error = NULL;

    assert_true(g_file_set_contents(world->path, "123", 3, NULL));
    assert_null(cst_import_open(&how, NULL, &error));
    assert_int_equal(error->code, CST_ERROR_LIMIT);
    g_clear_error(&error);
    how.max_size = 3;
    how.checksum = "sha256:0000000000000000000000000000000000000000000000000000000000000000";
    assert_null(cst_import_open(&how, NULL, &error));
    assert_int_equal(error->code, CST_ERROR_MISMATCH);
    g_clear_error(&error);
    cst_task_cancel(task);
    assert_null(cst_import_open(&how, task, &error));
    assert_int_equal(error->code, CST_ERROR_CANCELLED);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_runs_in_order, make, drop),
        cmocka_unit_test_setup_teardown(test_a_file_that_changes_while_it_is_sent, make, drop),
        cmocka_unit_test_setup_teardown(archive_that_changes_while_it_is_unpacked_is_refused, make,
                                        drop),
        cmocka_unit_test_setup_teardown(file_that_changes_while_it_is_unpacked_is_refused, make,
                                        drop),
        cmocka_unit_test_setup_teardown(checksum_is_that_of_the_whole_compressed_file, make, drop),
        cmocka_unit_test_setup_teardown(file_of_other_users_is_sent_as_it_was_verified, make, drop),
        cmocka_unit_test_setup_teardown(zeroes_at_the_end_of_a_spool_are_content, make, drop),
        cmocka_unit_test_setup_teardown(pipe_that_is_too_long_is_not_spooled_whole, make, drop),
        cmocka_unit_test_setup_teardown(failed_import_leaves_no_spool_file, make, drop),
        cmocka_unit_test_setup_teardown(
            test_file_over_the_limit_or_with_a_wrong_checksum_is_refused, make, drop),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
