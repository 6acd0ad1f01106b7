/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "format.h"

/** Callbacks of the formats in which a file holds the guest's bytes and nothing else. */

CstImage *cst_raw_open(const CstImageFormat *format, CstBlob *blob, const CstImageOpen *how,
                       GError **error);
void cst_raw_close(CstImage *image);
gboolean cst_raw_flush(CstImage *image, GError **error);
gboolean cst_raw_resize(CstImage *image, uint64_t capacity, CstPreallocation preallocation,
                        CstTask *task, GError **error);
