/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Records of volumes. A listing contains the stat of every entry. Therefore a refresh without
 * changes costs a few round trips for any number of entries. pool/content.c reads the content of
 * changed files on several threads.
 *
 * As in a local directory, an entry that another user may have planted is not opened
 * (cst_entry_distrust()), and is listed with that problem.
 */
#include "gluster.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>

#include <base/i18n.h>
#include <base/url.h>
#include <pool/content.h>
#include <pool/files.h>

/* Context of one scan. */
typedef struct {
    CstPoolState *state;
    const GlusterConf *conf;
    GlusterConn *conn;  /* borrowed */
    CstDirHandle place; /* for cst_entry_distrust(): no descriptor, and its path is borrowed */
} Looking;

static int64_t timespec_to_ns(const struct timespec *time)
{
    return time->tv_sec * G_GINT64_CONSTANT(1000000000) + time->tv_nsec;
}

static CstFileSeen gluster_file_seen(const struct stat *st, gboolean shared)
{
    return (CstFileSeen){
        .type = S_ISDIR(st->st_mode) ? CST_VOL_DIR : CST_VOL_FILE,
        .stamp = {.device = st->st_dev,
                  .inode = st->st_ino,
                  .size = (uint64_t)st->st_size,
                  .mtime_ns = timespec_to_ns(&st->st_mtim),
                  .ctime_ns = timespec_to_ns(&st->st_ctim)},
        .allocation = (uint64_t)st->st_blocks * 512,
        .mode = st->st_mode & 07777,
        .uid = st->st_uid,
        .gid = st->st_gid,
        .atime_ns = timespec_to_ns(&st->st_atim),
        .shared = shared,
        .counted = TRUE, /* as in libvirt for this type, but not for pools of type dir */
    };
}

/* --- CstFiles --------------------------------------------------------------------------------- */

/* Converts another URL of a file of this pool to our URL, which is the key in the tables. */
static char *gluster_files_reference(gpointer data, const char *reference)
{
    const Looking *looking = data;
    CstPoolState *state = looking->state;
    g_autofree char *path = cst_reference_resolve(state->def->target_path, reference);
    g_autofree char *name = gluster_vol_resolve(state, path);

    return name ? gluster_vol_path(state, name) : g_steal_pointer(&path);
}

static CstBlob *gluster_files_open(gpointer data, const char *name, CstFileSeen *seen,
                                   GError **error)
{
    const Looking *looking = data;
    g_autofree char *path = gluster_conf_path(looking->conf, name);
    g_autoptr(CstBlob) blob = gluster_file_open(looking->conn, path, name, O_RDONLY, error);
    struct stat st;

    if (!blob)
        return NULL;
    if (looking->conn->gluster->glfs_fstat(cst_blob_gluster_fd(blob), &st) < 0) {
        cst_gluster_fail(error, errno, _("cannot stat file '%s'"), name);
        return NULL;
    }
    *seen = gluster_file_seen(&st, seen->shared);
    cst_blob_set_liveness(blob, looking->state->liveness);
    return g_steal_pointer(&blob);
}

static CstFiles gluster_files_init(Looking *looking)
{
    return (CstFiles){.state = looking->state,
                      .reference = gluster_files_reference,
                      .open = gluster_files_open,
                      .declared = gluster_declared,
                      .data = looking};
}

static void gluster_scan_init(CstPoolState *state, GlusterConn *conn, gboolean is_private,
                              Looking *ret_looking)
{
    const GlusterConf *conf = &((GlusterState *)state)->conf;

    *ret_looking = (Looking){
        .state = state,
        .conf = conf,
        .conn = conn,
        .place = {.fd = -1, .path = state->def->target_path, .is_private = is_private},
    };
}

/* --- one entry -------------------------------------------------------------------------------- */

/*
 * PROBE_NONE: no volume; PROBE_DONE: *ret_volume is complete; PROBE_OPEN: the entry must be opened.
 */
typedef enum { PROBE_NONE, PROBE_DONE, PROBE_OPEN } Probe;

/* Missing entries and dangling links are no volumes. */
static Probe gluster_probe_failed(const char *name, int err, CstVolume **ret_volume)
{
    g_autofree char *problem = NULL;

    if (err == ENOENT || err == ELOOP || err == ENAMETOOLONG || err == ESTALE)
        return PROBE_NONE;
    problem = g_strdup_printf(_("cannot stat file '%s': %s"), name, g_strerror(err));
    *ret_volume = cst_file_with_problem(cst_volume_new(name), problem);
    (*ret_volume)->format = "raw";
    return PROBE_DONE;
}

/*
 * Decides from a stat how to process an entry. @st is the result of lstat, and is replaced by the
 * stat of a trusted link's target.
 */
