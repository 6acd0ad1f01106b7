/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Records of files that change while a scan lists, opens and reads them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <base/error.h>
#include <pool/content.h>

#define SIZE  65536
#define FILES 100 /* this number is read on several threads */

/* --- files ------------------------------------------------------------------------------------ */

/* The attributes of the next opened files. */
static CstVolumeStamp opened_stamp;
static int open_fails;    /* the error code of an open; 0: success */
static gint opened;       /* atomic: opened files */
static gint opens_left;   /* atomic: the files are missing after this number of opens */
static gboolean only_odd; /* the files with even numbers are missing */

static char *reference(gpointer data, const char *name)
{
    return g_strdup(name);
}

static CstBlob *open_file(gpointer data, const char *name, CstFileSeen *seen, GError **error)
{
    CstBlob *blob;

    if (g_atomic_int_add(&opens_left, -1) <= 0 || open_fails ||
        (only_odd && atoi(name + 1) % 2 == 0)) {
        cst_fail(error, open_fails ? open_fails : CST_ERROR_NOT_FOUND, "cannot open '%s'", name);
        return NULL;
    }
    g_atomic_int_inc(&opened);
    blob = cst_blob_memory_new(NULL, SIZE);
    seen->stamp = opened_stamp;
    return blob;
}

static const char *declared_format; /* NULL: no declaration */

/* Another program writes an image over the raw content, after it has restricted the file. */
static CstDeclaration *write_image_and_declare(CstBlob *blob)
{
    static const guint8 header[104] = {'Q', 'F', 'I', 0xfb, 0, 0, 0, 3, [23] = 16, [29] = 1};

    assert_true(cst_blob_pwrite(blob, header, sizeof(header), 0, NULL));
    return declared_format ? cst_declaration_new(declared_format, FALSE) : NULL;
}

static CstFiles files;

static int set_up(void **state)
{
    opened_stamp = (CstVolumeStamp){.device = 1, .inode = 2, .size = SIZE, .mtime_ns = 3};
    open_fails = 0;
    opened = 0;
    opens_left = G_MAXINT;
    only_odd = FALSE;
    declared_format = NULL;
    files =
        (CstFiles){.reference = reference, .open = open_file, .declared = write_image_and_declare};
    return 0;
}

static CstFileSeen seen_now(void)
{
    return (CstFileSeen){.type = CST_VOL_FILE, .stamp = opened_stamp, .allocation = SIZE};
}

/* --- one file --------------------------------------------------------------------------------- */

static void content_is_read_before_the_declaration(void **state)
{
    CstFileSeen seen = seen_now();
    g_autoptr(CstVolume) volume = cst_file_inspect(&files, "v", &seen, NULL);

    assert_string_equal(volume->format, "raw");
    assert_null(cst_volume_problem(volume));
}

static void record_describes_the_file_that_was_opened(void **state)
{
    CstFileSeen seen = seen_now();
    g_autoptr(CstVolume) volume = NULL;

    opened_stamp.inode = 5; /* replaced since it was listed */
    volume = cst_file_inspect(&files, "v", &seen, NULL);
    assert_int_equal(volume->stamp.inode, 5);
}

/* Another scan has read the file since it was listed. */
static void record_that_fits_the_opened_file_is_kept(void **state)
{
    CstFileSeen seen = seen_now(), listed = seen_now();
    g_autoptr(CstVolume) known = cst_file_inspect(&files, "v", &seen, NULL);
    g_autoptr(CstVolume) again = NULL;

    listed.stamp.mtime_ns = 1;
    again = cst_file_inspect(&files, "v", &listed, known);
    assert_ptr_equal(again, known);
    assert_int_equal(known->refs, 2);
}

static void missing_file_or_file_without_a_volume_has_no_record(void **state)
{
    static const int codes[] = {CST_ERROR_NOT_FOUND, CST_ERROR_INVALID};

    for (size_t i = 0; i < G_N_ELEMENTS(codes); i++) {
        CstFileSeen seen = seen_now();

        open_fails = codes[i];
        assert_null(cst_file_inspect(&files, "v", &seen, NULL));
    }
}

