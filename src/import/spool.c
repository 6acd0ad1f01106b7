/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Spools. Files without names (O_TMPFILE), so that nothing stays after a kill, and nobody else can
 * open or replace one. The file system keeps RESERVE bytes free, for it is not ours alone.
 */
#include "spool.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <base/alloc.h>
#include <base/file.h>
#include <base/i18n.h>
#include <base/units.h>

#define RESERVE     (64 * CST_MIB)
#define CHECK_EVERY (64 * CST_MIB) /* bytes between two looks at the free space */
#define UNIT        (64u << 10)    /* bytes that are left out when they are zero */

static const char *spool_dir(const ImportContext *context)
{
    const char *dir = context->how->spool_dir;

    if (!dir)
        dir = g_getenv("TMPDIR");
    return dir && *dir ? dir : "/var/tmp";
}

static int spool_open(const char *dir, GError **error)
{
    g_autofree char *path = NULL;
    int fd = open(dir, O_TMPFILE | O_EXCL | O_RDWR | O_CLOEXEC, 0600);

    /* A file system without O_TMPFILE: NFS, for one. */
    if (fd < 0 && (errno == EOPNOTSUPP || errno == EISDIR)) {
        path = g_build_filename(dir, ".cistern-XXXXXX", NULL);
        fd = mkostemp(path, O_CLOEXEC);
        if (fd >= 0)
            unlink(path);
    }
    if (fd < 0)
        cst_fail_errno(error, errno, _("cannot spool in '%s'; say where with --spool-dir"), dir);
    return fd;
}

/* NO_SPACE when the file system of @fd has no room for @more bytes and what others need. */
static gboolean check_space(int fd, const char *where, uint64_t more, GError **error)
{
    struct statvfs fs;
    uint64_t room;

    if (fstatvfs(fd, &fs) < 0)
        return cst_fail_errno(error, errno, _("cannot spool in '%s'; say where with --spool-dir"),
                              where);
    room = (uint64_t)fs.f_bavail * fs.f_frsize;
    if (room >= RESERVE && room - RESERVE >= more)
        return TRUE;
    return cst_fail(error, CST_ERROR_NO_SPACE,
                    _("'%s' has %" PRIu64 " MiB left, too little to spool in; say where with "
                      "--spool-dir"),
                    where, room / CST_MIB);
}

/* Writes what is not zero of @len bytes. */
static gboolean write_sparse(int fd, const uint8_t *buf, size_t len, uint64_t offset,
                             const char *where, GError **error)
{
    for (size_t at = 0; at < len; at += UNIT) {
        size_t n = MIN(UNIT, len - at);

        if (!cst_bytes_are_zero(buf + at, n) &&
            !cst_pwrite_full(fd, buf + at, n, offset + at, where, error))
            return FALSE;
    }
    return TRUE;
}

static gboolean copy(const ImportContext *context, ImportReader *reader, int fd, const char *dir,
                     GError **error)
{
    g_autofree uint8_t *buf = cst_alloc(IMPORT_STEP, 1, reader->name, error);
    uint64_t done = 0, checked = 0;
    size_t n = 0;

    if (!buf)
        return FALSE;
    do {
        if (done >= checked) {
            if (!check_space(fd, dir, CHECK_EVERY, error))
                return FALSE;
            checked = done + CHECK_EVERY;
        }
        if (!import_reader_read(reader, buf, IMPORT_STEP, &n, error) ||
            !import_check_size(context, done + n, reader->name, error) ||
            !write_sparse(fd, buf, n, done, dir, error))
            return FALSE;
        done += n;
        cst_task_advance(context->task, n);
    } while (n > 0);
    if (ftruncate(fd, (off_t)done) < 0)
        return cst_fail_errno(error, errno, _("cannot spool in '%s'; say where with --spool-dir"),
                              dir);
    return TRUE;
}

CstBlob *import_spool(const ImportContext *context, ImportReader *reader, GError **error)
{
    const char *dir = spool_dir(context);
    g_auto(CstFd) fd = -1;

    import_note(context, _("'%s' is spooled in %s"), reader->name, dir);
    fd = spool_open(dir, error);
    if (fd < 0 || !copy(context, reader, fd, dir, error))
        return NULL;
    return cst_blob_file_new(g_steal_fd(&fd), reader->name, FALSE, error);
}
