/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Inspection of image headers: for each field, the values around its bounds. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <string.h>

#include <base/units.h>
#include <blob/sparse.h>
#include <image/image.h>

#include "bytes.h"

/** Bytes that a case writes into a sound image. @bytes is at least 1; 0 ends the list. */
typedef struct {
    uint64_t at, value;
    unsigned bytes;
} Change;

typedef struct {
    Change change;
    const char *problem; /* a part of it; NULL: the image is sound */
    uint64_t capacity;   /* the expected capacity */
} Case;

static const CstImageFormat *format_of(const char *name)
{
    return cst_image_format_find(name, NULL);
}

static void put(CstBlob *blob, uint64_t at, const void *bytes, size_t len)
{
    assert_true(cst_blob_pwrite(blob, bytes, len, at, NULL));
}

static void put_number(CstBlob *blob, uint64_t at, uint64_t value, unsigned bytes, gboolean big)
{
    uint8_t raw[8];

    for (unsigned i = 0; i < bytes; i++)
        raw[i] = (uint8_t)(value >> 8 * (big ? bytes - 1 - i : i));
    put(blob, at, raw, bytes);
}

static void expect(CstBlob *blob, const char *name, const char *problem, uint64_t capacity,
                   uint64_t cluster_size)
{
    g_auto(CstImageInfo) info = {0};

    assert_true(cst_image_inspect(blob, format_of(name), &info, NULL));
    if ((info.problem == NULL) != (problem == NULL) || (problem && !strstr(info.problem, problem)))
        fail_msg("%s: the problem is '%s', not '%s'", name, info.problem, problem);
    assert_int_equal(info.corrupt, problem != NULL);
    assert_int_equal(info.capacity, capacity);
    assert_int_equal(info.cluster_size, cluster_size);
}

/* Each case starts with an image of @make. */
static void expect_all(CstBlob *(*make)(void), const char *name, gboolean big, const Case *cases,
                       size_t count, uint64_t cluster_size)
{
    for (size_t i = 0; i < count; i++) {
        const Change *change = &cases[i].change;
        g_autoptr(CstBlob) blob = make();

        put_number(blob, change->at, change->value, change->bytes, big);
        expect(blob, name, cases[i].problem, cases[i].capacity, cluster_size);
    }
}

/* --- formats that are only described ---------------------------------------------------------- */

static CstBlob *make_cloop(void)
{
    CstBlob *blob = cst_blob_sparse_new(136 + 11 * 8);

    put(blob, 0, "#!/bin/sh\n#V2.0 Format\n", 23);
    put_number(blob, 128, 65536, 4, TRUE);
    put_number(blob, 132, 10, 4, TRUE);
    return blob;
}

static void a_cloop_image_is_described(void **state)
{
    static const Case cases[] = {
        {{0}, NULL, 10 * 65536},
        {{132, 9, 4}, NULL, 9 * 65536},
        {{132, 11, 4}, "outside the file", 0},
        {{132, UINT32_MAX, 4}, "outside the file", 0},
    };
    static const uint32_t sizes[] = {512, 65536 + 512, 64 * CST_MIB};
    static const uint32_t bad[] = {0, 511, 513, 64 * CST_MIB + 512};
    g_autoptr(CstBlob) blob = make_cloop();

    expect_all(make_cloop, "cloop", TRUE, cases, G_N_ELEMENTS(cases), 65536);
    for (size_t i = 0; i < G_N_ELEMENTS(sizes); i++) {
        put_number(blob, 128, sizes[i], 4, TRUE);
        expect(blob, "cloop", NULL, UINT64_C(10) * sizes[i], sizes[i]);
    }
    for (size_t i = 0; i < G_N_ELEMENTS(bad); i++) {
        put_number(blob, 128, bad[i], 4, TRUE);
        expect(blob, "cloop", "bad block size", 0, bad[i]);
    }
    put(blob, 20, "x", 1);
    expect(blob, "cloop", "no cloop image", 0, 0);
}

static CstBlob *make_bochs(void)
{
    CstBlob *blob = cst_blob_sparse_new(CST_MIB);

    put(blob, 0, "Bochs Virtual HD Image", 23);
    put(blob, 32, "Redolog", 8);
    put(blob, 48, "Growing", 8);
    put_number(blob, 64, 0x20000, 4, FALSE);
    put_number(blob, 72, 16, 4, FALSE);
    put_number(blob, 80, 4096, 4, FALSE);
    put_number(blob, 88, 65536, 8, FALSE);
    return blob;
}

