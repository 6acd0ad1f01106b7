/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Finds volumes. The scan stats the directory's entries one after another. It opens and inspects
 * entries that have changed since their record was made (pool/content.c). The first stat only
 * decides whether the old record still matches, and prevents the open of FIFOs and devices. An
 * entry that must not be opened (cst_entry_distrust()) is listed, and the reason is its problem.
 *
 * Only an error of the directory itself fails the scan. An error of one entry becomes the problem
 * of its volume.
 */
#include "dir.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <base/error.h>
#include <base/i18n.h>
#include <base/url.h>
#include <pool/content.h>

static int64_t statx_time_to_ns(const struct statx_timestamp *time)
{
    return time->tv_sec * G_GINT64_CONSTANT(1000000000) + time->tv_nsec;
}

int64_t cst_dir_btime_ns(const struct statx *st)
{
    return st->stx_mask & STATX_BTIME ? statx_time_to_ns(&st->stx_btime) : 0;
}

/* Converts a stat of an entry, or of the target of a trusted link. */
static CstFileSeen dir_file_seen(const struct statx *st, gboolean shared)
{
    return (CstFileSeen){
        .type = S_ISDIR(st->stx_mode)   ? CST_VOL_DIR
                : S_ISBLK(st->stx_mode) ? CST_VOL_BLOCK
                                        : CST_VOL_FILE,
        .stamp = {.device = makedev(st->stx_dev_major, st->stx_dev_minor),
                  .inode = st->stx_ino,
                  .size = st->stx_size,
                  .mtime_ns = statx_time_to_ns(&st->stx_mtime),
                  .ctime_ns = statx_time_to_ns(&st->stx_ctime)},
        .allocation = st->stx_blocks * 512,
        .mode = st->stx_mode & 07777,
        .uid = st->stx_uid,
        .gid = st->stx_gid,
        .atime_ns = statx_time_to_ns(&st->stx_atime),
        .btime_ns = cst_dir_btime_ns(st),
        .shared = shared,
    };
}

/* CstFiles.reference */
static char *dir_files_reference(gpointer dir, const char *reference)
{
    return cst_reference_resolve(((const CstDirHandle *)dir)->path, reference);
}

/* CstFiles.open */
static CstBlob *dir_files_open(gpointer dir, const char *name, CstFileSeen *seen, GError **error)
{
    struct statx st;
    g_auto(CstFd) fd = cst_entry_open_stat(dir, name, O_RDONLY, &st, error);

    if (fd < 0)
        return NULL;
    *seen = dir_file_seen(&st, seen->shared);
    return cst_blob_file_new(g_steal_fd(&fd), name, FALSE, error);
}

static CstFiles dir_files_init(const CstPoolState *state, const CstDirHandle *dir)
{
    return (CstFiles){.state = state,
                      .reference = dir_files_reference,
                      .open = dir_files_open,
                      .declared = cst_dir_declaration_read,
                      .data = (gpointer)dir};
}

/*
 * PROBE_NONE: no volume; PROBE_DONE: *ret_volume is complete; PROBE_OPEN: the entry must be opened.
 */
typedef enum { PROBE_NONE, PROBE_DONE, PROBE_OPEN } Probe;

/* Missing entries and dangling links are no volumes. */
static Probe dir_probe_failed(const char *name, CstVolume **ret_volume)
{
    g_autofree char *problem = NULL;

    if (errno == ENOENT || errno == ELOOP || errno == ENAMETOOLONG)
        return PROBE_NONE;
    problem = g_strdup_printf(_("cannot stat file '%s': %s"), name, g_strerror(errno));
    *ret_volume = cst_file_with_problem(cst_volume_new(name), problem);
    (*ret_volume)->format = "raw";
    return PROBE_DONE;
}

