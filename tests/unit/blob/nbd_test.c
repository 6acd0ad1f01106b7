/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>
#include <glib/gstdio.h>

#include <base/error.h>
#include <base/library.h>
#include <base/units.h>
#include <blob/nbd.h>
#include <nbd/server.h>

#include "../await.h"
#include "../blob_size.h"

/* Exports of real servers: qemu-nbd, nbdkit and Cistern's. */

#define SIZE (16 * CST_MIB + 512)
/* Limit of calls that must time out, and of calls that must not, in seconds. */
#define SHORT 2
#define LONG  120

#define assert_code(error, wanted)                           \
    do {                                                     \
        assert_non_null(error);                              \
        if (!g_error_matches(error, CST_ERROR, wanted))      \
            fail_msg("%d: %s", error->code, error->message); \
    } while (0)

extern CstLibrary cst_libnbd_library;

static char *dir, *path, *socket_path;
static uint8_t *content;
static GPid server; /* 0: not running */

/* --- the file --------------------------------------------------------------------------------- */

/* Writes random data with holes of several lengths, one of them at the end. */
static int group_set_up(void **state)
{
    g_autoptr(GRand) rand = g_rand_new_with_seed(11);
    CstBlob *file;

    dir = g_dir_make_tmp("cst-nbd-XXXXXX", NULL);
    path = g_build_filename(dir, "disk", NULL);
    socket_path = g_build_filename(dir, "a socket", NULL);
    content = g_malloc0(SIZE);
    file = cst_blob_file_create(path, NULL);
    assert_true(cst_blob_resize(file, SIZE, NULL));
    for (uint64_t at = 0; at + 4 * CST_MIB < SIZE;) {
        uint64_t len = (uint64_t)g_rand_int_range(rand, 1, 64) * 4096;

        for (uint64_t i = 0; i < len; i++)
            content[at + i] = (uint8_t)g_rand_int(rand);
        assert_true(cst_blob_pwrite(file, content + at, len, at, NULL));
        at += len + (uint64_t)g_rand_int_range(rand, 1, 256) * 4096;
    }
    cst_blob_unref(file);
    return 0;
}

static int group_tear_down(void **state)
{
    g_unlink(path);
    g_rmdir(dir);
    g_free(path);
    g_free(socket_path);
    g_free(dir);
    g_free(content);
    return 0;
}

/* --- servers ---------------------------------------------------------------------------------- */

/* Starts a program; skips the test if it is not installed. */
static void server_start(const char *const *words)
{
    g_autofree char *program = g_find_program_in_path(words[0]);
    g_autoptr(GError) error = NULL;

    if (!program)
        skip();
    if (!g_spawn_async(NULL, (char **)words, NULL,
                       G_SPAWN_SEARCH_PATH | G_SPAWN_DO_NOT_REAP_CHILD |
                           G_SPAWN_STDOUT_TO_DEV_NULL | G_SPAWN_STDERR_TO_DEV_NULL,
                       NULL, NULL, &server, &error))
        fail_msg("%s", error->message);
}

static int server_stop(void **state)
{
    if (server) {
        kill(server, SIGKILL);
        waitpid(server, NULL, 0);
        g_spawn_close_pid(server);
    }
    server = 0;
    g_unlink(socket_path);
    return 0;
}

#define QEMU_NBD(...)                                                                        \
    server_start((const char *const[]){"qemu-nbd", "-r", "-t", "-f", "raw", "-e", "8", "-k", \
                                       socket_path, __VA_ARGS__, path, NULL})
#define NBDKIT(...) \
    server_start((const char *const[]){"nbdkit", "-f", "-r", "-U", socket_path, __VA_ARGS__, NULL})

static CstBlob *try_open(const char *export_name)
{
    g_autoptr(GError) error = NULL;
    CstBlob *blob =
        cst_blob_nbd_open(socket_path, export_name, geteuid(), "the disk", LONG, &error);

    if (!blob && !g_error_matches(error, CST_ERROR, CST_ERROR_NOT_FOUND) &&
        !g_error_matches(error, CST_ERROR, CST_ERROR_UNREACHABLE))
        fail_msg("%s", error->message);
    return blob;
}