static void a_bochs_image_is_described(void **state)
{
    static const Case cases[] = {
        {{0}, NULL, 65536},
        {{88, 65536 - 512, 8}, NULL, 65536 - 512},
        {{88, 65536 + 511, 8}, NULL, 65536}, /* whole sectors */
        {{88, 65536 + 512, 8}, "does not fit", 65536 + 512},
        {{72, 17, 4}, NULL, 65536},
        {{72, 15, 4}, "does not fit", 65536},
        {{72, 0x100000, 4}, NULL, 65536},
        {{72, 0x100001, 4}, "does not fit", 65536},
    };
    static const Change marks[] = {{22, 1, 1}, {38, 1, 1}, {54, 1, 1}, {64, 0x30000, 4}};
    g_autoptr(CstBlob) old = make_bochs();

    expect_all(make_bochs, "bochs", FALSE, cases, G_N_ELEMENTS(cases), 4096);
    for (size_t i = 0; i < G_N_ELEMENTS(marks); i++) {
        g_autoptr(CstBlob) blob = make_bochs();

        put_number(blob, marks[i].at, marks[i].value, marks[i].bytes, FALSE);
        expect(blob, "bochs", "no growing Bochs image", 0, 0);
    }
    put_number(old, 64, 0x10000, 4, FALSE);
    put_number(old, 84, 4096, 8, FALSE);
    expect(old, "bochs", NULL, 4096, 4096);
    put_number(old, 80, 256, 4, FALSE);
    expect(old, "bochs", "bad extent size", 4096, 256);
}

static CstBlob *make_cow(void)
{
    CstBlob *blob = cst_blob_sparse_new(4096);

    put(blob, 0, "OOOM\0\0\0\2", 8);
    put_number(blob, 1036, CST_MIB, 8, TRUE);
    return blob;
}

static void a_cow_image_is_described(void **state)
{
    static const Case cases[] = {
        {{0}, NULL, CST_MIB},
        {{1036, G_MAXINT64, 8}, NULL, G_MAXINT64},
        {{1036, (uint64_t)G_MAXINT64 + 1, 8}, "bad size", (uint64_t)G_MAXINT64 + 1},
        {{4, 3, 4}, "no cow image", 0},
    };
    g_autoptr(CstBlob) blob = make_cow();
    g_auto(CstImageInfo) info = {0}, none = {0};

    expect_all(make_cow, "cow", TRUE, cases, G_N_ELEMENTS(cases), 0);
    assert_true(cst_image_inspect(blob, format_of("cow"), &none, NULL));
    assert_null(none.backing);
    put(blob, 8, "base", 4);
    assert_true(cst_image_inspect(blob, format_of("cow"), &info, NULL));
    assert_string_equal(info.backing, "base");
}

static CstBlob *make_dmg(void)
{
    CstBlob *blob = cst_blob_sparse_new(4096);

    put(blob, 4096 - 512, "koly", 4);
    put_number(blob, 4096 - 512 + 0x1ec, 2048, 8, TRUE);
    return blob;
}

static void a_disk_image_of_apples_is_described(void **state)
{
    enum { SECTORS = 4096 - 512 + 0x1ec };
    const uint64_t most = (uint64_t)G_MAXINT64 / 512;
    const Case cases[] = {
        {{0}, NULL, CST_MIB},
        {{SECTORS, most, 8}, NULL, most * 512},
        {{SECTORS, most + 1, 8}, "bad size", 0},
        {{4096 - 512, 0, 1}, "no disk image", 0},
    };
    g_autoptr(CstBlob) one = cst_blob_sparse_new(512), less = cst_blob_sparse_new(511);

    expect_all(make_dmg, "dmg", TRUE, cases, G_N_ELEMENTS(cases), 0);
    put(one, 0, "koly", 4);
    expect(one, "dmg", NULL, 0, 0);
    put(less, 0, "koly", 4);
    expect(less, "dmg", "no disk image", 0, 0);
}

/* --- VMDK ------------------------------------------------------------------------------------- */

static CstBlob *make_vmdk(void)
{
    const CstImageCreate options = {.capacity = CST_MIB};
    CstBlob *blob = cst_blob_sparse_new(0);

    assert_true(cst_image_create(blob, format_of("vmdk"), &options, NULL, NULL));
    return blob;
}

static CstBlob *make_cowd(void)
{
    CstBlob *blob = cst_blob_sparse_new(CST_MIB);

    put(blob, 0, "COWD", 4);
    put_number(blob, 4, 1, 4, FALSE);
    put_number(blob, 12, 2048, 4, FALSE);
    put_number(blob, 16, 128, 4, FALSE);
    return blob;
}

