/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "format.h"
#include "lookup.h"

/**
 * Parallels' expandable disk, ploop in libvirt's words, little endian (qemu docs/interop/parallels,
 * "Catalog file"): a header, a table of the places of all clusters ("BAT"), the clusters.
 */
#define PARALLELS_HEADER_LEN 64
#define PARALLELS_IN_USE     0x746f6e59u

enum { PARALLELS_AT_ENTRIES = 32, PARALLELS_AT_IN_USE = 44, PARALLELS_AT_DATA = 48 };

/** The older magic has 32 bits of size, and places in sectors; the newer one 64, and clusters. */
gboolean parallels_is_old(const uint8_t *head);

gboolean parallels_check(CstBlob *blob, const CstImageFiles *files, unsigned flags,
                         CstImageCheck *ret_check, CstTask *task, GError **error);
