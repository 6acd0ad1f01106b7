/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Sources. A file is read in place unless it is compressed, and a server's file by ranges. A pipe
 * or compressed data is copied to a spool, through the digest and the decompressors, so that
 * everything is read once.
 *
 * A file that other users may write to is spooled too if a digest is required, because the verified
 * bytes must be the bytes that are read later. For any other file, a change of its attributes shows
 * that it was modified during the import.
 */
#include "source.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include <base/dry_run.h>
#include <base/file.h>
#include <base/i18n.h>
#include <base/input.h>
#include <base/test_point.h>
#include <base/text.h>
#include <base/url.h>
#include <image/hold.h>

#include "archive.h"
#include "list.h"
#include "name.h"
#include "signature.h"
#include "spool.h"
#include "tar.h"
#include "unpack.h"

#define HEAD        16 /* bytes by which a compression is recognised */
#define NESTED_MAX  3  /* compressions of one file */
#define WRITES_ELSE (S_IWGRP | S_IWOTH)

void import_source_clear(ImportSource *source)
{
    if (source->blob)
        cst_blob_unref(source->blob);
    import_download_free(source->download);
    import_http_free(source->http);
    g_free(source->name);
    cst_place_clear(&source->place);
    *source = (ImportSource){.fd = -1};
}

/* --- opening ---------------------------------------------------------------------------------- */

gboolean import_is_standard(const ImportContext *context)
{
    return g_str_equal(context->how->source, "-");
}

static int import_open_source(const ImportContext *context, ImportSource *source, GError **error)
{
    g_autofree char *complaint = NULL;
    g_auto(CstFd) fd = -1;

    source->name =
        g_strdup(import_is_standard(context) ? _("(standard input)") : context->how->source);
    complaint = g_strdup_printf(_("cannot read '%s'"), source->name);
    if (!import_is_standard(context)) {
        fd = cst_input_open_place(&source->place, context->how->source, complaint, error);
        if (fd < 0)
            return -1;
    } else {
        fd = fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, STDERR_FILENO + 1);
    }
    if (fd < 0 || fstat(fd, &source->before) < 0) {
        cst_fail_errno(error, errno, "%s", complaint);
        return -1;
    }
    return g_steal_fd(&fd);
}

/*
 * Returns whether @fd is read sequentially. A file that the shell has opened and partly read counts
 * as a pipe.
 */
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

/* Reads by ranges; if the server does not support ranges, spools the whole file. */
static gboolean open_url(const ImportContext *context, const char *url, ImportSource *source,
                         GError **error)
{
    source->http = import_http_open(context, url, error);
    if (!source->http)
        return FALSE;
    source->name = g_strdup(import_http_name(source->http));
    source->blob = import_http_has_ranges(source->http)
                       ? import_http_blob(source->http)
                       : import_spool_http(context, source->http, error);
    return source->blob != NULL;
}

/* Counts the packed bytes of the source. After several steps, the smallest input is the bound. */
static void note_packed(ImportSource *source, const ImportReader *reader)
{
    uint64_t packed = reader->origin->taken;

    source->packed = source->packed > 0 ? MIN(source->packed, packed) : packed;
}

/* Replaces the blob of the source; the source owns @blob. */
static void set_blob(ImportSource *source, CstBlob *blob)
{
    if (source->blob)
        cst_blob_unref(source->blob);
    source->blob = blob;
    source->fd = -1;
}

/*
 * Sets *ret_is if the whole file is read before the import begins: to verify it, to unpack it, or,
 * for a package, to read its manifest and then its disks.
 */
static gboolean is_read_whole(const ImportSource *source, const ImportContext *context,
                              gboolean verify, gboolean *ret_is, GError **error)
{
    uint8_t head[IMPORT_TAR_HEAD];
    uint64_t size = import_http_size(source->http);
    size_t len = (size_t)MIN(size, sizeof(head));

    if (!cst_blob_pread(source->blob, head, len, 0, error))
        return FALSE;
    *ret_is =
        verify || context->how->download || import_codec_probe(head, MIN(len, HEAD)) ||
        (!context->how->format && (import_tar_probe(head, len) || import_archive_probe(head, len)));
    return TRUE;
}

