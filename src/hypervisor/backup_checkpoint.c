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
 * checkpoint is deleted.
 */
#include "backup_checkpoint.h"

#include <stdlib.h>
#include <string.h>

#include <model/domain_backup.h>

/* Whether libvirt can merge the bitmaps of disk @target since the checkpoint. */
static gboolean checkpoint_has_changes(virDomainCheckpointPtr checkpoint, const char *target)
{
    char *xml = virDomainCheckpointGetXMLDesc(checkpoint, VIR_DOMAIN_CHECKPOINT_XML_SIZE |
                                                              VIR_DOMAIN_CHECKPOINT_XML_NO_DOMAIN);
    gboolean has_changes = xml && cst_domain_checkpoint_has_changes(xml, target);

    free(xml); /* NOLINT: libvirt allocates it with malloc() */
    return has_changes;
}

static void base_check(virDomainPtr domain, BackupBase *base, const char *target)
{
    virDomainCheckpointPtr checkpoint = virDomainCheckpointLookupByName(domain, base->name, 0);

    if (!checkpoint) {
        base->loss = BACKUP_LOSS_MISSING;
        return;
    }
    if (!checkpoint_has_changes(checkpoint, target))
        base->loss = BACKUP_LOSS_BROKEN;
    virDomainCheckpointFree(checkpoint);
}

static gboolean request_has_base(const BackupRequest *request, const char *name)
{
    for (guint i = 0; i < request->domain.n_volumes; i++) {
        const BackupBase *base = &request->bases[i];

        if (base->name && base->loss == BACKUP_LOSS_NONE && strcmp(base->name, name) == 0)
            return TRUE;
    }
    return FALSE;
}

static void checkpoint_delete(virDomainCheckpointPtr checkpoint)
{
    if (virDomainCheckpointDelete(checkpoint, 0) < 0)
        virDomainCheckpointDelete(checkpoint, VIR_DOMAIN_CHECKPOINT_DELETE_METADATA_ONLY);
}

static void checkpoints_tidy(virDomainPtr domain, const BackupRequest *request)
{
    virDomainCheckpointPtr *checkpoints = NULL;
    int count = virDomainListAllCheckpoints(domain, &checkpoints, 0);

    for (int i = 0; i < count; i++) {
        const char *name = virDomainCheckpointGetName(checkpoints[i]);

        if (name && cst_checkpoint_is_sibling(name, request->checkpoint) &&
            !request_has_base(request, name))
            checkpoint_delete(checkpoints[i]);
        virDomainCheckpointFree(checkpoints[i]);
    }
    free(checkpoints); /* NOLINT: libvirt allocates it with malloc() */
}

void backup_checkpoints_check(virDomainPtr domain, BackupRequest *request, const BackupPlan *plan)
{
    for (guint i = 0; i < request->domain.n_volumes; i++)
        if (request->bases[i].name)
            base_check(domain, &request->bases[i],
                       ((const BackupExport *)plan->exports->pdata[i])->target);
    if (request->checkpoint)
        checkpoints_tidy(domain, request);
}
