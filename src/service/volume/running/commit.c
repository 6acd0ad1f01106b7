/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Commits the image of a running domain into one of its base images.
 *
 *   check    formats, snapshots, users of the base
 *   record   a durable intent
 *   job      QEMU copies the data, and the guest goes on with the volume
 *   pivot    the guest goes on with the base
 *   empty    the volume gets a reference to the base, and no data of its own
 *
 * The guest changes the base after the pivot. The volume would then show a mixture of its old data
 * and the new data of the base, and a further commit would write the old data to the base. So the
 * volume is emptied at once. It has the content of the base then, and a domain that still names the
 * volume starts with the right content.
 *
 * After a kill the definition of the domain decides (running_commit_replay()). Until it is known, a
 * commit of the volume is refused.
 */
#include "commit.h"

#include <string.h>

#include <base/crash.h>
#include <base/dry_run.h>
#include <base/error.h>
#include <base/i18n.h>
#include <base/log.h>
#include <image/backing.h>
#include <image/commit.h>
#include <image/rebase.h>
#include <service/images.h>

#include "core/domains.h"
#include "core/intent.h"
#include "core/service.h"
#include "definition.h"
#include "job.h"

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

/* Returns the intent, or NULL with an error. "path" is set if the reference has to change. */
static CstIntent *running_commit_record(const ImageChain *chain, GError **error)
{
    const ImageLink *link = image_chain_link(chain, 0);
    const ImageLink *base = image_chain_link(chain, chain->base);
    g_autoptr(GHashTable) fields = intent_fields_new();

    intent_put(fields, "volume", link->claim.name);
    intent_put(fields, "format", link->volume->format);
    intent_put(fields, "base-pool", cst_pool_name(base->claim.pool));
    intent_put(fields, "base", base->claim.name);
    intent_put(fields, "base-format", base->volume->format);
    intent_put(fields, "path", chain->base > 1 ? base->path : NULL);
    intent_put(fields, "domain", chain->disk->uuid);
    intent_put(fields, "target", chain->disk->target);
    if (!intent_put_identity(fields, "identity", link->claim.state, link->volume, error))
        return NULL;
    return intent_begin_durable(link->claim.pool, link->claim.state, RUNNING_COMMIT, fields, error);
}

/* --- the volume after the pivot --------------------------------------------------------------- */

/* Empties the image. @path: the reference that it gets; NULL: it keeps its reference. */
static gboolean overlay_empty(CstPoolState *state, const char *name, const char *format,
                              const char *path, const char *path_format, GError **error)
{
    const CstImageFormat *found = cst_image_format_find(format, error);
    const CstImageRebase how = {.backing = path, .backing_format = path_format, .unsafe = TRUE};
    g_autoptr(CstBlob) blob = found ? cst_pool_state_vol_open(state, name, TRUE, error) : NULL;
    g_autoptr(CstChain) chain = blob ? cst_chain_look(blob, found, NULL, error) : NULL;

    if (!chain || !cst_chain_empty_top(chain, NULL, error))
        return FALSE;
    CST_CRASH_POINT("running.commit.emptied");
    if (!path)
        return TRUE;
    cst_chain_free(g_steal_pointer(&chain));
    chain = cst_chain_look(blob, found, NULL, error);
    return chain && cst_chain_rebase(chain, &how, NULL, error);
}

/* The guest has left the volume, so this process opens it for writing. */
static gboolean running_commit_empty(ImageChain *chain, GError **error)
{
    ImageLink *link = image_chain_link(chain, 0);
    const ImageLink *base = image_chain_link(chain, chain->base);
    g_autoptr(GError) why = NULL;

    g_clear_pointer(&chain->chain, cst_chain_free);
    g_clear_pointer(&link->blob, cst_blob_unref);
    if (overlay_empty(link->claim.state, link->claim.name, link->volume->format,
                      chain->base > 1 ? base->path : NULL, base->volume->format, &why))
        return TRUE;
    return cst_fail(error, cst_error_code(why),
                    _("the domain uses volume '%s' now, but volume '%s' has old data: %s; delete "
                      "it (vol-delete)"),
                    base->claim.name, link->claim.name, why->message);
}

/* --- the job ---------------------------------------------------------------------------------- */

/* Sets the result of the pivot in any case. */
static gboolean running_commit_switch(const ImageChain *chain, CstHypervisorPivot *ret_pivot,
                                      GError **error)
{
    const ImageLink *link = image_chain_link(chain, 0);
    const ImageLink *base = image_chain_link(chain, chain->base);
    const CstHypervisorVolume base_volume = volume_domain_identity(&base->claim);
    CstHypervisorJobRequest request = {
        .kind = CST_HYPERVISOR_JOB_COMMIT, .base = &base_volume, .transient = TRUE};
    CstHypervisorJob *job =
        running_job_start(&link->claim, chain->disk, &request, ret_pivot, error);
    CstHypervisorPivotResult result;
    gboolean ok;

    if (!job)
        return FALSE;
    CST_CRASH_POINT("running.commit.ready");
    ok = cst_hypervisor_job_pivot(job, &result, error);
    *ret_pivot = cst_hypervisor_job_end(job);
    if (ok)
        *ret_pivot = CST_HYPERVISOR_PIVOTED;
    CST_CRASH_POINT("running.commit.pivoted");
    return ok;
}

