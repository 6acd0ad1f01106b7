/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <errno.h>
#include <linux/falloc.h>
#include <linux/fs.h>
#include <stdarg.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include <base/dry_run.h>
#include <base/units.h>

#include "extent.h"
#include "scratch.h"

#define HOLE (CST_EXTENT_HOLE | CST_EXTENT_ZERO)

#define assert_code(error, wanted) assert_true(g_error_matches(error, CST_ERROR, wanted))

static guint syncs;
static int sync_errno;

/* The last request. It is passed on unless it fails or is only recorded. */
static struct {
    gboolean is_enough;
    int error, mode;
    off_t offset, length;
} asked;

/* Replaces the function of libc, like the functions below. */
int fallocate64(int fd, int mode, off_t offset, off_t length)
{
    asked.mode = mode;
    asked.offset = offset;
    asked.length = length;
    errno = asked.error;
    if (asked.error || asked.is_enough)
        return asked.error ? -1 : 0;
    return (int)syscall(SYS_fallocate, fd, mode, offset, length);
}

static guint seeks;

off_t lseek64(int fd, off_t offset, int whence)
{
    seeks++;
    return (off_t)syscall(SYS_lseek, fd, offset, whence);
}

static int copy_errno;

ssize_t copy_file_range(int in, loff_t *in_offset, int out, loff_t *out_offset, size_t len,
                        unsigned flags)
{
    errno = copy_errno ? copy_errno : errno;
    return copy_errno ? -1
                      : syscall(SYS_copy_file_range, in, in_offset, out, out_offset, len, flags);
}

int fdatasync(int fd)
{
    syncs++;
    errno = sync_errno;
    return sync_errno ? -1 : (int)syscall(SYS_fdatasync, fd);
}

/* Size at which a file is treated as a device; 0: no file is. */
static uint64_t device_size;
static int discard_errno;
static uint64_t discarded[2];

int fstat64(int fd, struct stat64 *st)
{
    int rc = (int)syscall(SYS_fstat, fd, st);

    if (device_size > 0)
        st->st_mode = (st->st_mode & ~(mode_t)S_IFMT) | S_IFBLK;
    return rc;
}

int ioctl(int fd, unsigned long request, ...)
{
    void *what;
    va_list args;

    va_start(args, request);
    what = va_arg(args, void *);
    va_end(args);
    if (request == BLKGETSIZE64) {
        memcpy(what, &device_size, sizeof(device_size));
        return 0;
    }
    if (request == BLKDISCARD) {
        memcpy(discarded, what, sizeof(discarded));
        errno = discard_errno;
        return discard_errno ? -1 : 0;
    }
    return (int)syscall(SYS_ioctl, fd, request, what);
}

static CstBlob *scratch_device(uint64_t size)
{
    CstBlob *blob;

    device_size = size;
    blob = scratch_file(size);
    device_size = 0;
    return blob;
}

static void device_discards_the_requested_range(void **state)
{
    static const struct {
        int error, code;
    } failures[] = {{EOPNOTSUPP, CST_ERROR_UNSUPPORTED},
                    {ENOTTY, CST_ERROR_UNSUPPORTED},
                    {EINVAL, CST_ERROR_UNSUPPORTED},
                    {ENOSYS, CST_ERROR_UNSUPPORTED},
                    {EIO, CST_ERROR_IO}};
    g_autoptr(CstBlob) blob = scratch_device(CST_MIB);

    assert_true(blob->ops->discard(blob, 4096, 8192, NULL));
    assert_int_equal(discarded[0], 4096);
    assert_int_equal(discarded[1], 8192);
    for (size_t i = 0; i < G_N_ELEMENTS(failures); i++) {
        g_autoptr(GError) error = NULL;

        discard_errno = failures[i].error;
        assert_false(blob->ops->discard(blob, 0, 4096, &error));
        assert_code(error, failures[i].code);
    }
    discard_errno = 0;
}

