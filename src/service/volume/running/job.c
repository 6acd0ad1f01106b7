/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Block jobs of volumes that a running domain has as a disk (hypervisor/job.h).
 *
 * QEMU has the images open and changes them. The operation holds the claims of all volumes that the
 * job changes, so that no other operation of Cistern does. QEMU's own locks keep other programs
 * from the images.
 */
#include "job.h"

#include <string.h>

#include <base/error.h>
#include <base/i18n.h>
#include <base/text.h>

#include "core/domains.h"
#include "dependency/guard.h"
#include "disk.h"

/* libvirt closes an image shortly after the domain has left it. */
#define RELEASE_US (10 * G_TIME_SPAN_SECOND)
#define POLL_US    (50 * G_TIME_SPAN_MILLISECOND)

/* A disk of another pool with the same names may be another volume. QEMU's locks protect it. */
static void disks_remove_by_name(GPtrArray *disks)
{
    for (guint i = disks->len; i > 0; i--)
        if (((const CstDomainDisk *)disks->pdata[i - 1])->by_name)
            g_ptr_array_remove_index(disks, i - 1);
}

/* Asks libvirt whether the disk has the format and the size of the volume, and no job. */
static gboolean job_check_disk(const VolumeClaim *claim, const CstVolume *volume,
                               const CstDomainDisk *found, CstDiskFitness *ret_fitness,
                               GError **error)
{
    CstHypervisorDisk disk =
        running_disk_question(volume, volume->format, running_disk_bytes(volume->capacity));
    gboolean sent;
    uint64_t guest;

    *ret_fitness = running_disk_fitness(found);
    if (*ret_fitness != CST_DISK_FIT)
        return TRUE;
    return volume_domain_resize(claim, found, &disk, ret_fitness, &guest, &sent, error);
}

/* Always returns FALSE. */
static gboolean job_refuse_larger(const CstDomainDisk *disk, const char *volume, GError **error)
{
    g_autofree char *domain = cst_text_escape(disk->domain);
    g_autofree char *target = cst_text_escape(disk->target);

    return cst_fail(error, CST_ERROR_BUSY,
                    _("disk '%s' of domain '%s' is larger than volume '%s'; refresh the pool "
                      "(pool-refresh), and try again"),
                    target, domain, volume);
}

gboolean running_job_find(const VolumeClaim *claim, const CstVolume *volume,
                          CstDomainDisk **ret_disk, GError **error)
{
    g_autoptr(GPtrArray) disks = NULL;
    CstDiskFitness fitness;

    *ret_disk = NULL;
    if (!volume_not_saved(claim, &disks, error))
        return FALSE;
    disks_remove_by_name(disks);
    if (disks->len == 0)
        return TRUE;
    if (disks->len > 1)
        return running_disks_refuse(disks, claim->name, error);
    if (!job_check_disk(claim, volume, disks->pdata[0], &fitness, error))
        return FALSE;
    /* The domain has ended, or has another volume by now. */
    if (fitness == CST_DISK_GONE || fitness == CST_DISK_INACTIVE)
        return TRUE;
    if (fitness == CST_DISK_LARGER)
        return job_refuse_larger(disks->pdata[0], claim->name, error);
    if (fitness != CST_DISK_FIT && fitness != CST_DISK_NO_SIZE)
        return running_disk_refuse(disks->pdata[0], claim->name, fitness, error);
    *ret_disk = g_ptr_array_steal_index(disks, 0);
    return TRUE;
}

/* --- base images ------------------------------------------------------------------------------ */

static gboolean holders_have_process(const GPtrArray *holders, int64_t pid)
{
    for (guint i = 0; i < holders->len; i++)
        if (pid > 0 && ((const CstHolder *)holders->pdata[i])->pid == pid)
            return TRUE;
    return FALSE;
}

/* Only QEMU may write to the volume of the disk, so its processes are those of the domain. */
static gboolean base_is_open_in_domain(const VolumeClaim *top, const VolumeClaim *base,
                                       GError **error)
{
    g_autoptr(GPtrArray) users = cst_pool_state_vol_holders(top->state, top->name, error);
    g_autoptr(GPtrArray) holders =
        users ? cst_pool_state_vol_holders(base->state, base->name, error) : NULL;
    g_autoptr(GPtrArray) strangers = g_ptr_array_new();

    for (guint i = 0; holders && i < holders->len; i++) {
        const CstHolder *holder = holders->pdata[i];

        if (!holder->passing && !holders_have_process(users, holder->pid))
            g_ptr_array_add(strangers, holders->pdata[i]);
    }
    return holders && cst_holders_refuse(strangers, base->name, error);
}

gboolean running_job_check_base(const VolumeClaim *top, const VolumeClaim *base,
                                const CstDomainDisk *disk, GError **error)
{
    g_autoptr(GPtrArray) disks = NULL;

    if (!base_is_open_in_domain(top, base, error) || !volume_not_saved(base, &disks, error))
        return FALSE;
    for (guint i = 0; i < disks->len; i++) {
        const CstDomainDisk *found = disks->pdata[i];
        g_autofree char *domain = cst_text_escape(found->domain);
        g_autofree char *target = cst_text_escape(found->target);

        if (!found->by_name &&
            (strcmp(found->uuid, disk->uuid) != 0 || strcmp(found->target, disk->target) != 0))
            return cst_fail(error, CST_ERROR_BUSY,
                            _("volume '%s' is in use: domain '%s' has it for disk '%s', too; make "
                              "that disk independent (vol-flatten) first"),
                            base->name, domain, target);
    }
    return TRUE;
}

/* --- release ---------------------------------------------------------------------------------- */

gboolean running_job_await_release(const VolumeClaim *claim, GError **error)
{
    gint64 end = g_get_monotonic_time() + RELEASE_US;

    while (g_get_monotonic_time() < end) {
        if (volume_not_open(claim, NULL))
            return TRUE;
        g_usleep(POLL_US);
    }
    return volume_not_open(claim, error);
}

/* --- the job ---------------------------------------------------------------------------------- */

static CstHypervisorJob *job_start_once(const VolumeClaim *claim, const CstDomainDisk *disk,
                                        CstHypervisorJobRequest *request,
                                        CstHypervisorPivot *ret_pivot, GError **error)
{
    CstHypervisorJob *job = volume_domain_job(claim, disk, request, ret_pivot, error);

    if (!job || cst_hypervisor_job_wait(job, claim->task, error))
        return job;
    *ret_pivot = cst_hypervisor_job_end(job);
    return NULL;
}

/*
 * A domain that has a persistent definition must still get it right. So the first attempt does not
 * accept a transient domain.
 */
CstHypervisorJob *running_job_start(const VolumeClaim *claim, const CstDomainDisk *disk,
                                    CstHypervisorJobRequest *request, CstHypervisorPivot *ret_pivot,
                                    GError **error)
{
    gboolean may_be_transient = request->transient;
    g_autoptr(GError) why = NULL;
    CstHypervisorJob *job;

    request->transient = FALSE;
    job = job_start_once(claim, disk, request, ret_pivot, &why);
    if (!job && may_be_transient && g_error_matches(why, CST_ERROR, CST_ERROR_INVALID)) {
        g_clear_error(&why);
        request->transient = TRUE;
        job = job_start_once(claim, disk, request, ret_pivot, &why);
    }
    if (!job)
        g_propagate_error(error, g_steal_pointer(&why));
    return job;
}
