/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <service/pools.h>

/**
 * Checks that no other pool uses the storage of @def. EXISTS names the pool. @active: only pools
 * that are active or being started count. Directories and devices are compared by identity, so that
 * other spellings, links, bind mounts and other names of a device are detected.
 */
gboolean pool_check_sources(CstService *service, const CstPoolDef *def, gboolean active,
                            GError **error);
