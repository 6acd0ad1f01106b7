/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The origin of a clone, and its release when the clone does not need it any more. A clone depends
 * on a snapshot: a user's snapshot, or a helper that was made for clones (clone.c). After the last
 * clone, a helper is removed, and a snapshot that we protected for clones is unprotected.
 *
 * Two notes in the pool's metadata survive a crash. "cistern_release_IMAGE@SNAPSHOT" exists from
 * before a clone is removed or flattened until its origin is released. "cistern_clone_TOKEN" exists
 * from before a helper is created until the clone is created. A release may be repeated; it does
 * nothing while another clone needs the snapshot.
 */
#include "rbd.h"

#include <errno.h>
#include <string.h>

#include <base/alloc.h>
#include <base/error.h>
#include <base/i18n.h>
#include <base/log.h>

#define HELPER_NOTE  "cistern_clone_"   /* followed by the token; the value is the source */
#define RELEASE_NOTE "cistern_release_" /* followed by IMAGE@SNAPSHOT */

/* --- origins and clones ----------------------------------------------------------------------- */

void cst_rbd_origin_clear(RbdOrigin *origin)
{
    g_free(origin->pool);
    g_free(origin->namespace);
    g_free(origin->image);
    g_free(origin->snapshot);
}

/* Returns "pool/namespace/image"; @namespace may be NULL or "". */
static char *image_path(const char *pool, const char *namespace, const char *image)
{
    gboolean has_namespace = namespace && *namespace;

    return g_strconcat(pool, "/", has_namespace ? namespace : "", has_namespace ? "/" : "", image,
                       NULL);
}

char *cst_rbd_origin_path(const RbdOrigin *origin)
{
    return image_path(origin->pool, origin->namespace, origin->image);
}

/* librbd's strings are copied, because librbd frees them with its own function. */
gboolean cst_rbd_origin_read(RbdJob *job, rbd_image_t image, RbdOrigin *ret_origin, GError **error)
{
    rbd_linked_image_spec_t parent = {0};
    rbd_snap_spec_t snapshot = {0};
    int result = job->ceph->rbd_get_parent(image, &parent, &snapshot);

    if (result == -ENOENT)
        return TRUE;
    if (result < 0)
        return cst_ceph_fail(error, result, _("cannot determine the origin of '%s'"), job->what);
    ret_origin->pool = g_strdup(parent.pool_name);
    ret_origin->namespace = g_strdup(parent.pool_namespace);
    ret_origin->image = g_strdup(parent.image_name);
    ret_origin->snapshot = g_strdup(snapshot.name);
    ret_origin->user = snapshot.namespace_type == RBD_SNAP_NAMESPACE_TYPE_USER;
    ret_origin->helper = ret_origin->user && g_str_has_prefix(snapshot.name, RBD_HIDDEN_PREFIX);
    job->ceph->rbd_linked_image_spec_cleanup(&parent);
    job->ceph->rbd_snap_spec_cleanup(&snapshot);
    return TRUE;
}

char *cst_rbd_clones_text(const RbdState *state, const GPtrArray *paths)
{
    GString *text = g_string_new(NULL);

    for (guint i = 0; i < paths->len; i++) {
        const char *path = g_ptr_array_index(paths, i);
        gboolean here =
            g_str_has_prefix(path, state->prefix) && !strchr(path + strlen(state->prefix), '/');

        g_string_append_printf(text, "%s%s%s%s", i ? ", " : "", here ? state->head.def->name : "",
                               here ? "/" : "", here ? path + strlen(state->prefix) : path);
    }
    return g_string_free(text, FALSE);
}

/* The list may grow between two calls, so the call is repeated until the list fits. */
gboolean cst_rbd_list_clones(RbdJob *job, rbd_image_t image, GPtrArray *children, GError **error)
{
    g_autofree rbd_linked_image_spec_t *specs = NULL;
    size_t count = 16;
    int result;

    do {
        g_free(specs);
        specs = cst_alloc0(count, sizeof(*specs), cst_rbd_job_object(job), error);
        if (!specs)
            return FALSE;
        result = job->ceph->rbd_list_children3(image, specs, &count);
    } while (result == -ERANGE);
    if (result < 0)
        return cst_ceph_fail(error, result, _("cannot list the clones of %s"), job->what);
    for (size_t i = 0; i < count; i++)
        g_ptr_array_add(
            children, image_path(specs[i].pool_name, specs[i].pool_namespace, specs[i].image_name));
    job->ceph->rbd_linked_image_spec_list_cleanup(specs, count);
    return TRUE;
}

/* --- releasing an origin ---------------------------------------------------------------------- */

