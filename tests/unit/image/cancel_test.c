/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* A repair copies a cluster that several entries share. A canceled repair ends at the next copy,
 * and the next repair finishes the work. When the storage fails, a repair changes no entry that it
 * could not read. */
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
enum { MANY = 200 }; /* each of the first calls fails once; of the later calls, some */

typedef struct {
    CstImageCreate options;
    const char *format;
    uint64_t cluster;
    uint64_t table; /* where it begins in a new image */
    unsigned first; /* change of the repair that is a copy */
} Variant;

static const Variant variants[] = {
    {{.capacity = CLUSTERS * CST_MIB}, "vdi", CST_MIB, 512, 1},
    {{.capacity = CLUSTERS * 2 * CST_MIB}, "vpc", 2 * CST_MIB, 1536, 2},
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

/* --- storage that fails during a repair ------------------------------------------------------- */

/* VHDX is left out, because its header records each opening for writing. */
static const Variant sound[] = {
    {.options = {.capacity = CLUSTERS * CST_MIB}, .format = "vmdk", .cluster = 64 * CST_KIB},
    {.options = {.capacity = CLUSTERS * CST_MIB}, .format = "vdi", .cluster = CST_MIB},
    {.options = {.capacity = CLUSTERS * CST_MIB}, .format = "qcow2", .cluster = 64 * CST_KIB},
    {.options = {.capacity = CLUSTERS * CST_MIB}, .format = "qed", .cluster = 64 * CST_KIB},
    {.options = {.capacity = CLUSTERS * CST_MIB}, .format = "parallels", .cluster = CST_MIB},
    {.options = {.capacity = CLUSTERS * 2 * CST_MIB}, .format = "vpc", .cluster = 2 * CST_MIB},
};

/* Allocates every second cluster. */
static CstBlob *make_sound(const Variant *variant, const CstImageFormat *format)
{
    CstBlob *blob = cst_blob_sparse_new(0);
    g_autoptr(CstBlob) guest = NULL;

    assert_true(cst_image_create(blob, format, &variant->options, NULL, NULL));
    guest = open_guest(format, blob);
    for (uint64_t n = 0; n < CLUSTERS; n += 2)
        assert_true(cst_blob_pwrite(guest, "x", 1, n * variant->cluster, NULL));
    return blob;
}

static GBytes *bytes_of(CstBlob *blob)
{
    uint64_t size;
    uint8_t *bytes;

    assert_true(cst_blob_get_size(blob, &size, NULL));
    bytes = g_malloc(size);
    assert_true(cst_blob_pread(blob, bytes, size, 0, NULL));
    return g_bytes_new_take(bytes, size);
}

/* FALSE once the repair makes fewer such calls. */
static gboolean fail_one(const Variant *variant, CstBlob *inner, GBytes *before, CstFaultKind kind,
                         unsigned nth)
{
    const CstImageFormat *format = cst_image_format_find(variant->format, NULL);
    g_autoptr(CstBlob) copy = cst_blob_sparse_copy(inner);
    g_autoptr(CstBlob) blob = cst_blob_fault_new(copy);
    g_autoptr(GBytes) after = NULL;
    g_autoptr(GError) error = NULL;
    CstImageCheck found = {0};
    gboolean done;

    cst_blob_fault_arm(blob, kind, nth, CST_FAULT_ONCE);
    done = cst_image_check(blob, format, CST_CHECK_REPAIR_ALL, &found, NULL, &error);
    if (!cst_blob_fault_struck(blob)) {
        assert_true(done);
        return FALSE;
    }
    if (done || !g_error_matches(error, CST_ERROR, CST_ERROR_IO))
        fail_msg("%s: failing call %u of kind %u: %s", variant->format, nth, kind,
                 done ? "nobody was told" : error->message);
    after = bytes_of(copy);
    if (!g_bytes_equal(before, after))
        fail_msg("%s: failing call %u of kind %u: the image was changed", variant->format, nth,
                 kind);
    return TRUE;
}

/* A check does not even flush, because a flush would delay other users. It also works on a file
 * that is not writable.
 */
static void check_does_not_write_to_the_image(void **state)
{
    static const CstFaultKind changes[] = {CST_FAULT_WRITE, CST_FAULT_DISCARD, CST_FAULT_FLUSH};

    for (size_t i = 0; i < G_N_ELEMENTS(sound) + G_N_ELEMENTS(variants); i++) {
        gboolean damaged = i >= G_N_ELEMENTS(sound);
        const Variant *variant = damaged ? &variants[i - G_N_ELEMENTS(sound)] : &sound[i];
        const CstImageFormat *format = cst_image_format_find(variant->format, NULL);
        g_autoptr(CstBlob) inner = NULL, blob = NULL;
        CstImageCheck found = {0};

        inner = damaged ? make_shared(variant, format) : make_sound(variant, format);
        blob = cst_blob_fault_new(inner);
        for (size_t k = 0; k < G_N_ELEMENTS(changes); k++)
            cst_blob_fault_arm(blob, changes[k], 0, CST_FAULT_ONCE);
        assert_true(cst_image_check(blob, format, 0, &found, NULL, NULL));
        assert_int_equal(found.errors > 0, damaged);
        for (size_t k = 0; k < G_N_ELEMENTS(changes); k++)
            assert_int_equal(cst_blob_fault_count(blob, changes[k]), 0);
    }
}

/* A temporary read error is not damage, and causes no repair. */
static void repair_with_failing_reads_does_not_write_to_the_image(void **state)
{
    static const CstFaultKind kinds[] = {CST_FAULT_QUERY, CST_FAULT_READ};

    for (size_t i = 0; i < G_N_ELEMENTS(sound); i++) {
        const CstImageFormat *format = cst_image_format_find(sound[i].format, NULL);
        g_autoptr(CstBlob) inner = make_sound(&sound[i], format);
        g_autoptr(GBytes) before = bytes_of(inner);

        for (size_t k = 0; k < G_N_ELEMENTS(kinds); k++)
            for (unsigned nth = 1; fail_one(&sound[i], inner, before, kinds[k], nth);)
                nth += nth < MANY ? 1 : nth / 4;
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_repair_is_cancelled_between_copies),
        cmocka_unit_test(check_does_not_write_to_the_image),
        cmocka_unit_test(repair_with_failing_reads_does_not_write_to_the_image),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
