/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Creation of volumes: allocation, format properties, bases and copies. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include <base/error.h>
#include <base/units.h>
#include <service/images.h>

#include "fixture.h"

#define CAPACITY CST_MIB

/* @more: child elements of <volume>; @target: of <target>. */
static char *vol_xml(const char *name, const char *format, const char *more, const char *target)
{
    return g_strdup_printf("<volume><name>%s</name>%s<target><format type='%s'/>%s</target>"
                           "</volume>",
                           name, more, format, target);
}

static void create(CstPool *pool, const char *name, const char *format, const char *more)
{
    g_autofree char *xml = vol_xml(name, format, more, "");

    fixture_create_xml(pool, xml);
}

static CstVolInfo info_of(CstPool *pool, const char *name)
{
    g_autoptr(GError) error = NULL;
    CstVolInfo info = {0};

    cst_vol_get_info(pool, name, &info, &error);
    assert_no_error(error);
    return info;
}

static guint count_files(Fixture *f, const char *pool)
{
    g_autofree char *path = g_build_filename(f->images, pool, NULL);
    g_autoptr(GDir) dir = g_dir_open(path, 0, NULL);
    guint count = 0;

    while (g_dir_read_name(dir))
        count++;
    return count;
}

/* --- space ------------------------------------------------------------------------------------ */

#define ALLOCATION(kib) "<capacity>1048576</capacity><allocation unit='KiB'>" #kib "</allocation>"

/* As in libvirt: raw volumes are allocated in part, images completely or not at all. */
static void requested_space_is_preallocated(void **state)
{
    static const struct {
        const char *format, *more;
        unsigned flags;
        uint64_t least, most; /* allocated */
    } volumes[] = {
        {"raw", ALLOCATION(0), 0, 0, 0},
        {"raw", ALLOCATION(256), 0, CAPACITY / 4, CAPACITY / 4},
        {"raw", ALLOCATION(1024), 0, CAPACITY, CAPACITY},
        {"raw", ALLOCATION(4096), 0, CAPACITY, CAPACITY},
        {"raw", "<capacity>1048576</capacity>", 0, CAPACITY, CAPACITY},
        {"raw", ALLOCATION(256), CST_VOL_CREATE_PREALLOC_OFF, 0, 0},
        {"raw", ALLOCATION(1024), CST_VOL_CREATE_PREALLOC_OFF, 0, 0},
        {"raw", ALLOCATION(256), CST_VOL_CREATE_PREALLOC_FALLOC, CAPACITY, CAPACITY},
        {"raw", ALLOCATION(0), CST_VOL_CREATE_PREALLOC_FALLOC, CAPACITY, CAPACITY},
        {"raw", ALLOCATION(0), CST_VOL_CREATE_PREALLOC_FULL, CAPACITY, CAPACITY},
        {"iso", ALLOCATION(256), 0, 0, 0},
        {"iso", ALLOCATION(1024), 0, 0, 0},
        {"qcow2", ALLOCATION(0), 0, 1, CAPACITY / 5},
        {"qcow2", ALLOCATION(512), 0, 1, CAPACITY / 5},
        {"qcow2", ALLOCATION(1024), 0, 1, CAPACITY / 5},
        {"qcow2", ALLOCATION(1024), CST_VOL_CREATE_PREALLOC_METADATA, CAPACITY, 2 * CAPACITY},
        {"qcow2", ALLOCATION(1023), CST_VOL_CREATE_PREALLOC_METADATA, 1, CAPACITY / 2},
        {"qcow2", ALLOCATION(0), CST_VOL_CREATE_PREALLOC_FALLOC, CAPACITY, 2 * CAPACITY},
        {"qcow2", ALLOCATION(0), CST_VOL_CREATE_PREALLOC_FULL, CAPACITY, 2 * CAPACITY},
        {"qcow2", ALLOCATION(1024), CST_VOL_CREATE_PREALLOC_OFF, 1, CAPACITY / 5},
    };
    g_autoptr(CstPool) pool = fixture_pool(*state, "p");

    for (size_t i = 0; i < G_N_ELEMENTS(volumes); i++) {
        g_autofree char *xml = vol_xml("v", volumes[i].format, volumes[i].more, "");
        g_autofree char *made = NULL;
        g_autoptr(GError) error = NULL;
        CstVolInfo info;

        cst_vol_create(pool, xml, volumes[i].flags, NULL, &made, &error);
        assert_no_error(error);
        info = info_of(pool, "v");
        assert_int_equal(info.capacity, CAPACITY);
        if (info.allocation < volumes[i].least || info.allocation > volumes[i].most)
            fail_msg("%s with %s and %x: %d bytes allocated", volumes[i].format, volumes[i].more,
                     volumes[i].flags, (int)info.allocation);
        assert_true(cst_vol_delete(pool, "v", 0, NULL, NULL));
    }
}

