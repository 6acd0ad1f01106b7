/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Errors by class, word and number; how messages name a process; flags that exclude each other. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <errno.h>
#include <gio/gio.h>
#include <string.h>
#include <unistd.h>

#include <base/error.h>
#include <base/error_class.h>
#include <base/flags.h>
#include <base/process.h>
#include <base/uuid.h>

static void every_class_is_found_by_its_word(void **state)
{
    CstErrorCode found = CST_ERROR_LAST;

    for (int code = 0; code < CST_ERROR_LAST; code++) {
        assert_true(cst_error_from_word(cst_error_info(code)->word, &found));
        assert_int_equal(found, code);
    }
    assert_false(cst_error_from_word("nosuch", &found));
    assert_string_equal(cst_error_info(-1)->word, "internal");
    assert_string_equal(cst_error_info(CST_ERROR_LAST)->word, "internal");
}

static void of_several_classes_a_number_means_the_general_one(void **state)
{
    assert_int_equal(cst_error_from_wire(9), CST_ERROR_FAILED);
    assert_int_equal(cst_error_from_wire(55), CST_ERROR_STATE);
    assert_int_equal(cst_error_from_wire(8), CST_ERROR_INVALID);
    assert_int_equal(cst_error_from_wire(1), CST_ERROR_INTERNAL);
    assert_int_equal(cst_error_from_wire(49), CST_ERROR_NO_POOL);
    assert_int_equal(cst_error_from_wire(10000), CST_ERROR_DRY_RUN);
    assert_int_equal(cst_error_from_wire(4711), CST_ERROR_FAILED);
}

static void failures_of_glib_have_a_class(void **state)
{
    const struct {
        GQuark domain;
        int code;
        CstErrorCode wanted;
    } rows[] = {
        {G_IO_ERROR, G_IO_ERROR_CANCELLED, CST_ERROR_CANCELLED},
        {G_IO_ERROR, G_IO_ERROR_NOT_FOUND, CST_ERROR_NOT_FOUND},
        {G_FILE_ERROR, G_FILE_ERROR_NOENT, CST_ERROR_NOT_FOUND},
        {G_IO_ERROR, G_IO_ERROR_PERMISSION_DENIED, CST_ERROR_DENIED},
        {G_FILE_ERROR, G_FILE_ERROR_ACCES, CST_ERROR_DENIED},
        {G_IO_ERROR, G_IO_ERROR_EXISTS, CST_ERROR_IO},
        {G_FILE_ERROR, G_FILE_ERROR_IO, CST_ERROR_IO},
        {CST_ERROR, CST_ERROR_BUSY, CST_ERROR_BUSY},
    };

    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        g_autoptr(GError) error = g_error_new_literal(rows[i].domain, rows[i].code, "x");

        assert_int_equal(cst_error_code(error), rows[i].wanted);
    }
}

static void failures_of_the_kernel_have_a_class(void **state)
{
    static const struct {
        int err;
        CstErrorCode wanted;
    } rows[] = {
        {ENOSPC, CST_ERROR_NO_SPACE}, {EDQUOT, CST_ERROR_NO_SPACE}, {EACCES, CST_ERROR_DENIED},
        {EPERM, CST_ERROR_DENIED},    {EROFS, CST_ERROR_DENIED},    {ENOENT, CST_ERROR_NOT_FOUND},
        {EIO, CST_ERROR_IO},
    };

    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        g_autoptr(GError) error = NULL;
        g_autofree char *wanted = g_strdup_printf("cannot a: %s", g_strerror(rows[i].err));

        assert_false(cst_fail_errno(&error, rows[i].err, "cannot %s", "a"));
        assert_true(g_error_matches(error, CST_ERROR, rows[i].wanted));
        assert_string_equal(error->message, wanted);
    }
}

static void texts_name_the_class(void **state)
{
    g_autoptr(GError) error = NULL;
    g_autofree char *text = NULL;

    assert_false(cst_fail(&error, CST_ERROR_VOL_EXISTS, "'%s'", "a"));
    text = cst_error_text(error);
    assert_string_equal(text, "storage volume 'a' exists already");
}

