/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Protection of snapshots, which clones of version 1 need. What people protected stays protected;
 * that it was us is noted in the image's metadata, under the snapshot's number, before the
 * protection is set: a crash in between leaves a note without a protection, rather than a
 * protection that nobody undoes.
 *
 * Such a note outlives its reason only until our next clone of the snapshot, which ends with both
 * gone. Where people protect the snapshot before that (or once more, after they unprotected one of
 * ours), it is taken for ours, and unprotected when the snapshot is deleted through us or its last
 * clone goes. Ceph says neither who protected a snapshot nor when, so no order of the two steps
 * tells those cases apart; the other order would leave snapshots that can't be deleted.
 */
#include "rbd.h"

#include <errno.h>

/* The key of snapshots that we protected and may unprotect again. */
#define PROTECTED_KEY "cistern_protected_"

/*
 * The metadata key of a snapshot, by its number, which stays when the snapshot is renamed. 0 or a
 * negative errno.
 */
static int protected_key(RbdJob *job, rbd_image_t image, const char *snapshot, char **ret_key)
{
    uint64_t id = 0;
    int result = job->ceph->rbd_snap_get_id(image, snapshot, &id);

    if (result >= 0)
        *ret_key = g_strdup_printf(PROTECTED_KEY "%" G_GUINT64_FORMAT, id);
    return result;
}

int cst_rbd_snapshot_protected_by_us(RbdJob *job, rbd_image_t image, const char *snapshot)
{
    g_autofree char *key = NULL;
    char value[8];
    size_t len = sizeof(value);
    int result = protected_key(job, image, snapshot, &key);

    if (result >= 0)
        result = job->ceph->rbd_metadata_get(image, key, value, &len);
    if (result == -ENOENT)
        return 0;
    return result < 0 ? result : 1;
}

/* One that people made is noted first: if it were protected without a note, it would stay so. */
int cst_rbd_snapshot_protect(RbdJob *job, rbd_image_t image, const char *snapshot, gboolean helper)
{
    g_autofree char *key = NULL;
    int is_protected = 0;
    int result = job->ceph->rbd_snap_is_protected(image, snapshot, &is_protected);

    if (result < 0 || is_protected)
        return result;
    if (!helper) {
        result = protected_key(job, image, snapshot, &key);
        if (result >= 0)
            result = job->ceph->rbd_metadata_set(image, key, "1");
    }
    if (result >= 0)
        result = job->ceph->rbd_snap_protect(image, snapshot);
    /* Another clone was faster. */
    return result == -EBUSY ? 0 : result;
}

/* The note goes last, for the same reason. */
int cst_rbd_snapshot_unprotect(RbdJob *job, rbd_image_t image, const char *snapshot)
{
    g_autofree char *key = NULL;
    int is_protected = 0;
    int result = job->ceph->rbd_snap_is_protected(image, snapshot, &is_protected);

    if (result < 0 || !is_protected)
        return result;
    result = protected_key(job, image, snapshot, &key);
    if (result >= 0)
        result = job->ceph->rbd_snap_unprotect(image, snapshot);
    if (result >= 0)
        job->ceph->rbd_metadata_remove(image, key);
    return result;
}
