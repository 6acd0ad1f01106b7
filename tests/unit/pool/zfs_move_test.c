/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Volumes that are moved from another pool by a rename. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <base/error.h>
#include <pool/pool.h>

#include "fake_tools.h"
#include "fake_zfs.h"

/* In fake-zfs's record the seventh line is the encryption root. */
static void encrypt(const char *dataset, const char *root)
{
    g_autofree char *of = g_strdelimit(g_strdup(dataset), "/", '%');
    g_autofree char *name = g_strconcat("sets/", of, NULL);
    g_autofree char *path = fake_path(name);
    g_autofree char *before = NULL, *after = NULL;
    g_auto(GStrv) lines = NULL;

    assert_true(g_file_get_contents(path, &before, NULL, NULL));
    lines = g_strsplit(before, "\n", -1);
    g_free(lines[6]);
    lines[6] = g_strdup(root);
    after = g_strjoinv("\n", lines);
    fake_put(name, after);
}

/* A volume that can only be copied is reported as such, and is unchanged. */
static void volume_of_another_pool_is_moved_in_one_step(void **unused)
{
    static const struct {
        const char *name, *new_name;
        CstErrorCode code;
    } rows[] = {
        {"none", "x", CST_ERROR_NO_VOL},
        {"disk", "taken", CST_ERROR_VOL_EXISTS},
        {"disk", "nowhere/x", CST_ERROR_NOT_FOUND},
        {"disk", ".cistern-x", CST_ERROR_INVALID},
        /*
         * A key applies only below its encryption root, and an unencrypted volume would stay
         * unencrypted.
         */
        {"secret/disk", "x", CST_ERROR_UNSUPPORTED},
        {"disk", "safe/x", CST_ERROR_UNSUPPORTED},
    };
    CstPoolState *from = fake_pool("tank/a", ""), *to = fake_pool("tank/b", "");
    g_autofree char *guid = NULL, *after = NULL;
    g_autoptr(GError) error = NULL;

    fake_add_filesystem("tank/a");
    fake_add_filesystem("tank/b");
    fake_add_filesystem("tank/a/secret");
    fake_add_filesystem("tank/b/safe");
    fake_add("tank/a/disk");
    fake_add("tank/a/secret/disk");
    fake_add("tank/b/taken");
    fake_snapshot("tank/a/disk", "s");
    encrypt("tank/a/secret/disk", "tank/a/secret");
    encrypt("tank/b/safe", "tank/b/safe");
    guid = fake_fact("tank/a/disk", 1);
    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        assert_false(cst_pool_state_rename_from(to, from, rows[i].name, rows[i].new_name, &error));
        if (error->code != (int)rows[i].code)
            fail_msg("%s: %s", rows[i].new_name, error->message);
        g_clear_error(&error);
    }
    assert_true(fake_has("tank/a/disk") && fake_has("tank/b/taken"));
    assert_true(cst_pool_state_rename_from(to, from, "disk", "new", NULL));
    after = fake_fact("tank/b/new", 1);
    assert_string_equal(after, guid);
    assert_true(fake_has("tank/b/new@s") && !fake_has("tank/a/disk"));
    cst_pool_state_unref(from);
    cst_pool_state_unref(to);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(volume_of_another_pool_is_moved_in_one_step, fake_set_up,
                                        fake_tear_down),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
