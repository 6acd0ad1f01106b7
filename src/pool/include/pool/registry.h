/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <pool/backend.h>

/** Which backends this build has. They stand below this; nothing that a backend uses asks here. */

/** Returns the backend of pools of @type; NULL with UNSUPPORTED when this build has none. */
const CstBackend *cst_backend_for(CstPoolType type, GError **error);
/** TRUE when this build has a backend for @type; for the capabilities document. */
gboolean cst_backend_exists(CstPoolType type);
