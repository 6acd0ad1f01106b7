/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A block job, by libvirt:
 *
 *   check   virDomainGetXMLDesc(), virDomainGetState(), virDomainGetJobInfo() and
 *           virDomainGetBlockJobInfo(). With a job the begin would wait 30 s for it
 *   begin   virDomainBlockCopy(REUSE_EXT|TRANSIENT_JOB), virDomainBlockRebase() or
 *           virDomainBlockCommit(). Then the disk is compared with the volume again, because a disk
 *           without a job could have been replaced since the check
 *   look    virDomainGetBlockJobInfo(), then virDomainGetXMLDesc(). A copy is this job if <mirror>
 *           has its path. Other jobs have no name, so a job of the same kind is this one
 *   pivot   virDomainBlockJobAbort(PIVOT), which waits for the end
 *   end     look, virDomainBlockJobAbort(ASYNC), look, … until the job has ended
 *
 * libvirt removes a job only after it has changed the definition. So a look that finds no job reads
 * a definition that shows its result. The event of libvirt only starts a look, and it tells a
 * failure from an abort.
 */
#include "block_job.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/stat.h>

#include <base/file.h>
#include <base/text.h>
#include <model/domain_copy.h>

#include "block_chain.h"
#include "block_name.h"
#include "disk.h"
#include "domain_check.h"

#define END_POLL_MS 20

void block_plan_clear(BlockPlan *plan)
{
    g_clear_pointer(&plan->document, g_free);
    g_clear_pointer(&plan->top_ref, g_free);
    g_clear_pointer(&plan->base_ref, g_free);
}

/* --- the connection --------------------------------------------------------------------------- */

/* The type of the job in libvirt's events and reports. */
static int block_job_type(const BlockEntry *entry)
{
    if (entry->kind == CST_HYPERVISOR_JOB_COPY)
        return VIR_DOMAIN_BLOCK_JOB_TYPE_COPY;
    if (entry->kind == CST_HYPERVISOR_JOB_PULL)
        return VIR_DOMAIN_BLOCK_JOB_TYPE_PULL;
    return entry->active ? VIR_DOMAIN_BLOCK_JOB_TYPE_ACTIVE_COMMIT
                         : VIR_DOMAIN_BLOCK_JOB_TYPE_COMMIT;
}

/* Implements virConnectDomainEventCallback. */
static int block_on_lifecycle(virConnectPtr conn, virDomainPtr domain, int event, int detail,
                              void *data)
{
    ((BlockJob *)data)->event = TRUE;
    return 0;
}

/* Implements virConnectDomainEventBlockJobCallback. */
static void block_on_event(virConnectPtr conn, virDomainPtr domain, const char *disk, int type,
                           int status, void *data)
{
    BlockJob *job = data;

    if (g_strcmp0(disk, job->entry->target) != 0 || type != block_job_type(job->entry))
        return;
    job->event = TRUE;
    job->finished = job->finished || status != VIR_DOMAIN_BLOCK_JOB_READY;
    job->cancelled = status == VIR_DOMAIN_BLOCK_JOB_CANCELED;
}

gboolean block_job_connect(BlockJob *job, PauseAnswer *answer)
{
    return domain_link_open(&job->link, job->entry->domain.uri, job->entry->domain.uuid, answer) &&
           domain_link_register(&job->link, VIR_DOMAIN_EVENT_ID_LIFECYCLE,
                                VIR_DOMAIN_EVENT_CALLBACK(block_on_lifecycle), job, answer) &&
           domain_link_register(&job->link, VIR_DOMAIN_EVENT_ID_BLOCK_JOB_2,
                                VIR_DOMAIN_EVENT_CALLBACK(block_on_event), job, answer);
}

/* --- layers ----------------------------------------------------------------------------------- */

/* Sets the paths of layers that the document names by a pool and a volume. */
static gboolean block_fill_paths(BlockJob *job, CstDomainDef *def, PauseAnswer *answer)
{
    Helper helper = {.conn = job->link.conn};
    gboolean ok = helper_fill_paths(&helper, job->entry->domain.uuid, def);

    g_free(helper.message);
    return ok || pause_answer_fail_libvirt(answer);
}

