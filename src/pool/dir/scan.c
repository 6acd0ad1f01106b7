/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "dir.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <base/error.h>
#include <base/i18n.h>
#include <base/log.h>
#include <base/threads.h>
#include <image/image.h>

/* Inspecting a file waits for the disk, so more threads than cores; a few files need none. */
#define SCAN_THREADS_MAX 32
#define FILES_PER_THREAD 16

#define STATX_WANTED (STATX_BASIC_STATS | STATX_BTIME)

gboolean cst_dir_is_draft(const char *name)
{
    return g_str_has_prefix(name, CST_DRAFT_PREFIX) && g_str_has_suffix(name, CST_DRAFT_SUFFIX);
}

gboolean cst_dir_name_hidden(const char *name)
{
    if (name[0] == '.' && (name[1] == '\0' || (name[1] == '.' && name[2] == '\0')))
        return TRUE;
    if (cst_dir_is_draft(name) || strcmp(name, CST_SNAPSHOT_DIR) == 0)
        return TRUE;
    for (const char *p = name; *p; p++)
        if (g_ascii_iscntrl(*p))
            return TRUE;
    return FALSE;
}

static int64_t to_ns(const struct statx_timestamp *time)
{
    return time->tv_sec * G_GINT64_CONSTANT(1000000000) + time->tv_nsec;
}

static CstVolumeStamp stamp_of(const struct statx *st)
{
    return (CstVolumeStamp){
        .device = makedev(st->stx_dev_major, st->stx_dev_minor),
        .inode = st->stx_ino,
        .size = st->stx_size,
        .mtime_ns = to_ns(&st->stx_mtime),
        .ctime_ns = to_ns(&st->stx_ctime),
    };
}

/* What stat alone tells. */
static CstVolume *volume_from_stat(const char *name, const struct statx *st)
{
    CstVolume *volume = cst_volume_new(name);

    volume->stamp = stamp_of(st);
    volume->mode = st->stx_mode & 07777;
    volume->uid = st->stx_uid;
    volume->gid = st->stx_gid;
    volume->atime_ns = to_ns(&st->stx_atime);
    volume->btime_ns = st->stx_mask & STATX_BTIME ? to_ns(&st->stx_btime) : 0;
    volume->type = CST_VOL_FILE;
    volume->format = "raw";
    if (S_ISDIR(st->stx_mode)) {
        volume->type = CST_VOL_DIR;
        volume->format = "dir";
    } else {
        volume->type = S_ISBLK(st->stx_mode) ? CST_VOL_BLOCK : CST_VOL_FILE;
        volume->allocation = st->stx_blocks * 512;
        volume->physical = st->stx_size;
        volume->capacity = st->stx_size;
    }
    return volume;
}

/*
 * A record of before still describes the file when its stamp fits. Allocation can change without
 * the stamp (a hole filled within the same clock tick, space punched by the file system), so it
 * is compared as well.
 */
static gboolean still_fits(const CstVolume *known, const struct statx *st)
{
    CstVolumeStamp now = stamp_of(st);

    return known && cst_volume_stamp_equal(&known->stamp, &now) &&
           (known->type != CST_VOL_FILE || known->allocation == st->stx_blocks * 512) &&
           !cst_volume_problem(known);
}

/* --- looking into one file -------------------------------------------------------------------- */

/* Relative references are relative to the image's directory; URLs and json: stay as they are. */
static char *absolute_backing(const CstPoolState *state, const char *reference)
{
    const char *colon = strchr(reference, ':');
    const char *slash = strchr(reference, '/');

    if (reference[0] == '/' || (colon && (!slash || colon < slash)))
        return g_strdup(reference);
    return g_canonicalize_filename(reference, state->def->target_path);
}

