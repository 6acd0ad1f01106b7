/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Clones. An RBD clone depends on a snapshot. When the caller names none, one that is ready will
 * do: the helper of another clone, or what libvirt left of one, if nothing was written since. A
 * snapshot costs a round of the monitors, which lasts longer than all the rest. Else a helper is
 * made for the clone: with clones of version 2 it goes to the snapshots' trash at once, which the
 * cluster empties itself when the last clone is gone; with version 1 (clusters that old clients
 * must understand) it is protected, and dropped with the last clone (origin.c).
 *
 * In order: a note in the pool's metadata says on which image the helper is; helper; clone, under
 * the draft's name; the note is removed. A crash leaves the note, by which vol_abandon drops both.
 */
#include "rbd.h"

#include <errno.h>
#include <string.h>

#include <base/crash.h>
#include <base/error.h>
#include <base/i18n.h>
#include <base/log.h>

#include "header.h"

/* Ceph's release "mimic", the first whose clients know clones of version 2. */
#define MIMIC 13

/* --- cloning ---------------------------------------------------------------------------------- */

/* As librbd decides it: by the configuration, else by the oldest client that the cluster admits. */
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
    gboolean helper; /* is made */
    unsigned format;
    rbd_image_options_t options; /* of the clone */
} Cloning;

/*
 * Makes the helper if there is to be one, protects the snapshot for version 1, and clones. 0 or a
 * negative errno.
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
    /* It goes to the trash, and from there with the last clone. */
    if (result >= 0 && c->helper && c->format == 2)
        result =
            ceph->rbd_snap_remove2(c->image, c->snapshot, 0, cst_rbd_job_progress, &c->job->work);
    return result;
}

/* The note is removed only after success: a failure leaves it for vol_abandon. */
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
    /* No layering, an image of the old format: its bytes can be copied still. */
    if (result == -EINVAL || result == -ENOSYS || result == -EOPNOTSUPP)
        return cst_fail(error, CST_ERROR_UNSUPPORTED, _("volume '%s' can't be cloned by Ceph: %s"),
                        c->source, g_strerror(-result));
    return cst_ceph_fail(error, result, _("failed to clone volume '%s'"), c->source);
}

/* Bit 0 is RBD_FEATURE_LAYERING, which clones need. */
static gboolean layered(RbdJob *job, rbd_image_t image)
{
    uint64_t features = 0;

    return job->ceph->rbd_get_features(image, &features) >= 0 && (features & 1);
}

/* What a clone is to be made of; the job's input. */
typedef struct {
    char *source;
    char *snapshot; /* of the source; NULL: what it holds now, through a helper */
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

/* --- a snapshot that is ready ----------------------------------------------------------------- */

/* "libvirt-12345": libvirt's name for a snapshot that it makes for a clone, and leaves. */
static gboolean is_libvirts(const char *name)
{
    static const char prefix[] = "libvirt-";
    const char *number = name + strlen(prefix);

    return g_str_has_prefix(name, prefix) && *number &&
           number[strspn(number, "0123456789")] == '\0';
}

/*
 * Snapshots that people made are theirs to delete: no clone hangs on them that does not name them.
 */
static gboolean is_for_clones(RbdJob *job, rbd_image_t image, const rbd_snap_info_t *snap)
{
    rbd_snap_namespace_type_t type = RBD_SNAP_NAMESPACE_TYPE_USER;

    return (g_str_has_prefix(snap->name, RBD_HIDDEN_PREFIX) || is_libvirts(snap->name)) &&
           job->ceph->rbd_snap_get_namespace_type(image, snap->id, &type) >= 0 &&
           type == RBD_SNAP_NAMESPACE_TYPE_USER;
}

/* The newest one of the source, which frees its name; NULL: there is none. */
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

/* Ends the comparison with the first difference. */
static int stop_at_difference(uint64_t offset, size_t length, int exists, void *data)
{
    *(gboolean *)data = TRUE;
    return -ECANCELED;
}

/* Whether maps of objects answer what has changed; without them each object would be asked. */
static gboolean compares_fast(const Cloning *c)
{
    RbdHeader header = {0};

    return c->job->ceph->rbd_get_features(c->image, &header.features) >= 0 &&
           c->job->ceph->rbd_get_flags(c->image, &header.flags) >= 0 &&
           cst_rbd_header_has_map(&header);
}

/* What somebody who has the source open holds back is in no snapshot that was made before. */
static gboolean is_open_elsewhere(const Cloning *c)
{
    g_autoptr(GPtrArray) holders = g_ptr_array_new_with_free_func((GDestroyNotify)cst_holder_free);

    return !cst_rbd_list_watchers(c->job, c->image, holders, NULL) || holders->len > 0;
}

/* Returns a snapshot that holds what the source holds now; NULL: none that is known to. Free it. */
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
 * Clones from a snapshot that is ready. FALSE: there is none, or it went meanwhile; nothing was
 * made.
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
    /* What was protected for this clone alone; -EBUSY: others need it, too. */
    if (cst_rbd_snapshot_protected_by_us(c->job, c->image, ready) > 0)
        cst_rbd_snapshot_unprotect(c->job, c->image, ready);
    cst_log(CST_LOG_DEBUG, "snapshot '%s' does not do for a clone: %s", ready, why->message);
    return FALSE;
}

/* Of what the source holds now. */
static gboolean clone_current(Cloning *c, const char *token, GError **error)
{
    g_autofree char *helper = cst_rbd_helper_name(token);

    if (clone_from_ready(c, token))
        return TRUE;
    c->snapshot = helper;
    c->helper = TRUE;
    return clone_from(c, token, error);
}

/* --- the whole -------------------------------------------------------------------------------- */

/* With the source open: what makes cloning impossible is UNSUPPORTED, and the core copies. */
static gboolean clone_opened(Cloning *c, const CloneRequest *request, GError **error)
{
    const CstCeph *ceph = c->job->ceph;
    gboolean done;

    if (!layered(c->job, c->image))
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
 * Whether the clone is large enough already; then it is not opened, which would take a dozen round
 * trips. A snapshot's size is not known here, so its clone is opened.
 */
static gboolean is_large_enough(const Cloning *c, const CloneRequest *request)
{
    uint64_t size = 0;

    return !request->snapshot && c->job->ceph->rbd_get_size(c->image, &size) >= 0 &&
           size >= c->job->size;
}

/* Runs in the job's thread. No blob and no error: a clone that is complete. */
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
        /* The core goes on by copying: what was tried must be gone. */
        if (g_error_matches(why, CST_ERROR, CST_ERROR_UNSUPPORTED) &&
            !cst_rbd_vol_abandon(state, draft->token, error))
            return FALSE;
        g_propagate_error(error, g_steal_pointer(&why));
        return FALSE;
    }
    draft->blob = g_steal_pointer(&job->out);
    /* What was not written shows the source. */
    draft->zeroed = FALSE;
    return TRUE;
}