/* The kernel may write zeroes out where a device can't drop them, which is not fast. */
static void a_device_zeroes_as_fast_as_it_must(void **state)
{
    g_autoptr(CstBlob) blob = scratch_device(CST_MIB);
    g_autoptr(GError) error = NULL;

    asked.mode = -1;
    assert_false(blob->ops->zero(blob, 0, 4096, CST_ZERO_FAST, &error));
    assert_code(error, CST_ERROR_UNSUPPORTED);
    assert_true(blob->ops->allocate(blob, 0, 4096, NULL)); /* it has all its space */
    assert_int_equal(asked.mode, -1);
    asked.is_enough = TRUE; /* the file that passes for a device may be in memory, without this */
    assert_true(blob->ops->zero(blob, 4096, 8192, 0, NULL));
    asked.is_enough = FALSE;
    assert_int_equal(asked.mode, FALLOC_FL_ZERO_RANGE | FALLOC_FL_KEEP_SIZE);
    assert_int_equal(asked.offset, 4096);
    assert_int_equal(asked.length, 8192);
}

static void device_keeps_its_size_and_does_not_share(void **state)
{
    g_autoptr(CstBlob) device = scratch_device(CST_MIB);
    g_autoptr(CstBlob) file = scratch_file(CST_MIB);
    g_autoptr(GError) written = NULL, resized = NULL;

    assert_int_equal(size_of(device), CST_MIB);
    assert_int_equal(cst_blob_share_unit(device), 0);
    assert_int_not_equal(cst_blob_share_unit(file), 0);
    assert_true(cst_blob_pwrite(device, "x", 1, CST_MIB - 1, NULL));
    assert_false(cst_blob_pwrite(device, "xy", 2, CST_MIB - 1, &written));
    assert_code(written, CST_ERROR_NO_SPACE);
    assert_false(cst_blob_resize(device, CST_MIB + 512, &resized));
    assert_code(resized, CST_ERROR_UNSUPPORTED);
    assert_true(cst_blob_resize(device, CST_MIB, NULL));
    assert_extent(device, 0, CST_MIB, CST_MIB, CST_EXTENT_DATA);
}

static void the_last_reference_closes_the_descriptor(void **state)
{
    CstBlob *blob = scratch_file(0);
    int fd = cst_blob_file_fd(blob);

    assert_ptr_equal(cst_blob_ref(blob), blob);
    cst_blob_unref(blob);
    assert_int_not_equal(fcntl(fd, F_GETFD), -1);
    cst_blob_unref(blob);
    assert_int_equal(fcntl(fd, F_GETFD), -1);
    cst_blob_unref(NULL);
}

static void a_flush_reaches_the_disk_unless_it_need_not(void **state)
{
    g_autoptr(CstBlob) blob = scratch_file(4096);
    g_autoptr(CstBlob) memory = cst_blob_memory_new(NULL, 1);
    g_autoptr(CstBlob) reader =
        cst_blob_file_new(dup(cst_blob_file_fd(blob)), "reader", FALSE, NULL);
    g_autoptr(GError) error = NULL;

    syncs = 0;
    assert_true(cst_blob_flush(reader, NULL));
    assert_int_equal(syncs, 0);
    assert_true(cst_blob_flush(blob, NULL));
    assert_int_equal(syncs, 1);
    sync_errno = EIO;
    assert_false(cst_blob_flush(blob, &error));
    assert_code(error, CST_ERROR_IO);
    sync_errno = 0;
    /* Data that the kernel has dropped does not come back, so later flushes fail as well. */
    g_clear_error(&error);
    assert_false(cst_blob_flush(blob, &error));
    assert_code(error, CST_ERROR_IO);
    cst_blob_file_skip_sync(memory);
    cst_blob_file_skip_sync(blob);
    assert_true(cst_blob_flush(blob, NULL));
    assert_int_equal(syncs, 2);
}