/* --- refusals --------------------------------------------------------------------------------- */

#define SIZE       "<capacity>1048576</capacity>"
#define BACKING(x) "<backingStore><path>/nowhere/base</path>" x "</backingStore>"
#define QCOW2_BASE BACKING("<format type='qcow2'/>")

static void unsupported_volume_is_refused_without_residue(void **state)
{
    static const struct {
        const char *format, *more, *target;
        unsigned flags;
        CstErrorCode code;
        const char *words;
    } wrong[] = {
        {"raw", SIZE, "", CST_VOL_CREATE_PREALLOC_METADATA, CST_ERROR_CONFIG,
         "not supported for raw volumes"},
        {"iso", SIZE, "", CST_VOL_CREATE_PREALLOC_METADATA, CST_ERROR_CONFIG,
         "only available with qcow2"},
        {"raw", SIZE QCOW2_BASE, "", 0, CST_ERROR_NO_SUPPORT, "backing storage not supported"},
        {"iso", SIZE QCOW2_BASE, "", 0, CST_ERROR_CONFIG, "cannot set backing store"},
        {"qcow2", SIZE QCOW2_BASE, "", CST_VOL_CREATE_PREALLOC_METADATA, CST_ERROR_CONFIG,
         "conflicts with backing store"},
        {"qcow2", SIZE QCOW2_BASE, "", CST_VOL_CREATE_PREALLOC_FALLOC, CST_ERROR_CONFIG,
         "conflicts with backing store"},
        {"qcow2", SIZE QCOW2_BASE, "", CST_VOL_CREATE_PREALLOC_FULL, CST_ERROR_CONFIG,
         "conflicts with backing store"},
        {"qcow2", SIZE BACKING(""), "", 0, CST_ERROR_CONFIG, "'/nowhere/base' needs a <format>"},
        {"qcow2", QCOW2_BASE, "", 0, CST_ERROR_NO_VOL, "'/nowhere/base'"},
        {"bochs", SIZE, "", 0, CST_ERROR_CONFIG, ", iso, dir"},
        {"ploop", SIZE, "", 0, CST_ERROR_CONFIG, "'parallels'"},
        {"qcow2", SIZE, "<encryption format='luks'/>", 0, CST_ERROR_CONFIG, "encrypted volumes"},
        {"qcow2", SIZE, "<compat>0.10</compat><features><lazy_refcounts/></features>", 0,
         CST_ERROR_CONFIG, "compat level 0.10"},
        {"dir", SIZE, "", CST_VOL_CREATE_PREALLOC_METADATA, CST_ERROR_FLAGS, "createFileDir"},
        {"dir", SIZE QCOW2_BASE, "", 0, CST_ERROR_NO_SUPPORT, "directories volumes"},
    };
    g_autoptr(CstPool) pool = fixture_pool(*state, "p");

    for (size_t i = 0; i < G_N_ELEMENTS(wrong); i++) {
        g_autofree char *xml = vol_xml("v", wrong[i].format, wrong[i].more, wrong[i].target);
        g_autofree char *made = NULL;
        g_autoptr(GError) error = NULL;
        guint count = 1;

        if (cst_vol_create(pool, xml, wrong[i].flags, NULL, &made, &error))
            fail_msg("made: %s, flags %x", xml, wrong[i].flags);
        if (!strstr(error->message, wrong[i].words))
            fail_msg("%s: %s", xml, error->message);
        assert_error(&error, wrong[i].code);
        assert_true(cst_pool_count_volumes(pool, &count, NULL));
        assert_int_equal(count, 0);
        assert_int_equal(count_files(*state, "p"), 0);
    }
}

