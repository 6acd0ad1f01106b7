/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Any bytes as what showmount and gluster print of a stranger's server: what is found are paths and
 * names that a definition can have.
 */
#include <stdlib.h>
#include <string.h>

#include <mount/mount.h>
#include <pool/gluster_volumes.h>

#include "fuzz.h"

static void check_names(const GPtrArray *names)
{
    for (guint i = 0; i < names->len; i++) {
        const char *name = g_ptr_array_index(names, i);

        if (!*name || !g_utf8_validate(name, -1, NULL))
            abort();
        for (; *name; name++)
            if (g_ascii_iscntrl(*name))
                abort();
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    g_autofree char *text = g_strndup((const char *)data, size);
    g_autoptr(GPtrArray) paths = g_ptr_array_new_with_free_func(g_free);
    g_autoptr(GPtrArray) names = g_ptr_array_new_with_free_func(g_free);
    g_autoptr(GError) error = NULL;

    mount_parse_exports(text, paths);
    for (guint i = 0; i < paths->len; i++)
        if (*(const char *)g_ptr_array_index(paths, i) != '/')
            abort();
    check_names(paths);
    if (cst_gluster_parse_volumes(text, names, &error) != !error)
        abort();
    check_names(names);
    return 0;
}
