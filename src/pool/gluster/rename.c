/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Renames volumes. Gluster's rename replaces an existing file. Therefore a file first gets the new
 * name as a hard link, which fails if the name is in use. Then the old name is removed. A crash in
 * between leaves both names, and the same call completes the rename. A directory cannot have a
 * second name. Its rename can only replace an empty directory that another client created after the
 * check.
 *
 * vol_take links a file of another directory of the Gluster volume in the same way.
 *
 * Gluster has no sync of a directory. A sync of the file also makes the brick's file system write
 * the names (draft.c).
 */
#include "gluster.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>

#include <base/crash.h>
#include <base/dry_run.h>
#include <base/i18n.h>

/* The old and new name in the Gluster volume, and the entries with these names. */
typedef struct {
    GlusterConn *conn;
    char *from, *to;
    const char *name, *new_name;
    struct stat at_from, at_to;
    gboolean is_there, is_taken;
} Names;

static void names_clear(Names *names)
{
    g_clear_pointer(&names->conn, gluster_conn_unref);
    g_free(names->from);
    g_free(names->to);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Names, names_clear)

/* Stats both names. @from is the pool of @name. */
static gboolean rename_look_up(CstPoolState *state, CstPoolState *from, const char *name,
                               const char *new_name, Names *names, GError **error)
{
    names->name = name;
    names->new_name = new_name;
    names->from = gluster_conf_path(&((GlusterState *)from)->conf, name);
    names->to = gluster_conf_path(&((GlusterState *)state)->conf, new_name);
    names->conn = gluster_connect(state, error);
    if (!names->conn)
        return FALSE;
    names->is_there =
        names->conn->gluster->glfs_lstat(names->conn->fs, names->from, &names->at_from) == 0;
    if (!names->is_there && errno != ENOENT)
        return cst_gluster_fail(error, errno, _("cannot stat file '%s'"), name);
    names->is_taken =
        names->conn->gluster->glfs_lstat(names->conn->fs, names->to, &names->at_to) == 0;
    return names->is_taken || errno == ENOENT ||
           cst_gluster_fail(error, errno, _("cannot stat file '%s'"), new_name);
}

static gboolean is_linked(const Names *names)
{
    return names->is_there && names->is_taken && !S_ISDIR(names->at_from.st_mode) &&
           names->at_from.st_ino == names->at_to.st_ino;
}

static gboolean gluster_fail_name_exists(const Names *names, GError **error)
{
    return cst_fail(error, CST_ERROR_VOL_EXISTS, "'%s'", names->new_name);
}

static gboolean gluster_fail_rename(const Names *names, int err, GError **error)
{
    return err == EEXIST || err == ENOTEMPTY || err == ENOTDIR
               ? gluster_fail_name_exists(names, error)
               : cst_gluster_fail(error, err, _("cannot rename volume '%s' to '%s'"), names->name,
                                  names->new_name);
}

/* An entry that is no regular file is not opened. The next sync on the brick writes its names. */
static gboolean sync_names(const Names *names, const char *path, const struct stat *st,
                           GError **error)
{
    g_autoptr(CstBlob) blob = NULL;

    if (!S_ISREG(st->st_mode))
        return TRUE;
    blob = gluster_file_open(names->conn, path, names->name, O_RDONLY | O_NOFOLLOW, error);
    if (!blob)
        return FALSE;
    return names->conn->gluster->glfs_fsync(cst_blob_gluster_fd(blob), NULL, NULL) == 0 ||
           cst_gluster_fail(error, errno, _("cannot sync data to file '%s'"), names->name);
}

/*
 * Adds the new name. If its sync fails, removes it again, so that the caller can repeat the call.
 */
static gboolean gluster_link_name(const Names *names, GError **error)
{
    if (names->conn->gluster->glfs_link(names->conn->fs, names->from, names->to) == 0) {
        if (sync_names(names, names->to, &names->at_from, error))
            return TRUE;
        names->conn->gluster->glfs_unlink(names->conn->fs, names->to);
        return FALSE;
    }
    if (errno == EPERM || errno == EOPNOTSUPP || errno == EMLINK || errno == EXDEV)
        return cst_fail(error, CST_ERROR_UNSUPPORTED,
                        _("'%s' can't have a second name on its file system"), names->name);
    return gluster_fail_rename(names, errno, error);
}

