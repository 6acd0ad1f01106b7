/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Opens images in a job's thread, for librbd's calls or as a blob. A blob outlives its job, so it
 * has its own reference to the connection.
 */
#include "rbd.h"

#include <errno.h>

#include <base/error.h>
#include <base/i18n.h>

#define ID_SIZE 256 /* of an image's id; librbd's have about 20 characters */

gboolean cst_rbd_image_open(RbdJob *job, const char *name, gboolean writable,
                            rbd_image_t *ret_image, GError **error)
{
    int result = writable ? job->ceph->rbd_open(job->conn->io, name, ret_image, NULL)
                          : job->ceph->rbd_open_read_only(job->conn->io, name, ret_image, NULL);

    if (result == -ENOENT)
        return cst_fail_no_volume(name, error);
    return result >= 0 ||
           cst_ceph_fail(error, result, _("failed to open the RBD image '%s'"), name);
}

/* Runs @run with the job's image open. */
gboolean cst_rbd_with_image(RbdJob *job, gboolean writable,
                            gboolean (*run)(RbdJob *job, rbd_image_t image, GError **error),
                            GError **error)
{
    rbd_image_t image = NULL;
    gboolean done;

    if (!cst_rbd_image_open(job, job->name, writable, &image, error))
        return FALSE;
    done = run(job, image, error);
    job->ceph->rbd_close(image);
    return done;
}

/* librbd reports EINVAL for an image of the old format. */
int cst_rbd_image_id(RbdJob *job, rbd_image_t image, char **ret_id)
{
    char id[ID_SIZE] = "";
    int result = job->ceph->rbd_get_id(image, id, sizeof(id));

    if (result < 0 && result != -EINVAL)
        return result;
    *ret_id = g_strdup(id);
    return 0;
}

static void release_conn(gpointer conn)
{
    cst_rbd_conn_unref(conn);
}

CstBlob *cst_rbd_image_blob(RbdJob *job, const char *name, const char *snapshot, gboolean writable,
                            GError **error)
{
    CstBlobRbd rbd = {.deadline_ms = job->conn->deadline_ms, .release_owner = release_conn};
    int result;

    if (!cst_rbd_image_open(job, name, writable, &rbd.image, error))
        return NULL;
    if (snapshot) {
        result = job->ceph->rbd_snap_set(rbd.image, snapshot);
        if (result < 0) {
            job->ceph->rbd_close(rbd.image);
            cst_fail(error, result == -ENOENT ? CST_ERROR_NOT_FOUND : CST_ERROR_IO,
                     _("volume '%s' has no snapshot '%s'"), name, snapshot);
            return NULL;
        }
    }
    /* From here on the blob owns the image, even if it cannot be made. */
    rbd.owner = cst_rbd_conn_ref(job->conn);
    return cst_blob_rbd_new(&rbd, job->name, writable, error);
}