/* Opens the export once the server listens. */
static CstBlob *server_open(const char *export_name)
{
    CstBlob *blob;

    AWAIT((blob = try_open(export_name)) != NULL);
    return blob;
}

/* --- comparisons ------------------------------------------------------------------------------ */

static void assert_content(CstBlob *blob)
{
    g_autofree uint8_t *read = g_malloc(SIZE);
    g_autoptr(GError) error = NULL;

    assert_int_equal(size_of(blob), SIZE);
    if (!cst_blob_pread(blob, read, SIZE, 0, &error))
        fail_msg("%s", error->message);
    assert_memory_equal(read, content, SIZE);
    /* One unaligned range over the first data and the first hole. */
    assert_true(cst_blob_pread(blob, read, CST_MIB, 4097, NULL));
    assert_memory_equal(read, content + 4097, CST_MIB);
    assert_true(cst_blob_pread(blob, read, 7, SIZE - 7, NULL));
    assert_memory_equal(read, content + SIZE - 7, 7);
}

/* Returns the run of equal flags from @offset, of all neighbours. */
static CstExtent run_at(CstBlob *blob, uint64_t offset)
{
    CstExtent run = {offset, 0, 0}, extent;

    while (offset + run.length < SIZE) {
        assert_true(
            cst_blob_extent(blob, offset + run.length, SIZE - offset - run.length, &extent, NULL));
        if (run.length > 0 && extent.flags != run.flags)
            break;
        run.flags = extent.flags;
        run.length += extent.length;
    }
    return run;
}

static void assert_extents_of_file(CstBlob *blob)
{
    g_autoptr(CstBlob) file = cst_blob_file_open(path, FALSE, NULL);
    guint runs = 0;

    for (uint64_t at = 0; at < SIZE; runs++) {
        CstExtent wanted = run_at(file, at), found = run_at(blob, at);

        assert_int_equal(found.flags, wanted.flags);
        assert_int_equal(found.length, wanted.length);
        at += wanted.length;
    }
    assert_true(runs > 10);
}

/* --- tests ------------------------------------------------------------------------------------ */

static void test_missing_library_is_reported(void **state)
{
    const char *file = cst_libnbd_library.file;
    g_autoptr(GError) error = NULL;

    cst_libnbd_library.file = "libnbd.so.absent";
    assert_null(cst_blob_nbd_open(socket_path, "", geteuid(), "the disk", LONG, &error));
    cst_libnbd_library.file = file;
    assert_code(error, CST_ERROR_UNSUPPORTED);
    assert_non_null(strstr(error->message, "libnbd0"));
}

static void test_missing_socket_is_reported(void **state)
{
    g_autoptr(GError) error = NULL;

    assert_null(cst_blob_nbd_open(socket_path, "", geteuid(), "the disk", LONG, &error));
    assert_code(error, CST_ERROR_NOT_FOUND);
    assert_non_null(strstr(error->message, socket_path));
    g_clear_error(&error);
    /* A file that is no socket. */
    assert_null(cst_blob_nbd_open(path, "", geteuid(), "the disk", LONG, &error));
    assert_code(error, CST_ERROR_UNREACHABLE);
}

static void test_qemu_nbd_has_the_content_and_the_holes(void **state)
{
    g_autoptr(CstBlob) blob = NULL;

    QEMU_NBD("-x", "");
    blob = server_open("");
    assert_content(blob);
    assert_extents_of_file(blob);
}

static void test_export_names_are_passed_unchanged(void **state)
{
    static const char *const names[] = {"a b/c?d=e&f#g%20", "\xc3\xb1\xe2\x82\xac", "'\"\\$`\n"};

    for (guint i = 0; i < G_N_ELEMENTS(names); i++) {
        g_autoptr(CstBlob) blob = NULL;

        QEMU_NBD("-x", names[i]);
        blob = server_open(names[i]);
        assert_int_equal(size_of(blob), SIZE);
        server_stop(NULL);
    }
}