static void read_and_write_errors_are_reported(void **state)
{
    g_autofree char *path = g_build_filename(g_get_tmp_dir(), "cst-blob-XXXXXX", NULL);
    int fd = g_mkstemp_full(path, O_RDWR | O_CLOEXEC, 0600);
    g_autoptr(CstBlob) reader = NULL, writer = NULL;
    g_autoptr(GError) read_error = NULL, write_error = NULL;
    char byte = 'x';

    assert_true(fd >= 0);
    assert_int_equal(ftruncate(fd, 4096), 0);
    close(fd);
    /* descriptors with fewer permissions than the blobs */
    reader = cst_blob_file_new(open(path, O_RDONLY | O_CLOEXEC), "reader", TRUE, NULL);
    writer = cst_blob_file_new(open(path, O_WRONLY | O_CLOEXEC), "writer", TRUE, NULL);
    assert_int_equal(unlink(path), 0);
    assert_false(cst_blob_pwrite(reader, &byte, 1, 8192, &write_error));
    assert_code(write_error, CST_ERROR_IO);
    assert_int_equal(size_of(reader), 4096);
    assert_false(cst_blob_pread(writer, &byte, 1, 0, &read_error));
    assert_code(read_error, CST_ERROR_IO);
}

/* A run of data is cached. Making a hole in it invalidates the cache. */
static void a_hole_made_in_known_data_is_seen(void **state)
{
    g_autoptr(CstBlob) blob = scratch_file(0);
    g_autofree char *ones = g_strnfill(3 * CST_MIB, '1');

    assert_true(cst_blob_pwrite(blob, ones, 3 * CST_MIB, 0, NULL));
    assert_extent(blob, 0, 3 * CST_MIB, 3 * CST_MIB, CST_EXTENT_DATA);
    assert_extent(blob, CST_MIB, CST_MIB, CST_MIB, CST_EXTENT_DATA);
    assert_extent(blob, 2 * CST_MIB, CST_MIB, CST_MIB, CST_EXTENT_DATA);
    assert_true(cst_blob_discard(blob, CST_MIB, CST_MIB, NULL));
    assert_extent(blob, 0, 3 * CST_MIB, CST_MIB, CST_EXTENT_DATA);
    assert_extent(blob, CST_MIB, 2 * CST_MIB, CST_MIB, HOLE);
    assert_extent(blob, 2 * CST_MIB, CST_MIB, CST_MIB, CST_EXTENT_DATA);
    assert_true(cst_blob_zero(blob, 2 * CST_MIB, CST_MIB, CST_ZERO_MAY_UNMAP, NULL));
    assert_extent(blob, CST_MIB, 2 * CST_MIB, 2 * CST_MIB, HOLE);
    assert_true(cst_blob_resize(blob, CST_MIB / 2, NULL));
    assert_true(cst_blob_resize(blob, CST_MIB, NULL));
    assert_extent(blob, 0, CST_MIB, CST_MIB / 2, CST_EXTENT_DATA);
    assert_extent(blob, CST_MIB / 2, CST_MIB / 2, CST_MIB / 2, HOLE);
}

/* Finding the end of a run is slow on some file systems. Each run is searched once. */
static void end_of_a_run_is_searched_once(void **state)
{
    g_autoptr(CstBlob) blob = scratch_file(0);
    g_autofree char *ones = g_strnfill(CST_MIB, '1');
    guint before;

    assert_true(cst_blob_pwrite(blob, ones, CST_MIB, 0, NULL));
    assert_extent(blob, 4096, CST_MIB - 4096, CST_MIB - 4096, CST_EXTENT_DATA);
    before = seeks;
    assert_extent(blob, 4096, CST_MIB - 4096, CST_MIB - 4096, CST_EXTENT_DATA);
    assert_extent(blob, CST_MIB - 1, 1, 1, CST_EXTENT_DATA);
    assert_int_equal(seeks, before);
    assert_extent(blob, 0, CST_MIB, CST_MIB, CST_EXTENT_DATA);
    assert_int_not_equal(seeks, before);
}

