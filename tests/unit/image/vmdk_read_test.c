/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Reads of VMDK images: how many reads of the file a read of the guest's bytes takes. */
#include "vmdk_images.h"

#include <blob/fault.h>

/* Grains 0 to 7 adjoin in the file, grain 8 does not: it is written after grain 9. */
static void read_of_adjacent_grains_is_one_read_of_the_file(void **state)
{
    g_autoptr(CstBlob) blob = create(CST_MIB, NULL);
    g_autoptr(CstBlob) fault = cst_blob_fault_new(blob);
    g_autoptr(CstBlob) guest = open_guest(fault);
    g_autofree uint8_t *seen = g_malloc(10 * GRAIN);

    for (uint64_t i = 0; i < 8; i++)
        mark(guest, i);
    mark(guest, 9);
    mark(guest, 8);
    assert_true(cst_blob_pread(guest, seen, 10 * GRAIN, 0, NULL)); /* reads the tables, too */
    cst_blob_fault_arm(fault, CST_FAULT_READ, 0, CST_FAULT_ONCE);
    assert_true(cst_blob_pread(guest, seen, 8 * GRAIN, 0, NULL));
    assert_int_equal(cst_blob_fault_count(fault, CST_FAULT_READ), 1);
    memset(seen, 0xee, 10 * GRAIN);
    assert_true(cst_blob_pread(guest, seen, 10 * GRAIN, 0, NULL));
    assert_int_equal(cst_blob_fault_count(fault, CST_FAULT_READ), 4);
    for (uint64_t i = 0; i < 10; i++) {
        uint64_t first, last;

        memcpy(&first, seen + i * GRAIN, sizeof(first));
        memcpy(&last, seen + (i + 1) * GRAIN - sizeof(last), sizeof(last));
        assert_int_equal(first, i + 1000);
        assert_int_equal(last, i + 1000);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(read_of_adjacent_grains_is_one_read_of_the_file),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
