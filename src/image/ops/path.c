/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Opens images, their backing files and parts by path. A name in an image is untrusted. Parts are
 * opened only beneath the image's own directory, without following links that lead out of it,
 * because they are written to. A backing file may be in any directory, and is opened for reading
 * only. For a data file in another directory the caller's path is opened. The opened file, not its
 * name, is compared with the file that the image refers to, so that a concurrent rename has no
 * effect.
 */
#include <image/path.h>

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <base/dry_run.h>
#include <base/error.h>
#include <base/file.h>
#include <base/i18n.h>
#include <base/place.h>
#include <base/url.h>
#include <image/hold.h>

char *cst_path_named(const char *owner, const char *name)
{
    const char *path = g_str_has_prefix(name, "file:") ? name + strlen("file:") : name;
    const char *colon = strchr(path, ':');
    const char *slash = strchr(path, '/');
    g_autofree char *dir = NULL;

    /* "nbd://…", "json:{…}": a colon before the first slash ends the name of a protocol. */
    if (colon && (!slash || colon < slash))
        return NULL;
    if (g_path_is_absolute(path) || !strchr(owner, '/'))
        return g_strdup(path);
    dir = g_path_get_dirname(owner);
    return g_build_filename(dir, path, NULL);
}

static gboolean has_parent_component(const char *path)
{
    g_auto(GStrv) components = g_strsplit(path, "/", -1);

    return g_strv_contains((const char *const *)components, "..");
}

char *cst_path_backing(CstBlob *owner, const char *name, GError **error)
{
    g_autofree char *path = cst_path_named(owner->name, name), *clean = NULL;
    struct stat named, cleaned;

    if (!path) {
        g_autofree char *shown = cst_reference_shown(name);

        cst_fail(error, CST_ERROR_UNSUPPORTED,
                 _("'%s' is based on '%s', which is no file; only files can be followed"),
                 owner->name, shown);
        return NULL;
    }
    if (!has_parent_component(path))
        return g_steal_pointer(&path);
    /*
     * A place refuses ".." in a directory that another user can move. The path without ".." leads
     * to another file if a directory before ".." is a link.
     */
    clean = g_canonicalize_filename(path, NULL);
    return stat(path, &named) == 0 && stat(clean, &cleaned) == 0 &&
                   cst_stat_is_same(&named, &cleaned)
               ? g_steal_pointer(&clean)
               : g_steal_pointer(&path);
}

void cst_path_explain_backing(CstBlob *owner, const char *name, GError **error)
{
    g_autofree char *shown = NULL;

    if (!error || cst_error_code(*error) != CST_ERROR_DENIED)
        return;
    shown = cst_reference_shown(name);
    g_prefix_error(error, _("'%s' is based on '%s', which 'cistern image-rebase -u' changes: "),
                   owner->name, shown);
}

static CstBlob *open_backing(CstBlob *owner, const char *name, gpointer data, GError **error)
{
    g_autofree char *path = cst_path_backing(owner, name, error);
    g_autofree char *named = path ? cst_path_named(owner->name, name) : NULL;
    CstBlob *blob = path ? cst_blob_file_open_named(path, named, FALSE, error) : NULL;

    if (path && !blob)
        cst_path_explain_backing(owner, name, error);
    return blob;
}

/*
 * Opens the existing part @name, of the path @full, in the directory of @image. Refuses a link that
 * another user can change, a link that leads out of the directory, and a hard link of another user.
 */
static int part_open(const CstPlace *image, const char *name, const char *full, int flags,
                     GError **error)
{
    g_auto(CstPlace) part = CST_PLACE_INIT;
    g_auto(CstFd) fd = -1;
    struct stat st, named;

    if (!cst_place_init(&part, full, error))
        return -1;
    fd = cst_open_beneath(image->dir, name, flags, 0, error);
    if (fd < 0)
        return -1;
    /* The part must be the file to which the trusted links lead. */
    if (fstat(fd, &st) < 0 || !cst_place_stat(&part, &named) || !cst_stat_is_same(&st, &named)) {
        cst_fail(error, CST_ERROR_DENIED,
                 _("cannot open '%s': another user exchanges names in its directory"), full);
        return -1;
    }
    return cst_place_check_links(&part, &st, error) ? g_steal_fd(&fd) : -1;
}

/*
 * Fails if a machine or another program writes to the part. Its description is closed again, so
 * that its locks do not refuse the description for writing.
 */
static gboolean part_check_unused(const CstPlace *image, const char *name, const char *full,
                                  GError **error)
{
    int fd = part_open(image, name, full, O_RDONLY | O_NOCTTY | O_NONBLOCK, error);
    g_autoptr(CstBlob) blob = fd < 0 ? NULL : cst_blob_file_new(fd, full, FALSE, error);

    return blob && cst_image_check_unused(blob, error);
}

/*
 * Opens or creates @name in the image's own directory. Refuses links that lead out of it. An
 * existing part that is opened for writing is claimed.
 */