/* Returns the layer of the disk that is the volume. Returns NULL with a failure. */
static const CstDomainLayer *chain_find_volume(const CstDomainDef *def, const char *target,
                                               const CstHypervisorVolume *volume,
                                               PauseAnswer *answer)
{
    Helper helper = {.volume = *volume};
    const CstDomainLayer *layer;
    guint level = 1;

    while ((layer = block_chain_layer(def, target, level++)))
        if (helper_path_is_volume(&helper, layer->path))
            break;
    if (layer)
        return layer;
    pause_answer_fail(answer, helper.message ? PAUSE_FAILED : PAUSE_NO_LAYER, helper.message);
    g_free(helper.message);
    return NULL;
}

/* Returns the name of a layer for libvirt, or NULL with a failure. The caller frees it. */
static char *layer_ref(const CstDomainLayer *layer, PauseAnswer *answer)
{
    if (layer && layer->index && layer->path)
        return g_strdup_printf("%s[%s]", layer->target, layer->index);
    pause_answer_fail(answer, PAUSE_NO_LAYER, NULL);
    return NULL;
}

/* --- check ------------------------------------------------------------------------------------ */

/*
 * Fails if a disk of the domain has the destination, as a layer or as the copy of another job. The
 * copy would overwrite it.
 */
static gboolean block_check_destination(const char *path, const CstDomainDef *def,
                                        PauseAnswer *answer)
{
    Helper helper = {.volume = {.has_file = TRUE}};
    g_autofree char *message = NULL;
    gboolean found = FALSE;
    struct stat st;

    if (!cst_node_stat(path, &st)) {
        message = g_strdup_printf("%s: %s", path, g_strerror(errno));
        return pause_answer_fail(answer, PAUSE_FAILED, message);
    }
    helper.volume.is_device = S_ISBLK(st.st_mode);
    helper.volume.device = S_ISBLK(st.st_mode) ? st.st_rdev : st.st_dev;
    helper.volume.inode = st.st_ino;
    for (guint i = 0; i < def->layers->len && !found; i++) {
        const CstDomainLayer *layer = g_ptr_array_index(def->layers, i);

        found = helper_path_is_volume(&helper, layer->path) ||
                helper_path_is_volume(&helper, layer->mirror_path);
    }
    message = helper.message;
    if (message)
        return pause_answer_fail(answer, PAUSE_FAILED, message);
    return !found || pause_answer_fail(answer, PAUSE_OWN_IMAGE, path);
}

static gboolean plan_copy(BlockPlan *plan, const BlockRequest *request, const CstDomainDef *def,
                          BlockEntry *entry, PauseAnswer *answer)
{
    const CstDomainCopy copy = {
        .path = request->destination, .format = request->format, .is_device = request->is_device};
    g_autoptr(GError) error = NULL;

    /* A dry run has created no destination. */
    if (!request->dry_run && !block_check_destination(request->destination, def, answer))
        return FALSE;
    entry->destination = g_strdup(request->destination);
    plan->shallow = request->shallow;
    plan->document = cst_domain_copy_format(&copy, &error);
    return plan->document || pause_answer_fail(answer, PAUSE_FAILED, error->message);
}

/* A pull with the layer directly below as its base would copy no data. */
static gboolean plan_pull(BlockPlan *plan, const BlockRequest *request, const CstDomainDef *def,
                          BlockEntry *entry, PauseAnswer *answer)
{
    const CstDomainLayer *base;

    if (!block_chain_layer(def, entry->target, 1))
        return pause_answer_fail(answer, PAUSE_NO_LAYER, NULL);
    if (!request->has_base)
        return TRUE;
    base = chain_find_volume(def, entry->target, &request->domain.volumes[1], answer);
    if (!base)
        return FALSE;
    if (base->level < 2)
        return pause_answer_fail(answer, PAUSE_NO_LAYER, NULL);
    entry->base = g_strdup(base->path);
    plan->base_ref = layer_ref(base, answer);
    return plan->base_ref != NULL;
}

