/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Growth of a volume that a running domain has as a disk.
 *
 * QEMU has an image in a file open, so QEMU changes it, and libvirt's virDomainBlockResize() is the
 * whole change. A device grows first, by the pool's technology, and then the guest learns its exact
 * size by the same call. The checks are made before the device grows, and again by the helper
 * process right before the call (src/hypervisor/resize.c). A kill between both steps leaves a guest
 * with a smaller disk. The next call with the present capacity notices that and tells the domain.
 *
 * libvirt may shrink a disk without an error. So the capacities are compared here, with the volume
 * claimed, and the helper compares the new size with the guest's disk. The volume's capacity is
 * read again afterwards.
 */
#include "grow.h"

#include <inttypes.h>

#include <base/dry_run.h>
#include <base/error.h>
#include <base/i18n.h>
#include <base/log.h>
#include <base/test_point.h>
#include <base/text.h>
#include <base/units.h>
#include <image/image.h>
#include <service/volumes.h>

#include "core/domains.h"
#include "core/scan.h"
#include "core/service.h"
#include "core/trust.h"
#include "disk.h"

/* --- the checks ------------------------------------------------------------------------------- */

/* The technology of the pool grows a device, and not an image in it. */
static const char *grown_format(const CstVolume *volume)
{
    return volume->type == CST_VOL_FILE ? volume->format : NULL;
}

/* The device may be larger than @capacity afterwards, so the check compares a lower bound. */
static gboolean running_disk_check(const VolumeClaim *claim, const CstVolume *volume,
                                   const CstDomainDisk *found, uint64_t capacity,
                                   CstDiskFitness *ret_fitness, uint64_t *ret_guest, GError **error)
{
    CstHypervisorDisk disk =
        running_disk_question(volume, grown_format(volume), running_disk_bytes(capacity));
    gboolean sent;

    /* A device in another format may grow in any state, so the helper reads the format first. */
    *ret_fitness = volume->type == CST_VOL_FILE ? running_disk_fitness(found) : CST_DISK_FIT;
    return *ret_fitness != CST_DISK_FIT ||
           volume_domain_resize(claim, found, &disk, ret_fitness, ret_guest, &sent, error);
}

/*
 * A device grows without the guest if it has an image in another format, if it is a backing file,
 * or if libvirt cannot report the size of the disk.
 */
static gboolean volume_grows_alone(const CstVolume *volume, CstDiskFitness fitness)
{
    return volume->type != CST_VOL_FILE &&
           (fitness == CST_DISK_OTHER_FORMAT || fitness == CST_DISK_ABOVE_VOLUME ||
            fitness == CST_DISK_NO_SIZE);
}

/*
 * Removes the disks that are not known to be this volume. Another pool of libvirt may have the same
 * name. If a domain has the volume nevertheless, the lock of QEMU forbids the change of a file.
 * A device that is a backing file grows alone.
 */
static void disks_remove_unrelated(GPtrArray *disks, const CstVolume *volume)
{
    for (guint i = disks->len; i > 0; i--) {
        const CstDomainDisk *disk = disks->pdata[i - 1];

        if (disk->by_name || (disk->level > 0 && volume->type != CST_VOL_FILE))
            g_ptr_array_remove_index(disks, i - 1);
    }
}

gboolean running_disk_find(const VolumeClaim *claim, const CstVolume *volume, uint64_t capacity,
                           unsigned flags, CstDomainDisk **ret_disk, GError **error)
{
    g_autoptr(GPtrArray) disks = NULL;
    CstDiskFitness fitness;
    uint64_t guest = 0;
    gboolean larger = capacity > volume->capacity;

    *ret_disk = NULL;
    if (!volume_not_saved(claim, &disks, error))
        return FALSE;
    disks_remove_unrelated(disks, volume);
    if (disks->len == 0 || volume->type == CST_VOL_NETWORK || (!larger && disks->len > 1))
        return TRUE;
    if (disks->len > 1)
        return running_disks_refuse(disks, claim->name, error);
    if (!running_disk_check(claim, volume, disks->pdata[0], capacity, &fitness, &guest, error)) {
        if (error && !g_error_matches(*error, CST_ERROR, CST_ERROR_CANCELLED))
            g_prefix_error(error,
                           _("cannot grow volume '%s' of a running domain; try again when "
                             "libvirt answers, or shut the domain down first: "),
                           claim->name);
        return FALSE;
    }
    if (fitness == CST_DISK_GONE || fitness == CST_DISK_INACTIVE ||
        volume_grows_alone(volume, fitness) ||
        (!larger && (fitness != CST_DISK_FIT || guest >= capacity)))
        return TRUE;
    if (fitness != CST_DISK_FIT)
        return running_disk_refuse(disks->pdata[0], claim->name, fitness, error);
    if (volume->type == CST_VOL_FILE && !trust_check_header(volume, error))
        return FALSE;
    if (volume->type == CST_VOL_FILE && (flags & CST_VOL_RESIZE_ALLOCATE))
        return cst_fail(error, CST_ERROR_BUSY,
                        _("cannot allocate the space of volume '%s' while a domain has it open; "
                          "leave out --allocate, or shut the domain down first"),
                        claim->name);
    *ret_disk = g_ptr_array_steal_index(disks, 0);
    return TRUE;
}

/* --- the growth ------------------------------------------------------------------------------- */

/* Returns the command that finishes the work, which the caller frees. */
static char *resize_command(const VolumeClaim *claim, uint64_t bytes)
{
    g_autofree char *volume = g_shell_quote(claim->name);
    g_autofree char *pool = g_shell_quote(claim->pool->name);

    return g_strdup_printf("vol-resize %s %" PRIu64 "B --pool %s", volume, bytes, pool);
}

