/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Protection of snapshots, which clones of version 1 need. A user's protection is kept. Our own
 * protection is recorded in the image's metadata, under the snapshot's number, before it is set. So
 * a crash in between leaves a note without a protection, and never a protection that is not undone.
 *
 * Such a note is removed with the end of our next clone of the snapshot. If a user protects the
 * snapshot before that (or again, after unprotecting our protection), the protection is treated as
 * ours. It is then removed when the snapshot is deleted through us, or after its last clone. Ceph
 * does not report the owner or the time of a protection. So no order of the two steps distinguishes
 * these cases, and the other order would leave snapshots that cannot be deleted.
 */
#include "rbd.h"

#include <errno.h>

/* The key of snapshots that we protected and may unprotect. */
#define PROTECTED_KEY "cistern_protected_"

/*
 * Returns the metadata key of a snapshot in *ret_key. The key has the snapshot's number, which is
 * kept by a rename. Returns 0 or a negative errno.
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

/*
 * For a user's snapshot the note is set first, because a protection without a note would never be
 * removed.
 */
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
    /* Another clone has protected it in the meantime. */
    return result == -EBUSY ? 0 : result;
}

/* The note is removed last, for the same reason. */
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
