/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Reading qcow (version 1), QED, Parallels, and VMDK extents of ESX servers. The images are built
 * by the rules of the formats, with clusters of 4 KiB. tests/diff reads images of QEMU.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <string.h>
#include <zlib.h>

#include <base/error.h>
#include <base/units.h>
#include <image/image.h>

#include "bytes.h"

enum { CLUSTER = 4096, FILE_SIZE = 8 * CLUSTER };

/* Places in the file of an image of 16 MiB: header, L1 table, L2 table, data in cluster 3, packed
 * data of qcow in cluster 4. A cluster of QED has 512 entries, and so has a table of qcow here. */
enum { AT_L1 = CLUSTER, AT_L2 = 2 * CLUSTER, AT_DATA = 3 * CLUSTER, AT_PACKED = 4 * CLUSTER };
#define CAPACITY (16 * CST_MIB)
#define SPAN     (512 * CLUSTER) /* of a table */

static void put64be(CstBlob *blob, uint64_t offset, uint64_t value)
{
    uint8_t raw[8];

    cst_put_be64(raw, value);
    assert_true(cst_blob_pwrite(blob, raw, sizeof(raw), offset, NULL));
}

static void put32be(CstBlob *blob, uint64_t offset, uint32_t value)
{
    uint8_t raw[4];

    cst_put_be32(raw, value);
    assert_true(cst_blob_pwrite(blob, raw, sizeof(raw), offset, NULL));
}

/* The test machine is little endian (see bytes.h). */
static void put64le(CstBlob *blob, uint64_t offset, uint64_t value)
{
    assert_true(cst_blob_pwrite(blob, &value, sizeof(value), offset, NULL));
}

static void put32le(CstBlob *blob, uint64_t offset, uint32_t value)
{
    assert_true(cst_blob_pwrite(blob, &value, sizeof(value), offset, NULL));
}

static CstBlob *file_with_data(const char *magic, size_t len)
{
    CstBlob *blob = cst_blob_memory_new(NULL, FILE_SIZE);
    uint8_t data[CLUSTER];

    memset(data, 'd', sizeof(data));
    assert_true(cst_blob_pwrite(blob, magic, len, 0, NULL));
    assert_true(cst_blob_pwrite(blob, data, sizeof(data), AT_DATA, NULL));
    return blob;
}

/* A deflate stream without a header, of a cluster of one letter. */
static size_t pack(char letter, uint8_t *packed, size_t room)
{
    uint8_t data[CLUSTER];
    z_stream stream = {
        .next_in = data, .avail_in = CLUSTER, .next_out = packed, .avail_out = (uInt)room};

    memset(data, letter, sizeof(data));
    assert_int_equal(deflateInit2(&stream, 9, Z_DEFLATED, -12, 8, Z_DEFAULT_STRATEGY), Z_OK);
    assert_int_equal(deflate(&stream, Z_FINISH), Z_STREAM_END);
    deflateEnd(&stream);
    return room - stream.avail_out;
}

/*
 * Guest cluster 1 is data, 2 is compressed (at an odd offset), all other clusters are unallocated.
 */
static CstBlob *make_qcow(void)
{
    CstBlob *blob = file_with_data("QFI\xfb\0\0\0\1", 8);
    uint8_t packed[CLUSTER];
    size_t len = pack('p', packed, sizeof(packed));

    put64be(blob, 24, CAPACITY);
    put32be(blob, 32, 0x0c090000);
    put64be(blob, 40, AT_L1);
    put64be(blob, AT_L1, AT_L2);
    put64be(blob, AT_L2 + 8, AT_DATA);
    assert_true(cst_blob_pwrite(blob, packed, len, AT_PACKED + 77, NULL));
    put64be(blob, AT_L2 + 16, UINT64_C(1) << 63 | (uint64_t)len << (63 - 12) | (AT_PACKED + 77));
    return blob;
}

