/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Sealed files of values, which somebody may have changed: nothing but what was sealed opens. */
#include <stdlib.h>
#include <string.h>

#include <glib.h>

#include "fuzz.h"
#include "seal.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    uint8_t raw[SEAL_KEY_BYTES + 1] = "the key of the corpus: 32 bytes.";
    const CstSecretBytes key = {raw, SEAL_KEY_BYTES};
    const CstUuid uuid = {{0x55}};
    g_auto(CstSecretBytes) value = {0};
    SealHead head;

    if (!seal_read_head(data, size, "fuzz", &head, NULL))
        return 0;
    if (strlen(head.key_id) != SEAL_ID_TEXT - 1)
        abort();
    /* Only the seed is sealed with this key. */
    if (seal_open(&key, &uuid, data, size, "fuzz", &value, NULL) &&
        (value.len != 5 || memcmp(value.data, "value", 5) != 0))
        abort();
    return 0;
}
