/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Paths of volumes, and opened files and directories of the library. A URL may name any of the
 * servers, with or without Gluster's usual port. It means the same file as our URL, which names the
 * first server.
 */
#include "gluster.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>

#include <base/file.h>
#include <base/i18n.h>
#include <base/test_point.h>
#include <base/url.h>

/* --- paths ------------------------------------------------------------------------------------ */

char *gluster_vol_path(CstPoolState *state, const char *name)
{
    const GlusterState *gluster = (const GlusterState *)state;
    g_autofree char *escaped = cst_url_escape_path(name);

    return g_strconcat(gluster->prefixes[0], escaped, gluster->suffix, NULL);
}

/* Returns the part of @path after one of the prefixes, or NULL if no prefix matches. */
static const char *behind_prefix(const GlusterState *state, const char *path)
{
    for (char **prefix = state->prefixes; *prefix; prefix++)
        if (g_str_has_prefix(path, *prefix))
            return path + strlen(*prefix);
    return NULL;
}

/*
 * A '?' in a name is escaped, so the first one begins the query. The socket in the query is
 * ignored.
 */
char *gluster_vol_resolve(CstPoolState *state, const char *path)
{
    const char *rest = behind_prefix((const GlusterState *)state, path);
    g_autofree char *escaped = rest ? g_strndup(rest, strcspn(rest, "?")) : NULL;
    g_autofree char *name = escaped ? cst_url_unescape_path(escaped) : NULL;

    return name && *name && !strchr(name, '/') ? g_steal_pointer(&name) : NULL;
}

/* --- files ------------------------------------------------------------------------------------ */

static void writer_unref(GlusterConn *conn)
{
    /* Keep this order: when the last writer is gone, an older listing must already be invalid. */
    gluster_changed(conn);
    CST_TEST_POINT("gluster.writer.changed");
    g_atomic_int_add(&conn->writers, -1);
    gluster_conn_unref(conn);
}

static CstBlob *blob_of(GlusterConn *conn, glfs_fd_t *fd, const char *name, gboolean writable,
                        GError **error)
{
    const CstBlobGluster what = {
        .fd = fd,
        .copies = &conn->copies,
        .deadline_ms = conn->timeout_ms,
        .owner = gluster_conn_ref(conn),
        .release_owner = (GDestroyNotify)(writable ? writer_unref : gluster_conn_unref),
    };

    g_atomic_int_add(&conn->writers, writable);
    return cst_blob_gluster_new(&what, name, writable, error);
}

CstBlob *gluster_file_open(GlusterConn *conn, const char *path, const char *name, int flags,
                           GError **error)
{
    glfs_fd_t *fd = conn->gluster->glfs_open(conn->fs, path, flags);

    if (fd)
        return blob_of(conn, fd, name, (flags & O_ACCMODE) != O_RDONLY, error);
    cst_gluster_fail(error, errno, _("cannot open volume '%s'"), name);
    return NULL;
}

CstBlob *gluster_file_create(GlusterConn *conn, const char *path, const char *name, GError **error)
{
    glfs_fd_t *fd =
        conn->gluster->glfs_creat(conn->fs, path, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW, 0600);
    CstBlob *blob;

    if (!fd) {
        cst_gluster_fail(error, errno, _("Failed to create file '%s'"), name);
        return NULL;
    }
    blob = blob_of(conn, fd, name, TRUE, error);
    if (!blob || gluster_file_lock(blob))
        return blob;
    cst_fail(error, CST_ERROR_BUSY,
             _("another process deletes the draft of volume '%s'; try again"), name);
    cst_blob_unref(blob);
    return NULL;
}

/* Locks the byte before the last possible offset, because QEMU's locks are at the beginning. */
gboolean gluster_file_lock(CstBlob *blob)
{
    struct flock lock = {
        .l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = G_MAXINT64 - 1, .l_len = 1};

    /* On servers without locks, no other process can hold one either. */
    return cst_blob_lock(blob, F_OFD_SETLK, &lock) == 0 || errno != EAGAIN;
}

gboolean gluster_is_private(GlusterConn *conn, const GlusterConf *conf)
{
    g_autofree char *path = g_strdup(conf->directory);
    struct stat st;

    for (;;) {
        char *slash = strrchr(path, '/');
        gboolean is_root = strcmp(path, "/") == 0;

        if (conn->gluster->glfs_lstat(conn->fs, is_root ? GLUSTER_ROOT : path, &st) < 0 ||
            !S_ISDIR(st.st_mode) || !cst_only_we_write(&st))
            return FALSE;
        if (is_root)
            return TRUE;
        slash[slash == path] = '\0';
    }
}

/* --- the directory ---------------------------------------------------------------------------- */

gboolean gluster_listing_open(GlusterConn *conn, const GlusterConf *conf,
                              GlusterListing *ret_listing, GError **error)
{
    GlusterListing listing = {.conn = conn};

    listing.dir = conn->gluster->glfs_opendir(conn->fs, conf->self);
    if (!listing.dir)
        return cst_gluster_fail(error, errno, _("cannot open path '%s' in '%s'"), conf->directory,
                                conf->def->source.name);
    *ret_listing = listing;
    return TRUE;
}

/*
 * The servers send names together with their stat, many in one reply. glfs_xreaddirplus_r() is not
 * used, because its result must be freed by glfs_free(). That function reads the memory settings of
 * the first connection of the process, even if it is closed, and then frees an invalid pointer.
 */
gboolean gluster_listing_next(GlusterListing *listing)
{
    const CstGluster *gluster = listing->conn->gluster;
    struct dirent *found = NULL;
    gboolean read;

    memset(&listing->st, 0, sizeof(listing->st));
    errno = 0;
    read = gluster->glfs_readdirplus_r(listing->dir, &listing->st, &listing->entry, &found) == 0;
    if (!read || !found) {
        listing->err = read ? 0 : (errno ? errno : EIO);
        return FALSE;
    }
    listing->name = found->d_name;
    return TRUE;
}

void gluster_listing_close(GlusterListing *listing)
{
    if (!listing->dir)
        return;
    listing->conn->gluster->glfs_closedir(listing->dir);
    listing->dir = NULL;
}
