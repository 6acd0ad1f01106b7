/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <string.h>

#include <base/error.h>
#include <base/units.h>
#include <blob/fault.h>
#include <image/image.h>

#include "bytes.h"

/* Images are built byte by byte, because QEMU's tools would never write such headers. */

static CstBlob *blob_of(const void *data, size_t len, uint64_t size)
{
    CstBlob *blob = cst_blob_memory_new(data, len);

    assert_true(cst_blob_resize(blob, size, NULL));
    return blob;
}

static void inspect(CstBlob *blob, const char *format, CstImageInfo *info)
{
    const CstImageFormat *named = format ? cst_image_format_find(format, NULL) : NULL;

    assert_true(!format || named);
    assert_true(cst_image_inspect(blob, named, info, NULL));
}

static void assert_format(const void *data, size_t len, uint64_t size, const char *expected)
{
    g_autoptr(CstBlob) blob = blob_of(data, len, size);
    g_auto(CstImageInfo) info = {0};

    inspect(blob, NULL, &info);
    assert_string_equal(cst_image_format_name(info.format), expected);
}

static void assert_corrupt(CstBlob *blob, const char *format)
{
    g_auto(CstImageInfo) info = {0};

    inspect(blob, format, &info);
    assert_true(info.corrupt);
    assert_non_null(info.problem);
}

static void assert_sound(CstBlob *blob, const char *format)
{
    g_auto(CstImageInfo) info = {0};

    inspect(blob, format, &info);
    assert_null(info.problem);
    assert_false(info.corrupt);
}

static void put(CstBlob *blob, uint64_t offset, const void *data, size_t len)
{
    assert_true(cst_blob_pwrite(blob, data, len, offset, NULL));
}

static void put32(CstBlob *blob, uint64_t offset, uint32_t value)
{
    uint8_t raw[4];

    cst_put_be32(raw, value);
    put(blob, offset, raw, sizeof(raw));
}

static void put64(CstBlob *blob, uint64_t offset, uint64_t value)
{
    uint8_t raw[8];

    cst_put_be64(raw, value);
    put(blob, offset, raw, sizeof(raw));
}

static void put32le(CstBlob *blob, uint64_t offset, uint32_t value)
{
    put(blob, offset, &value, sizeof(value));
}

static void put64le(CstBlob *blob, uint64_t offset, uint64_t value)
{
    put(blob, offset, &value, sizeof(value));
}

/* --- names and guesses --------------------------------------------------------------------- */

static void formats_are_found_by_name_and_alias(void **state)
{
    g_autoptr(GError) error = NULL;

    for (size_t i = 0; cst_image_formats()[i]; i++) {
        const CstImageFormat *format = cst_image_formats()[i];

        assert_ptr_equal(cst_image_format_find(cst_image_format_name(format), NULL), format);
    }
    assert_string_equal(cst_image_format_name(cst_image_format_find("vhd", NULL)), "vpc");
    assert_string_equal(cst_image_format_xml_name(cst_image_format_find("parallels", NULL)),
                        "ploop");
    assert_null(cst_image_format_find("quorum", &error));
    assert_true(g_error_matches(error, CST_ERROR, CST_ERROR_INVALID));
}

static void guesses_agree_with_libvirt(void **state)
{
    static const struct {
        const char *head;
        size_t len;
        const char *expected;
    } table[] = {
        {"", 0, "raw"},
        {"QFI\xfb\0\0\0\1", 8, "qcow"},
        {"QFI\xfb\0\0\0\2", 8, "qcow2"},
        {"QFI\xfb\0\0\0\3", 8, "qcow2"},
        {"QED\0", 4, "qed"},
        {"KDMV\1\0\0\0", 8, "vmdk"},
        {"KDMV\3\0\0\0", 8, "vmdk"},
        {"OOOM\0\0\0\2", 8, "cow"},
        {"conectix\0\0\0\0\0\1\0\0", 16, "vpc"},
        {"WithouFreSpacExt\2\0\0\0", 20, "parallels"},
        {"LUKS\xba\xbe\0\1", 8, "luks"},
        {"LUKS\xba\xbe\0\2", 8, "luks"},
        {"vhdxfile", 8, "vhdx"},
        {"# Disk DescriptorFile\n", 22, "vmdk"},
        {"#!/bin/sh\n#V2.0 Format\nmodprobe cloop", 37, "raw"},
        {"Bochs Virtual HD Image", 22, "raw"},
    };

    for (size_t i = 0; i < G_N_ELEMENTS(table); i++) {
        assert_format(table[i].head, table[i].len, MAX(table[i].len, 4096), table[i].expected);
        assert_format(table[i].head, table[i].len, 65536, table[i].expected);
    }
}

