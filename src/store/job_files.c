/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Job files (see the header).
 *
 * The directory contains:
 *
 *   next          the next number to be assigned; its lock serialises creation, pruning, recovery
 *   NUMBER.new    a file that is being created
 *   NUMBER.job    a job that has not ended; locked by its worker
 *   NUMBER.done   a job that has ended; never written again
 *
 * A file is created under its temporary name, filled, locked, and then renamed. So other processes
 * never see a .job file that is incomplete, or unlocked while its worker lives. Ending a job writes
 * the final status first and renames the file second. So a crash in between leaves a .job file with
 * a final status, which recovery renames.
 *
 * Only the assigned number is always synced. The final status is synced for jobs that can be
 * resumed, because otherwise a daemon could repeat the job over newer content after a power loss.
 *
 * A reader that finds a .job file that has not ended and is not locked reads it a second time,
 * because its worker may have ended it between the two checks.
 */
#include <store/job_files.h>

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <base/crash.h>
#include <base/dry_run.h>
#include <base/error.h>
#include <base/file.h>
#include <base/i18n.h>
#include <base/log.h>

#include "job_record.h"

#define LIVE      ".job"
#define ENDED     ".done"
#define TEMPORARY ".new"
#define NEXT      "next"

#define FILES_MAX 10000 /* limit for the files of one listing */

struct CstJobFile {
    char *dir;
    uint64_t id;
    CstFd fd;
};

/* --- names and locks ------------------------------------------------------------------------- */

static char *jobs_dir(const CstPaths *paths)
{
    return g_build_filename(paths->data_dir, "jobs", NULL);
}

static char *file_name(const char *dir, uint64_t id, const char *suffix)
{
    return g_strdup_printf("%s/%" G_GUINT64_FORMAT "%s", dir, id, suffix);
}

/* Returns the number in the file name NUMBER@suffix; 0: the name has another form. */
static uint64_t job_file_id(const char *name, const char *suffix)
{
    char *end;
    uint64_t id;

    if (!g_ascii_isdigit(*name))
        return 0;
    id = g_ascii_strtoull(name, &end, 10);
    return strcmp(end, suffix) == 0 && id != G_MAXUINT64 ? id : 0;
}

static gboolean lock_file(int fd, int command)
{
    struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
    int result;

    do
        result = fcntl(fd, command, &lock);
    while (result < 0 && errno == EINTR);
    return result == 0;
}

/*
 * Whether another process works on the file. Queries for a read lock, because @fd may be open
 * read-only. The worker's write lock conflicts with a read lock as well.
 */
static gboolean job_file_is_locked(int fd)
{
    struct flock lock = {.l_type = F_RDLCK, .l_whence = SEEK_SET};

    return fcntl(fd, F_OFD_GETLK, &lock) == 0 && lock.l_type != F_UNLCK;
}

/* Opens and locks "next". Closing the descriptor releases the lock. Returns -1 with @error. */
static int lock_numbers(const char *dir, GError **error)
{
    g_autofree char *path = g_build_filename(dir, NEXT, NULL);
    g_auto(CstFd) fd = -1;

    if (!cst_dir_ensure(dir, 0700, error))
        return -1;
    fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0 || !lock_file(fd, F_OFD_SETLKW)) {
        cst_fail_errno(error, errno, _("cannot lock '%s'"), path);
        return -1;
    }
    return g_steal_fd(&fd);
}

/* Returns the highest number of any job, from which "next" is restored if it is damaged. */
static uint64_t highest_number(const char *dir)
{
    GDir *open_dir = g_dir_open(dir, 0, NULL);
    const char *name;
    uint64_t result = 0;

    while (open_dir && (name = g_dir_read_name(open_dir))) {
        result = MAX(result, job_file_id(name, LIVE));
        result = MAX(result, job_file_id(name, ENDED));
    }
    if (open_dir)
        g_dir_close(open_dir);
    return result;
}