static Probe gluster_probe_entry(const Looking *looking, const char *name, struct stat *st,
                                 CstVolume *known, CstFileSeen *ret_seen, CstVolume **ret_volume)
{
    const CstEntryOwner owner = {st->st_mode, st->st_uid, (guint)st->st_nlink};
    gboolean shared = !looking->place.is_private || S_ISLNK(st->st_mode);
    g_autofree char *distrust = cst_entry_distrust(&looking->place, name, &owner);

    *ret_seen = gluster_file_seen(st, shared);
    if (distrust) {
        *ret_volume = cst_file_with_problem(cst_file_record(name, ret_seen), distrust);
        return PROBE_DONE;
    }
    if (S_ISLNK(st->st_mode)) {
        g_autofree char *path = gluster_conf_path(looking->conf, name);

        if (looking->conn->gluster->glfs_stat(looking->conn->fs, path, st) < 0)
            return gluster_probe_failed(name, errno, ret_volume);
        *ret_seen = gluster_file_seen(st, shared);
    }
    if (!S_ISREG(st->st_mode) && !S_ISDIR(st->st_mode))
        return PROBE_NONE;
    if (cst_file_fits(known, ret_seen)) {
        *ret_volume = cst_volume_ref(known);
        return PROBE_DONE;
    }
    if (S_ISREG(st->st_mode))
        return PROBE_OPEN;
    *ret_volume = cst_file_record(name, ret_seen);
    return PROBE_DONE;
}

gboolean gluster_scan_one(CstPoolState *state, const char *name, CstVolume *known,
                          CstVolume **ret_volume, GError **error)
{
    GlusterState *gluster = (GlusterState *)state;
    const GlusterConf *conf = &gluster->conf;
    g_autoptr(GlusterConn) conn = NULL;
    g_autofree char *path = NULL;
    gboolean is_private;
    CstFileSeen seen;
    Looking looking;
    CstFiles files;
    struct stat st;

    *ret_volume = NULL;
    if (!cst_dir_name_is_volume(name) || strchr(name, '/'))
        return TRUE;
    conn = gluster_connect(state, error);
    if (!conn)
        return FALSE;
    if (!gluster_recent_find(&gluster->recent, conn, conf, name, &st, &is_private)) {
        path = gluster_conf_path(conf, name);
        if (conn->gluster->glfs_lstat(conn->fs, path, &st) < 0)
            return errno == ENOENT || errno == ESTALE || errno == ENAMETOOLONG ||
                   cst_gluster_fail(error, errno, _("cannot stat file '%s'"), name);
        is_private = gluster_is_private(conn, conf);
    }
    gluster_scan_init(state, conn, is_private, &looking);
    files = gluster_files_init(&looking);
    if (gluster_probe_entry(&looking, name, &st, known, &seen, ret_volume) == PROBE_OPEN)
        *ret_volume = cst_file_inspect(&files, name, &seen, known);
    if (*ret_volume != known)
        cst_file_log_problem(state, known, *ret_volume);
    return TRUE;
}

/* --- scanning the directory ------------------------------------------------------------------- */

/*
 * Stats an entry without a stat in the listing. Returns FALSE if the entry is gone or has a
 * problem.
 */
static gboolean stat_entry(const Looking *looking, const CstScan *scan, GlusterListing *listing)
{
    g_autofree char *path = NULL;
    CstVolume *volume = NULL;

    if (listing->st.st_ino != 0)
        return TRUE;
    path = gluster_conf_path(looking->conf, listing->name);
    if (looking->conn->gluster->glfs_lstat(looking->conn->fs, path, &listing->st) == 0)
        return TRUE;
    if (gluster_probe_failed(listing->name, errno, &volume) == PROBE_DONE)
        scan->sink(volume, scan->data);
    return FALSE;
}

/* Reports an entry if the listing suffices, and queues it for the threads if it must be opened. */
static void gluster_scan_entry(const Looking *looking, const CstScan *scan, GlusterListing *listing,
                               CstFileReading *reading)
{
    g_autoptr(CstVolume) known = scan->known(listing->name, scan->data);
    CstVolume *volume = NULL;
    CstFileSeen seen;

    if (!stat_entry(looking, scan, listing))
        return;
    switch (gluster_probe_entry(looking, listing->name, &listing->st, known, &seen, &volume)) {
    case PROBE_NONE: break;
    case PROBE_DONE: scan->sink(volume, scan->data); break;
    case PROBE_OPEN: cst_file_reading_add(reading, listing->name, &seen, known); break;
    }
}

gboolean gluster_scan(CstPoolState *state, const CstScan *scan, CstTask *task, GError **error)
{
    const GlusterConf *conf = &((GlusterState *)state)->conf;
    g_autoptr(GlusterConn) conn = gluster_connect(state, error);
    g_auto(GlusterListing) listing = {0};
    g_autoptr(CstFileReading) reading = NULL;
    Looking looking;
    CstFiles files;

    if (!conn || !gluster_listing_open(conn, conf, &listing, error))
        return FALSE;
    gluster_changed(conn);
    gluster_scan_init(state, conn, gluster_is_private(conn, conf), &looking);
    files = gluster_files_init(&looking);
    reading = cst_file_reading_new(&files, scan);
    while (gluster_listing_next(&listing)) {
        if (!cst_task_check(task, error))
            return FALSE;
        if (!cst_dir_name_hidden(listing.name))
            gluster_scan_entry(&looking, scan, &listing, reading);
    }
    if (listing.err)
        return cst_gluster_fail(error, listing.err, _("failed to read directory '%s' in '%s'"),
                                conf->directory, conf->def->source.name);
    cst_file_reading_run(reading);
    return TRUE;
}
