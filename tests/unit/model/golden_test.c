/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Runs the documents of tests/golden. DIR/NAME.xml is parsed and printed as NAME.out.xml, or as
 * itself if that file is missing. The output must satisfy libvirt's schema. The documents of
 * refused.list are refused. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include <base/error_class.h>
#include <model/pool_def.h>
#include <model/schema.h>
#include <model/secret_def.h>
#include <model/vol_def.h>

static char *show_pool(const char *xml, CstPoolType type, unsigned flags, GError **error)
{
    g_autoptr(CstPoolDef) def = cst_pool_def_parse(xml, flags | CST_PARSE_LIVE, error);
    g_autoptr(CstPoolDef) copy = def ? cst_pool_def_copy(def) : NULL;

    return copy ? cst_pool_def_format(copy, error) : NULL;
}

static char *show_new_pool(const char *xml, CstPoolType type, unsigned flags, GError **error)
{
    g_autoptr(CstPoolDef) def = cst_pool_def_parse(xml, flags, error);

    return def ? cst_pool_def_format(def, error) : NULL;
}

static char *show_vol(const char *xml, CstPoolType type, unsigned flags, GError **error)
{
    g_autoptr(CstVolDef) def = cst_vol_def_parse(xml, type, flags, error);
    g_autoptr(CstVolDef) copy = def ? cst_vol_def_copy(def) : NULL;

    return copy ? cst_vol_def_format(copy, type, error) : NULL;
}

static char *show_live_vol(const char *xml, CstPoolType type, unsigned flags, GError **error)
{
    return show_vol(xml, type, flags | CST_VOL_PARSE_LIVE, error);
}

static char *show_source(const char *xml, CstPoolType type, unsigned flags, GError **error)
{
    CstPoolSource source;
    char *text;

    if (!cst_pool_source_parse(xml, type, &source, error))
        return NULL;
    text = cst_pool_source_format(&source, type, error);
    cst_pool_source_clear(&source);
    return text;
}

static char *show_secret(const char *xml, CstPoolType type, unsigned flags, GError **error)
{
    g_autoptr(CstSecretDef) def = cst_secret_def_parse(xml, flags, error);
    g_autoptr(CstSecretDef) copy = def ? cst_secret_def_copy(def) : NULL;

    return copy ? cst_secret_def_format(copy) : NULL;
}

static char *show_state(const char *xml, CstPoolType type, unsigned flags, GError **error)
{
    g_autoptr(CstPoolDef) def = cst_pool_state_parse(xml, error);

    return def ? cst_pool_state_format(def, error) : NULL;
}

typedef char *(*ShowFunc)(const char *xml, CstPoolType type, unsigned flags, GError **error);

static const struct {
    const char *dir;
    ShowFunc show;
    ShowFunc show_again; /* how the output itself is read */
    gboolean typed;      /* names are TYPE.NAME.xml */
    gboolean has_schema;
} kinds[] = {
    {"pool", show_new_pool, show_pool, FALSE, TRUE},
    {"poolstate", show_state, show_state, FALSE, FALSE},
    {"source", show_source, show_source, TRUE, FALSE},
    {"volume", show_vol, show_vol, TRUE, TRUE},
    {"live-volume", show_live_vol, show_live_vol, TRUE, TRUE},
    {"secret", show_secret, show_secret, FALSE, TRUE},
};

/* Documents of ours that libvirt's schema has no place for. */
static const char *const outside_schema[] = {
    "zfs.nested.xml", /* libvirt lists no nested datasets */
    NULL,
};

static char *golden_path(const char *dir, const char *name)
{
    return g_build_filename(CST_GOLDEN_DIR, dir, name, NULL);
}

static char *read_text(const char *path)
{
    char *text = NULL;

    assert_true(g_file_get_contents(path, &text, NULL, NULL));
    return text;
}

static CstPoolType type_of(const char *name)
{
    g_autofree char *type_name = g_strndup(name, strcspn(name, "."));
    CstPoolType type = CST_POOL_TYPE_LAST;

    if (!cst_pool_type_parse(type_name, &type))
        fail_msg("%s: '%s' is no pool type", name, type_name);
    return type;
}