/*
 * Assigns the next number. @fd is "next", locked. The number is synced, so that it is not assigned
 * to another job after a power loss.
 */
static gboolean job_number_assign(const char *dir, int fd, uint64_t *ret_id, GError **error)
{
    g_autofree char *path = g_build_filename(dir, NEXT, NULL);
    char text[32] = "";
    ssize_t len = pread(fd, text, sizeof(text) - 1, 0);
    uint64_t id = len > 0 ? g_ascii_strtoull(text, NULL, 10) : 0;

    if (id == 0 || id >= G_MAXINT64)
        id = highest_number(dir) + 1;
    /* The text has a fixed length, so that a crash leaves either the old number or the new one. */
    g_snprintf(text, sizeof(text), "%020" G_GUINT64_FORMAT "\n", id + 1);
    if (!cst_pwrite_full(fd, text, strlen(text), 0, path, error))
        return FALSE;
    if (fdatasync(fd) < 0)
        return cst_fail_errno(error, errno, _("cannot sync '%s'"), path);
    if (len <= 0 && !cst_parent_sync(path, error)) { /* the file is new */
        /* The next call treats an empty file as new, so it will sync the file's name. */
        CST_TEST_POINT("job.number.undo");
        if (ftruncate(fd, 0) < 0)
            cst_log(CST_LOG_WARNING, "cannot empty '%s': %s", path, g_strerror(errno));
        return FALSE;
    }
    *ret_id = id;
    return TRUE;
}

/* --- the worker ------------------------------------------------------------------------------ */