/* Downloads the file of a server if all of it is needed. */
static gboolean source_download_file(ImportSource *source, const ImportContext *context,
                                     gboolean verify, GError **error)
{
    gboolean needed, busy = cst_dry_run();
    CstBlob *blob;

    if (!source->http || !import_http_has_ranges(source->http))
        return TRUE;
    if (!is_read_whole(source, context, verify, &needed, error))
        return FALSE;
    if (!needed)
        return TRUE;
    if (!busy)
        source->download = import_download(context, source->http, &busy, error);
    if (!source->download && !busy)
        return FALSE;
    blob = source->download ? cst_blob_ref(import_download_blob(source->download))
                            : import_spool_http(context, source->http, error);
    if (blob)
        set_blob(source, blob);
    return blob != NULL;
}

/* --- the expected checksum -------------------------------------------------------------------- */

/* Finds the expected checksum. *ret_wanted FALSE: no checksum is required. */
static gboolean find_checksum(const ImportContext *context, gboolean *ret_wanted,
                              ImportChecksum *ret_checksum, GError **error)
{
    const CstImportHow *how = context->how;
    g_autofree char *file = import_file_of(how->source);
    g_autofree char *list = NULL, *shown = NULL;
    const char *where = how->checksum_url ? how->checksum_url : how->checksum_file;

    *ret_wanted = how->checksum || where;
    if (how->checksum)
        return import_checksum_parse(how->checksum, ret_checksum, error);
    if (!where)
        return TRUE;
    if (import_is_standard(context))
        return cst_fail(error, CST_ERROR_USAGE, "%s",
                        _("data from standard input has no name to search for in a list of "
                          "checksums; use --checksum"));
    if (how->checksum_url && !import_is_url(where))
        return cst_fail(error, CST_ERROR_USAGE, _("'%s' is no URL; --checksum-file reads files"),
                        where);
    shown = cst_url_shown(where);
    list = import_signed_list(context, where, shown, error);
    return list && import_list_find(list, file, shown, FALSE, ret_checksum, error);
}

/* --- reading ---------------------------------------------------------------------------------- */

