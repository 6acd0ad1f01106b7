/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "disk.h"

#include <base/error.h>
#include <base/i18n.h>
#include <base/text.h>
#include <base/units.h>
#include <image/image.h>

#define SECTOR 512 /* bytes */

CstDiskFitness running_disk_fitness(const CstDomainDisk *disk)
{
    if (disk->level > 0)
        return CST_DISK_ABOVE_VOLUME;
    if (disk->shareable)
        return CST_DISK_SHAREABLE;
    if (disk->reads_only)
        return CST_DISK_READ_ONLY;
    return disk->state == CST_DOMAIN_RUNNING || disk->state == CST_DOMAIN_PAUSED ? CST_DISK_FIT
                                                                                 : CST_DISK_STOPPED;
}

uint64_t running_disk_bytes(uint64_t capacity)
{
    return cst_round_up(capacity, SECTOR);
}

CstHypervisorDisk running_disk_question(const CstVolume *volume, const char *format, uint64_t bytes)
{
    gboolean plain = !format || cst_image_name_is_plain(format);

    return (CstHypervisorDisk){
        .format = plain ? "raw" : format, .bytes = bytes, .is_empty = volume->capacity == 0};
}

/* Returns the reason and the next step, which the caller frees. @domain is a word of a shell. */
static char *disk_unfit_text(CstDiskFitness fitness, const char *domain, const char *target)
{
    switch (fitness) {
    case CST_DISK_STOPPED:
        return g_strdup_printf(_("the domain is ending, or it is paused by an I/O error (virsh "
                                 "domblkerror %s) or by another operation; resume it or stop it "
                                 "first"),
                               domain);
    case CST_DISK_SHAREABLE:
        return g_strdup_printf(_("the disk is shareable, and further guests may have it; shut the "
                                 "domain down first (virsh shutdown %s)"),
                               domain);
    case CST_DISK_READ_ONLY:
        return g_strdup_printf(
            _("the disk is read-only; shut the domain down first (virsh shutdown %s)"), domain);
    case CST_DISK_ABOVE_VOLUME:
        return g_strdup(_("the volume is a backing file of the disk; name the volume on top"));
    case CST_DISK_OTHER_FORMAT:
        return g_strdup_printf(_("the domain uses the volume in another format; shut it down first "
                                 "(virsh shutdown %s)"),
                               domain);
    case CST_DISK_DOMAIN_HAS_JOB:
        return g_strdup_printf(_("the domain has a job (virsh domjobinfo %s); wait for its end, or "
                                 "end it (virsh domjobabort %s)"),
                               domain, domain);
    case CST_DISK_HAS_BLOCK_JOB:
        return g_strdup_printf(_("the disk has a block job; wait for its end, or end it (virsh "
                                 "blockjob %s %s --abort)"),
                               domain, target);
    case CST_DISK_LARGER:
        return g_strdup(_("the guest's disk is larger than that; request a larger size"));
    case CST_DISK_INACTIVE: return g_strdup(_("the domain is not active any more"));
    default: return g_strdup(_("the domain has another volume as this disk"));
    }
}

gboolean running_disk_refuse(const CstDomainDisk *disk, const char *volume, CstDiskFitness fitness,
                             GError **error)
{
    g_autofree char *domain = cst_text_escape(disk->domain);
    g_autofree char *target = cst_text_escape(disk->target);
    g_autofree char *domain_word = g_shell_quote(domain);
    g_autofree char *target_word = g_shell_quote(target);
    g_autofree char *text = disk_unfit_text(fitness, domain_word, target_word);

    return cst_fail(error, CST_ERROR_BUSY,
                    _("cannot change volume '%s', which domain '%s' has as disk '%s': %s"), volume,
                    domain, target, text);
}

gboolean running_disks_refuse(const GPtrArray *disks, const char *volume, GError **error)
{
    const CstDomainDisk *first = disks->pdata[0], *second = disks->pdata[1];
    g_autofree char *first_name = cst_text_escape(first->domain);
    g_autofree char *second_name = cst_text_escape(second->domain);

    return cst_fail(error, CST_ERROR_BUSY,
                    _("cannot change volume '%s', which is %u disks of running domains, such as "
                      "'%s' and '%s'; shut the domains down first"),
                    volume, disks->len, first_name, second_name);
}
