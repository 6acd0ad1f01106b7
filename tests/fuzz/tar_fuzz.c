/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Archives: every entry that is found lies in the archive, and is found by its name. */
#include <stdlib.h>
#include <string.h>

#include "fuzz.h"
#include "tar.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    g_autoptr(CstBlob) blob = cst_blob_memory_new(data, size);
    g_autoptr(GError) error = NULL;
    g_autoptr(ImportTar) tar = import_tar_open(blob, NULL, &error);

    if (!tar != (error != NULL))
        abort();
    for (guint i = 0; tar && i < import_tar_count(tar); i++) {
        const ImportTarEntry *entry = import_tar_entry(tar, i);

        if (entry->offset > size || entry->length > size - entry->offset ||
            import_tar_find(tar, entry->name) != entry)
            abort();
    }
    return 0;
}
