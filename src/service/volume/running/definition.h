/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <store/journal.h>

#include "core/claim.h"

/*
 * The replay of an intent that a dead process has left during a block job. It runs when the pool is
 * active, because libvirt names images by path.
 */

/** The image of a disk. */
typedef struct {
    gboolean is_defined; /* libvirt has the domain */
    char *pool, *volume; /* of this service; NULL: libvirt has no such domain or disk */
    char *document;      /* persistent definition of the domain, as XML; NULL: not known */
} RunningDefinition;

void running_definition_clear(RunningDefinition *definition);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(RunningDefinition, running_definition_clear)

/**
 * Reads the image of a disk from the definition of a domain: the live definition of a running
 * domain, else the persistent one. @record has its UUID and target.
 *
 * Fails with UNREACHABLE while a process still works on the domain, if libvirt does not run, and if
 * the image is no volume of an active pool. Else as cst_service_domains().
 */
gboolean running_definition_read(CstService *service, const CstIntentRecord *record,
                                 RunningDefinition *ret_definition, GError **error);
/** Whether the definition has the volume in the named fields of the record. */
gboolean running_definition_names(const RunningDefinition *definition,
                                  const CstIntentRecord *record, const char *pool_field,
                                  const char *volume_field);
/** Whether the persistent definition has the claimed volume as the disk of the record. */
gboolean running_definition_keeps(const RunningDefinition *definition,
                                  const CstIntentRecord *record, const VolumeClaim *claim);
/**
 * Checks that no domain of libvirt, also a shut-off one, has the volume or the base of @record as a
 * disk, and that no process has them open. @claim: of the volume. BUSY names the user.
 */
gboolean running_record_is_unused(CstService *service, const CstIntentRecord *record,
                                  const VolumeClaim *claim, GError **error);
/**
 * Claims volume @volume_field of pool @pool_field for writing, without a wait, if it still has the
 * identity in @identity_field. *ret_volume NULL: it is another volume, or there is none, and
 * @claim is not held.
 */
gboolean running_record_claim(CstService *service, const CstIntentRecord *record,
                              const char *pool_field, const char *volume_field,
                              const char *identity_field, VolumeClaim *claim,
                              CstVolume **ret_volume, GError **error);
