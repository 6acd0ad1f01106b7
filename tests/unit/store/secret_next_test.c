/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A value that will replace the present one, and the lock of a rotation. */
#include "points.h"
#include "scratch.h"

#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include <store/rotation_lock.h>
#include <store/secret_files.h>
#include <store/secret_values.h>

#include "secret_names.h"

#define UUID "11111111-1111-1111-1111-111111111111"

static CstUuid the_uuid(void)
{
    CstUuid uuid;

    assert_true(cst_uuid_parse(UUID, &uuid));
    return uuid;
}

static gboolean has(const Scratch *s, const char *suffix)
{
    g_autofree char *path = g_strconcat(s->paths->secret_dir, "/" UUID, suffix, NULL);

    return access(path, F_OK) == 0;
}

/* @next NULL: no next value is expected. */
static void assert_values(const Scratch *s, const char *now, const char *next)
{
    g_auto(CstSecretBytes) present = {0}, pending = {0};
    CstUuid uuid = the_uuid();

    assert_true(cst_secret_value_load(s->paths, &uuid, &present, NULL));
    assert_string_equal((const char *)present.data, now);
    assert_true(cst_secret_next_load(s->paths, &uuid, &pending, NULL));
    assert_int_equal(cst_secret_next_exists(s->paths, &uuid), next != NULL);
    assert_true(g_strcmp0((const char *)pending.data, next) == 0);
}

static void keep(const Scratch *s, const char *now, gboolean seal_now, const char *next,
                 gboolean seal_next)
{
    const CstSecretBytes present = {(uint8_t *)now, strlen(now)};
    const CstSecretBytes pending = {(uint8_t *)next, strlen(next)};
    CstUuid uuid = the_uuid();

    assert_true(cst_secret_value_save(s->paths, &uuid, &present,
                                      seal_now ? CST_SEAL_ALWAYS : CST_SEAL_NEVER, NULL));
    assert_true(cst_secret_next_save(s->paths, &uuid, &pending,
                                     seal_next ? CST_SEAL_ALWAYS : CST_SEAL_NEVER, NULL));
    assert_values(s, now, next);
}

/* --- the switch ------------------------------------------------------------------------------- */

static guint synced; /* when the directory was, the new value counted */

gboolean __real_cst_parent_sync(const char *path, GError **error);
gboolean __wrap_cst_parent_sync(const char *path, GError **error);

gboolean __wrap_cst_parent_sync(const char *path, GError **error)
{
    synced += access(path, F_OK) == 0;
    return __real_cst_parent_sync(path, error);
}

/*
 * In any form of both values, the promoted value counts and is on the disk, and no other file is
 * left.
 */
static void next_value_replaces_the_present_one_in_any_form(void **state)
{
    const Scratch *s = *state;
    CstUuid uuid = the_uuid();

    for (int i = 0; i < 4; i++) {
        g_autoptr(GError) error = NULL;
        CstSecretValueInfo info;
        guint before;

        keep(s, "old", (i & 1) != 0, "new", (i & 2) != 0);
        before = synced;
        assert_true(cst_secret_next_promote(s->paths, &uuid, NULL));
        assert_true(synced > before);
        assert_values(s, "new", NULL);
        assert_true(cst_secret_value_info(s->paths, &uuid, &info, NULL));
        assert_int_equal(info.sealed, (i & 2) != 0);
        assert_int_equal(has(s, SECRET_PLAIN), !info.sealed);
        assert_int_equal(has(s, SECRET_SEALED), info.sealed);
        assert_false(cst_secret_next_promote(s->paths, &uuid, &error));
        assert_int_equal(cst_error_code(error), CST_ERROR_STATE);
        assert_values(s, "new", NULL);
    }
}

static void both_values_are_sealed_unsealed_and_keyed(void **state)
{
    const Scratch *s = *state;
    CstUuid uuid = the_uuid();
    gboolean changed;
    guint count = 0;

    keep(s, "old", FALSE, "new", FALSE);
    assert_true(cst_secret_value_seal(s->paths, &uuid, &changed, NULL));
    assert_true(has(s, SECRET_NEXT) && !has(s, SECRET_NEXT_PLAIN));
    assert_values(s, "old", "new");
    /* The keys of both are kept as long as they are needed. */
    assert_true(cst_secret_values_rekey(s->paths, &count, NULL));
    assert_int_equal(count, 2);
    assert_values(s, "old", "new");
    assert_true(cst_secret_value_unseal(s->paths, &uuid, &changed, NULL));
    assert_true(!has(s, SECRET_NEXT) && has(s, SECRET_NEXT_PLAIN));
    assert_values(s, "old", "new");
    /* A plain one is no file of a key's. */
    assert_true(cst_secret_keys_drop_unused(s->paths, TRUE, NULL));
    assert_true(cst_secret_next_remove(s->paths, &uuid, NULL));
    assert_values(s, "old", NULL);
}

