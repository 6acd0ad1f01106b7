/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The checkpoints of a domain, by libvirt. A checkpoint has a bitmap in the qcow2 image of each of
 * its disks. QEMU writes the bitmaps to the images when it ends in an orderly way. So they are lost
 * when QEMU is killed, or when the host loses its power.
 *
 * With VIR_DOMAIN_CHECKPOINT_XML_SIZE libvirt merges the bitmaps since a checkpoint. It shows no
 * size for a disk of which a bitmap is missing or inconsistent.
 *
 * A lost bitmap also prevents the deletion of its checkpoint. Then only libvirt's record of the
 * checkpoint is deleted. After any other failure the checkpoint stays, because its bitmaps could
 * not be deleted without it.
 */
#include "backup_checkpoint.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include <base/file.h>
#include <model/domain_backup.h>

#include "helper.h"

/* QEMU updates each of their bitmaps with each write of the guest. */
#define CHECKPOINTS_MAX 16

/* Returns the document of a checkpoint with the sizes of its changes; NULL: libvirt has failed. */
static char *checkpoint_read_sizes(virDomainCheckpointPtr checkpoint)
{
    char *xml = virDomainCheckpointGetXMLDesc(checkpoint, VIR_DOMAIN_CHECKPOINT_XML_SIZE |
                                                              VIR_DOMAIN_CHECKPOINT_XML_NO_DOMAIN);
    char *copy = g_strdup(xml);

    free(xml); /* NOLINT: libvirt allocates it with malloc() */
    return copy;
}

gint64 backup_checkpoint_created(virDomainPtr domain, const char *name)
{
    virDomainCheckpointPtr checkpoint = virDomainCheckpointLookupByName(domain, name, 0);
    char *xml = checkpoint
                    ? virDomainCheckpointGetXMLDesc(checkpoint, VIR_DOMAIN_CHECKPOINT_XML_NO_DOMAIN)
                    : NULL;
    gint64 created = xml ? cst_domain_checkpoint_created(xml) : 0;

    free(xml); /* NOLINT: libvirt allocates it with malloc() */
    if (checkpoint)
        virDomainCheckpointFree(checkpoint);
    return created;
}

/* --- bases ------------------------------------------------------------------------------------ */

/* Sets the loss of one base. @xml: the document of the checkpoint; NULL: libvirt has failed. */
static void base_judge(BackupBase *base, const char *xml, const char *target)
{
    if (!xml) {
        base->loss = BACKUP_LOSS_UNKNOWN;
        return;
    }
    base->created = cst_domain_checkpoint_created(xml);
    if (!cst_domain_checkpoint_has_changes(xml, target))
        base->loss = BACKUP_LOSS_BROKEN;
}

/* Sets the losses of all volumes with the base of volume @first. libvirt is asked once for it. */
static void bases_check(virDomainPtr domain, BackupRequest *request, const BackupPlan *plan,
                        guint first)
{
    const char *name = request->bases[first].name;
    virDomainCheckpointPtr checkpoint = virDomainCheckpointLookupByName(domain, name, 0);
    gboolean missing = !checkpoint && libvirt_code() == VIR_ERR_NO_DOMAIN_CHECKPOINT;
    g_autofree char *xml = checkpoint ? checkpoint_read_sizes(checkpoint) : NULL;

    for (guint i = first; i < request->domain.n_volumes; i++) {
        BackupBase *base = &request->bases[i];

        if (g_strcmp0(base->name, name) != 0)
            continue;
        if (missing)
            base->loss = BACKUP_LOSS_MISSING;
        else
            base_judge(base, xml, ((const BackupExport *)plan->exports->pdata[i])->target);
    }
    if (checkpoint)
        virDomainCheckpointFree(checkpoint);
}

/* Whether a volume before @volume has the same base. */
static gboolean base_was_checked(const BackupRequest *request, guint volume)
{
    for (guint i = 0; i < volume; i++)
        if (g_strcmp0(request->bases[i].name, request->bases[volume].name) == 0)
            return TRUE;
    return FALSE;
}

/* --- deletion --------------------------------------------------------------------------------- */

/* Whether a checkpoint must stay: as a usable base, or because its state is not known. */
static gboolean request_needs(const BackupRequest *request, const char *name)
{
    for (guint i = 0; i < request->domain.n_volumes; i++) {
        const BackupBase *base = &request->bases[i];

        if (base->name && strcmp(base->name, name) == 0 &&
            (base->loss == BACKUP_LOSS_NONE || base->loss == BACKUP_LOSS_UNKNOWN))
            return TRUE;
    }
    return strcmp(name, request->checkpoint) == 0;
}

/* Returns whether the checkpoint is deleted. */
static gboolean checkpoint_delete(virDomainCheckpointPtr checkpoint)
{
    g_autofree char *xml = NULL;

    if (virDomainCheckpointDelete(checkpoint, 0) >= 0)
        return TRUE;
    xml = checkpoint_read_sizes(checkpoint);
    return xml && cst_domain_checkpoint_is_broken(xml) &&
           virDomainCheckpointDelete(checkpoint, VIR_DOMAIN_CHECKPOINT_DELETE_METADATA_ONLY) >= 0;
}

/* Deletes unneeded checkpoints. Returns the number of those of backups that are left. */
static guint checkpoints_tidy(virDomainPtr domain, const BackupRequest *request)
{
    virDomainCheckpointPtr *checkpoints = NULL;
    int count = virDomainListAllCheckpoints(domain, &checkpoints, 0);
    guint left = 0;

    for (int i = 0; i < count; i++) {
        const char *name = virDomainCheckpointGetName(checkpoints[i]);
        gboolean unneeded = name && cst_checkpoint_is_sibling(name, request->checkpoint) &&
                            !request_needs(request, name);

        if (name && cst_checkpoint_name_is_valid(name) &&
            (!unneeded || !checkpoint_delete(checkpoints[i])))
            left++;
        virDomainCheckpointFree(checkpoints[i]);
    }
    free(checkpoints); /* NOLINT: libvirt allocates it with malloc() */
    return left;
}

gboolean backup_checkpoints_check(virDomainPtr domain, BackupRequest *request,
                                  const BackupPlan *plan)
{
    for (guint i = 0; i < request->domain.n_volumes; i++)
        if (request->bases[i].name && !base_was_checked(request, i))
            bases_check(domain, request, plan, i);
    return request->checkpoint && checkpoints_tidy(domain, request) < CHECKPOINTS_MAX;
}

/* --- backing files ---------------------------------------------------------------------------- */

gboolean backup_chain_identify(const CstDomainDef *def, const char *target, char **ret_chain)
{
    g_autoptr(GString) text = g_string_new(NULL);

    for (guint i = 0; i < def->layers->len; i++) {
        const CstDomainLayer *layer = g_ptr_array_index(def->layers, i);
        struct stat st;

        if (layer->level == 0 || g_strcmp0(layer->target, target) != 0)
            continue;
        if (!layer->path || !cst_node_stat(layer->path, &st) || !S_ISREG(st.st_mode)) {
            *ret_chain = g_strdup("-");
            return FALSE;
        }
        g_string_append_printf(text, "%" PRIu64 " %" PRIi64 " %" PRIi64 ".%09ld\n",
                               (uint64_t)st.st_ino, (int64_t)st.st_size, (int64_t)st.st_mtim.tv_sec,
                               st.st_mtim.tv_nsec);
    }
    *ret_chain =
        text->len > 0 ? g_compute_checksum_for_string(G_CHECKSUM_SHA256, text->str, -1) : NULL;
    return TRUE;
}