static int create_file(const char *dir, uint64_t id, const CstJobInfo *job, GError **error)
{
    g_autofree char *temporary = file_name(dir, id, TEMPORARY);
    g_autofree char *path = file_name(dir, id, LIVE);
    g_auto(CstFd) fd = open(temporary, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    JobRecord record = {.magic = JOB_MAGIC, .requests.limit = job->limit};

    if (fd < 0) {
        cst_fail_errno(error, errno, _("cannot create '%s'"), temporary);
        return -1;
    }
    job_record_fill(&record.status, job);
    if (!cst_pwrite_full(fd, &record, sizeof(record), 0, temporary, error) ||
        !lock_file(fd, F_OFD_SETLK) || rename(temporary, path) < 0) {
        if (error && !*error)
            cst_fail_errno(error, errno, _("cannot record '%s'"), path);
        unlink(temporary);
        return -1;
    }
    CST_CRASH_POINT("job.published");
    return g_steal_fd(&fd);
}

/* Takes ownership of @fd. */
static CstJobFile *file_new(const char *dir, uint64_t id, int fd)
{
    CstJobFile *file = g_new0(CstJobFile, 1);

    file->dir = g_strdup(dir);
    file->id = id;
    file->fd = fd;
    return file;
}

static void job_files_prune(const char *dir);

CstJobFile *cst_job_file_publish(const CstPaths *paths, const CstJobInfo *job, uint64_t *ret_id,
                                 GError **error)
{
    g_autofree char *dir = jobs_dir(paths);
    g_auto(CstFd) numbers = lock_numbers(dir, error);
    uint64_t id;
    int fd;

    if (numbers < 0 || !job_number_assign(dir, numbers, &id, error))
        return NULL;
    /* From here on the number is used, even if the file cannot be created. */
    CST_CRASH_POINT("job.numbered");
    fd = create_file(dir, id, job, error);
    if (fd < 0)
        return NULL;
    /* job_files_prune() requires that "next" is locked. */
    job_files_prune(dir);
    *ret_id = id;
    return file_new(dir, id, fd);
}

void cst_job_file_update(CstJobFile *file, const CstJobInfo *job)
{
    JobStatus status;

    job_record_fill(&status, job);
    /* A failure leaves an older status. This does not fail the job. */
    job_record_write(file->fd, &status, NULL);
}

void cst_job_file_read_requests(CstJobFile *file, gboolean *ret_cancel, uint64_t *ret_limit)
{
    JobRequests requests = {0};

    *ret_cancel = FALSE;
    if (pread(file->fd, &requests, sizeof(requests), offsetof(JobRecord, requests)) !=
        sizeof(requests))
        return;
    *ret_cancel = requests.cancel != 0;
    *ret_limit = requests.limit;
}

static void file_free(CstJobFile *file)
{
    cst_fd_clear(&file->fd);
    g_free(file->dir);
    g_free(file);
}

void cst_job_file_end(CstJobFile *file, const CstJobInfo *job)
{
    g_autofree char *path = file_name(file->dir, file->id, LIVE);
    g_autofree char *ended = file_name(file->dir, file->id, ENDED);

    cst_job_file_update(file, job);
    /* Otherwise a daemon could repeat the job over newer content after a power loss. */
    if (job->resume && fdatasync(file->fd) < 0)
        cst_log(CST_LOG_WARNING, "cannot sync '%s': %s", path, g_strerror(errno));
    CST_CRASH_POINT("job.ended");
    if (rename(path, ended) < 0)
        cst_log(CST_LOG_WARNING, "cannot rename '%s': %s", path, g_strerror(errno));
    file_free(file);
}

void cst_job_file_suspend(CstJobFile *file, const CstJobInfo *job)
{
    cst_job_file_update(file, job);
    file_free(file);
}

/* --- other processes ------------------------------------------------------------------------- */

static gboolean is_expired(int64_t ended)
{
    return ended && g_get_real_time() - ended > CST_JOBS_KEPT_SECS * G_TIME_SPAN_SECOND;
}

/* Marks the record as interrupted. The end is the time of the last write to its file. */
static void set_interrupted(int fd, JobRecord *record)
{
    struct stat st;

    record->status.state = CST_JOB_INTERRUPTED;
    record->status.rate = 0;
    record->status.ended = g_get_real_time();
    if (fstat(fd, &st) == 0)
        record->status.ended = st.st_mtim.tv_sec * G_USEC_PER_SEC + st.st_mtim.tv_nsec / 1000;
}

/* Reads the record of @fd. The state is INTERRUPTED if the job has not ended and has no worker. */
static gboolean read_current(int fd, JobRecord *record)
{
    if (!job_record_read(fd, record))
        return FALSE;
    CST_TEST_POINT("job.read.lock");
    if (cst_job_state_is_end(record->status.state) || job_file_is_locked(fd))
        return TRUE;
    /* The worker may have written its end and released the lock between the read and the query. */
    if (!job_record_read(fd, record))
        return FALSE;
    if (!cst_job_state_is_end(record->status.state))
        set_interrupted(fd, record);
    return TRUE;
}

static CstJobInfo *job_info_load(const char *dir, uint64_t id)
{
    g_autofree char *live = file_name(dir, id, LIVE);
    g_autofree char *ended = file_name(dir, id, ENDED);
    g_auto(CstFd) fd = open(live, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    JobRecord record;

    CST_TEST_POINT("job.load.opened");
    if (fd < 0)
        fd = open(ended, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    if (fd < 0 || !read_current(fd, &record) || is_expired(record.status.ended))
        return NULL;
    return job_record_info(id, &record);
}

static int by_id(gconstpointer a, gconstpointer b)
{
    uint64_t left = *(const uint64_t *)a, right = *(const uint64_t *)b;

    return (left > right) - (left < right);
}

/*
 * Returns the sorted numbers of all files with @suffix. NULL: numbers of .job and .done files, in
 * which a number may occur twice.
 */
static GArray *list_ids(const char *dir, const char *suffix)
{
    GArray *ids = g_array_new(FALSE, FALSE, sizeof(uint64_t));
    GDir *open_dir = g_dir_open(dir, 0, NULL);
    const char *name;

    while (open_dir && ids->len < FILES_MAX && (name = g_dir_read_name(open_dir))) {
        uint64_t id = job_file_id(name, suffix ? suffix : LIVE);

        if (!id && !suffix)
            id = job_file_id(name, ENDED);
        if (id)
            g_array_append_val(ids, id);
    }
    if (open_dir)
        g_dir_close(open_dir);
    g_array_sort(ids, by_id);
    return ids;
}

GPtrArray *cst_job_files_load(const CstPaths *paths)
{
    GPtrArray *jobs = g_ptr_array_new_with_free_func((GDestroyNotify)cst_job_info_free);
    g_autofree char *dir = jobs_dir(paths);
    g_autoptr(GArray) ids = list_ids(dir, NULL);
    uint64_t last = 0;

    for (guint i = 0; i < ids->len; i++) {
        uint64_t id = g_array_index(ids, uint64_t, i);
        /* A job that ended while the directory was read may be listed under both names. */
        CstJobInfo *job = id != last ? job_info_load(dir, id) : NULL;

        if (job)
            g_ptr_array_add(jobs, job);
        last = id;
    }
    return jobs;
}

CstJobInfo *cst_job_file_load(const CstPaths *paths, uint64_t id, GError **error)
{
    g_autofree char *dir = jobs_dir(paths);
    CstJobInfo *job = job_info_load(dir, id);

    if (!job)
        cst_fail(error, CST_ERROR_NOT_FOUND,
                 _("no job with number %" PRIu64 "; jobs are kept for an hour after their end"),
                 id);
    return job;
}

/*
 * Opens the file of a job that has not ended, for a request. Returns -1 with @error (STATE if it
 * has ended).
 */
static int open_live(const CstPaths *paths, uint64_t id, JobRecord *ret_record, GError **error)
{
    g_autofree char *dir = jobs_dir(paths);
    g_autofree char *path = file_name(dir, id, LIVE);
    g_autoptr(CstJobInfo) job = NULL;
    g_auto(CstFd) fd = open(path, O_RDWR | O_CLOEXEC | O_NOFOLLOW);

    if (fd >= 0 && read_current(fd, ret_record) &&
        !cst_job_state_is_end(ret_record->status.state)) {
        return g_steal_fd(&fd);
    }
    job = cst_job_file_load(paths, id, error);
    if (job)
        cst_fail(error, CST_ERROR_STATE, _("job %" PRIu64 " has ended: it is %s"), id,
                 cst_job_state_word(job->state));
    return -1;
}

gboolean cst_job_file_cancel(const CstPaths *paths, uint64_t id, GError **error)
{
    static const uint32_t yes = 1;
    JobRecord record;
    g_auto(CstFd) fd = open_live(paths, id, &record, error);

    if (fd < 0)
        return FALSE;
    if (!record.status.can_cancel)
        return cst_fail(error, CST_ERROR_UNSUPPORTED,
                        _("job %" PRIu64 " (%.*s) cannot be cancelled; it ends by "
                          "itself"),
                        id, (int)sizeof(record.status.kind), record.status.kind);
    return cst_may_change(error) &&
           cst_pwrite_full(fd, &yes, sizeof(yes), offsetof(JobRecord, requests.cancel), "job",
                           error);
}

gboolean cst_job_file_set_limit(const CstPaths *paths, uint64_t id, uint64_t limit, GError **error)
{
    JobRecord record;
    g_auto(CstFd) fd = open_live(paths, id, &record, error);

    return fd >= 0 && cst_may_change(error) &&
           cst_pwrite_full(fd, &limit, sizeof(limit), offsetof(JobRecord, requests.limit), "job",
                           error);
}

/* --- pruning and recovery -------------------------------------------------------------------- */

/* Removes ended jobs that are too many or too old. Called with "next" locked. */
static void job_files_prune(const char *dir)
{
    g_autoptr(GArray) ids = list_ids(dir, ENDED);

    for (guint i = 0; i < ids->len; i++) {
        uint64_t id = g_array_index(ids, uint64_t, i);
        g_autofree char *path = file_name(dir, id, ENDED);
        struct stat st;

        if (ids->len - i > CST_JOBS_KEPT || stat(path, &st) < 0 ||
            is_expired(st.st_mtim.tv_sec * G_USEC_PER_SEC))
            unlink(path);
    }
}

typedef struct {
    const char *dir;
    CstJobResumeFunc resume;
    gpointer data;
} Recovery;

/*
 * Passes a job that can be resumed to the callback, with *fd. TRUE: the job was passed on, or
 * remains for a process that resumes jobs. FALSE: the caller must end it.
 */
static gboolean job_file_resume(const Recovery *recovery, uint64_t id, int *fd, JobRecord *record)
{
    CstJobInfo *job;

    if (cst_job_state_is_end(record->status.state) && record->status.state != CST_JOB_INTERRUPTED)
        return FALSE;
    if (!cst_job_state_is_end(record->status.state))
        set_interrupted(*fd, record);
    job = job_record_info(id, record);
    if (!cst_job_file_can_resume(job) || is_expired(job->ended)) {
        cst_job_info_free(job);
        return FALSE;
    }
    if (recovery->resume) {
        CstJobFile *file = file_new(recovery->dir, id, *fd);

        *fd = -1;
        job->state = CST_JOB_WAITING;
        job->attempt++;
        g_clear_pointer(&job->error, g_free);
        g_clear_pointer(&job->error_word, g_free);
        recovery->resume(file, job, recovery->data);
    } else {
        cst_job_info_free(job);
    }
    return TRUE;
}

static void recover_one(const Recovery *recovery, uint64_t id)
{
    g_autofree char *path = file_name(recovery->dir, id, LIVE);
    g_autofree char *ended = file_name(recovery->dir, id, ENDED);
    g_auto(CstFd) fd = open(path, O_RDWR | O_CLOEXEC | O_NOFOLLOW);
    JobRecord record;

    CST_TEST_POINT("job.recover.opened");
    /* A locked file has a live worker. */
    if (fd < 0 || !lock_file(fd, F_OFD_SETLK))
        return;
    /* Damaged by a power loss, or of another version: the record cannot be shown. */
    if (!job_record_read(fd, &record)) {
        unlink(path);
        return;
    }
    if (job_file_resume(recovery, id, &fd, &record))
        return;
    if (record.status.state == CST_JOB_INTERRUPTED)
        job_record_write(fd, &record.status, NULL);
    CST_CRASH_POINT("job.recovered");
    /* ENOENT: the worker ended the job between the open and the lock. */
    if (rename(path, ended) < 0 && errno != ENOENT)
        cst_log(CST_LOG_WARNING, "cannot rename '%s': %s", path, g_strerror(errno));
}

/* Removes files of interrupted creations. While "next" is locked no creation is in progress. */
static void job_files_drop_temporaries(const char *dir)
{
    g_autoptr(GArray) ids = list_ids(dir, TEMPORARY);

    for (guint i = 0; i < ids->len; i++) {
        g_autofree char *path = file_name(dir, g_array_index(ids, uint64_t, i), TEMPORARY);

        unlink(path);
    }
}

void cst_job_files_recover(const CstPaths *paths, CstJobResumeFunc resume, gpointer data)
{
    g_autofree char *dir = jobs_dir(paths);
    g_autoptr(GError) error = NULL;
    g_autoptr(GArray) ids = NULL;
    g_auto(CstFd) numbers = -1;
    const Recovery recovery = {dir, resume, data};

    if (!g_file_test(dir, G_FILE_TEST_IS_DIR))
        return;
    numbers = lock_numbers(dir, &error);
    if (numbers < 0) {
        cst_log(CST_LOG_WARNING, "jobs: %s", error->message);
        return;
    }
    job_files_drop_temporaries(dir);
    ids = list_ids(dir, LIVE);
    for (guint i = 0; i < ids->len; i++)
        recover_one(&recovery, g_array_index(ids, uint64_t, i));
}
