/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A value that is to take the place of the present one, and the lock of a rotation. */
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

/* @next NULL: there is none. */
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

/* Whatever form each has, what takes the place counts, is on the disk, and nothing else is left. */
static void a_value_takes_the_place_in_any_form(void **state)
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

int main(void)
{
    const struct CMUnitTest tests[] = {
        scratch_test(a_value_takes_the_place_in_any_form),
        scratch_test(both_values_are_sealed_unsealed_and_keyed),
        scratch_test(all_that_are_left_are_listed),
        scratch_test(a_lock_is_one_rotations_and_ends_with_it),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
