/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>
#include <glusterfs/api/glfs.h>

#include <base/error.h>
#include <base/foreign.h>
#include <base/work.h>
#include <blob/blob.h>

/**
 * Gluster's client library, loaded with dlopen() on first use, so that hosts without Gluster need
 * not install it. Calls use the table, as gluster->glfs_open(…), and are documented in
 * glusterfs/api/glfs.h. They set errno; unless documented otherwise they return -1 or NULL on
 * failure.
 */
#define CST_GLUSTER_FUNCTIONS(X) \
    X(glfs_new)                  \
    X(glfs_set_volfile_server)   \
    X(glfs_set_logging)          \
    X(glfs_set_xlator_option)    \
    X(glfs_init)                 \
    X(glfs_fini)                 \
    X(glfs_get_volfile)          \
    X(glfs_get_volumeid)         \
    X(glfs_open)                 \
    X(glfs_creat)                \
    X(glfs_close)                \
    X(glfs_pread)                \
    X(glfs_pwrite)               \
    X(glfs_lseek)                \
    X(glfs_copy_file_range)      \
    X(glfs_ftruncate)            \
    X(glfs_fsync)                \
    X(glfs_lstat)                \
    X(glfs_stat)                 \
    X(glfs_fstat)                \
    X(glfs_mkdir)                \
    X(glfs_unlink)               \
    X(glfs_rmdir)                \
    X(glfs_link)                 \
    X(glfs_rename)               \
    X(glfs_opendir)              \
    X(glfs_readdirplus_r)        \
    X(glfs_closedir)             \
    X(glfs_statvfs)              \
    X(glfs_chmod)                \
    X(glfs_chown)                \
    X(glfs_fchmod)               \
    X(glfs_fchown)               \
    X(glfs_fgetxattr)            \
    X(glfs_fsetxattr)            \
    X(glfs_fallocate)            \
    X(glfs_discard)              \
    X(glfs_zerofill)             \
    X(glfs_posix_lock)           \
    X(glfs_fd_set_lkowner)

typedef struct {
#define CST_GLUSTER_MEMBER(function) __typeof__(function) *(function);
    CST_GLUSTER_FUNCTIONS(CST_GLUSTER_MEMBER)
#undef CST_GLUSTER_MEMBER
} CstGluster;

/**
 * Return the library's table, and load the library first if needed. The table is never freed. NULL
 * with UNSUPPORTED, naming the package, if it cannot be loaded. Thread-safe.
 */
const CstGluster *cst_gluster(GError **error);

/**
 * Set @error from @err, the errno of a failed call into the library, with the formatted text before
 * it. Unavailable servers are UNREACHABLE, a full volume is NO_SPACE. Always returns FALSE.
 */
gboolean cst_gluster_fail(GError **error, int err, const char *format, ...) G_GNUC_PRINTF(3, 4);
#define cst_gluster_fail(...) CST_GIVES_FALSE(cst_gluster_fail(__VA_ARGS__))

/** An open file and its owner. */
typedef struct {
    glfs_fd_t *fd;
    const gint *copies; /**< of @owner; 1: the servers copy ranges between files; NULL: never */
    guint deadline_ms;  /**< a longer close continues in the background */
    gpointer owner;     /**< the connection that has opened the file */
    /** Release @owner after the file is closed; called in any thread. */
    GDestroyNotify release_owner;
} CstBlobGluster;

/**
 * Create a blob of an open file of a Gluster volume. Copies *@what and owns its members from then
 * on, also on failure. While the servers do not answer, calls block until the library gives up.
 * Callers set a liveness to bound this (cst_blob_set_liveness()).
 */
CstBlob *cst_blob_gluster_new(const CstBlobGluster *what, const char *name, gboolean writable,
                              GError **error);
/**
 * Read the extended attribute @name of the file as text of less than @size bytes. Return: FALSE if
 * it can't be read.
 */
gboolean cst_blob_gluster_get_xattr(CstBlob *blob, const char *name, char *value, size_t size);
/** Write the extended attribute @name. Return: FALSE on failure. */
gboolean cst_blob_gluster_set_xattr(CstBlob *blob, const char *name, const char *value);
/** Return the open file, owned by the blob; NULL if the blob is not a file of a Gluster volume. */
glfs_fd_t *cst_blob_gluster_fd(CstBlob *blob);
