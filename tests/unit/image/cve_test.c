/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * The mistakes that other programs made with untrusted images, by the numbers they are known under.
 * Each is a class: an image that tries it is refused or harmless. VHDX (CVE-2014-0148) and VMDK
 * tables (CVE-2014-0143, CVE-2014-0144) have theirs in vhdx_damage_test.c and vmdk_damage_test.c.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <glib/gstdio.h>
#include <string.h>
#include <unistd.h>

#include <base/error.h>
#include <base/units.h>
#include <blob/sparse.h>
#include <image/convert.h>
#include <image/path.h>
#include <image/snapshot.h>

static const CstImageFormat *format(const char *name)
{
    return cst_image_format_find(name, NULL);
}

/* --- a directory with one secret outside ------------------------------------------------------ */

typedef struct {
    char *top;    /* holds "secret" and "images" */
    char *secret; /* its path */
    char *image;  /* path of the hostile image */
} Place;

static int set_up(void **state)
{
    Place *place = g_new0(Place, 1);
    g_autofree char *images = NULL;

    place->top = g_dir_make_tmp("cve-XXXXXX", NULL);
    images = g_build_filename(place->top, "images", NULL);
    place->secret = g_build_filename(place->top, "secret", NULL);
    place->image = g_build_filename(images, "hostile", NULL);
    *state = place;
    return g_mkdir(images, 0700) || !g_file_set_contents(place->secret, "secret", 6, NULL);
}

static int tear_down(void **state)
{
    Place *place = *state;
    g_autofree char *images = g_path_get_dirname(place->image);
    g_autofree char *link = g_build_filename(images, "link", NULL);

    g_unlink(link);
    g_unlink(place->image);
    g_unlink(place->secret);
    g_rmdir(images);
    g_rmdir(place->top);
    g_free(place->top);
    g_free(place->secret);
    g_free(place->image);
    g_free(place);
    return 0;
}

/* Asserts that no opener with any flags accepts the image. */
static void assert_refused(const Place *place, const char *name, unsigned path_flags)
{
    g_autoptr(GError) error = NULL;

    if (cst_path_open(place->image, format(name), 0, path_flags, &error))
        fail_msg("the image was opened");
    assert_non_null(error);
    assert_false(g_error_matches(error, CST_ERROR, CST_ERROR_INTERNAL));
}

/* --- qcow2 ------------------------------------------------------------------------------------ */

enum { AT_CLUSTER_BITS = 20, AT_INCOMPATIBLE = 72, AT_EXTENSIONS = 112 };

static CstBlob *qcow2(uint64_t capacity)
{
    CstBlob *blob = cst_blob_sparse_new(0);
    const CstImageCreate options = {.capacity = capacity};

    assert_true(cst_image_create(blob, format("qcow2"), &options, NULL, NULL));
    return blob;
}

static void put(CstBlob *blob, uint64_t at, const void *bytes, size_t len)
{
    assert_true(cst_blob_pwrite(blob, bytes, len, at, NULL));
}

static void put32(CstBlob *blob, uint64_t at, uint32_t value)
{
    value = GUINT32_TO_BE(value);
    put(blob, at, &value, sizeof(value));
}

static void save(const Place *place, CstBlob *blob)
{
    uint64_t size = 0;
    g_autofree char *bytes = NULL;

    assert_true(cst_blob_get_size(blob, &size, NULL));
    bytes = g_malloc(size);
    assert_true(cst_blob_pread(blob, bytes, size, 0, NULL));
    assert_true(g_file_set_contents(place->image, bytes, (gssize)size, NULL));
}

