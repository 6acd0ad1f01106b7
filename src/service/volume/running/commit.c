/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Commits the image of a running domain into one of its base images.
 *
 *   check    formats, snapshots, users of the base
 *   record   a durable intent
 *   job      QEMU copies the data, and the guest goes on with the volume
 *   record   a second intent: from now on the guest may use the base
 *   pivot    the guest goes on with the base
 *   empty    the volume gets a reference to the base, and no data of its own
 *
 * The guest changes the base after the pivot. The volume would then show a mixture of its old data
 * and the new data of the base, and a further commit would write the old data to the base. So the
 * volume is emptied at once. It has the content of the base then, and a domain that still names the
 * volume starts with the right content.
 *
 * After a kill the definition of the domain decides:
 *
 *   the domain uses    before the pivot         since the pivot began
 *   the base           the volume is emptied    the volume is emptied
 *   the volume         the intent ends          undecided
 *   another image      undecided                undecided
 *   undefined          the intent ends          the intent ends if no domain and no process has the
 *                                               volume or the base; else undecided
 *
 * A power cut during the pivot may leave a definition that names the volume, although the guest has
 * written to the base. An undecided intent stays until the volume is deleted or flattened. A
 * commit, a rename and a move of a volume with an intent are refused.
 */
#include "commit.h"

#include <string.h>

#include <base/crash.h>
#include <base/dry_run.h>
#include <base/error.h>
#include <base/i18n.h>
#include <base/log.h>
#include <base/text.h>
#include <image/backing.h>
#include <image/commit.h>
#include <image/rebase.h>
#include <service/images.h>

#include "core/domains.h"
#include "core/intent.h"
#include "core/service.h"
#include "definition.h"
#include "job.h"
#include "volume/declare.h"

/* --- checks ----------------------------------------------------------------------------------- */

/* The volume refers to the base afterwards. */
static gboolean commit_check_reference(const ImageChain *chain, GError **error)
{
    const ImageLink *link = image_chain_link(chain, 0);
    const CstImageInfo *info = cst_chain_info(chain->chain, 0);

    if (chain->base == 1 ||
        (link->volume->type == CST_VOL_FILE && cst_image_format_can_rebase(info->format)))
        return TRUE;
    return cst_fail(error, CST_ERROR_UNSUPPORTED,
                    _("volume '%s' of a running domain can only be committed to its direct backing "
                      "file, because its reference cannot be changed; shut the domain down first"),
                    link->claim.name);
}

static gboolean running_commit_check(const ImageChain *chain, unsigned flags, GError **error)
{
    const ImageLink *link = image_chain_link(chain, 0);

    if (flags & CST_VOL_COMMIT_KEEP)
        return cst_fail(error, CST_ERROR_INVALID,
                        _("cannot keep the data of volume '%s': a running domain has it, and would "
                          "go on with the base; leave out --keep, or shut the domain down first"),
                        link->claim.name);
    if (link->volume->extra && link->volume->extra->data_file)
        return cst_fail(error, CST_ERROR_UNSUPPORTED,
                        _("cannot commit volume '%s' of a running domain, because it has an "
                          "external data file; shut the domain down first"),
                        link->claim.name);
    return cst_chain_check_commit(chain->chain, chain->base, error) &&
           commit_check_reference(chain, error);
}

/* --- the intent ------------------------------------------------------------------------------- */

/*
 * Replaces *intent. "path" is set if the reference has to change. @switching: the pivot begins. On
 * failure the intent stays.
 */
static gboolean running_commit_record(const ImageChain *chain, gboolean switching,
                                      CstIntent **intent, GError **error)
{
    const ImageLink *link = image_chain_link(chain, 0);
    const ImageLink *base = image_chain_link(chain, chain->base);
    g_autoptr(GHashTable) fields = intent_fields_new();

    intent_put(fields, "switching", switching ? "yes" : NULL);
    intent_put(fields, "volume", link->claim.name);
    intent_put(fields, "format", link->volume->format);
    intent_put(fields, "base-pool", cst_pool_name(base->claim.pool));
    intent_put(fields, "base", base->claim.name);
    intent_put(fields, "base-format", base->volume->format);
    intent_put(fields, "path", chain->base > 1 ? base->path : NULL);
    intent_put(fields, "domain", chain->disk->uuid);
    intent_put(fields, "target", chain->disk->target);
    return intent_put_identity(fields, "identity", link->claim.state, link->volume, error) &&
           intent_replace_durable(intent, link->claim.pool, link->claim.state, RUNNING_COMMIT,
                                  fields, error);
}

/* --- the volume after the pivot --------------------------------------------------------------- */

