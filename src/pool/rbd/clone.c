/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Clones. An RBD clone depends on a snapshot. If the caller names no snapshot, an existing one is
 * used if the image has not been written since: the helper of another clone, or a snapshot that
 * libvirt left. Creating a snapshot needs a round of the monitors, which takes longer than all
 * other steps. Otherwise a helper snapshot is created for the clone.
 *
 * With clones of version 2 the helper is moved to the snapshots' trash at once. The cluster removes
 * it from the trash with the last clone. With version 1 (clusters that support old clients) it is
 * protected, and dropped with the last clone (origin.c).
 *
 * The steps are: a note in the pool's metadata with the image of the helper; the helper; the clone,
 * under the draft's name; removal of the note. A crash leaves the note, and vol_abandon uses it to
 * drop both.
 */
#include "rbd.h"

#include <errno.h>
#include <string.h>

#include <base/crash.h>
#include <base/error.h>
#include <base/i18n.h>
#include <base/log.h>

#include "header.h"

/* Ceph's release "mimic", the first with clients that support clones of version 2. */
#define MIMIC 13

/* --- cloning ---------------------------------------------------------------------------------- */

/*
 * Makes the same decision as librbd: by the configuration, else by the oldest client that the
 * cluster admits.
 */
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
    const char *snapshot;
    gboolean helper; /* the snapshot is a helper, and must be created */
    unsigned format;
    rbd_image_options_t options; /* of the clone */
} Cloning;

/*
 * Creates the helper if requested, protects the snapshot for version 1, and clones it. Returns 0 or
 * a negative errno.
 */
static int make_clone(const Cloning *c, const char *draft)
{
    const CstCeph *ceph = c->job->ceph;
    int result = 0;

    if (c->helper)
        result =
            ceph->rbd_snap_create2(c->image, c->snapshot, 0, cst_rbd_job_progress, &c->job->work);
    if (result >= 0 && c->format == 1)
        result = cst_rbd_snapshot_protect(c->job, c->image, c->snapshot, c->helper);
    CST_CRASH_POINT("rbd.clone.snapped");
    if (result < 0)
        return result;
    result = ceph->rbd_clone3(c->job->conn->io, c->source, c->snapshot, c->job->conn->io, draft,
                              c->options);
    CST_CRASH_POINT("rbd.clone.cloned");
    /* The helper moves to the trash, and is removed from there with the last clone. */
    if (result >= 0 && c->helper && c->format == 2)
        result =
            ceph->rbd_snap_remove2(c->image, c->snapshot, 0, cst_rbd_job_progress, &c->job->work);
    return result;
}

/* Removes the note only after success, so that vol_abandon finds it after a failure. */
static gboolean clone_from(Cloning *c, const char *token, GError **error)
{
    RbdJob *job = c->job;
    g_autofree char *draft = cst_rbd_draft_name(token);
    int result = 0;

    if (c->helper)
        result = cst_rbd_helper_note(job, token, c->source);
    CST_CRASH_POINT("rbd.clone.noted");
    if (result >= 0)
        result = make_clone(c, draft);
    if (result >= 0 && c->helper)
        result = cst_rbd_helper_done(job, token);
    if (result >= 0)
        return TRUE;
    /* The image lacks layering, or has the old format. The core can still copy its bytes. */
    if (result == -EINVAL || result == -ENOSYS || result == -EOPNOTSUPP)
        return cst_fail(error, CST_ERROR_UNSUPPORTED, _("volume '%s' can't be cloned by Ceph: %s"),
                        c->source, g_strerror(-result));
    return cst_ceph_fail(error, result, _("failed to clone volume '%s'"), c->source);
}

/* Clones need bit 0, RBD_FEATURE_LAYERING. */
static gboolean rbd_has_layering(RbdJob *job, rbd_image_t image)
{
    uint64_t features = 0;

    return job->ceph->rbd_get_features(image, &features) >= 0 && (features & 1);
}

/* Parameters of a clone; the job's input. */
typedef struct {
    char *source;
    char *snapshot; /* of the source; NULL: its current content, through a helper */
    char *token;
    GPtrArray *options; /* of the new volume */
} CloneRequest;

static void clone_request_free(gpointer data)
{
    CloneRequest *request = data;

    g_free(request->source);
    g_free(request->snapshot);
    g_free(request->token);
    g_clear_pointer(&request->options, g_ptr_array_unref);
    g_free(request);
}

