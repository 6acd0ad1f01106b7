/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The writers of a set's volumes, and so the consistency of snapshots that are made now.
 *
 * The kernel knows the processes that have a volume open, and libvirt knows the domains. libvirt is
 * asked in any case: a domain with a managed save has no process, and the file systems on its disks
 * are in use.
 *
 *   writers of a volume                  snapshot
 *   no process, no domain                offline
 *   a domain with a managed save         crash: the guest's caches are in the saved memory
 *   disk of a running domain             the domain is suspended (set_pause.c)
 *   a process without a domain, or       raw: crash. Other formats are refused, because their
 *   libvirt does not answer              tables are in the memory of the process
 *   disks of several running domains     the same
 *   the QEMU at the monitor of the       the guest is suspended. Any other writer is refused
 *   request
 *
 * QEMU keeps the tables of a qcow2 image in memory, so the image cannot keep a snapshot of a
 * running domain. The pool keeps it instead, as a copy of the whole file, if it can share extents.
 */
#include "set_private.h"

#include <inttypes.h>
#include <string.h>

#include <base/error.h>
#include <base/i18n.h>
#include <base/text.h>
#include <hypervisor/qmp.h>
#include <image/image.h>

#include "core/domains.h"
#include "volume/running/qmp.h"

/* Sets the consistency of @member, unless it is worse already. Consumes @reason. */
static void member_set_consistency(SnapshotMember *member, CstConsistency consistency, char *reason)
{
    if (member->consistency != CST_CONSISTENCY_UNKNOWN && member->consistency <= consistency) {
        g_free(reason);
        return;
    }
    member->consistency = consistency;
    g_free(member->reason);
    member->reason = reason;
}

/* Whether the process is the QEMU of one of the domains. libvirt starts QEMU with "-uuid UUID". */
static gboolean process_is_of_domain(int64_t pid, const GPtrArray *disks)
{
    g_autofree char *path = g_strdup_printf("/proc/%" G_GINT64_FORMAT "/cmdline", pid);
    g_autofree char *words = NULL;
    gsize len = 0;

    if (pid <= 0 || disks->len == 0 || !g_file_get_contents(path, &words, &len, NULL))
        return FALSE;
    for (guint i = 0; i < disks->len; i++) {
        const char *uuid = ((const CstDomainDisk *)disks->pdata[i])->uuid;

        if (memmem(words, len, uuid, strlen(uuid) + 1))
            return TRUE;
    }
    return FALSE;
}

char *snapshot_member_writers(const SnapshotMember *member, GError **error)
{
    const VolumeClaim *claim = &member->target.claim;
    g_autoptr(GPtrArray) holders = cst_pool_state_vol_holders(claim->state, claim->name, error);
    g_autoptr(GPtrArray) writers = g_ptr_array_new();

    for (guint i = 0; holders && i < holders->len; i++) {
        const CstHolder *holder = holders->pdata[i];

        if (!holder->reads_only && !holder->passing &&
            !process_is_of_domain(holder->pid, member->disks))
            g_ptr_array_add(writers, holders->pdata[i]);
    }
    return holders ? cst_holders_describe(writers) : NULL;
}

/* A disk on the network has no file that would identify it, so its domain is not suspended. */
static gboolean disk_can_pause(const SnapshotMember *member, const CstDomainDisk *disk)
{
    return !disk->by_name && member->target.volume->type != CST_VOL_NETWORK;
}

static void member_add_disk(SnapshotMember *member, CstDomainDisk *disk)
{
    g_autofree char *domain = cst_text_escape(disk->domain);

    if (disk->state == CST_DOMAIN_SAVED)
        member_set_consistency(
            member, CST_CONSISTENCY_CRASH,
            g_strdup_printf(_("domain '%s' has a managed save, whose memory has the newest changes "
                              "of the guest"),
                            domain));
    else if (disk_can_pause(member, disk))
        g_ptr_array_add(member->disks, g_steal_pointer(&disk));
    else
        member_set_consistency(
            member, CST_CONSISTENCY_CRASH,
            g_strdup_printf(_("the disk of domain '%s' has no file on this host, so the domain was "
                              "not suspended for it"),
                            domain));
    cst_domain_disk_free(disk);
}

/*
 * Finds the domains of a volume. A guest does not write through a disk that is read-only, or to a
 * backing file. Fails only if the task was cancelled; otherwise *ret_why is libvirt's failure.
 */
