/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Any bytes as what thin_delta prints of devices 1 and 2; what is refused has an error. */
#include <glib.h>

#include "changed_fuzz.h"
#include "fuzz.h"
#include "logical/delta.h"

static gboolean read_delta(const uint8_t *data, size_t size, size_t step, CstChanged *changed)
{
    g_autoptr(LvmDelta) delta = lvm_delta_new("1", "2", changed);
    g_autoptr(GError) error = NULL;
    gboolean ok = TRUE, full = FALSE;

    cst_changed_begin(changed, CHANGED_CAPACITY, NULL);
    for (size_t at = 0; ok && at < size && !full; at += step)
        ok = lvm_delta_take(delta, (const char *)data + at, MIN(step, size - at), &full, &error);
    ok = ok && lvm_delta_end(delta, CHANGED_CAPACITY / 2, &error);
    if (ok == (error != NULL))
        abort();
    return ok;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    changed_fuzz(data, size, read_delta);
    return 0;
}