/* Guest cluster 1 is data, 2 is zeroes. */
static CstBlob *make_qed(void)
{
    CstBlob *blob = file_with_data("QED", 4);

    put32le(blob, 4, CLUSTER);
    put32le(blob, 8, 1);
    put32le(blob, 12, 1);
    put64le(blob, 40, AT_L1);
    put64le(blob, 48, CAPACITY);
    put64le(blob, AT_L1, AT_L2);
    put64le(blob, AT_L2 + 8, AT_DATA);
    put64le(blob, AT_L2 + 16, 1);
    return blob;
}

/*
 * Guest cluster 1 is data. The table of 16384 bytes begins after the header; the data is in cluster
 * 6.
 */
static CstBlob *make_parallels(const char *magic, uint32_t place)
{
    CstBlob *blob = file_with_data(magic, 16);
    uint8_t data[CLUSTER];

    memset(data, 'd', sizeof(data));
    assert_true(cst_blob_pwrite(blob, data, sizeof(data), 6 * CLUSTER, NULL));
    put32le(blob, 16, 2);
    put32le(blob, 28, CLUSTER / 512);
    put32le(blob, 32, CAPACITY / CLUSTER);
    put64le(blob, 36, CAPACITY / 512);
    put32le(blob, 64 + 4, place);
    for (uint32_t at = 64 + 8; at < 64 + CAPACITY / CLUSTER * 4; at += 4)
        put32le(blob, at, 0);
    return blob;
}

static CstBlob *make_new_parallels(void)
{
    return make_parallels("WithouFreSpacExt", 6);
}

static CstBlob *make_old_parallels(void)
{
    return make_parallels("WithoutFreeSpace", 6 * CLUSTER / 512);
}

/* Guest cluster 1 is data. The one grain table, of 4096 entries, is in clusters 4 to 7. */
static CstBlob *make_cowd(void)
{
    CstBlob *blob = file_with_data("COWD", 4);

    put32le(blob, 4, 1);
    put32le(blob, 8, 3);
    put32le(blob, 12, CAPACITY / 512);
    put32le(blob, 16, CLUSTER / 512);
    put32le(blob, 20, AT_L1 / 512);
    put32le(blob, 24, 1);
    put32le(blob, AT_L1, 4 * CLUSTER / 512);
    put32le(blob, 4 * CLUSTER + 4, AT_DATA / 512);
    return blob;
}

typedef struct {
    const char *format;
    CstBlob *(*make)(void);
} Maker;

static const Maker makers[] = {
    {"qcow", make_qcow},
    {"qed", make_qed},
    {"parallels", make_new_parallels},
    {"parallels", make_old_parallels},
    {"vmdk", make_cowd},
};

static CstImage *open_image(const char *format, CstBlob *blob, CstBlob *backing, GError **error)
{
    return cst_image_open(blob, cst_image_format_find(format, NULL), 0, backing, error);
}

static CstBlob *open_guest(const char *format, CstBlob *blob, CstBlob *backing)
{
    g_autoptr(GError) error = NULL;
    CstImage *image = open_image(format, blob, backing, &error);

    if (!image)
        fail_msg("%s: %s", format, error->message);
    return cst_image_guest_blob(image);
}

static char byte_at(CstBlob *guest, uint64_t offset)
{
    char byte = 0;

    assert_true(cst_blob_pread(guest, &byte, 1, offset, NULL));
    return byte;
}

static void data_and_holes_read_as_they_are(void **state)
{
    for (size_t i = 0; i < G_N_ELEMENTS(makers); i++) {
        g_autoptr(CstBlob) blob = makers[i].make();
        g_autoptr(CstBlob) guest = open_guest(makers[i].format, blob, NULL);
        gboolean packed = strcmp(makers[i].format, "qcow") == 0;
        g_autofree uint8_t *all = g_malloc(CAPACITY);
        uint64_t size = 0;

        assert_true(cst_blob_get_size(guest, &size, NULL));
        assert_int_equal(size, CAPACITY);
        assert_true(cst_blob_pread(guest, all, CAPACITY, 0, NULL));
        for (uint64_t at = 0; at < CAPACITY; at++) {
            uint8_t expected = at / CLUSTER == 1 ? 'd' : at / CLUSTER == 2 && packed ? 'p' : 0;

            if (all[at] != expected)
                fail_msg("%s: byte %" G_GUINT64_FORMAT, makers[i].format, at);
        }
        assert_int_equal(byte_at(guest, 2 * CLUSTER - 1), 'd');
        assert_int_equal(byte_at(guest, 2 * CLUSTER + 5), packed ? 'p' : 0);
    }
}