static void test_missing_export_is_reported(void **state)
{
    g_autoptr(GError) error = NULL;

    QEMU_NBD("-x", "one");
    cst_blob_unref(server_open("one"));
    assert_null(cst_blob_nbd_open(socket_path, "two", geteuid(), "the disk", LONG, &error));
    assert_code(error, CST_ERROR_NOT_FOUND);
    assert_non_null(strstr(error->message, "'two'"));
    assert_non_null(strstr(error->message, socket_path));
}

static void test_export_name_that_is_too_long_is_refused(void **state)
{
    g_autofree char *name = g_strnfill(5000, 'x');
    g_autoptr(GError) error = NULL;

    QEMU_NBD("-x", "one");
    cst_blob_unref(server_open("one"));
    assert_null(cst_blob_nbd_open(socket_path, name, geteuid(), "the disk", LONG, &error));
    assert_code(error, CST_ERROR_INVALID);
}

static void test_nbdkit_with_block_sizes_has_the_content_and_the_holes(void **state)
{
    g_autoptr(CstBlob) blob = NULL;

    NBDKIT("--filter=blocksize-policy", "file", path, "blocksize-minimum=512",
           "blocksize-maximum=64K", "blocksize-error-policy=error");
    blob = server_open("");
    assert_content(blob);
    assert_extents_of_file(blob);
}

static void test_nbdkit_without_structured_replies_has_the_content(void **state)
{
    g_autoptr(CstBlob) blob = NULL;
    CstExtent extent;

    NBDKIT("--no-sr", "file", path);
    blob = server_open("");
    assert_content(blob);
    assert_true(cst_blob_extent(blob, 0, SIZE, &extent, NULL));
    assert_int_equal(extent.length, SIZE);
    assert_int_equal(extent.flags, CST_EXTENT_DATA);
}

/* --- Cistern's server ------------------------------------------------------------------------- */

typedef struct {
    CstNbdServer *server;
    CstTask *task;
    GThread *thread;
} OwnServer;

static gpointer own_server_run(gpointer data)
{
    OwnServer *own = data;

    return GINT_TO_POINTER(cst_nbd_server_run(own->server, own->task, NULL));
}

static void own_server_start(OwnServer *own)
{
    g_autoptr(CstBlob) file = cst_blob_file_open(path, FALSE, NULL);
    const CstNbdExport export = {.name = "disk", .blob = file};

    own->server = cst_nbd_server_new(&export, NULL);
    own->task = cst_task_new();
    assert_true(cst_nbd_server_listen_unix(own->server, socket_path, geteuid(), NULL));
    own->thread = g_thread_new("nbd-server", own_server_run, own);
}

static void own_server_stop(OwnServer *own)
{
    cst_task_cancel(own->task);
    assert_true(GPOINTER_TO_INT(g_thread_join(own->thread)));
    cst_nbd_server_free(own->server);
    cst_task_unref(own->task);
}

static void test_own_server_has_the_content_and_the_holes(void **state)
{
    OwnServer own;
    CstBlob *blob;

    own_server_start(&own);
    blob = server_open("disk");
    assert_content(blob);
    assert_extents_of_file(blob);
    cst_blob_unref(blob);
    AWAIT(cst_nbd_server_clients(own.server) == 0);
    own_server_stop(&own);
}

/* --- threads ---------------------------------------------------------------------------------- */

typedef struct {
    CstBlob *blob;
    guint32 seed;
} Reader;

static gpointer random_read(gpointer data)
{
    const Reader *reader = data;
    g_autoptr(GRand) rand = g_rand_new_with_seed(reader->seed);
    g_autofree uint8_t *buf = g_malloc(300000);

    for (guint i = 0; i < 200; i++) {
        uint64_t at = (uint64_t)g_rand_int_range(rand, 0, SIZE - 1);
        uint64_t len = (uint64_t)g_rand_int_range(rand, 1, (gint32)MIN(300000, SIZE - at) + 1);
        CstExtent extent;

        if (!cst_blob_pread(reader->blob, buf, len, at, NULL) ||
            memcmp(buf, content + at, len) != 0 ||
            !cst_blob_extent(reader->blob, at, len, &extent, NULL))
            return GINT_TO_POINTER(FALSE);
        if ((extent.flags & CST_EXTENT_ZERO) && !cst_bytes_are_zero(buf, extent.length))
            return GINT_TO_POINTER(FALSE);
    }
    return GINT_TO_POINTER(TRUE);
}

