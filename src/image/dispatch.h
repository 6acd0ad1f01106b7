/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <base/call.h>

#include "format.h"

/*
 * Calls through a CstImageFormat, held to their contract and traced (base/call.h); for the files of
 * the dispatcher (image.c, snapshot.c, bitmap.c, amend.c, backing.c), which are the only ones that
 * call a format. What moves the guest's bytes goes through guest.c, and is checked and traced as
 * the calls of any blob are.
 */

/** Begins a call of @format's on the image in the file @name; hand &call.why to the format. */
static inline CstCall image_call_begin(const CstImageFormat *format, const char *slot,
                                       const char *name)
{
    return (CstCall){.kind = format->name,
                     .noun = "format",
                     .slot = slot,
                     .object = name,
                     .began = cst_call_now()};
}

/** Calls image->format->SLOT(image, …, error); SLOT may be in a group: snapshots->create. */
#define IMAGE_CALL(image, slot, error, ...)                                            \
    ({                                                                                 \
        CstCall call_ = image_call_begin((image)->format, #slot, (image)->blob->name); \
        gboolean done_ = (image)->format->slot(image, ##__VA_ARGS__, &call_.why);      \
                                                                                       \
        cst_call_end(&call_, done_, error);                                            \
    })

/** Checks that @image is open for writing; else fails with READ_ONLY. */
gboolean image_may_change(const CstImage *image, GError **error);
