/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Changed ranges of thin volumes, with tools simulated by a script. For the parser see
 * logical_delta_test.c.
 */
#include "points.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#include <cmocka.h>

#include <base/error.h>
#include <base/file.h>

#include "fake_guest.h"
#include "fake_lvm.h"

#define BLOCK 65536

static void snap(const char *name)
{
    assert_true(cst_pool_state_snapshot_create(fake_state, "disk", name, NULL, NULL, NULL));
}

static void write_at(const char *text, uint64_t offset)
{
    g_autoptr(CstBlob) blob = logical_open_lv((LogicalState *)fake_state, "disk", TRUE, NULL);

    assert_true(cst_blob_pwrite(blob, text, 4, offset, NULL));
}

static gboolean tell(const char *since, const char *until, CstChanged *changed, GError **error)
{
    return cst_pool_state_snapshot_changed(fake_state, "disk", since, until, NULL, changed, error);
}

static void assert_told(const char *since, const char *until, const char *expected)
{
    fake_assert_told(since, until, BLOCK, expected);
}

static void assert_refused(const char *since, const char *until, CstErrorCode code,
                           const char *words)
{
    g_auto(CstChanged) told = {.max = 10};
    g_autoptr(GError) error = NULL;

    assert_false(tell(since, until, &told, &error));
    if (!g_error_matches(error, CST_ERROR, code) || !strstr(error->message, words))
        fail_msg("%s", error->message);
}

static gboolean is_held(void)
{
    g_autofree char *held = fake_path("held");

    return access(held, F_OK) == 0;
}

static gboolean is_tagged(void)
{
    g_autofree char *path = fake_path("lvs/tp"), *text = NULL;

    assert_true(g_file_get_contents(path, &text, NULL, NULL));
    return strstr(text, "cistern:delta=1") != NULL;
}

static void assert_nothing_left(void)
{
    assert_false(is_held());
    assert_false(is_tagged());
}

static void prepare(void)
{
    fake_add_disk(TRUE);
    snap("a");
}

/* Leaves the state of a killed process, with or without a reservation. */
static void die_before(gboolean held)
{
    fake_add("tp", 64 * MIB, "twi-aotz--", "", "cistern:delta=1");
    if (held)
        fake_put("held", "");
}

/* --- results ---------------------------------------------------------------------------------- */

static void logical_changed_blocks_are_reported(void **unused)
{
    prepare();
    assert_told("a", NULL, "");
    write_at("one!", 3 * BLOCK);
    write_at("two!", 7 * BLOCK - 2);
    assert_told("a", NULL, "3 6 7 ");
    snap("b");
    write_at("more", 20 * BLOCK);
    assert_told("a", "b", "3 6 7 ");
    assert_told("b", NULL, "20 ");
    /* Both are thin volumes, and either may be the older one. */
    assert_told("b", "a", "3 6 7 ");
    assert_told("b", "b", "");
    assert_nothing_left();
}

static void logical_growth_is_reported_as_changed(void **unused)
{
    prepare();
    assert_true(cst_pool_state_vol_resize(fake_state, "disk", 12 * MIB, NULL, NULL));
    assert_told("a", NULL,
                "128 129 130 131 132 133 134 135 136 137 138 139 140 141 142 143 144 145 146 147 "
                "148 149 150 151 152 153 154 155 156 157 158 159 160 161 162 163 164 165 166 167 "
                "168 169 170 171 172 173 174 175 176 177 178 179 180 181 182 183 184 185 186 187 "
                "188 189 190 191 ");
}

static void another_snapshot_of_the_name_has_another_identity(void **unused)
{
    g_auto(CstChanged) before = {.max = 10}, renamed = {.max = 10}, after = {.max = 10};

    prepare();
    assert_true(tell("a", NULL, &before, NULL));
    assert_true(cst_pool_state_snapshot_rename(fake_state, "disk", "a", "z", NULL));
    assert_true(tell("z", NULL, &renamed, NULL));
    assert_string_equal(before.identity, renamed.identity);
    assert_true(cst_pool_state_snapshot_remove(fake_state, "disk", "z", NULL, NULL));
    snap("a");
    assert_true(tell("a", NULL, &after, NULL));
    assert_string_not_equal(before.identity, after.identity);
}