static void extent_skips_ranges_without_a_table(void **state)
{
    for (size_t i = 0; i < G_N_ELEMENTS(makers); i++) {
        g_autoptr(CstBlob) blob = makers[i].make();
        g_autoptr(CstBlob) guest = open_guest(makers[i].format, blob, NULL);
        unsigned count = 0, data = 0;
        CstExtent extent;

        for (uint64_t at = 0; at < CAPACITY; at += extent.length) {
            assert_true(cst_blob_extent(guest, at, CAPACITY - at, &extent, NULL));
            count++;
            if (!(extent.flags & CST_EXTENT_ZERO))
                data += extent.length / CLUSTER;
        }
        assert_int_equal(data, strcmp(makers[i].format, "qcow") == 0 ? 2 : 1);
        assert_in_range(count, 3, 5);
    }
}

/* Grains of one sector. A run consists of the grains that are adjacent in the file. */
static void grains_of_a_server_form_runs(void **state)
{
    static const uint32_t entries[] = {0, 1, 2, 2, UINT32_MAX, 7}; /* UINT32_MAX: no grain */
    static const uint64_t runs[] = {3, 1, 1, 1};
    g_autoptr(CstBlob) blob = make_cowd();
    g_autoptr(CstBlob) guest = NULL;
    uint64_t at = 0;

    put32le(blob, 16, 1);
    put32le(blob, 24, CAPACITY / 512 / 4096);
    for (uint32_t i = 0; i < 8; i++)
        put32le(blob, AT_DATA + i * 512, 'a' + i);
    for (uint32_t i = 0; i < G_N_ELEMENTS(entries); i++)
        put32le(blob, 4 * CLUSTER + i * 4,
                entries[i] == UINT32_MAX ? 0 : AT_DATA / 512 + entries[i]);
    guest = open_guest("vmdk", blob, NULL);
    for (size_t i = 0; i < G_N_ELEMENTS(runs); i++) {
        CstExtent extent;

        assert_true(cst_blob_extent(guest, at, CAPACITY - at, &extent, NULL));
        assert_int_equal(extent.length, runs[i] * 512);
        at += extent.length;
    }
    for (uint32_t i = 0; i < G_N_ELEMENTS(entries); i++)
        assert_int_equal(byte_at(guest, i * 512),
                         entries[i] == UINT32_MAX ? 0 : 'a' + (int)entries[i]);
}

static void extents_of_a_server_can_only_be_read(void **state)
{
    for (size_t i = 0; i < G_N_ELEMENTS(makers); i++) {
        g_autoptr(CstBlob) blob = makers[i].make();
        g_autoptr(GError) error = NULL;
        const CstImageFormat *format = cst_image_format_find(makers[i].format, NULL);

        assert_true(cst_image_format_can_open(format));
        if (strcmp(makers[i].format, "vmdk") != 0)
            continue;
        assert_null(cst_image_open(blob, format, CST_IMAGE_WRITE, NULL, &error));
        assert_true(g_error_matches(error, CST_ERROR, CST_ERROR_UNSUPPORTED));
        assert_non_null(strstr(error->message, "convert"));
    }
}

/* --- backing ---------------------------------------------------------------------------------- */

static CstBlob *with_backing(const char *format)
{
    CstBlob *blob = strcmp(format, "qcow") == 0 ? make_qcow() : make_qed();

    assert_true(cst_blob_pwrite(blob, "base", 4, 512, NULL));
    if (strcmp(format, "qcow") == 0) {
        put64be(blob, 8, 512);
        put32be(blob, 16, 4);
    } else {
        put64le(blob, 16, 1 | 4);
        put32le(blob, 56, 512);
        put32le(blob, 60, 4);
    }
    return blob;
}

