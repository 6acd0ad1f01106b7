/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Any bytes as a descriptor: no file of a disk is a path, and none is there twice. */
#include <stdlib.h>
#include <string.h>

#include <model/ovf.h>

#include "fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    g_autofree char *text = g_strndup((const char *)data, size);
    g_autoptr(GError) error = NULL;
    guint empty = 0;
    g_autoptr(GPtrArray) disks = cst_ovf_disks(text, "fuzz", &empty, &error);

    if (!disks != (error != NULL))
        abort();
    for (guint i = 0; disks && i < disks->len; i++) {
        const char *file = ((const CstOvfDisk *)disks->pdata[i])->file;

        if (!*file || strchr(file, '/') || g_str_equal(file, ".."))
            abort();
        for (guint j = 0; j < i; j++)
            if (g_str_equal(file, ((const CstOvfDisk *)disks->pdata[j])->file))
                abort();
    }
    return 0;
}
