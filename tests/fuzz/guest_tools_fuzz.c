/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Output of partx and blkid: accepted parts are inside of the disk and disjoint. */
#include <stdlib.h>

#include "fuzz.h"
#include "partition.h"

#define DISK (UINT64_C(1) << 30)

static void check(const GPtrArray *parts)
{
    if (parts->len > CST_GUEST_PARTS)
        abort();
    for (guint i = 0; i < parts->len; i++) {
        const CstGuestPart *one = parts->pdata[i];

        if (one->detail)
            continue;
        if (one->offset > DISK || one->length > DISK - one->offset)
            abort();
        for (guint j = 0; j < i; j++) {
            const CstGuestPart *other = parts->pdata[j];

            if (!other->detail && one->offset < other->offset + other->length &&
                other->offset < one->offset + one->length)
                abort();
        }
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    g_autofree char *text = g_strndup((const char *)data, size);
    g_autoptr(GPtrArray) parts = guest_partitions_parse(text, DISK);
    g_autofree char *type = NULL;

    if (parts)
        check(parts);
    if (guest_type_parse(text, &type) && !type)
        abort();
    return 0;
}