static gboolean member_find_disks(SnapshotMember *member, GError **ret_why, GError **error)
{
    const VolumeClaim *claim = &member->target.claim;
    g_autoptr(GPtrArray) found =
        volume_domains(claim->pool, claim->state, claim->name, claim->task, ret_why);

    member->disks = g_ptr_array_new_with_free_func((GDestroyNotify)cst_domain_disk_free);
    if (g_error_matches(*ret_why, CST_ERROR, CST_ERROR_CANCELLED)) {
        g_propagate_error(error, g_steal_pointer(ret_why));
        return FALSE;
    }
    while (found && found->len > 0) {
        CstDomainDisk *disk = g_ptr_array_steal_index(found, 0);

        if (disk->reads_only)
            cst_domain_disk_free(disk);
        else
            member_add_disk(member, disk);
    }
    return TRUE;
}

/*
 * Whether a copy of the volume is only valid while its writers stand. A guest must be able to start
 * from raw content at any point in time. Other formats have tables in the memory of the writer.
 */
static gboolean member_needs_pause(const SnapshotMember *member)
{
    const CstVolume *volume = member->target.volume;

    return volume->format && !cst_image_name_is_plain(volume->format);
}

/* @why: libvirt's failure; NULL: libvirt has no domain with the volume. Always returns FALSE. */
static gboolean member_refuse_torn(const SnapshotMember *member, const char *writers,
                                   const GError *why, GError **error)
{
    if (why)
        return cst_fail(error, cst_error_code(why),
                        _("volume '%s' is open for writing: %s; cannot suspend its domain for a "
                          "snapshot: %s"),
                        member->target.volume->name, writers, why->message);
    cst_fail(error, CST_ERROR_BUSY,
             _("volume '%s' is open for writing: %s; a snapshot would mix content of different "
               "points in time; stop the writer first"),
             member->target.volume->name, writers);
    running_qmp_explain(&member->target.claim, error);
    return FALSE;
}

static gboolean member_find_writers(SnapshotMember *member, GError **error)
{
    g_autoptr(GError) why = NULL;
    g_autofree char *writers = NULL;

    if (!member_find_disks(member, &why, error))
        return FALSE;
    writers = snapshot_member_writers(member, error);
    if (!writers)
        return FALSE;
    if (*writers && member_needs_pause(member))
        return member_refuse_torn(member, writers, why, error);
    if (why)
        member_set_consistency(member, CST_CONSISTENCY_CRASH, g_strdup(why->message));
    else if (*writers)
        member_set_consistency(
            member, CST_CONSISTENCY_CRASH,
            g_strdup_printf(_("a process that was not suspended has it open: %s"), writers));
    member_set_consistency(member, CST_CONSISTENCY_OFFLINE, NULL);
    return TRUE;
}

/* --- a QEMU without libvirt ------------------------------------------------------------------- */

/* *pid: of the QEMU that has the earlier members open; 0: this member is the first one. */
static gboolean member_find_qemu(SnapshotMember *member, const char *socket, int64_t *pid,
                                 GError **error)
{
    CstDomainDisk *disk;
    int64_t found;

    if (!running_qmp_find_process(&member->target.claim, &found, error))
        return FALSE;
    if (*pid > 0 && found != *pid)
        return cst_fail(error, CST_ERROR_BUSY,
                        _("process %" PRId64 " has volume '%s' open, and process %" PRId64
                          " another one; name the volumes of one QEMU"),
                        found, member->target.volume->name, *pid);
    if (!volume_domain_identity(&member->target.claim).has_file)
        return cst_fail(error, CST_ERROR_UNSUPPORTED,
                        _("volume '%s' is no file and no device of this host, so the disk of QEMU "
                          "cannot be found; shut the machine down first"),
                        member->target.volume->name);
    *pid = found;
    disk = cst_qmp_domain_disk(socket, found, error);
    if (!disk)
        return FALSE;
    member->disks = g_ptr_array_new_with_free_func((GDestroyNotify)cst_domain_disk_free);
    g_ptr_array_add(member->disks, disk);
    member_set_consistency(member, CST_CONSISTENCY_OFFLINE, NULL);
    return TRUE;
}

static gboolean snapshot_set_find_qemu(SnapshotSet *set, GError **error)
{
    int64_t pid = 0;

    for (guint i = 0; i < set->members->len; i++)
        if (!member_find_qemu(snapshot_set_member(set, i), set->request->qmp, &pid, error))
            return FALSE;
    return TRUE;
}

/* --- the domain ------------------------------------------------------------------------------- */

static gboolean disk_is_of_domain(const CstDomainDisk *disk, const CstDomainDisk *other)
{
    return strcmp(disk->uuid, other->uuid) == 0 && g_strcmp0(disk->uri, other->uri) == 0;
}

