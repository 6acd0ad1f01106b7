/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The output of thin_delta. The first document is output of the real tool. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include <glib/gstdio.h>

#include <base/error.h>
#include <base/units.h>
#include <pool/tool.h>

#include "logical/delta.h"

#define SIZE  (8 * CST_MIB)
#define BEGIN "<superblock uuid=\"\" time=\"2\" transaction=\"3\" data_block_size=\"128\">\n"
#define END   "  </diff>\n</superblock>\n"

static const char whole[] =
    "<superblock uuid=\"\" time=\"2\" transaction=\"3\" data_block_size=\"128\" "
    "nr_data_blocks=\"1000\">\n"
    "  <diff left=\"1\" right=\"2\">\n"
    "    <same begin=\"0\" length=\"2\"/>\n"
    "    <different begin=\"2\" length=\"1\"/>\n"
    "    <left_only begin=\"3\" length=\"1\"/>\n"
    "    <same begin=\"7\" length=\"1\"/>\n"
    "    <left_only begin=\"20\" length=\"1\"/>\n"
    "    <right_only begin=\"30\" length=\"2\"/>\n"
    "  </diff>\n"
    "</superblock>\n";

/*
 * Parses @text in parts of @step bytes. Returns the changed blocks as a text, or NULL with @error
 * set.
 */
static char *told_in(const char *text, size_t length, size_t step, CstChanged *changed,
                     GError **error)
{
    g_autoptr(LvmDelta) delta = lvm_delta_new("1", "2", changed);
    g_autoptr(GString) blocks = g_string_new(NULL);
    gboolean full = FALSE;

    cst_changed_begin(changed, SIZE, NULL);
    for (size_t at = 0; at < length && !full; at += step)
        if (!lvm_delta_take(delta, text + at, MIN(step, length - at), &full, error))
            return NULL;
    if (!lvm_delta_end(delta, SIZE - 65536, error))
        return NULL;
    for (guint i = 0; i < changed->ranges->len; i++) {
        const CstRange *range = &g_array_index(changed->ranges, CstRange, i);

        g_string_append_printf(blocks, "%u+%u ", (unsigned)(range->offset / 65536),
                               (unsigned)(range->length / 65536));
    }
    return g_string_free(g_steal_pointer(&blocks), FALSE);
}

static void differences_of_thin_delta_are_reported(void **unused)
{
    for (size_t step = 1; step < sizeof(whole); step++) {
        g_auto(CstChanged) changed = {.max = 10};
        g_autofree char *blocks = told_in(whole, strlen(whole), step, &changed, NULL);

        assert_non_null(blocks);
        assert_string_equal(blocks, "2+2 20+1 30+2 127+1 ");
        assert_int_equal(changed.next, SIZE);
    }
}

/* Returns the output of a tool of the host. The caller frees it. */
static char *output_of(const char *const *argv)
{
    g_autoptr(GError) error = NULL;
    char *out = NULL;

    if (!cst_tool_run(&(CstTool){.argv = argv, .package = "thin-provisioning-tools"}, NULL, &out,
                      &error))
        fail_msg("%s", error->message);
    return out;
}

/* Reads metadata of a thin pool with two devices with the real tool. */
static void the_real_tool_is_understood(void **unused)
{
    static const char metadata[] =
        "<superblock uuid=\"\" time=\"2\" transaction=\"3\" flags=\"0\" version=\"2\" "
        "data_block_size=\"128\" nr_data_blocks=\"1000\">"
        "<device dev_id=\"1\" mapped_blocks=\"6\" transaction=\"0\" creation_time=\"0\" "
        "snap_time=\"1\"><range_mapping origin_begin=\"0\" data_begin=\"0\" length=\"4\" "
        "time=\"0\"/><single_mapping origin_block=\"7\" data_block=\"9\" time=\"0\"/>"
        "<single_mapping origin_block=\"20\" data_block=\"30\" time=\"0\"/></device>"
        "<device dev_id=\"2\" mapped_blocks=\"6\" transaction=\"1\" creation_time=\"1\" "
        "snap_time=\"1\"><range_mapping origin_begin=\"0\" data_begin=\"0\" length=\"2\" "
        "time=\"0\"/><single_mapping origin_block=\"2\" data_block=\"12\" time=\"1\"/>"
        "<single_mapping origin_block=\"7\" data_block=\"9\" time=\"0\"/>"
        "<range_mapping origin_begin=\"30\" data_begin=\"40\" length=\"2\" time=\"1\"/>"
        "</device></superblock>";
    g_autofree char *dir = g_dir_make_tmp("delta-XXXXXX", NULL), *printed = NULL, *blocks = NULL;
    g_autofree char *xml = g_build_filename(dir, "xml", NULL);
    g_autofree char *file = g_build_filename(dir, "metadata", NULL);
    const char *const restore[] = {"thin_restore", "-i", xml, "-o", file, NULL};
    const char *const compare[] = {"thin_delta", "--thin1", "1", "--thin2", "2", file, NULL};
    g_autofree char *room = g_malloc0(4 * CST_MIB), *unused_text = NULL;
    g_auto(CstChanged) changed = {.max = 10};

    if (!cst_tool_exists("thin_restore") || !cst_tool_exists("thin_delta"))
        skip();
    assert_true(g_file_set_contents(xml, metadata, -1, NULL));
    assert_true(g_file_set_contents(file, room, 4 * CST_MIB, NULL));
    unused_text = output_of(restore);
    printed = output_of(compare);
    blocks = told_in(printed, strlen(printed), 64, &changed, NULL);
    assert_non_null(blocks);
    assert_string_equal(blocks, "2+2 20+1 30+2 127+1 ");
    g_unlink(xml);
    g_unlink(file);
    g_rmdir(dir);
}

