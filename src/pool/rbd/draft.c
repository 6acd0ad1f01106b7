/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * New images. A draft is an image with a hidden name (RBD_HIDDEN_PREFIX). A rename, which is atomic
 * in the cluster, makes it a volume. A crash before that leaves the draft, which the journal's
 * replay abandons by its token. A draft without an entry in the journal is recognised by its age
 * and by the lack of watchers, because the maker of a draft has it open.
 */
#include "rbd.h"

#include <errno.h>
#include <string.h>
#include <time.h>

#include <base/crash.h>
#include <base/error.h>
#include <base/i18n.h>
#include <base/log.h>
#include <base/test_point.h>
#include <base/units.h>

/* A draft that is not open and is older than this has no maker. */
#define DRAFT_MAX_AGE_S 3600
/* Limits of the exponent of an object's size. */
#define OBJECT_ORDER_MIN 12
#define OBJECT_ORDER_MAX 25

/* --- creation --------------------------------------------------------------------------------- */

/* @text: names in the format of the rbd tool; NULL: the configuration's default. */
static gboolean set_features(RbdJob *job, rbd_image_options_t options, const char *text,
                             GError **error)
{
    uint64_t features = 0;

    if (!text)
        return TRUE;
    if (job->ceph->rbd_features_from_string(text, &features) < 0)
        return cst_fail(error, CST_ERROR_CONFIG, _("'%s' is no list of RBD features"), text);
    job->ceph->rbd_image_options_set_uint64(options, RBD_IMAGE_OPTION_FEATURES, features);
    return TRUE;
}

/* @text: a size; NULL: the configuration's default. */
static gboolean set_object_size(RbdJob *job, rbd_image_options_t options, const char *text,
                                GError **error)
{
    uint64_t size = 0, order = 0;

    if (!text)
        return TRUE;
    if (!cst_units_parse(text, 1, &size, error))
        return FALSE;
    while (order < OBJECT_ORDER_MAX && UINT64_C(1) << order < size)
        order++;
    if (order < OBJECT_ORDER_MIN || UINT64_C(1) << order != size)
        return cst_fail(error, CST_ERROR_CONFIG,
                        _("object size '%s' is no power of two from 4 KiB to 32 MiB"), text);
    job->ceph->rbd_image_options_set_uint64(options, RBD_IMAGE_OPTION_ORDER, order);
    return TRUE;
}

gboolean cst_rbd_set_options(RbdJob *job, rbd_image_options_t options, const GPtrArray *wanted,
                             GError **error)
{
    const char *data_pool = cst_options_get(wanted, "data-pool");

    if (data_pool)
        job->ceph->rbd_image_options_set_string(options, RBD_IMAGE_OPTION_DATA_POOL, data_pool);
    return set_features(job, options, cst_options_get(wanted, "features"), error) &&
           set_object_size(job, options, cst_options_get(wanted, "object-size"), error);
}

/*
 * Creates the image job->other. Options that are not set have the defaults of the connection's
 * configuration (rbd_default_…).
 */
static gboolean rbd_make_image(RbdJob *job, const GPtrArray *wanted, GError **error)
{
    rbd_image_options_t options = NULL;
    int result = 0;
    gboolean done;

    job->ceph->rbd_image_options_create(&options);
    done = cst_rbd_set_options(job, options, wanted, error);
    if (done)
        result = job->ceph->rbd_create4(job->conn->io, job->other, job->size, options);
    job->ceph->rbd_image_options_destroy(options);
    if (result < 0)
        return cst_ceph_fail(error, result, _("failed to create volume '%s%s'"), job->state->prefix,
                             job->name);
    return done;
}

/* Runs in the job's thread, like all functions here with a job argument. */
static gboolean rbd_draft_create(RbdJob *job, GError **error)
{
    if (!rbd_make_image(job, job->in, error))
        return FALSE;
    CST_CRASH_POINT("rbd.reserve.created");
    job->out_free = (GDestroyNotify)cst_blob_unref;
    job->out = cst_rbd_image_blob(job, job->other, NULL, TRUE, error);
    return job->out != NULL;
}

gboolean cst_rbd_check_new(CstPoolState *state, const CstVolDef *def, GError **error)
{
    g_autoptr(CstVolume) existing = NULL;

    if (!cst_rbd_name_check(def->name, _("volume"), error))
        return FALSE;
    if (cst_rbd_is_draft(def->name))
        return cst_fail(error, CST_ERROR_INVALID, _("'%s' is a name for volumes being made"),
                        def->name);
    /* The volumes of the type have only its default format. */
    if (def->format &&
        strcmp(def->format, cst_pool_type_info(CST_POOL_RBD)->default_volume_format) != 0)
        return cst_fail(error, CST_ERROR_CONFIG,
                        _("only RAW volumes are supported by this storage pool"));
    if (def->encryption)
        return cst_fail(error, CST_ERROR_CONFIG,
                        _("storage pool does not support encrypted volumes"));
    if (!cst_rbd_scan_one(state, def->name, NULL, &existing, error))
        return FALSE;
    return !existing || cst_fail(error, CST_ERROR_VOL_EXISTS, "'%s'", def->name);
}