/* Returns a disk of another domain than set->disk, borrowed; NULL: there is one domain at most. */
static const CstDomainDisk *snapshot_set_find_domain(SnapshotSet *set)
{
    for (guint i = 0; i < set->members->len; i++) {
        const SnapshotMember *member = snapshot_set_member(set, i);

        for (guint j = 0; j < member->disks->len; j++) {
            const CstDomainDisk *disk = member->disks->pdata[j];

            if (set->disk && !disk_is_of_domain(set->disk, disk))
                return disk;
            set->disk = disk;
        }
    }
    return NULL;
}

gboolean snapshot_set_leave_running(SnapshotSet *set, const char *reason)
{
    if (set->request->minimum > CST_CONSISTENCY_CRASH || set->request->qmp)
        return FALSE;
    for (guint i = 0; i < set->members->len; i++)
        if (snapshot_set_member(set, i)->disks->len > 0 &&
            member_needs_pause(snapshot_set_member(set, i)))
            return FALSE;
    for (guint i = 0; i < set->members->len; i++)
        if (snapshot_set_member(set, i)->disks->len > 0)
            member_set_consistency(snapshot_set_member(set, i), CST_CONSISTENCY_CRASH,
                                   g_strdup(reason));
    set->disk = NULL;
    return TRUE;
}

/* Two domains cannot be suspended at the same time. */
static gboolean snapshot_set_leave_two_running(SnapshotSet *set, const CstDomainDisk *other,
                                               GError **error)
{
    g_autofree char *name = cst_text_escape(set->disk->domain);
    g_autofree char *other_name = cst_text_escape(other->domain);
    g_autofree char *reason =
        g_strdup_printf(_("the volumes are disks of two running domains, '%s' and '%s', which "
                          "cannot be suspended together"),
                        name, other_name);

    return snapshot_set_leave_running(set, reason) ||
           cst_fail(error, CST_ERROR_BUSY, _("%s; make a snapshot of the volumes of each domain"),
                    reason);
}

/* Has the pool keep the snapshot of an image that the domain has open. */
static gboolean member_select_provider(SnapshotMember *member, const char *name, GError **error)
{
    CstPoolState *state = member->target.claim.state;
    gboolean can =
        member->target.volume->type == CST_VOL_BLOCK && cst_pool_state_has_snapshots(state);

    if (member->disks->len == 0 || member->provider == &snapshot_pool_provider)
        return TRUE;
    if (!can && cst_pool_state_can_draft_snapshot(state) &&
        !cst_pool_state_snapshots_of_drafts(state, &can, error))
        return FALSE;
    if (can && member->target.volume->extra && member->target.volume->extra->data_file)
        return cst_fail(error, CST_ERROR_UNSUPPORTED,
                        _("volume '%s' has an external data file, which a snapshot by the pool "
                          "would not have; shut the domain down first"),
                        member->target.volume->name);
    if (can) {
        member->provider = &snapshot_pool_provider;
        return cst_pool_state_name_check(state, name, _("snapshot"), error);
    }
    cst_fail(error, CST_ERROR_BUSY,
             _("the image of volume '%s' cannot keep a new snapshot while a domain runs, and the "
               "storage of the pool cannot keep it (XFS with reflink and Btrfs can)"),
             member->target.volume->name);
    volume_explain_domains(&member->target.claim, error);
    return FALSE;
}

/* Without a pause, the consistency is known before the snapshots are made. */
static gboolean snapshot_set_check_minimum(const SnapshotSet *set, GError **error)
{
    for (guint i = 0; !set->disk && i < set->members->len; i++) {
        const SnapshotMember *member = snapshot_set_member(set, i);

        if (member->consistency < set->request->minimum)
            return cst_fail(error, CST_ERROR_STATE,
                            _("a snapshot of volume '%s' would have consistency '%s', not '%s': "
                              "%s; no snapshot was made"),
                            member->target.volume->name, cst_consistency_word(member->consistency),
                            cst_consistency_word(set->request->minimum), member->reason);
    }
    return TRUE;
}

gboolean snapshot_set_find_writers(SnapshotSet *set, GError **error)
{
    const CstDomainDisk *other;

    if (set->request->qmp && !snapshot_set_find_qemu(set, error))
        return FALSE;
    for (guint i = 0; !set->request->qmp && i < set->members->len; i++)
        if (!member_find_writers(snapshot_set_member(set, i), error))
            return FALSE;
    other = snapshot_set_find_domain(set);
    if (other && !snapshot_set_leave_two_running(set, other, error))
        return FALSE;
    for (guint i = 0; i < set->members->len; i++)
        if (!member_select_provider(snapshot_set_member(set, i), set->request->name, error))
            return FALSE;
    return snapshot_set_check_minimum(set, error);
}