static void iso_is_seen_beyond_the_head_but_never_wins_over_it(void **state)
{
    g_autoptr(CstBlob) blob = blob_of(NULL, 0, 32774);
    g_auto(CstImageInfo) info = {0};

    inspect(blob, NULL, &info);
    assert_true(cst_image_format_is_raw(info.format));
    cst_image_info_clear(&info);
    put(blob, 32769, "CD001", 5);
    inspect(blob, NULL, &info);
    assert_string_equal(cst_image_format_name(info.format), "iso");
    assert_true(cst_image_format_is_plain(info.format) && !cst_image_format_is_raw(info.format));
    assert_int_equal(info.capacity, 32774);
    cst_image_info_clear(&info);
    put(blob, 0, "QFI\xfb\0\0\0\3", 8);
    inspect(blob, NULL, &info);
    assert_string_equal(cst_image_format_name(info.format), "qcow2");
}

static void every_prefix_of_every_magic_is_harmless(void **state)
{
    for (size_t i = 0; cst_image_formats()[i]; i++) {
        const char *name = cst_image_format_name(cst_image_formats()[i]);

        for (size_t len = 0; len < 1200; len += len < 64 ? 1 : 37) {
            g_autofree uint8_t *junk = g_malloc(len + 1);

            memset(junk, 0xff, len + 1);
            for (int with_magic = 0; with_magic < 2; with_magic++) {
                g_autoptr(CstBlob) blob = cst_blob_memory_new(junk, len);
                g_auto(CstImageInfo) info = {0};

                if (with_magic && len >= 8)
                    put(blob, 0, "QFI\xfb\0\0\0\3", 8);
                inspect(blob, name, &info);
                assert_true(strcmp(name, "raw") == 0 || strcmp(name, "iso") == 0 || info.corrupt);
            }
        }
    }
}

static void an_unreadable_blob_is_an_error(void **state)
{
    g_autoptr(CstBlob) inner = blob_of(NULL, 0, 65536);
    g_autoptr(CstBlob) blob = cst_blob_fault_new(inner);

    for (unsigned nth = 1; nth <= 2; nth++) {
        g_auto(CstImageInfo) info = {0};
        g_autoptr(GError) error = NULL;

        cst_blob_fault_arm(blob, CST_FAULT_READ, nth, CST_FAULT_ONCE);
        assert_false(cst_image_inspect(blob, NULL, &info, &error));
        assert_true(g_error_matches(error, CST_ERROR, CST_ERROR_IO));
        assert_null(info.format);
    }
}

/* libvirt treats these as raw disks. */
static void magic_number_alone_is_a_damaged_image(void **state)
{
    static const struct {
        const char *head;
        size_t len;
        const char *format;
    } rows[] = {
        {"QFI\xfb\0\0\0\4", 8, "qcow2"},
        {"QFI\xfb\0\0\0\0", 8, "qcow2"},
        {"QFI\xfb", 4, "qcow2"},
        {"KDMV\4\0\0\0", 8, "vmdk"},
        {"COWD\7\0\0\0", 8, "vmdk"},
        {"OOOM\0\0\0\1", 8, "cow"},
        {"conectix\0\0\0\0\0\2\0\0", 16, "vpc"},
        {"LUKS\xba\xbe\0\3", 8, "luks"},
        {"WithoutFreeSpace\1\0\0\0", 20, "parallels"},
    };

    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        g_autoptr(CstBlob) blob = cst_blob_memory_new(NULL, 0);
        g_auto(CstImageInfo) info = {0};

        put(blob, 0, rows[i].head, rows[i].len);
        assert_true(cst_image_inspect(blob, NULL, &info, NULL));
        assert_string_equal(cst_image_format_name(info.format), rows[i].format);
        assert_true(info.problem && strstr(info.problem, " header is damaged: "));
        assert_null(cst_image_open(blob, info.format, 0, NULL, NULL));
    }
}

