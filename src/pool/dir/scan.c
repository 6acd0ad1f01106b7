/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Finds volumes: the directory's entries are stat'ed one after another, and what has changed since
 * its record was made is opened and inspected on several threads. A record describes the file that
 * was open while it was made; the stat before that only decides whether the old record still fits,
 * and keeps FIFOs and devices from being opened. What must not be opened (cst_entry_distrust()) is
 * listed with the reason as its problem.
 *
 * What is declared of a file is looked up after its content has been read, for all files of a scan
 * at once. Whoever writes content that nobody declared restricts the file before the first byte, so
 * content that was seen is never judged by an older declaration. Each file is first inspected as
 * what it looks like, and again only where another format is declared.
 *
 * A scan has no lock: entries belong to the thread that has taken their index, and everything else
 * is done by the caller's thread. An error in one entry becomes that volume's problem; only the
 * directory itself can fail a scan.
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
#include <base/log.h>
#include <base/threads.h>
#include <image/image.h>

/* Inspecting a file waits for the disk, so more threads than cores; a few files need none. */
#define SCAN_THREADS_MAX 32
#define FILES_PER_THREAD 16

static int64_t to_ns(const struct statx_timestamp *time)
{
    return time->tv_sec * G_GINT64_CONSTANT(1000000000) + time->tv_nsec;
}

