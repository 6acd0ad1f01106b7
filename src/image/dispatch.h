/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <base/call.h>

#include "format.h"

/*
 * Calls through a CstImageFormat with a check of its contract and a trace (base/call.h). Only the
 * files of the dispatcher call a format: image.c, snapshot.c, bitmap.c, amend.c, backing.c. The
 * calls that move the guest's bytes go through guest.c, and are checked and traced like the calls
 * of any blob.
 */

/** Begins a call of @format on the image in the file @name. Pass &call.why to the format as its
 * error. */
static inline CstCall image_call_begin(const CstImageFormat *format, const char *slot,
                                       const char *name)
{
    return (CstCall){.kind = format->name,
                     .noun = "format",
                     .slot = slot,
                     .object = name,
                     .began = cst_call_now()};
}

/** Calls image->format->SLOT(image, …, error). SLOT may be in a group: snapshots->create. */
#define IMAGE_CALL(image, slot, error, ...)                                            \
    ({                                                                                 \
        CstCall call_ = image_call_begin((image)->format, #slot, (image)->blob->name); \
        gboolean done_ = (image)->format->slot(image, ##__VA_ARGS__, &call_.why);      \
                                                                                       \
        cst_call_end(&call_, done_, error);                                            \
    })

/** Checks that @image is open for writing. Otherwise fails with READ_ONLY. */
gboolean image_may_change(const CstImage *image, GError **error);
