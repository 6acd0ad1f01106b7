/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "core/claim.h"

/**
 * Checks that no remembered image is based on a claimed volume. Images that the tables of active
 * pools show under the volume's own path (volume_dependents()) do not count. With @other_paths,
 * images of active pools count that name the volume by another path. BUSY names each overlay with
 * its directory and pool. Reads memory and the database, and looks for an overlay of no pool where
 * that cannot hang.
 */
gboolean volume_not_remembered(const VolumeClaim *claim, gboolean other_paths, GError **error);
