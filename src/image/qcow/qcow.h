/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "format.h"
#include "levels.h"

/**
 * The first version of QEMU's copy-on-write format, big endian (keramics.github.io/qcow.html, "QCOW
 * file header version 1"). QEMU has the same limits.
 */
#define QCOW_MAGIC      0x514649fbu
#define QCOW_HEADER_LEN 48
#define QCOW_MAX_L1     (G_MAXINT32 / 8)

enum {
    QCOW_AT_VERSION = 4,
    QCOW_AT_NAME = 8,
    QCOW_AT_NAME_LEN = 16,
    QCOW_AT_SIZE = 24,
    QCOW_AT_CLUSTER_BITS = 32,
    QCOW_AT_L2_BITS = 33,
    QCOW_AT_CRYPT = 36,
    QCOW_AT_L1 = 40
};

/** An opened image. */
typedef struct {
    CstLevels levels;
    uint8_t raw[QCOW_HEADER_LEN];
} Qcow;

/** The format's callbacks; format.h has their contracts. */
CstImage *qcow_open(const CstImageFormat *format, CstBlob *blob, const CstImageOpen *how,
                    GError **error);
void qcow_close(CstImage *image);
gboolean qcow_check(const CstImageFormat *format, CstBlob *blob, const CstImageFiles *files,
                    unsigned flags, CstImageCheck *ret_check, CstTask *task, GError **error);

/** Further callbacks, in create.c. */
gboolean qcow_create(const CstImageFormat *format, CstBlob *blob, const CstImageCreate *options,
                     CstTask *task, GError **error);
gboolean qcow_measure(const CstMeasuring *measuring, CstImageMeasure *ret_measure, GError **error);
