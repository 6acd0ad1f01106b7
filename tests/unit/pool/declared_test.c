/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The order of reading a directory's files and querying their declarations. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include <base/error.h>
#include <image/image.h>
#include <pool/pool.h>

#define FILES   300
#define BACKING "/images/base"

typedef struct {
    char *dir;
    CstPoolState *state;
    CstPoolHost host;
    GHashTable *found; /* name to CstVolume * */

    const char *format; /* declared format of each file */
    gboolean restricted;
    const char *only; /* only this file is declared; NULL: all are */
    guint asked;      /* number of queries */
    guint unread;     /* files whose declaration was queried before their content was read */
} Site;

/*
 * Every image names its backing file, so a record without one was made without reading the content.
 */
static void declared(const CstPoolState *state, CstVolume *const *volumes, guint count,
                     CstDeclaration **ret_declarations, gpointer data)
{
    Site *site = data;

    site->asked++;
    for (guint i = 0; i < count; i++) {
        const CstVolume *volume = volumes[i];

        site->unread += !volume->extra || !volume->extra->backing_path;
        if ((site->format || site->restricted) &&
            (!site->only || strcmp(site->only, volume->name) == 0))
            ret_declarations[i] = cst_declaration_new(site->format, site->restricted);
    }
}

static void make_image(const char *dir, guint number)
{
    const CstImageCreate options = {
        .capacity = 1 << 20, .backing = BACKING, .backing_format = "raw"};
    g_autofree char *path = g_strdup_printf("%s/v%u", dir, number);
    g_autoptr(CstBlob) blob = cst_blob_file_create(path, NULL);

    assert_non_null(blob);
    assert_true(cst_image_create(blob, cst_image_format_find("qcow2", NULL), &options, NULL, NULL));
}

static int setup(void **state)
{
    Site *site = g_new0(Site, 1);
    g_autoptr(CstPoolDef) def = NULL;
    g_autofree char *xml = NULL;

    site->dir = g_dir_make_tmp("cst-declared-XXXXXX", NULL);
    xml = g_strdup_printf("<pool type='dir'><name>p</name><target><path>%s</path></target></pool>",
                          site->dir);
    def = cst_pool_def_parse(xml, 0, NULL);
    assert_non_null(def);
    for (guint i = 0; i < FILES; i++)
        make_image(site->dir, i);
    site->host = (CstPoolHost){.declared = declared, .data = site};
    site->state = cst_pool_state_open(def, &site->host, NULL);
    assert_non_null(site->state);
    site->found =
        g_hash_table_new_full(g_str_hash, g_str_equal, NULL, (GDestroyNotify)cst_volume_unref);
    *state = site;
    return 0;
}

static int teardown(void **state)
{
    Site *site = *state;
    g_autofree char *command = g_strdup_printf("rm -rf '%s'", site->dir);
    int status = system(command);

    g_hash_table_unref(site->found);
    cst_pool_state_unref(site->state);
    g_free(site->dir);
    g_free(site);
    return status;
}

static CstVolume *known(const char *name, gpointer data)
{
    CstVolume *volume = g_hash_table_lookup(((Site *)data)->found, name);

    return volume ? cst_volume_ref(volume) : NULL;
}

static void sink(CstVolume *volume, gpointer data)
{
    g_hash_table_replace(((Site *)data)->found, volume->name, volume);
}

static void scan(Site *site)
{
    const CstScan how = {.known = known, .sink = sink, .data = site};
    g_autoptr(GError) error = NULL;

    assert_true(cst_pool_state_scan(site->state, &how, NULL, &error));
    assert_null(error);
    assert_int_equal(FILES, g_hash_table_size(site->found));
}

/*
 * A writer of untrusted bytes first records the restriction. Therefore a reader that reads the
 * bytes first and then queries the record always finds it.
 */
static void test_declaration_is_read_after_the_content(void **state)
{
    Site *site = *state;
    GHashTableIter iter;
    gpointer volume;

    site->restricted = TRUE;
    scan(site);
    assert_int_equal(1, site->asked);
    assert_int_equal(0, site->unread);
    g_hash_table_iter_init(&iter, site->found);
    while (g_hash_table_iter_next(&iter, NULL, &volume)) {
        assert_true(((CstVolume *)volume)->flags & CST_VOLUME_RESTRICTED);
        assert_int_equal(CST_TRUST_NONE, ((CstVolume *)volume)->extra->backing_trust);
    }
}

static void test_a_single_file_is_read_before_as_well(void **state)
{
    Site *site = *state;
    CstVolume *volume = NULL;

    site->restricted = TRUE;
    assert_true(cst_pool_state_scan_one(site->state, "v3", NULL, &volume, NULL));
    assert_int_equal(1, site->asked);
    assert_int_equal(0, site->unread);
    assert_int_equal(CST_TRUST_NONE, volume->extra->backing_trust);
    cst_volume_unref(volume);
}

static void test_declaration_of_an_unchanged_file_is_not_read_again(void **state)
{
    Site *site = *state;

    scan(site);
    site->asked = 0;
    scan(site);
    assert_int_equal(0, site->asked);
}

static void assert_is_raw(const CstVolume *volume)
{
    assert_string_equal("raw", volume->format);
    assert_true(volume->flags & CST_VOLUME_DECLARED);
    assert_int_equal(volume->physical, volume->capacity);
    assert_non_null(volume->extra);
    assert_string_equal("qcow2", volume->extra->content);
    assert_null(volume->extra->backing_path);
    assert_null(volume->extra->compat);
}

/* Both in a scan and in a lookup: the record contains no property of the image content. */
static void test_a_declared_format_wins_over_the_content(void **state)
{
    Site *site = *state;
    const CstVolume *other;
    CstVolume *volume = NULL;

    site->format = "raw";
    site->only = "v7";
    scan(site);
    assert_is_raw(g_hash_table_lookup(site->found, "v7"));
    other = g_hash_table_lookup(site->found, "v8");
    assert_string_equal("qcow2", other->format);
    assert_null(other->extra->content);
    assert_int_equal(CST_TRUST_PLACE, other->extra->backing_trust);
    assert_true(cst_pool_state_scan_one(site->state, "v7", NULL, &volume, NULL));
    assert_is_raw(volume);
    cst_volume_unref(volume);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_declaration_is_read_after_the_content),
        TEST(test_a_single_file_is_read_before_as_well),
        TEST(test_declaration_of_an_unchanged_file_is_not_read_again),
        TEST(test_a_declared_format_wins_over_the_content),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
