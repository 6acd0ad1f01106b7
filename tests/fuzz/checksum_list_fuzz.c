/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Lists of checksums: what is found is a digest that stands in the list. */
#include <stdlib.h>
#include <string.h>

#include "fuzz.h"
#include "list.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    g_autofree char *text = g_strndup((const char *)data, size);
    g_autofree char *lower = g_ascii_strdown(text, -1);
    ImportChecksum found;

    if (import_list_find(text, "disk.img", "fuzz", size % 2, &found, NULL) &&
        (strlen(found.hex) != 2 * cst_digest_size(found.kind) || !strstr(lower, found.hex)))
        abort();
    return 0;
}
