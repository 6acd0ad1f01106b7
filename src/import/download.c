/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Downloads that continue after an interruption.
 *
 * KEY.part has the bytes. KEY is a digest of the URL, because the URL may contain secrets. KEY.info
 * has the version, the size, and the number of bytes that are certainly on the disk. After a power
 * failure a file may be longer than the data written to it. KEY.info is replaced atomically after a
 * sync of KEY.part, every SYNC bytes and at the end of an attempt. Later bytes are requested again.
 * If KEY.info is missing or has another version, the download starts at the beginning.
 *
 * The directory must belong to this user alone, because its files become disks. It is opened once,
 * and each file is reached through its descriptor, because another user may own a directory above
 * it. A lock (flock(2)) on KEY.part is held while it is used. Files are removed with the lock held.
 * Therefore a process that acquires the lock checks that the name still refers to its file. Each
 * download removes other downloads that were not used for KEEP_S.
 */
#include "download.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <base/file.h>
#include <base/i18n.h>
#include <base/place.h>
#include <base/spool.h>
#include <base/test_point.h>
#include <base/units.h>

#include "spool.h"

#define SYNC     (32 * CST_MIB)
#define KEEP_S   (7 * 24 * 60 * 60)
#define INFO_MAX (64u << 10)
#define GROUP    "download"
#define PART     ".part"
#define INFO     ".info"

struct ImportDownload {
    const ImportContext *context;
    ImportHttp *http; /* borrowed */
    char *dir;        /* for messages */
    CstPlace part, info;
    CstFd fd;
    CstBlob *blob;
    uint64_t done;    /* bytes in the file */
    uint64_t synced;  /* of these, bytes certainly on the disk */
    uint64_t checked; /* end of the part for which free space was checked */
};

static gboolean download_fail_errno(const char *path, GError **error)
{
    return cst_fail_errno(error, errno, _("cannot download to '%s'; say where with --spool-dir"),
                          path);
}

/* --- the directory ---------------------------------------------------------------------------- */

/* Returns the directory: below the user's option, else in the user's cache, else in TMPDIR. */
static char *download_dir_path(const char *spool_dir)
{
    g_autofree char *own = g_strdup_printf("cistern-%u", (unsigned)geteuid());
    char *cache = spool_dir ? NULL : cst_place_cache_dir("downloads");

    return cache ? cache : g_build_filename(cst_spool_dir(spool_dir), own, NULL);
}

/* Opens the directory for both names and creates it if it is missing. */
static gboolean download_open_dir(ImportDownload *download, const char *key, GError **error)
{
    g_autofree char *info = g_strconcat(key, INFO, NULL), *info_path = NULL, *part_path = NULL;
    struct stat st;

    download->dir = download_dir_path(download->context->how->spool_dir);
    part_path = g_strconcat(download->dir, "/", key, PART, NULL);
    info_path = g_strconcat(download->dir, "/", info, NULL);
    if (!cst_place_init_making(&download->part, part_path, error))
        return FALSE;
    if (!cst_place_init_beneath(&download->info, &download->part, info, info_path) ||
        fstat(download->part.dir, &st) < 0)
        return download_fail_errno(download->dir, error);
    return (st.st_uid == geteuid() && !(st.st_mode & 0077)) ||
           cst_fail(error, CST_ERROR_DENIED,
                    _("'%s' is not a private directory of yours; remove it, or name a directory "
                      "for the download with --spool-dir"),
                    download->dir);
}

static gboolean name_is_open_file(const CstPlace *place, int fd)
{
    struct stat opened;

    return fstat(fd, &opened) == 0 && cst_place_is(place, &opened);
}

static void download_unlink(const CstPlace *part, const CstPlace *info)
{
    unlinkat(info->dir, info->name, 0);
    unlinkat(part->dir, part->name, 0);
}