static CstBlob *open_by_relative_name(CstBlob *owner, const char *name, int flags,
                                      gboolean writable, GError **error)
{
    g_autofree char *dir = g_path_get_dirname(owner->name);
    g_autofree char *full = g_build_filename(dir, name, NULL);
    g_auto(CstPlace) place = CST_PLACE_INIT;
    g_autoptr(CstBlob) blob = NULL;
    int fd;

    flags |= O_NOCTTY | O_NONBLOCK;
    if (!cst_name_check(name, _("part of an image"), error) ||
        !cst_place_init_for(&place, full, geteuid(), FALSE, error))
        return NULL;
    if (writable && !(flags & O_CREAT) && !part_check_unused(&place, name, full, error))
        return NULL;
    fd = flags & O_CREAT ? cst_open_beneath(place.dir, name, flags, 0666, error)
                         : part_open(&place, name, full, flags, error);
    blob = fd < 0 ? NULL : cst_blob_file_new(fd, full, writable, error);
    return blob && (!writable || cst_image_hold(blob, error)) ? g_steal_pointer(&blob) : NULL;
}

static CstBlob *open_part(CstBlob *owner, const char *name, gboolean writable, gpointer data,
                          GError **error)
{
    return open_by_relative_name(owner, name, writable ? O_RDWR : O_RDONLY, writable, error);
}

static CstBlob *create_part(CstBlob *owner, const char *name, gpointer data, GError **error)
{
    return cst_may_change(error)
               ? open_by_relative_name(owner, name, O_RDWR | O_CREAT | O_EXCL, TRUE, error)
               : NULL;
}

/**
 * Opens @path if it leads to @file, and sets *ret_same accordingly. NULL without an error if it
 * leads to another file.
 */
static CstBlob *open_if_same(const char *path, const struct stat *file, gboolean writable,
                             gboolean *ret_same, GError **error)
{
    g_autoptr(CstBlob) blob = NULL;
    struct stat st;

    *ret_same = stat(path, &st) == 0 && cst_stat_is_same(&st, file);
    if (!*ret_same)
        return NULL;
    blob = writable ? cst_image_open_unused(path, error) : cst_blob_file_open(path, FALSE, error);
    if (!blob)
        return NULL;
    /* names may change concurrently, so compare the opened file */
    *ret_same = fstat(cst_blob_file_fd(blob), &st) == 0 && cst_stat_is_same(&st, file);
    return *ret_same ? g_steal_pointer(&blob) : NULL;
}

CstBlob *cst_path_open_data(CstBlob *owner, const char *name, const char *const *consented,
                            gboolean writable, GError **error)
{
    g_autofree char *path = cst_path_named(owner->name, name);
    g_autofree char *shown = NULL;
    struct stat named;
    gboolean same = FALSE;

    if (path && stat(path, &named) == 0)
        for (; *consented && !same; consented++) {
            CstBlob *blob = open_if_same(*consented, &named, writable, &same, error);

            if (blob || same)
                return blob;
        }
    else if (path) {
        cst_fail_errno(error, errno, _("'%s' keeps its data in '%s', which can't be found"),
                       owner->name, path);
        return NULL;
    }
    shown = cst_reference_shown(path ? path : name);
    cst_fail(error, CST_ERROR_DENIED,
             _("'%s' keeps its data in '%s', but another data file was named for it; no file was "
               "opened"),
             owner->name, shown);
    return NULL;
}

static CstBlob *open_own_part(const char *name, gboolean writable, gpointer data, GError **error)
{
    return open_part(data, name, writable, NULL, error);
}

static CstBlob *create_own_part(const char *name, gpointer data, GError **error)
{
    return create_part(data, name, NULL, error);
}

CstImageFiles cst_path_parts(CstBlob *owner)
{
    return (CstImageFiles){.open = open_own_part, .create = create_own_part, .data = owner};
}

CstChainFiles cst_path_files(unsigned flags)
{
    return (CstChainFiles){
        .open_backing = flags & CST_PATH_FOLLOW ? open_backing : NULL,
        .open_part = open_part,
        .create_part = create_part,
    };
}

static gboolean check_stands_alone(CstChain *chain, GError **error)
{
    const char *backing = cst_chain_info(chain, 0)->backing;
    g_autofree char *shown = backing ? cst_reference_shown(backing) : NULL;

    return !shown || cst_fail(error, CST_ERROR_DENIED,
                              _("'%s' is based on '%s', which was not to be followed"),
                              cst_chain_blob(chain, 0)->name, shown);
}

CstChain *cst_path_open(const char *path, const CstImageFormat *format, unsigned open_flags,
                        unsigned path_flags, GError **error)
{
    const CstChainFiles files = cst_path_files(path_flags);
    gboolean writable = (open_flags & CST_IMAGE_WRITE) != 0;
    g_autoptr(CstBlob) blob =
        writable ? cst_image_open_unused(path, error) : cst_blob_file_open(path, FALSE, error);
    g_autoptr(CstChain) chain = NULL;

    if (!blob)
        return NULL;
    chain = cst_chain_open(blob, format, open_flags, &files, error);
    if (!chain || (!(path_flags & CST_PATH_FOLLOW) && !check_stands_alone(chain, error)))
        return NULL;
    return g_steal_pointer(&chain);
}
