/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Growth of a volume that a QEMU without libvirt has as a disk. As with a domain, QEMU changes an
 * image in a file itself. A device grows first, by the pool's technology, and then QEMU gets its
 * exact size. A kill between both steps leaves a guest with a smaller disk; the same command
 * with the present capacity then informs QEMU.
 */
#include "qmp.h"

#include <inttypes.h>
#include <string.h>
#include <unistd.h>

#include <base/dry_run.h>
#include <base/error.h>
#include <base/i18n.h>
#include <base/text.h>
#include <hypervisor/qmp.h>
#include <image/image.h>
#include <service/volumes.h>

#include "core/domains.h"
#include "core/scan.h"
#include "core/trust.h"
#include "disk.h"

gboolean running_qmp_check_caller(CstTask *task, GError **error)
{
    uid_t uid;
    pid_t pid;

    cst_task_owner(task, &uid, &pid);
    return uid == geteuid() ||
           cst_fail(error, CST_ERROR_DENIED,
                    _("only user %u, as which this service runs, can name a monitor of QEMU"),
                    (unsigned)geteuid());
}

/* The text of a holder names the program of the process, and the domain that libvirt has of it. */
static gboolean holder_is_qemu(const CstHolder *holder)
{
    return strstr(holder->what, "(qemu-system") && !strstr(holder->what, ", domain ");
}

void running_qmp_explain(const VolumeClaim *claim, GError **error)
{
    g_autofree char *before = error ? g_strdup((*error)->message) : NULL;
    g_autoptr(GPtrArray) holders = NULL;

    volume_explain_domains(claim, error);
    if (!error || strcmp(before, (*error)->message) != 0)
        return;
    holders = cst_pool_state_vol_holders(claim->state, claim->name, NULL);
    if (!holders || holders->len != 1 || !holder_is_qemu(holders->pdata[0]))
        return;
    g_error_free(*error);
    *error = g_error_new(CST_ERROR, CST_ERROR_BUSY,
                         _("%s; if libvirt does not manage this QEMU, name the socket of its "
                           "monitor (--qmp)"),
                         before);
}

/* A disk of another pool with the same names may be another volume. */
static gboolean qmp_check_domains(const VolumeClaim *claim, GError **error)
{
    g_autoptr(GPtrArray) disks = NULL;

    if (!volume_not_saved(claim, &disks, error))
        return FALSE;
    for (guint i = 0; i < disks->len; i++) {
        const CstDomainDisk *disk = disks->pdata[i];
        g_autofree char *domain = cst_text_escape(disk->domain);

        if (!disk->by_name)
            return cst_fail(error, CST_ERROR_BUSY,
                            _("libvirt manages domain '%s', which has volume '%s' as disk '%s'; "
                              "leave out --qmp"),
                            domain, claim->name, disk->target);
    }
    return TRUE;
}

gboolean running_qmp_find_process(const VolumeClaim *claim, int64_t *ret_pid, GError **error)
{
    g_autoptr(GPtrArray) holders = NULL;

    *ret_pid = 0;
    if (!qmp_check_domains(claim, error))
        return FALSE;
    holders = cst_pool_state_vol_holders(claim->state, claim->name, error);
    for (guint i = 0; holders && i < holders->len; i++) {
        const CstHolder *holder = holders->pdata[i];

        if (holder->passing)
            continue;
        if (holder->pid <= 0 || (*ret_pid > 0 && holder->pid != *ret_pid))
            return cst_holders_refuse(holders, claim->name, error);
        *ret_pid = holder->pid;
    }
    return holders &&
           (*ret_pid > 0 ||
            cst_fail(error, CST_ERROR_INVALID,
                     _("no process has volume '%s' open; leave out --qmp"), claim->name));
}

