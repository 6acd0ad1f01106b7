/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Sources. A file is read where it lies, unless it is compressed, and a server's file by ranges. A
 * pipe and what is compressed go into a spool on the way, through the digest and the decompressors,
 * so that everything is read once. A file that others may write to is spooled as well when it has
 * to have a digest: what was verified must be what is read afterwards. Of any other file, the times
 * tell whether it has changed meanwhile.
 */
#include "source.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include <base/i18n.h>

#include "list.h"
#include "name.h"
#include "signature.h"
#include "spool.h"
#include "unpack.h"

#define HEAD        16 /* bytes by which compressions are recognised */
#define NESTED_MAX  3  /* compressions of one file */
#define WRITES_ELSE (S_IWGRP | S_IWOTH)

void import_source_clear(ImportSource *source)
{
    if (source->blob)
        cst_blob_unref(source->blob);
    import_http_free(source->http);
    *source = (ImportSource){.fd = -1};
}

/* --- opening ---------------------------------------------------------------------------------- */

static gboolean is_standard(const ImportContext *context)
{
    return g_str_equal(context->how->source, "-");
}

static int open_source(const ImportContext *context, ImportSource *source, GError **error)
{
    const char *path = context->how->source;
    int fd;

    if (is_standard(context)) {
        source->name = _("(standard input)");
        fd = fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, STDERR_FILENO + 1);
    } else {
        source->name = path;
        fd = open(path, O_RDONLY | O_NOCTTY | O_CLOEXEC);
    }
    if (fd >= 0 && fstat(fd, &source->before) == 0)
        return fd;
    cst_fail_errno(error, errno, _("cannot read '%s'"), source->name);
    if (fd >= 0)
        close(fd);
    return -1;
}

/* A file that a shell has opened and read from is read on from there, as a pipe is. */
static gboolean is_pipe(int fd, mode_t mode)
{
    return S_ISFIFO(mode) || S_ISSOCK(mode) || S_ISCHR(mode) || lseek(fd, 0, SEEK_CUR) > 0;
}

static gboolean is_others(const struct stat *st)
{
    return !S_ISREG(st->st_mode) || (st->st_mode & WRITES_ELSE) ||
           (st->st_uid != 0 && st->st_uid != geteuid());
}

/* --- servers ---------------------------------------------------------------------------------- */

/* By ranges, or where a server does none, all of it into a spool. */
static gboolean open_url(const ImportContext *context, ImportSource *source, GError **error)
{
    source->http = import_http_open(context, context->how->source, error);
    if (!source->http)
        return FALSE;
    source->name = import_http_name(source->http);
    source->blob = import_http_has_ranges(source->http)
                       ? import_http_blob(source->http)
                       : import_spool_http(context, source->http, error);
    return source->blob != NULL;
}

/* --- what it has to be ------------------------------------------------------------------------ */

/* *ret_wanted FALSE: anything. */
static gboolean find_checksum(const ImportContext *context, gboolean *ret_wanted,
                              ImportChecksum *ret_checksum, GError **error)
{
    const CstImportHow *how = context->how;
    g_autofree char *file = import_file_of(how->source);
    g_autofree char *list = NULL;

    *ret_wanted = how->checksum || how->checksum_file;
    if (how->checksum)
        return import_checksum_parse(how->checksum, ret_checksum, error);
    if (!how->checksum_file)
        return TRUE;
    if (is_standard(context))
        return cst_fail(error, CST_ERROR_USAGE, "%s",
                        _("what comes from standard input has no name that a list of checksums "
                          "could have; use --checksum"));
    list = import_signed_list(context, error);
    return list && import_list_find(list, file, how->checksum_file, ret_checksum, error);
}

/* --- reading ---------------------------------------------------------------------------------- */

