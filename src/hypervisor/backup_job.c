/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The backup job of a domain, by libvirt:
 *
 *   check   virDomainGetXMLDesc(), virDomainGetState(), virDomainGetJobInfo() and
 *           virDomainGetBlockJobInfo(). With a job virDomainBackupBegin() would wait 30 s for it
 *   begin   virDomainBackupBegin() with a document that names each disk of the domain
 *   look    virDomainLookupByUUIDString(), virDomainBackupGetXMLDesc(): our job has our socket
 *   end     look, virDomainAbortJob(), look, … until the job has ended. libvirt removes its scratch
 *           files then. It has no call that aborts a named job. So another program's backup could
 *           be aborted if it begins between the look and the call
 */
#include "backup_job.h"

#include <poll.h>
#include <stdlib.h>
#include <string.h>

#include <base/file.h>
#include <base/text.h>
#include <model/domain_backup.h>

#include "backup_checkpoint.h"
#include "backup_files.h"
#include "disk.h"
#include "domain_check.h"

#define END_POLL_MS 20

void backup_plan_clear(BackupPlan *plan)
{
    g_clear_pointer(&plan->name, g_free);
    g_clear_pointer(&plan->refusal, g_free);
    g_clear_pointer(&plan->exports, g_ptr_array_unref);
    g_clear_pointer(&plan->def, cst_domain_def_free);
}

/* --- the connection --------------------------------------------------------------------------- */

gboolean backup_job_connect(BackupJob *job, const char *uri, PauseAnswer *answer)
{
    return domain_link_open(&job->link, uri, job->uuid, answer);
}

/* Implements virConnectDomainEventCallback. */
static int job_on_lifecycle(virConnectPtr conn, virDomainPtr domain, int event, int detail,
                            void *data)
{
    ((BackupJob *)data)->event = TRUE;
    return 0;
}

/* Implements virConnectDomainEventJobCompletedCallback. */
static void job_on_completed(virConnectPtr conn, virDomainPtr domain, virTypedParameterPtr params,
                             int nparams, void *data)
{
    ((BackupJob *)data)->event = TRUE;
}

/*
 * Implements virConnectDomainEventIOErrorReasonCallback. A scratch file belongs to no device of the
 * guest, so its error has no alias.
 */
static void job_on_io_error(virConnectPtr conn, virDomainPtr domain, const char *path,
                            const char *alias, int action, const char *reason, void *data)
{
    BackupJob *job = data;

    job->event = TRUE;
    if (g_strcmp0(reason, "enospc") == 0 && (!alias || !*alias))
        job->no_space = TRUE;
}

gboolean backup_job_watch(BackupJob *job, PauseAnswer *answer)
{
    return domain_link_register(&job->link, VIR_DOMAIN_EVENT_ID_LIFECYCLE,
                                VIR_DOMAIN_EVENT_CALLBACK(job_on_lifecycle), job, answer) &&
           domain_link_register(&job->link, VIR_DOMAIN_EVENT_ID_IO_ERROR_REASON,
                                VIR_DOMAIN_EVENT_CALLBACK(job_on_io_error), job, answer) &&
           domain_link_register(&job->link, VIR_DOMAIN_EVENT_ID_JOB_COMPLETED,
                                VIR_DOMAIN_EVENT_CALLBACK(job_on_completed), job, answer);
}

/* --- checks ----------------------------------------------------------------------------------- */

/* Adds the disk of a volume to the plan. Returns NULL with a failure. */
static const CstDomainLayer *plan_add_volume(BackupPlan *plan, BackupJob *job,
                                             const BackupRequest *request, guint volume,
                                             PauseAnswer *answer)
{
    const CstDomainLayer *disk = domain_check_volume(
        job->link.conn, job->link.domain, &request->domain.volumes[volume], plan->def, answer);
    BackupExport *export;
    gboolean known;

    if (!disk)
        return NULL;
    if (!backup_target_is_valid(disk->target)) {
        pause_answer_fail(answer, PAUSE_BAD_TARGET, disk->target);
        return NULL;
    }
    if (disk->read_only) {
        pause_answer_fail(answer, PAUSE_READ_ONLY, disk->target);
        return NULL;
    }
    export = g_new0(BackupExport, 1);
    export->target = g_strdup(disk->target);
    known = backup_chain_identify(plan->def, disk->target, &export->chain);
    export->tracked = request->checkpoint && cst_domain_can_track(disk->format) && known;
    g_ptr_array_add(plan->exports, export);
    return disk;
}