/* @bytes: of the disk. *ret_guest: its bytes afterwards. */
static gboolean qmp_resize_disk(const VolumeClaim *claim, const CstVolume *volume, CstQmpDisk *disk,
                                uint64_t bytes, gboolean change, uint64_t *ret_guest,
                                GError **error)
{
    CstHypervisorVolume identity = volume_domain_identity(claim);
    gboolean plain =
        volume->type != CST_VOL_FILE || !volume->format || cst_image_name_is_plain(volume->format);
    gboolean sent = FALSE;

    if (!identity.has_file)
        return cst_fail(error, CST_ERROR_UNSUPPORTED,
                        _("volume '%s' is no file and no device of this host; inform QEMU by its "
                          "monitor (block_resize)"),
                        claim->name);
    disk->format = plain ? "raw" : volume->format;
    disk->bytes = bytes;
    disk->change = change;
    if (cst_qmp_resize(&identity, disk, claim->task, ret_guest, &sent, error))
        return TRUE;
    if (sent)
        g_prefix_error(error,
                       _("it is not known whether the disk of volume '%s' has grown; run the "
                         "command again with a size in bytes (%" PRIu64 "B): "),
                       claim->name, bytes);
    else
        g_prefix_error(error, _("cannot grow volume '%s', which process %" PRId64 " has open: "),
                       claim->name, disk->pid);
    return FALSE;
}

/* Compares the size that QEMU reports, and that of the file, with the request. */
static gboolean qmp_verify(const VolumeClaim *claim, uint64_t bytes, uint64_t guest,
                           uint64_t capacity, GError **error)
{
    return (guest == bytes && capacity == bytes) ||
           cst_fail(error, CST_ERROR_FAILED,
                    _("QEMU claims to have grown volume '%s' to %" PRIu64 " bytes, but it has "
                      "%" PRIu64 " bytes"),
                    claim->name, bytes, capacity);
}

static gboolean qmp_grow_file(const VolumeClaim *claim, const CstVolume *volume, CstQmpDisk *disk,
                              uint64_t bytes, GError **error)
{
    g_autoptr(CstVolume) now = NULL;
    uint64_t guest = 0;

    if (!qmp_resize_disk(claim, volume, disk, bytes, TRUE, &guest, error))
        return FALSE;
    volume_rescan(claim);
    now = pool_volume(claim->pool, claim->state, claim->name, error);
    return now && qmp_verify(claim, bytes, guest, now->capacity, error);
}

static gboolean qmp_grow_device(const VolumeClaim *claim, const CstVolume *volume, CstQmpDisk *disk,
                                uint64_t capacity, GError **error)
{
    g_autoptr(CstBlob) blob = NULL;
    uint64_t bytes = 0, guest = 0;

    if (capacity > volume->capacity &&
        !cst_pool_state_vol_resize(claim->state, claim->name, capacity, claim->task, error))
        return FALSE;
    blob = cst_pool_state_vol_open(claim->state, claim->name, FALSE, error);
    if (blob && cst_blob_get_size(blob, &bytes, error) &&
        qmp_resize_disk(claim, volume, disk, bytes, TRUE, &guest, error))
        return qmp_verify(claim, bytes, guest, bytes, error);
    g_prefix_error(error,
                   _("volume '%s' has its new capacity, but the guest may not see it; run the "
                     "command again with %" PRIu64 "B: "),
                   claim->name, bytes);
    return FALSE;
}

gboolean running_qmp_grow(const VolumeClaim *claim, const CstVolume *volume, const char *socket,
                          uint64_t capacity, GError **error)
{
    uint64_t bytes = running_disk_bytes(capacity), guest = 0;
    CstQmpDisk disk = {.socket = socket};

    if (!running_qmp_find_process(claim, &disk.pid, error) ||
        (volume->type == CST_VOL_FILE && !trust_check_header(volume, error)) ||
        !qmp_resize_disk(claim, volume, &disk, bytes, FALSE, &guest, error) ||
        !cst_may_change(error))
        return FALSE;
    if (capacity == volume->capacity && guest == bytes)
        return TRUE;
    return volume->type == CST_VOL_FILE ? qmp_grow_file(claim, volume, &disk, bytes, error)
                                        : qmp_grow_device(claim, volume, &disk, capacity, error);
}
