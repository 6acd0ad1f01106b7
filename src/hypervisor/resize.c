/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The helper's second question: may the disk of a running domain grow, and its growth.
 *
 * All checks and virDomainBlockResize() are in one process, because the domain may have stopped, or
 * may have another file as its disk, since it was found. libvirt identifies the disk by its target,
 * so the helper compares the file of that target with the volume before the call.
 *
 *   1. virDomainLookupByUUIDString(), virDomainGetState(): it runs, or an administrator paused it.
 *   2. virDomainGetXMLDesc(): the top layer of the target is the volume, in its format. A disk with
 * type='volume' has no path there, and its pool may be a different pool of libvirt with the same
 * name. virConnectGetAllDomainStats() has the path.
 *   3. virDomainGetJobInfo(), virDomainGetBlockJobInfo(): with a job, virDomainBlockResize() would
 *      wait up to 30 s for a lock of libvirt.
 *   4. virDomainGetBlockInfo(): libvirt 9.0 shrinks without an error, so a larger disk is refused.
 *   5. virDomainBlockResize(), and virDomainGetBlockInfo() again.
 *
 * Before step 5 the helper writes HYPERVISOR_SENT, and the alarm is set anew. A kill there leaves
 * the disk with its old or its new size.
 */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <base/i18n.h>

#include "disk.h"

#define DEFAULT_FORMAT "raw" /* of a disk without a format in its document */

/* Always returns FALSE: the checks end here, without a failure. */
static gboolean disk_unfit(Helper *helper, CstDiskFitness fitness)
{
    helper->fitness = fitness;
    return FALSE;
}

/*
 * Whether the guest's bytes differ from those of the volume. An encrypted image in another format
 * than raw has the size of the guest's disk in its header. libvirt's default format is raw.
 */
static gboolean disk_is_other_format(const Helper *helper, const CstDomainLayer *top)
{
    const char *format = top->format ? top->format : DEFAULT_FORMAT;

    return strcmp(format, helper->disk.format) != 0 ||
           (top->translated && strcmp(format, DEFAULT_FORMAT) == 0);
}

/*
 * Compares the disk with the volume. The format is compared before the state of the domain and of
 * the disk, because a device in another format may grow in any state.
 */
static gboolean disk_check_identity(Helper *helper, const CstDomainDef *def)
{
    const CstDomainLayer *top = layer_of_target(def, helper->disk.target);
    gboolean shown = top && (top->path ? helper_path_is_volume(helper, top->path)
                                       : helper_stats_show_volume(helper, helper->disk.uuid,
                                                                  helper->disk.target));

    if (shown && disk_is_other_format(helper, top))
        return disk_unfit(helper, CST_DISK_OTHER_FORMAT);
    if (top && top->mirrored)
        return disk_unfit(helper, CST_DISK_HAS_BLOCK_JOB);
    return shown || disk_unfit(helper, helper_volume_is_below(helper, def, helper->disk.target)
                                           ? CST_DISK_ABOVE_VOLUME
                                           : CST_DISK_GONE);
}

static gboolean disk_check_access(Helper *helper, const CstDomainDef *def)
{
    const CstDomainLayer *top = layer_of_target(def, helper->disk.target);

    if (top->shareable)
        return disk_unfit(helper, CST_DISK_SHAREABLE);
    return !top->read_only || disk_unfit(helper, CST_DISK_READ_ONLY);
}

/*
 * Permitted are a domain that runs, and one that an administrator paused. Other reasons of a pause,
 * such as a migration or an I/O error, may have requests on the disk.
 */
static gboolean domain_state_is_fit(int state, int reason)
{
    if (state == VIR_DOMAIN_PAUSED)
        return reason == VIR_DOMAIN_PAUSED_USER || reason == VIR_DOMAIN_PAUSED_UNKNOWN;
    return state == VIR_DOMAIN_RUNNING || state == VIR_DOMAIN_BLOCKED;
}