static void take_info(const CstPoolState *state, CstVolume *volume, const CstImageInfo *info)
{
    CstVolumeExtra *extra;

    volume->format = cst_image_format_name(info->format);
    if (info->capacity)
        volume->capacity = info->capacity;
    if (!info->backing && !info->encryption && !info->compat && !info->problem)
        return;
    extra = cst_volume_extra(volume);
    extra->backing_path = info->backing ? absolute_backing(state, info->backing) : NULL;
    extra->backing_format = g_strdup(info->backing_format);
    extra->encryption = g_strdup(info->encryption);
    extra->compat = g_strdup(info->compat);
    extra->problem = g_strdup(info->problem);
    extra->cluster_size = info->cluster_size;
    extra->lazy_refcounts = info->lazy_refcounts;
    extra->extended_l2 = info->extended_l2;
}

static gboolean inspect(const CstPoolState *state, int dirfd, CstVolume *volume, GError **error)
{
    g_auto(CstFd) fd = openat(dirfd, volume->name, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    g_autoptr(CstBlob) blob = NULL;
    g_auto(CstImageInfo) info = {0};
    gboolean raw_by_word;
    struct stat st;

    if (fd < 0 || fstat(fd, &st) < 0)
        return cst_fail_errno(error, errno, _("cannot open volume '%s'"), volume->name);
    if (!S_ISREG(st.st_mode) && !S_ISBLK(st.st_mode))
        return cst_fail(error, CST_ERROR_INVALID, _("unexpected type for file '%s'"), volume->name);
    raw_by_word = cst_dir_marked_raw(fd);
    blob = cst_blob_file_new(fd, volume->name, FALSE, error);
    fd = -1;
    if (!blob)
        return FALSE;
    if (volume->type == CST_VOL_BLOCK && !cst_blob_get_size(blob, &volume->capacity, error))
        return FALSE;
    if (raw_by_word)
        return TRUE;
    if (!cst_image_inspect(blob, NULL, &info, error))
        return FALSE;
    take_info(state, volume, &info);
    return TRUE;
}

static void inspect_or_note(const CstPoolState *state, int dirfd, CstVolume *volume)
{
    g_autoptr(GError) error = NULL;

    if (volume->type == CST_VOL_DIR || inspect(state, dirfd, volume, &error))
        return;
    cst_log(CST_LOG_WARNING, "pool '%s': volume '%s': %s", state->def->name, volume->name,
            error->message);
    cst_volume_extra(volume)->problem = g_strdup(error->message);
}

typedef enum { LOOK_NONE, LOOK_FOUND, LOOK_DONE } Look;

/*
 * Stats one entry. LOOK_NONE: no volume (gone, dangling or looping link, FIFO, socket, character
 * device); LOOK_DONE: *ret_volume is complete; LOOK_FOUND: it wants inspecting.
 */
static Look look(int dirfd, const char *name, CstVolume *known, CstVolume **ret_volume)
{
    struct statx st;

    if (statx(dirfd, name, AT_STATX_SYNC_AS_STAT, STATX_WANTED, &st) < 0) {
        if (errno != ENOENT && errno != ELOOP && errno != ENAMETOOLONG) {
            *ret_volume = cst_volume_new(name);
            (*ret_volume)->format = "raw";
            cst_volume_extra(*ret_volume)->problem =
                g_strdup_printf(_("cannot stat file '%s': %s"), name, g_strerror(errno));
            return LOOK_DONE;
        }
        return LOOK_NONE;
    }
    if (!S_ISREG(st.stx_mode) && !S_ISDIR(st.stx_mode) && !S_ISBLK(st.stx_mode))
        return LOOK_NONE;
    if (still_fits(known, &st)) {
        *ret_volume = cst_volume_ref(known);
        return LOOK_DONE;
    }
    *ret_volume = volume_from_stat(name, &st);
    return S_ISDIR(st.stx_mode) ? LOOK_DONE : LOOK_FOUND;
}

static CstVolume *look_into(const CstPoolState *state, int dirfd, const char *name,
                            CstVolume *known)
{
    CstVolume *volume = NULL;

    if (look(dirfd, name, known, &volume) == LOOK_FOUND)
        inspect_or_note(state, dirfd, volume);
    return volume;
}

gboolean cst_dir_scan_one(CstPoolState *state, const char *name, CstVolume *known,
                          CstVolume **ret_volume, GError **error)
{
    g_auto(CstFd) dirfd = -1;

    *ret_volume = NULL;
    if (cst_dir_name_hidden(name) || strchr(name, '/'))
        return TRUE;
    dirfd = cst_dir_open_target(state, error);
    if (dirfd < 0)
        return FALSE;
    *ret_volume = look_into(state, dirfd, name, known);
    return TRUE;
}

CstVolume *cst_dir_look(CstPoolState *state, int dirfd, const char *name)
{
    return look_into(state, dirfd, name, NULL);
}

/* --- scanning the directory ------------------------------------------------------------------- */

typedef struct {
    CstPoolState *state;
    const CstScan *scan;
    CstTask *task;
    int dirfd;
    GPtrArray *waiting; /* of CstVolume *, to be inspected */
    gint next;          /* index of the next one, shared by the threads */
    GMutex sink_lock;
} Scanning;

static gpointer inspect_waiting(gpointer data)
{
    Scanning *s = data;
    guint i;

    while ((i = (guint)g_atomic_int_add(&s->next, 1)) < s->waiting->len) {
        CstVolume *volume = g_ptr_array_index(s->waiting, i);

        inspect_or_note(s->state, s->dirfd, volume);
        g_mutex_lock(&s->sink_lock);
        s->scan->sink(volume, s->scan->data);
        g_mutex_unlock(&s->sink_lock);
    }
    return NULL;
}

static void inspect_all(Scanning *s)
{
    guint others = MIN(s->waiting->len / FILES_PER_THREAD, SCAN_THREADS_MAX);

    cst_threads_run(inspect_waiting, s, 1 + others);
}

static gboolean read_entries(Scanning *s, DIR *dir, GError **error)
{
    struct dirent *entry;

    for (errno = 0; (entry = readdir(dir)); errno = 0) {
        CstVolume *volume = NULL;
        g_autoptr(CstVolume) known = NULL;

        if (cst_dir_name_hidden(entry->d_name) || entry->d_type == DT_FIFO ||
            entry->d_type == DT_SOCK || entry->d_type == DT_CHR)
            continue;
        if (!cst_task_check(s->task, error))
            return FALSE;
        known = s->scan->known(entry->d_name, s->scan->data);
        switch (look(s->dirfd, entry->d_name, known, &volume)) {
        case LOOK_NONE: break;
        case LOOK_DONE: s->scan->sink(volume, s->scan->data); break;
        case LOOK_FOUND: g_ptr_array_add(s->waiting, volume); break;
        }
    }
    if (errno)
        return cst_fail_errno(error, errno, _("cannot read dir '%s'"), s->state->def->target_path);
    return TRUE;
}

gboolean cst_dir_scan(CstPoolState *state, const CstScan *scan, CstTask *task, GError **error)
{
    g_autoptr(GPtrArray) waiting = g_ptr_array_new();
    Scanning s = {.state = state, .scan = scan, .task = task, .waiting = waiting};
    DIR *dir;
    gboolean done;

    s.dirfd = cst_dir_open_target(state, error);
    if (s.dirfd < 0)
        return FALSE;
    dir = fdopendir(s.dirfd);
    if (!dir) {
        close(s.dirfd);
        return cst_fail_errno(error, errno, _("cannot open path '%s'"), state->def->target_path);
    }
    g_mutex_init(&s.sink_lock);
    done = read_entries(&s, dir, error);
    if (done)
        inspect_all(&s);
    else
        g_ptr_array_foreach(waiting, (GFunc)(void (*)(void))cst_volume_unref, NULL);
    g_mutex_clear(&s.sink_lock);
    closedir(dir);
    return done;
}