/* Sets the reference of the image. It has all data of the images between. */
static gboolean overlay_refer(CstBlob *blob, const CstImageFormat *format, const char *path,
                              const char *path_format, GError **error)
{
    const CstImageRebase how = {.backing = path, .backing_format = path_format, .unsafe = TRUE};
    g_autoptr(CstChain) chain = cst_chain_look(blob, format, NULL, error);

    return chain && cst_chain_rebase(chain, &how, NULL, error);
}

/*
 * Empties the image, which the guest has left. @path: the reference that it gets before; NULL: it
 * keeps its reference. QEMU may still close it.
 */
static gboolean overlay_empty(const VolumeClaim *claim, const char *format, const char *path,
                              const char *path_format, GError **error)
{
    const CstImageFormat *found = cst_image_format_find(format, error);
    g_autoptr(CstBlob) blob = NULL;
    g_autoptr(CstChain) chain = NULL;

    if (!found || !running_job_await_release(claim, error))
        return FALSE;
    blob = cst_pool_state_vol_open(claim->state, claim->name, TRUE, error);
    if (!blob || (path && !overlay_refer(blob, found, path, path_format, error)))
        return FALSE;
    if (path)
        trust_note_backing(claim, path, path_format);
    CST_CRASH_POINT("running.commit.referred");
    chain = cst_chain_look(blob, found, NULL, error);
    if (!chain || !cst_chain_empty_top(chain, NULL, error))
        return FALSE;
    CST_CRASH_POINT("running.commit.emptied");
    return TRUE;
}

static gboolean running_commit_empty(ImageChain *chain, GError **error)
{
    ImageLink *link = image_chain_link(chain, 0);
    const ImageLink *base = image_chain_link(chain, chain->base);
    g_autoptr(GError) why = NULL;

    g_clear_pointer(&chain->chain, cst_chain_free);
    g_clear_pointer(&link->blob, cst_blob_unref);
    if (overlay_empty(&link->claim, link->volume->format, chain->base > 1 ? base->path : NULL,
                      base->volume->format, &why))
        return TRUE;
    return cst_fail(error, cst_error_code(why),
                    _("the domain uses volume '%s' now, but volume '%s' still has its old data: "
                      "%s; cisternd tries again, or delete that volume (vol-delete)"),
                    base->claim.name, link->claim.name, why->message);
}

/* --- the job ---------------------------------------------------------------------------------- */

/*
 * Sets the result of the pivot in any case. A transient domain has no persistent definition that
 * could be wrong.
 */
static gboolean running_commit_switch(const ImageChain *chain, CstIntent **intent,
                                      CstHypervisorPivotResult *ret_result, GError **error)
{
    const ImageLink *link = image_chain_link(chain, 0);
    const ImageLink *base = image_chain_link(chain, chain->base);
    const CstHypervisorVolume base_volume = volume_domain_identity(&base->claim);
    CstHypervisorJobRequest request = {
        .kind = CST_HYPERVISOR_JOB_COMMIT, .base = &base_volume, .transient = TRUE};
    CstHypervisorPivot pivot;
    CstHypervisorJob *job = running_job_start(&link->claim, chain->disk, &request, &pivot, error);
    gboolean ok;

    *ret_result = (CstHypervisorPivotResult){.pivot = pivot, .persistent = request.transient};
    if (!job)
        return FALSE;
    CST_CRASH_POINT("running.commit.ready");
    ok = running_commit_record(chain, TRUE, intent, error) &&
         cst_hypervisor_job_pivot(job, ret_result, error);
    pivot = cst_hypervisor_job_end(job);
    if (!ok)
        ret_result->pivot = pivot;
    ret_result->persistent = ret_result->persistent || request.transient;
    CST_CRASH_POINT("running.commit.pivoted");
    return ok;
}

/* A domain that still names the volume starts with the right content, but not from the base. */
static gboolean commit_check_definition(const ImageChain *chain,
                                        const CstHypervisorPivotResult *result, GError **error)
{
    const ImageLink *base = image_chain_link(chain, chain->base);
    g_autofree char *domain = cst_text_escape(chain->disk->domain);
    g_autofree char *target = cst_text_escape(chain->disk->target);
    g_autofree char *word = g_shell_quote(domain);

    return result->persistent ||
           cst_fail(error, CST_ERROR_FAILED,
                    _("domain '%s' uses volume '%s' now, but its persistent definition may still "
                      "name volume '%s', which was emptied, as disk '%s'; correct it (virsh edit "
                      "%s)"),
                    domain, base->claim.name, image_chain_link(chain, 0)->claim.name, target, word);
}