static gboolean plan_commit(BlockPlan *plan, const BlockRequest *request, const CstDomainDef *def,
                            BlockEntry *entry, PauseAnswer *answer)
{
    const CstHypervisorVolume *volumes = request->domain.volumes;
    const CstDomainLayer *top = block_chain_layer(def, entry->target, 0), *base;

    if (request->has_top)
        top = chain_find_volume(def, entry->target, &volumes[1], answer);
    if (!top)
        return FALSE;
    base = block_chain_layer(def, entry->target, top->level + 1);
    if (request->has_base) {
        base = chain_find_volume(def, entry->target, &volumes[1 + request->has_top], answer);
        if (!base)
            return FALSE;
    }
    plan->base_ref = layer_ref(base, answer);
    if (!plan->base_ref)
        return FALSE;
    if (base->level <= top->level)
        return pause_answer_fail(answer, PAUSE_NO_LAYER, NULL);
    entry->active = top->level == 0;
    if (entry->active) {
        entry->destination = g_strdup(base->path);
        return TRUE;
    }
    entry->top = g_strdup(top->path);
    plan->top_ref = layer_ref(top, answer);
    return plan->top_ref != NULL;
}

/* Fails if the domain cannot keep the result of the job. */
static gboolean block_check_domain(BlockJob *job, const BlockRequest *request, PauseAnswer *answer)
{
    int state = VIR_DOMAIN_NOSTATE, reason = 0, persistent, saved;
    gboolean paused;

    if (virDomainGetState(job->link.domain, &state, &reason, 0) < 0)
        return pause_answer_fail_libvirt(answer);
    if (!domain_check_state(state, reason, &paused, answer))
        return FALSE;
    persistent = virDomainIsPersistent(job->link.domain);
    if (persistent < 0)
        return pause_answer_fail_libvirt(answer);
    if (!persistent && !request->transient)
        return pause_answer_fail(answer, PAUSE_TRANSIENT, NULL);
    saved = virDomainHasManagedSaveImage(job->link.domain, 0);
    if (saved < 0 && libvirt_code() != VIR_ERR_NO_SUPPORT)
        return pause_answer_fail_libvirt(answer);
    return saved <= 0 || pause_answer_fail(answer, PAUSE_SAVED, NULL);
}

/* Sets the layers of the job in the entry and in the plan. */
static gboolean block_plan_layers(BlockPlan *plan, const BlockRequest *request,
                                  const CstDomainDef *def, BlockEntry *entry, PauseAnswer *answer)
{
    entry->kind = request->kind;
    switch (request->kind) {
    case CST_HYPERVISOR_JOB_COPY: return plan_copy(plan, request, def, entry, answer);
    case CST_HYPERVISOR_JOB_PULL: return plan_pull(plan, request, def, entry, answer);
    default: return plan_commit(plan, request, def, entry, answer);
    }
}

gboolean block_job_check(BlockJob *job, const BlockRequest *request, BlockEntry *entry,
                         BlockPlan *ret_plan, PauseAnswer *answer)
{
    g_autofree char *name = answer_text(virDomainGetName(job->link.domain));
    g_autoptr(CstDomainDef) def = NULL;
    const CstDomainLayer *disk;

    entry->domain.name = cst_text_escape(name);
    entry->domain.id = job->link.id;
    if (!block_check_domain(job, request, answer) ||
        !domain_read_def(job->link.domain, &def, answer) || !block_fill_paths(job, def, answer))
        return FALSE;
    disk = domain_check_volume(job->link.conn, job->link.domain, &request->domain.volumes[0], def,
                               answer);
    if (!disk || !domain_check_job(job->link.domain, answer))
        return FALSE;
    entry->target = g_strdup(disk->target);
    entry->source = g_strdup(disk->path);
    if (disk->read_only)
        return pause_answer_fail(answer, PAUSE_FIXED, disk->target);
    return block_plan_layers(ret_plan, request, def, entry, answer) &&
           block_name_plan(job, request, entry, answer);
}

gboolean block_job_verify(BlockJob *job, const CstHypervisorVolume *volume, PauseAnswer *answer)
{
    Helper helper = {.volume = *volume, .conn = job->link.conn};
    g_autoptr(CstDomainDef) def = NULL;
    const CstDomainLayer *top;
    g_autofree char *message = NULL;
    gboolean same;

    if (!domain_read_def(job->link.domain, &def, answer))
        return FALSE;
    top = block_chain_layer(def, job->entry->target, 0);
    same = top &&
           (top->path ? helper_path_is_volume(&helper, top->path)
                      : helper_stats_show_volume(&helper, job->entry->domain.uuid, top->target));
    message = helper.message;
    return same || pause_answer_fail(answer, message ? PAUSE_FAILED : PAUSE_NO_DISK, message);
}

/* --- the job ---------------------------------------------------------------------------------- */