static void inspection_of_raw_and_qcow2_needs_few_reads(void **state)
{
    g_autoptr(CstBlob) inner = blob_of(NULL, 0, CST_MIB);
    g_autoptr(CstBlob) blob = cst_blob_fault_new(inner);
    const CstImageCreate options = {.capacity = CST_GIB};
    g_auto(CstImageInfo) info = {0};

    cst_blob_fault_arm(blob, CST_FAULT_READ, 0, CST_FAULT_ONCE);
    inspect(blob, NULL, &info);
    assert_in_range(cst_blob_fault_count(blob, CST_FAULT_READ), 1, 3);
    cst_image_info_clear(&info);
    assert_true(cst_image_create(blob, cst_image_format_find("qcow2", NULL), &options, NULL, NULL));
    cst_blob_fault_arm(blob, CST_FAULT_READ, 0, CST_FAULT_ONCE);
    inspect(blob, NULL, &info);
    assert_int_equal(cst_blob_fault_count(blob, CST_FAULT_READ), 1);
    assert_int_equal(info.capacity, CST_GIB);
}

/* --- hostile headers ----------------------------------------------------------------------- */

static CstBlob *sound_qcow2(void)
{
    CstBlob *blob = cst_blob_memory_new(NULL, 0);
    const CstImageCreate options = {
        .capacity = CST_GIB, .backing = "base.img", .backing_format = "raw"};

    assert_true(cst_image_create(blob, cst_image_format_find("qcow2", NULL), &options, NULL, NULL));
    return blob;
}

static void hostile_qcow2_headers_are_corrupt(void **state)
{
    static const struct {
        unsigned at, width;
        uint64_t value;
    } table[] = {
        {8, 8, UINT64_MAX},          /* backing file offset */
        {8, 8, 65537},               /* … beyond the first cluster */
        {16, 4, 1024},               /* backing file name length */
        {16, 4, UINT32_MAX},         /* */
        {20, 4, 8},                  /* cluster bits */
        {20, 4, 22},                 /* */
        {20, 4, 63},                 /* */
        {20, 4, UINT32_MAX},         /* */
        {24, 8, UINT64_MAX},         /* size: larger than any L1 table */
        {24, 8, UINT64_C(1) << 62},  /* */
        {24, 8, 600 * CST_GIB},      /* size: larger than this L1 table */
        {32, 4, 3},                  /* encryption method */
        {36, 4, 0},                  /* L1 entries: too few */
        {36, 4, 1},                  /* */
        {36, 4, UINT32_MAX},         /* L1 entries: 32 GiB of them */
        {36, 4, 65536},              /* */
        {40, 8, 0},                  /* L1 offset: the header */
        {40, 8, 3 * 65536 + 512},    /* not aligned */
        {40, 8, UINT64_MAX - 65535}, /* wraps around */
        {40, 8, CST_GIB},            /* beyond the end */
        {48, 8, 0},                  /* refcount table: the header */
        {48, 8, 65536 + 8},          /* */
        {48, 8, UINT64_C(1) << 63},  /* */
        {56, 4, 0},                  /* refcount table size */
        {56, 4, 129},                /* more than 8 MiB */
        {56, 4, UINT32_MAX},         /* */
        {60, 4, 65537},              /* snapshots */
        {60, 4, UINT32_MAX},         /* */
        {64 - 4, 4, 5},              /* snapshots, but no table */
        {72, 8, 1 << 1},             /* marked as corrupt */
        {72, 8, 1 << 3},             /* compression bit without a type */
        {96, 4, 7},                  /* refcount order */
        {96, 4, UINT32_MAX},         /* */
        {100, 4, 96},                /* header length */
        {100, 4, 105},               /* */
        {100, 4, 1 << 20},           /* */
        {100, 4, UINT32_MAX - 7},    /* */
        {104, 4, 0x01000000},        /* compression type without its bit */
        {112 + 4, 4, UINT32_MAX},    /* length of a header extension */
        {112 + 4, 4, 65536},         /* */
    };

    for (size_t i = 0; i < G_N_ELEMENTS(table); i++) {
        g_autoptr(CstBlob) blob = sound_qcow2();

        assert_sound(blob, "qcow2");
        if (table[i].width == 4)
            put32(blob, table[i].at, (uint32_t)table[i].value);
        else
            put64(blob, table[i].at, table[i].value);
        assert_corrupt(blob, "qcow2");
        assert_corrupt(blob, NULL);
    }
}

