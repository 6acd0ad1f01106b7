/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "fuzz.h"
#include "image_work.h"
#include "sparse.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    g_autoptr(CstBlob) blob = sparse_blob(data, size);

    work_on(blob, "vdi", NULL);
    return 0;
}
