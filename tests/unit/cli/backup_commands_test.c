/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Backups over a connection in memory whose storage may return wrong data. */
#include "unit.h"

#include <stdlib.h>
#include <string.h>

#include "fake_conn.h"
#include "fake_vol.h"
#include "session.h"

static char *dir;

static int setup(void **state)
{
    session_setup(state);
    fake_vols_add("images", "disk", 128 << 10, 128 << 10);
    dir = g_dir_make_tmp("cst-cli-backup-XXXXXX", NULL);
    return 0;
}

static int teardown(void **state)
{
    g_autofree char *command = g_strdup_printf("rm -rf '%s'", dir);

    g_clear_pointer(&dir, g_free);
    return system(command) + session_teardown(state);
}

/* Runs "VERB DIR REST". */
static const Session *play(void **state, const char *verb, const char *rest)
{
    g_autofree char *line = g_strdup_printf("%s %s/repo %s", verb, dir, rest);

    session_run(*state, line);
    return *state;
}

static const Session *prove(void **state)
{
    return play(state, "backup-prove", "latest --pool images --content-only");
}

static void backup_prove_reads_back_the_restored_volume(void **state)
{
    assert_int_equal(play(state, "backup-init", "--no-encryption")->status, CST_EXIT_OK);
    assert_int_equal(play(state, "backup-create", "images/disk")->status, CST_EXIT_OK);
    assert_int_equal(prove(state)->status, CST_EXIT_OK);
    fake_vols.rots = TRUE;
    assert_int_equal(prove(state)->status, CST_EXIT_MISMATCH);
    assert_non_null(strstr(((Session *)*state)->out,
                           "differs from the backup in 65536 bytes, from byte 65536 on"));
    /* Elsewhere it does not. */
    assert_int_equal(play(state, "backup-prove", "latest --content-only")->status, CST_EXIT_OK);
    /* That is content, too. */
    assert_int_equal(play(state, "backup-create", "images/disk")->status, CST_EXIT_OK);
    fake_vols.rots = FALSE;
    assert_int_equal(prove(state)->status, CST_EXIT_OK);
}

static void force_share_is_passed_to_the_connection(void **state)
{
    assert_int_equal(play(state, "backup-init", "--no-encryption")->status, CST_EXIT_OK);
    play(state, "backup-create", "images/disk");
    assert_int_equal(fake_vols.last_flags, 0);
    play(state, "backup-create", "images/disk -U");
    assert_int_equal(fake_vols.last_flags, CST_VOL_STREAM_FORCE_SHARE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(backup_prove_reads_back_the_restored_volume, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(force_share_is_passed_to_the_connection, setup, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