static void damaged_qcow2_still_reports_its_references(void **state)
{
    g_autoptr(CstBlob) blob = sound_qcow2();
    g_auto(CstImageInfo) info = {0};

    put64(blob, 40, UINT64_MAX);
    inspect(blob, NULL, &info);
    assert_true(info.corrupt);
    assert_string_equal(info.backing, "base.img");
    assert_string_equal(info.backing_format, "raw");
}

static void unknown_qcow2_features_are_a_problem_not_damage(void **state)
{
    g_autoptr(CstBlob) blob = sound_qcow2();
    g_auto(CstImageInfo) info = {0};

    put64(blob, 72, UINT64_C(1) << 40);
    inspect(blob, NULL, &info);
    assert_false(info.corrupt);
    assert_non_null(info.problem);
}

static void a_cut_off_qcow2_is_corrupt_at_every_length(void **state)
{
    g_autoptr(CstBlob) whole = sound_qcow2();
    uint64_t size = 0;

    assert_true(cst_blob_get_size(whole, &size, NULL));
    for (uint64_t len = 8; len < size; len += len < 300 ? 1 : 4099) {
        g_autoptr(CstBlob) blob = cst_blob_memory_new(NULL, 0);

        assert_true(cst_blob_copy(whole, 0, blob, 0, len, 0, NULL, NULL));
        assert_corrupt(blob, "qcow2");
    }
}

static CstBlob *sound_vdi(void)
{
    CstBlob *blob = blob_of(NULL, 0, 2 * CST_MIB);

    put32le(blob, 0x40, 0xbeda107f);
    put32le(blob, 0x44, 0x00010001);
    put32le(blob, 0x48, 0x180);
    put32le(blob, 0x4c, 1);
    put32le(blob, 0x154, 0x200);
    put32le(blob, 0x158, 0x400);
    put32le(blob, 0x168, 512);
    put64le(blob, 0x170, 64 * CST_MIB);
    put32le(blob, 0x178, CST_MIB);
    put32le(blob, 0x180, 64);
    return blob;
}

static void hostile_vdi_headers_are_corrupt(void **state)
{
    static const uint32_t table[][2] = {
        {0x44, 2},           {0x4c, 9},   {0x154, 0x201},      {0x154, 0xfffffe00},
        {0x158, 1},          {0x168, 0},  {0x174, 0xffffff},   {0x178, 0},
        {0x178, 3},          {0x180, 63}, {0x180, 0x3fffffff}, {0x180, 0xffffffff},
        {0x178, 0xffffffff},
    };

    for (size_t i = 0; i < G_N_ELEMENTS(table); i++) {
        g_autoptr(CstBlob) blob = sound_vdi();

        assert_sound(blob, "vdi");
        put32le(blob, table[i][0], table[i][1]);
        assert_corrupt(blob, "vdi");
    }
}

static CstBlob *sound_parallels(void)
{
    CstBlob *blob = blob_of("WithouFreSpacExt\2", 17, 65536);

    put32le(blob, 28, 2048);
    put32le(blob, 32, 64);
    put64le(blob, 36, 64 * 2048);
    return blob;
}

static void hostile_parallels_headers_are_corrupt(void **state)
{
    static const uint32_t table[][2] = {
        {28, 0}, {28, 0xffffffff}, {32, 63}, {32, 0xffffffff}, {32, 16385}, {40, 0xffffffff},
    };

    for (size_t i = 0; i < G_N_ELEMENTS(table); i++) {
        g_autoptr(CstBlob) blob = sound_parallels();

        assert_sound(blob, "parallels");
        put32le(blob, table[i][0], table[i][1]);
        assert_corrupt(blob, "parallels");
    }
}