static int block_begin_copy(BlockJob *job, const BlockPlan *plan, uint64_t rate)
{
    virTypedParameter bandwidth = {
        .field = VIR_DOMAIN_BLOCK_COPY_BANDWIDTH, .type = VIR_TYPED_PARAM_ULLONG, .value.ul = rate};
    unsigned flags = VIR_DOMAIN_BLOCK_COPY_REUSE_EXT | VIR_DOMAIN_BLOCK_COPY_TRANSIENT_JOB;

    if (plan->shallow)
        flags |= VIR_DOMAIN_BLOCK_COPY_SHALLOW;
    return virDomainBlockCopy(job->link.domain, job->entry->target, plan->document, &bandwidth,
                              rate > 0 ? 1 : 0, flags);
}

gboolean block_job_begin(BlockJob *job, const BlockPlan *plan, uint64_t rate, PauseAnswer *answer)
{
    const BlockEntry *entry = job->entry;
    unsigned flags = VIR_DOMAIN_BLOCK_COMMIT_BANDWIDTH_BYTES;
    int status;

    if (entry->active)
        flags |= VIR_DOMAIN_BLOCK_COMMIT_ACTIVE;
    if (entry->kind == CST_HYPERVISOR_JOB_COPY)
        status = block_begin_copy(job, plan, rate);
    else if (entry->kind == CST_HYPERVISOR_JOB_PULL)
        status = virDomainBlockRebase(job->link.domain, entry->target, plan->base_ref,
                                      (unsigned long)rate, VIR_DOMAIN_BLOCK_REBASE_BANDWIDTH_BYTES);
    else
        status = virDomainBlockCommit(job->link.domain, entry->target, plan->base_ref,
                                      plan->top_ref, (unsigned long)rate, flags);
    return status >= 0 || pause_answer_fail_libvirt(answer);
}

/* Reads the result of a job that has ended from the layers of the disk. */
static gboolean block_view_result(BlockJob *job, CstDomainDef *def, BlockView *view,
                                  PauseAnswer *answer)
{
    const BlockEntry *entry = job->entry;

    if (!entry->destination) {
        view->complete = block_chain_is_complete(def, entry);
        return TRUE;
    }
    if (!block_fill_paths(job, def, answer))
        return FALSE;
    view->pivot = block_chain_pivot(def, entry, 0);
    view->complete = view->pivot == CST_HYPERVISOR_PIVOTED;
    return TRUE;
}

/* @found: the disk has a job of the type. */
static BlockPhase block_phase(const BlockEntry *entry, const CstDomainDef *def, gboolean found)
{
    const CstDomainLayer *top = block_chain_layer(def, entry->target, 0);

    if (!entry->destination)
        return found ? BLOCK_PHASE_RUNS : BLOCK_PHASE_ABSENT;
    if (!top || !top->mirrored || g_strcmp0(top->mirror_path, entry->destination) != 0)
        return BLOCK_PHASE_ABSENT;
    switch (top->mirror) {
    case CST_DOMAIN_MIRROR_READY: return BLOCK_PHASE_READY;
    case CST_DOMAIN_MIRROR_ENDS: return BLOCK_PHASE_ENDS;
    default: return BLOCK_PHASE_RUNS;
    }
}

/*
 * While another call works on the domain, libvirt may report after 30 s that its lock is held. The
 * job counts as running then.
 */
gboolean block_job_look(BlockJob *job, BlockView *ret_view, PauseAnswer *answer)
{
    virDomainBlockJobInfo info = {0};
    g_autoptr(CstDomainDef) def = NULL;
    gboolean found;
    int status;

    if (!domain_link_find(&job->link, job->entry->domain.uuid, answer))
        return FALSE;
    status = virDomainGetBlockJobInfo(job->link.domain, job->entry->target, &info,
                                      VIR_DOMAIN_BLOCK_JOB_INFO_BANDWIDTH_BYTES);
    if (status < 0 && libvirt_code() != VIR_ERR_OPERATION_TIMEOUT)
        return domain_link_fail(&job->link, answer);
    found = status < 0 || (status > 0 && info.type == block_job_type(job->entry));
    if (!domain_read_def(job->link.domain, &def, answer))
        return FALSE;
    ret_view->phase = block_phase(job->entry, def, found);
    ret_view->complete = FALSE;
    ret_view->pivot = CST_HYPERVISOR_NOT_PIVOTED;
    if (ret_view->phase == BLOCK_PHASE_ABSENT)
        return block_view_result(job, def, ret_view, answer);
    if (status > 0) {
        ret_view->done = info.cur;
        ret_view->total = info.end;
    }
    return TRUE;
}