/* One call for each end of a run. The start of data at the end of a hole needs no call. */
static void walk_searches_each_end_once(void **state)
{
    g_autoptr(CstBlob) blob = scratch_file(0);
    g_autofree char *ones = g_strnfill(CST_MIB, '1');

    for (guint i = 0; i < 4; i++)
        assert_true(cst_blob_pwrite(blob, ones, CST_MIB, 2 * i * CST_MIB, NULL));
    assert_true(cst_blob_resize(blob, 8 * CST_MIB, NULL));
    seeks = 0;
    for (guint i = 0; i < 8; i++)
        assert_extent(blob, i * CST_MIB, (8 - i) * CST_MIB, CST_MIB,
                      i % 2 ? HOLE : CST_EXTENT_DATA);
    assert_int_equal(seeks, 9); /* one to see that the file begins with data */
    /* Data that was known to begin at this offset may have been removed. */
    assert_extent(blob, CST_MIB, CST_MIB + 1, CST_MIB, HOLE);
    assert_true(cst_blob_zero(blob, 2 * CST_MIB, CST_MIB, CST_ZERO_MAY_UNMAP, NULL));
    assert_extent(blob, 2 * CST_MIB, 2 * CST_MIB, 2 * CST_MIB, HOLE);
}

static void unsupported_kernel_copy_is_unsupported_and_not_a_failure(void **state)
{
    static const int lacking[] = {EOPNOTSUPP, EINVAL, EXDEV, EPERM, ETXTBSY, EBADF, EISDIR};
    g_autoptr(CstBlob) src = scratch_file(4096);
    g_autoptr(CstBlob) dst = scratch_file(4096);

    for (size_t i = 0; i <= G_N_ELEMENTS(lacking); i++) {
        gboolean lacks = i < G_N_ELEMENTS(lacking);
        g_autoptr(GError) error = NULL;

        copy_errno = lacks ? lacking[i] : ENOSPC;
        assert_false(src->ops->copy_range(src, 0, dst, 0, 4096, FALSE, &error));
        assert_code(error, (int)(lacks ? CST_ERROR_UNSUPPORTED : CST_ERROR_NO_SPACE));
    }
    copy_errno = 0;
}

/* Cutting a file and making it longer again is a hole, too. */
static void an_end_that_was_cut_off_is_forgotten(void **state)
{
    g_autoptr(CstBlob) blob = scratch_file(0);
    g_autofree char *ones = g_strnfill(2 * CST_MIB, '1');

    assert_true(cst_blob_pwrite(blob, ones, 2 * CST_MIB, 0, NULL));
    assert_extent(blob, 0, 2 * CST_MIB, 2 * CST_MIB, CST_EXTENT_DATA);
    assert_true(cst_blob_resize(blob, CST_MIB, NULL));
    assert_true(cst_blob_resize(blob, 2 * CST_MIB, NULL));
    assert_extent(blob, CST_MIB, CST_MIB, CST_MIB, HOLE);
}

static void check_asked(gboolean done, GError **error, CstErrorCode code, int mode)
{
    assert_false(done);
    assert_code(*error, (int)code);
    assert_int_equal(asked.mode, mode);
    assert_int_equal(asked.offset, 4096);
    assert_int_equal(asked.length, 8192);
    g_clear_error(error);
}

/*
 * A missing feature of a file system is UNSUPPORTED, which the callers treat as "use another
 * method".
 */
