/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Existing volumes: open, declaration, holders, removal. */
#include "gluster.h"

#include <errno.h>
#include <fcntl.h>

#include <base/crash.h>
#include <base/dry_run.h>
#include <base/flags.h>
#include <base/i18n.h>
#include <base/log.h>
#include <image/hold.h>
#include <pool/content.h>
#include <pool/files.h>

/* --- opening ---------------------------------------------------------------------------------- */

/* Refuses an entry that a scan would not open (scan.c). */
static gboolean gluster_check_entry(CstPoolState *state, GlusterConn *conn, const char *path,
                                    const char *name, GError **error)
{
    const GlusterConf *conf = &((GlusterState *)state)->conf;
    const CstDirHandle place = {
        .fd = -1, .path = state->def->target_path, .is_private = gluster_is_private(conn, conf)};
    g_autofree char *distrust = NULL;
    CstEntryOwner owner;
    struct stat st;

    if (conn->gluster->glfs_lstat(conn->fs, path, &st) < 0)
        return errno == ENOENT ? cst_fail_no_volume(name, error)
                               : cst_gluster_fail(error, errno, _("cannot open volume '%s'"), name);
    owner = (CstEntryOwner){st.st_mode, st.st_uid, (guint)st.st_nlink};
    distrust = cst_entry_distrust(&place, name, &owner);
    if (distrust)
        return cst_fail(error, CST_ERROR_DENIED, "%s", distrust);
    if (S_ISLNK(st.st_mode) && conn->gluster->glfs_stat(conn->fs, path, &st) < 0)
        return cst_gluster_fail(error, errno, _("cannot open volume '%s'"), name);
    return S_ISREG(st.st_mode) ||
           cst_fail(error, CST_ERROR_INVALID, _("volume '%s' is neither a file nor a block device"),
                    name);
}

CstBlob *gluster_vol_open(CstPoolState *state, const char *name, gboolean writable, GError **error)
{
    g_autoptr(GlusterConn) conn = NULL;
    g_autofree char *path = gluster_conf_path(&((GlusterState *)state)->conf, name);

    if (!cst_dir_name_is_volume(name)) {
        cst_fail_no_volume(name, error);
        return NULL;
    }
    conn = gluster_connect(state, error);
    if (!conn || !gluster_check_entry(state, conn, path, name, error))
        return NULL;
    return gluster_file_open(conn, path, name, writable ? O_RDWR : O_RDONLY, error);
}

/* --- declarations ----------------------------------------------------------------------------- */

gboolean gluster_vol_declare(CstPoolState *state, CstBlob *blob, const CstDeclaration *declaration)
{
    g_autofree char *value = cst_declaration_text(declaration);

    if (cst_blob_gluster_set_xattr(blob, CST_DECLARATION_XATTR, value))
        return TRUE;
    cst_log(CST_LOG_DEBUG, "cannot write the declaration of '%s' beside it: %s", blob->name,
            g_strerror(errno));
    return FALSE;
}

/* The owner of the file may have written any value. */
CstDeclaration *gluster_declared(CstBlob *blob)
{
    char value[CST_DECLARATION_TEXT_MAX];

    return cst_blob_gluster_get_xattr(blob, CST_DECLARATION_XATTR, value, sizeof(value))
               ? cst_declaration_of_text(value)
               : NULL;
}

/* --- users, removal --------------------------------------------------------------------------- */

/*
 * Finds holders of QEMU's locks: this program on any host, and virtual machines on a mount of the
 * volume. QEMU's own driver of Gluster acquires no locks.
 */
gboolean gluster_vol_holders(CstPoolState *state, const char *name, GPtrArray *holders,
                             GError **error)
{
    /* A volume that cannot be opened, or is no file, has no holders that could be found. */
    g_autoptr(CstBlob) blob = gluster_vol_open(state, name, FALSE, NULL);
    int64_t pid = 0;

    if (blob && cst_image_is_open(blob, &pid))
        cst_holders_add(holders, 0, "%s", _("another client of the Gluster volume"))->reads_only =
            !cst_image_is_written(blob, NULL);
    return TRUE;
}

/*
 * Removes the entry in one step. A missing entry is success. For a symbolic link, only the link is
 * removed. Internal snapshots of an image are removed with it.
 */
gboolean gluster_vol_delete(CstPoolState *state, const char *name, unsigned flags, GError **error)
{
    g_autoptr(GlusterConn) conn = NULL;
    g_autofree char *path = gluster_conf_path(&((GlusterState *)state)->conf, name);
    struct stat st = {0};
    int result;

    if (!cst_flags_check(flags, CST_VOL_DELETE_WITH_SNAPSHOTS, "virStorageBackendGlusterVolDelete",
                         error))
        return FALSE;
    conn = gluster_connect(state, error);
    if (!conn)
        return FALSE;
    if (conn->gluster->glfs_lstat(conn->fs, path, &st) < 0 && errno != ENOENT)
        return cst_gluster_fail(error, errno, _("cannot stat file '%s'"), name);
    if (!cst_may_change(error))
        return FALSE;
    CST_CRASH_POINT("gluster.delete.before_unlink");
    result = S_ISDIR(st.st_mode) ? conn->gluster->glfs_rmdir(conn->fs, path)
                                 : conn->gluster->glfs_unlink(conn->fs, path);
    gluster_changed(conn);
    if (result < 0 && errno != ENOENT)
        return cst_gluster_fail(error, errno,
                                S_ISDIR(st.st_mode) ? _("cannot remove gluster volume dir '%s'")
                                                    : _("cannot remove gluster volume file '%s'"),
                                path);
    CST_CRASH_POINT("gluster.delete.unlinked");
    return TRUE;
}
