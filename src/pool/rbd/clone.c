/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "rbd.h"

#include <errno.h>
#include <string.h>

#include <base/crash.h>
#include <base/error.h>
#include <base/i18n.h>
#include <base/log.h>

/*
 * An RBD clone hangs on a snapshot. When nobody named one, a helper is made for it: with clones of
 * version 2 it goes to the snapshots' trash at once, which the cluster empties itself when the last
 * clone is gone; with version 1 (clusters that old clients must understand) it is protected, and we
 * drop it with the last clone. Between the helper and the clone a note in the pool's metadata says
 * which image it is on, so that a crash leaves nothing behind.
 */

#define CLONE_NOTE   "cistern_clone_"   /* and the token: the source */
#define RELEASE_NOTE "cistern_release_" /* and IMAGE@SNAPSHOT */
/* Snapshots of people's that we protected, and may unprotect again. */
#define PROTECTED_KEY "cistern_protected_"
/* Ceph's release "mimic", the first whose clients know clones of version 2. */
#define MIMIC 13

/* --- origins ---------------------------------------------------------------------------------- */

void cst_rbd_origin_clear(RbdOrigin *origin)
{
    g_free(origin->pool);
    g_free(origin->namespace);
    g_free(origin->image);
    g_free(origin->snapshot);
    memset(origin, 0, sizeof(*origin));
}

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