static void all_that_are_left_are_listed(void **state)
{
    const Scratch *s = *state;
    CstUuid uuid = the_uuid();
    g_autoptr(GArray) none = cst_secret_next_list(s->paths), one = NULL;
    g_autofree char *other = g_strconcat(s->paths->secret_dir, "/strange.next", NULL);

    assert_int_equal(none->len, 0);
    assert_int_equal(cst_secret_next_saved(s->paths, &uuid), 0);
    keep(s, "old", TRUE, "new", TRUE);
    assert_true(g_file_set_contents(other, "", 0, NULL));
    one = cst_secret_next_list(s->paths);
    assert_int_equal(one->len, 1);
    assert_true(cst_uuid_equal(&g_array_index(one, CstUuid, 0), &uuid));
    assert_in_range(cst_secret_next_saved(s->paths, &uuid), g_get_real_time() / G_USEC_PER_SEC - 60,
                    g_get_real_time() / G_USEC_PER_SEC);
    assert_true(cst_secret_value_remove(s->paths, &uuid, NULL));
    assert_false(cst_secret_next_exists(s->paths, &uuid));
}

/* --- the lock --------------------------------------------------------------------------------- */

static void a_lock_is_one_rotations_and_ends_with_it(void **state)
{
    const Scratch *s = *state;
    CstUuid uuid = the_uuid();
    g_autofree char *path = g_strconcat(s->paths->secret_run_dir, "/" UUID ".rotating", NULL);
    int first = cst_rotation_lock(s->paths, &uuid, NULL), second;
    g_autoptr(GError) error = NULL;

    assert_true(first >= 0);
    assert_true(cst_rotation_is_locked(s->paths, &uuid));
    assert_int_equal(cst_rotation_lock(s->paths, &uuid, &error), -1);
    assert_int_equal(cst_error_code(error), CST_ERROR_BUSY);
    cst_rotation_unlock(s->paths, &uuid, first);
    assert_false(cst_rotation_is_locked(s->paths, &uuid));
    assert_int_not_equal(access(path, F_OK), 0);
    /* A file that a dead process left is no lock. */
    close(open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600));
    assert_false(cst_rotation_is_locked(s->paths, &uuid));
    second = cst_rotation_lock(s->paths, &uuid, NULL);
    assert_true(second >= 0);
    cst_rotation_unlock(s->paths, &uuid, second);
    cst_rotation_unlock(s->paths, &uuid, -1);
}

typedef struct {
    const Scratch *scratch;
    CstUuid uuid;
    int held; /* -1: not locked */
} Rotation;

static void unlock_rotation(gpointer data)
{
    Rotation *rotation = data;

    cst_rotation_unlock(rotation->scratch->paths, &rotation->uuid, rotation->held);
    rotation->held = -1;
}

static void lock_rotation(gpointer data)
{
    Rotation *rotation = data;

    rotation->held = cst_rotation_lock(rotation->scratch->paths, &rotation->uuid, NULL);
    assert_true(rotation->held >= 0);
}

/* The file that was opened is not the one in the directory when it is locked. */
static void lock_of_a_removed_file_is_acquired_again(void **state)
{
    Rotation rotation = {*state, the_uuid(), -1};
    const CstPaths *paths = rotation.scratch->paths;
    int second;

    lock_rotation(&rotation);
    point_run("lock_file.opened", unlock_rotation, &rotation);
    second = cst_rotation_lock(paths, &rotation.uuid, NULL);
    points_clear();
    assert_true(second >= 0);
    assert_true(cst_rotation_is_locked(paths, &rotation.uuid));
    assert_int_equal(cst_rotation_lock(paths, &rotation.uuid, NULL), -1);
    cst_rotation_unlock(paths, &rotation.uuid, second);
    assert_false(cst_rotation_is_locked(paths, &rotation.uuid));
}

/* The next rotation has a file of its own before the lock on the old file is released. */
static void unlock_removes_no_file_of_the_next_rotation(void **state)
{
    Rotation next = {*state, the_uuid(), -1};
    const CstPaths *paths = next.scratch->paths;
    int first = cst_rotation_lock(paths, &next.uuid, NULL);

    point_run("lock_file.removed", lock_rotation, &next);
    cst_rotation_unlock(paths, &next.uuid, first);
    points_clear();
    assert_true(cst_rotation_is_locked(paths, &next.uuid));
    unlock_rotation(&next);
}

/* A concurrent query must not make the rotation fail with BUSY. */
static void query_does_not_lock(void **state)
{
    Rotation rotation = {*state, the_uuid(), -1};
    const CstPaths *paths = rotation.scratch->paths;
    g_autofree char *path = g_strconcat(paths->secret_run_dir, "/" UUID ".rotating", NULL);

    assert_int_equal(g_mkdir_with_parents(paths->secret_run_dir, 0700), 0);
    assert_true(g_file_set_contents(path, "", 0, NULL));
    point_run("rotation.query.answered", lock_rotation, &rotation);
    assert_false(cst_rotation_is_locked(paths, &rotation.uuid));
    points_clear();
    assert_true(cst_rotation_is_locked(paths, &rotation.uuid));
    unlock_rotation(&rotation);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        scratch_test(next_value_replaces_the_present_one_in_any_form),
        scratch_test(both_values_are_sealed_unsealed_and_keyed),
        scratch_test(all_that_are_left_are_listed),
        scratch_test(a_lock_is_one_rotations_and_ends_with_it),
        scratch_test(lock_of_a_removed_file_is_acquired_again),
        scratch_test(unlock_removes_no_file_of_the_next_rotation),
        scratch_test(query_does_not_lock),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
