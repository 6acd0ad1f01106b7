/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "vmdk.h"

/** 2047 MiB, so that the file of an extent, including its tables, stays below 2 GiB. */
#define VMDK_SPLIT_SECTORS 4192256u
#define VMDK_TEXT_SECTORS  20u /**< room for an embedded descriptor */
#define VMDK_SPLIT_GRAIN   128u

/** Return TRUE if a descriptor can hold @text between quotes. */
gboolean vmdk_is_quotable(const char *text);
/** Return TRUE for the subformat with compressed grains. @create_type: may be NULL. */
gboolean vmdk_is_stream(const char *create_type);

/**
 * Replace the content of @blob with an empty sparse extent. @sectors, @grain: in sectors. @text:
 * the descriptor to embed; may be NULL. @zero_grains: allow its tables to mark grains that read as
 * zeroes. Does not flush.
 */
gboolean vmdk_sparse_create(CstBlob *blob, uint64_t sectors, uint64_t grain, const char *text,
                            gboolean zero_grains, GError **error);
/** Like vmdk_sparse_create(), for an empty stream. UNSUPPORTED for a blob of a fixed size. */
gboolean vmdk_stream_create(CstBlob *blob, uint64_t sectors, uint64_t grain, const char *text,
                            GError **error);

/**
 * Compute the size of a stream in which @used grains hold incompressible data. @sectors, @grain: in
 * sectors.
 */
gboolean vmdk_stream_measure(uint64_t sectors, uint64_t grain, uint64_t used,
                             CstImageMeasure *ret_measure, GError **error);