static void missing_feature_of_a_file_system_is_unsupported(void **state)
{
    static const int lacking[] = {EOPNOTSUPP, ENOTTY, ENOSYS, EINVAL};
    g_autoptr(CstBlob) blob = scratch_file(64 * 1024);
    const CstBlobOps *ops = blob->ops;
    const int hole = FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE;
    const int range = FALLOC_FL_ZERO_RANGE | FALLOC_FL_KEEP_SIZE;

    for (size_t i = 0; i <= G_N_ELEMENTS(lacking); i++) {
        gboolean lacks = i < G_N_ELEMENTS(lacking);
        CstErrorCode code = lacks ? CST_ERROR_UNSUPPORTED : CST_ERROR_NO_SPACE;
        g_autoptr(GError) error = NULL;

        asked.error = lacks ? lacking[i] : ENOSPC;
        check_asked(ops->discard(blob, 4096, 8192, &error), &error, code, hole);
        check_asked(ops->allocate(blob, 4096, 8192, &error), &error, code, 0);
        check_asked(ops->zero(blob, 4096, 8192, CST_ZERO_FAST, &error), &error, code, range);
        check_asked(ops->zero(blob, 4096, 8192, CST_ZERO_MAY_UNMAP, &error), &error, code,
                    lacks ? range : hole);
        assert_int_equal(cst_blob_discard(blob, 4096, 8192, &error), lacks);
        assert_int_equal(error != NULL, !lacks);
        assert_int_equal(asked.offset, 4096);
        assert_int_equal(cst_blob_zero(blob, 4096, 8192, 0, NULL), lacks);
        assert_false(cst_blob_allocate(blob, 4096, 8192, NULL));
    }
    asked.error = 0;
}

static uint64_t allocated(CstBlob *blob)
{
    struct stat st;

    assert_int_equal(fstat(cst_blob_file_fd(blob), &st), 0);
    return (uint64_t)st.st_blocks * 512;
}

static void space_is_allocated_and_freed(void **state)
{
    g_autoptr(CstBlob) blob = scratch_file(4 * CST_MIB);

    assert_int_equal(allocated(blob), 0);
    assert_true(cst_blob_allocate(blob, CST_MIB, 2 * CST_MIB, NULL));
    assert_in_range(allocated(blob), 2 * CST_MIB, 3 * CST_MIB);
    assert_true(cst_blob_discard(blob, CST_MIB, CST_MIB, NULL));
    assert_in_range(allocated(blob), CST_MIB, 2 * CST_MIB);
    assert_true(cst_blob_zero(blob, 2 * CST_MIB, CST_MIB, CST_ZERO_MAY_UNMAP, NULL));
    assert_in_range(allocated(blob), 0, CST_MIB / 2);
    assert_int_equal(size_of(blob), 4 * CST_MIB);
}

static void a_message_names_the_range(void **state)
{
    g_autoptr(CstBlob) blob = scratch_file(4096);
    g_autoptr(CstBlob) other = scratch_file(4096);
    gboolean (*const calls[])(CstBlob *, uint64_t, uint64_t, GError **) = {cst_blob_discard,
                                                                           cst_blob_allocate};
    GError *errors[7] = {NULL};
    CstExtent extent;
    CstBlobLocation location;
    char buf[4];

    assert_false(cst_blob_pread(blob, buf, 4, 4095, &errors[0]));
    assert_false(cst_blob_extent(blob, 4095, 4, &extent, &errors[1]));
    assert_false(cst_blob_zero(blob, 4095, 4, 0, &errors[2]));
    assert_false(calls[0](blob, 4095, 4, &errors[3]));
    assert_false(calls[1](blob, 4095, 4, &errors[4]));
    assert_false(cst_blob_locate(blob, 4095, 4, &location, &errors[5]));
    assert_false(cst_blob_share(blob, 4095, other, 0, 4, &errors[6]));
    for (size_t i = 0; i < G_N_ELEMENTS(errors); i++) {
        assert_code(errors[i], CST_ERROR_INVALID);
        assert_non_null(strstr(errors[i]->message, " 4095+4 "));
        g_error_free(errors[i]);
    }
}