static void file_that_can_not_be_opened_has_a_problem(void **state)
{
    CstFileSeen seen = seen_now();
    g_autoptr(CstVolume) volume = NULL;

    open_fails = CST_ERROR_IO;
    volume = cst_file_inspect(&files, "v", &seen, NULL);
    assert_string_equal(cst_volume_problem(volume), "cannot open 'v'");
    /* The record is made again, regardless of the file's attributes. */
    assert_false(cst_file_fits(volume, &seen));
}

/* --- many files ------------------------------------------------------------------------------- */

static void sink(CstVolume *volume, gpointer found)
{
    g_ptr_array_add(found, volume);
}

/* Reads FILES files; the caller frees the records. */
static GPtrArray *read_files(CstVolume *known)
{
    GPtrArray *found = g_ptr_array_new_with_free_func((GDestroyNotify)cst_volume_unref);
    const CstScan scan = {.sink = sink, .data = found};
    g_autoptr(CstFileReading) reading = cst_file_reading_new(&files, &scan);

    for (int i = 0; i < FILES; i++) {
        g_autofree char *name = g_strdup_printf("v%d", i);
        CstFileSeen seen = seen_now();

        cst_file_reading_add(reading, name, &seen, known);
    }
    cst_file_reading_run(reading);
    return found;
}

static void contents_are_read_before_the_declarations(void **state)
{
    g_autoptr(GPtrArray) found = read_files(NULL);

    assert_int_equal(found->len, FILES);
    assert_int_equal(opened, FILES);
    for (guint i = 0; i < found->len; i++) {
        const CstVolume *volume = found->pdata[i];
        g_autofree char *name = g_strdup_printf("v%u", i);

        assert_string_equal(volume->name, name);
        assert_string_equal(volume->format, "raw");
    }
}

static void records_that_fit_are_handed_on(void **state)
{
    CstFileSeen seen = seen_now();
    g_autoptr(CstVolume) known = cst_file_inspect(&files, "v", &seen, NULL);

    {
        g_autoptr(GPtrArray) found = read_files(known);

        assert_int_equal(found->len, FILES);
        assert_ptr_equal(found->pdata[FILES - 1], known);
        assert_int_equal(known->refs, 1 + FILES);
    }
    assert_int_equal(known->refs, 1);
}

/* Files with another declared format are opened again, and are missing by then. */
static void files_that_go_before_they_are_read_again_have_no_record(void **state)
{
    g_autoptr(GPtrArray) found = NULL;

    declared_format = "vmdk";
    opens_left = FILES;
    found = read_files(NULL);
    assert_int_equal(found->len, 0);
    assert_int_equal(opened, FILES);
}

static void files_that_go_before_they_are_opened_have_no_record(void **state)
{
    g_autoptr(GPtrArray) found = NULL;

    opens_left = FILES / 2;
    found = read_files(NULL);
    assert_int_equal(found->len, FILES / 2);
}

static void declarations_are_of_the_files_that_were_opened(void **state)
{
    g_autoptr(GPtrArray) found = NULL;

    only_odd = TRUE;
    declared_format = "raw";
    found = read_files(NULL);
    assert_int_equal(found->len, FILES / 2);
    for (guint i = 0; i < found->len; i++)
        assert_true(((CstVolume *)found->pdata[i])->flags & CST_VOLUME_DECLARED);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup(name, set_up)
        TEST(content_is_read_before_the_declaration),
        TEST(record_describes_the_file_that_was_opened),
        TEST(record_that_fits_the_opened_file_is_kept),
        TEST(missing_file_or_file_without_a_volume_has_no_record),
        TEST(file_that_can_not_be_opened_has_a_problem),
        TEST(contents_are_read_before_the_declarations),
        TEST(records_that_fit_are_handed_on),
        TEST(files_that_go_before_they_are_read_again_have_no_record),
        TEST(files_that_go_before_they_are_opened_have_no_record),
        TEST(declarations_are_of_the_files_that_were_opened),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
