/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Moves the disk of a running domain to another pool.
 *
 *   create   a new volume in the other pool, with the size of the disk
 *   record   a durable intent with the identities of both volumes
 *   job      QEMU copies the disk, and sends further writes of the guest to both volumes
 *   record   a second intent: from now on the guest may use the new volume
 *   pivot    the guest goes on with the new volume, and its definitions name it
 *   delete   the former volume
 *
 * An image that keeps its format and has a backing file becomes an image with the same backing
 * file. Other copies have all data of the disk.
 *
 * After a kill the definition of the domain decides which volume is deleted (move_replay.c).
 */
#include "move.h"

#include <string.h>

#include <base/crash.h>
#include <base/dry_run.h>
#include <base/error.h>
#include <base/i18n.h>
#include <base/log.h>
#include <base/text.h>
#include <blob/steps.h>

#include "core/domains.h"
#include "core/events.h"
#include "core/intent.h"
#include "core/scan.h"
#include "core/space.h"
#include "core/trust.h"
#include "dependency/guard.h"
#include "job.h"
#include "volume/create/plan.h"
#include "volume/create/transaction.h"
#include "volume/declare.h"
#include "volume/delete/delete.h"
#include "volume/rename/move.h"
#include "volume/tags.h"

typedef struct {
    CstPool *to;
    const CstVolMove *how;
    ImageChain chain; /* of the volume, with the domain */
    VolumeTxn txn;    /* of the new volume; its claim is held until the end */
    CstVolDef *def;   /* of the new volume */
    VolumePlan plan;
    gboolean with_backing;
    gboolean transient; /* the domain has no persistent definition */
    char *identity;     /* of the new volume; NULL: not known */
    gboolean created;   /* the new volume has its name */
    CstIntent *intent;
} RunningMove;

