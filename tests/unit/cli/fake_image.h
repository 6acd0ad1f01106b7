/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <conn/conn.h>

/** The requests about images of volumes, and the answer of a check. */
typedef struct {
    CstCheckReport report;
    unsigned listed;      /**< findings of a check; each is reported twice */
    gboolean counts_only; /**< the server is too old to list any */
    const char *last;     /**< "flatten", … */
    unsigned flags;
    char *base;
    CstCompareReport difference;
    const char *problem; /**< of every volume; NULL: no problem */
} FakeImages;

extern FakeImages fake_images;
