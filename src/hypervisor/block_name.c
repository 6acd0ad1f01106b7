/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The name of a copy in the persistent definition (see the header).
 *
 *   check    virDomainGetXMLDesc(INACTIVE). The disk has type='volume' and names the volume of
 *            before, so libvirt and the service know this pool by the same name
 *   pivot    libvirt replaces the source by the path of the copy. It keeps a definition whose
 *            source is not that of the running disk. After an earlier copy the running disk has a
 *            path, and the definition a volume
 *   look up  virStoragePoolLookupByName(), virStorageVolLookupByName() and virStorageVolGetPath().
 *            libvirt makes the same calls at the next start, which fails if they do. The volumes of
 *            its own storage driver are those of its last refresh
 *   set      virDomainGetXMLDesc(), virDomainGetXMLDesc(INACTIVE), then
 *            virDomainUpdateDeviceFlags(CONFIG) with the whole <disk>
 *
 * libvirt replaces the whole <disk>. A change of the same disk by another program between the last
 * two calls is lost.
 */
#include "block_name.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include <base/error.h>
#include <base/file.h>
#include <model/domain_copy.h>

#include "block_chain.h"
#include "domain_check.h"
#include "helper.h"

static gboolean layer_has_names(const CstDomainLayer *layer, const char *pool, const char *volume)
{
    return g_strcmp0(layer->pool, pool) == 0 && g_strcmp0(layer->volume, volume) == 0;
}

/* Whether the request has both names, and they differ from the volume of before. */
static gboolean request_has_names(const BlockRequest *request)
{
    return *request->pool && *request->pool_volume && *request->old_pool && *request->old_volume &&
           (strcmp(request->pool, request->old_pool) != 0 ||
            strcmp(request->pool_volume, request->old_volume) != 0);
}

static void entry_set_names(BlockEntry *entry, const BlockRequest *request)
{
    entry->pool = g_strdup(request->pool);
    entry->pool_volume = g_strdup(request->pool_volume);
    entry->old_pool = g_strdup(request->old_pool);
    entry->old_volume = g_strdup(request->old_volume);
}

gboolean block_name_plan(BlockJob *job, const BlockRequest *request, BlockEntry *entry,
                         PauseAnswer *answer)
{
    g_autoptr(CstDomainDef) def = NULL;
    const CstDomainLayer *top;
    int persistent;

    if (!entry->destination || !request_has_names(request))
        return TRUE;
    if (entry->kind == CST_HYPERVISOR_JOB_COMMIT) {
        entry_set_names(entry, request);
        return TRUE;
    }
    persistent = virDomainIsPersistent(job->link.domain);
    if (persistent < 0)
        return pause_answer_fail_libvirt(answer);
    if (!persistent)
        return TRUE;
    if (!domain_read_persistent_def(job->link.domain, &def, answer))
        return FALSE;
    top = block_chain_layer(def, entry->target, 0);
    if (!top || !layer_has_names(top, request->old_pool, request->old_volume))
        return TRUE;
    entry_set_names(entry, request);
    entry->format = g_strdup(request->format);
    return TRUE;
}

gboolean block_name_is_set(const BlockEntry *entry, const CstDomainLayer *top)
{
    return entry->pool && layer_has_names(top, entry->pool, entry->pool_volume);
}

CstHypervisorPivot block_name_pivot(const BlockEntry *entry, const CstDomainLayer *top)
{
    if (block_name_is_set(entry, top))
        return CST_HYPERVISOR_PIVOTED;
    if (entry->kind != CST_HYPERVISOR_JOB_COMMIT || !top->volume)
        return CST_HYPERVISOR_NOT_PIVOTED;
    return entry->pool && layer_has_names(top, entry->old_pool, entry->old_volume)
               ? CST_HYPERVISOR_NOT_PIVOTED
               : CST_HYPERVISOR_PIVOT_UNKNOWN;
}

/* Whether both paths lead to one file or one device. */
static gboolean path_is_copy(const char *path, const char *copy)
{
    struct stat found, own;

    if (!cst_node_stat(path, &found) || !cst_node_stat(copy, &own))
        return FALSE;
    if (S_ISBLK(own.st_mode))
        return S_ISBLK(found.st_mode) && found.st_rdev == own.st_rdev;
    return found.st_dev == own.st_dev && found.st_ino == own.st_ino;
}

