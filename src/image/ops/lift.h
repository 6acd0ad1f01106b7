/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <blob/blob.h>

typedef enum {
    /** @from is the image itself, upon a mark (mark.h): examines only what it does not hold. */
    CST_LIFT_NOT_HELD = 1 << 0
} CstLiftFlags;

/**
 * Writes into @guest (the guest's view of an image, upon anything) where @below, which it is or
 * will be based on (NULL: zeroes), differs from @from, so that the image upon @below shows what
 * @from does. @from is at least as long as the image. @flags are CstLiftFlags. Advances @task by
 * the image's capacity. Flushes nothing.
 */
gboolean cst_lift(CstBlob *from, CstBlob *guest, CstBlob *below, unsigned flags, CstTask *task,
                  GError **error);