/* --- reuse of an existing snapshot ------------------------------------------------------------ */

/* "libvirt-12345": name of a snapshot that libvirt makes for a clone, and does not remove. */
static gboolean is_libvirts(const char *name)
{
    static const char prefix[] = "libvirt-";
    const char *number = name + strlen(prefix);

    return g_str_has_prefix(name, prefix) && *number &&
           number[strspn(number, "0123456789")] == '\0';
}

/*
 * Whether the snapshot may be reused. A user's snapshot must stay deletable, so it is used only for
 * clones that name it.
 */
static gboolean is_for_clones(RbdJob *job, rbd_image_t image, const rbd_snap_info_t *snap)
{
    rbd_snap_namespace_type_t type = RBD_SNAP_NAMESPACE_TYPE_USER;

    return (g_str_has_prefix(snap->name, RBD_HIDDEN_PREFIX) || is_libvirts(snap->name)) &&
           job->ceph->rbd_snap_get_namespace_type(image, snap->id, &type) >= 0 &&
           type == RBD_SNAP_NAMESPACE_TYPE_USER;
}

/*
 * Returns the name of the newest reusable snapshot of the source, if it has @size; NULL otherwise.
 * The caller frees it.
 */
static char *newest_for_clones(const Cloning *c, uint64_t size)
{
    rbd_snap_info_t *infos = NULL;
    uint64_t newest = 0;
    char *name = NULL;
    int count = 0;

    if (!cst_rbd_snapshot_infos(c->job, c->image, &infos, &count, NULL))
        return NULL;
    for (int i = 0; i < count; i++) {
        if (infos[i].id < newest || !is_for_clones(c->job, c->image, &infos[i]))
            continue;
        newest = infos[i].id;
        g_free(name);
        name = infos[i].size == size ? g_strdup(infos[i].name) : NULL;
    }
    c->job->ceph->rbd_snap_list_end(infos);
    g_free(infos);
    return name;
}

/* Stops the comparison at the first difference. */
static int stop_at_difference(uint64_t offset, size_t length, int exists, void *data)
{
    *(gboolean *)data = TRUE;
    return -ECANCELED;
}

/* Whether object maps answer the comparison. Without them each object would have to be read. */
static gboolean compares_fast(const Cloning *c)
{
    RbdHeader header = {0};

    return c->job->ceph->rbd_get_features(c->image, &header.features) >= 0 &&
           c->job->ceph->rbd_get_flags(c->image, &header.flags) >= 0 &&
           cst_rbd_header_has_map(&header);
}

/* Whether another client has the source open. Its cached writes are not in any older snapshot. */
static gboolean is_open_elsewhere(const Cloning *c)
{
    g_autoptr(GPtrArray) holders = g_ptr_array_new_with_free_func((GDestroyNotify)cst_holder_free);

    return !cst_rbd_list_watchers(c->job, c->image, holders, NULL) || holders->len > 0;
}

/*
 * Returns a snapshot with the current content of the source; NULL if no snapshot is known to have
 * it. The caller frees it.
 */
static char *ready_snapshot(const Cloning *c)
{
    gboolean differs = FALSE;
    uint64_t size = 0;
    g_autofree char *name = NULL;

    if (!compares_fast(c) || c->job->ceph->rbd_get_size(c->image, &size) < 0)
        return NULL;
    name = newest_for_clones(c, size);
    if (!name || is_open_elsewhere(c) ||
        c->job->ceph->rbd_diff_iterate2(c->image, name, 0, size, 0, 1, stop_at_difference,
                                        &differs) < 0 ||
        differs)
        return NULL;
    return g_steal_pointer(&name);
}

/*
 * Clones from an existing snapshot. FALSE without any change if no snapshot is suitable, or it was
 * removed in the meantime.
 */
static gboolean clone_from_ready(Cloning *c, const char *token)
{
    g_autofree char *ready = ready_snapshot(c);
    g_autoptr(GError) why = NULL;

    if (!ready)
        return FALSE;
    c->snapshot = ready;
    if (clone_from(c, token, &why))
        return TRUE;
    /* Undo a protection that was set for this clone alone. -EBUSY: other clones need it, too. */
    if (cst_rbd_snapshot_protected_by_us(c->job, c->image, ready) > 0)
        cst_rbd_snapshot_unprotect(c->job, c->image, ready);
    cst_log(CST_LOG_DEBUG, "snapshot '%s' does not do for a clone: %s", ready, why->message);
    return FALSE;
}

