/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Changes of the files below etc and run. The recursive mutex "definitions" serialises them. So
 * checks (is the name free?), the write of a file and the update of the tables are one step for
 * other threads.
 *
 * A daemon holds the driver lock for its whole life. No other process changes the files, so the
 * tables in memory are current. An embedded process holds that lock only from the outermost enter
 * to its leave. In between, other processes may change the files. The process therefore compares a
 * stamp of the directories, and rereads all files when the stamp has changed.
 */
#include "definitions.h"

#include <sys/stat.h>

#include "service.h"

#define EMBEDDED_LOCK_TIMEOUT_MS 10000

/*
 * Inodes and modification times of the directories. Files are replaced by renaming (base/file.h),
 * so each change of a file changes the mtime of its directory.
 */
static char *directories_stamp(const CstService *service)
{
    const CstPaths *paths = service->paths;
    const char *const dirs[] = {paths->pool_dir, paths->autostart_dir, paths->pool_run_dir,
                                paths->secret_dir};
    GString *stamp = g_string_new(NULL);

    for (size_t i = 0; i < G_N_ELEMENTS(dirs); i++) {
        struct stat st = {0};

        if (stat(dirs[i], &st) == 0)
            g_string_append_printf(stamp, "%ju.%jd.%ld/", (uintmax_t)st.st_ino,
                                   (intmax_t)st.st_mtim.tv_sec, st.st_mtim.tv_nsec);
        else
            g_string_append(stamp, "-/");
    }
    return g_string_free(stamp, FALSE);
}

/*
 * The stamp is read before the files, so that a change in between is read twice instead of never.
 */
static gboolean reload_if_changed(CstService *service, GError **error)
{
    g_autofree char *stamp = directories_stamp(service);

    if (g_strcmp0(stamp, service->loaded_stamp) == 0)
        return TRUE;
    if (!service->hooks->load(service, error))
        return FALSE;
    g_free(service->loaded_stamp);
    service->loaded_stamp = g_steal_pointer(&stamp);
    return TRUE;
}

/*
 * The mutex is acquired before the driver lock, because the latter (a POSIX lock) does not exclude
 * threads of the same process.
 */
gboolean definitions_enter(CstService *service, GError **error)
{
    g_rec_mutex_lock(&service->definitions);
    if (service->mode == CST_SERVICE_EMBEDDED && service->definitions_depth == 0) {
        if (!cst_driver_lock_acquire(service->driver_lock, EMBEDDED_LOCK_TIMEOUT_MS, error)) {
            g_rec_mutex_unlock(&service->definitions);
            return FALSE;
        }
        if (!reload_if_changed(service, error)) {
            cst_driver_lock_release(service->driver_lock);
            g_rec_mutex_unlock(&service->definitions);
            return FALSE;
        }
    }
    service->definitions_depth++;
    return TRUE;
}

void definitions_leave(CstService *service)
{
    if (--service->definitions_depth == 0 && service->mode == CST_SERVICE_EMBEDDED) {
        /*
         * The tables contain our own changes already, so these files need not be reread. The stamp
         * is read under the lock, so that it covers no change of another process.
         */
        g_free(service->loaded_stamp);
        service->loaded_stamp = directories_stamp(service);
        cst_driver_lock_release(service->driver_lock);
    }
    g_rec_mutex_unlock(&service->definitions);
}

gboolean definitions_sync(CstService *service, GError **error)
{
    if (service->mode == CST_SERVICE_DAEMON)
        return TRUE;
    if (!definitions_enter(service, error))
        return FALSE;
    definitions_leave(service);
    return TRUE;
}