int64_t cst_dir_btime_ns(const struct statx *st)
{
    return st->stx_mask & STATX_BTIME ? to_ns(&st->stx_btime) : 0;
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

/* What stat says of an entry. */
typedef struct {
    struct statx st; /* of what a trusted link leads to, else of the entry itself */
    gboolean shared; /* others can write where its content lies, as far as we know */
} Seen;

/* The record as far as a stat can fill it: a raw file, until its content says otherwise. */
static CstVolume *volume_from_stat(const char *name, const Seen *seen)
{
    const struct statx *st = &seen->st;
    CstVolume *volume = cst_volume_new(name);

    volume->flags = seen->shared ? CST_VOLUME_SHARED : 0;
    volume->stamp = stamp_of(st);
    volume->mode = st->stx_mode & 07777;
    volume->uid = st->stx_uid;
    volume->gid = st->stx_gid;
    volume->atime_ns = to_ns(&st->stx_atime);
    volume->btime_ns = cst_dir_btime_ns(st);
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
 * Whether the known record still describes the file. The allocation can change without the stamp (a
 * hole filled within the same clock tick, space punched by the file system), so it is compared as
 * well. A record with a problem is always made anew.
 */
static gboolean still_fits(const CstVolume *known, const Seen *seen)
{
    CstVolumeStamp now = stamp_of(&seen->st);

    return known && !(known->flags & CST_VOLUME_SHARED) == !seen->shared &&
           cst_volume_stamp_equal(&known->stamp, &now) &&
           (known->type != CST_VOL_FILE || known->allocation == seen->st.stx_blocks * 512) &&
           !cst_volume_problem(known);
}

/* --- inspecting one file ---------------------------------------------------------------------- */

/* Relative references are relative to the image's directory; URLs and json: stay as they are. */
static char *absolute_backing(const char *directory, const char *reference)
{
    const char *colon = strchr(reference, ':');
    const char *slash = strchr(reference, '/');

    if (reference[0] == '/' || (colon && (!slash || colon < slash)))
        return g_strdup(reference);
    return g_canonicalize_filename(reference, directory);
}

/* Copies what inspection found; the extra part is made only where there is something for it. */
static void take_info(const CstDirHandle *dir, CstVolume *volume, const CstImageInfo *info)
{
    CstVolumeExtra *extra;

    volume->format = cst_image_format_name(info->format);
    if (info->capacity)
        volume->capacity = info->capacity;
    if (!info->backing && !info->data_file && !info->encryption && !info->compat && !info->problem)
        return;
    extra = cst_volume_extra(volume);
    extra->backing_path = info->backing ? absolute_backing(dir->path, info->backing) : NULL;
    extra->backing_format = g_strdup(info->backing_format);
    extra->data_file = g_strdup(info->data_file);
    extra->encryption = g_strdup(info->encryption);
    extra->compat = g_strdup(info->compat);
    extra->problem = g_strdup(info->problem);
    extra->cluster_size = info->compat ? info->cluster_size : 0; /* libvirt: of qcow2 only */
    extra->lazy_refcounts = info->lazy_refcounts;
    extra->extended_l2 = info->extended_l2;
}

/* Returns @volume, for chaining. */
static CstVolume *with_problem(CstVolume *volume, const char *problem)
{
    cst_volume_extra(volume)->problem = g_strdup(problem);
    return volume;
}

/*
 * Opens an entry of which a stat said *seen, which is updated to what was opened. NULL: *ret_volume
 * is complete, or NULL as well when the entry is gone or no volume.
 */
static CstBlob *open_entry(const CstDirHandle *dir, const char *name, CstVolume *known, Seen *seen,
                           CstVolume **ret_volume)
{
    g_autoptr(GError) error = NULL;
    Seen now = {.shared = seen->shared};
    g_auto(CstFd) fd = cst_entry_open_stat(dir, name, O_RDONLY, &now.st, &error);
    CstBlob *blob = NULL;

    *ret_volume = NULL;
    if (g_error_matches(error, CST_ERROR, CST_ERROR_NOT_FOUND) ||
        g_error_matches(error, CST_ERROR, CST_ERROR_INVALID))
        return NULL;
    if (fd >= 0 && still_fits(known, &now)) {
        *ret_volume = cst_volume_ref(known);
    } else if (fd >= 0) {
        *seen = now;
        blob = cst_blob_file_new(fd, name, FALSE, &error);
        fd = -1;
    }
    if (error)
        *ret_volume = with_problem(volume_from_stat(name, seen), error->message);
    return blob;
}

/*
 * Makes the record of an open file, inspected as @format (NULL: as what it looks like).
 * *ret_readable FALSE: it could not be read, and the record has that as its problem. Never NULL.
 */
static CstVolume *read_as(const CstDirHandle *dir, CstBlob *blob, const Seen *seen,
                          const CstImageFormat *format, gboolean *ret_readable)
{
    CstVolume *volume = volume_from_stat(blob->name, seen);
    g_auto(CstImageInfo) info = {0};
    g_autoptr(GError) error = NULL;

    *ret_readable =
        (volume->type != CST_VOL_BLOCK || cst_blob_get_size(blob, &volume->capacity, &error)) &&
        cst_image_inspect(blob, format, &info, &error);
    if (!*ret_readable)
        return with_problem(volume, error->message);
    take_info(dir, volume, &info);
    return volume;
}

/* Returns the declared format if it differs from the one found, else NULL. */
static const CstImageFormat *overruling(const CstVolume *volume, const CstDeclaration *declaration)
{
    const CstImageFormat *format;

    if (!declaration || !declaration->format)
        return NULL;
    format = cst_image_format_find(declaration->format, NULL);
    return format != cst_image_format_find(volume->format, NULL) ? format : NULL;
}

/*
 * Notes that @volume is declared to be of another format than its content looks like. Where both
 * are plain bytes (a disk, a medium) nothing is noted: a guest can write such a signature.
 */
static void note_content(CstVolume *volume, const char *content)
{
    if (!cst_image_name_is_plain(volume->format) || !cst_image_name_is_plain(content))
        cst_volume_extra(volume)->content = content;
}

/*
 * Reads the content, then what is declared of it, in this order (see the top), and again as the
 * declared format.
 */
static CstVolume *inspect(const CstPoolState *state, const CstDirHandle *dir, CstBlob *blob,
                          const Seen *seen)
{
    gboolean readable, again;
    CstVolume *volume = read_as(dir, blob, seen, NULL, &readable);
    g_autoptr(CstDeclaration) declaration = cst_dir_declaration_read(blob);
    const CstImageFormat *format;

    cst_dir_declared(state, &volume, 1, &declaration);
    format = overruling(volume, declaration);
    if (format) {
        const char *content = volume->format;

        cst_volume_unref(volume);
        volume = read_as(dir, blob, seen, format, &again);
        if (readable && again)
            note_content(volume, content);
    }
    cst_volume_judge(volume, declaration);
    return volume;
}

static CstVolume *open_and_inspect(const CstPoolState *state, const CstDirHandle *dir,
                                   const char *name, Seen *seen, CstVolume *known)
{
    CstVolume *volume = NULL;
    g_autoptr(CstBlob) blob = open_entry(dir, name, known, seen, &volume);

    return blob ? inspect(state, dir, blob, seen) : volume;
}

/* PROBE_NONE: no volume; PROBE_DONE: *ret_volume is complete; PROBE_OPEN: it wants to be opened. */
typedef enum { PROBE_NONE, PROBE_DONE, PROBE_OPEN } Probe;

/* Entries that are gone and links that lead nowhere are no volumes. */
static Probe probe_failed(const char *name, CstVolume **ret_volume)
{
    g_autofree char *problem = NULL;

    if (errno == ENOENT || errno == ELOOP || errno == ENAMETOOLONG)
        return PROBE_NONE;
    problem = g_strdup_printf(_("cannot stat file '%s': %s"), name, g_strerror(errno));
    *ret_volume = with_problem(cst_volume_new(name), problem);
    (*ret_volume)->format = "raw";
    return PROBE_DONE;
}

/* Decides by a stat what is to be done with an entry. *ret_seen is for open_entry(). */
static Probe probe(const CstDirHandle *dir, const char *name, CstVolume *known, Seen *ret_seen,
                   CstVolume **ret_volume)
{
    struct statx *st = &ret_seen->st;
    g_autofree char *distrust = NULL;
    CstEntryOwner owner;

    if (!cst_entry_stat(dir, name, FALSE, st))
        return probe_failed(name, ret_volume);
    /* What a link leads to may lie anywhere. */
    ret_seen->shared = !dir->is_private || S_ISLNK(st->stx_mode);
    owner = (CstEntryOwner){st->stx_mode, st->stx_uid, st->stx_nlink};
    distrust = cst_entry_distrust(dir, name, &owner);
    if (distrust) {
        *ret_volume = with_problem(volume_from_stat(name, ret_seen), distrust);
        return PROBE_DONE;
    }
    if (S_ISLNK(st->stx_mode) && !cst_entry_stat(dir, name, TRUE, st))
        return probe_failed(name, ret_volume);
    if (!S_ISREG(st->stx_mode) && !S_ISDIR(st->stx_mode) && !S_ISBLK(st->stx_mode))
        return PROBE_NONE;
    if (still_fits(known, ret_seen)) {
        *ret_volume = cst_volume_ref(known);
        return PROBE_DONE;
    }
    if (!S_ISDIR(st->stx_mode))
        return PROBE_OPEN;
    *ret_volume = volume_from_stat(name, ret_seen);
    return PROBE_DONE;
}

CstVolume *cst_dir_probe(const CstPoolState *state, const CstDirHandle *dir, const char *name,
                         CstVolume *known)
{
    CstVolume *volume = NULL;
    Seen seen;

    if (probe(dir, name, known, &seen, &volume) == PROBE_OPEN)
        volume = open_and_inspect(state, dir, name, &seen, known);
    return volume;
}

/* Only when a record is made, so that a problem is not logged with every look-up. */
static void log_problem(const CstPoolState *state, const CstVolume *volume)
{
    const char *problem = volume ? cst_volume_problem(volume) : NULL;

    if (problem)
        cst_log(CST_LOG_WARNING, "pool '%s': volume '%s': %s", state->def->name, volume->name,
                problem);
}

gboolean cst_dir_scan_one(CstPoolState *state, const char *name, CstVolume *known,
                          CstVolume **ret_volume, GError **error)
{
    g_auto(CstDirHandle) target = CST_DIR_HANDLE_NONE;

    *ret_volume = NULL;
    if (cst_dir_name_hidden(name) || strchr(name, '/'))
        return TRUE;
    if (!cst_dir_target_open(state, &target, error))
        return FALSE;
    *ret_volume = cst_dir_probe(state, &target, name, known);
    if (*ret_volume != known)
        log_problem(state, *ret_volume);
    return TRUE;
}

/* --- scanning the directory ------------------------------------------------------------------- */

/* An entry that is to be opened, and what was found in it. Owned by Scanning.waiting. */
typedef struct {
    char *name;
    CstVolume *known; /* referenced; NULL: nothing */
    Seen seen;
    CstVolume *volume;           /* NULL: not looked at yet; gone, or no volume */
    CstDeclaration *declaration; /* at first what is kept with the content */
    gboolean undeclared;         /* what is declared of the volume has still to be asked for */
} Entry;

typedef struct {
    CstPoolState *state;
    const CstScan *scan;
    CstTask *task;
    const CstDirHandle *target;
    GPtrArray *waiting; /* of Entry */
    gint next;          /* index of the next one, shared by the threads */
} Scanning;

static void entry_free(Entry *entry)
{
    g_free(entry->name);
    cst_volume_unref(entry->known);
    cst_volume_unref(entry->volume);
    cst_declaration_free(entry->declaration);
    g_free(entry);
}

/* Runs on each thread: takes the next entry until there is none. */
static gpointer read_waiting(gpointer data)
{
    Scanning *s = data;
    guint i;

    while ((i = (guint)g_atomic_int_add(&s->next, 1)) < s->waiting->len) {
        Entry *entry = g_ptr_array_index(s->waiting, i);
        g_autoptr(CstBlob) blob =
            open_entry(s->target, entry->name, entry->known, &entry->seen, &entry->volume);
        gboolean readable;

        if (!blob)
            continue;
        entry->volume = read_as(s->target, blob, &entry->seen, NULL, &readable);
        entry->declaration = cst_dir_declaration_read(blob);
        entry->undeclared = TRUE;
    }
    return NULL;
}

/*
 * Looks up what is declared of all entries that were read, in one call. The content of all of them
 * has been read by now.
 */
static void declare_waiting(Scanning *s)
{
    g_autofree CstVolume **volumes = g_new(CstVolume *, s->waiting->len);
    g_autofree CstDeclaration **declarations = g_new(CstDeclaration *, s->waiting->len);
    guint count = 0;

    for (guint i = 0; i < s->waiting->len; i++) {
        Entry *entry = g_ptr_array_index(s->waiting, i);

        if (!entry->undeclared)
            continue;
        volumes[count] = entry->volume;
        declarations[count++] = g_steal_pointer(&entry->declaration);
    }
    cst_dir_declared(s->state, volumes, count, declarations);
    for (guint i = s->waiting->len; i-- > 0;) {
        Entry *entry = g_ptr_array_index(s->waiting, i);

        if (entry->undeclared)
            entry->declaration = declarations[--count];
    }
}

/*
 * Hands an entry's record to the sink. One that is declared to be of another format is opened
 * again, as it was closed after reading.
 */
static void conclude(const Scanning *s, Entry *entry)
{
    if (entry->undeclared && overruling(entry->volume, entry->declaration)) {
        cst_volume_unref(entry->volume);
        entry->volume = cst_dir_probe(s->state, s->target, entry->name, NULL);
    } else if (entry->undeclared) {
        cst_volume_judge(entry->volume, entry->declaration);
    }
    if (!entry->volume)
        return;
    log_problem(s->state, entry->volume);
    s->scan->sink(g_steal_pointer(&entry->volume), s->scan->data);
}

static void inspect_waiting(Scanning *s)
{
    guint others = MIN(s->waiting->len / FILES_PER_THREAD, SCAN_THREADS_MAX);

    cst_threads_run(read_waiting, s, 1 + others);
    declare_waiting(s);
    for (guint i = 0; i < s->waiting->len; i++)
        conclude(s, g_ptr_array_index(s->waiting, i));
}

/* Hands on what a stat suffices for, and keeps the rest for the threads. */
static void scan_entry(Scanning *s, const char *name)
{
    g_autoptr(CstVolume) known = s->scan->known(name, s->scan->data);
    CstVolume *volume = NULL;
    Seen seen;
    Entry *entry;

    switch (probe(s->target, name, known, &seen, &volume)) {
    case PROBE_NONE: break;
    case PROBE_DONE: s->scan->sink(volume, s->scan->data); break;
    case PROBE_OPEN:
        entry = g_new0(Entry, 1);
        *entry = (Entry){.name = g_strdup(name), .known = g_steal_pointer(&known), .seen = seen};
        g_ptr_array_add(s->waiting, entry);
        break;
    }
}

static gboolean read_entries(Scanning *s, DIR *dir, GError **error)
{
    struct dirent *entry;

    for (errno = 0; (entry = readdir(dir)); errno = 0) {
        /* Not all file systems fill in d_type; the stat decides then. */
        if (cst_dir_name_hidden(entry->d_name) || entry->d_type == DT_FIFO ||
            entry->d_type == DT_SOCK || entry->d_type == DT_CHR)
            continue;
        if (!cst_task_check(s->task, error))
            return FALSE;
        scan_entry(s, entry->d_name);
    }
    if (errno)
        return cst_fail_errno(error, errno, _("cannot read dir '%s'"), s->target->path);
    return TRUE;
}

gboolean cst_dir_scan(CstPoolState *state, const CstScan *scan, CstTask *task, GError **error)
{
    g_autoptr(GPtrArray) waiting = g_ptr_array_new_with_free_func((GDestroyNotify)entry_free);
    g_auto(CstDirHandle) target = CST_DIR_HANDLE_NONE;
    Scanning s = {
        .state = state, .scan = scan, .task = task, .target = &target, .waiting = waiting};
    DIR *dir;
    gboolean done;

    if (!cst_dir_target_open(state, &target, error))
        return FALSE;
    dir = cst_handle_list(&target);
    if (!dir)
        return cst_fail_errno(error, errno, _("cannot open path '%s'"), target.path);
    done = read_entries(&s, dir, error);
    if (done)
        inspect_waiting(&s);
    closedir(dir);
    return done;
}