static char *expected_text(const char *dir, const char *name)
{
    g_autofree char *stem = g_strndup(name, strlen(name) - strlen(".xml"));
    g_autofree char *out_name = g_strconcat(stem, ".out.xml", NULL);
    g_autofree char *path = golden_path(dir, out_name);

    if (!g_file_test(path, G_FILE_TEST_EXISTS)) {
        g_free(path);
        path = golden_path(dir, name);
    }
    return read_text(path);
}

static void expect_same(const char *name, const char *got, const char *expected)
{
    if (g_strcmp0(got, expected) != 0)
        fail_msg("%s: expected\n%s\ngot\n%s", name, expected, got);
}

static void check_document(size_t kind, const char *name)
{
    CstPoolType type = kinds[kind].typed ? type_of(name) : CST_POOL_DIR;
    g_autofree char *path = golden_path(kinds[kind].dir, name);
    g_autofree char *xml = read_text(path);
    g_autofree char *expected = expected_text(kinds[kind].dir, name);
    g_autofree char *got = NULL;
    g_autofree char *again = NULL;
    g_autoptr(GError) error = NULL;
    gboolean validate = kinds[kind].has_schema && g_file_test(CST_SCHEMA_DIR, G_FILE_TEST_IS_DIR) &&
                        !g_strv_contains(outside_schema, name);

    got = kinds[kind].show(xml, type, 0, &error);
    if (!got)
        fail_msg("%s: %s", name, error->message);
    expect_same(name, got, expected);
    again = kinds[kind].show_again(got, type, validate ? CST_PARSE_VALIDATE : 0, &error);
    if (!again)
        fail_msg("%s, its own output: %s", name, error->message);
    expect_same(name, again, expected);
}

static void documents_print_as_written(void **state)
{
    for (size_t kind = 0; kind < G_N_ELEMENTS(kinds); kind++) {
        g_autofree char *path = golden_path(kinds[kind].dir, NULL);
        g_autoptr(GDir) dir = g_dir_open(path, 0, NULL);
        const char *name;
        int count = 0;

        assert_non_null(dir);
        while ((name = g_dir_read_name(dir))) {
            if (!g_str_has_suffix(name, ".xml") || g_str_has_suffix(name, ".out.xml"))
                continue;
            check_document(kind, name);
            count++;
        }
        assert_true(count > 0);
    }
}

static void capabilities_list_every_type(void **state)
{
    g_autofree char *path = golden_path("caps", "all.xml");
    g_autofree char *expected = read_text(path);
    g_autofree char *got = cst_pool_capabilities_format(NULL);

    expect_same("caps/all.xml", got, expected);
}

static ShowFunc show_of(const char *noun)
{
    for (size_t kind = 0; kind < G_N_ELEMENTS(kinds); kind++)
        if (strcmp(kinds[kind].dir, noun) == 0)
            return kinds[kind].show;
    return NULL;
}

static void check_refused(const char *line)
{
    g_auto(GStrv) fields = g_strsplit(line, " ", 3);
    g_auto(GStrv) what = g_strsplit(fields[0], ":", 2);
    g_autofree char *xml = g_strcompress(fields[2]);
    CstPoolType type = what[1] ? type_of(what[1]) : CST_POOL_DIR;
    ShowFunc show = show_of(what[0]);
    g_autoptr(GError) error = NULL;
    g_autofree char *got = NULL;
    int wire;

    assert_non_null(show);
    got = show(xml, type, 0, &error);
    if (!error) {
        fail_msg("accepted: %s", line);
        return;
    }
    assert_null(got);
    wire = cst_error_info(cst_error_code(error))->wire;
    if (wire != atoi(fields[1]))
        fail_msg("%s: got %d (%s)", line, wire, error->message);
}

static void malformed_documents_are_refused(void **state)
{
    g_autofree char *path = golden_path("refused.list", NULL);
    g_autofree char *text = read_text(path);
    g_auto(GStrv) lines = g_strsplit(text, "\n", -1);
    int count = 0;

    for (char **line = lines; *line; line++) {
        if (**line == '#' || **line == '\0')
            continue;
        check_refused(*line);
        count++;
    }
    assert_true(count > 100);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(documents_print_as_written),
        cmocka_unit_test(capabilities_list_every_type),
        cmocka_unit_test(malformed_documents_are_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