static void logical_changes_of_other_volumes_are_refused(void **unused)
{
    prepare();
    assert_refused("none", NULL, CST_ERROR_NOT_FOUND, "none");
    assert_refused("a", "none", CST_ERROR_NOT_FOUND, "none");
    fake_add_disk(FALSE);
    fake_add(".cistern-1.snap", 8 * MIB, "swi-a-s---", "disk",
             "cistern:of=uuid-disk,cistern:snap=classic");
    assert_refused("classic", NULL, CST_ERROR_UNSUPPORTED, "thin volumes only");
    assert_nothing_left();
}

static gboolean is_without_delta;

char *__real_g_find_program_in_path(const char *program);
char *__wrap_g_find_program_in_path(const char *program);

char *__wrap_g_find_program_in_path(const char *program)
{
    return is_without_delta && g_str_has_suffix(program, "thin_delta")
               ? NULL
               : __real_g_find_program_in_path(program);
}

static void missing_tool_is_named_before_any_change(void **unused)
{
    g_autofree char *metadata = fake_path("dev/mapper/vg-tp_tmeta");

    prepare();
    assert_int_equal(unlink(metadata), 0);
    assert_refused("a", NULL, CST_ERROR_UNSUPPORTED, "is not active");
    is_without_delta = TRUE;
    assert_refused("a", NULL, CST_ERROR_UNSUPPORTED, "install package 'thin-provisioning-tools'");
    is_without_delta = FALSE;
    assert_nothing_left();
    assert_false(fake_was_called("lvchange --addtag"));
}

/* --- misbehaving tools ------------------------------------------------------------------------ */

static void tools_that_lie_are_found_out(void **unused)
{
    static const struct {
        const char *how;
        CstErrorCode code;
    } rows[] = {{"fail", CST_ERROR_FAILED},     {"silent", CST_ERROR_FAILED},
                {"nothing", CST_ERROR_CORRUPT}, {"short", CST_ERROR_CORRUPT},
                {"garbage", CST_ERROR_CORRUPT}, {"failing", CST_ERROR_FAILED},
                {"half", CST_ERROR_FAILED},     {"hang", CST_ERROR_TIMEOUT},
                {"stall", CST_ERROR_TIMEOUT}};

    prepare();
    write_at("one!", 3 * BLOCK);
    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        fake_lie("thin_delta", rows[i].how);
        assert_refused("a", NULL, rows[i].code, "");
        fake_lie("thin_delta", "");
        assert_nothing_left();
        assert_told("a", NULL, "3 ");
    }
    fake_lie("thin_delta", "noisy");
    assert_told("a", NULL, "3 ");
}

static void a_kernel_that_refuses_leaves_no_tag(void **unused)
{
    prepare();
    fake_put("refused", "");
    assert_refused("a", NULL, CST_ERROR_FAILED, "the kernel refuses");
    assert_nothing_left();
}

/* The number of a removed thin volume is soon reused. */
static void volume_replaced_during_the_query_is_detected(void **unused)
{
    prepare();
    /* When the kernel reserves the metadata, the number belongs to another volume. */
    fake_put("when-held", "disk");
    assert_refused("a", NULL, CST_ERROR_BUSY, "try again");
    assert_nothing_left();
}

/* --- concurrent readers ----------------------------------------------------------------------- */

static void foreign_reservation_is_waited_for_and_kept(void **unused)
{
    prepare();
    lvm_host.report_s = 1;
    fake_put("held", "");
    fake_hold_by("/vg-tp_tmeta", 4711);
    assert_refused("a", NULL, CST_ERROR_BUSY, "the guest");
    assert_true(is_held());
    assert_false(is_tagged());
    fake_hold(NULL);
    assert_refused("a", NULL, CST_ERROR_BUSY, "release_metadata_snap");
    assert_true(is_held());
}

static void reservation_of_a_dead_process_is_released(void **unused)
{
    prepare();
    for (int held = 0; held < 2; held++) {
        die_before(held);
        assert_told("a", NULL, "");
        assert_nothing_left();
        die_before(held);
        assert_true(cst_pool_state_settle(fake_state, NULL));
        assert_nothing_left();
    }
}