static void cve_2024_4467_and_32498_a_data_file_of_a_qcow2_is_no_way_out(void **state)
{
    const Place *place = *state;
    const char *names[] = {place->secret, "../secret", "json:{\"driver\":\"file\"}",
                           "nbd://localhost/x", "link"};
    g_autofree char *images = g_path_get_dirname(place->image);
    g_autofree char *link = g_build_filename(images, "link", NULL);

    assert_int_equal(symlink("../secret", link), 0);
    for (size_t i = 0; i < G_N_ELEMENTS(names); i++) {
        g_autoptr(CstBlob) blob = qcow2(CST_MIB);
        g_auto(CstImageInfo) info = {0};

        put32(blob, AT_INCOMPATIBLE + 4, 1 << 2);
        put32(blob, AT_EXTENSIONS, 0x44415441);
        put32(blob, AT_EXTENSIONS + 4, (uint32_t)strlen(names[i]));
        put(blob, AT_EXTENSIONS + 8, "\0\0\0\0\0\0\0\0", 8);
        put(blob, AT_EXTENSIONS + 8, names[i], strlen(names[i]));
        put(blob, AT_EXTENSIONS + 8 + (strlen(names[i]) + 7) / 8 * 8, "\0\0\0\0\0\0\0\0", 8);
        save(place, blob);
        assert_true(cst_image_inspect(blob, format("qcow2"), &info, NULL));
        assert_string_equal(info.data_file, names[i]);
        assert_refused(place, "qcow2", 0);
        assert_refused(place, "qcow2", CST_PATH_FOLLOW);
    }
}

static void a_backing_reference_never_names_a_protocol(void **state)
{
    const Place *place = *state;
    static const char *const names[] = {"json:{\"driver\":\"file\",\"filename\":\"/etc/passwd\"}",
                                        "nbd://localhost/x", "fat:/etc", "blkdebug::/etc/passwd"};

    for (size_t i = 0; i < G_N_ELEMENTS(names); i++) {
        g_autoptr(CstBlob) blob = cst_blob_sparse_new(0);
        const CstImageCreate options = {
            .capacity = CST_MIB, .backing = names[i], .backing_format = "raw"};

        assert_true(cst_image_create(blob, format("qcow2"), &options, NULL, NULL));
        save(place, blob);
        assert_refused(place, "qcow2", 0);
        assert_refused(place, "qcow2", CST_PATH_FOLLOW);
    }
}

static void cve_2008_2004_raw_disk_with_a_qcow2_header_stays_raw(void **state)
{
    const Place *place = *state;
    g_autoptr(CstBlob) blob = cst_blob_sparse_new(0);
    const CstImageCreate options = {
        .capacity = CST_GIB, .backing = place->secret, .backing_format = "raw"};
    g_autoptr(CstChain) chain = NULL;
    uint64_t size = 0;

    assert_true(cst_image_create(blob, format("qcow2"), &options, NULL, NULL));
    save(place, blob);
    chain = cst_path_open(place->image, format("raw"), 0, CST_PATH_FOLLOW, NULL);
    assert_non_null(chain);
    assert_int_equal(cst_chain_length(chain), 1);
    assert_true(cst_blob_get_size(blob, &size, NULL));
    assert_int_equal(cst_image_capacity(cst_chain_image(chain)), size);
}

/* Guests control the content of a raw backing file. The overlay did not declare it as qcow2. */
static void cve_2010_2237_guessed_backing_file_follows_no_reference(void **state)
{
    const Place *place = *state;
    g_autofree char *middle = g_strconcat(place->top, "/middle", NULL);
    g_autoptr(CstBlob) blob = cst_blob_sparse_new(0), top = qcow2(CST_MIB);
    const CstImageCreate options = {
        .capacity = CST_MIB, .backing = place->secret, .backing_format = "raw"};
    Place below = *place;

    assert_true(cst_image_create(blob, format("qcow2"), &options, NULL, NULL));
    below.image = middle;
    save(&below, blob);
    put32(top, AT_EXTENSIONS, 0);
    put32(top, AT_EXTENSIONS + 4, 0);
    put32(top, 12, 300);
    put32(top, 16, (uint32_t)strlen(middle));
    put(top, 300, middle, strlen(middle));
    save(place, top);
    assert_refused(place, "qcow2", CST_PATH_FOLLOW);
    g_unlink(middle);
}

