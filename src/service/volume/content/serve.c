/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Exports the guest-visible content of a volume over NBD (view.h).
 *
 * Clients that write to a raw volume determine its content, which may become an image that
 * references other files. Therefore the volume is restricted (declare.h) before the first client
 * connects. In other formats clients write only the guest's disk.
 */
#include <service/images.h>

#include <unistd.h>

#include <base/dry_run.h>
#include <base/error.h>
#include <base/i18n.h>
#include <nbd/server.h>

#include "core/job.h"
#include "view.h"

/* Serves until the task is cancelled. */
static gboolean serve_view(const char *name, const CstVolServe *how, const VolumeView *view,
                           CstTask *task, GError **error)
{
    /*
     * A program that ignores the locks of an image could change a raw volume unnoticed. It would
     * damage an image with tables anyway, because the tables are in memory.
     */
    const CstNbdExport export = {.name = name,
                                 .blob = view->blob,
                                 .writable = view->writable,
                                 .exclusive = view->has_tables && !view->force_share,
                                 .bitmaps = view->bitmaps};
    CstNbdPlace place = {.socket = how->socket,
                         .host = how->host,
                         .port = how->port,
                         .psk_file = how->psk_file,
                         .certificates = how->certificates};
    pid_t pid;

    cst_task_owner(task, &place.owner, &pid);
    return cst_nbd_serve(&export, &place, task, error);
}

/* --- the use case ----------------------------------------------------------------------------- */

static gboolean serve_check_args(const CstVolServe *how, GError **error)
{
    if (how->snapshot && !how->read_only)
        return cst_fail(error, CST_ERROR_INVALID, _("a snapshot is served for reading only"));
    if (!how->socket == !how->host)
        return cst_fail(error, CST_ERROR_INVALID,
                        _("a volume is served at a socket or at an address"));
    if (how->psk_file && how->certificates)
        return cst_fail(error, CST_ERROR_INVALID, _("TLS is by keys or by certificates"));
    if (how->socket && !g_path_is_absolute(how->socket))
        return cst_fail(error, CST_ERROR_INVALID, _("'%s' is no absolute path"), how->socket);
    return how->socket || how->port > 0 ||
           cst_fail(error, CST_ERROR_INVALID, _("the address has no port"));
}

/* The keys are read with the rights of this process, and not with those of the caller. */
static gboolean serve_check_keys(const CstVolServe *how, CstTask *task, GError **error)
{
    uid_t uid;
    pid_t pid;

    cst_task_owner(task, &uid, &pid);
    return (!how->psk_file && !how->certificates) || uid == geteuid() ||
           cst_fail(error, CST_ERROR_DENIED,
                    _("only user %u, as which this service runs, can name keys for TLS"),
                    (unsigned)geteuid());
}

/* Written data are flushed before the end of the export is reported. */
static gboolean vol_serve_view(CstPool *pool, const char *name, const CstVolServe *how,
                               const Job *job, CstTask *task, GError **error)
{
    g_auto(VolumeView) view = {.task = task,
                               .snapshot = how->snapshot,
                               .writable = !how->read_only,
                               .force_share = how->force_share,
                               .ask_bitmaps = TRUE};
    gboolean done;

    if (!serve_check_args(how, error) || !serve_check_keys(how, task, error) ||
        !volume_view_open(&view, pool, name, error) || (how->read_only && !cst_may_change(error)))
        return FALSE;
    job_list_now(job);
    done = serve_view(name, how, &view, task, error);
    return cst_blob_flush(view.blob, done ? error : NULL) && done;
}

gboolean cst_vol_serve(CstPool *pool, const char *name, const CstVolServe *how, CstTask *task,
                       GError **error)
{
    g_auto(Job) job = {0};

    job_begin(&job, pool, "serve", name, &task);
    return job_end(&job, vol_serve_view(pool, name, how, &job, task, error), error);
}
