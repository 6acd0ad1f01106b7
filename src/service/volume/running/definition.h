/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <store/journal.h>

#include "core/claim.h"

/*
 * The replay of an intent that a dead process has left during a block job. It runs when the pool is
 * active, because libvirt names images by path.
 */

/**
 * Reads the image of a disk from the definition of a domain: the live definition of a running
 * domain, else the persistent one. @record has its UUID and target. *ret_pool and *ret_volume name
 * the image as a volume of this service; NULL: libvirt has no such domain or disk. The caller frees
 * them.
 *
 * Fails with UNREACHABLE while a process still works on the domain, if libvirt does not run, and if
 * the image is no volume of an active pool. Else as cst_service_domains().
 */
gboolean running_definition_read(CstService *service, const CstIntentRecord *record,
                                 char **ret_pool, char **ret_volume, GError **error);
/** Whether the record has this pool and this volume in the named fields. */
gboolean running_record_names(const CstIntentRecord *record, const char *pool_field,
                              const char *volume_field, const char *pool, const char *volume);
/**
 * Claims volume @volume_field of pool @pool_field for writing, without a wait, if it still has the
 * identity in @identity_field. *ret_volume NULL: it is another volume, or there is none, and
 * @claim is not held.
 */
gboolean running_record_claim(CstService *service, const CstIntentRecord *record,
                              const char *pool_field, const char *volume_field,
                              const char *identity_field, VolumeClaim *claim,
                              CstVolume **ret_volume, GError **error);