static void hostile_qcow_headers_are_corrupt(void **state)
{
    static const uint64_t table[][3] = {
        /* at, width, value */
        {8, 8, UINT64_MAX},  {24, 8, 1},          {24, 8, UINT64_MAX},
        {32, 4, 0x08090000}, {32, 4, 0x11090000}, {32, 4, 0xffff0000},
        {32, 4, 0x0c050000}, {32, 4, 0x0c0e0000}, {36, 4, 2},
    };

    for (size_t i = 0; i < G_N_ELEMENTS(table); i++) {
        g_autoptr(CstBlob) blob = blob_of("QFI\xfb\0\0\0\1", 8, 4096);

        put64(blob, 24, CST_GIB);
        put32(blob, 32, 0x0c090000);
        put32(blob, 16, 5);
        assert_sound(blob, "qcow");
        if (table[i][1] == 8)
            put64(blob, table[i][0], table[i][2]);
        else
            put32(blob, table[i][0], (uint32_t)table[i][2]);
        assert_corrupt(blob, "qcow");
    }
}

static void hostile_qed_headers_are_corrupt(void **state)
{
    static const uint32_t table[][2] = {
        {4, 0},         {4, 3},           {4, 0x8000000},   {8, 0},      {8, 3},
        {8, 32},        {12, 0},          {40, 0},          {40, 65544}, {48, 511},
        {52, 0xffffff}, {56, 0xffffffff}, {60, 0xffffffff}, {60, 2000},
    };

    for (size_t i = 0; i < G_N_ELEMENTS(table); i++) {
        g_autoptr(CstBlob) blob = blob_of("QED\0", 4, 65536);

        put32le(blob, 4, 65536);
        put32le(blob, 8, 4);
        put32le(blob, 12, 1);
        put32le(blob, 16, 1);
        put64le(blob, 40, 65536);
        put64le(blob, 48, CST_GIB);
        put32le(blob, 56, 100);
        put32le(blob, 60, 10);
        assert_sound(blob, "qed");
        put32le(blob, table[i][0], table[i][1]);
        assert_corrupt(blob, "qed");
    }
}

static void hostile_vmdk_headers_are_corrupt(void **state)
{
    static const uint32_t table[][2] = {
        {16, 0xffffffff}, {20, 0},          {20, 3},          {24, 1},       {44, 0},
        {44, 513},        {44, 0xffffffff}, {32, 0xffffffff}, {28, 1 << 20},
    };

    for (size_t i = 0; i < G_N_ELEMENTS(table); i++) {
        g_autoptr(CstBlob) blob = blob_of("KDMV\1\0\0\0", 8, 65536);

        put64le(blob, 12, 20480);
        put64le(blob, 20, 128);
        put64le(blob, 28, 1);
        put64le(blob, 36, 20);
        put32le(blob, 44, 512);
        put(blob, 512, "createType=\"monolithicSparse\"\n", 30);
        assert_sound(blob, "vmdk");
        put32le(blob, table[i][0], table[i][1]);
        assert_corrupt(blob, "vmdk");
    }
}

static void vmdk_descriptor_reports_its_references(void **state)
{
    static const char text[] = "# Disk DescriptorFile\nversion=1\nparentCID=12345678\n"
                               "createType=\"monolithicFlat\"\n"
                               "parentFileNameHint=\"/etc/passwd\"\n"
                               "RW 2048 FLAT \"/etc/shadow\" 0\nRW 1024 FLAT \"b\" 0\n";
    g_autoptr(CstBlob) blob = cst_blob_memory_new(text, strlen(text));
    g_auto(CstImageInfo) info = {0};

    inspect(blob, NULL, &info);
    assert_null(info.problem);
    assert_int_equal(info.capacity, 3072 * 512);
    assert_string_equal(info.data_file, "/etc/shadow");
    assert_string_equal(info.backing, "/etc/passwd");
    assert_string_equal(info.subformat, "monolithicFlat");
}

#define HUGE_EXTENT                    "RW 18014398509481983 FLAT \"a\" 0\n"
#define DESCRIPTOR_OF_TWO_HUGE_EXTENTS ("# Disk DescriptorFile\n" HUGE_EXTENT HUGE_EXTENT)

static void hostile_vmdk_descriptors_are_corrupt(void **state)
{
    static const char *const table[] = {
        "# Disk DescriptorFile\n",
        "# Disk DescriptorFile\nRW 99999999999999999999999 FLAT \"a\" 0\n",
        DESCRIPTOR_OF_TWO_HUGE_EXTENTS,
        "# Disk DescriptorFile\nRW x FLAT \"a\" 0\n",
        "# Disk DescriptorFile\nRW ",
        "# Disk DescriptorFile\nparentCID=1\nRW 1 FLAT \"a\" 0\n",
        "# Disk DescriptorFile\nCID=1\ncreateType=\"vmfs\"\nRW 1 VMFS \"a\" 1\n",
    };

    for (size_t i = 0; i < G_N_ELEMENTS(table); i++) {
        g_autoptr(CstBlob) blob = cst_blob_memory_new(table[i], strlen(table[i]));

        assert_corrupt(blob, "vmdk");
    }
}

