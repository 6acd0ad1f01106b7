/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "fuzz.h"
#include "image_work.h"
#include "sparse.h"

/* qcow (version 1), QED and Parallels, by what the input begins with. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char *const formats[] = {"qcow", "qed", "parallels"};
    g_autoptr(CstBlob) backing = cst_blob_memory_new(NULL, 100000);
    g_autoptr(CstBlob) blob = sparse_blob(data, size);

    for (size_t i = 0; i < G_N_ELEMENTS(formats); i++) {
        work_on(blob, formats[i], NULL);
        work_on(blob, formats[i], backing);
    }
    return 0;
}