/* Adds decompressors over @packed, which it owns, until the content is not compressed any more. */
static ImportReader *source_unpack_reader(const ImportContext *context, ImportReader *packed,
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

/*
 * Reads @packed, which it owns. Spools it into the source's blob if it is compressed. Also spools
 * it if its bytes may differ at a second read (@unsteady) after they were verified.
 */
static gboolean source_read_all(ImportSource *source, const ImportContext *context,
                                ImportReader *packed, gboolean unsteady, CstDigest *digest,
                                GError **error)
{
    gboolean unpacks;
    g_autoptr(ImportReader) reader = NULL;
    CstBlob *blob;

    packed->digest = digest;
    reader = source_unpack_reader(context, packed, &unpacks, error);
    if (!reader)
        return FALSE;
    if (!unpacks && source->blob && !(unsteady && digest))
        return !digest || import_reader_drain(reader, error);
    blob = import_spool(context, reader, error);
    if (!blob)
        return FALSE;
    CST_TEST_POINT("import_source.spooled");
    /* A digest detects a change. Without one, the spool could contain parts of two versions. */
    if (!digest && !import_source_is_unchanged(source, error)) {
        cst_blob_unref(blob);
        return FALSE;
    }
    note_packed(source, reader);
    set_blob(source, blob);
    return TRUE;
}

/* Like source_read_all(), and verifies the digest; @wanted NULL: no verification. */
static gboolean read_wanted(ImportSource *source, const ImportContext *context,
                            ImportReader *packed, gboolean unsteady, const ImportChecksum *wanted,
                            GError **error)
{
    g_autoptr(CstDigest) digest = wanted ? cst_digest_new(wanted->kind, error) : NULL;

    if (wanted && !digest) {
        import_reader_free(packed);
        return FALSE;
    }
    if (source_read_all(source, context, packed, unsteady, digest, error) &&
        (!wanted || import_checksum_verify(wanted, digest, source->name, error)))
        return TRUE;
    /* Remove a damaged download, so that the next import starts again. */
    if (!cst_task_check(context->task, NULL))
        return FALSE;
    import_download_forget(source->download);
    return FALSE;
}

/*
 * Fails with BUSY if a program has the disk open for writing, because the copy would be
 * inconsistent.
 */
static gboolean source_check_at_rest(const ImportSource *source, GError **error)
{
    g_autofree char *who = NULL;

    return !cst_image_is_written(source->blob, &who) ||
           cst_fail(error, CST_ERROR_BUSY,
                    _("'%s' is open for writing in %s; stop it before the import, or say "
                      "--force-share"),
                    source->name, who);
}

/* *ret_unsteady: a second read may return other bytes, or fail. */
static ImportReader *open_reader(ImportSource *source, const ImportContext *context,
                                 gboolean verify, gboolean *ret_unsteady, GError **error)
{
    int fd;

    *ret_unsteady = FALSE;
    if (import_is_url(context->how->source)) {
        if (!open_url(context, context->how->source, source, error) ||
            !source_download_file(source, context, verify, error))
            return NULL;
        return import_reader_of_blob(source->blob, context->task);
    }
    fd = import_open_source(context, source, error);
    if (fd < 0)
        return NULL;
    if (is_pipe(fd, source->before.st_mode)) {
        *ret_unsteady = TRUE;
        return import_reader_of_fd(fd, source->name, context->task);
    }
    source->blob = cst_blob_file_new(fd, source->name, FALSE, error);
    if (!source->blob)
        return NULL;
    source->fd = fd;
    *ret_unsteady = is_others(&source->before);
    if (!context->how->force_share && !source_check_at_rest(source, error))
        return NULL;
    return import_reader_of_blob(source->blob, context->task);
}

/* Opens the file that the caller has opened. It is an image and is read in place. */
static gboolean open_given(ImportSource *source, const ImportContext *context, GError **error)
{
    int fd = fcntl(context->how->fd, F_DUPFD_CLOEXEC, STDERR_FILENO + 1);

    source->name = g_strdup(context->how->source);
    if (fd < 0 || fstat(fd, &source->before) < 0) {
        cst_fail_errno(error, errno, _("cannot read '%s'"), source->name);
        if (fd >= 0)
            close(fd);
        return FALSE;
    }
    source->fd = fd;
    source->blob = cst_blob_file_new(fd, source->name, FALSE, error);
    return source->blob != NULL;
}

gboolean import_source_open(ImportSource *source, const ImportContext *context, GError **error)
{
    ImportChecksum wanted;
    ImportReader *reader;
    gboolean unsteady, verify;

    *source = (ImportSource){.fd = -1};
    if (context->how->fd > 0)
        return open_given(source, context, error);
    if (!find_checksum(context, &verify, &wanted, error))
        return FALSE;
    reader = open_reader(source, context, verify, &unsteady, error);
    return reader && read_wanted(source, context, reader, unsteady, verify ? &wanted : NULL, error);
}

/* --- files of the same directory -------------------------------------------------------------- */

static char *source_sibling_url(const char *url, const char *name, GError **error)
{
    g_autofree char *escaped = g_uri_escape_string(name, "/", FALSE);
    /* The "./" prevents that a name is parsed as a scheme. */
    g_autofree char *relative = g_strconcat("./", escaped, NULL);
    g_autofree char *shown = cst_url_shown(url);
    char *beside = g_uri_resolve_relative(url, relative, G_URI_FLAGS_ENCODED, NULL);

    if (!beside)
        cst_fail(error, CST_ERROR_INVALID, _("'%s' is no URL, so '%s' cannot be relative to it"),
                 shown, name);
    return beside;
}

/*
 * Returns the path of the directory that @place has opened: the directory in the path that the user
 * gave, or the target of the link that the path ends in. g_free() it.
 */
static char *source_directory(const CstPlace *place)
{
    g_autofree char *given = g_path_get_dirname(place->path);
    g_autofree char *link = g_strdup_printf("/proc/self/fd/%d", place->dir);
    struct stat named, opened;
    char *real;

    if (stat(given, &named) == 0 && fstat(place->dir, &opened) == 0 &&
        cst_stat_is_same(&named, &opened))
        return g_steal_pointer(&given);
    real = cst_kernel_link(link);
    return real ? real : g_steal_pointer(&given);
}

/*
 * Fails unless the path stays below the directory and contains no link. The directory is the one
 * that the descriptor was opened in, also if another user has exchanged its name since.
 */
static gboolean open_file_beside(ImportSource *source, const CstPlace *place, const char *name,
                                 GError **error)
{
    g_autofree char *dir = place->path ? source_directory(place) : g_strdup(".");
    g_autofree char *shown = cst_text_escape(name), *path = g_build_filename(dir, shown, NULL);
    g_auto(CstPlace) parent = CST_PLACE_INIT;
    g_auto(CstFd) fd = -1;

    if (!place->path)
        return cst_fail(error, CST_ERROR_DENIED,
                        _("cannot read '%s': it is not a file in the directory of the descriptor"),
                        shown);
    CST_TEST_POINT("import_source.beside");
    if (cst_place_init_beneath(&parent, place, name, path))
        fd = cst_place_open(&parent, O_RDONLY | O_NONBLOCK);
    if (fd < 0 && errno == ELOOP)
        return cst_fail(error, CST_ERROR_DENIED, _("'%s' is a link, which is not followed"), path);
    if (fd < 0)
        return cst_fail_errno(error, errno, _("cannot read '%s'"), path);
    if (fstat(fd, &source->before) < 0)
        return cst_fail_errno(error, errno, _("cannot read '%s'"), path);
    if (!S_ISREG(source->before.st_mode))
        return cst_fail(error, CST_ERROR_DENIED, _("'%s' is no regular file"), path);
    if (!cst_place_check_links(&parent, &source->before, error))
        return FALSE;
    source->name = g_strdup(path);
    source->fd = fd;
    source->blob = cst_blob_file_new(g_steal_fd(&fd), path, FALSE, error);
    return source->blob != NULL;
}

gboolean import_source_open_beside(ImportSource *source, const ImportContext *context,
                                   const ImportSource *descriptor, const char *name, GError **error)
{
    g_autofree char *url = NULL;

    *source = (ImportSource){.fd = -1};
    if (!cst_reference_is_below(name)) {
        g_autofree char *shown = cst_text_escape(name);

        return cst_fail(error, CST_ERROR_DENIED,
                        _("cannot read '%s': it is not a file in the directory of the descriptor"),
                        shown);
    }
    if (!import_is_url(context->how->source))
        return open_file_beside(source, &descriptor->place, name, error);
    url = source_sibling_url(context->how->source, name, error);
    return url && open_url(context, url, source, error);
}

gboolean import_source_read(ImportSource *source, const ImportContext *context,
                            const ImportChecksum *wanted, GError **error)
{
    return source_download_file(source, context, wanted != NULL, error) &&
           read_wanted(source, context, import_reader_of_blob(source->blob, context->task), FALSE,
                       wanted, error);
}

gboolean import_source_unpack(ImportSource *source, const ImportContext *context, GError **error)
{
    g_autoptr(ImportReader) reader = NULL;
    gboolean unpacks;
    CstBlob *blob;

    if (!source_download_file(source, context, TRUE, error))
        return FALSE;
    reader = import_archive_open(context, source->blob, source->name, error);
    if (reader)
        reader = source_unpack_reader(context, g_steal_pointer(&reader), &unpacks, error);
    blob = reader ? import_spool(context, reader, error) : NULL;
    CST_TEST_POINT("import_source.extracted");
    if (!blob || !import_source_is_unchanged(source, error)) {
        if (blob)
            cst_blob_unref(blob);
        return FALSE;
    }
    note_packed(source, reader);
    set_blob(source, blob);
    return TRUE;
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