static void fixed_vhd_is_recognised_until_its_footer_is_wrong(void **state)
{
    g_autoptr(CstBlob) blob = blob_of(NULL, 0, CST_MIB + 512);
    g_auto(CstImageInfo) info = {0};
    uint8_t footer[512] = "conectix";
    uint32_t sum = 0;

    cst_put_be32(footer + 12, 0x10000);
    memcpy(footer + 28, "win ", 4);
    cst_put_be64(footer + 48, CST_MIB);
    cst_put_be32(footer + 60, 2);
    for (size_t i = 0; i < sizeof(footer); i++)
        sum += footer[i];
    cst_put_be32(footer + 64, ~sum);
    put(blob, CST_MIB, footer, sizeof(footer));
    assert_sound(blob, "vpc");
    inspect(blob, NULL, &info);
    assert_string_equal(cst_image_format_name(info.format), "vpc");
    cst_image_info_clear(&info);
    put64(blob, CST_MIB + 48, 2 * CST_MIB);
    assert_corrupt(blob, "vpc");
}

static void hostile_headers_of_other_formats_are_corrupt(void **state)
{
    static const struct {
        const char *format, *head;
        size_t len, at;
        uint32_t value; /* as it lies on disk, big endian */
    } table[] = {
        {"luks", "LUKS\xba\xbe\0\1", 8, 104, UINT32_MAX},
        {"cow", "OOOM\0\0\0\2", 8, 1036, UINT32_MAX},
        {"cloop", "#!/bin/sh\n#V2.0 Format\n", 23, 128, 0},
        {"cloop", "#!/bin/sh\n#V2.0 Format\n", 23, 128, UINT32_MAX},
        {"dmg", "", 0, 0, 0},
        {"bochs", "Bochs Virtual HD Image", 22, 0, 0x426f6368},
        {"vhdx", "vhdxfile", 8, 65536, 0x68656164},
        {"vpc", "conectix", 8, 12, 0x10000},
    };

    for (size_t i = 0; i < G_N_ELEMENTS(table); i++) {
        g_autoptr(CstBlob) blob = blob_of(table[i].head, table[i].len, CST_MIB);

        put32(blob, table[i].at, table[i].value);
        assert_corrupt(blob, table[i].format);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(formats_are_found_by_name_and_alias),
        cmocka_unit_test(guesses_agree_with_libvirt),
        cmocka_unit_test(iso_is_seen_beyond_the_head_but_never_wins_over_it),
        cmocka_unit_test(every_prefix_of_every_magic_is_harmless),
        cmocka_unit_test(an_unreadable_blob_is_an_error),
        cmocka_unit_test(magic_number_alone_is_a_damaged_image),
        cmocka_unit_test(inspection_of_raw_and_qcow2_needs_few_reads),
        cmocka_unit_test(hostile_qcow2_headers_are_corrupt),
        cmocka_unit_test(damaged_qcow2_still_reports_its_references),
        cmocka_unit_test(unknown_qcow2_features_are_a_problem_not_damage),
        cmocka_unit_test(a_cut_off_qcow2_is_corrupt_at_every_length),
        cmocka_unit_test(hostile_vdi_headers_are_corrupt),
        cmocka_unit_test(hostile_parallels_headers_are_corrupt),
        cmocka_unit_test(hostile_qcow_headers_are_corrupt),
        cmocka_unit_test(hostile_qed_headers_are_corrupt),
        cmocka_unit_test(hostile_vmdk_headers_are_corrupt),
        cmocka_unit_test(vmdk_descriptor_reports_its_references),
        cmocka_unit_test(hostile_vmdk_descriptors_are_corrupt),
        cmocka_unit_test(fixed_vhd_is_recognised_until_its_footer_is_wrong),
        cmocka_unit_test(hostile_headers_of_other_formats_are_corrupt),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