/* Decides from a stat how to process an entry. *ret_seen is the input of cst_file_inspect(). */
static Probe dir_probe_entry(const CstDirHandle *dir, const char *name, CstVolume *known,
                             CstFileSeen *ret_seen, CstVolume **ret_volume)
{
    struct statx st;
    g_autofree char *distrust = NULL;
    CstEntryOwner owner;
    gboolean shared;

    if (!cst_entry_stat(dir, name, FALSE, &st))
        return dir_probe_failed(name, ret_volume);
    /* The target of a link may be in any directory. */
    shared = !dir->is_private || S_ISLNK(st.stx_mode);
    *ret_seen = dir_file_seen(&st, shared);
    owner = (CstEntryOwner){st.stx_mode, st.stx_uid, st.stx_nlink};
    distrust = cst_entry_distrust(dir, name, &owner);
    if (distrust) {
        *ret_volume = cst_file_with_problem(cst_file_record(name, ret_seen), distrust);
        return PROBE_DONE;
    }
    if (S_ISLNK(st.stx_mode)) {
        if (!cst_entry_stat(dir, name, TRUE, &st))
            return dir_probe_failed(name, ret_volume);
        *ret_seen = dir_file_seen(&st, shared);
    }
    if (!S_ISREG(st.stx_mode) && !S_ISDIR(st.stx_mode) && !S_ISBLK(st.stx_mode))
        return PROBE_NONE;
    if (cst_file_fits(known, ret_seen)) {
        *ret_volume = cst_volume_ref(known);
        return PROBE_DONE;
    }
    if (!S_ISDIR(st.stx_mode))
        return PROBE_OPEN;
    *ret_volume = cst_file_record(name, ret_seen);
    return PROBE_DONE;
}

CstVolume *cst_dir_probe(const CstPoolState *state, const CstDirHandle *dir, const char *name,
                         CstVolume *known)
{
    const CstFiles files = dir_files_init(state, dir);
    CstVolume *volume = NULL;
    CstFileSeen seen;

    if (dir_probe_entry(dir, name, known, &seen, &volume) == PROBE_OPEN)
        volume = cst_file_inspect(&files, name, &seen, known);
    return volume;
}

gboolean cst_dir_scan_one(CstPoolState *state, const char *name, CstVolume *known,
                          CstVolume **ret_volume, GError **error)
{
    g_auto(CstDirHandle) target = CST_DIR_HANDLE_NONE;

    *ret_volume = NULL;
    if (!cst_dir_name_is_volume(name) || strchr(name, '/'))
        return TRUE;
    if (!cst_dir_target_open(state, &target, error))
        return FALSE;
    *ret_volume = cst_dir_probe(state, &target, name, known);
    if (*ret_volume != known)
        cst_file_log_problem(state, known, *ret_volume);
    return TRUE;
}

/* --- scanning the directory ------------------------------------------------------------------- */

typedef struct {
    const CstScan *scan;
    CstTask *task;
    const CstDirHandle *target;
    CstFileReading *reading;
} Scanning;

/* Reports an entry if a stat suffices, and queues it for the threads if it must be opened. */
static void dir_scan_entry(Scanning *s, const char *name)
{
    g_autoptr(CstVolume) known = s->scan->known(name, s->scan->data);
    CstVolume *volume = NULL;
    CstFileSeen seen;

    switch (dir_probe_entry(s->target, name, known, &seen, &volume)) {
    case PROBE_NONE: break;
    case PROBE_DONE: s->scan->sink(volume, s->scan->data); break;
    case PROBE_OPEN: cst_file_reading_add(s->reading, name, &seen, known); break;
    }
}

static gboolean read_entries(Scanning *s, DIR *dir, GError **error)
{
    struct dirent *entry;

    for (errno = 0; (entry = readdir(dir)); errno = 0) {
        /* Some file systems do not fill in d_type. The stat decides for these. */
        if (cst_dir_name_hidden(entry->d_name) || entry->d_type == DT_FIFO ||
            entry->d_type == DT_SOCK || entry->d_type == DT_CHR)
            continue;
        if (!cst_task_check(s->task, error))
            return FALSE;
        dir_scan_entry(s, entry->d_name);
    }
    if (errno)
        return cst_fail_errno(error, errno, _("cannot read dir '%s'"), s->target->path);
    return TRUE;
}

gboolean cst_dir_scan(CstPoolState *state, const CstScan *scan, CstTask *task, GError **error)
{
    g_autoptr(CstFileReading) reading = NULL;
    g_auto(CstDirHandle) target = CST_DIR_HANDLE_NONE;
    Scanning s = {.scan = scan, .task = task, .target = &target};
    CstFiles files;
    DIR *dir;
    gboolean done;

    if (!cst_dir_target_open(state, &target, error))
        return FALSE;
    dir = cst_handle_list(&target);
    if (!dir)
        return cst_fail_errno(error, errno, _("cannot open path '%s'"), target.path);
    files = dir_files_init(state, &target);
    s.reading = reading = cst_file_reading_new(&files, scan);
    done = read_entries(&s, dir, error);
    if (done)
        cst_file_reading_run(reading);
    closedir(dir);
    return done;
}