static void the_header_of_a_vmdk_is_described(void **state)
{
    static const Case kdmv[] = {
        {{0}, NULL, CST_MIB},
        {{4, 2, 4}, NULL, CST_MIB},
        {{4, 3, 4}, NULL, CST_MIB},
        {{4, 0, 4}, "unknown version", CST_MIB},
        {{4, 4, 4}, "unknown version", CST_MIB},
    };
    static const Case cowd[] = {
        {{0}, NULL, CST_MIB},
        {{4, 2, 4}, "unknown version", CST_MIB},
        {{12, 4096, 4}, NULL, 2 * CST_MIB},
    };

    expect_all(make_vmdk, "vmdk", FALSE, kdmv, G_N_ELEMENTS(kdmv), 65536);
    expect_all(make_cowd, "vmdk", FALSE, cowd, G_N_ELEMENTS(cowd), 65536);
}

static void assert_part(const GPtrArray *parts, guint index, const CstImagePart *wanted)
{
    const CstImagePart *part = g_ptr_array_index(parts, index);

    assert_int_equal(g_strcmp0(part->file, wanted->file), 0);
    assert_string_equal(part->kind, wanted->kind);
    assert_int_equal(part->capacity, wanted->capacity);
    assert_int_equal(part->cluster_size, wanted->cluster_size);
    assert_int_equal(part->compressed, wanted->compressed);
}

static void the_files_of_a_vmdk_are_listed(void **state)
{
    static const char text[] = "# Disk DescriptorFile\nversion=1\nCID=00000001\n"
                               "RW 4 FLAT \"a\" 0\nRW 8 SPARSE \"b\"\nRW 2 ZERO\n";
    const CstImageCreate packed = {.capacity = CST_MIB, .subformat = "streamOptimized"};
    g_autoptr(CstBlob) blob = cst_blob_memory_new(text, strlen(text));
    g_autoptr(CstBlob) one = make_vmdk(), stream = cst_blob_sparse_new(0);
    g_autoptr(GPtrArray) parts = cst_image_inspect_parts(blob, format_of("vmdk"), NULL);
    g_autoptr(GPtrArray) alone = cst_image_inspect_parts(one, format_of("vmdk"), NULL);
    g_autoptr(GPtrArray) small = NULL;

    assert_int_equal(parts->len, 3);
    assert_part(parts, 0, &(CstImagePart){(char *)"a", "FLAT", 4 * 512, 0, FALSE});
    assert_part(parts, 1, &(CstImagePart){(char *)"b", "SPARSE", 8 * 512, 0, FALSE});
    assert_part(parts, 2, &(CstImagePart){NULL, "ZERO", 2 * 512, 0, FALSE});
    assert_int_equal(alone->len, 1);
    assert_part(alone, 0, &(CstImagePart){NULL, "", CST_MIB, 65536, FALSE});
    assert_true(cst_image_create(stream, format_of("vmdk"), &packed, NULL, NULL));
    small = cst_image_inspect_parts(stream, format_of("vmdk"), NULL);
    assert_int_equal(small->len, 1);
    assert_part(small, 0, &(CstImagePart){NULL, "", CST_MIB, 65536, TRUE});
    assert_null(cst_image_inspect_parts(one, format_of("raw"), NULL));
}

/* An image of one file names itself; a name that no descriptor can hold is only for show. */
static void a_vmdk_names_itself_where_that_can_be(void **state)
{
    static const char *const names[][2] = {{"a disk.vmdk", "a disk.vmdk"}, {"a\"b", "disk.vmdk"}};

    for (size_t i = 0; i < G_N_ELEMENTS(names); i++) {
        const CstImageCreate options = {.capacity = CST_MIB, .file_name = names[i][0]};
        g_autofree char *line = g_strdup_printf("RW 2048 SPARSE \"%s\"\n", names[i][1]);
        g_autoptr(CstBlob) blob = cst_blob_sparse_new(0);
        char text[1024] = "";

        assert_true(cst_image_create(blob, format_of("vmdk"), &options, NULL, NULL));
        assert_true(cst_blob_pread(blob, text, sizeof(text) - 1, 512, NULL));
        assert_non_null(strstr(text, line));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_cloop_image_is_described),
        cmocka_unit_test(a_bochs_image_is_described),
        cmocka_unit_test(a_cow_image_is_described),
        cmocka_unit_test(a_disk_image_of_apples_is_described),
        cmocka_unit_test(the_header_of_a_vmdk_is_described),
        cmocka_unit_test(the_files_of_a_vmdk_are_listed),
        cmocka_unit_test(a_vmdk_names_itself_where_that_can_be),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
