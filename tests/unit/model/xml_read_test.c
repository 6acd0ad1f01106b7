/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Documents as a hostile client may send them, and from many threads at once. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include <base/error.h>
#include <model/limits.h>
#include <model/pool_def.h>
#include <model/schema.h>
#include <model/secret_def.h>
#include <model/vol_def.h>

#define POOL "<pool type='dir'><name>a</name><target><path>/a</path></target></pool>"

static int refusal(const char *xml, unsigned flags)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(CstPoolDef) def = cst_pool_def_parse(xml, flags, &error);

    assert_null(def);
    return error->code;
}

static char *padded(size_t len)
{
    GString *text = g_string_new(POOL);

    while (text->len < len)
        g_string_append_c(text, ' ');
    return g_string_free(text, FALSE);
}

static void documents_are_bounded_in_size(void **state)
{
    g_autofree char *largest = padded(CST_XML_MAX_BYTES);
    g_autofree char *too_large = padded(CST_XML_MAX_BYTES + 1);
    g_autoptr(CstPoolDef) def = cst_pool_def_parse(largest, 0, NULL);

    assert_non_null(def);
    assert_int_equal(refusal(too_large, 0), CST_ERROR_XML);
}

static void documents_are_bounded_in_depth(void **state)
{
    g_autoptr(GString) text = g_string_new("<pool type='dir'>");

    for (int i = 0; i < 100000; i++)
        g_string_append(text, "<a>");
    assert_int_equal(refusal(text->str, 0), CST_ERROR_XML_SYNTAX);
}

/* Returns a pool whose first element has @count attributes, one with '=' and '>' in its value. */
static char *with_attributes(int count)
{
    GString *text = g_string_new("<pool type='dir' a='=>='");

    for (int i = 2; i < count; i++)
        g_string_append_printf(text, " a%d=\"'=\"", i);
    g_string_append(text, strchr(POOL, '>'));
    return g_string_free(text, FALSE);
}

static void elements_are_bounded_in_attributes(void **state)
{
    static const struct {
        int count;
        gboolean taken;
    } rows[] = {{CST_XML_MAX_ATTRIBUTES - 1, TRUE},
                {CST_XML_MAX_ATTRIBUTES, TRUE},
                {CST_XML_MAX_ATTRIBUTES + 1, FALSE},
                {80000, FALSE}};

    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        g_autofree char *xml = with_attributes(rows[i].count);
        g_autoptr(GError) error = NULL;
        g_autoptr(CstPoolDef) def = cst_pool_def_parse(xml, 0, &error);

        assert_int_equal(def != NULL, rows[i].taken);
        if (def)
            continue;
        assert_int_equal(error->code, CST_ERROR_XML);
        assert_non_null(strstr(error->message, "more than 512 attributes"));
    }
}

static void comments_and_text_are_not_counted_as_attributes(void **state)
{
    g_autofree char *bars = g_strnfill(10000, '=');
    g_autofree char *xml =
        g_strdup_printf("<?xml version='1.0'?><?note <a %s?><!-- <a %s --><!-- <it's %s -->"
                        "<pool type='dir'><name>a</name>"
                        "<target><path>/%s<![CDATA[<a %s]]></path></target></pool>",
                        bars, bars, bars, bars, bars);
    g_autoptr(CstPoolDef) def = cst_pool_def_parse(xml, 0, NULL);

    assert_non_null(def);
    assert_int_equal(strlen(def->target_path), 1 + 10000 + 3 + 10000);
}

static void encodings_other_than_ascii_supersets_are_refused(void **state)
{
    g_autoptr(CstPoolDef) latin =
        cst_pool_def_parse("<?xml version='1.0' encoding='ISO-8859-1'?><pool type='dir'>"
                           "<name>\xe9</name><target><path>/</path></target></pool>",
                           0, NULL);

    assert_string_equal(latin->name, "\xc3\xa9");
    assert_int_equal(refusal("<?xml version='1.0' encoding='UTF-7'?>" POOL, 0), CST_ERROR_XML);
    assert_int_equal(refusal("<?xml version='1.0' encoding=\"EBCDIC-US\"?>" POOL, 0),
                     CST_ERROR_XML);
}

static void entities_are_never_resolved(void **state)
{
    g_autofree char *name = g_build_filename(g_get_tmp_dir(), "cst-entity-XXXXXX", NULL);
    int fd = mkstemp(name);
    g_autofree char *xml =
        g_strdup_printf("<!DOCTYPE pool [<!ENTITY e SYSTEM 'file://%s'>]>"
                        "<pool type='dir'><name>&e;</name><target><path>/</path></target></pool>",
                        name);

    assert_true(fd >= 0);
    assert_int_equal(write(fd, "secret", 6), 6);
    close(fd);
    assert_int_equal(refusal(xml, 0), CST_ERROR_XML);
    unlink(name);
}

static void the_place_of_a_mistake_is_shown(void **state)
{
    g_autoptr(GError) error = NULL;

    assert_null(cst_pool_def_parse("<pool type='dir'>\n\t<name>a</nam>\n</pool>\n", 0, &error));
    assert_string_equal(error->message,
                        "(storage_pool_definition):2: Opening and ending tag mismatch: name line 2 "
                        "and nam\n\t<name>a</nam>\n\t-------------^");
}