static gboolean disk_check_jobs(Helper *helper, virDomainPtr domain)
{
    int job = domain_has_job(domain);
    int block_job = job == 0 ? domain_has_block_job(domain, helper->disk.target) : 0;

    if (job < 0 || block_job < 0)
        return helper_fail_libvirt(helper);
    if (job > 0)
        return disk_unfit(helper, CST_DISK_DOMAIN_HAS_JOB);
    return block_job == 0 || disk_unfit(helper, CST_DISK_HAS_BLOCK_JOB);
}

static gboolean disk_read_capacity(Helper *helper, virDomainPtr domain)
{
    virDomainBlockInfo info = {0};

    if (virDomainGetBlockInfo(domain, helper->disk.target, &info, 0) < 0)
        return libvirt_code() == VIR_ERR_NO_SUPPORT && helper->volume.is_device
                   ? disk_unfit(helper, CST_DISK_NO_SIZE)
                   : helper_fail_libvirt(helper);
    if (info.capacity == 0 && !helper->disk.is_empty)
        return helper_fail(helper, _("the size of the disk is not known"));
    helper->capacity = info.capacity;
    return TRUE;
}

/* Returns FALSE if the disk is unfit, and after a failure. */
static gboolean disk_check(Helper *helper, virDomainPtr domain)
{
    g_autoptr(CstDomainDef) def = NULL;
    int state = VIR_DOMAIN_NOSTATE, reason = 0;

    if (virDomainGetState(domain, &state, &reason, 0) < 0)
        return libvirt_code() == VIR_ERR_NO_DOMAIN ? disk_unfit(helper, CST_DISK_INACTIVE)
                                                   : helper_fail_libvirt(helper);
    if (state == VIR_DOMAIN_SHUTOFF)
        return disk_unfit(helper, CST_DISK_INACTIVE);
    if (!helper_read_def(helper, domain, virDomainGetXMLDesc(domain, 0), &def))
        return FALSE;
    if (!def)
        return disk_unfit(helper, CST_DISK_INACTIVE);
    if (!disk_check_identity(helper, def))
        return FALSE;
    if (!domain_state_is_fit(state, reason))
        return disk_unfit(helper, CST_DISK_STOPPED);
    if (!disk_check_access(helper, def) || !disk_check_jobs(helper, domain) ||
        !disk_read_capacity(helper, domain))
        return FALSE;
    return helper->capacity <= helper->disk.bytes || disk_unfit(helper, CST_DISK_LARGER);
}

/* After an error of the connection, libvirt may still make the change. */
static gboolean disk_request(Helper *helper, virDomainPtr domain)
{
    if (virDomainBlockResize(domain, helper->disk.target, helper->disk.bytes,
                             VIR_DOMAIN_BLOCK_RESIZE_BYTES) == 0)
        return TRUE;
    helper_fail_libvirt(helper);
    if (virGetLastError() && virGetLastError()->domain == VIR_FROM_RPC)
        helper->outcome = HYPERVISOR_UNVERIFIED;
    return FALSE;
}

static void disk_resize(Helper *helper, virDomainPtr domain)
{
    if (putchar(HYPERVISOR_SENT) == EOF || fflush(stdout) != 0) {
        helper_fail(helper, "stdout");
        return;
    }
    alarm(helper->deadline_s);
    if (disk_request(helper, domain) && !disk_read_capacity(helper, domain))
        helper->outcome = HYPERVISOR_UNVERIFIED;
}

gboolean helper_resize(Helper *helper)
{
    virDomainPtr domain = virDomainLookupByUUIDString(helper->conn, helper->disk.uuid);

    helper->fitness = CST_DISK_FIT;
    if (!domain && libvirt_code() != VIR_ERR_NO_DOMAIN)
        return helper_fail_libvirt(helper);
    if (!domain)
        disk_unfit(helper, CST_DISK_INACTIVE);
    else if (disk_check(helper, domain) && helper->disk.change)
        disk_resize(helper, domain);
    if (domain)
        virDomainFree(domain);
    return helper->outcome == HYPERVISOR_ANSWERED;
}