static void test_eight_threads_read_at_random(void **state)
{
    g_autoptr(CstBlob) blob = NULL;
    GThread *threads[8];
    Reader readers[8];

    QEMU_NBD("-x", "disk");
    blob = server_open("disk");
    for (guint i = 0; i < 8; i++) {
        readers[i] = (Reader){blob, i};
        threads[i] = g_thread_new("reader", random_read, &readers[i]);
    }
    for (guint i = 0; i < 8; i++)
        assert_true(GPOINTER_TO_INT(g_thread_join(threads[i])));
}

/* --- servers that end or stop ----------------------------------------------------------------- */

static gint reads; /* of read_until_error() */

static gpointer read_until_error(gpointer data)
{
    g_autofree uint8_t *buf = g_malloc(CST_MIB);
    GError *error = NULL;

    for (uint64_t at = 0; cst_blob_pread(data, buf, CST_MIB, at, &error);
         at = (at + 4096) % (8 * CST_MIB)) {
        if (memcmp(buf, content + at, CST_MIB) != 0)
            return NULL;
        g_atomic_int_inc(&reads);
    }
    return error;
}

static void test_killed_server_fails_reads(void **state)
{
    g_autoptr(CstBlob) blob = NULL;
    GThread *threads[4];

    QEMU_NBD("-x", "disk");
    blob = server_open("disk");
    g_atomic_int_set(&reads, 0);
    for (guint i = 0; i < 4; i++)
        threads[i] = g_thread_new("read", read_until_error, blob);
    AWAIT(g_atomic_int_get(&reads) > 8);
    kill(server, SIGKILL);
    for (guint i = 0; i < 4; i++) {
        g_autoptr(GError) error = g_thread_join(threads[i]);

        assert_code(error, CST_ERROR_UNREACHABLE);
        assert_non_null(strstr(error->message, socket_path));
        assert_non_null(strstr(error->message, "'disk'"));
    }
}

static void test_stopped_server_times_out(void **state)
{
    g_autoptr(CstBlob) blob = NULL;
    g_autoptr(GError) error = NULL;
    g_autoptr(GError) again = NULL;
    CstBlob *unused;
    char byte;

    QEMU_NBD("-x", "disk");
    unused = server_open("disk");
    blob = cst_blob_nbd_open(socket_path, "disk", geteuid(), "the disk", SHORT, &error);
    if (!blob)
        fail_msg("%s", error->message);
    kill(server, SIGSTOP);
    cst_blob_unref(unused); /* does not wait */
    assert_false(cst_blob_pread(blob, &byte, 1, 0, &error));
    assert_code(error, CST_ERROR_TIMEOUT);
    /* The blob is dead, also if the server continues. */
    kill(server, SIGCONT);
    assert_false(cst_blob_pread(blob, &byte, 1, 0, &again));
    assert_string_equal(again->message, error->message);
    g_clear_error(&error);
    kill(server, SIGSTOP);
    assert_null(cst_blob_nbd_open(socket_path, "disk", geteuid(), "the disk", SHORT, &error));
    assert_code(error, CST_ERROR_TIMEOUT);
}

/* --- dirty bitmaps ---------------------------------------------------------------------------- */

#define BITMAP "qemu:dirty-bitmap:b0"

static void run(const char *command)
{
    g_autoptr(GError) error = NULL;
    int status;

    if (!g_spawn_command_line_sync(command, NULL, NULL, &status, &error) || status != 0)
        fail_msg("%s: %d", command, status);
}