gboolean block_job_set_rate(BlockJob *job, uint64_t rate, PauseAnswer *answer)
{
    return virDomainBlockJobSetSpeed(job->link.domain, job->entry->target, (unsigned long)rate,
                                     VIR_DOMAIN_BLOCK_JOB_SPEED_BANDWIDTH_BYTES) >= 0 ||
           pause_answer_fail_libvirt(answer);
}

gboolean block_job_switch(BlockJob *job, PauseAnswer *answer)
{
    return virDomainBlockJobAbort(job->link.domain, job->entry->target,
                                  VIR_DOMAIN_BLOCK_JOB_ABORT_PIVOT) >= 0 ||
           pause_answer_fail_libvirt(answer);
}

/* Returns 1 or 0 as virDomainIsPersistent(); 0 also if there is no domain; -1: not known. */
static int block_domain_is_persistent(BlockJob *job)
{
    g_auto(PauseAnswer) answer = {.id = -1};
    int persistent;

    if (!job->link.domain) {
        domain_link_find(&job->link, job->entry->domain.uuid, &answer);
        if (!job->link.domain)
            return answer.outcome == PAUSE_ENDED ? 0 : -1;
    }
    persistent = virDomainIsPersistent(job->link.domain);
    return persistent < 0 && libvirt_code() == VIR_ERR_NO_DOMAIN ? 0 : persistent;
}

/*
 * The persistent definition has the image @path and no layers below it. Another program may have
 * put it on one of the images. Then it is a layer of the running domain.
 */
static CstHypervisorPivot block_overlay_pivot(BlockJob *job, const char *path, PauseAnswer *answer)
{
    g_autoptr(CstDomainDef) def = NULL;
    const CstDomainLayer *layer;
    guint level = 0;

    if (!domain_read_def(job->link.domain, &def, answer) || !block_fill_paths(job, def, answer))
        return CST_HYPERVISOR_PIVOT_UNKNOWN;
    while ((layer = block_chain_layer(def, job->entry->target, level)))
        if (g_strcmp0(layer->path, path) == 0)
            return block_chain_pivot(def, job->entry, level);
        else
            level++;
    return CST_HYPERVISOR_PIVOT_UNKNOWN;
}

CstHypervisorPivot block_job_find_persistent(BlockJob *job, gboolean *ret_named)
{
    const BlockEntry *entry = job->entry;
    g_auto(PauseAnswer) answer = {.id = -1};
    g_autoptr(CstDomainDef) def = NULL;
    const CstDomainLayer *top;
    CstHypervisorPivot pivot;
    int persistent = entry->destination ? block_domain_is_persistent(job) : 0;

    *ret_named = FALSE;
    if (persistent == 0)
        return CST_HYPERVISOR_NOT_PIVOTED;
    if (persistent < 0 || !domain_read_persistent_def(job->link.domain, &def, &answer))
        return CST_HYPERVISOR_PIVOT_UNKNOWN;
    top = block_chain_layer(def, entry->target, 0);
    if (!top)
        return CST_HYPERVISOR_NOT_PIVOTED;
    *ret_named = block_name_is_set(entry, top);
    if (*ret_named)
        return CST_HYPERVISOR_PIVOTED;
    if (!top->path)
        return block_name_pivot(entry, top);
    pivot = block_chain_pivot(def, entry, 0);
    return pivot != CST_HYPERVISOR_PIVOT_UNKNOWN ? pivot
                                                 : block_overlay_pivot(job, top->path, &answer);
}

/* The time limit of the process ends the loop. */
gboolean block_job_end(BlockJob *job, BlockView *ret_view, PauseAnswer *answer)
{
    gboolean ok;

    while ((ok = block_job_look(job, ret_view, answer)) && ret_view->phase != BLOCK_PHASE_ABSENT) {
        if (!job->aborted && ret_view->phase != BLOCK_PHASE_ENDS)
            job->aborted = virDomainBlockJobAbort(job->link.domain, job->entry->target,
                                                  VIR_DOMAIN_BLOCK_JOB_ABORT_ASYNC) >= 0;
        poll(NULL, 0, END_POLL_MS);
    }
    return ok || answer->outcome == PAUSE_ENDED;
}
