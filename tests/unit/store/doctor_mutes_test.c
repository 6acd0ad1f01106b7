/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The mutes of the command doctor: their database, and which findings they hide. */
#include <store/doctor_mutes.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <glib/gstdio.h>

#include <base/error.h>

#include "scratch.h"

#define NOW 1000

static CstPaths *paths; /* of the running test */

static int mutes_setup(void **state)
{
    scratch_setup(state);
    paths = ((Scratch *)*state)->paths;
    return 0;
}

static void mute_set(const char *id, const char *object, int64_t until)
{
    const CstDoctorMute mute = {(char *)id, (char *)object, CST_SEVERITY_WARNING, until};
    g_autoptr(GError) error = NULL;

    assert_true(cst_doctor_mutes_set(paths, &mute, NOW, &error));
    assert_null(error);
}

static guint mutes_count(int64_t now)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(GPtrArray) mutes = cst_doctor_mutes_list(paths, now, &error);

    assert_null(error);
    return mutes->len;
}

static void list_without_mutes_creates_no_file(void **state)
{
    g_autoptr(GError) error = NULL;

    assert_int_equal(mutes_count(NOW), 0);
    assert_false(g_file_test(paths->data_dir, G_FILE_TEST_EXISTS));
    assert_false(cst_doctor_mutes_remove(paths, "chain-loop", "", &error));
    assert_true(g_error_matches(error, CST_ERROR, CST_ERROR_NOT_FOUND));
}

static void mute_replaces_the_one_of_its_id_and_object(void **state)
{
    g_autoptr(GPtrArray) mutes = NULL;

    mute_set("chain-loop", "p/v", 2000);
    mute_set("chain-loop", "", 2000);
    mute_set("chain-loop", "p/v", 3000);
    mutes = cst_doctor_mutes_list(paths, NOW, NULL);
    assert_int_equal(mutes->len, 2);
    assert_string_equal(((CstDoctorMute *)mutes->pdata[0])->object, "");
    assert_int_equal(((CstDoctorMute *)mutes->pdata[1])->until, 3000);
    assert_true(cst_doctor_mutes_remove(paths, "chain-loop", "", NULL));
    assert_int_equal(mutes_count(NOW), 1);
}

static void mute_that_has_ended_is_not_listed(void **state)
{
    mute_set("chain-loop", "", 2000);
    assert_int_equal(mutes_count(1999), 1);
    assert_int_equal(mutes_count(2000), 0);
}

static void number_of_mutes_is_limited(void **state)
{
    const CstDoctorMute more = {(char *)"chain-loop", (char *)"more", CST_SEVERITY_NOTE, 9000};
    g_autoptr(GError) error = NULL;

    mute_set("chain-loop", "ends", NOW + 1);
    for (guint i = 1; i < CST_DOCTOR_MUTES_MAX; i++) {
        g_autofree char *object = g_strdup_printf("p/%u", i);

        mute_set("chain-loop", object, 9000);
    }
    assert_false(cst_doctor_mutes_set(paths, &more, NOW, &error));
    assert_true(g_error_matches(error, CST_ERROR, CST_ERROR_LIMIT));
    /* An existing mute can be replaced, and an ended one makes room. */
    mute_set("chain-loop", "p/1", 9500);
    assert_true(cst_doctor_mutes_set(paths, &more, NOW + 1, NULL));
}

/* Returns whether a mute of a warning of p/v until 2000 hides a finding. */
static gboolean hides(const char *id, const char *object, CstSeverity severity, int64_t now)
{
    CstDoctorMute mute = {(char *)"chain-loop", (char *)"p/v", CST_SEVERITY_WARNING, 2000};
    g_autoptr(GPtrArray) findings = cst_doctor_findings_new();
    g_autoptr(GPtrArray) mutes = g_ptr_array_new();

    g_ptr_array_add(mutes, &mute);
    cst_doctor_findings_add(findings, id, severity, object, NULL, g_strdup("it loops"));
    cst_doctor_findings_mute(findings, mutes, now);
    return ((const CstDoctorFinding *)findings->pdata[0])->muted == 2000;
}

static void mute_hides_its_findings_until_they_get_worse(void **state)
{
    assert_true(hides("chain-loop", "p/v", CST_SEVERITY_WARNING, NOW));
    assert_true(hides("chain-loop", "p/v", CST_SEVERITY_NOTE, NOW));
    assert_false(hides("chain-loop", "p/v", CST_SEVERITY_ERROR, NOW));
    assert_false(hides("chain-loop", "p/w", CST_SEVERITY_WARNING, NOW));
    assert_false(hides("chain-too-deep", "p/v", CST_SEVERITY_WARNING, NOW));
    assert_false(hides("chain-loop", "p/v", CST_SEVERITY_WARNING, 2000));
}

static void command_is_quoted_for_a_shell(void **state)
{
    g_autofree char *plain = cst_doctor_command("cistern", "pool-start", "--", "p", NULL);
    g_autofree char *odd = cst_doctor_command("rm", "/a b$(c)'", "", NULL);
    g_autofree char *option = cst_doctor_command("cistern", "x", "--yes", "--", "p", "-v", NULL);

    assert_string_equal(plain, "cistern pool-start p");
    assert_string_equal(odd, "rm '/a b$(c)'\\''' ''");
    assert_string_equal(option, "cistern x --yes -- p -v");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(list_without_mutes_creates_no_file, mutes_setup,
                                        scratch_teardown),
        cmocka_unit_test_setup_teardown(mute_replaces_the_one_of_its_id_and_object, mutes_setup,
                                        scratch_teardown),
        cmocka_unit_test_setup_teardown(mute_that_has_ended_is_not_listed, mutes_setup,
                                        scratch_teardown),
        cmocka_unit_test_setup_teardown(number_of_mutes_is_limited, mutes_setup, scratch_teardown),
        cmocka_unit_test(mute_hides_its_findings_until_they_get_worse),
        cmocka_unit_test(command_is_quoted_for_a_shell),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
