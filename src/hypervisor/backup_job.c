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

#include "backup_files.h"
#include "disk.h"
#include "domain_check.h"

#define END_POLL_MS 20

void backup_plan_clear(BackupPlan *plan)
{
    g_clear_pointer(&plan->name, g_free);
    g_clear_pointer(&plan->targets, g_ptr_array_unref);
    g_clear_pointer(&plan->document, g_free);
}

/* --- the connection --------------------------------------------------------------------------- */

/* Replaces the handle of the domain. Fails with PAUSE_ENDED if it was started again. */
static gboolean job_find_domain(BackupJob *job, PauseAnswer *answer)
{
    if (job->domain)
        virDomainFree(job->domain);
    job->domain = virDomainLookupByUUIDString(job->conn, job->uuid);
    if (!job->domain)
        return pause_answer_fail_libvirt(answer);
    answer->id = (gint32)virDomainGetID(job->domain);
    if (job->id < 0)
        job->id = answer->id;
    return (answer->id >= 0 && answer->id == job->id) ||
           pause_answer_fail(answer, PAUSE_ENDED, NULL);
}

gboolean backup_job_connect(BackupJob *job, const char *uri, PauseAnswer *answer)
{
    if (!domain_load_libraries(answer))
        return FALSE;
    if (virEventRegisterDefaultImpl() < 0)
        return pause_answer_fail_libvirt(answer);
    job->conn = virConnectOpen(uri);
    if (!job->conn)
        return pause_answer_fail_libvirt(answer);
    return job_find_domain(job, answer);
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

static gboolean job_register(BackupJob *job, int event, virConnectDomainEventGenericCallback report)
{
    return virConnectDomainEventRegisterAny(job->conn, job->domain, event, report, job, NULL) >= 0;
}

gboolean backup_job_watch(BackupJob *job, PauseAnswer *answer)
{
    return (job_register(job, VIR_DOMAIN_EVENT_ID_LIFECYCLE,
                         VIR_DOMAIN_EVENT_CALLBACK(job_on_lifecycle)) &&
            job_register(job, VIR_DOMAIN_EVENT_ID_IO_ERROR_REASON,
                         VIR_DOMAIN_EVENT_CALLBACK(job_on_io_error)) &&
            job_register(job, VIR_DOMAIN_EVENT_ID_JOB_COMPLETED,
                         VIR_DOMAIN_EVENT_CALLBACK(job_on_completed))) ||
           pause_answer_fail_libvirt(answer);
}

/* --- checks ----------------------------------------------------------------------------------- */

/* Adds the disk of the volume to the plan. Returns NULL with a failure. */
static const CstDomainLayer *plan_add_volume(BackupPlan *plan, BackupJob *job,
                                             const CstHypervisorVolume *volume,
                                             const CstDomainDef *def, PauseAnswer *answer)
{
    const CstDomainLayer *disk = domain_check_volume(job->conn, job->domain, volume, def, answer);

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
    g_ptr_array_add(plan->targets, g_strdup(disk->target));
    return disk;
}

/*
 * Sets QEMU's user: that of the domain's DAC label, which libvirt shows for a running domain. A
 * libvirt without that driver keeps the owner of a disk's file. The node of a block device may have
 * another owner in QEMU's mount namespace.
 */
static gboolean plan_find_owner(BackupPlan *plan, BackupJob *job, const CstDomainDef *def,
                                const CstDomainLayer *disk, PauseAnswer *answer)
{
    Helper helper = {.conn = job->conn};
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

/* Names each disk once: libvirt decides about a disk that is not named. */
static gboolean plan_write_document(BackupPlan *plan, const BackupRequest *request,
                                    const char *socket, const CstDomainDef *def,
                                    PauseAnswer *answer)
{
    g_autoptr(GArray) disks = g_array_new(FALSE, TRUE, sizeof(CstDomainBackupDisk));
    g_autoptr(GPtrArray) paths = g_ptr_array_new_with_free_func(g_free);
    g_autoptr(GError) error = NULL;

    for (guint i = 0; i < def->layers->len; i++) {
        const CstDomainLayer *layer = g_ptr_array_index(def->layers, i);
        CstDomainBackupDisk disk = {.target = layer->target};

        if (layer->level > 0 || !layer->target)
            continue;
        if (g_ptr_array_find_with_equal_func(plan->targets, layer->target, g_str_equal, NULL)) {
            disk.scratch = backup_scratch_path(request->scratch, request->session, layer->target);
            g_ptr_array_add(paths, (gpointer)disk.scratch);
        }
        g_array_append_val(disks, disk);
    }
    plan->document = cst_domain_backup_format(socket, (CstDomainBackupDisk *)(void *)disks->data,
                                              disks->len, &error);
    return plan->document || pause_answer_fail(answer, PAUSE_FAILED, error->message);
}

/* Fails if the domain neither runs nor is paused by an administrator. */
static gboolean plan_read_state(BackupPlan *plan, BackupJob *job, PauseAnswer *answer)
{
    int state = VIR_DOMAIN_NOSTATE, reason = 0;
    gboolean paused;

    if (virDomainGetState(job->domain, &state, &reason, 0) < 0)
        return pause_answer_fail_libvirt(answer);
    if (!domain_check_state(state, reason, &paused, answer))
        return FALSE;
    plan->ran = !paused;
    return TRUE;
}

gboolean backup_job_check(BackupJob *job, const BackupRequest *request, BackupPlan *ret_plan,
                          PauseAnswer *answer)
{
    g_autoptr(CstDomainDef) def = NULL;
    const CstDomainLayer *disk = NULL;
    g_autofree char *name = NULL;

    backup_plan_clear(ret_plan);
    ret_plan->targets = g_ptr_array_new_with_free_func(g_free);
    if (!job_find_domain(job, answer))
        return FALSE;
    name = answer_text(virDomainGetName(job->domain));
    ret_plan->name = cst_text_escape(name);
    if (!plan_read_state(ret_plan, job, answer) || !domain_read_def(job->domain, &def, answer))
        return FALSE;
    for (guint i = 0; i < request->domain.n_volumes; i++) {
        disk = plan_add_volume(ret_plan, job, &request->domain.volumes[i], def, answer);
        if (!disk)
            return FALSE;
    }
    return domain_check_job(job->domain, answer) &&
           plan_find_owner(ret_plan, job, def, disk, answer) &&
           plan_write_document(ret_plan, request, job->socket, def, answer);
}

/* --- the job ---------------------------------------------------------------------------------- */

gboolean backup_job_begin(BackupJob *job, const char *document, PauseAnswer *answer)
{
    return virDomainBackupBegin(job->domain, document, NULL, 0) >= 0 ||
           pause_answer_fail_libvirt(answer);
}

/* Sets the outcome after a failure of virDomainBackupGetXMLDesc(). Always returns FALSE. */
static gboolean job_fail_look(BackupJob *job, PauseAnswer *answer)
{
    int state = VIR_DOMAIN_NOSTATE;

    if (libvirt_code() == VIR_ERR_NO_DOMAIN_BACKUP)
        return pause_answer_fail(answer, PAUSE_ABORTED, NULL);
    pause_answer_fail_libvirt(answer);
    if (answer->outcome == PAUSE_FAILED && virDomainGetState(job->domain, &state, NULL, 0) >= 0 &&
        state == VIR_DOMAIN_SHUTOFF)
        pause_answer_fail(answer, PAUSE_ENDED, NULL);
    return FALSE;
}

gboolean backup_job_look(BackupJob *job, PauseAnswer *answer)
{
    g_autofree char *socket = NULL;
    char *xml;

    if (!job_find_domain(job, answer))
        return FALSE;
    xml = virDomainBackupGetXMLDesc(job->domain, 0);
    if (!xml)
        return job_fail_look(job, answer);
    socket = cst_domain_backup_socket(xml);
    free(xml); /* NOLINT: libvirt allocates it with malloc() */
    return g_strcmp0(socket, job->socket) == 0 || pause_answer_fail(answer, PAUSE_ABORTED, NULL);
}

gboolean backup_job_has_io_error(BackupJob *job)
{
    int state = VIR_DOMAIN_NOSTATE, reason = 0;

    return virDomainGetState(job->domain, &state, &reason, 0) >= 0 && state == VIR_DOMAIN_PAUSED &&
           reason == VIR_DOMAIN_PAUSED_IOERROR;
}

/* The time limit of the process ends the loop. */
gboolean backup_job_end(BackupJob *job, PauseAnswer *answer)
{
    while (backup_job_look(job, answer)) {
        if (!job->aborted)
            job->aborted = virDomainAbortJob(job->domain) >= 0;
        poll(NULL, 0, END_POLL_MS);
    }
    return answer->outcome == PAUSE_ABORTED || answer->outcome == PAUSE_ENDED;
}

gboolean backup_job_resume(BackupJob *job, PauseAnswer *answer)
{
    return !backup_job_has_io_error(job) || virDomainResume(job->domain) >= 0 ||
           pause_answer_fail_libvirt(answer);
}
