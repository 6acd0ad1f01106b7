/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * New volumes. A draft is a file under a hidden name, which its creator has locked. The servers
 * drop the lock when the process dies. Gluster's rename replaces an existing file. Therefore the
 * commit links the draft to the new name, which fails if the name is in use, and then removes the
 * hidden name. A crash in between leaves a complete volume with the hidden name as a second one.
 * That name is later removed like any draft.
 *
 * Gluster has no sync of a directory. A sync of the file after the link also makes the brick's file
 * system write the names, because both are in one transaction there.
 */
#include "gluster.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <time.h>

#include <base/crash.h>
#include <base/dry_run.h>
#include <base/i18n.h>
#include <base/log.h>
#include <base/test_point.h>
#include <pool/files.h>

#define DEFAULT_MODE 0600 /* also for directories, as in libvirt */
/*
 * A draft without a lock may belong to a client that is disconnected from the servers and will
 * return. Therefore a draft without a journal entry is dropped only after this time.
 */
#define DRAFT_MAX_AGE_S 3600
/* Bytes of the test of server-side copies. */
#define TRIAL 512

/* --- creation --------------------------------------------------------------------------------- */

static gboolean gluster_path_exists(const GlusterConn *conn, const char *path)
{
    struct stat st;

    return conn->gluster->glfs_lstat(conn->fs, path, &st) == 0;
}

/* Verifies that a backing file in this pool exists. The image only names it. */
static gboolean gluster_check_backing(CstPoolState *state, const GlusterConn *conn,
                                      const CstVolDef *def, GError **error)
{
    g_autofree char *name = def->backing ? gluster_vol_resolve(state, def->backing->path) : NULL;
    g_autofree char *path = name ? gluster_conf_path(&((GlusterState *)state)->conf, name) : NULL;

    return !path || gluster_path_exists(conn, path) ||
           cst_fail_errno(error, errno, _("inaccessible backing store volume %s"),
                          def->backing->path);
}

static gboolean set_owner(const GlusterConn *conn, glfs_fd_t *fd, const CstVolDef *def,
                          GError **error)
{
    uid_t uid = def->perms.uid == CST_PERMS_UNSET ? (uid_t)-1 : def->perms.uid;
    gid_t gid = def->perms.gid == CST_PERMS_UNSET ? (gid_t)-1 : def->perms.gid;

    if ((uid == (uid_t)-1 && gid == (gid_t)-1) || conn->gluster->glfs_fchown(fd, uid, gid) == 0)
        return TRUE;
    return cst_gluster_fail(error, errno, _("cannot chown '%s' to (%d, %d)"), def->name, (int)uid,
                            (int)gid);
}

/*
 * Tests whether the servers copy the requested range. The servers of Gluster 10.3 always copy from
 * the beginning of the source. @fd is a new, empty file. The caller truncates it afterwards.
 */
static gboolean copies_right(const GlusterConn *conn, glfs_fd_t *fd)
{
    char bytes[2 * TRIAL], back[TRIAL] = "";
    off64_t in = TRIAL, out = sizeof(bytes);
    struct glfs_stat told[3]; /* the library fills in all three */

    memset(bytes, 'a', TRIAL);
    memset(bytes + TRIAL, 'b', TRIAL);
    return conn->gluster->glfs_pwrite(fd, bytes, sizeof(bytes), 0, 0, NULL, NULL) ==
               sizeof(bytes) &&
           conn->gluster->glfs_copy_file_range(fd, &in, fd, &out, TRIAL, 0, &told[0], &told[1],
                                               &told[2]) == TRIAL &&
           conn->gluster->glfs_pread(fd, back, TRIAL, sizeof(bytes), 0, NULL) == TRIAL &&
           memcmp(back, bytes + TRIAL, TRIAL) == 0;
}

/* Runs the test once for each connection, on the first new file. */
static gboolean try_copying(GlusterConn *conn, glfs_fd_t *fd, const char *name, GError **error)
{
    if (g_atomic_int_get(&conn->copies) >= 0)
        return TRUE;
    g_atomic_int_set(&conn->copies, copies_right(conn, fd));
    return conn->gluster->glfs_ftruncate(fd, 0, NULL, NULL) == 0 ||
           cst_gluster_fail(error, errno, _("Failed to create file '%s'"), name);
}