static gboolean gluster_unlink_name(const Names *names, GError **error)
{
    CST_CRASH_POINT("gluster.rename.linked");
    if (names->conn->gluster->glfs_unlink(names->conn->fs, names->from) < 0 && errno != ENOENT)
        return cst_gluster_fail(error, errno, _("cannot unlink file '%s'"), names->name);
    CST_CRASH_POINT("gluster.rename.unlinked");
    return sync_names(names, names->to, &names->at_from, error);
}

static gboolean move_directory(const Names *names, GError **error)
{
    return names->conn->gluster->glfs_rename(names->conn->fs, names->from, names->to) == 0 ||
           gluster_fail_rename(names, errno, error);
}

/* Two pools may reach one Gluster volume through different servers. */
static gboolean same_volume(const GlusterConn *a, const GlusterConn *b)
{
    return a == b || (a->id[0] && strcmp(a->id, b->id) == 0);
}

/*
 * Returns whether the old name is a regular file, and no link, and is the file that the caller has
 * open.
 */
static gboolean is_open_in(const Names *names, CstBlob *blob)
{
    glfs_fd_t *fd = cst_blob_gluster_fd(blob);
    struct stat st;

    return names->is_there && S_ISREG(names->at_from.st_mode) && fd &&
           names->conn->gluster->glfs_fstat(fd, &st) == 0 && st.st_ino == names->at_from.st_ino;
}

/* @from is the connection of the old directory. It may equal the connection of the new one. */
static gboolean add_free_name(const Names *names, GlusterConn *from, GError **error)
{
    gboolean done;

    if (names->is_taken)
        return gluster_fail_name_exists(names, error);
    if (!cst_may_change(error))
        return FALSE;
    done = gluster_link_name(names, error);
    gluster_changed(names->conn);
    if (from != names->conn)
        gluster_changed(from);
    return done;
}

gboolean gluster_vol_take(CstPoolState *state, CstPoolState *from, const char *name, CstBlob *blob,
                          const char *new_name, GError **error)
{
    g_autoptr(GlusterConn) there = gluster_connect(from, error);
    g_auto(Names) names = {0};

    if (!there || !rename_look_up(state, from, name, new_name, &names, error))
        return FALSE;
    if (!same_volume(there, names.conn))
        return cst_fail(error, CST_ERROR_UNSUPPORTED,
                        _("'%s' and '%s' are in different volumes of Gluster"), name, new_name);
    if (!is_open_in(&names, blob))
        return cst_fail(error, CST_ERROR_UNSUPPORTED, _("'%s' is no file of its directory's own"),
                        name);
    return add_free_name(&names, there, error);
}

gboolean gluster_vol_link(CstPoolState *state, const char *name, const char *new_name,
                          GError **error)
{
    g_auto(Names) names = {0};

    if (!rename_look_up(state, state, name, new_name, &names, error))
        return FALSE;
    return names.is_there ? add_free_name(&names, names.conn, error)
                          : cst_fail_no_volume(name, error);
}

gboolean gluster_vol_rename(CstPoolState *state, const char *name, const char *new_name,
                            GError **error)
{
    g_auto(Names) names = {0};
    gboolean done;

    if (!rename_look_up(state, state, name, new_name, &names, error))
        return FALSE;
    /*
     * If the old name is missing, the volume was already renamed. The sync of the rename may have
     * failed.
     */
    if (!names.is_there)
        return names.is_taken ? sync_names(&names, names.to, &names.at_to, error)
                              : cst_fail_no_volume(name, error);
    if (names.is_taken && !is_linked(&names))
        return gluster_fail_name_exists(&names, error);
    if (!cst_may_change(error))
        return FALSE;
    if (S_ISDIR(names.at_from.st_mode))
        done = move_directory(&names, error);
    else
        done = (names.is_taken ? sync_names(&names, names.to, &names.at_to, error)
                               : gluster_link_name(&names, error)) &&
               gluster_unlink_name(&names, error);
    gluster_changed(names.conn);
    return done;
}