static void holes_show_the_backing_image(void **state)
{
    static const char *const formats[] = {"qcow", "qed"};

    for (size_t i = 0; i < G_N_ELEMENTS(formats); i++) {
        g_autoptr(CstBlob) blob = with_backing(formats[i]);
        g_autoptr(CstBlob) backing = cst_blob_memory_new(NULL, SPAN + CLUSTER);
        g_autoptr(CstBlob) guest = NULL, alone = NULL;
        uint8_t ones[CLUSTER];
        char byte;

        memset(ones, 'b', sizeof(ones));
        for (uint64_t at = 0; at < SPAN + CLUSTER; at += CLUSTER)
            assert_true(cst_blob_pwrite(backing, ones, CLUSTER, at, NULL));
        guest = open_guest(formats[i], blob, backing);
        assert_int_equal(byte_at(guest, 0), 'b');
        assert_int_equal(byte_at(guest, CLUSTER), 'd');
        assert_int_equal(byte_at(guest, 2 * CLUSTER), strcmp(formats[i], "qcow") == 0 ? 'p' : 0);
        assert_int_equal(byte_at(guest, SPAN + CLUSTER - 1), 'b');
        assert_int_equal(byte_at(guest, SPAN + CLUSTER), 0); /* it is shorter */

        alone = open_guest(formats[i], blob, NULL);
        assert_int_equal(byte_at(alone, CLUSTER), 'd');
        assert_false(cst_blob_pread(alone, &byte, 1, 0, NULL));
    }
}

static void unrequested_backing_image_of_a_read_only_format_is_refused(void **state)
{
    for (size_t i = 0; i < G_N_ELEMENTS(makers); i++) {
        g_autoptr(CstBlob) blob = makers[i].make();
        g_autoptr(CstBlob) backing = cst_blob_memory_new(NULL, 512);

        assert_null(open_image(makers[i].format, blob, backing, NULL));
    }
}

static CstBlob *give(const char *name, gboolean writable, gpointer data, GError **error)
{
    return cst_blob_ref(data);
}

/* As on ESX: a descriptor, an extent in the same directory, and the backing image. */
static void extents_of_a_server_are_found_through_their_descriptor(void **state)
{
    static const char text[] = "# Disk DescriptorFile\nversion=1\nCID=1\nparentCID=2\n"
                               "createType=\"vmfsSparse\"\nparentFileNameHint=\"base.vmdk\"\n"
                               "RW 32768 VMFSSPARSE \"disk-delta.vmdk\"\n";
    g_autoptr(CstBlob) blob = cst_blob_memory_new(text, sizeof(text) - 1);
    g_autoptr(CstBlob) extent = make_cowd();
    g_autoptr(CstBlob) backing = cst_blob_memory_new(NULL, CAPACITY);
    const CstImageFiles files = {.open = give, .data = extent};
    CstImageOpen how = {.backing = backing, .files = &files};
    const CstImageFormat *vmdk = cst_image_format_find("vmdk", NULL);
    g_autoptr(CstBlob) guest = NULL;

    assert_true(cst_blob_pwrite(backing, "b", 1, 5 * CLUSTER, NULL));
    guest = cst_image_guest_blob(cst_image_open_as(blob, vmdk, &how, NULL));
    assert_int_equal(byte_at(guest, CLUSTER), 'd');
    assert_int_equal(byte_at(guest, 5 * CLUSTER), 'b');
    how.flags = CST_IMAGE_WRITE;
    assert_null(cst_image_open_as(blob, vmdk, &how, NULL));
}

/* --- damage ----------------------------------------------------------------------------------- */

typedef struct {
    const char *what;
    const char *format;
    uint64_t at, value;
    gboolean opens;
} Damage;

