/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Serves a volume to others, by NBD: what its guest sees, through its whole chain, or what a
 * snapshot of it held. That lasts for as long as somebody likes, so the claims are a stream's: who
 * wants the volume otherwise is told at once that it is being served.
 *
 * What clients write to a raw volume is its content, which may look like an image that names other
 * files: the volume is restricted (declare.h) before the first of them is let in. In other formats
 * they write to the guest's disk only.
 */
#include <service/images.h>

#include <base/dry_run.h>
#include <base/error.h>
#include <base/i18n.h>
#include <nbd/server.h>

#include "clone.h"
#include "core/job.h"
#include "core/scan.h"
#include "declare.h"
#include "dependency/guard.h"
#include "image_chain.h"

/* --- what is served --------------------------------------------------------------------------- */

static gboolean demand_tls(CstNbdServer *server, const CstVolServe *how, GError **error)
{
    CstNbdTls *tls;

    if (!how->psk_file && !how->certificates)
        return TRUE;
    tls = how->psk_file ? cst_nbd_tls_new_psk(how->psk_file, error)
                        : cst_nbd_tls_new_certificates(how->certificates, error);
    if (tls)
        cst_nbd_server_set_tls(server, tls);
    return tls != NULL;
}

/* @blob: what the guest sees. Returns when the task is cancelled. */
static gboolean serve_blob(const char *name, const CstVolServe *how, gboolean writable,
                           CstBlob *blob, CstTask *task, GError **error)
{
    const CstNbdExport export = {.name = name, .blob = blob, .writable = writable};
    g_autoptr(CstNbdServer) server = cst_nbd_server_new(&export, error);
    guint16 port;
    uid_t uid;
    pid_t pid;

    cst_task_owner(task, &uid, &pid);
    return server && demand_tls(server, how, error) &&
           (how->socket ? cst_nbd_server_listen_unix(server, how->socket, uid, error)
                        : cst_nbd_server_listen_tcp(server, how->host, how->port, &port, error)) &&
           cst_nbd_server_run(server, task, error);
}

static gboolean prepare_writes(const ImageChain *chain, GError **error)
{
    const ImageLink *link = image_chain_link(chain, 0);

    if (!volume_shows_in_none(&link->claim, error) || !cst_may_change(error))
        return FALSE;
    return !cst_image_name_is_plain(link->volume->format) ||
           trust_restrict(&link->claim, link->volume, link->blob, error);
}

/* What has been written is safe before anybody is told that the serving has ended. */
static gboolean serve_image(CstPool *pool, const char *name, const CstVolServe *how, CstTask *task,
                            GError **error)
{
    gboolean writable = !how->read_only;
    g_auto(ImageChain) chain = {
        .task = task, .write = writable, .stream = TRUE, .at_rest = !writable && !how->force_share};
    CstBlob *guest;
    gboolean done;

    if (!image_chain_open(&chain, pool, name, error) ||
        (writable && !prepare_writes(&chain, error)) ||
        !cst_chain_open_images(chain.chain, writable ? CST_IMAGE_WRITE : 0, how->snapshot, error))
        return FALSE;
    guest = cst_chain_guest(chain.chain);
    if (!writable && !cst_may_change(error))
        return FALSE;
    done = serve_blob(name, how, writable, guest, task, error);
    return cst_blob_flush(guest, done ? error : NULL) && done;
}

/* Of a snapshot that the pool's technology keeps: the bytes of then, in the volume's format. */
static gboolean serve_snapshot(CstPool *pool, const char *name, const CstVolServe *how,
                               CstTask *task, GError **error)
{
    g_auto(VolumeClaim) claim = {.task = task, .stream = TRUE};
    g_autoptr(CstVolume) volume = NULL;
    g_autoptr(CstBlob) blob = NULL;
    g_autoptr(CstChain) chain = NULL;
    const CstImageFormat *format;

    if (!volume_claim_now(&claim, pool, name, CLAIM_READ, &volume, error))
        return FALSE;
    if (volume->extra && volume->extra->backing_path)
        return cst_fail(error, CST_ERROR_UNSUPPORTED,
                        _("snapshot '%s' is of an image that is based on '%s'; make a volume of it "
                          "(snap-clone) and serve that"),
                        how->snapshot, volume->extra->backing_path);
    format = cst_image_format_find(volume->format, error);
    blob = format ? cst_pool_state_snapshot_open(claim.state, name, how->snapshot, error) : NULL;
    chain = blob ? cst_chain_open(blob, format, 0, NULL, error) : NULL;
    return chain && cst_may_change(error) &&
           serve_blob(name, how, FALSE, cst_chain_guest(chain), task, error);
}

/* Whether the image itself keeps the volume's snapshots. */
static gboolean keeps_snapshots(CstPool *pool, const char *name, gboolean *ret_keeps,
                                GError **error)
{
    g_autoptr(CstPoolState) state = pool_state_get(pool, error);
    g_autoptr(CstVolume) volume = state ? pool_volume(pool, state, name, error) : NULL;

    if (volume)
        *ret_keeps = volume_keeps_snapshots(volume);
    return volume != NULL;
}

/* --- the use case ----------------------------------------------------------------------------- */

static gboolean check(const CstVolServe *how, GError **error)
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

static gboolean serve(CstPool *pool, const char *name, const CstVolServe *how, CstTask *task,
                      GError **error)
{
    gboolean inside = FALSE;

    if (!check(how, error) || (how->snapshot && !keeps_snapshots(pool, name, &inside, error)))
        return FALSE;
    return how->snapshot && !inside ? serve_snapshot(pool, name, how, task, error)
                                    : serve_image(pool, name, how, task, error);
}

gboolean cst_vol_serve(CstPool *pool, const char *name, const CstVolServe *how, CstTask *task,
                       GError **error)
{
    g_auto(Job) job = {0};

    job_begin(&job, pool, "serve", name, &task);
    return job_end(&job, serve(pool, name, how, task, error), error);
}
