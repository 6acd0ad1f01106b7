/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* A repair that copies what several entries share ends at the next copy when it is cancelled, and
 * the next repair does the rest. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <string.h>

#include <base/error.h>
#include <base/units.h>
#include <blob/fault.h>
#include <blob/sparse.h>
#include <image/image.h>

enum { CLUSTERS = 5 };

typedef struct {
    CstImageCreate options;
    const char *format;
    uint64_t cluster;
    uint64_t table; /* where it begins in a new image */
    unsigned first; /* change of the repair that is a copy */
} Variant;

static const Variant variants[] = {
    {{.capacity = CLUSTERS * CST_MIB}, "vdi", CST_MIB, 512, 1},
    {{.capacity = CLUSTERS * 2 * CST_MIB, .force_size = TRUE}, "vpc", 2 * CST_MIB, 1536, 2},
    {{.capacity = CLUSTERS * CST_MIB}, "parallels", CST_MIB, 64, 2},
};

static CstBlob *open_guest(const CstImageFormat *format, CstBlob *blob)
{
    return cst_image_guest_blob(cst_image_open(blob, format, CST_IMAGE_WRITE, NULL, NULL));
}

/* The first four entries have one place. */
static CstBlob *make_shared(const Variant *variant, const CstImageFormat *format)
{
    CstBlob *blob = cst_blob_sparse_new(0);
    g_autoptr(CstBlob) guest = NULL;
    uint8_t entry[4];

    assert_true(cst_image_create(blob, format, &variant->options, NULL, NULL));
    guest = open_guest(format, blob);
    for (uint64_t i = 0; i < CLUSTERS; i++)
        assert_true(cst_blob_pwrite(guest, &"abcde"[i], 1, i * variant -> cluster, NULL));
    cst_blob_unref(g_steal_pointer(&guest));
    assert_true(cst_blob_pread(blob, entry, sizeof(entry), variant->table, NULL));
    for (uint64_t i = 1; i < 4; i++)
        assert_true(cst_blob_pwrite(blob, entry, sizeof(entry), variant->table + i * 4, NULL));
    return blob;
}

static void a_repair_is_cancelled_between_copies(void **state)
{
    for (size_t i = 0; i < G_N_ELEMENTS(variants); i++) {
        const CstImageFormat *format = cst_image_format_find(variants[i].format, NULL);
        g_autoptr(CstBlob) inner = make_shared(&variants[i], format);
        g_autoptr(CstBlob) blob = cst_blob_fault_new(inner);
        g_autoptr(CstBlob) guest = NULL;
        g_autoptr(CstTask) task = cst_task_new();
        g_autoptr(GError) error = NULL;
        CstImageCheck found = {0};
        char seen[CLUSTERS + 1] = "";

        cst_blob_fault_cancel(blob, task, variants[i].first);
        assert_false(cst_image_check(blob, format, CST_CHECK_REPAIR_ALL, &found, task, &error));
        assert_true(g_error_matches(error, CST_ERROR, CST_ERROR_CANCELLED));
        assert_true(cst_image_check(inner, format, 0, &found, NULL, NULL));
        if (found.errors < 3)
            fail_msg("%s: it went on", variants[i].format);
        assert_true(cst_image_check(inner, format, CST_CHECK_REPAIR_ALL, &found, NULL, NULL));
        assert_int_equal(found.errors_fixed, found.errors);
        guest = open_guest(format, inner);
        for (uint64_t n = 0; n < CLUSTERS; n++)
            assert_true(cst_blob_pread(guest, seen + n, 1, n * variants[i].cluster, NULL));
        assert_string_equal(seen, "aaaae");
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(a_repair_is_cancelled_between_copies)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