/*
 * Sets QEMU's user: that of the domain's DAC label, which libvirt shows for a running domain. A
 * libvirt without that driver keeps the owner of a disk's file. The node of a block device may have
 * another owner in QEMU's mount namespace.
 */
static gboolean plan_find_owner(BackupPlan *plan, BackupJob *job, const CstDomainLayer *disk,
                                PauseAnswer *answer)
{
    const CstDomainDef *def = plan->def;
    Helper helper = {.conn = job->link.conn};
    g_autofree char *shown =
        def->has_owner || disk->path ? NULL : helper_stats_path(&helper, job->uuid, disk->target);
    const char *path = disk->path ? disk->path : shown;
    g_autofree char *message = helper.message;
    struct stat st;

    plan->uid = def->uid;
    plan->gid = def->gid;
    if (def->has_owner)
        return TRUE;
    if (!path || !cst_node_stat(path, &st))
        return pause_answer_fail(answer, PAUSE_FAILED, message);
    plan->uid = st.st_uid;
    plan->gid = st.st_gid;
    return TRUE;
}

/* Fails if the domain neither runs nor is paused by an administrator. */
static gboolean plan_read_state(BackupPlan *plan, BackupJob *job, PauseAnswer *answer)
{
    int state = VIR_DOMAIN_NOSTATE, reason = 0;
    gboolean paused;

    if (virDomainGetState(job->link.domain, &state, &reason, 0) < 0)
        return pause_answer_fail_libvirt(answer);
    if (!domain_check_state(state, reason, &paused, answer))
        return FALSE;
    plan->ran = !paused;
    return TRUE;
}

gboolean backup_job_check(BackupJob *job, const BackupRequest *request, BackupPlan *ret_plan,
                          PauseAnswer *answer)
{
    const CstDomainLayer *disk = NULL;
    g_autofree char *name = NULL;

    backup_plan_clear(ret_plan);
    ret_plan->exports = g_ptr_array_new_with_free_func(backup_export_free);
    if (!domain_link_find(&job->link, job->uuid, answer))
        return FALSE;
    name = answer_text(virDomainGetName(job->link.domain));
    ret_plan->name = cst_text_escape(name);
    if (!plan_read_state(ret_plan, job, answer) ||
        !domain_read_def(job->link.domain, &ret_plan->def, answer))
        return FALSE;
    for (guint i = 0; i < request->domain.n_volumes; i++) {
        disk = plan_add_volume(ret_plan, job, request, i, answer);
        if (!disk)
            return FALSE;
    }
    return domain_check_job(job->link.domain, answer) &&
           plan_find_owner(ret_plan, job, disk, answer);
}

/* --- the job ---------------------------------------------------------------------------------- */

/* Returns the index of the volume with this disk; -1: the request has no such volume. */
static int plan_find_export(const BackupPlan *plan, const char *target)
{
    for (guint i = 0; i < plan->exports->len; i++)
        if (strcmp(((const BackupExport *)plan->exports->pdata[i])->target, target) == 0)
            return (int)i;
    return -1;
}

/* Names each disk of the domain once: libvirt decides about a disk that is not named. */
static GArray *plan_disks(const BackupPlan *plan, const BackupRequest *request, GPtrArray *paths)
{
    GArray *disks = g_array_new(FALSE, TRUE, sizeof(CstDomainBackupDisk));

    for (guint i = 0; i < plan->def->layers->len; i++) {
        const CstDomainLayer *layer = g_ptr_array_index(plan->def->layers, i);
        CstDomainBackupDisk disk = {.target = layer->target};
        int export;

        if (layer->level > 0 || !layer->target)
            continue;
        export = plan_find_export(plan, layer->target);
        if (export >= 0) {
            const BackupBase *base = &request->bases[export];

            disk.scratch = backup_scratch_path(request->scratch, request->session, layer->target);
            disk.base = base->loss == BACKUP_LOSS_NONE ? base->name : NULL;
            disk.tracked = ((const BackupExport *)plan->exports->pdata[export])->tracked;
            g_ptr_array_add(paths, (gpointer)disk.scratch);
        }
        g_array_append_val(disks, disk);
    }
    return disks;
}

static gboolean plan_has_tracked(const BackupPlan *plan)
{
    for (guint i = 0; i < plan->exports->len; i++)
        if (((const BackupExport *)plan->exports->pdata[i])->tracked)
            return TRUE;
    return FALSE;
}