/*
 * Unprotects the snapshot and, if it is a helper, removes it. Returns 0 or a negative errno; -EBUSY
 * if other clones need it.
 */
static int release_snapshot(RbdJob *job, const RbdOrigin *origin)
{
    rbd_image_t image = NULL;
    int ours = 1;
    int result = job->ceph->rbd_open(job->conn->io, origin->image, &image, NULL);

    if (result < 0)
        return result;
    if (!origin->helper)
        ours = cst_rbd_snapshot_protected_by_us(job, image, origin->snapshot);
    result = ours > 0 ? cst_rbd_snapshot_unprotect(job, image, origin->snapshot) : ours;
    if (result >= 0 && origin->helper)
        result = job->ceph->rbd_snap_remove2(image, origin->snapshot, 0, cst_rbd_job_progress,
                                             &job->work);
    job->ceph->rbd_close(image);
    return result;
}

/*
 * Returns "IMAGE@SNAPSHOT" if a release may be needed, else NULL. A helper is always in the pool of
 * its clones. A snapshot in the trash is removed by the cluster.
 */
static char *release_name(RbdJob *job, const RbdOrigin *origin)
{
    g_autofree char *path = origin->image ? cst_rbd_origin_path(origin) : NULL;

    if (!path || !origin->user || !g_str_has_prefix(path, job->state->prefix) ||
        strchr(path + strlen(job->state->prefix), '/'))
        return NULL;
    return g_strconcat(origin->image, "@", origin->snapshot, NULL);
}

void cst_rbd_origin_note(RbdJob *job, const RbdOrigin *origin)
{
    g_autofree char *name = release_name(job, origin);

    if (name)
        cst_rbd_note_set(job, RELEASE_NOTE, name, "1");
}

/* Releases the origin and removes its note. The note is kept after an unexpected failure. */
static void release_noted(RbdJob *job, const RbdOrigin *origin, const char *name)
{
    int result = release_snapshot(job, origin);

    /* -EBUSY: another clone needs the snapshot, and its removal releases it. */
    if (result < 0 && result != -EBUSY && result != -ENOENT)
        cst_log(CST_LOG_WARNING, "cannot release snapshot '%s': %s", name, g_strerror(-result));
    else
        cst_rbd_note_remove(job, RELEASE_NOTE, name);
}

void cst_rbd_origin_release(RbdJob *job, const RbdOrigin *origin)
{
    g_autofree char *name = release_name(job, origin);

    if (name)
        release_noted(job, origin, name);
}

/* RbdNoteFunc. A helper is recognised by its name. */
static void finish_release(RbdJob *job, const char *name, const char *value)
{
    g_auto(GStrv) parts = g_strsplit(name, "@", 2);
    RbdOrigin origin = {.image = parts[0], .snapshot = parts[0] ? parts[1] : NULL};

    if (!origin.snapshot)
        return;
    origin.helper = g_str_has_prefix(origin.snapshot, RBD_HIDDEN_PREFIX);
    release_noted(job, &origin, name);
}

gboolean cst_rbd_finish_releases(RbdJob *job, GError **error)
{
    return cst_rbd_note_each(job, RELEASE_NOTE, finish_release, error);
}

/* --- helpers of unfinished clones ------------------------------------------------------------- */

int cst_rbd_helper_note(RbdJob *job, const char *token, const char *source)
{
    return cst_rbd_note_set(job, HELPER_NOTE, token, source);
}

int cst_rbd_helper_done(RbdJob *job, const char *token)
{
    return cst_rbd_note_remove(job, HELPER_NOTE, token);
}

/* -EBUSY: the helper has another clone, and its removal releases the helper. */
static int drop_helper(RbdJob *job, const char *source, const char *snapshot)
{
    RbdOrigin origin = {.image = (char *)source, .snapshot = (char *)snapshot, .helper = TRUE};
    int result = release_snapshot(job, &origin);

    return result == -ENOENT || result == -EBUSY ? 0 : result;
}

gboolean cst_rbd_helper_forget(RbdJob *job, const char *token, GError **error)
{
    g_autofree char *helper = cst_rbd_helper_name(token);
    int result = 0;
    g_autofree char *source = cst_rbd_note_get(job, HELPER_NOTE, token, &result);

    if (result == -ENOENT)
        return TRUE;
    if (source)
        result = drop_helper(job, source, helper);
    if (result >= 0)
        result = cst_rbd_note_remove(job, HELPER_NOTE, token);
    return result >= 0 ||
           cst_ceph_fail(error, result, _("cannot remove the remains of a failed clone"));
}