/* Sets the outcome of a failed look-up. Always returns FALSE. */
static gboolean answer_fail_lookup(PauseAnswer *answer)
{
    virErrorPtr failure = virGetLastError();

    switch (libvirt_code()) {
    case VIR_ERR_NO_STORAGE_POOL:
    case VIR_ERR_NO_STORAGE_VOL:
    case VIR_ERR_NO_SUPPORT: return pause_answer_fail(answer, PAUSE_NO_VOLUME, failure->message);
    default: return pause_answer_fail_libvirt(answer);
    }
}

/* Fails unless libvirt has the copy as the volume that the definition would name. */
static gboolean copy_check_volume(const BlockJob *job, PauseAnswer *answer)
{
    const BlockEntry *entry = job->entry;
    virStoragePoolPtr pool = virStoragePoolLookupByName(job->link.conn, entry->pool);
    virStorageVolPtr volume = pool ? virStorageVolLookupByName(pool, entry->pool_volume) : NULL;
    char *path = volume ? virStorageVolGetPath(volume) : NULL;
    gboolean ok;

    if (!path)
        ok = answer_fail_lookup(answer);
    else
        ok = path_is_copy(path, entry->destination) ||
             pause_answer_fail(answer, PAUSE_NO_VOLUME, path);
    free(path); /* NOLINT: libvirt allocates it with malloc() */
    if (volume)
        virStorageVolFree(volume);
    if (pool)
        virStoragePoolFree(pool);
    return ok;
}

/* *ret_top: the running disk has the copy, and no overlay of another program on it. */
static gboolean copy_is_top(BlockJob *job, gboolean *ret_top, PauseAnswer *answer)
{
    g_autoptr(CstDomainDef) def = NULL;
    const CstDomainLayer *top;

    if (!domain_read_def(job->link.domain, &def, answer))
        return FALSE;
    top = block_chain_layer(def, job->entry->target, 0);
    *ret_top = top && g_strcmp0(top->path, job->entry->destination) == 0;
    return TRUE;
}

/* Sets the outcome of a <disk> that cannot be changed. */
static void answer_fail_rename(PauseAnswer *answer, const GError *error)
{
    switch (cst_error_code(error)) {
    case CST_ERROR_NOT_FOUND: pause_answer_fail(answer, PAUSE_OTHER_IMAGE, NULL); break;
    case CST_ERROR_UNSUPPORTED: pause_answer_fail(answer, PAUSE_TRANSLATED, NULL); break;
    default: pause_answer_fail(answer, PAUSE_FAILED, error->message); break;
    }
}

/* Returns the changed <disk> of the persistent definition, which the caller frees. */
static char *renamed_disk_read(BlockJob *job, gboolean is_top, PauseAnswer *answer)
{
    const BlockEntry *entry = job->entry;
    const CstDomainDiskName name = {.target = entry->target,
                                    .pool = entry->pool,
                                    .volume = entry->pool_volume,
                                    .path = entry->destination,
                                    .format = entry->format,
                                    .old_pool = is_top ? entry->old_pool : NULL,
                                    .old_volume = is_top ? entry->old_volume : NULL};
    char *xml = virDomainGetXMLDesc(job->link.domain, VIR_DOMAIN_XML_INACTIVE), *disk;
    g_autoptr(GError) error = NULL;

    if (!xml) {
        pause_answer_fail_libvirt(answer);
        return NULL;
    }
    disk = cst_domain_disk_rename(xml, &name, &error);
    free(xml); /* NOLINT: libvirt allocates it with malloc() */
    if (!disk)
        answer_fail_rename(answer, error);
    return disk;
}

gboolean block_name_set(BlockJob *job, PauseAnswer *answer)
{
    g_autofree char *disk = NULL;
    gboolean is_top;

    if (!copy_check_volume(job, answer) || !copy_is_top(job, &is_top, answer))
        return FALSE;
    disk = renamed_disk_read(job, is_top, answer);
    return disk &&
           (virDomainUpdateDeviceFlags(job->link.domain, disk, VIR_DOMAIN_AFFECT_CONFIG) >= 0 ||
            pause_answer_fail_libvirt(answer));
}