static void invalid_document_prints_no_message(void **state)
{
    static const char *const bad[] = {
        "<pool",
        "<pool type='a' type='b'/>",
        "<pool xmlns:a=''/>",
        "<a:pool/>",
        "\xff\xfe<",
        "<?xml version='9'?><pool/>",
        "<pool type='dir'><name>\xff</name></pool>",
        "<!DOCTYPE pool SYSTEM 'nope.dtd'><pool/>",
    };
    FILE *sink = tmpfile();
    int saved = dup(STDERR_FILENO);

    dup2(fileno(sink), STDERR_FILENO);
    for (size_t i = 0; i < G_N_ELEMENTS(bad); i++) {
        refusal(bad[i], 0);
        refusal(bad[i], CST_PARSE_VALIDATE);
    }
    refusal("<pool type='dir'/>", CST_PARSE_VALIDATE);
    fflush(stderr);
    dup2(saved, STDERR_FILENO);
    close(saved);
    assert_int_equal(lseek(fileno(sink), 0, SEEK_END), 0);
    fclose(sink);
}

static void validation_needs_the_schemas(void **state)
{
    g_autofree char *dir = g_dir_make_tmp("cst-schema-XXXXXX", NULL);
    g_autofree char *broken = g_build_filename(dir, "secret.rng", NULL);
    g_autoptr(GError) error = NULL;

    cst_schema_set_dir(dir);
    assert_int_equal(refusal(POOL, CST_PARSE_VALIDATE), CST_ERROR_ARGUMENT_UNSUPPORTED);
    assert_true(g_file_set_contents(broken, "<grammar/>", -1, NULL));
    assert_null(cst_secret_def_parse("<secret/>", CST_PARSE_VALIDATE, &error));
    assert_int_equal(error->code, CST_ERROR_ARGUMENT_UNSUPPORTED);
    cst_schema_set_dir(NULL);
    unlink(broken);
    rmdir(dir);
}

static void validation_refuses_elements_outside_the_schema(void **state)
{
    g_autoptr(CstPoolDef) fine = NULL;
    g_autoptr(GError) error = NULL;

    if (!g_file_test(CST_SCHEMA_DIR "/storagepool.rng", G_FILE_TEST_EXISTS))
        skip();
    fine = cst_pool_def_parse(POOL, CST_PARSE_VALIDATE, &error);
    assert_null(error);
    assert_non_null(fine);
    assert_int_equal(refusal("<pool type='dir'><name>a</name><typo/><target><path>/a</path>"
                             "</target></pool>",
                             CST_PARSE_VALIDATE),
                     CST_ERROR_XML_SCHEMA);
    assert_null(cst_vol_def_parse("<volume><name>a</name><capacity>1</capacity></volume>",
                                  CST_POOL_DIR, CST_VOL_PARSE_VALIDATE, &error));
    assert_int_equal(error->code, CST_ERROR_XML_SCHEMA);
    assert_non_null(strstr(error->message, CST_SCHEMA_DIR "/storagevol.rng\n"));
    g_clear_error(&error);
    assert_null(cst_secret_def_parse("<secret><typo/></secret>", CST_PARSE_VALIDATE, &error));
    assert_int_equal(error->code, CST_ERROR_XML_SCHEMA);
}

static gpointer parse_often(gpointer data)
{
    gboolean validate = g_file_test(CST_SCHEMA_DIR "/storagepool.rng", G_FILE_TEST_EXISTS);

    for (int i = 0; i < 50; i++) {
        g_autoptr(CstPoolDef) good = cst_pool_def_parse(POOL, 0, NULL);
        g_autoptr(CstPoolDef) bad = cst_pool_def_parse("<pool type='dir'", 0, NULL);

        if (!good || bad)
            return GINT_TO_POINTER(1);
        if (validate && i % 10 == 0) {
            g_autoptr(CstPoolDef) checked = cst_pool_def_parse(POOL, CST_PARSE_VALIDATE, NULL);

            if (!checked)
                return GINT_TO_POINTER(1);
        }
    }
    return NULL;
}

static void threads_parse_side_by_side(void **state)
{
    GThread *threads[8];

    for (size_t i = 0; i < G_N_ELEMENTS(threads); i++)
        threads[i] = g_thread_new("parse", parse_often, NULL);
    for (size_t i = 0; i < G_N_ELEMENTS(threads); i++)
        assert_null(g_thread_join(threads[i]));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(threads_parse_side_by_side),
        cmocka_unit_test(documents_are_bounded_in_size),
        cmocka_unit_test(documents_are_bounded_in_depth),
        cmocka_unit_test(elements_are_bounded_in_attributes),
        cmocka_unit_test(comments_and_text_are_not_counted_as_attributes),
        cmocka_unit_test(encodings_other_than_ascii_supersets_are_refused),
        cmocka_unit_test(entities_are_never_resolved),
        cmocka_unit_test(the_place_of_a_mistake_is_shown),
        cmocka_unit_test(invalid_document_prints_no_message),
        cmocka_unit_test(validation_needs_the_schemas),
        cmocka_unit_test(validation_refuses_elements_outside_the_schema),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