static const Damage damages[] = {
    {"L1 outside the file", "qcow", 40, FILE_SIZE, FALSE},
    {"L1 far outside the file", "qcow", 40, UINT64_MAX - 7, FALSE},
    {"L1 that begins in the file only", "qcow", 40, FILE_SIZE - 56, FALSE},
    {"L2 outside the file", "qcow", AT_L1, FILE_SIZE, TRUE},
    {"L2 far outside the file", "qcow", AT_L1, UINT64_MAX - 8, TRUE},
    {"L2 that begins in the file only", "qcow", AT_L1, FILE_SIZE - 8, TRUE},
    {"data outside the file", "qcow", AT_L2 + 8, FILE_SIZE, TRUE},
    {"data at an odd place", "qcow", AT_L2 + 8, AT_DATA + 1, TRUE},
    {"packed data outside the file", "qcow", AT_L2 + 8, UINT64_C(1) << 63 | FILE_SIZE, TRUE},
    {"packed data of no bytes", "qcow", AT_L2 + 8, UINT64_C(1) << 63 | AT_DATA, TRUE},
    {"packed data that is none", "qcow", AT_L2 + 8,
     UINT64_C(1) << 63 | UINT64_C(4095) << 51 | AT_DATA, TRUE},
    {"L1 outside the file", "qed", 40, FILE_SIZE, TRUE},
    {"L1 far outside the file", "qed", 40, UINT64_MAX - CLUSTER + 1, TRUE},
    {"L1 at an odd place", "qed", 40, AT_L1 + 8, FALSE},
    {"L2 outside the file", "qed", AT_L1, FILE_SIZE, TRUE},
    {"L2 at an odd place", "qed", AT_L1, AT_L2 + 512, TRUE},
    {"data outside the file", "qed", AT_L2 + 8, FILE_SIZE, TRUE},
    {"data at an odd place", "qed", AT_L2 + 8, AT_DATA + 512, TRUE},
    {"data outside the file", "parallels", 64 + 4, 8, TRUE},
    {"data far outside the file", "parallels", 64 + 4, UINT32_MAX, TRUE},
    {"no grains", "vmdk", 16, 0, FALSE},
    {"grains of an odd size", "vmdk", 16, 3, FALSE},
    {"a directory that is too small", "vmdk", 24, 0, FALSE},
    {"a disk larger than the directory", "vmdk", 12, UINT32_MAX, FALSE},
    {"a directory outside the file", "vmdk", 20, FILE_SIZE / 512, TRUE},
    {"a directory far outside the file", "vmdk", 20, UINT32_MAX, TRUE},
    {"a table outside the file", "vmdk", AT_L1, FILE_SIZE / 512, TRUE},
    {"a table that begins in the file only", "vmdk", AT_L1, FILE_SIZE / 512 + 1, TRUE},
    {"data outside the file", "vmdk", 4 * CLUSTER + 4, FILE_SIZE / 512, TRUE},
};

static CstBlob *damaged(const Damage *damage)
{
    if (strcmp(damage->format, "qcow") == 0) {
        CstBlob *blob = make_qcow();

        put64be(blob, damage->at, damage->value);
        return blob;
    }
    if (strcmp(damage->format, "qed") == 0) {
        CstBlob *blob = make_qed();

        put64le(blob, damage->at, damage->value);
        return blob;
    }
    CstBlob *blob = strcmp(damage->format, "vmdk") == 0 ? make_cowd() : make_new_parallels();

    put32le(blob, damage->at, (uint32_t)damage->value);
    return blob;
}

static void hostile_tables_are_corrupt(void **state)
{
    for (size_t i = 0; i < G_N_ELEMENTS(damages); i++) {
        g_autoptr(CstBlob) blob = damaged(&damages[i]);
        g_autoptr(GError) error = NULL;
        CstImage *image = open_image(damages[i].format, blob, NULL, &error);
        g_autoptr(CstBlob) guest = image ? cst_image_guest_blob(image) : NULL;
        char byte;

        if (damages[i].opens != (guest != NULL))
            fail_msg("%s: %s", damages[i].format, damages[i].what);
        if (guest && cst_blob_pread(guest, &byte, 1, CLUSTER, &error))
            fail_msg("%s: %s passed", damages[i].format, damages[i].what);
        assert_true(g_error_matches(error, CST_ERROR, CST_ERROR_CORRUPT));
    }
}

