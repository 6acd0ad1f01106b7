/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <base/error.h>

#include "rbd/header.h"

/* --- configuration ---------------------------------------------------------------------------- */

static CstPoolDef *definition(const char *source, const char *options)
{
    g_autofree char *xml =
        g_strdup_printf("<pool type='rbd' "
                        "xmlns:rbd='http://libvirt.org/schemas/storagepool/rbd/1.0'>"
                        "<name>p</name><source>%s</source>%s</pool>",
                        source, options);
    g_autoptr(GError) error = NULL;
    CstPoolDef *def = cst_pool_def_parse(xml, 0, &error);

    assert_non_null(def);
    return def;
}

static const char *option(GPtrArray *options, const char *key)
{
    const char *value = NULL;

    for (guint i = 0; i < options->len; i++) {
        const RbdOption *o = g_ptr_array_index(options, i);

        if (strcmp(o->key, key) == 0)
            value = o->value;
    }
    return value;
}

static void monitors_are_listed_with_their_ports(void **state)
{
    g_autoptr(CstPoolDef) def = definition("<host name='a.example' port='6789'/>"
                                           "<host name='2001:db8::1' port='3300'/>"
                                           "<host name='[2001:db8::2]'/><host name='10.0.0.1'/>"
                                           "<name>data</name>",
                                           "");
    g_autofree char *monitors = cst_rbd_conf_monitors(&def->source);

    assert_string_equal(monitors, "a.example:6789,[2001:db8::1]:3300,[2001:db8::2],10.0.0.1");
}

static void without_auth_no_key_is_asked_for(void **state)
{
    g_autoptr(CstPoolDef) def = definition("<host name='h'/><name>data</name>", "");
    g_autoptr(GPtrArray) options = cst_rbd_conf_options(def);

    assert_string_equal(option(options, "auth_supported"), "none");
    assert_string_equal(option(options, "mon_host"), "h");
    assert_null(option(options, "key"));
}

static void options_of_the_definition_win(void **state)
{
    g_autoptr(CstPoolDef) def =
        definition("<host name='h'/><name>data</name><auth type='ceph' username='u'>"
                   "<secret usage='s'/></auth>",
                   "<rbd:config_opts><rbd:option name='rados_osd_op_timeout' value='5'/>"
                   "<rbd:option name='rbd_default_data_pool' value='ec'/></rbd:config_opts>");
    g_autoptr(GPtrArray) options = cst_rbd_conf_options(def);

    assert_string_equal(option(options, "auth_supported"), "cephx");
    assert_string_equal(option(options, "rados_osd_op_timeout"), "5");
    assert_string_equal(option(options, "rados_mon_op_timeout"), "30");
    assert_string_equal(option(options, "rbd_default_data_pool"), "ec");
}

static void the_source_names_pool_and_namespace(void **state)
{
    char *pool = NULL, *namespace = NULL;

    assert_true(cst_rbd_conf_split("data", &pool, &namespace, NULL));
    assert_string_equal(pool, "data");
    assert_null(namespace);
    g_free(pool);
    assert_true(cst_rbd_conf_split("data/team", &pool, &namespace, NULL));
    assert_string_equal(pool, "data");
    assert_string_equal(namespace, "team");
    g_free(pool);
    g_free(namespace);
    for (const char *const *bad = (const char *const[]){"", "/", "a/", "/a", "a/b/c", NULL}; *bad;
         bad++) {
        g_autoptr(GError) error = NULL;

        assert_false(cst_rbd_conf_split(*bad, &pool, &namespace, &error));
        assert_true(g_error_matches(error, CST_ERROR, CST_ERROR_CONFIG));
    }
}

static void names_that_the_rbd_tool_cannot_spell_are_refused(void **state)
{
    assert_true(cst_rbd_name_check("disk-1.img", "volume", NULL));
    assert_false(cst_rbd_name_check("a/b", "volume", NULL));
    assert_false(cst_rbd_name_check("a@b", "volume", NULL));
    assert_false(cst_rbd_name_check("", "volume", NULL));
}

static void drafts_are_recognized_by_their_names(void **state)
{
    g_autofree char *draft = cst_rbd_draft_name("0815");

    assert_true(cst_rbd_is_draft(draft));
    assert_false(cst_rbd_is_draft("disk"));
    assert_false(cst_rbd_is_draft(".cistern-snapshot"));
}