/* The largest offset that a file may have is the file system's to refuse. */
static void only_impossible_file_offsets_are_out_of_range(void **state)
{
    g_autoptr(CstBlob) memory = cst_blob_memory_new(NULL, 0);
    g_autoptr(GError) error = NULL;

    assert_false(cst_blob_pwrite(memory, "x", 1, G_MAXINT64 - 1, &error));
    assert_code(error, CST_ERROR_NO_SPACE);
    g_clear_error(&error);
    assert_false(cst_blob_pwrite(memory, "x", 1, G_MAXINT64, &error));
    assert_code(error, CST_ERROR_INVALID);
    g_clear_error(&error);
    assert_false(cst_blob_pwrite(memory, "xy", 2, G_MAXINT64 - 1, &error));
    assert_code(error, CST_ERROR_INVALID);
    g_clear_error(&error);
    assert_false(cst_blob_resize(memory, (uint64_t)G_MAXINT64 + 1, &error));
    assert_code(error, CST_ERROR_INVALID);
    g_clear_error(&error);
    assert_false(cst_blob_resize(memory, G_MAXINT64, &error));
    assert_code(error, CST_ERROR_NO_SPACE);
}

/* The file was truncated. The kernel then copies no bytes and reports success. */
static void kernel_copy_of_zero_bytes_is_unsupported(void **state)
{
    g_autoptr(CstBlob) src = scratch_file(8192);
    g_autoptr(CstBlob) dst = scratch_file(8192);
    g_autoptr(CstBlob) memory = cst_blob_memory_new(NULL, 8192);
    g_autoptr(GError) error = NULL;

    assert_int_equal(ftruncate(cst_blob_file_fd(src), 0), 0);
    errno = 0;
    assert_false(src->ops->copy_range(src, 0, dst, 0, 8192, FALSE, &error));
    assert_code(error, CST_ERROR_UNSUPPORTED);
    g_clear_error(&error);
    assert_false(src->ops->copy_range(src, 0, memory, 0, 8192, FALSE, &error));
    assert_code(error, CST_ERROR_UNSUPPORTED);
}

static void the_kernel_copies_between_files(void **state)
{
    g_autoptr(CstBlob) src = scratch_file(0);
    g_autoptr(CstBlob) dst = scratch_file(0);
    char back[4];

    assert_true(cst_blob_pwrite(src, "0123456789", 10, 0, NULL));
    errno = EINTR; /* of a call before */
    assert_true(src->ops->copy_range(src, 3, dst, 5, 4, FALSE, NULL));
    assert_int_equal(size_of(dst), 9);
    assert_true(cst_blob_pread(dst, back, 4, 5, NULL));
    assert_memory_equal(back, "3456", 4);
}

/* A folder of its own for a test that needs paths. */
static char *in_folder(const char *folder, const char *name)
{
    return g_build_filename(folder, name, NULL);
}

static void new_file_is_created_and_an_existing_one_is_refused(void **state)
{
    g_autofree char *folder = g_dir_make_tmp("cst-blob-XXXXXX", NULL);
    g_autofree char *path = in_folder(folder, "a");
    g_autofree char *missing = in_folder(folder, "b/c");
    g_autoptr(GError) error = NULL;
    g_autoptr(CstBlob) dry = NULL;
    g_autoptr(CstBlob) made = NULL;

    cst_dry_run_set(TRUE);
    assert_null(cst_blob_file_create(path, &error));
    cst_dry_run_set(FALSE);
    assert_code(error, CST_ERROR_DRY_RUN);
    g_clear_error(&error);
    assert_int_equal(access(path, F_OK), -1);
    made = cst_blob_file_create(path, NULL);
    assert_true(cst_blob_pwrite(made, "a", 1, 0, NULL));
    assert_null(cst_blob_file_create(path, &error));
    assert_code(error, CST_ERROR_EXISTS);
    g_clear_error(&error);
    cst_dry_run_set(TRUE);
    assert_null(cst_blob_file_create(path, &error));
    cst_dry_run_set(FALSE);
    assert_code(error, CST_ERROR_EXISTS);
    g_clear_error(&error);
    assert_null(cst_blob_file_create(missing, &error));
    assert_code(error, CST_ERROR_NOT_FOUND);
    assert_int_equal(unlink(path), 0);
    assert_int_equal(rmdir(folder), 0);
}