static void parts_go_on_where_they_ended(void **unused)
{
    g_auto(CstChanged) first = {.max = 1}, second = {.max = 3};
    g_autofree char *blocks = told_in(whole, strlen(whole), 100, &first, NULL), *rest = NULL;

    assert_string_equal(blocks, "2+2 ");
    assert_int_equal(first.next, 20 * 65536);
    second.offset = first.next;
    rest = told_in(whole, strlen(whole), 100, &second, NULL);
    assert_string_equal(rest, "20+1 30+2 127+1 ");
}

static void assert_refused(const char *text, size_t length)
{
    g_auto(CstChanged) changed = {.max = 10};
    g_autoptr(GError) error = NULL;

    if (told_in(text, length, 1000, &changed, &error))
        fail_msg("taken: %s", text);
    assert_true(g_error_matches(error, CST_ERROR, CST_ERROR_CORRUPT));
}

/* A truncated document must never count as complete. */
static void a_document_that_ends_early_is_refused(void **unused)
{
    for (size_t length = 0; length < strlen(whole) - 1; length++)
        assert_refused(whole, length);
}

static void other_documents_are_refused(void **unused)
{
    static const char *const texts[] = {
        "no such device",
        "<superblock/>",
        BEGIN "</superblock>",
        BEGIN "<diff left=\"1\" right=\"3\">" END,
        BEGIN "<diff left=\"2\" right=\"2\">" END,
        BEGIN "<diff left=\"1\">" END,
        "<superblock data_block_size=\"0\"><diff left=\"1\" right=\"2\">" END,
        "<superblock data_block_size=\"-1\"><diff left=\"1\" right=\"2\">" END,
        "<superblock data_block_size=\"99999999\"><diff left=\"1\" right=\"2\">" END,
        "<diff left=\"1\" right=\"2\"></diff>",
        BEGIN "<same begin=\"0\" length=\"2\"/><diff left=\"1\" right=\"2\">" END,
        BEGIN "<diff left=\"1\" right=\"2\"><diff left=\"1\" right=\"2\"></diff>" END,
        BEGIN "<diff left=\"1\" right=\"2\"></diff><different begin=\"0\" length=\"2\"/>"
              "</superblock>",
        BEGIN "<diff left=\"1\" right=\"2\"><range begin=\"0\" length=\"2\"/>" END,
        BEGIN "<diff left=\"1\" right=\"2\"><different begin=\"0\"/>" END,
        BEGIN "<diff left=\"1\" right=\"2\"><different length=\"1\"/>" END,
        BEGIN "<diff left=\"1\" right=\"2\"><different begin=\"x\" length=\"1\"/>" END,
        BEGIN "<diff left=\"1\" right=\"2\"><different begin=\"18446744073709551615\" "
              "length=\"1\"/>" END,
        BEGIN "<diff left=\"1\" right=\"2\"><different begin=\"5\" length=\"1\"/>"
              "<different begin=\"4\" length=\"1\"/>" END,
        BEGIN "<diff left=\"1\" right=\"2\"><different begin=\"5\" length=\"2\"/>"
              "<left_only begin=\"6\" length=\"1\"/>" END,
    };

    for (size_t i = 0; i < G_N_ELEMENTS(texts); i++)
        assert_refused(texts[i], strlen(texts[i]));
}

/* The parser stores a bounded part of one element. */
static void an_element_without_an_end_is_refused(void **unused)
{
    g_autofree char *blanks = g_strnfill(CST_MIB, ' ');
    g_autofree char *text = g_strdup_printf("<superblock x=\"%s", blanks);
    g_auto(CstChanged) changed = {.max = 10};
    g_autoptr(LvmDelta) delta = lvm_delta_new("1", "2", &changed);
    g_autoptr(GError) error = NULL;
    gboolean full;
    size_t at = 0;

    cst_changed_begin(&changed, SIZE, NULL);
    while (at < strlen(text) && lvm_delta_take(delta, text + at, 512, &full, &error))
        at += 512;
    assert_true(g_error_matches(error, CST_ERROR, CST_ERROR_CORRUPT));
    assert_true(at < 70000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(differences_of_thin_delta_are_reported),
        cmocka_unit_test(the_real_tool_is_understood),
        cmocka_unit_test(parts_go_on_where_they_ended),
        cmocka_unit_test(a_document_that_ends_early_is_refused),
        cmocka_unit_test(other_documents_are_refused),
        cmocka_unit_test(an_element_without_an_end_is_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