/* --- answers of OSDs -------------------------------------------------------------------------- */

/* 1 GiB in objects of 4 MiB, features 0x3d, no parent. */
static const uint8_t size_answer[] = {22, 0, 0, 0, 0x40, 0, 0, 0, 0};
static const uint8_t features_answer[] = {0x3d, 0, 0, 0, 0, 0, 0, 0, 0x3d, 0, 0, 0, 0, 0, 0, 0};
static const uint8_t flags_answer[8] = {0};
static const uint8_t no_parent[] = {1,    1,    16,   0, 0, 0, 0xff, 0xff, 0xff, 0xff, 0xff,
                                    0xff, 0xff, 0xff, 0, 0, 0, 0,    0,    0,    0,    0};
static const uint8_t parent[] = {1, 1, 21, 0, 0,   0,   5, 0, 0, 0, 0,   0,   0,  0,
                                 2, 0, 0,  0, 'n', 's', 3, 0, 0, 0, 'a', 'b', 'c'};

static void set(RbdAnswers *answers, int i, const void *data, size_t len)
{
    answers->data[i] = (char *)(uintptr_t)data;
    answers->len[i] = len;
}

static RbdAnswers header_answers(const void *parent_data, size_t parent_len)
{
    RbdAnswers answers = {0};

    set(&answers, 0, size_answer, sizeof(size_answer));
    set(&answers, 1, features_answer, sizeof(features_answer));
    set(&answers, 2, flags_answer, sizeof(flags_answer));
    set(&answers, 3, parent_data, parent_len);
    return answers;
}

static void a_header_is_read(void **state)
{
    RbdAnswers answers = header_answers(no_parent, sizeof(no_parent));
    RbdHeader header = {0};

    assert_true(cst_rbd_header_decode(&answers, &header));
    assert_int_equal(header.size, 1 << 30);
    assert_int_equal(header.order, 22);
    assert_int_equal(cst_rbd_header_objects_size(&header), 1 << 30);
    assert_true(cst_rbd_header_has_map(&header));
    assert_null(header.parent_id);
    header.flags = RBD_FLAG_FAST_DIFF_INVALID;
    assert_false(cst_rbd_header_has_map(&header));
    cst_rbd_header_clear(&header);
}

static void a_clone_names_its_parent(void **state)
{
    RbdAnswers answers = header_answers(parent, sizeof(parent));
    RbdHeader header = {0};

    assert_true(cst_rbd_header_decode(&answers, &header));
    assert_int_equal(header.parent_pool, 5);
    assert_string_equal(header.parent_namespace, "ns");
    assert_string_equal(header.parent_id, "abc");
    cst_rbd_header_clear(&header);
}

static void every_header_cut_short_is_refused(void **state)
{
    for (int i = 0; i < 4; i++) {
        RbdAnswers whole = header_answers(parent, sizeof(parent));

        for (size_t len = 0; len < (i == 1 ? 8 : whole.len[i]); len++) {
            RbdAnswers answers = whole;
            RbdHeader header = {0};

            answers.len[i] = len;
            assert_false(cst_rbd_header_decode(&answers, &header));
            cst_rbd_header_clear(&header);
        }
    }
}

/* Incompatible versions, and lengths that do not match the data. */
static void structs_of_other_versions_are_refused(void **state)
{
    static const struct {
        size_t at;
        uint8_t value;
        gboolean fine;
    } cases[] = {{0, 9, TRUE},  {1, 0, TRUE},  {1, 2, FALSE},
                 {2, 21, TRUE}, {2, 20, TRUE}, {2, 22, FALSE}};

    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        uint8_t changed[sizeof(parent)];
        RbdAnswers answers = header_answers(changed, sizeof(changed));
        RbdHeader header = {0};

        memcpy(changed, parent, sizeof(parent));
        changed[cases[i].at] = cases[i].value;
        assert_int_equal(cst_rbd_header_decode(&answers, &header), cases[i].fine);
        cst_rbd_header_clear(&header);
    }
}

static void sizes_out_of_range_are_refused(void **state)
{
    static const uint8_t huge[] = {22, 0, 0, 0, 0, 0, 0, 0, 0x80};
    static const uint8_t order[] = {63, 0, 0, 0, 0x40, 0, 0, 0, 0};
    RbdAnswers answers = header_answers(no_parent, sizeof(no_parent));
    RbdHeader header = {0};

    set(&answers, 0, huge, sizeof(huge));
    assert_false(cst_rbd_header_decode(&answers, &header));
    cst_rbd_header_clear(&header);
    set(&answers, 0, order, sizeof(order));
    assert_false(cst_rbd_header_decode(&answers, &header));
    cst_rbd_header_clear(&header);
}