/* --- overlays --------------------------------------------------------------------------------- */

/* Properties that the document omits from <backingStore> are inherited from the base. */
static void overlay_inherits_from_its_base(void **state)
{
    static const struct {
        const char *size, *format;
        const char *refused; /* NULL: accepted */
        uint64_t capacity;
    } overlays[] = {
        {"", "", NULL, 2 * CAPACITY},
        {SIZE, "", NULL, CAPACITY},
        {"", "<format type='qcow2'/>", NULL, 2 * CAPACITY},
        {SIZE, "<format type='raw'/>", "is qcow2, not raw", 0},
    };
    Fixture *f = *state;
    g_autoptr(CstPool) pool = fixture_pool(f, "p");

    create(pool, "base", "qcow2", "<capacity unit='MiB'>2</capacity>");
    for (size_t i = 0; i < G_N_ELEMENTS(overlays); i++) {
        g_autofree char *more =
            g_strdup_printf("%s<backingStore><path>%s/p/base</path>%s</backingStore>",
                            overlays[i].size, f->images, overlays[i].format);
        g_autofree char *xml = vol_xml("v", "qcow2", more, ""), *made = NULL, *described = NULL;
        g_autoptr(GError) error = NULL;

        cst_vol_create(pool, xml, 0, NULL, &made, &error);
        if (overlays[i].refused) {
            assert_non_null(error);
            assert_non_null(strstr(error->message, overlays[i].refused));
            assert_error(&error, CST_ERROR_CONFIG);
            continue;
        }
        assert_no_error(error);
        assert_int_equal(info_of(pool, "v").capacity, overlays[i].capacity);
        described = cst_vol_get_xml(pool, "v", 0, NULL);
        assert_non_null(strstr(strstr(described, "<backingStore>"), "<format type='qcow2'/>"));
        assert_true(cst_vol_delete(pool, "v", 0, NULL, NULL));
    }
}

/* --- copies ----------------------------------------------------------------------------------- */

/* Writes non-zero bytes at the guest's first and last address. */
static void fill(Fixture *f, const char *name)
{
    g_autofree char *content = g_strnfill(CAPACITY, 'x');

    fixture_write(f, "p", name, content);
}

static gboolean copy(CstPool *pool, const char *source, const char *xml, unsigned flags,
                     GError **error)
{
    g_autofree char *made = NULL;

    return cst_vol_create_from(pool, xml, pool, source, flags, NULL, &made, error);
}

/* The image is sound. Its guest sees the content of @other, followed by zeroes. */
static void assert_holds(CstPool *pool, const char *name, const char *other, uint64_t capacity)
{
    g_autoptr(GError) error = NULL;
    g_auto(CstCheckReport) report = {0};
    CstCompareReport compared = {0};

    if (info_of(pool, name).capacity != capacity)
        fail_msg("%s: %d bytes", name, (int)info_of(pool, name).capacity);
    cst_vol_compare(pool, name, pool, other, NULL, &compared, &error);
    assert_no_error(error);
    if (!compared.same)
        fail_msg("%s and %s differ at %d", name, other, (int)compared.offset);
    if (cst_vol_check(pool, name, 0, NULL, &report, &error) && report.errors + report.leaks > 0)
        fail_msg("%s: %d errors, %d leaks", name, (int)report.errors, (int)report.leaks);
}

/* A copy contains the whole source and may be larger. All parts of its image have the new size. */
static void a_copy_is_as_large_as_asked_for(void **state)
{
    static const char *const formats[] = {"raw",  "qcow2", "qed",      "vdi",
                                          "vmdk", "vhdx",  "parallels"};
    static const struct {
        const char *size;
        uint64_t capacity;
    } copies[] = {
        {"", CAPACITY},
        {"<capacity>512</capacity>", CAPACITY},
        {"<capacity>1048576</capacity>", CAPACITY},
        {"<capacity>1049088</capacity>", CAPACITY + 512},
        {"<capacity unit='GiB'>8</capacity>", 8 * CST_GIB},
    };
    g_autoptr(CstPool) pool = fixture_pool(*state, "p");

    fill(*state, "plain");
    for (size_t i = 0; i < G_N_ELEMENTS(formats); i++) {
        const CstVolConvert how = {.name = formats[i], .format = formats[i]};

        assert_true(cst_vol_convert(pool, pool, "plain", &how, NULL, NULL));
        for (size_t j = 0; j < G_N_ELEMENTS(copies); j++) {
            g_autofree char *name = g_strdup_printf("%s-%d", formats[i], (int)j);
            g_autofree char *xml = vol_xml(name, formats[i], copies[j].size, "");
            g_autoptr(GError) error = NULL;

            copy(pool, formats[i], xml, 0, &error);
            assert_no_error(error);
            assert_holds(pool, name, "plain", copies[j].capacity);
        }
    }
}

