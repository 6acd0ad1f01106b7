/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Answers of a target about its LUNs. The first byte selects the question. */
#include <stdlib.h>
#include <string.h>

#include <blob/scsi.h>

#include "fuzz.h"

static void check_luns(const uint8_t *data, size_t size)
{
    g_autoptr(GArray) numbers = g_array_new(FALSE, FALSE, sizeof(uint16_t));

    cst_scsi_parse_luns(data, size, numbers);
    if (numbers->len > size / 8)
        abort();
    for (guint i = 0; i < numbers->len; i++)
        if (g_array_index(numbers, uint16_t, i) > 0x3fff)
            abort();
}

static void check_size(const CstScsiUnit *unit, gboolean good)
{
    uint32_t size = unit->block_size;

    if (good && (size < CST_SCSI_BLOCK_MIN || size > CST_SCSI_BLOCK_MAX || (size & (size - 1)) ||
                 unit->blocks == 0 || unit->blocks > (uint64_t)INT64_MAX / size))
        abort();
}

/* Runs begin where was asked, have no gaps, and end at the unit's end at the latest. */
static void check_runs(const uint8_t *data, size_t size)
{
    g_autoptr(GArray) runs = g_array_new(FALSE, FALSE, sizeof(CstScsiRun));
    uint64_t first = 1000, end = 100000, next = first;

    if (!cst_scsi_parse_lba_status(data, size, first, end, runs, NULL))
        return;
    for (guint i = 0; i < runs->len; i++) {
        const CstScsiRun *run = &g_array_index(runs, CstScsiRun, i);

        if (run->block != next || run->end <= run->block || run->end > end)
            abort();
        next = run->end;
    }
    if (next == first)
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    CstScsiUnit unit = {0};

    if (size == 0)
        return 0;
    switch (data[0] % 8) {
    case 0: check_luns(data + 1, size - 1); break;
    case 1: cst_scsi_parse_inquiry(data + 1, size - 1, &unit); break;
    case 2: check_size(&unit, cst_scsi_parse_capacity16(data + 1, size - 1, &unit, NULL)); break;
    case 3: check_size(&unit, cst_scsi_parse_capacity10(data + 1, size - 1, &unit, NULL)); break;
    case 4: cst_scsi_parse_designators(data + 1, size - 1, &unit); break;
    case 5: cst_scsi_parse_limits(data + 1, size - 1, &unit); break;
    case 6: cst_scsi_parse_provisioning(data + 1, size - 1, &unit); break;
    default: check_runs(data + 1, size - 1); break;
    }
    if (memchr(unit.id, 0, sizeof(unit.id)) == NULL)
        abort();
    return 0;
}