/*
 * The tag belongs to a dead process. The reservation may belong to another program that has the
 * metadata open.
 */
static void reservation_that_may_be_foreign_is_kept(void **unused)
{
    prepare();
    lvm_host.report_s = 1;
    die_before(TRUE);
    fake_hold_by("/vg-tp_tmeta", 4711);
    assert_refused("a", NULL, CST_ERROR_BUSY, "the guest");
    assert_true(is_held());
    assert_true(is_tagged());
    assert_true(cst_pool_state_settle(fake_state, NULL));
    assert_true(is_held());
    fake_hold(NULL);
    assert_told("a", NULL, "");
    assert_nothing_left();
}

static void our_processes_wait_for_each_other(void **unused)
{
    g_autofree char *path = fake_path("dev/mapper/vg-tp_tmeta");
    g_auto(CstFd) fd = -1;

    prepare();
    lvm_host.report_s = 1;
    fd = cst_node_open(path, O_RDONLY);
    assert_int_equal(flock(fd, LOCK_EX), 0);
    die_before(TRUE);
    assert_refused("a", NULL, CST_ERROR_BUSY, "another process of Cistern");
    assert_true(cst_pool_state_settle(fake_state, NULL));
    assert_true(is_held());
    assert_true(is_tagged());
    assert_int_equal(flock(fd, LOCK_UN), 0);
    assert_told("a", NULL, "");
    assert_nothing_left();
}

static void end_reservation(gpointer unused)
{
    g_autofree char *held = fake_path("held");

    assert_int_equal(unlink(held), 0);
}

static void query_continues_when_a_foreign_reservation_ends(void **unused)
{
    prepare();
    fake_put("held", "");
    fake_hold_by("/vg-tp_tmeta", 4711);
    point_run("logical.metadata.wait", end_reservation, NULL);
    assert_told("a", NULL, "");
    points_clear();
    fake_hold(NULL);
    assert_nothing_left();
}

static void unlock(gpointer fd)
{
    assert_int_equal(flock(GPOINTER_TO_INT(fd), LOCK_UN), 0);
}

/* The other process removes its tag before the lock is acquired. The tag is checked after that. */
static void a_process_of_ours_that_ends_is_waited_for(void **unused)
{
    g_autofree char *path = fake_path("dev/mapper/vg-tp_tmeta");
    g_auto(CstFd) fd = -1;

    prepare();
    fd = cst_node_open(path, O_RDONLY);
    assert_int_equal(flock(fd, LOCK_EX), 0);
    point_run("logical.metadata.wait", unlock, GINT_TO_POINTER(fd));
    assert_told("a", NULL, "");
    points_clear();
    assert_nothing_left();
}

/* The lock is released with the result, so that another process can acquire it. */
static void the_metadata_are_unlocked_after_an_answer(void **unused)
{
    g_autofree char *path = fake_path("dev/mapper/vg-tp_tmeta");
    g_auto(CstFd) fd = -1;

    prepare();
    assert_told("a", NULL, "");
    fd = cst_node_open(path, O_RDONLY);
    assert_int_equal(flock(fd, LOCK_EX | LOCK_NB), 0);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, fake_set_up, fake_tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(logical_changed_blocks_are_reported),
        CASE(logical_growth_is_reported_as_changed),
        CASE(another_snapshot_of_the_name_has_another_identity),
        CASE(logical_changes_of_other_volumes_are_refused),
        CASE(missing_tool_is_named_before_any_change),
        CASE(tools_that_lie_are_found_out),
        CASE(a_kernel_that_refuses_leaves_no_tag),
        CASE(volume_replaced_during_the_query_is_detected),
        CASE(foreign_reservation_is_waited_for_and_kept),
        CASE(reservation_of_a_dead_process_is_released),
        CASE(reservation_that_may_be_foreign_is_kept),
        CASE(our_processes_wait_for_each_other),
        CASE(query_continues_when_a_foreign_reservation_ends),
        CASE(a_process_of_ours_that_ends_is_waited_for),
        CASE(the_metadata_are_unlocked_after_an_answer),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