gboolean cst_rbd_origin_read(RbdJob *job, rbd_image_t image, RbdOrigin *ret_origin, GError **error)
{
    rbd_linked_image_spec_t parent = {0};
    rbd_snap_spec_t snapshot = {0};
    int result = job->ceph->rbd_get_parent(image, &parent, &snapshot);

    if (result == -ENOENT)
        return TRUE;
    if (result < 0)
        return cst_ceph_fail(error, result, _("cannot tell what '%s' was cloned from"), job->what);
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

gboolean cst_rbd_list_clones(RbdJob *job, rbd_image_t image, GPtrArray *children, GError **error)
{
    g_autofree rbd_linked_image_spec_t *specs = NULL;
    size_t count = 16;
    int result;

    do {
        g_free(specs);
        specs = g_new0(rbd_linked_image_spec_t, count);
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

/* --- letting go of a snapshot ----------------------------------------------------------------- */

/* By number, which stays when the snapshot is renamed. 0 or a negative errno. */
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

/* Unprotected, and removed when it was a helper. EBUSY: other clones need it. */
static int let_go(RbdJob *job, const RbdOrigin *origin)
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

/* "IMAGE@SNAPSHOT" when there may be something to do behind @origin: helpers are made in the pool
 * that they are used in, and what is in the trash goes by itself. */
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

static void release(RbdJob *job, const RbdOrigin *origin, const char *name)
{
    int result = let_go(job, origin);

    /* Busy: other clones need it, and the last of them will be back. */
    if (result < 0 && result != -EBUSY && result != -ENOENT)
        cst_log(CST_LOG_WARNING, "cannot release snapshot '%s': %s", name, g_strerror(-result));
    else
        cst_rbd_note_remove(job, RELEASE_NOTE, name);
}

void cst_rbd_origin_release(RbdJob *job, const RbdOrigin *origin)
{
    g_autofree char *name = release_name(job, origin);

    if (name)
        release(job, origin, name);
}

static void finish_release(RbdJob *job, const char *name, const char *value)
{
    g_auto(GStrv) parts = g_strsplit(name, "@", 2);
    RbdOrigin origin = {.image = parts[0], .snapshot = parts[0] ? parts[1] : NULL};

    if (!origin.snapshot)
        return;
    origin.helper = g_str_has_prefix(origin.snapshot, RBD_HIDDEN_PREFIX);
    release(job, &origin, name);
}

gboolean cst_rbd_finish_releases(RbdJob *job, GError **error)
{
    return cst_rbd_note_each(job, RELEASE_NOTE, finish_release, error);
}

/* --- cloning ---------------------------------------------------------------------------------- */

static unsigned clone_format(RbdJob *job)
{
    char text[16] = "";
    int8_t least = 0, required = 0;

    if (job->ceph->rados_conf_get(job->conn->cluster, "rbd_default_clone_format", text,
                                  sizeof(text)) >= 0 &&
        (strcmp(text, "1") == 0 || strcmp(text, "2") == 0))
        return text[0] == '2' ? 2 : 1;
    if (job->ceph->rados_get_min_compatible_client(job->conn->cluster, &least, &required) < 0)
        return 1;
    return required >= MIMIC ? 2 : 1;
}

typedef struct {
    RbdJob *job;
    rbd_image_t image; /* the source */
    const char *source;
    char *snapshot;
    gboolean helper;
    unsigned format;
    rbd_image_options_t options; /* of the clone */
} Cloning;

/* A snapshot of people's is noted as ours first: protected and not noted, it would stay so. */
static int protect(const Cloning *c)
{
    const CstCeph *ceph = c->job->ceph;
    g_autofree char *key = NULL;
    int is_protected = 0;
    int result = ceph->rbd_snap_is_protected(c->image, c->snapshot, &is_protected);

    if (result < 0 || is_protected)
        return result;
    if (!c->helper) {
        result = protected_key(c->job, c->image, c->snapshot, &key);
        if (result >= 0)
            result = ceph->rbd_metadata_set(c->image, key, "1");
    }
    if (result >= 0)
        result = ceph->rbd_snap_protect(c->image, c->snapshot);
    /* Another clone was faster. */
    return result == -EBUSY ? 0 : result;
}

static int make_clone(const Cloning *c, const char *draft)
{
    const CstCeph *ceph = c->job->ceph;
    int result = 0;

    if (c->helper)
        result =
            ceph->rbd_snap_create2(c->image, c->snapshot, 0, cst_rbd_job_progress, &c->job->work);
    if (result >= 0 && c->format == 1)
        result = protect(c);
    CST_CRASH_POINT("rbd.clone.snapped");
    if (result < 0)
        return result;
    result = ceph->rbd_clone3(c->job->conn->io, c->source, c->snapshot, c->job->conn->io, draft,
                              c->options);
    CST_CRASH_POINT("rbd.clone.cloned");
    /* It goes to the trash, and from there with the last clone. */
    if (result >= 0 && c->helper && c->format == 2)
        result =
            ceph->rbd_snap_remove2(c->image, c->snapshot, 0, cst_rbd_job_progress, &c->job->work);
    return result;
}

static char *helper_name(const char *token)
{
    return g_strconcat(RBD_HIDDEN_PREFIX, token, NULL);
}

static gboolean clone_from(Cloning *c, const char *token, GError **error)
{
    RbdJob *job = c->job;
    g_autofree char *draft = cst_rbd_draft_name(token);
    int result = 0;

    if (c->helper)
        result = cst_rbd_note_set(job, CLONE_NOTE, token, c->source);
    CST_CRASH_POINT("rbd.clone.noted");
    if (result >= 0)
        result = make_clone(c, draft);
    if (result >= 0 && c->helper)
        result = cst_rbd_note_remove(job, CLONE_NOTE, token);
    if (result >= 0)
        return TRUE;
    /* No layering, an image of the old format: its bytes can be copied still. */
    if (result == -EINVAL || result == -ENOSYS || result == -EOPNOTSUPP)
        return cst_fail(error, CST_ERROR_UNSUPPORTED, _("volume '%s' can't be cloned by Ceph: %s"),
                        c->source, g_strerror(-result));
    return cst_ceph_fail(error, result, _("failed to clone volume '%s'"), c->source);
}

static gboolean layered(RbdJob *job, rbd_image_t image)
{
    uint64_t features = 0;

    return job->ceph->rbd_get_features(image, &features) >= 0 && (features & 1);
}

/* What the job needs beside its names. */
typedef struct {
    char *source;
    char *snapshot;
    char *token;
    GPtrArray *options; /* of the new volume */
} CloneNames;

static void clone_names_free(gpointer data)
{
    CloneNames *names = data;

    g_free(names->source);
    g_free(names->snapshot);
    g_free(names->token);
    g_clear_pointer(&names->options, g_ptr_array_unref);
    g_free(names);
}

static gboolean clone_opened(Cloning *c, const CloneNames *names, GError **error)
{
    const CstCeph *ceph = c->job->ceph;
    gboolean done;

    if (!layered(c->job, c->image))
        return cst_fail(error, CST_ERROR_UNSUPPORTED, _("volume '%s' lacks the feature 'layering'"),
                        c->source);
    c->format = clone_format(c->job);
    ceph->rbd_image_options_create(&c->options);
    ceph->rbd_image_options_set_uint64(c->options, RBD_IMAGE_OPTION_CLONE_FORMAT, c->format);
    done = cst_rbd_set_options(c->job, c->options, names->options, error) &&
           clone_from(c, names->token, error);
    ceph->rbd_image_options_destroy(c->options);
    return done;
}

/* A clone that need not grow is not opened: that takes a dozen round trips. */
static gboolean is_large_enough(const Cloning *c)
{
    uint64_t size = 0;

    return c->helper && c->job->ceph->rbd_get_size(c->image, &size) >= 0 && size >= c->job->size;
}

static gboolean clone_volume(RbdJob *job, GError **error)
{
    const CloneNames *names = job->out;
    g_autofree char *helper = helper_name(names->token);
    g_autofree char *draft = cst_rbd_draft_name(names->token);
    Cloning c = {.job = job, .source = names->source, .helper = names->snapshot == NULL};
    CstBlob *blob = NULL;
    gboolean done, complete;

    if (!cst_rbd_job_open(job, c.source, TRUE, &c.image, error))
        return FALSE;
    c.snapshot = names->snapshot ? names->snapshot : helper;
    done = clone_opened(&c, names, error);
    complete = done && is_large_enough(&c);
    job->ceph->rbd_close(c.image);
    if (done && !complete)
        blob = cst_rbd_job_blob(job, draft, NULL, TRUE, error);
    if (!complete && !blob)
        return FALSE;
    clone_names_free(job->out);
    job->out = blob;
    job->out_free = (GDestroyNotify)cst_blob_unref;
    return TRUE;
}

gboolean cst_rbd_vol_reserve_clone(CstPoolState *state, const CstVolDef *def, const char *source,
                                   const char *snapshot, CstVolDraft *draft, GError **error)
{
    g_autoptr(RbdJob) job = NULL;
    g_autoptr(GError) why = NULL;
    CloneNames *names;

    if (!cst_rbd_check_new(state, def, error))
        return FALSE;
    job = cst_rbd_job_new(state, clone_volume, def->name, error);
    if (!job)
        return FALSE;
    job->size = def->capacity;
    names = g_new0(CloneNames, 1);
    names->source = g_strdup(source);
    names->snapshot = g_strdup(snapshot);
    names->token = g_strdup(draft->token);
    names->options = cst_options_copy(def->options);
    job->out = names;
    job->out_free = clone_names_free;
    if (!cst_rbd_job_wait(job, &why)) {
        /* The core goes on by copying: what was tried must be gone. */
        if (g_error_matches(why, CST_ERROR, CST_ERROR_UNSUPPORTED) &&
            !cst_rbd_vol_abandon(state, draft->token, error))
            return FALSE;
        g_propagate_error(error, g_steal_pointer(&why));
        return FALSE;
    }
    draft->blob = g_steal_pointer(&job->out);
    draft->zeroed = FALSE;
    return TRUE;
}

/* --- clones that never were ------------------------------------------------------------------- */

static int drop_helper(RbdJob *job, const char *source, const char *snapshot)
{
    RbdOrigin origin = {.image = (char *)source, .snapshot = (char *)snapshot, .helper = TRUE};
    int result = let_go(job, &origin);

    return result == -ENOENT ? 0 : result;
}

gboolean cst_rbd_clone_forget(RbdJob *job, const char *token, GError **error)
{
    g_autofree char *helper = helper_name(token);
    int result = 0;
    g_autofree char *source = cst_rbd_note_get(job, CLONE_NOTE, token, &result);

    if (result == -ENOENT)
        return TRUE;
    if (source)
        result = drop_helper(job, source, helper);
    if (result >= 0)
        result = cst_rbd_note_remove(job, CLONE_NOTE, token);
    return result >= 0 || cst_ceph_fail(error, result, _("cannot drop what a failed clone left"));
}