gboolean running_commit(ImageChain *chain, unsigned flags, GError **error)
{
    CstHypervisorPivot pivot = CST_HYPERVISOR_NOT_PIVOTED;
    g_autoptr(GError) why = NULL;
    CstIntent *intent;
    gboolean ok;

    if (!running_commit_check(chain, flags, error) || !cst_may_change(error))
        return FALSE;
    intent = running_commit_record(chain, error);
    if (!intent)
        return FALSE;
    CST_CRASH_POINT("running.commit.recorded");
    ok = running_commit_switch(chain, &pivot, &why);
    /* Another program may have pivoted although this operation failed. */
    if (pivot == CST_HYPERVISOR_PIVOTED) {
        g_clear_error(&why);
        ok = running_commit_empty(chain, &why);
    }
    if (ok || pivot == CST_HYPERVISOR_NOT_PIVOTED)
        cst_intent_end(intent);
    else
        cst_intent_keep(intent);
    if (!ok)
        g_propagate_error(error, g_steal_pointer(&why));
    return ok;
}

/* --- the replay ------------------------------------------------------------------------------- */

/* Whether the record names the volume of a pool. */
static gboolean record_names(const CstIntentRecord *record, const char *pool_field,
                             const char *volume_field, const char *pool, const char *volume)
{
    return g_strcmp0(g_hash_table_lookup(record->fields, pool_field), pool) == 0 &&
           g_strcmp0(g_hash_table_lookup(record->fields, volume_field), volume) == 0;
}

gboolean running_commit_replay(CstService *service, CstPoolState *state,
                               const CstIntentRecord *record, GError **error)
{
    const char *name = g_hash_table_lookup(record->fields, "volume");
    const char *uuid = g_hash_table_lookup(record->fields, "domain");
    g_autofree char *used_pool = NULL, *used = NULL;
    g_autoptr(CstVolume) volume = NULL;

    if (!name || !uuid)
        return TRUE;
    if (!cst_pool_state_scan_one(state, name, NULL, &volume, error) ||
        !intent_keep_if_same(record->fields, "identity", state, &volume, error))
        return FALSE;
    /* The volume was deleted. */
    if (!volume)
        return TRUE;
    if (!running_definition_read(service, uuid, g_hash_table_lookup(record->fields, "target"),
                                 &used_pool, &used, error))
        return FALSE;
    if (record_names(record, "pool", "volume", used_pool, used))
        return TRUE;
    if (!record_names(record, "base-pool", "base", used_pool, used)) {
        cst_log(CST_LOG_WARNING,
                "volume '%s' of pool '%s' was being committed when its process ended, and domain "
                "%s has another disk now: it may have old data; compare it with its base",
                name, state->def->name, uuid);
        return TRUE;
    }
    cst_log(CST_LOG_INFO, "volume '%s' was committed to its base: it is emptied", name);
    return overlay_empty(state, name, g_hash_table_lookup(record->fields, "format"),
                         g_hash_table_lookup(record->fields, "path"),
                         g_hash_table_lookup(record->fields, "base-format"), error);
}

typedef struct {
    const VolumeClaim *claim;
    GError *why; /* why an intent of the volume is kept; NULL: not known */
} CommitSettlement;

/* Implements CstReplayFunc for the intents of one volume. */
static gboolean replay_of_volume(const CstIntentRecord *record, gpointer data, GError **error)
{
    CommitSettlement *settlement = data;
    const VolumeClaim *claim = settlement->claim;

    if (strcmp(record->operation, RUNNING_COMMIT) != 0 ||
        g_strcmp0(g_hash_table_lookup(record->fields, "volume"), claim->name) != 0)
        return FALSE;
    g_clear_error(&settlement->why);
    return running_commit_replay(claim->pool->service, claim->state, record, &settlement->why);
}

gboolean running_commit_settle(const VolumeClaim *claim, GError **error)
{
    CstJournal *journal = claim->pool->service->journal;
    CommitSettlement settlement = {.claim = claim};
    g_autoptr(GError) why = NULL;

    if (!cst_journal_has(journal, RUNNING_COMMIT, claim->pool->name, claim->name))
        return TRUE;
    cst_journal_replay_kept(journal, claim->pool->name, replay_of_volume, &settlement);
    why = settlement.why;
    /* Another thread or process may be replaying the record at present. */
    if (!cst_journal_has(journal, RUNNING_COMMIT, claim->pool->name, claim->name))
        return TRUE;
    return cst_fail(error, CST_ERROR_BUSY,
                    _("volume '%s' may have old data, because an earlier commit did not learn "
                      "which image its domain uses: %s; try again when libvirt answers"),
                    claim->name, why ? why->message : _("its recovery is running"));
}
