/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "format.h"
#include "levels.h"

/** QEMU's enhanced disk, little endian (qemu docs/interop/qed_spec, "Header"). */
#define QED_HEADER_LEN      64
#define QED_MIN_CLUSTER     UINT64_C(4096)
#define QED_MAX_CLUSTER     (UINT64_C(64) << 20)
#define QED_MAX_TABLE       16u /* clusters */
#define QED_DEFAULT_CLUSTER UINT64_C(65536)
#define QED_DEFAULT_TABLE   4u

enum { QED_BACKING = 1, QED_NEED_CHECK = 2, QED_BACKING_NO_PROBE = 4, QED_KNOWN = 7 };

enum {
    QED_AT_CLUSTER = 4,
    QED_AT_TABLE = 8,
    QED_AT_HEADER = 12,
    QED_AT_FEATURES = 16,
    QED_AT_AUTOCLEAR = 32,
    QED_AT_L1 = 40,
    QED_AT_SIZE = 48,
    QED_AT_NAME = 56,
    QED_AT_NAME_LEN = 60
};

/** An opened image. */
typedef struct {
    CstLevels levels;
    uint8_t raw[QED_HEADER_LEN];
} Qed;

/** Return the largest capacity, in bytes, that tables of @table_size clusters can map. */
uint64_t qed_max_capacity(uint64_t cluster_size, uint64_t table_size);

/**
 * The format's callbacks; format.h has their contracts. qed_open() repairs an image with the "need
 * check" bit when it is opened for writing.
 */
CstImage *qed_open(const CstImageFormat *format, CstBlob *blob, const CstImageOpen *how,
                   GError **error);
void qed_close(CstImage *image);
gboolean qed_check(const CstImageFormat *format, CstBlob *blob, const CstImageFiles *files,
                   unsigned flags, CstImageCheck *ret_check, CstTask *task, GError **error);

/** Further callbacks, in create.c. */
gboolean qed_create(const CstImageFormat *format, CstBlob *blob, const CstImageCreate *options,
                    CstTask *task, GError **error);
gboolean qed_measure(const CstMeasuring *measuring, CstImageMeasure *ret_measure, GError **error);