static void cve_2014_0143_to_0147_hostile_fields_of_qcow2_are_refused(void **state)
{
    static const struct {
        uint32_t at, value;
    } bad[] = {
        {16, 0xffffffff},
        {AT_CLUSTER_BITS, 0}, /* shifts */
        {AT_CLUSTER_BITS, 8},
        {AT_CLUSTER_BITS, 22},
        {AT_CLUSTER_BITS, 63},
        {AT_CLUSTER_BITS, 0xffffffff},
        {24, 0xffffffff}, /* capacity, against the table below */
        {36, 0xffffffff}, /* entries of the active table (0143) */
        {36, 0x10000001},
        {40, 0xffffffff}, /* where it is (0147) */
        {48, 0xffffffff}, /* where the refcounts are */
        {56, 0xffffffff}, /* clusters of them (0144, 0145) */
        {96, 7},          /* width of them */
        {96, 0xffffffff},
        {100, 0xffffffff}, /* length of the header */
        {100, 0},
    };

    for (size_t i = 0; i < G_N_ELEMENTS(bad); i++) {
        g_autoptr(CstBlob) blob = qcow2(CST_MIB);
        g_auto(CstImageInfo) info = {0};
        CstImageCheck found;

        put32(blob, bad[i].at, bad[i].value);
        put32(blob, 12, i == 0 ? 300 : 0); /* a backing file's name, of so many bytes */
        assert_true(cst_image_inspect(blob, format("qcow2"), &info, NULL));
        if (cst_image_open(blob, format("qcow2"), CST_IMAGE_WRITE, NULL, NULL))
            fail_msg("case %zu was opened", i);
        cst_image_check(blob, format("qcow2"), CST_CHECK_REPAIR_ALL, &found, NULL, NULL);
    }
}

static void cve_2014_0146_missing_snapshot_table_is_an_error(void **state)
{
    static const uint32_t numbers[] = {1, 65536, 0xffffffff};

    for (size_t i = 0; i < G_N_ELEMENTS(numbers); i++) {
        g_autoptr(CstBlob) blob = qcow2(CST_MIB);
        g_autoptr(GPtrArray) snapshots = NULL;
        g_autoptr(CstImage) image = NULL;

        put32(blob, 60, numbers[i]);
        put32(blob, 64, 0x7fffffff);
        image = cst_image_open(blob, format("qcow2"), 0, NULL, NULL);
        snapshots = image ? cst_image_snapshot_list(image, NULL) : NULL;
        assert_null(snapshots);
    }
}

static void cve_2013_2096_and_4463_huge_image_costs_its_allocated_size(void **state)
{
    g_autoptr(CstBlob) blob = qcow2(CST_TIB), raw = cst_blob_sparse_new(0), guest = NULL;

    guest = cst_image_guest_blob(cst_image_open(blob, format("qcow2"), 0, NULL, NULL));
    assert_true(
        cst_image_convert(guest, raw, format("raw"), NULL, CST_CONVERT_TARGET_ZERO, NULL, NULL));
    assert_true(cst_blob_sparse_used(raw) < CST_MIB);
}

/*
 * --- other formats -------------------------------------------------------------------------------
 */

static void cve_2022_47951_extents_of_a_vmdk_stay_in_its_directory(void **state)
{
    const Place *place = *state;
    const char *names[] = {place->secret, "../secret", "link", "..", ".", "", "x/../../secret"};
    g_autofree char *images = g_path_get_dirname(place->image);
    g_autofree char *link = g_build_filename(images, "link", NULL);

    assert_int_equal(symlink("../secret", link), 0);
    for (size_t i = 0; i < G_N_ELEMENTS(names); i++) {
        g_autofree char *text = g_strdup_printf(
            "# Disk DescriptorFile\nversion=1\nCID=12345678\nparentCID=ffffffff\n"
            "createType=\"monolithicFlat\"\n\nRW 1 FLAT \"%s\" 0\n\nddb.adapterType = \"ide\"\n",
            names[i]);

        assert_true(g_file_set_contents(place->image, text, -1, NULL));
        assert_refused(place, "vmdk", 0);
        assert_refused(place, "vmdk", CST_PATH_FOLLOW);
    }
}