/* A disk of 8 EiB: memory is not allocated for the claimed table. */
static void table_longer_than_the_file_costs_no_memory(void **state)
{
    g_autoptr(CstBlob) qcow = make_qcow(), qed = make_qed(), parallels = make_new_parallels();
    char byte;

    put64be(qcow, 24, UINT64_C(1) << 50);
    assert_null(open_image("qcow", qcow, NULL, NULL));
    put32le(parallels, 32, 0x1ffffff);
    assert_null(open_image("parallels", parallels, NULL, NULL));
    /* 2^18 entries of 4 KiB each in a table of 16 clusters: 2^26 times 4 KiB */
    put32le(qed, 8, 16);
    put64le(qed, 48, UINT64_C(1) << 38);
    {
        g_autoptr(CstBlob) guest = open_guest("qed", qed, NULL);

        assert_false(cst_blob_pread(guest, &byte, 1, (UINT64_C(1) << 38) - 1, NULL));
        assert_int_equal(byte_at(guest, CLUSTER), 'd');
    }
}

/*
 * --- refused images -----------------------------------------------------------------------------
 */

static void refused(const char *format, CstBlob *blob, const char *words)
{
    g_autoptr(GError) error = NULL;

    assert_null(open_image(format, blob, NULL, &error));
    assert_true(g_error_matches(error, CST_ERROR, CST_ERROR_UNSUPPORTED));
    if (!strstr(error->message, words))
        fail_msg("%s: %s", format, error->message);
}

static void encrypted_content_is_refused_with_advice(void **state)
{
    g_autoptr(CstBlob) qcow = make_qcow();
    g_autoptr(CstBlob) luks = cst_blob_memory_new(NULL, 4096);

    put32be(qcow, 36, 1);
    refused("qcow", qcow, "qemu-img convert");
    assert_true(cst_blob_pwrite(luks, "LUKS\xba\xbe\0\1", 8, 0, NULL));
    refused("luks", luks, "cryptsetup");
}

static void unknown_features_are_refused(void **state)
{
    g_autoptr(CstBlob) qed = make_qed(), parallels = make_new_parallels(), cowd = make_cowd();

    put32le(cowd, 4, 3); /* of Workstation 3 */
    refused("vmdk", cowd, "version 3");
    put64le(qed, 16, 8);
    refused("qed", qed, "unknown features");
    put32le(parallels, 16, 3);
    refused("parallels", parallels, "unknown version");
}

static void unsupported_format_error_reports_the_next_step(void **state)
{
    static const char *const table[][2] = {{"luks", "cryptsetup"},
                                           {"bochs", "qemu-img"},
                                           {"cloop", "qemu-img"},
                                           {"dmg", "qemu-img"},
                                           {"cow", "QEMU up to"}};
    g_autoptr(CstBlob) blob = cst_blob_memory_new(NULL, 65536);

    for (const CstImageFormat *const *format = cst_image_formats(); *format; format++) {
        gboolean listed = FALSE;

        for (size_t i = 0; i < G_N_ELEMENTS(table); i++)
            listed = listed || strcmp(table[i][0], cst_image_format_name(*format)) == 0;
        assert_int_equal(cst_image_format_can_open(*format), !listed);
    }
    for (size_t i = 0; i < G_N_ELEMENTS(table); i++)
        refused(table[i][0], blob, table[i][1]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(data_and_holes_read_as_they_are),
        cmocka_unit_test(extent_skips_ranges_without_a_table),
        cmocka_unit_test(grains_of_a_server_form_runs),
        cmocka_unit_test(extents_of_a_server_can_only_be_read),
        cmocka_unit_test(holes_show_the_backing_image),
        cmocka_unit_test(unrequested_backing_image_of_a_read_only_format_is_refused),
        cmocka_unit_test(extents_of_a_server_are_found_through_their_descriptor),
        cmocka_unit_test(hostile_tables_are_corrupt),
        cmocka_unit_test(table_longer_than_the_file_costs_no_memory),
        cmocka_unit_test(encrypted_content_is_refused_with_advice),
        cmocka_unit_test(unknown_features_are_refused),
        cmocka_unit_test(unsupported_format_error_reports_the_next_step),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