/* Exports an image of 3 GiB, whose bitmap has three ranges. Returns its path. */
static char *bitmap_serve(void)
{
    char *image = g_build_filename(dir, "image", NULL);
    g_autofree char *command = g_strdup_printf("qemu-img create -q -f qcow2 %s 3G", image);

    run(command);
    g_free(command);
    command = g_strdup_printf("qemu-img bitmap --add %s b0", image);
    run(command);
    g_free(command);
    command = g_strdup_printf("qemu-io -f qcow2 -c 'write 0 1' -c 'write %uk 128k' "
                              "-c 'write -z %uk 64k' %s",
                              (1 << 20) - 64, (3 << 20) - 64, image);
    run(command);
    server_start((const char *const[]){"qemu-nbd", "-r", "-t", "-f", "qcow2", "-e", "8", "-k",
                                       socket_path, "-B", "b0", "-x", "disk", image, NULL});
    cst_blob_unref(server_open("disk"));
    return image;
}

static void changes_ask(CstChanged *changed)
{
    g_autoptr(GError) error = NULL;

    if (!cst_blob_nbd_changes(socket_path, "disk", geteuid(), BITMAP, "me", LONG, changed, &error))
        fail_msg("%s", error->message);
    assert_int_equal(changed->capacity, 3 * CST_GIB);
    assert_string_equal(changed->identity, "me");
}

static const CstRange dirty[] = {{0, 64 * CST_KIB},
                                 {CST_GIB - 64 * CST_KIB, 128 * CST_KIB},
                                 {3 * CST_GIB - 64 * CST_KIB, 64 * CST_KIB}};

static void test_changes_are_the_bits_of_the_bitmap(void **state)
{
    g_autofree char *image = bitmap_serve();
    g_auto(CstChanged) changed = {.max = 100};

    changes_ask(&changed);
    assert_int_equal(changed.next, changed.capacity);
    assert_int_equal(changed.ranges->len, G_N_ELEMENTS(dirty));
    assert_memory_equal(changed.ranges->data, dirty, sizeof(dirty));
    g_unlink(image);
}

static void test_changes_are_reported_in_parts(void **state)
{
    g_autofree char *image = bitmap_serve();
    g_auto(CstChanged) changed = {.max = 1};

    for (guint i = 0; i < G_N_ELEMENTS(dirty); i++) {
        const CstRange *range;

        changes_ask(&changed);
        assert_int_equal(changed.ranges->len, 1);
        range = &g_array_index(changed.ranges, CstRange, 0);
        assert_int_equal(range->offset, dirty[i].offset);
        assert_int_equal(range->length, dirty[i].length);
        assert_true(changed.next > changed.offset || i == 0);
        changed.offset = changed.next;
    }
    assert_int_equal(changed.next, changed.capacity);
    g_unlink(image);
}

static void test_missing_bitmap_is_reported(void **state)
{
    g_auto(CstChanged) changed = {.max = 100};
    g_autoptr(GError) error = NULL;

    QEMU_NBD("-x", "disk");
    cst_blob_unref(server_open("disk"));
    assert_false(
        cst_blob_nbd_changes(socket_path, "disk", geteuid(), BITMAP, "me", LONG, &changed, &error));
    assert_code(error, CST_ERROR_NOT_FOUND);
    assert_non_null(strstr(error->message, "'" BITMAP "'"));
}

#define TEST(name) cmocka_unit_test_teardown(name, server_stop)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_missing_library_is_reported), /* before the library is loaded */
        TEST(test_missing_socket_is_reported),
        TEST(test_qemu_nbd_has_the_content_and_the_holes),
        TEST(test_export_names_are_passed_unchanged),
        TEST(test_missing_export_is_reported),
        TEST(test_export_name_that_is_too_long_is_refused),
        TEST(test_nbdkit_with_block_sizes_has_the_content_and_the_holes),
        TEST(test_nbdkit_without_structured_replies_has_the_content),
        TEST(test_own_server_has_the_content_and_the_holes),
        TEST(test_eight_threads_read_at_random),
        TEST(test_killed_server_fails_reads),
        TEST(test_stopped_server_times_out),
        TEST(test_changes_are_the_bits_of_the_bitmap),
        TEST(test_changes_are_reported_in_parts),
        TEST(test_missing_bitmap_is_reported),
    };

    return cmocka_run_group_tests_name("nbd", tests, group_set_up, group_tear_down);
}
