/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <pool/backend.h>

/**
 * The backends of this build. The backends are in a layer below the registry, and do not use it.
 */

/**
 * Returns the backend of pools of @type; NULL with UNSUPPORTED if this build has no such backend.
 */
const CstBackend *cst_backend_for(CstPoolType type, GError **error);
/** Whether this build has a backend for @type; for the capabilities document. */
gboolean cst_backend_exists(CstPoolType type);