/* Removes the part @name and its info file, unless it is in use or was written recently. */
static void drop_old(const ImportDownload *download, const char *name)
{
    g_autofree char *key = g_strndup(name, strlen(name) - strlen(PART));
    g_autofree char *info_name = g_strconcat(key, INFO, NULL);
    g_auto(CstPlace) part = CST_PLACE_INIT, info = CST_PLACE_INIT;
    g_auto(CstFd) fd = -1;
    struct stat st;

    if (!cst_place_init_beneath(&part, &download->part, name, name) ||
        !cst_place_init_beneath(&info, &download->part, info_name, info_name))
        return;
    fd = cst_place_open(&part, O_RDONLY | O_NONBLOCK);
    if (fd < 0 || fstat(fd, &st) < 0 || st.st_mtime > g_get_real_time() / G_USEC_PER_SEC - KEEP_S ||
        flock(fd, LOCK_EX | LOCK_NB) < 0 || !name_is_open_file(&part, fd))
        return;
    download_unlink(&part, &info);
}

static void drop_all_old(const ImportDownload *download)
{
    int fd = openat(download->part.dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *entries = fd >= 0 ? fdopendir(fd) : NULL;
    const struct dirent *entry;

    if (!entries) {
        cst_fd_clear(&fd);
        return;
    }
    while ((entry = readdir(entries))) {
        if (g_str_has_suffix(entry->d_name, PART))
            drop_old(download, entry->d_name);
    }
    closedir(entries);
}

/* --- the file --------------------------------------------------------------------------------- */

static gboolean download_open_part(ImportDownload *download, gboolean *ret_busy, GError **error)
{
    const CstPlace *part = &download->part;
    struct stat st;

    do {
        cst_fd_clear(&download->fd);
        download->fd = openat(part->dir, part->name,
                              O_RDWR | O_CREAT | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC, 0600);
        if (download->fd < 0)
            return download_fail_errno(part->path, error);
        CST_TEST_POINT("download.part.opened");
        *ret_busy = flock(download->fd, LOCK_EX | LOCK_NB) < 0;
        if (*ret_busy)
            return FALSE;
    } while (!name_is_open_file(part, download->fd));
    if (fstat(download->fd, &st) < 0)
        return download_fail_errno(part->path, error);
    return (S_ISREG(st.st_mode) && st.st_uid == geteuid() && st.st_nlink == 1) ||
           cst_fail(error, CST_ERROR_DENIED,
                    _("'%s' is not the file of an earlier download; remove it"), part->path);
}

/* Syncs the file and records its length, so that a power failure does not lose it. */
static gboolean download_save_state(ImportDownload *download, GError **error)
{
    g_autoptr(GKeyFile) file = g_key_file_new();
    g_autofree char *text = NULL;
    gsize len;

    if (fdatasync(download->fd) < 0)
        return download_fail_errno(download->part.path, error);
    download->synced = download->done;
    g_key_file_set_string(file, GROUP, "version", import_http_validator(download->http));
    g_key_file_set_uint64(file, GROUP, "size", import_http_size(download->http));
    g_key_file_set_uint64(file, GROUP, "done", download->synced);
    text = g_key_file_to_data(file, &len, NULL);
    return cst_place_replace(&download->info, text, len, 0600, TRUE, error);
}

/* Returns how many bytes an earlier download of the same version has left, or 0. */
static uint64_t download_resume_offset(const ImportDownload *download)
{
    uint64_t size = import_http_size(download->http), done;
    g_autoptr(GKeyFile) file = g_key_file_new();
    g_autofree char *text = NULL, *version = NULL;
    g_auto(CstFd) fd = cst_place_open(&download->info, O_RDONLY | O_NONBLOCK);
    struct stat st;
    size_t len;

    if (fd < 0 ||
        !cst_file_read_open(fd, download->info.path, CST_FILE_PRIVATE, INFO_MAX, &text, &len,
                            NULL) ||
        !g_key_file_load_from_data(file, text, len, G_KEY_FILE_NONE, NULL) ||
        fstat(download->fd, &st) < 0)
        return 0;
    version = g_key_file_get_string(file, GROUP, "version", NULL);
    if (g_strcmp0(version, import_http_validator(download->http)) != 0 ||
        g_key_file_get_uint64(file, GROUP, "size", NULL) != size)
        return 0;
    done = g_key_file_get_uint64(file, GROUP, "done", NULL);
    return done <= (uint64_t)st.st_size && done <= size ? done : 0;
}

/* --- downloading ------------------------------------------------------------------------------ */

static gboolean download_write_bytes(const void *buf, size_t len, gpointer data, GError **error)
{
    ImportDownload *download = data;

    if (!import_spool_check_on(download->fd, download->dir, download->done, &download->checked,
                               error) ||
        !cst_pwrite_full(download->fd, buf, len, download->done, download->part.path, error))
        return FALSE;
    download->done += len;
    cst_task_advance(download->context->task, len);
    return download->done - download->synced < SYNC || download_save_state(download, error);
}

static gboolean get_rest(ImportDownload *download, GError **error)
{
    uint64_t size = import_http_size(download->http);
    gboolean got;

    if (ftruncate(download->fd, (off_t)download->done) < 0)
        return download_fail_errno(download->part.path, error);
    if (download->done == size)
        return TRUE;
    if (!import_spool_check(download->fd, download->dir, size - download->done, error))
        return FALSE;
    got = import_http_get(download->http, download->done, size - download->done,
                          download_write_bytes, download, error);
    /* Also record the bytes of a failed attempt. */
    return download_save_state(download, got ? error : NULL) && got;
}

static gboolean download_prepare(ImportDownload *download, gboolean *ret_busy, GError **error)
{
    g_autofree char *key =
        g_compute_checksum_for_string(G_CHECKSUM_SHA256, import_http_url(download->http), -1);
    const char *name = import_http_name(download->http);

    if (!download_open_dir(download, key, error))
        return FALSE;
    drop_all_old(download);
    if (!download_open_part(download, ret_busy, error))
        return FALSE;
    download->done = download->synced = download_resume_offset(download);
    if (download->done > 0)
        import_note(download->context,
                    _("'%s' is downloaded to %s, of which an earlier import has left %" PRIu64
                      " of %" PRIu64 " MiB"),
                    name, download->dir, download->done / CST_MIB,
                    import_http_size(download->http) / CST_MIB);
    else
        import_note(download->context, _("'%s' is downloaded to %s"), name, download->dir);
    return TRUE;
}

ImportDownload *import_download(const ImportContext *context, ImportHttp *http, gboolean *ret_busy,
                                GError **error)
{
    g_autoptr(ImportDownload) download = g_new0(ImportDownload, 1);
    int fd;

    *ret_busy = FALSE;
    download->context = context;
    download->http = http;
    download->fd = -1;
    download->part = download->info = (CstPlace)CST_PLACE_INIT;
    if (!download_prepare(download, ret_busy, error) || !get_rest(download, error))
        return NULL;
    /* Both descriptors share the lock. */
    fd = fcntl(download->fd, F_DUPFD_CLOEXEC, STDERR_FILENO + 1);
    if (fd < 0) {
        download_fail_errno(download->part.path, error);
        return NULL;
    }
    download->blob = cst_blob_file_new(fd, import_http_name(http), FALSE, error);
    return download->blob ? g_steal_pointer(&download) : NULL;
}

CstBlob *import_download_blob(const ImportDownload *download)
{
    return download->blob;
}

void import_download_forget(ImportDownload *download)
{
    if (!download)
        return;
    download_unlink(&download->part, &download->info);
}

void import_download_free(ImportDownload *download)
{
    if (!download)
        return;
    if (download->blob)
        cst_blob_unref(download->blob);
    cst_fd_clear(&download->fd);
    cst_place_clear(&download->part);
    cst_place_clear(&download->info);
    g_free(download->dir);
    g_free(download);
}