static gboolean gluster_draft_create(GlusterConn *conn, const char *path, const CstVolDef *def,
                                     CstVolDraft *draft, GError **error)
{
    g_autoptr(CstBlob) blob = gluster_file_create(conn, path, def->name, error);
    struct stat st;

    if (!blob)
        return FALSE;
    CST_CRASH_POINT("gluster.reserve.created");
    if (!set_owner(conn, cst_blob_gluster_fd(blob), def, error) ||
        !try_copying(conn, cst_blob_gluster_fd(blob), def->name, error))
        return FALSE;
    if (conn->gluster->glfs_fstat(cst_blob_gluster_fd(blob), &st) == 0)
        draft->id = (CstFileId){.inode = st.st_ino};
    draft->blob = g_steal_pointer(&blob);
    return TRUE;
}

/*
 * All checks come before the end of a dry run. The commit checks the name again, and creates a
 * directory in one step.
 */
gboolean gluster_vol_reserve(CstPoolState *state, const CstVolDef *def, CstVolDraft *draft,
                             GError **error)
{
    const GlusterConf *conf = &((GlusterState *)state)->conf;
    g_autoptr(GlusterConn) conn = gluster_connect(state, error);
    g_autofree char *hidden = cst_dir_draft_name(draft->token);
    g_autofree char *path = gluster_conf_path(conf, hidden);
    g_autofree char *final = gluster_conf_path(conf, def->name);

    if (!conn || !gluster_check_backing(state, conn, def, error))
        return FALSE;
    if (gluster_path_exists(conn, final))
        return cst_fail(error, CST_ERROR_VOL_EXISTS, "'%s'", def->name);
    draft->zeroed = TRUE;
    draft->shared = !gluster_is_private(conn, conf);
    if (!cst_may_change(error))
        return FALSE;
    if (def->type == CST_VOL_DIR || gluster_draft_create(conn, path, def, draft, error))
        return TRUE;
    conn->gluster->glfs_unlink(conn->fs, path);
    return FALSE;
}

/* --- commit ----------------------------------------------------------------------------------- */

static mode_t mode_of(const CstVolDef *def)
{
    return def->perms.mode == CST_PERMS_UNSET ? DEFAULT_MODE : def->perms.mode & 07777;
}

/*
 * Creates the directory, then sets owner and mode. A crash in between leaves a directory that only
 * this user can access.
 */
static gboolean gluster_make_directory(const GlusterConn *conn, const char *path,
                                       const CstVolDef *def, GError **error)
{
    uid_t uid = def->perms.uid == CST_PERMS_UNSET ? (uid_t)-1 : def->perms.uid;
    gid_t gid = def->perms.gid == CST_PERMS_UNSET ? (gid_t)-1 : def->perms.gid;

    if (conn->gluster->glfs_mkdir(conn->fs, path, 0700) < 0) {
        if (errno == EEXIST)
            return cst_fail(error, CST_ERROR_VOL_EXISTS, "'%s'", def->name);
        return cst_gluster_fail(error, errno, _("cannot create path '%s'"), def->name);
    }
    CST_CRASH_POINT("gluster.commit.made");
    if (((uid == (uid_t)-1 && gid == (gid_t)-1) ||
         conn->gluster->glfs_chown(conn->fs, path, uid, gid) == 0) &&
        conn->gluster->glfs_chmod(conn->fs, path, mode_of(def)) == 0)
        return TRUE;
    cst_gluster_fail(error, errno, _("cannot set owner and mode of '%s'"), def->name);
    conn->gluster->glfs_rmdir(conn->fs, path);
    return FALSE;
}

static gboolean gluster_path_is_file(const GlusterConn *conn, const char *path, glfs_fd_t *fd)
{
    struct stat named, opened;

    return conn->gluster->glfs_lstat(conn->fs, path, &named) == 0 &&
           conn->gluster->glfs_fstat(fd, &opened) == 0 && named.st_ino == opened.st_ino;
}

/*
 * Gives the draft, which is open as @fd, its final name, and syncs the change. Fails with DENIED if
 * the name refers to another user's file, which is kept. Removes the volume again if the sync
 * fails.
 */