static gboolean job_try_begin(BackupJob *job, const BackupRequest *request, const BackupPlan *plan,
                              PauseAnswer *answer)
{
    g_autoptr(GPtrArray) paths = g_ptr_array_new_with_free_func(g_free);
    g_autoptr(GArray) array = plan_disks(plan, request, paths);
    const CstDomainBackupDisk *disks = (CstDomainBackupDisk *)(void *)array->data;
    g_autofree char *backup = NULL, *checkpoint = NULL;
    g_autoptr(GError) error = NULL;

    backup = cst_domain_backup_format(job->socket, disks, array->len, &error);
    if (backup && plan_has_tracked(plan))
        checkpoint = cst_domain_checkpoint_format(request->checkpoint, disks, array->len, &error);
    if (error)
        return pause_answer_fail(answer, PAUSE_FAILED, error->message);
    return virDomainBackupBegin(job->link.domain, backup, checkpoint, 0) >= 0 ||
           pause_answer_fail_libvirt(answer);
}

/* Gives up the changes since the bases. Returns FALSE if there are none. */
static gboolean request_lose_bases(BackupRequest *request)
{
    gboolean lost = FALSE;

    for (guint i = 0; i < request->domain.n_volumes; i++) {
        BackupBase *base = &request->bases[i];

        if (!base->name || base->loss != BACKUP_LOSS_NONE)
            continue;
        base->loss = BACKUP_LOSS_REFUSED;
        lost = TRUE;
    }
    return lost;
}

gboolean backup_plan_drop_checkpoint(BackupPlan *plan)
{
    gboolean lost = plan_has_tracked(plan);

    for (guint i = 0; i < plan->exports->len; i++)
        ((BackupExport *)plan->exports->pdata[i])->tracked = FALSE;
    return lost;
}

gboolean backup_job_begin(BackupJob *job, BackupRequest *request, BackupPlan *plan,
                          PauseAnswer *answer)
{
    while (!job_try_begin(job, request, plan, answer)) {
        if (answer->outcome != PAUSE_FAILED ||
            (!request_lose_bases(request) && !backup_plan_drop_checkpoint(plan)))
            return FALSE;
        g_free(plan->refusal);
        plan->refusal = g_strdup(answer->message);
        pause_answer_set(answer, PAUSE_DONE, NULL);
    }
    if (plan_has_tracked(plan))
        plan->created = backup_checkpoint_created(job->link.domain, request->checkpoint);
    return TRUE;
}

/* Sets the outcome after a failure of virDomainBackupGetXMLDesc(). Always returns FALSE. */
static gboolean job_fail_look(BackupJob *job, PauseAnswer *answer)
{
    if (libvirt_code() == VIR_ERR_NO_DOMAIN_BACKUP)
        return pause_answer_fail(answer, PAUSE_ABORTED, NULL);
    return domain_link_fail(&job->link, answer);
}

gboolean backup_job_look(BackupJob *job, PauseAnswer *answer)
{
    g_autofree char *socket = NULL;
    char *xml;

    if (!domain_link_find(&job->link, job->uuid, answer))
        return FALSE;
    xml = virDomainBackupGetXMLDesc(job->link.domain, 0);
    if (!xml)
        return job_fail_look(job, answer);
    socket = cst_domain_backup_socket(xml);
    free(xml); /* NOLINT: libvirt allocates it with malloc() */
    return g_strcmp0(socket, job->socket) == 0 || pause_answer_fail(answer, PAUSE_ABORTED, NULL);
}

gboolean backup_job_has_io_error(BackupJob *job)
{
    int state = VIR_DOMAIN_NOSTATE, reason = 0;

    return virDomainGetState(job->link.domain, &state, &reason, 0) >= 0 &&
           state == VIR_DOMAIN_PAUSED && reason == VIR_DOMAIN_PAUSED_IOERROR;
}

/* The time limit of the process ends the loop. */
gboolean backup_job_end(BackupJob *job, PauseAnswer *answer)
{
    while (backup_job_look(job, answer)) {
        if (!job->aborted)
            job->aborted = virDomainAbortJob(job->link.domain) >= 0;
        poll(NULL, 0, END_POLL_MS);
    }
    return answer->outcome == PAUSE_ABORTED || answer->outcome == PAUSE_ENDED;
}

gboolean backup_job_resume(BackupJob *job, PauseAnswer *answer)
{
    return !backup_job_has_io_error(job) || virDomainResume(job->link.domain) >= 0 ||
           pause_answer_fail_libvirt(answer);
}