gboolean running_commit(ImageChain *chain, unsigned flags, GError **error)
{
    CstHypervisorPivotResult result;
    g_autoptr(GError) why = NULL;
    const VolumeClaim *claim = &image_chain_link(chain, 0)->claim;
    CstIntent *intent = NULL;
    gboolean ok;

    if (!running_commit_check(chain, flags, error) || !cst_may_change(error) ||
        !running_commit_record(chain, FALSE, &intent, error))
        return FALSE;
    CST_CRASH_POINT("running.commit.recorded");
    ok = running_commit_switch(chain, &intent, &result, &why);
    /* Another program may have pivoted although this operation failed. */
    if (result.pivot == CST_HYPERVISOR_PIVOTED) {
        g_clear_error(&why);
        ok = running_commit_empty(chain, &why);
    }
    if (ok || result.pivot == CST_HYPERVISOR_NOT_PIVOTED) {
        cst_intent_end(intent);
    } else {
        cst_intent_keep(intent);
        pool_recover_local_later(claim->pool, claim->state);
    }
    if (ok)
        return commit_check_definition(chain, &result, error);
    g_propagate_error(error, g_steal_pointer(&why));
    return FALSE;
}

/* --- the replay ------------------------------------------------------------------------------- */

/* Fails with STATE, unless the volume shows no base any more. */
static gboolean commit_is_undecided(const VolumeClaim *claim, const CstVolume *volume,
                                    GError **error)
{
    if (!volume->extra || !volume->extra->backing_path)
        return TRUE;
    return cst_fail(error, CST_ERROR_STATE,
                    _("it is not known whether volume '%s' of pool '%s' has old data, because its "
                      "commit was interrupted; compare it with its base (vol-compare), and delete "
                      "it (vol-delete) or make it independent (vol-flatten)"),
                    claim->name, cst_pool_name(claim->pool));
}

/*
 * Sets the times of the volume's file. A job that is resumed must not commit old data to the base,
 * and refuses a volume that has changed (job_left_alone()).
 */
static gboolean commit_touch(const VolumeClaim *claim, GError **error)
{
    g_autoptr(CstBlob) blob = cst_pool_state_vol_open(claim->state, claim->name, TRUE, error);
    uint8_t byte;

    return blob && cst_blob_pread(blob, &byte, 1, 0, error) &&
           cst_blob_pwrite(blob, &byte, 1, 0, error) && cst_blob_flush(blob, error);
}

/* Before the pivot the guest had the volume. Later it is not known which image is up to date. */
static gboolean commit_replay_undefined(CstService *service, const CstIntentRecord *record,
                                        const VolumeClaim *claim, const CstVolume *volume,
                                        GError **error)
{
    if (!g_hash_table_contains(record->fields, "switching"))
        return TRUE;
    if (!running_record_is_unused(service, record, claim, NULL))
        return commit_is_undecided(claim, volume, error);
    if (!commit_touch(claim, error))
        return FALSE;
    cst_log(CST_LOG_WARNING,
            "domain %s is not defined any more, and it is not known whether it used volume '%s' of "
            "pool '%s' or its base last; compare both (vol-compare), and delete the volume "
            "(vol-delete) if it is out of date",
            (const char *)g_hash_table_lookup(record->fields, "domain"), claim->name,
            cst_pool_name(claim->pool));
    return TRUE;
}

gboolean running_commit_replay(CstService *service, const CstIntentRecord *record, GError **error)
{
    g_auto(VolumeClaim) claim = {0};
    g_autoptr(CstVolume) volume = NULL;
    g_auto(RunningDefinition) definition = {0};

    if (!running_record_claim(service, record, "pool", "volume", "identity", &claim, &volume,
                              error))
        return FALSE;
    /* The volume was deleted. */
    if (!volume)
        return TRUE;
    if (!running_definition_read(service, record, &definition, error))
        return FALSE;
    if (!definition.is_defined)
        return commit_replay_undefined(service, record, &claim, volume, error);
    if (running_definition_names(&definition, record, "pool", "volume") &&
        !g_hash_table_contains(record->fields, "switching"))
        return TRUE;
    if (!running_definition_names(&definition, record, "base-pool", "base"))
        return commit_is_undecided(&claim, volume, error);
    cst_log(CST_LOG_INFO, "volume '%s' was committed to its base: it is emptied", claim.name);
    if (!overlay_empty(&claim, g_hash_table_lookup(record->fields, "format"),
                       g_hash_table_lookup(record->fields, "path"),
                       g_hash_table_lookup(record->fields, "base-format"), error))
        return FALSE;
    volume_rescan(&claim);
    return TRUE;
}

gboolean running_commit_is_settled(const VolumeClaim *claim, GError **error)
{
    gboolean found;

    if (!cst_journal_has(claim->pool->service->journal, RUNNING_COMMIT, claim->pool->name,
                         claim->name, &found, error))
        return FALSE;
    return !found ||
           cst_fail(error, CST_ERROR_BUSY,
                    _("volume '%s' may have old data, because an earlier commit did not learn "
                      "which image its domain uses; try again when libvirt answers, or delete the "
                      "volume (vol-delete)"),
                    claim->name);
}