static void cve_2014_0222_and_0223_hostile_fields_of_qcow_are_refused(void **state)
{
    static const struct {
        uint64_t size;
        uint8_t cluster_bits, l2_bits;
    } bad[] = {
        {CST_MIB, 12, 0},          {CST_MIB, 12, 3},     {CST_MIB, 12, 63},
        {CST_MIB, 12, 255},        {CST_MIB, 0, 9},      {CST_MIB, 63, 9},
        {CST_MIB, 255, 9},         {G_MAXUINT64, 12, 9}, {G_MAXUINT64 / 2, 12, 9},
        {UINT64_C(1) << 62, 9, 6},
    };

    for (size_t i = 0; i < G_N_ELEMENTS(bad); i++) {
        g_autoptr(CstBlob) blob = cst_blob_sparse_new(64 * CST_KIB);
        uint64_t size = GUINT64_TO_BE(bad[i].size), table = GUINT64_TO_BE(UINT64_C(48));
        g_auto(CstImageInfo) info = {0};

        put(blob, 0, "QFI\xfb\0\0\0\1", 8);
        put(blob, 24, &size, 8);
        put(blob, 32, &bad[i].cluster_bits, 1);
        put(blob, 33, &bad[i].l2_bits, 1);
        put(blob, 40, &table, 8);
        assert_true(cst_image_inspect(blob, format("qcow"), &info, NULL));
        if (cst_image_open(blob, format("qcow"), 0, NULL, NULL))
            fail_msg("case %zu was opened", i);
    }
}

static void cve_2014_0142_parallels_without_sectors_in_a_cluster_is_refused(void **state)
{
    static const uint32_t tracks[] = {0, 0xffffffff};

    for (size_t i = 0; i < G_N_ELEMENTS(tracks); i++) {
        g_autoptr(CstBlob) blob = cst_blob_sparse_new(64 * CST_KIB);
        const uint32_t fields[] = {GUINT32_TO_LE(2), GUINT32_TO_LE(16), GUINT32_TO_LE(100),
                                   GUINT32_TO_LE(tracks[i]), GUINT32_TO_LE(10)};
        g_auto(CstImageInfo) info = {0};

        put(blob, 0, "WithoutFreeSpace", 16);
        put(blob, 16, fields, sizeof(fields));
        assert_true(cst_image_inspect(blob, format("parallels"), &info, NULL));
        assert_null(cst_image_open(blob, format("parallels"), 0, NULL, NULL));
    }
}

#define IN_PLACE(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        IN_PLACE(cve_2024_4467_and_32498_a_data_file_of_a_qcow2_is_no_way_out),
        IN_PLACE(a_backing_reference_never_names_a_protocol),
        IN_PLACE(cve_2008_2004_raw_disk_with_a_qcow2_header_stays_raw),
        IN_PLACE(cve_2010_2237_guessed_backing_file_follows_no_reference),
        cmocka_unit_test(cve_2014_0143_to_0147_hostile_fields_of_qcow2_are_refused),
        cmocka_unit_test(cve_2014_0146_missing_snapshot_table_is_an_error),
        cmocka_unit_test(cve_2013_2096_and_4463_huge_image_costs_its_allocated_size),
        IN_PLACE(cve_2022_47951_extents_of_a_vmdk_stay_in_its_directory),
        cmocka_unit_test(cve_2014_0222_and_0223_hostile_fields_of_qcow_are_refused),
        cmocka_unit_test(cve_2014_0142_parallels_without_sectors_in_a_cluster_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
