/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <service/service.h>

/**
 * Reads the image of a disk from the definition of a domain, after the block job of a dead process:
 * the live definition of a running domain, else the persistent one. *ret_pool and *ret_volume name
 * it as a volume of this service; NULL: the domain has no such disk. The caller frees them.
 *
 * Fails with UNREACHABLE while a process still works on the domain, and if the image is no volume
 * of an active pool. Else as cst_service_domains().
 */
gboolean running_definition_read(CstService *service, const char *uuid, const char *target,
                                 char **ret_pool, char **ret_volume, GError **error);
