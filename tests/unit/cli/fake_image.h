/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <conn/conn.h>

/** What was asked of volumes as images, and what a check answers. */
typedef struct {
    CstCheckReport report;
    unsigned listed;      /**< findings of a check, each of which stands for two */
    gboolean counts_only; /**< the server is too old to list any */
    const char *last;     /**< "flatten", … */
    unsigned flags;
    char *base;
    CstCompareReport difference;
    const char *problem; /**< of every volume; NULL: none */
} FakeImages;

extern FakeImages fake_images;