gboolean cst_rbd_vol_reserve(CstPoolState *state, const CstVolDef *def, CstVolDraft *draft,
                             GError **error)
{
    g_autoptr(RbdJob) job = NULL;

    if (!cst_rbd_check_new(state, def, error))
        return FALSE;
    job = cst_rbd_job_new(state, rbd_draft_create, def->name, error);
    if (!job)
        return FALSE;
    job->other = cst_rbd_draft_name(draft->token);
    job->size = def->capacity;
    job->in = cst_options_copy(def->options);
    job->in_free = (GDestroyNotify)g_ptr_array_unref;
    if (!cst_rbd_job_wait(job, error))
        return FALSE;
    draft->blob = g_steal_pointer(&job->out);
    draft->name = cst_rbd_draft_name(draft->token);
    draft->zeroed = TRUE;
    return TRUE;
}

/* Atomic for other clients. EEXIST if the name is in use by now. */
static gboolean rbd_draft_rename(RbdJob *job, GError **error)
{
    int result = job->ceph->rbd_rename(job->conn->io, job->other, job->name);

    if (result == -EEXIST)
        return cst_fail(error, CST_ERROR_VOL_EXISTS, "'%s'", job->name);
    if (result < 0)
        return cst_ceph_fail(error, result, _("failed to create volume '%s%s'"), job->state->prefix,
                             job->name);
    CST_CRASH_POINT("rbd.commit.renamed");
    return TRUE;
}

gboolean cst_rbd_vol_commit(CstPoolState *state, CstVolDraft *draft, const CstVolDef *def,
                            GError **error)
{
    g_autoptr(RbdJob) job = NULL;

    if (draft->blob && !cst_blob_flush(draft->blob, error))
        return FALSE;
    /* Close the draft, so that the next user of the volume does not find it open by us. */
    g_clear_pointer(&draft->blob, cst_blob_unref);
    CST_CRASH_POINT("rbd.commit.synced");
    job = cst_rbd_job_new(state, rbd_draft_rename, def->name, error);
    if (!job)
        return FALSE;
    job->other = cst_rbd_draft_name(draft->token);
    return cst_rbd_job_wait(job, error);
}

/* If the draft does not exist, its source may still have a helper. */
static gboolean draft_remove(RbdJob *job, GError **error)
{
    g_autofree char *draft = cst_rbd_draft_name(job->other);
    g_autoptr(GError) why = NULL;

    if (!cst_rbd_remove_image(job, draft, TRUE, &why) &&
        !g_error_matches(why, CST_ERROR, CST_ERROR_NO_VOL)) {
        g_propagate_error(error, g_steal_pointer(&why));
        return FALSE;
    }
    return cst_rbd_helper_forget(job, job->other, error);
}

gboolean cst_rbd_vol_abandon(CstPoolState *state, const char *token, GError **error)
{
    g_autoptr(RbdJob) job = NULL;

    CST_TEST_POINT("rbd.draft.abandon");
    if (!cst_rbd_name_check(token, _("draft"), error))
        return FALSE;
    job = cst_rbd_job_new(state, draft_remove, NULL, error);
    if (!job)
        return FALSE;
    job->other = g_strdup(token);
    return cst_rbd_job_wait(job, error);
}

/* --- drafts without an entry in the journal --------------------------------------------------- */

static gboolean rbd_draft_is_dead(RbdJob *job, const char *name)
{
    rbd_image_t image = NULL;
    struct timespec made = {0};
    size_t watchers = 0;
    int result;

    if (!cst_rbd_image_open(job, name, FALSE, &image, NULL))
        return FALSE;
    result = job->ceph->rbd_get_create_timestamp(image, &made);
    /*
     * A list without space: -ERANGE means that the image has watchers. A read-only open does not
     * make this client a watcher.
     */
    if (result >= 0)
        result = job->ceph->rbd_watchers_list(image, NULL, &watchers);
    job->ceph->rbd_close(image);
    return result >= 0 && watchers == 0 && time(NULL) - made.tv_sec > DRAFT_MAX_AGE_S;
}

/* A failure is logged, and does not prevent the removal of other drafts. */
static gboolean rbd_drop_dead_drafts(RbdJob *job, GError **error)
{
    const GPtrArray *pairs = job->in;

    for (guint i = 0; i + 1 < pairs->len; i += 2) {
        const char *name = g_ptr_array_index(pairs, i + 1);
        g_autoptr(GError) why = NULL;

        if (!cst_rbd_is_draft(name) || !rbd_draft_is_dead(job, name))
            continue;
        cst_work_heartbeat(&job->work);
        if (cst_rbd_remove_image(job, name, TRUE, &why))
            cst_log(CST_LOG_INFO, "dropped the half-made volume '%s'", name);
        else
            cst_log(CST_LOG_WARNING, "%s", why->message);
    }
    return cst_rbd_finish_releases(job, error) && cst_rbd_finish_reverts(job, error);
}

/* A separate job lists the names first. Then all remains of crashes are dropped or completed. */
gboolean cst_rbd_drop_drafts(CstPoolState *state, GError **error)
{
    g_autoptr(GPtrArray) pairs = cst_rbd_list_names(state, error);
    g_autoptr(RbdJob) job =
        pairs ? cst_rbd_job_new(state, rbd_drop_dead_drafts, NULL, error) : NULL;

    if (!job)
        return FALSE;
    job->in = g_steal_pointer(&pairs);
    job->in_free = (GDestroyNotify)g_ptr_array_unref;
    return cst_rbd_job_wait(job, error);
}