static void running_move_clear(RunningMove *move)
{
    volume_txn_end(&move->txn);
    image_chain_close(&move->chain);
    g_clear_pointer(&move->def, cst_vol_def_free);
    g_clear_pointer(&move->identity, g_free);
    cst_intent_end(move->intent);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(RunningMove, running_move_clear)

static ImageLink *moved_link(const RunningMove *move)
{
    return image_chain_link(&move->chain, 0);
}

/* --- checks ----------------------------------------------------------------------------------- */

static gboolean move_check_snapshots(const RunningMove *move, GError **error)
{
    const ImageLink *link = moved_link(move);
    g_autoptr(GPtrArray) snapshots = NULL;
    guint count = cst_chain_info(move->chain.chain, 0)->snapshots;

    if (cst_pool_state_has_snapshots(link->claim.state)) {
        snapshots = cst_pool_state_snapshots(link->claim.state, link->claim.name, error);
        if (!snapshots)
            return FALSE;
        count += snapshots->len;
    }
    if (count == 0)
        return TRUE;
    cst_fail(error, CST_ERROR_BUSY,
             _("volume '%s' has %u snapshots, which cannot move while a domain runs; delete them "
               "(snap-delete), or shut the domain down first"),
             link->claim.name, count);
    volume_explain_domains(&link->claim, error);
    return FALSE;
}

/* libvirt would create the copy without encryption. */
static gboolean move_check_encryption(const RunningMove *move, GError **error)
{
    const ImageLink *link = moved_link(move);

    if (!cst_chain_info(move->chain.chain, 0)->encryption)
        return TRUE;
    cst_fail(error, CST_ERROR_UNSUPPORTED,
             _("cannot move volume '%s' of a running domain, because it is encrypted; shut the "
               "domain down first"),
             link->claim.name);
    volume_explain_domains(&link->claim, error);
    return FALSE;
}

/* QEMU opens the new volume by its path. */
static gboolean move_check_path(const RunningMove *move, GError **error)
{
    return move->def->type == CST_VOL_FILE || move->def->type == CST_VOL_BLOCK ||
           cst_fail(error, CST_ERROR_UNSUPPORTED,
                    _("cannot move volume '%s' of a running domain to pool '%s', whose volumes are "
                      "no files or devices of this host; shut the domain down first"),
                    moved_link(move)->claim.name, cst_pool_name(move->to));
}

/* An existing volume cannot be dropped after a failure of the job. */
static gboolean move_check_create(const RunningMove *move, CstPoolState *to, GError **error)
{
    return cst_pool_state_check_create(to, NULL) ||
           cst_fail(error, CST_ERROR_UNSUPPORTED,
                    _("cannot move volume '%s' of a running domain to pool '%s', which cannot "
                      "create volumes; --overwrite needs a volume that is not in use, so shut the "
                      "domain down first"),
                    moved_link(move)->claim.name, cst_pool_name(move->to));
}

static gboolean move_plan_volume(RunningMove *move, GError **error)
{
    const CstVolume *volume = moved_link(move)->volume;
    g_autoptr(CstPoolState) to = pool_state_get(move->to, error);
    g_auto(CstImageOptions) options = {0};
    const CstImageFormat *format;

    if (!to)
        return FALSE;
    move->with_backing = volume->extra && volume->extra->backing_path &&
                         volume_move_keeps_format(move->how, volume) &&
                         cst_pool_state_holds_images(moved_link(move)->claim.state) &&
                         cst_pool_state_holds_images(to);
    move->def = volume_move_define(volume, move->to, move->how, move->with_backing, &format,
                                   &options, error);
    if (!move->def || !move_check_path(move, error) || !move_check_create(move, to, error) ||
        !cst_pool_state_volume_name_check(to, move->def->name, error) ||
        !pool_check_free(move->to, to, move->def->name, error) ||
        !pool_check_room(
            move->to, to, move->def->name,
            &(SpaceCopy){.whole = TRUE, .capacity = MIN(volume->allocation, volume->capacity)},
            move->chain.task, error))
        return FALSE;
    return !cst_pool_type_info(move->to->def->type)->volume_formats ||
           volume_plan(move->def, 0, &move->plan, error);
}

static gboolean running_move_check(RunningMove *move, GError **error)
{
    return volume_move_check(&moved_link(move)->claim, error) &&
           move_check_snapshots(move, error) && move_check_encryption(move, error) &&
           move_plan_volume(move, error) &&
           (!move->with_backing || volume_move_check_reference(&move->chain, move->to, error));
}

/* --- the intent ------------------------------------------------------------------------------- */

/* Replaces the intent. @switching: the pivot begins. On failure the intent stays. */
static gboolean running_move_record(RunningMove *move, gboolean switching, GError **error)
{
    const ImageLink *link = moved_link(move);
    g_autoptr(GHashTable) fields = intent_fields_new();

    intent_put(fields, "volume", link->claim.name);
    intent_put(fields, "to-pool", cst_pool_name(move->to));
    intent_put(fields, "to", move->def->name);
    intent_put(fields, "to-identity", move->identity);
    intent_put(fields, "domain", move->chain.disk->uuid);
    intent_put(fields, "target", move->chain.disk->target);
    intent_put(fields, "switching", switching ? "yes" : NULL);
    return intent_put_identity(fields, "identity", link->claim.state, link->volume, error) &&
           intent_replace_durable(&move->intent, link->claim.pool, link->claim.state, RUNNING_MOVE,
                                  fields, error);
}

static void running_move_leave(RunningMove *move)
{
    const VolumeClaim *claim = &moved_link(move)->claim;

    cst_intent_keep(g_steal_pointer(&move->intent));
    pool_recover_local_later(claim->pool, claim->state);
}

/* Returns the record of the new volume. Fails if another program has replaced it. */
static CstVolume *move_find_copy(const RunningMove *move, char **ret_identity, GError **error)
{
    const VolumeClaim *claim = &move->txn.claim;
    g_autoptr(CstVolume) copy = NULL;

    if (!cst_pool_state_scan_one(claim->state, claim->name, NULL, &copy, error))
        return NULL;
    if (!copy) {
        cst_fail_no_volume(claim->name, error);
        return NULL;
    }
    *ret_identity = cst_pool_state_vol_identity(claim->state, copy, error);
    if (*ret_identity && (!move->identity || strcmp(*ret_identity, move->identity) == 0))
        return g_steal_pointer(&copy);
    if (*ret_identity)
        cst_fail(error, CST_ERROR_BUSY, _("another program has replaced volume '%s' of pool '%s'"),
                 claim->name, cst_pool_name(claim->pool));
    return NULL;
}

/* QEMU opens the new volume by its path. So no other user may be able to replace it. */
static gboolean move_check_copy(RunningMove *move, GError **error)
{
    g_autofree char *identity = NULL;
    g_autoptr(CstVolume) copy = move_find_copy(move, &identity, error);

    if (!copy)
        return FALSE;
    if (!move->identity)
        move->identity = g_steal_pointer(&identity);
    return !(copy->flags & CST_VOLUME_SHARED) ||
           cst_fail(error, CST_ERROR_DENIED,
                    _("cannot move a volume of a running domain to pool '%s', because other users "
                      "can write to its directory; shut the domain down first"),
                    cst_pool_name(move->to));
}

/* --- the new volume --------------------------------------------------------------------------- */

/* Drops the new volume, which the guest does not use. A replay tries again after a failure. */
static void move_drop_copy(RunningMove *move)
{
    const VolumeClaim *claim = &move->txn.claim;
    g_autoptr(CstVolume) copy = NULL;
    g_autofree char *identity = NULL;
    g_autoptr(GError) why = NULL;

    if (!move->created)
        return;
    copy = move_find_copy(move, &identity, &why);
    if (copy && running_job_await_release(claim, &why) &&
        cst_pool_state_delete(claim->state, claim->name, 0, &why)) {
        volume_is_gone(claim, copy);
        return;
    }
    cst_log(CST_LOG_WARNING, "pool '%s': cannot delete the incomplete copy '%s' yet: %s",
            cst_pool_name(claim->pool), claim->name, why->message);
    running_move_leave(move);
}

/* A device may be larger than the disk. The guest must not see data of a deleted volume there. */
static gboolean move_clear_rest(const RunningMove *move, GError **error)
{
    const VolumeClaim *claim = &move->txn.claim;
    uint64_t capacity = move->def->capacity, size;
    g_autoptr(CstBlob) blob = NULL;

    if (move->def->type != CST_VOL_BLOCK)
        return TRUE;
    blob = cst_pool_state_vol_open(claim->state, claim->name, TRUE, error);
    return blob && cst_blob_get_size(blob, &size, error) &&
           (size <= capacity || cst_blob_zero_steps(blob, capacity, size - capacity,
                                                    CST_ZERO_MAY_UNMAP, claim->task, error)) &&
           cst_blob_flush(blob, error);
}

static gboolean move_copy_running_tags(const RunningMove *move, GError **error)
{
    const VolumeClaim *claim = &moved_link(move)->claim;

    return volume_tags_copy(move->to->service, &claim->pool->uuid, claim->name, &move->to->uuid,
                            move->def->name, error);
}

/*
 * The identity of a file is known before it has its name. Another volume is recorded afterwards; a
 * kill in between leaves an empty volume.
 */
static gboolean move_create_copy(RunningMove *move, GError **error)
{
    VolumeTxn *txn = &move->txn;
    g_autofree char *identity = NULL;

    if (!volume_txn_begin(txn, move->to, move->def, RUNNING_MOVE "-copy", error))
        return FALSE;
    if (move->plan.format && !txn->made &&
        !cst_image_create(txn->draft.blob, move->plan.format, &move->plan.options, txn->claim.task,
                          error))
        return FALSE;
    identity = txn->made ? NULL : cst_file_id_text(&txn->draft.id);
    if (identity && *identity) {
        move->identity = g_steal_pointer(&identity);
        if (!running_move_record(move, FALSE, error))
            return FALSE;
    }
    CST_CRASH_POINT("running.move.recorded");
    move->created = volume_txn_commit(txn, move->def, error);
    if (!move->created || !move_copy_running_tags(move, error))
        return FALSE;
    /* QEMU locks the file. */
    g_clear_pointer(&txn->draft.blob, cst_blob_unref);
    return move_check_copy(move, error) &&
           (move->intent || running_move_record(move, FALSE, error)) &&
           move_clear_rest(move, error);
}

/* --- the job ---------------------------------------------------------------------------------- */

static gboolean move_switch(RunningMove *move, CstHypervisorJob *job,
                            CstHypervisorPivotResult *ret_result, GError **error)
{
    gboolean ok;

    *ret_result = (CstHypervisorPivotResult){.pivot = CST_HYPERVISOR_NOT_PIVOTED};
    if (!move_check_copy(move, error) || !running_move_record(move, TRUE, error))
        return FALSE;
    CST_CRASH_POINT("running.move.ready");
    /* libvirt may need this worker: it looks up the new volume. */
    cst_task_set_waiting(move->chain.task, TRUE);
    ok = cst_hypervisor_job_pivot(job, ret_result, error);
    cst_task_set_waiting(move->chain.task, FALSE);
    return ok;
}

/* A definition with the path of the new volume works, so the move has not failed. */
static void move_report_name(const RunningMove *move, const CstHypervisorPivotResult *result)
{
    const CstDomainDisk *disk = move->chain.disk;

    if (result->reason)
        cst_log(CST_LOG_WARNING,
                _("cannot name volume '%s' of pool '%s' as disk '%s' in the persistent definition "
                  "of domain %s: %s; see the source of the disk there (virsh edit %s)"),
                move->def->name, cst_pool_name(move->to), disk->target, disk->uuid, result->reason,
                disk->uuid);
}

/* @path: of the new volume, borrowed. */
static CstHypervisorJobRequest move_job_request(const RunningMove *move, const char *path)
{
    return (CstHypervisorJobRequest){
        .kind = CST_HYPERVISOR_JOB_COPY,
        .destination = path,
        .destination_format = move->plan.format ? cst_image_format_name(move->plan.format) : "raw",
        .pool = cst_pool_name(move->to),
        .pool_volume = move->def->name,
        .is_device = move->def->type == CST_VOL_BLOCK,
        .shallow = move->with_backing,
        .transient = (move->how->flags & CST_VOL_MOVE_TRANSIENT) != 0};
}

/* A dry run ends when the volume would be created. So its checks of the domain precede that. */
static gboolean move_check_job_of_dry_run(const RunningMove *move, GError **error)
{
    g_autoptr(CstPoolState) to = NULL;
    g_autofree char *path = NULL;
    g_autoptr(GError) why = NULL;
    CstHypervisorJobRequest request;
    CstHypervisorPivot pivot;

    if (!cst_dry_run())
        return TRUE;
    to = pool_state_get(move->to, error);
    if (!to)
        return FALSE;
    path = cst_pool_state_vol_path(to, move->def->name);
    request = move_job_request(move, path);
    cst_hypervisor_job_end(
        running_job_start(&moved_link(move)->claim, move->chain.disk, &request, &pivot, &why));
    if (g_error_matches(why, CST_ERROR, CST_ERROR_DRY_RUN))
        return TRUE;
    g_propagate_error(error, g_steal_pointer(&why));
    return FALSE;
}

/* Sets the result of the pivot in any case. */
static gboolean running_move_copy(RunningMove *move, CstHypervisorPivotResult *ret_result,
                                  GError **error)
{
    const VolumeClaim *copy = &move->txn.claim;
    g_autofree char *path = cst_pool_state_vol_path(copy->state, copy->name);
    CstHypervisorJobRequest request = move_job_request(move, path);
    CstHypervisorPivot pivot;
    CstHypervisorJob *job =
        running_job_start(&moved_link(move)->claim, move->chain.disk, &request, &pivot, error);
    gboolean ok;

    move->transient = request.transient;
    *ret_result = (CstHypervisorPivotResult){.pivot = pivot};
    if (!job)
        return FALSE;
    ok = move_switch(move, job, ret_result, error);
    if (ok)
        move_report_name(move, ret_result);
    pivot = cst_hypervisor_job_end(job);
    if (!ok)
        ret_result->pivot = pivot;
    CST_CRASH_POINT("running.move.pivoted");
    return ok;
}

/* --- the former volume ------------------------------------------------------------------------ */

static gboolean move_delete_former(RunningMove *move, GError **error)
{
    ImageLink *link = moved_link(move);
    g_autoptr(GError) why = NULL;

    g_clear_pointer(&move->chain.chain, cst_chain_free);
    g_clear_pointer(&link->blob, cst_blob_unref);
    if (running_job_await_release(&link->claim, &why) &&
        cst_pool_state_delete(link->claim.state, link->claim.name, 0, &why)) {
        CST_CRASH_POINT("running.move.deleted");
        volume_is_gone(&link->claim, link->volume);
        return TRUE;
    }
    running_move_leave(move);
    return cst_fail(error, cst_error_code(why),
                    _("the domain uses volume '%s' of pool '%s' now, but the former volume cannot "
                      "be deleted: %s"),
                    move->def->name, cst_pool_name(move->to), why->message);
}

/* The next start of the domain needs the new path. */
static gboolean move_check_definition(const RunningMove *move,
                                      const CstHypervisorPivotResult *result, GError **error)
{
    g_autofree char *domain = cst_text_escape(move->chain.disk->domain);
    g_autofree char *target = cst_text_escape(move->chain.disk->target);
    g_autofree char *word = g_shell_quote(domain);

    return result->persistent || move->transient ||
           cst_fail(error, CST_ERROR_FAILED,
                    _("domain '%s' uses volume '%s' of pool '%s' now, but its persistent "
                      "definition may name another image as disk '%s'; correct it (virsh edit "
                      "%s)"),
                    domain, move->def->name, cst_pool_name(move->to), target, word);
}

/* --- the move --------------------------------------------------------------------------------- */

/* *ret_changed: the domain may use the new volume, also after a failure. */
static gboolean running_move_run(RunningMove *move, gboolean *ret_changed, GError **error)
{
    CstHypervisorPivotResult result = {.pivot = CST_HYPERVISOR_NOT_PIVOTED};
    gboolean ok;

    *ret_changed = FALSE;
    if (!running_move_check(move, error) || !move_check_job_of_dry_run(move, error))
        return FALSE;
    move->txn =
        (VolumeTxn){.claim.task = move->chain.task,
                    .claim.after = image_chain_last_claim(&move->chain),
                    .empty = !move->plan.format || cst_image_format_is_plain(move->plan.format)};
    if (move->with_backing)
        move->txn.declaration = trust_of_copy(move->def, moved_link(move)->volume);
    ok = move_create_copy(move, error) && running_move_copy(move, &result, error);
    *ret_changed = result.pivot != CST_HYPERVISOR_NOT_PIVOTED;
    if (result.pivot == CST_HYPERVISOR_PIVOTED) {
        g_clear_error(error);
        ok = move_delete_former(move, error) && move_check_definition(move, &result, error);
    } else if (result.pivot == CST_HYPERVISOR_NOT_PIVOTED) {
        move_drop_copy(move);
    } else {
        g_prefix_error(error,
                       _("it is not known whether the domain uses volume '%s' of pool '%s'; both "
                         "volumes stay, and cisternd deletes the other one when libvirt answers: "),
                       move->def->name, cst_pool_name(move->to));
        running_move_leave(move);
    }
    return ok;
}

/* *ret_runs: a running domain has the volume as its disk. libvirt is asked before images open. */
static gboolean move_find_domain(CstPool *pool, const char *name, CstTask *task, gboolean *ret_runs,
                                 GError **error)
{
    g_auto(VolumeClaim) claim = {.task = task};
    g_autoptr(CstVolume) volume = NULL;
    g_autoptr(CstDomainDisk) disk = NULL;

    *ret_runs = FALSE;
    if (!volume_claim_now(&claim, pool, name, CLAIM_READ, &volume, error))
        return FALSE;
    if (volume->type != CST_VOL_FILE && volume->type != CST_VOL_BLOCK)
        return TRUE;
    if (!running_job_find(&claim, volume, &disk, error))
        return FALSE;
    *ret_runs = disk != NULL;
    return TRUE;
}

gboolean running_move(CstPool *pool, const char *name, CstPool *to, const CstVolMove *how,
                      CstTask *task, gboolean *ret_done, GError **error)
{
    g_auto(RunningMove)
        move = {.to = to,
                .how = how,
                .chain = {.task = task, .write = TRUE, .alone = TRUE, .with_domain = TRUE}};
    gboolean runs;

    *ret_done = FALSE;
    if (!move_find_domain(pool, name, task, &runs, error))
        return FALSE;
    if (!runs)
        return TRUE;
    return image_chain_open(&move.chain, pool, name, error) &&
           (!move.chain.disk || running_move_run(&move, ret_done, error));
}