static void process_description_has_the_known_fields(void **state)
{
    g_autofree char *nobody = cst_process_describe(0);
    g_autofree char *wrong = cst_process_describe(-1);
    g_autofree char *gone = cst_process_describe(G_MAXINT32);
    g_autofree char *own = cst_process_describe(getpid());
    g_autofree char *command = cst_process_command(getpid());
    g_autofree char *wanted = g_strdup_printf("process %d (%s)", getpid(), command);

    assert_string_equal(nobody, "another process");
    assert_string_equal(wrong, "another process");
    assert_string_equal(gone, "process 2147483647");
    assert_string_equal(own, wanted);
    assert_true(g_str_has_prefix("test-base-error", command));
    assert_true(strlen(command) > 0);
}

static void flags_may_exclude_each_other(void **state)
{
    g_autoptr(GError) error = NULL;

    assert_true(cst_flags_exclusive(1, 1, "A", 2, "B", NULL));
    assert_true(cst_flags_exclusive(2, 1, "A", 2, "B", NULL));
    assert_true(cst_flags_exclusive(4, 1, "A", 2, "B", NULL));
    assert_false(cst_flags_exclusive(3, 1, "A", 2, "B", &error));
    assert_string_equal(error->message, "Flags 'A' and 'B' are mutually exclusive");
    assert_true(g_error_matches(error, CST_ERROR, CST_ERROR_USAGE));
    g_clear_error(&error);
    assert_true(cst_flags_check(2, 3, "f", NULL));
    assert_false(cst_flags_check(7, 3, "f", &error));
    assert_string_equal(error->message, "(0x4) in function f");
}

static void uuids_are_read_in_many_forms(void **state)
{
    static const char *const good[] = {
        "6f9619ff-8b86-d011-b42d-00c04fc964ff", "6F9619FF8B86D011B42D00C04FC964FF",
        " 6f9619ff-8b86-d011-b42d-00c04fc964ff\n", "-6f-9619ff8b86d011b42d00c04fc964ff"};
    static const char *const bad[] = {"",
                                      "6f9619ff-8b86-d011-b42d-00c04fc964f",
                                      "6f9619ff-8b86-d011-b42d-00c04fc964ff0",
                                      "6f9619ff-8b86-d011-b42d-00c04fc964ff x",
                                      "gf9619ff-8b86-d011-b42d-00c04fc964ff",
                                      "6g9619ff-8b86-d011-b42d-00c04fc964ff"};

    for (size_t i = 0; i < G_N_ELEMENTS(good); i++) {
        char text[CST_UUID_TEXT_LEN];
        CstUuid uuid;

        assert_true(cst_uuid_parse(good[i], &uuid));
        assert_string_equal(cst_uuid_format(&uuid, text), good[0]);
    }
    for (size_t i = 0; i < G_N_ELEMENTS(bad); i++) {
        CstUuid uuid;

        assert_false(cst_uuid_parse(bad[i], &uuid));
    }
}

static void new_uuids_are_random_ones(void **state)
{
    static const CstUuid zero;
    CstUuid one, other;

    cst_uuid_generate(&one);
    cst_uuid_generate(&other);
    assert_false(cst_uuid_equal(&one, &other));
    /* RFC 9562: version 4 of variant 10. */
    assert_int_equal(one.bytes[6] >> 4, 4);
    assert_int_equal(one.bytes[8] >> 6, 2);
    assert_false(cst_uuid_is_zero(&one));
    assert_true(cst_uuid_is_zero(&zero));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_class_is_found_by_its_word),
        cmocka_unit_test(of_several_classes_a_number_means_the_general_one),
        cmocka_unit_test(failures_of_glib_have_a_class),
        cmocka_unit_test(failures_of_the_kernel_have_a_class),
        cmocka_unit_test(texts_name_the_class),
        cmocka_unit_test(process_description_has_the_known_fields),
        cmocka_unit_test(flags_may_exclude_each_other),
        cmocka_unit_test(uuids_are_read_in_many_forms),
        cmocka_unit_test(new_uuids_are_random_ones),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