/*
 * If the document requests another format or property, the image is built from the guest's view.
 * Otherwise the bytes are copied.
 */
static void a_copy_has_the_shape_that_was_asked_for(void **state)
{
    static const struct {
        const char *format, *target, *shown;
    } copies[] = {
        {"qcow2", "", "<compat>1.1</compat>"},
        {"qcow2", "<compat>1.1</compat>", "<compat>1.1</compat>"},
        {"qcow2", "<compat>0.10</compat>", "<compat>0.10</compat>"},
        {"qcow2", "<clusterSize unit='KiB'>64</clusterSize>",
         "<clusterSize unit='B'>65536</clusterSize>"},
        {"qcow2", "<clusterSize unit='KiB'>4</clusterSize>",
         "<clusterSize unit='B'>4096</clusterSize>"},
        {"raw", "", "<format type='raw'/>"},
        {"vdi", "", "<format type='vdi'/>"},
    };
    const CstVolConvert how = {.name = "v", .format = "qcow2"};
    g_autoptr(CstPool) pool = fixture_pool(*state, "p");

    fill(*state, "plain");
    assert_true(cst_vol_convert(pool, pool, "plain", &how, NULL, NULL));
    for (size_t i = 0; i < G_N_ELEMENTS(copies); i++) {
        g_autofree char *xml = vol_xml("copy", copies[i].format, "", copies[i].target);
        g_autofree char *described = NULL;
        g_autoptr(GError) error = NULL;

        copy(pool, "v", xml, 0, &error);
        assert_no_error(error);
        assert_holds(pool, "copy", "plain", CAPACITY);
        described = cst_vol_get_xml(pool, "copy", 0, NULL);
        if (!strstr(described, copies[i].shown))
            fail_msg("no %s in %s", copies[i].shown, described);
        assert_true(cst_vol_delete(pool, "copy", 0, NULL, NULL));
    }
}

static void copies_that_cannot_be_made_are_refused(void **state)
{
    static const struct {
        const char *source, *format;
        unsigned flags;
        CstErrorCode code;
    } wrong[] = {
        {"v", "raw", CST_VOL_CREATE_REFLINK, CST_ERROR_CONFIG},
        {"v", "raw", CST_VOL_CREATE_PREALLOC_METADATA, CST_ERROR_CONFIG},
        {"v", "dir", 0, CST_ERROR_CONFIG},
        {"d", "raw", 0, CST_ERROR_CONFIG},
        {"v", "bochs", 0, CST_ERROR_CONFIG},
        {"nobody", "qcow2", 0, CST_ERROR_NO_VOL},
    };
    g_autoptr(CstPool) pool = fixture_pool(*state, "p");

    create(pool, "v", "qcow2", SIZE);
    create(pool, "d", "dir", SIZE);
    for (size_t i = 0; i < G_N_ELEMENTS(wrong); i++) {
        g_autofree char *xml = vol_xml("copy", wrong[i].format, "", "");
        g_autoptr(GError) error = NULL;

        if (copy(pool, wrong[i].source, xml, wrong[i].flags, &error))
            fail_msg("%s of %s, flags %x", wrong[i].format, wrong[i].source, wrong[i].flags);
        assert_error(&error, wrong[i].code);
        assert_int_equal(count_files(*state, "p"), 2);
    }
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)
    const struct CMUnitTest tests[] = {
        TEST(requested_space_is_preallocated),
        TEST(unsupported_volume_is_refused_without_residue),
        TEST(overlay_inherits_from_its_base),
        TEST(a_copy_is_as_large_as_asked_for),
        TEST(a_copy_has_the_shape_that_was_asked_for),
        TEST(copies_that_cannot_be_made_are_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