/* Puts decompressors over @packed, which it takes over, until what comes is none of theirs. */
static ImportReader *unpack(const ImportContext *context, ImportReader *packed,
                            gboolean *ret_unpacks, GError **error)
{
    g_autoptr(ImportReader) reader = packed;
    const ImportCodec *codec;
    const uint8_t *head;
    size_t len;

    *ret_unpacks = FALSE;
    for (unsigned i = 0;; i++) {
        if (!import_reader_peek(reader, HEAD, &head, &len, error))
            return NULL;
        codec = import_codec_probe(head, len);
        if (!codec)
            return g_steal_pointer(&reader);
        if (i == NESTED_MAX) {
            cst_fail(error, CST_ERROR_LIMIT, _("'%s' is compressed over %d times"), reader->name,
                     NESTED_MAX);
            return NULL;
        }
        *ret_unpacks = TRUE;
        reader = import_unpack(g_steal_pointer(&reader), codec, context);
    }
}

/* Reads all of @packed: into the source's blob when @spool or when it is compressed. */
static gboolean read_all(ImportSource *source, const ImportContext *context, ImportReader *packed,
                         gboolean spool, gboolean digest, GError **error)
{
    gboolean unpacks;
    g_autoptr(ImportReader) reader = unpack(context, packed, &unpacks, error);
    CstBlob *blob;

    if (!reader)
        return FALSE;
    if (!spool && !unpacks)
        return !digest || import_reader_drain(reader, error);
    blob = import_spool(context, reader, error);
    if (!blob)
        return FALSE;
    if (source->blob)
        cst_blob_unref(source->blob);
    source->blob = blob;
    source->fd = -1;
    return TRUE;
}

/* *ret_spool: what was read could be read differently a second time, or not at all. */
static ImportReader *open_reader(ImportSource *source, const ImportContext *context,
                                 gboolean *ret_spool, GError **error)
{
    int fd;

    *ret_spool = FALSE;
    if (import_is_url(context->how->source)) {
        if (!open_url(context, source, error))
            return NULL;
        *ret_spool = import_http_has_ranges(source->http);
        return import_reader_of_blob(source->blob, context->task);
    }
    fd = open_source(context, source, error);
    if (fd < 0)
        return NULL;
    if (is_pipe(fd, source->before.st_mode)) {
        *ret_spool = TRUE;
        return import_reader_of_fd(fd, source->name, context->task);
    }
    source->blob = cst_blob_file_new(fd, source->name, FALSE, error);
    if (!source->blob)
        return NULL;
    source->fd = fd;
    *ret_spool = is_others(&source->before);
    return import_reader_of_blob(source->blob, context->task);
}

gboolean import_source_open(ImportSource *source, const ImportContext *context, GError **error)
{
    g_autoptr(CstDigest) digest = NULL;
    ImportChecksum wanted;
    ImportReader *reader;
    gboolean spool, verify;

    *source = (ImportSource){.fd = -1};
    if (!find_checksum(context, &verify, &wanted, error))
        return FALSE;
    digest = verify ? cst_digest_new(wanted.kind, error) : NULL;
    if (verify && !digest)
        return FALSE;
    reader = open_reader(source, context, &spool, error);
    if (!reader)
        return FALSE;
    reader->digest = digest;
    return read_all(source, context, reader, spool && (verify || !source->blob), verify, error) &&
           (!verify || import_checksum_verify(&wanted, digest, source->name, error));
}

gboolean import_source_is_unchanged(const ImportSource *source, GError **error)
{
    const struct stat *then = &source->before;
    struct stat now;

    if (source->fd < 0 || !S_ISREG(then->st_mode))
        return TRUE;
    if (fstat(source->fd, &now) < 0)
        return cst_fail_errno(error, errno, _("cannot read '%s'"), source->name);
    if (now.st_size == then->st_size && now.st_ctim.tv_sec == then->st_ctim.tv_sec &&
        now.st_ctim.tv_nsec == then->st_ctim.tv_nsec)
        return TRUE;
    return cst_fail(error, CST_ERROR_MISMATCH, _("'%s' has changed while it was read"),
                    source->name);
}
