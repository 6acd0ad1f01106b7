/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Any bytes as a send stream from snapshot 90001 to 90002; what is refused has an error. */
#include <glib.h>

#include "changed_fuzz.h"
#include "fuzz.h"
#include "zfs/stream.h"

static gboolean read_stream(const uint8_t *data, size_t size, size_t step, CstChanged *changed)
{
    ZfsStream stream = {.changed = changed, .from = 90001, .to = 90002};
    g_autoptr(GError) error = NULL;
    gboolean ok = TRUE;

    cst_changed_begin(changed, CHANGED_CAPACITY, NULL);
    for (size_t at = 0; ok && at < size && !stream.full; at += step)
        ok = zfs_stream_take(&stream, data + at, MIN(step, size - at), &error);
    ok = ok && zfs_stream_end(&stream, CHANGED_CAPACITY / 2, &error);
    if (ok == (error != NULL))
        abort();
    return ok;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    changed_fuzz(data, size, read_stream);
    return 0;
}
