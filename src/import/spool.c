/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Spools (base/spool.h) of data that is read more than once. */
#include "spool.h"

#include <errno.h>
#include <inttypes.h>
#include <unistd.h>

#include <base/alloc.h>
#include <base/file.h>
#include <base/i18n.h>
#include <base/spool.h>
#include <base/units.h>

#define CHECK_EVERY (64 * CST_MIB) /* bytes between two checks of the free space */
#define UNIT        (64u << 10)    /* granularity of holes */

static int spool_open(const char *dir, GError **error)
{
    int fd = cst_spool_open(dir);

    if (fd < 0)
        cst_fail_errno(error, errno, _("cannot spool in '%s'; say where with --spool-dir"), dir);
    return fd;
}

gboolean import_spool_check(int fd, const char *where, uint64_t more, GError **error)
{
    uint64_t room;

    if (!cst_spool_room(fd, &room))
        return cst_fail_errno(error, errno, _("cannot spool in '%s'; say where with --spool-dir"),
                              where);
    if (room >= more)
        return TRUE;
    return cst_fail(error, CST_ERROR_NO_SPACE,
                    _("'%s' has %" PRIu64 " MiB left, too little to spool in; say where with "
                      "--spool-dir"),
                    where, room / CST_MIB);
}

gboolean import_spool_check_on(int fd, const char *where, uint64_t done, uint64_t *checked,
                               GError **error)
{
    if (done < *checked)
        return TRUE;
    *checked = done + CHECK_EVERY;
    return import_spool_check(fd, where, CHECK_EVERY, error);
}

/* Writes the units of @len bytes that are not zero. */
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

typedef struct {
    const ImportContext *context;
    const char *name, *dir;
    int fd;
    uint64_t done, checked; /* bytes */
} Spool;

/* Appends @len bytes. */
static gboolean spool_append_bytes(const void *buf, size_t len, gpointer data, GError **error)
{
    Spool *spool = data;

    if (!import_spool_check_on(spool->fd, spool->dir, spool->done, &spool->checked, error) ||
        !import_check_size(spool->context, spool->done + len, spool->name, error) ||
        !write_sparse(spool->fd, buf, len, spool->done, spool->dir, error))
        return FALSE;
    spool->done += len;
    cst_task_advance(spool->context->task, len);
    return TRUE;
}

static gboolean spool_append_all(Spool *spool, ImportReader *reader, GError **error)
{
    g_autofree uint8_t *buf = cst_alloc(IMPORT_STEP, 1, reader->name, error);
    size_t n = 0;

    if (!buf)
        return FALSE;
    do {
        if (!import_reader_read(reader, buf, IMPORT_STEP, &n, error) ||
            !spool_append_bytes(buf, n, spool, error))
            return FALSE;
    } while (n > 0);
    return TRUE;
}

/* Spools from @reader, or from @http if @reader is NULL. */
static CstBlob *spool_from(const ImportContext *context, const char *name, ImportReader *reader,
                           ImportHttp *http, GError **error)
{
    Spool spool = {.context = context, .name = name, .dir = cst_spool_dir(context->how->spool_dir)};
    g_auto(CstFd) fd = -1;

    import_note(context, _("'%s' is spooled in %s"), name, spool.dir);
    fd = spool.fd = spool_open(spool.dir, error);
    if (fd < 0 ||
        !(reader ? spool_append_all(&spool, reader, error)
                 : import_http_get(http, 0, IMPORT_UNKNOWN, spool_append_bytes, &spool, error)))
        return NULL;
    if (ftruncate(fd, (off_t)spool.done) < 0) {
        cst_fail_errno(error, errno, _("cannot spool in '%s'; say where with --spool-dir"),
                       spool.dir);
        return NULL;
    }
    return cst_blob_file_new(g_steal_fd(&fd), name, FALSE, error);
}

CstBlob *import_spool(const ImportContext *context, ImportReader *reader, GError **error)
{
    return spool_from(context, reader->name, reader, NULL, error);
}

CstBlob *import_spool_http(const ImportContext *context, ImportHttp *http, GError **error)
{
    return spool_from(context, import_http_name(http), NULL, http, error);
}
