/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <base/error.h>
#include <base/file.h>

#include "fdio.h"

#define MIB (1024 * 1024)

static int scratch_file(void)
{
    g_autofree char *path = g_build_filename(g_get_tmp_dir(), "cst-fdio-XXXXXX", NULL);
    int fd = mkstemp(path);

    assert_true(fd >= 0);
    unlink(path);
    return fd;
}

/** Copies @in to @out. Returns the number of bytes that came as holes. */
static uint64_t copy(int in, int out, gboolean sparse)
{
    CstFdSource source;
    CstFdSink sink;
    uint64_t holes = 0;
    uint8_t buf[64 * 1024];

    assert_true(cst_fd_source_init(&source, in, sparse, NULL, NULL));
    assert_true(cst_fd_sink_init(&sink, out, NULL, NULL));
    for (;;) {
        size_t len;
        uint64_t hole;

        assert_true(cst_fd_source_next(&source, buf, sizeof(buf), &len, &hole, NULL));
        if (!len && !hole)
            break;
        assert_true(len == 0 || hole == 0);
        if (hole)
            assert_true(cst_fd_sink_hole(&sink, hole, NULL));
        else
            assert_true(cst_fd_sink_write(&sink, buf, len, NULL));
        holes += hole;
    }
    assert_true(cst_fd_sink_finish(&sink, NULL));
    return holes;
}

static void assert_same(int a, int b)
{
    struct stat sa, sb;
    g_autofree uint8_t *da = NULL, *db = NULL;

    assert_int_equal(fstat(a, &sa), 0);
    assert_int_equal(fstat(b, &sb), 0);
    assert_int_equal(sa.st_size, sb.st_size);
    da = g_malloc(sa.st_size);
    db = g_malloc(sa.st_size);
    assert_true(cst_pread_full(a, da, sa.st_size, 0, "a", NULL));
    assert_true(cst_pread_full(b, db, sa.st_size, 0, "b", NULL));
    assert_memory_equal(da, db, sa.st_size);
}

static void put(int fd, const char *text, off_t offset)
{
    assert_int_equal(pwrite(fd, text, strlen(text), offset), strlen(text));
}

static void file_with_holes_keeps_bytes_and_holes(void **state)
{
    g_auto(CstFd) in = scratch_file();
    g_auto(CstFd) out = scratch_file();
    struct stat st;

    assert_int_equal(ftruncate(in, 8 * MIB), 0);
    put(in, "middle", 3 * MIB + 5);
    assert_true(copy(in, out, TRUE) > 7 * MIB);
    assert_same(in, out);
    assert_int_equal(fstat(out, &st), 0);
    assert_true(st.st_blocks * 512 < MIB);
}

static void position_of_the_input_does_not_matter(void **state)
{
    g_auto(CstFd) in = scratch_file();
    g_auto(CstFd) out = scratch_file();

    put(in, "from the start", 0);
    assert_int_equal(lseek(in, 5, SEEK_SET), 5);
    assert_int_equal(copy(in, out, TRUE), 0);
    assert_same(in, out);
}

static void without_sparse_holes_are_read_as_zeroes(void **state)
{
    g_auto(CstFd) in = scratch_file();
    g_auto(CstFd) out = scratch_file();

    assert_int_equal(ftruncate(in, MIB + 3), 0);
    put(in, "x", MIB);
    assert_int_equal(copy(in, out, FALSE), 0);
    assert_same(in, out);
}

static void empty_file_is_no_piece_at_all(void **state)
{
    g_auto(CstFd) in = scratch_file();
    g_auto(CstFd) out = scratch_file();

    assert_int_equal(copy(in, out, TRUE), 0);
    assert_same(in, out);
}

static void pipe_gets_zeroes_for_holes(void **state)
{
    g_auto(CstFd) in = scratch_file();
    int ends[2];
    uint8_t got[8192];
    uint8_t zeroes[8192] = {0};

    assert_int_equal(ftruncate(in, sizeof(got)), 0);
    assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
    assert_int_equal(copy(in, ends[1], TRUE), sizeof(got));
    assert_int_equal(read(ends[0], got, sizeof(got)), sizeof(got));
    assert_memory_equal(got, zeroes, sizeof(got));
    close(ends[0]);
    close(ends[1]);
}

static void pipe_is_read_to_its_end(void **state)
{
    g_auto(CstFd) out = scratch_file();
    int ends[2];
    char got[16] = {0};

    assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
    assert_int_equal(write(ends[1], "piped", 5), 5);
    close(ends[1]);
    assert_int_equal(copy(ends[0], out, TRUE), 0);
    close(ends[0]);
    assert_int_equal(pread(out, got, sizeof(got), 0), 5);
    assert_string_equal(got, "piped");
}

static void old_bytes_of_the_output_do_not_shine_through_holes(void **state)
{
    g_auto(CstFd) in = scratch_file();
    g_auto(CstFd) out = scratch_file();

    assert_int_equal(ftruncate(in, 4096), 0);
    put(out, "old", 100);
    assert_int_equal(ftruncate(out, 4096), 0);
    assert_int_equal(copy(in, out, TRUE), 4096);
    assert_same(in, out);
}