/* Clones the current content of the source. */
static gboolean clone_current(Cloning *c, const char *token, GError **error)
{
    g_autofree char *helper = cst_rbd_helper_name(token);

    if (clone_from_ready(c, token))
        return TRUE;
    c->snapshot = helper;
    c->helper = TRUE;
    return clone_from(c, token, error);
}

/* --- the whole clone -------------------------------------------------------------------------- */

/* The source is open. If it cannot be cloned, fails with UNSUPPORTED, and the core copies. */
static gboolean clone_opened(Cloning *c, const CloneRequest *request, GError **error)
{
    const CstCeph *ceph = c->job->ceph;
    gboolean done;

    if (!rbd_has_layering(c->job, c->image))
        return cst_fail(error, CST_ERROR_UNSUPPORTED, _("volume '%s' lacks the feature 'layering'"),
                        c->source);
    c->format = clone_format(c->job);
    ceph->rbd_image_options_create(&c->options);
    ceph->rbd_image_options_set_uint64(c->options, RBD_IMAGE_OPTION_CLONE_FORMAT, c->format);
    c->snapshot = request->snapshot;
    done = cst_rbd_set_options(c->job, c->options, request->options, error) &&
           (request->snapshot ? clone_from(c, request->token, error)
                              : clone_current(c, request->token, error));
    ceph->rbd_image_options_destroy(c->options);
    return done;
}

/*
 * Whether the clone is already large enough. Then it is not opened, which would take a dozen round
 * trips. The size of a snapshot is not known here, so its clone is opened.
 */
static gboolean is_large_enough(const Cloning *c, const CloneRequest *request)
{
    uint64_t size = 0;

    return !request->snapshot && c->job->ceph->rbd_get_size(c->image, &size) >= 0 &&
           size >= c->job->size;
}

/* Runs in the job's thread. Success without a blob means that the clone is complete. */
static gboolean clone_volume(RbdJob *job, GError **error)
{
    const CloneRequest *request = job->in;
    g_autofree char *draft = cst_rbd_draft_name(request->token);
    Cloning c = {.job = job, .source = request->source};
    CstBlob *blob = NULL;
    gboolean done, complete;

    if (!cst_rbd_image_open(job, c.source, TRUE, &c.image, error))
        return FALSE;
    done = clone_opened(&c, request, error);
    complete = done && is_large_enough(&c, request);
    job->ceph->rbd_close(c.image);
    if (done && !complete)
        blob = cst_rbd_image_blob(job, draft, NULL, TRUE, error);
    if (!complete && !blob)
        return FALSE;
    job->out = blob;
    job->out_free = (GDestroyNotify)cst_blob_unref;
    return TRUE;
}

gboolean cst_rbd_vol_reserve_clone(CstPoolState *state, const CstVolDef *def, const char *source,
                                   const char *snapshot, CstVolDraft *draft, GError **error)
{
    g_autoptr(RbdJob) job = NULL;
    g_autoptr(GError) why = NULL;
    CloneRequest *request;

    if (!cst_rbd_check_new(state, def, error))
        return FALSE;
    job = cst_rbd_job_new(state, clone_volume, def->name, error);
    if (!job)
        return FALSE;
    job->size = def->capacity;
    request = g_new0(CloneRequest, 1);
    request->source = g_strdup(source);
    request->snapshot = g_strdup(snapshot);
    request->token = g_strdup(draft->token);
    request->options = cst_options_copy(def->options);
    job->in = request;
    job->in_free = clone_request_free;
    if (!cst_rbd_job_wait(job, &why)) {
        /* The core will copy instead, so the remains of the attempt must be removed. */
        if (g_error_matches(why, CST_ERROR, CST_ERROR_UNSUPPORTED) &&
            !cst_rbd_vol_abandon(state, draft->token, error))
            return FALSE;
        g_propagate_error(error, g_steal_pointer(&why));
        return FALSE;
    }
    draft->name = cst_rbd_draft_name(draft->token);
    draft->blob = g_steal_pointer(&job->out);
    /* Unwritten ranges read from the source. */
    draft->zeroed = FALSE;
    return TRUE;
}
