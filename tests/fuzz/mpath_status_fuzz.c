/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Status lines of device-mapper's multipath target. */
#include <stdlib.h>

#include <mpath/mpath.h>

#include "fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    g_autofree char *line = g_strndup((const char *)data, size);
    g_autoptr(GError) error = NULL;
    g_autoptr(GArray) paths = mpath_status_parse(line, &error);

    /* Each path takes words of the line. */
    if (!paths != (error != NULL) || (paths && paths->len > size / 4))
        abort();
    return 0;
}