/* The shell opens a file so for ">>". The kernel ignores the offset of pwrite() then. */
static void holes_of_an_appended_copy_keep_their_places(void **state)
{
    g_auto(CstFd) in = scratch_file();
    g_auto(CstFd) out = scratch_file();

    assert_int_equal(ftruncate(in, MIB + 3), 0);
    put(in, "x", MIB);
    assert_int_equal(fcntl(out, F_SETFL, O_APPEND), 0);
    assert_true(copy(in, out, TRUE) > 0);
    assert_same(in, out);
}

/* The shell passes one descriptor to all commands of a group in braces. */
static void second_copy_to_a_descriptor_follows_the_first(void **state)
{
    g_auto(CstFd) in = scratch_file();
    g_auto(CstFd) twice = scratch_file();
    g_auto(CstFd) out = scratch_file();

    assert_int_equal(ftruncate(in, MIB), 0);
    put(in, "x", 5);
    assert_int_equal(ftruncate(twice, 2 * MIB), 0);
    put(twice, "x", 5);
    put(twice, "x", MIB + 5);
    assert_true(copy(in, out, TRUE) > 0);
    assert_true(copy(in, out, TRUE) > 0);
    assert_same(twice, out);
}

static void hole_beyond_any_file_is_refused(void **state)
{
    g_auto(CstFd) out = scratch_file();
    g_autoptr(GError) error = NULL;
    CstFdSink sink;

    assert_true(cst_fd_sink_init(&sink, out, NULL, NULL));
    assert_true(cst_fd_sink_hole(&sink, INT64_MAX, NULL));
    assert_false(cst_fd_sink_hole(&sink, INT64_MAX, &error));
    assert_int_equal(error->code, CST_ERROR_RPC);
}

static void cancelled_task_ends_a_long_hole(void **state)
{
    g_autoptr(CstTask) task = cst_task_new();
    g_autoptr(GError) error = NULL;
    g_auto(CstFd) null = open("/dev/null", O_WRONLY | O_CLOEXEC);
    CstFdSink sink;

    cst_task_cancel(task);
    assert_true(cst_fd_sink_init(&sink, null, task, NULL));
    assert_false(cst_fd_sink_hole(&sink, INT64_MAX, &error));
    assert_int_equal(error->code, CST_ERROR_CANCELLED);
}

static void full_output_is_reported(void **state)
{
    g_auto(CstFd) full = open("/dev/full", O_WRONLY | O_CLOEXEC);
    g_autoptr(GError) error = NULL;
    CstFdSink sink;

    assert_true(cst_fd_sink_init(&sink, full, NULL, NULL));
    assert_false(cst_fd_sink_write(&sink, "x", 1, &error));
    assert_int_equal(error->code, CST_ERROR_NO_SPACE);
}

/*
 * A descriptor that is closed or has the wrong direction is reported and not ignored.
 */
static void unusable_descriptors_are_reported(void **state)
{
    const int closed = 999999;
    int pipes[2], reader = open("/dev/null", O_RDONLY | O_CLOEXEC);
    CstFdSource source;
    CstFdSink sink;
    uint8_t buf[16];
    size_t len;
    uint64_t hole;
    g_autoptr(GError) error = NULL;

    assert_int_equal(pipe2(pipes, O_CLOEXEC), 0);
    assert_false(cst_fd_source_init(&source, closed, FALSE, NULL, &error));
    assert_non_null(strstr(error->message, "cannot read the input"));
    g_clear_error(&error);
    assert_false(cst_fd_sink_init(&sink, closed, NULL, &error));
    assert_non_null(strstr(error->message, "cannot write the output"));
    g_clear_error(&error);
    assert_true(cst_fd_source_init(&source, pipes[1], FALSE, NULL, NULL));
    assert_false(cst_fd_source_next(&source, buf, sizeof(buf), &len, &hole, &error));
    assert_non_null(strstr(error->message, "cannot read the input"));
    g_clear_error(&error);
    assert_true(cst_fd_sink_init(&sink, reader, NULL, NULL));
    assert_false(cst_fd_sink_write(&sink, "x", 1, &error));
    assert_non_null(strstr(error->message, "cannot write the output"));
    close(pipes[0]);
    close(pipes[1]);
    close(reader);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(file_with_holes_keeps_bytes_and_holes),
        cmocka_unit_test(position_of_the_input_does_not_matter),
        cmocka_unit_test(without_sparse_holes_are_read_as_zeroes),
        cmocka_unit_test(empty_file_is_no_piece_at_all),
        cmocka_unit_test(pipe_gets_zeroes_for_holes),
        cmocka_unit_test(pipe_is_read_to_its_end),
        cmocka_unit_test(old_bytes_of_the_output_do_not_shine_through_holes),
        cmocka_unit_test(holes_of_an_appended_copy_keep_their_places),
        cmocka_unit_test(second_copy_to_a_descriptor_follows_the_first),
        cmocka_unit_test(hole_beyond_any_file_is_refused),
        cmocka_unit_test(cancelled_task_ends_a_long_hole),
        cmocka_unit_test(full_output_is_reported),
        cmocka_unit_test(unusable_descriptors_are_reported),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