/* Returns a map of @objects objects: the header and two bits per object, without checksums. */
static RbdAnswers map_answer(uint8_t buf[64], uint8_t objects, const uint8_t bits[], size_t bytes)
{
    static const uint8_t start[] = {14, 0, 0, 0, 1, 1, 8, 0, 0, 0};
    RbdAnswers answers = {0};

    memset(buf, 0, 64);
    memcpy(buf, start, sizeof(start));
    buf[sizeof(start)] = objects;
    memcpy(buf + sizeof(start) + 8, bits, bytes);
    set(&answers, 0, buf, sizeof(start) + 8 + bytes);
    return answers;
}

static void objects_of_a_map_are_counted(void **state)
{
    /* existing, clean, missing, pending; existing */
    static const uint8_t bits[] = {0x72, 0x40};
    uint8_t buf[64];
    RbdAnswers answers = map_answer(buf, 5, bits, 2);
    RbdHeader header = {.order = 22, .size = 5 << 22};

    assert_true(cst_rbd_map_decode(&answers, &header));
    assert_true(header.mapped);
    assert_int_equal(header.allocated, 4 << 22);
    /* The last object ends at the end of the image. */
    header.size = (4 << 22) + 1;
    assert_true(cst_rbd_map_decode(&answers, &header));
    assert_int_equal(header.allocated, 4 << 22);
}

static void a_map_that_does_not_fit_is_refused(void **state)
{
    static const uint8_t bits[] = {0xff, 0xff};
    uint8_t buf[64];
    RbdAnswers answers = map_answer(buf, 5, bits, 2);
    RbdHeader header = {.order = 22, .size = 6 << 22};

    assert_false(cst_rbd_map_decode(&answers, &header));
    header.size = 5 << 22;
    for (size_t len = 0; len < answers.len[0]; len++) {
        RbdAnswers cut = answers;

        cut.len[0] = len;
        assert_false(cst_rbd_map_decode(&cut, &header));
    }
    assert_false(header.mapped);
}

/* --- queries ---------------------------------------------------------------------------------- */

static GByteArray *asked;
static const char *asked_method;

static void note_question(rados_read_op_t op, const char *class, const char *method,
                          const char *question, size_t len, char **answer, size_t *answer_len,
                          int *result)
{
    assert_string_equal(class, "rbd");
    asked_method = method;
    g_byte_array_append(asked, (const uint8_t *)question, (guint)len);
}

static void the_name_of_an_id_is_asked_of_the_directory(void **state)
{
    static const uint8_t expected[] = {4, 0, 0, 0, '1', '0', 'a', 'f'};
    const CstCeph ceph = {.rados_read_op_exec = note_question};
    RbdAnswers answers = {0};
    g_autofree char *object = NULL;

    asked = g_byte_array_new();
    object = cst_rbd_name_ask(&ceph, NULL, "10af", &answers);
    assert_string_equal(object, "rbd_directory");
    assert_string_equal(asked_method, "dir_get_name");
    assert_int_equal(asked->len, sizeof(expected));
    assert_memory_equal(asked->data, expected, sizeof(expected));
    g_byte_array_unref(asked);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(monitors_are_listed_with_their_ports),
        cmocka_unit_test(without_auth_no_key_is_asked_for),
        cmocka_unit_test(options_of_the_definition_win),
        cmocka_unit_test(the_source_names_pool_and_namespace),
        cmocka_unit_test(names_that_the_rbd_tool_cannot_spell_are_refused),
        cmocka_unit_test(drafts_are_recognized_by_their_names),
        cmocka_unit_test(a_header_is_read),
        cmocka_unit_test(a_clone_names_its_parent),
        cmocka_unit_test(every_header_cut_short_is_refused),
        cmocka_unit_test(structs_of_other_versions_are_refused),
        cmocka_unit_test(sizes_out_of_range_are_refused),
        cmocka_unit_test(objects_of_a_map_are_counted),
        cmocka_unit_test(a_map_that_does_not_fit_is_refused),
        cmocka_unit_test(the_name_of_an_id_is_asked_of_the_directory),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