static void existing_file_is_opened_by_path(void **state)
{
    g_autofree char *folder = g_dir_make_tmp("cst-blob-XXXXXX", NULL);
    g_autofree char *path = in_folder(folder, "a");
    g_autofree char *pipe_path = in_folder(folder, "pipe");
    g_autoptr(GError) error = NULL;
    g_autoptr(CstBlob) reader = NULL;
    g_autoptr(CstBlob) writer = NULL;

    assert_null(cst_blob_file_open(path, FALSE, &error));
    assert_code(error, CST_ERROR_NOT_FOUND);
    g_clear_error(&error);
    assert_true(g_file_set_contents(path, "a", -1, NULL));
    reader = cst_blob_file_open(path, FALSE, NULL);
    assert_false(cst_blob_pwrite(reader, "b", 1, 0, NULL));
    writer = cst_blob_file_open(path, TRUE, NULL);
    assert_true(cst_blob_pwrite(writer, "b", 1, 0, NULL));
    /* Opening a FIFO must not wait for its other end. */
    assert_int_equal(mkfifo(pipe_path, 0600), 0);
    assert_null(cst_blob_file_open(pipe_path, FALSE, &error));
    assert_code(error, CST_ERROR_INVALID);
    g_clear_error(&error);
    assert_null(cst_blob_file_open(folder, FALSE, &error));
    assert_code(error, CST_ERROR_INVALID);
    g_clear_error(&error);
    assert_null(cst_blob_file_new(-1, "none", FALSE, &error));
    assert_code(error, CST_ERROR_IO);
    assert_int_equal(unlink(path), 0);
    assert_int_equal(unlink(pipe_path), 0);
    assert_int_equal(rmdir(folder), 0);
}

/* A link may lead to a terminal, which then would send its signals to a daemon without one. */
static void a_terminal_does_not_become_ours(void **state)
{
    int master = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC), status;
    pid_t child;

    if (master < 0 || grantpt(master) < 0 || unlockpt(master) < 0)
        skip();
    child = fork();
    if (child == 0) {
        setsid();
        _exit(cst_blob_file_open(ptsname(master), TRUE, NULL) ||
              open("/dev/tty", O_RDONLY | O_CLOEXEC) >= 0);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
    close(master);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_last_reference_closes_the_descriptor),
        cmocka_unit_test(device_discards_the_requested_range),
        cmocka_unit_test(a_device_zeroes_as_fast_as_it_must),
        cmocka_unit_test(device_keeps_its_size_and_does_not_share),
        cmocka_unit_test(a_flush_reaches_the_disk_unless_it_need_not),
        cmocka_unit_test(read_and_write_errors_are_reported),
        cmocka_unit_test(a_hole_made_in_known_data_is_seen),
        cmocka_unit_test(end_of_a_run_is_searched_once),
        cmocka_unit_test(walk_searches_each_end_once),
        cmocka_unit_test(unsupported_kernel_copy_is_unsupported_and_not_a_failure),
        cmocka_unit_test(an_end_that_was_cut_off_is_forgotten),
        cmocka_unit_test(missing_feature_of_a_file_system_is_unsupported),
        cmocka_unit_test(space_is_allocated_and_freed),
        cmocka_unit_test(a_message_names_the_range),
        cmocka_unit_test(only_impossible_file_offsets_are_out_of_range),
        cmocka_unit_test(kernel_copy_of_zero_bytes_is_unsupported),
        cmocka_unit_test(the_kernel_copies_between_files),
        cmocka_unit_test(new_file_is_created_and_an_existing_one_is_refused),
        cmocka_unit_test(existing_file_is_opened_by_path),
        cmocka_unit_test(a_terminal_does_not_become_ours),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