static gboolean gluster_draft_link(const GlusterConn *conn, glfs_fd_t *fd, const char *hidden,
                                   const char *path, const CstVolDef *def, GError **error)
{
    if (conn->gluster->glfs_link(conn->fs, hidden, path) < 0) {
        if (errno == EEXIST)
            return cst_fail(error, CST_ERROR_VOL_EXISTS, "'%s'", def->name);
        return cst_gluster_fail(error, errno, _("Failed to create file '%s'"), def->name);
    }
    CST_CRASH_POINT("gluster.commit.linked");
    if (!gluster_path_is_file(conn, path, fd))
        return cst_fail(error, CST_ERROR_DENIED,
                        _("volume '%s' was replaced by another file during its creation; check who "
                          "may write to '%s'"),
                        def->name, path);
    conn->gluster->glfs_unlink(conn->fs, hidden);
    CST_CRASH_POINT("gluster.commit.named");
    if (conn->gluster->glfs_fsync(fd, NULL, NULL) == 0)
        return TRUE;
    cst_gluster_fail(error, errno, _("cannot sync data to file '%s'"), def->name);
    conn->gluster->glfs_unlink(conn->fs, path);
    return FALSE;
}

/* Syncs the content before the name appears, so that a volume is complete or missing. */
gboolean gluster_vol_commit(CstPoolState *state, CstVolDraft *draft, const CstVolDef *def,
                            GError **error)
{
    const GlusterConf *conf = &((GlusterState *)state)->conf;
    g_autoptr(GlusterConn) conn = gluster_connect(state, error);
    g_autofree char *name = cst_dir_draft_name(draft->token);
    g_autofree char *hidden = gluster_conf_path(conf, name);
    g_autofree char *path = gluster_conf_path(conf, def->name);
    glfs_fd_t *fd;

    if (!conn)
        return FALSE;
    if (!draft->blob)
        return gluster_make_directory(conn, path, def, error);
    fd = cst_blob_gluster_fd(draft->blob);
    if (conn->gluster->glfs_fchmod(fd, mode_of(def)) < 0)
        return cst_gluster_fail(error, errno, _("cannot set mode of '%s' to %04o"), def->name,
                                mode_of(def));
    if (conn->gluster->glfs_fsync(fd, NULL, NULL) < 0)
        return cst_gluster_fail(error, errno, _("cannot sync data to file '%s'"), def->name);
    CST_CRASH_POINT("gluster.commit.synced");
    return gluster_draft_link(conn, fd, hidden, path, def, error);
}

/* --- removal of drafts ------------------------------------------------------------------------ */

/* The token comes from a journal file, but it must not lead out of the directory. */
gboolean gluster_vol_abandon(CstPoolState *state, const char *token, GError **error)
{
    g_autoptr(GlusterConn) conn = NULL;
    g_autofree char *name = cst_dir_draft_name(token);
    g_autofree char *path = gluster_conf_path(&((GlusterState *)state)->conf, name);

    CST_TEST_POINT("gluster.draft.abandon");
    if (strchr(token, '/'))
        return cst_fail(error, CST_ERROR_INVALID, _("'%s' does not name a draft"), token);
    conn = gluster_connect(state, error);
    if (!conn)
        return FALSE;
    if (conn->gluster->glfs_unlink(conn->fs, path) < 0 && errno != ENOENT)
        return cst_gluster_fail(error, errno, _("cannot unlink file '%s'"), name);
    return TRUE;
}

/*
 * Returns whether the draft is old and its creator is dead. If the draft already has its final
 * name, only the hidden name is removed.
 */
static gboolean gluster_draft_is_dead(GlusterConn *conn, const char *path, const char *name,
                                      const struct stat *st)
{
    g_autoptr(CstBlob) blob = NULL;

    if (!S_ISREG(st->st_mode) || time(NULL) - st->st_mtim.tv_sec < DRAFT_MAX_AGE_S)
        return FALSE;
    blob = gluster_file_open(conn, path, name, O_RDWR | O_NOFOLLOW, NULL);
    return blob && gluster_file_lock(blob);
}

gboolean gluster_drop_drafts(CstPoolState *state, GError **error)
{
    const GlusterConf *conf = &((GlusterState *)state)->conf;
    g_autoptr(GlusterConn) conn = gluster_connect(state, error);
    g_auto(GlusterListing) listing = {0};

    if (!conn || !gluster_listing_open(conn, conf, &listing, error))
        return FALSE;
    while (gluster_listing_next(&listing)) {
        g_autofree char *path = gluster_conf_path(conf, listing.name);

        if (cst_dir_is_draft(listing.name) &&
            gluster_draft_is_dead(conn, path, listing.name, &listing.st) &&
            conn->gluster->glfs_unlink(conn->fs, path) == 0)
            cst_log(CST_LOG_INFO, "dropped the half-made volume '%s'", listing.name);
    }
    return listing.err == 0 ||
           cst_gluster_fail(error, listing.err, _("failed to read directory '%s' in '%s'"),
                            conf->directory, conf->def->source.name);
}