/* Result of a request to libvirt. */
typedef enum {
    GROWTH_DONE,
    GROWTH_INACTIVE, /* the domain has stopped, with an error */
    GROWTH_NOT_SENT, /* the disk is as before, with an error */
    GROWTH_REFUSED,  /* like GROWTH_NOT_SENT; the error has the next step */
    GROWTH_UNKNOWN   /* the disk may have grown, with an error */
} GrowthResult;

static GrowthResult growth_result(CstDiskFitness fitness)
{
    switch (fitness) {
    case CST_DISK_INACTIVE: return GROWTH_INACTIVE;
    case CST_DISK_GONE: return GROWTH_NOT_SENT;
    default: return GROWTH_REFUSED;
    }
}

/* Grows the disk, and compares its size. */
static GrowthResult running_disk_tell(const VolumeClaim *claim, const CstVolume *volume,
                                      const CstDomainDisk *found, uint64_t bytes, GError **error)
{
    CstHypervisorDisk disk = running_disk_question(volume, grown_format(volume), bytes);
    CstDiskFitness fitness;
    gboolean sent = FALSE;
    uint64_t guest = 0;

    disk.change = TRUE;
    if (!volume_domain_resize(claim, found, &disk, &fitness, &guest, &sent, error))
        return sent ? GROWTH_UNKNOWN : GROWTH_NOT_SENT;
    if (fitness != CST_DISK_FIT) {
        running_disk_refuse(found, claim->name, fitness, error);
        return growth_result(fitness);
    }
    if (guest >= bytes)
        return GROWTH_DONE;
    cst_fail(
        error, CST_ERROR_FAILED,
        _("libvirt claims to have grown the disk of volume '%s', but it has %" PRIu64 " bytes"),
        claim->name, guest);
    return GROWTH_REFUSED;
}

/* Reads the capacity of the volume again. */
static gboolean volume_verify_capacity(const VolumeClaim *claim, uint64_t bytes, GError **error)
{
    g_autoptr(CstVolume) volume = NULL;

    volume_rescan(claim);
    volume = pool_volume(claim->pool, claim->state, claim->name, error);
    if (!volume)
        return FALSE;
    return volume->capacity == bytes ||
           cst_fail(error, CST_ERROR_FAILED,
                    _("libvirt claims to have grown volume '%s' to %" PRIu64
                      " bytes, but it has %" PRIu64 " bytes"),
                    claim->name, bytes, volume->capacity);
}

static gboolean running_file_grow(const VolumeClaim *claim, const CstVolume *volume,
                                  const CstDomainDisk *found, uint64_t capacity, GError **error)
{
    uint64_t bytes = running_disk_bytes(capacity);
    g_autofree char *command = resize_command(claim, bytes);
    g_autoptr(GError) why = NULL;
    GrowthResult result;

    if (!cst_may_change(error))
        return FALSE;
    result = running_disk_tell(claim, volume, found, bytes, &why);
    if (result == GROWTH_DONE)
        return volume_verify_capacity(claim, bytes, error);
    if (result == GROWTH_UNKNOWN)
        g_prefix_error(
            &why, _("it is not known whether the disk of the domain has grown; run %s: "), command);
    else if (result != GROWTH_REFUSED && !g_error_matches(why, CST_ERROR, CST_ERROR_CANCELLED))
        g_prefix_error(&why,
                       _("cannot grow the disk of the domain; run %s, or shut the domain "
                         "down first: "),
                       command);
    g_propagate_error(error, g_steal_pointer(&why));
    return FALSE;
}

static gboolean running_device_size(const VolumeClaim *claim, uint64_t *ret_bytes, GError **error)
{
    g_autoptr(CstBlob) blob = cst_pool_state_vol_open(claim->state, claim->name, FALSE, error);

    return blob && cst_blob_get_size(blob, ret_bytes, error);
}

static gboolean running_device_grow(const VolumeClaim *claim, const CstVolume *volume,
                                    const CstDomainDisk *found, uint64_t capacity, GError **error)
{
    gboolean larger = capacity > volume->capacity;
    GrowthResult result = GROWTH_NOT_SENT;
    g_autofree char *command = NULL;
    g_autoptr(GError) why = NULL;
    uint64_t bytes = capacity;

    if (larger ? !cst_pool_state_vol_resize(claim->state, claim->name, capacity, claim->task, error)
               : !cst_may_change(error))
        return FALSE;
    CST_TEST_POINT("volume.grow.device");
    if (running_device_size(claim, &bytes, &why))
        result = running_disk_tell(claim, volume, found, bytes, &why);
    if (result == GROWTH_DONE)
        return TRUE;
    if (result == GROWTH_INACTIVE) {
        cst_log(CST_LOG_INFO, "%s", why->message);
        return TRUE;
    }
    command = resize_command(claim, bytes);
    g_propagate_prefixed_error(error, g_steal_pointer(&why),
                               _("volume '%s' has its new capacity, but the guest may not see it; "
                                 "run %s: "),
                               claim->name, command);
    return FALSE;
}

gboolean running_disk_grow(const VolumeClaim *claim, const CstVolume *volume,
                           const CstDomainDisk *found, uint64_t capacity, GError **error)
{
    return volume->type == CST_VOL_FILE
               ? running_file_grow(claim, volume, found, capacity, error)
               : running_device_grow(claim, volume, found, capacity, error);
}
