/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "vmdk.h"

/** 2047 MiB: with its tables, the file of an extent stays below 2 GiB. */
#define VMDK_SPLIT_SECTORS 4192256u
#define VMDK_TEXT_SECTORS  20u /**< room for an embedded descriptor */
#define VMDK_SPLIT_GRAIN   128u

/** A descriptor can hold the text between quotes. */
gboolean vmdk_is_quotable(const char *text);
gboolean vmdk_is_stream(const char *create_type);

/** An empty sparse extent; @text is embedded, if any; @zero_grains: its tables may tell that
 *  grains are zero. @blob's content is replaced. */
gboolean vmdk_sparse_create(CstBlob *blob, uint64_t sectors, uint64_t grain, const char *text,
                            gboolean zero_grains, GError **error);
gboolean vmdk_stream_create(CstBlob *blob, uint64_t sectors, uint64_t grain, const char *text,
                            GError **error);

/** As many grains of @used hold data, compressed as badly as can be. */
gboolean vmdk_stream_measure(uint64_t sectors, uint64_t grain, uint64_t used,
                             CstImageMeasure *ret_measure, GError **error);
