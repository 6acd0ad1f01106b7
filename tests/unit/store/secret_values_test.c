/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "scratch.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include <utime.h>

#include <store/secret_files.h>
#include <store/secret_values.h>

#include "seal_keys.h"

#define UUID     "11111111-1111-1111-1111-111111111111"
#define OTHER    "22222222-2222-2222-2222-222222222222"
#define LONG_AGO 1000000000

static CstUuid uuid_of(const char *text)
{
    CstUuid uuid;

    assert_true(cst_uuid_parse(text, &uuid));
    return uuid;
}

static char *key_path(const Scratch *s, const char *name)
{
    return g_strdup_printf("%s/secret-keys/%s", s->paths->data_dir, name);
}

static gboolean set(const Scratch *s, const char *of, const char *text, CstSealPolicy policy,
                    GError **error)
{
    const CstSecretBytes value = {(uint8_t *)text, strlen(text)};
    CstUuid uuid = uuid_of(of);

    return cst_secret_value_save(s->paths, &uuid, &value, policy, error);
}

/* @expected NULL: it can't be read. */
static void assert_value(const Scratch *s, const char *of, const char *expected)
{
    g_auto(CstSecretBytes) value = {0};
    g_autoptr(GError) error = NULL;
    CstUuid uuid = uuid_of(of);

    if (!cst_secret_value_load(s->paths, &uuid, &value, &error)) {
        assert_null(expected);
        assert_int_equal(cst_error_code(error), CST_ERROR_INVALID_SECRET);
        return;
    }
    assert_non_null(value.data);
    assert_string_equal((const char *)value.data, expected);
}

static gboolean seal(const Scratch *s, const char *of)
{
    CstUuid uuid = uuid_of(of);
    gboolean changed;

    assert_true(cst_secret_value_seal(s->paths, &uuid, &changed, NULL));
    return changed;
}

static gboolean unseal(const Scratch *s, const char *of)
{
    CstUuid uuid = uuid_of(of);
    gboolean changed;

    assert_true(cst_secret_value_unseal(s->paths, &uuid, &changed, NULL));
    return changed;
}

static CstSecretValueInfo info_of(const Scratch *s, const char *of)
{
    CstUuid uuid = uuid_of(of);
    CstSecretValueInfo info;

    assert_true(cst_secret_value_info(s->paths, &uuid, &info, NULL));
    return info;
}

static gboolean is_plain(const Scratch *s, const char *of)
{
    g_autofree char *plain = g_strconcat(of, ".base64", NULL);
    g_autofree char *sealed = g_strconcat(of, ".sealed", NULL);
    int plain_mode = scratch_mode(s->paths->secret_dir, plain);
    int sealed_mode = scratch_mode(s->paths->secret_dir, sealed);

    assert_true((plain_mode == 0600 && sealed_mode == -1) ||
                (plain_mode == -1 && sealed_mode == 0600));
    return plain_mode == 0600;
}

/* --- forms ------------------------------------------------------------------------------------ */

static void unsealed_value_is_readable_for_libvirt(void **state)
{
    Scratch *s = *state;
    g_autofree char *file = g_strconcat(s->paths->secret_dir, "/" UUID ".base64", NULL);
    g_autofree char *text = NULL;

    assert_true(set(s, UUID, "value", CST_SEAL_AUTO, NULL));
    assert_true(g_file_get_contents(file, &text, NULL, NULL));
    assert_string_equal(text, "dmFsdWU=");
    assert_int_equal(scratch_mode(s->paths->data_dir, "secret-keys"), -1);
}

static void sealed_and_back(void **state)
{
    Scratch *s = *state;
    g_autofree char *file = g_strconcat(s->paths->secret_dir, "/" UUID ".base64", NULL);
    g_autofree char *sealed = g_strconcat(s->paths->secret_dir, "/" UUID ".sealed", NULL);
    const struct utimbuf then = {LONG_AGO, LONG_AGO};
    g_autofree char *bytes = NULL;
    CstSecretValueInfo info;
    gsize len;

    assert_true(set(s, UUID, "a value", CST_SEAL_AUTO, NULL));
    assert_int_equal(utime(file, &then), 0);
    assert_true(seal(s, UUID));
    assert_false(seal(s, UUID));
    assert_false(is_plain(s, UUID));
    assert_true(g_file_get_contents(sealed, &bytes, &len, NULL));
    assert_null(memmem(bytes, len, "value", 5));
    assert_null(memmem(bytes, len, "dmFsdWU", 7));
    assert_value(s, UUID, "a value");
    info = info_of(s, UUID);
    assert_true(info.present && info.sealed);
    assert_int_equal(info.changed, LONG_AGO);
    assert_int_equal(cst_secret_values_sealed(s->paths), 1);
    assert_true(unseal(s, UUID));
    assert_false(unseal(s, UUID));
    assert_true(is_plain(s, UUID));
    assert_value(s, UUID, "a value");
    info = info_of(s, UUID);
    assert_true(info.present && !info.sealed && !*info.key_id);
    assert_int_equal(info.changed, LONG_AGO);
    assert_int_equal(cst_secret_values_sealed(s->paths), 0);
}

static void new_values_follow_the_policy(void **state)
{
    Scratch *s = *state;

    assert_true(set(s, UUID, "one", CST_SEAL_ALWAYS, NULL));
    assert_false(is_plain(s, UUID));
    /* A key exists now. */
    assert_true(set(s, OTHER, "two", CST_SEAL_AUTO, NULL));
    assert_false(is_plain(s, OTHER));
    assert_true(set(s, UUID, "three", CST_SEAL_NEVER, NULL));
    assert_true(is_plain(s, UUID));
    assert_true(set(s, UUID, "four", CST_SEAL_AUTO, NULL));
    assert_false(is_plain(s, UUID));
    assert_value(s, UUID, "four");
    assert_value(s, OTHER, "two");
    assert_true(info_of(s, UUID).changed > LONG_AGO);
}

/* A plain file was written by libvirt after Cistern had sealed the value, so it is newer. */
static void a_plain_file_counts(void **state)
{
    Scratch *s = *state;
    const char *dir = s->paths->secret_dir;

    scratch_put(dir, UUID ".xml", "<secret><uuid>" UUID "</uuid></secret>");
    assert_true(set(s, UUID, "sealed", CST_SEAL_ALWAYS, NULL));
    scratch_put(dir, UUID ".base64", "bGlidmlydA==");
    assert_value(s, UUID, "libvirt");
    assert_false(info_of(s, UUID).sealed);
    assert_int_equal(cst_secret_values_sealed(s->paths), 0);
    assert_true(cst_secret_files_have_leftovers(s->paths));
    cst_secret_files_drop_leftovers(s->paths);
    assert_int_equal(scratch_mode(dir, UUID ".sealed"), -1);
    assert_value(s, UUID, "libvirt");
}

static void files_without_a_definition_go(void **state)
{
    Scratch *s = *state;
    const char *dir = s->paths->secret_dir;

    assert_true(set(s, UUID, "sealed", CST_SEAL_ALWAYS, NULL));
    scratch_put(dir, UUID ".next", "x");
    scratch_put(dir, OTHER ".xml", "<secret><uuid>" OTHER "</uuid></secret>");
    scratch_put(dir, OTHER ".next", "x");
    cst_secret_files_drop_leftovers(s->paths);
    assert_int_equal(scratch_mode(dir, UUID ".sealed"), -1);
    assert_int_equal(scratch_mode(dir, UUID ".next"), -1);
    assert_int_not_equal(scratch_mode(dir, OTHER ".next"), -1);
}

static void another_secrets_file_is_refused(void **state)
{
    Scratch *s = *state;
    g_autofree char *from = g_strconcat(s->paths->secret_dir, "/" UUID ".sealed", NULL);
    g_autofree char *to = g_strconcat(s->paths->secret_dir, "/" OTHER ".sealed", NULL);

    assert_true(set(s, UUID, "value", CST_SEAL_ALWAYS, NULL));
    assert_int_equal(rename(from, to), 0);
    assert_value(s, OTHER, NULL);
}

/* --- keys ------------------------------------------------------------------------------------- */

static void a_key_is_for_its_owner_alone(void **state)
{
    static const mode_t modes[] = {0640, 0604, 0660, 0606, 0620};
    Scratch *s = *state;
    g_autofree char *path = key_path(s, "1.key");
    g_autofree char *dir = key_path(s, ".");
    g_autofree char *elsewhere = key_path(s, "elsewhere");
    g_autoptr(GError) error = NULL;

    assert_true(set(s, UUID, "value", CST_SEAL_ALWAYS, NULL));
    assert_int_equal(scratch_mode(dir, "1.key"), 0600);
    assert_int_equal(scratch_mode(dir, "."), 0700);
    for (size_t i = 0; i < G_N_ELEMENTS(modes); i++) {
        assert_int_equal(chmod(path, modes[i]), 0);
        assert_value(s, UUID, NULL);
        /* Nor is a new one made in its place. */
        assert_false(set(s, OTHER, "value", CST_SEAL_ALWAYS, &error));
        assert_non_null(strstr(error->message, "1.key' is not used: it is user "));
        g_clear_error(&error);
    }
    assert_int_equal(chmod(path, 0600), 0);
    if (geteuid() == 0) {
        assert_int_equal(chown(path, 65534, -1), 0);
        assert_value(s, UUID, NULL);
        assert_int_equal(chown(path, 0, -1), 0);
    }
    assert_int_equal(chmod(dir, 0770), 0);
    assert_value(s, UUID, NULL);
    assert_int_equal(chmod(dir, 0700), 0);
    assert_value(s, UUID, "value");
    assert_int_equal(rename(path, elsewhere), 0);
    assert_int_equal(symlink("elsewhere", path), 0);
    assert_value(s, UUID, NULL);
    assert_int_equal(unlink(path), 0);
    assert_int_equal(rename(elsewhere, path), 0);
    assert_int_equal(truncate(path, 31), 0);
    assert_value(s, UUID, NULL);
}

/*
 * While the key is missing, a value that needs it is not replaced. Other values are not affected.
 */
static void missing_key_is_named_and_the_value_is_kept(void **state)
{
    Scratch *s = *state;
    g_autofree char *path = key_path(s, "1.key");
    g_autofree char *away = key_path(s, "away");
    g_autofree char *sealed = g_strconcat(s->paths->secret_dir, "/" UUID ".sealed", NULL);
    g_autofree char *before = NULL, *after = NULL;
    g_auto(CstSecretBytes) value = {0};
    g_autoptr(GError) error = NULL;
    CstUuid uuid = uuid_of(UUID);
    CstSecretValueInfo info;
    gsize len, len_after;
    guint count;

    assert_true(set(s, UUID, "value", CST_SEAL_ALWAYS, NULL));
    assert_true(set(s, OTHER, "plain", CST_SEAL_NEVER, NULL));
    assert_true(g_file_get_contents(sealed, &before, &len, NULL));
    info = info_of(s, UUID);
    assert_int_equal(rename(path, away), 0);
    assert_false(cst_secret_value_load(s->paths, &uuid, &value, &error));
    assert_non_null(strstr(error->message, info.key_id));
    assert_non_null(strstr(error->message, "secret-keys"));
    g_clear_error(&error);
    for (CstSealPolicy policy = CST_SEAL_AUTO; policy <= CST_SEAL_NEVER; policy++)
        scratch_failed(set(s, UUID, "new", policy, &error), &error, CST_ERROR_INVALID_SECRET);
    scratch_failed(set(s, OTHER, "new", CST_SEAL_AUTO, &error), &error, CST_ERROR_INVALID_SECRET);
    scratch_failed(cst_secret_values_rekey(s->paths, &count, &error), &error,
                   CST_ERROR_INVALID_SECRET);
    scratch_failed(cst_secret_key_ensure(s->paths, &error), &error, CST_ERROR_INVALID_SECRET);
    assert_int_equal(scratch_mode(s->paths->data_dir, "secret-keys/1.key"), -1);
    assert_value(s, OTHER, "plain");
    /* A wrong key is no better. */
    scratch_put(s->paths->data_dir, "secret-keys/9.key", "0123456789abcdef0123456789abcdef");
    assert_int_equal(chmod(path, 0600), -1);
    g_free(path);
    path = key_path(s, "9.key");
    assert_int_equal(chmod(path, 0600), 0);
    scratch_failed(set(s, UUID, "new", CST_SEAL_ALWAYS, &error), &error, CST_ERROR_INVALID_SECRET);
    assert_true(set(s, OTHER, "new", CST_SEAL_ALWAYS, NULL));
    assert_value(s, UUID, NULL);
    assert_true(g_file_get_contents(sealed, &after, &len_after, NULL));
    assert_int_equal(len, len_after);
    assert_memory_equal(before, after, len);
    g_free(path);
    path = key_path(s, "1.key");
    assert_int_equal(rename(away, path), 0);
    assert_value(s, UUID, "value");
    assert_value(s, OTHER, "new");
}

static void all_is_sealed_with_a_new_key(void **state)
{
    Scratch *s = *state;
    g_autofree char *next = g_strconcat(s->paths->secret_dir, "/" UUID ".next", NULL);
    g_autofree char *sealed = g_strconcat(s->paths->secret_dir, "/" UUID ".sealed", NULL);
    g_autofree char *bytes = NULL;
    CstSecretValueInfo before, after;
    gsize len;
    guint count = 0;

    assert_true(set(s, UUID, "one", CST_SEAL_ALWAYS, NULL));
    assert_true(set(s, OTHER, "two", CST_SEAL_ALWAYS, NULL));
    assert_true(g_file_get_contents(sealed, &bytes, &len, NULL));
    assert_true(g_file_set_contents(next, bytes, (gssize)len, NULL));
    before = info_of(s, UUID);
    assert_true(cst_secret_values_rekey(s->paths, &count, NULL));
    assert_int_equal(count, 3);
    after = info_of(s, UUID);
    assert_string_not_equal(before.key_id, after.key_id);
    assert_string_equal(after.key_id, info_of(s, OTHER).key_id);
    assert_int_equal(before.changed, after.changed);
    assert_int_equal(scratch_mode(s->paths->data_dir, "secret-keys/1.key"), -1);
    assert_int_equal(scratch_mode(s->paths->data_dir, "secret-keys/2.key"), 0600);
    assert_value(s, OTHER, "two");
    /* The new value opens with the new key. */
    assert_int_equal(rename(next, sealed), 0);
    assert_value(s, UUID, "one");
}

/*
 * An older key is kept while a value needs it. The last key is removed with the last sealed value.
 */
static void unused_keys_are_removed(void **state)
{
    Scratch *s = *state;
    g_autofree char *keys = g_build_filename(s->paths->data_dir, "secret-keys", NULL);

    assert_true(set(s, UUID, "one", CST_SEAL_ALWAYS, NULL));
    assert_true(seal_keys_make(s->paths, NULL));
    assert_true(set(s, OTHER, "two", CST_SEAL_ALWAYS, NULL));
    assert_true(cst_secret_keys_drop_unused(s->paths, TRUE, NULL));
    assert_int_equal(scratch_mode(keys, "1.key"), 0600);
    assert_int_equal(scratch_mode(keys, "2.key"), 0600);
    assert_true(unseal(s, UUID));
    assert_true(unseal(s, OTHER));
    assert_true(cst_secret_keys_drop_unused(s->paths, FALSE, NULL));
    assert_int_equal(scratch_mode(keys, "1.key"), -1);
    assert_int_equal(scratch_mode(keys, "2.key"), 0600);
    scratch_put(keys, "3.key.0123abcd.new", "half a key");
    assert_true(cst_secret_keys_drop_unused(s->paths, TRUE, NULL));
    assert_int_equal(scratch_mode(keys, "2.key"), -1);
    assert_true(cst_secret_files_have_leftovers(s->paths));
    cst_secret_files_drop_leftovers(s->paths);
    assert_int_equal(scratch_mode(keys, "3.key.0123abcd.new"), -1);
}

static void the_services_credential_comes_first(void **state)
{
    Scratch *s = *state;
    g_autofree char *dir = g_build_filename(s->root, "credentials", NULL);
    g_autofree char *first = g_build_filename(dir, "cistern-secret-key", NULL);
    g_autofree char *second = g_build_filename(dir, "cistern-secret-key-2", NULL);
    CstSecretValueInfo info;
    guint count;

    scratch_put(dir, "cistern-secret-key", "the first key, which has 32 bytes");
    assert_int_equal(truncate(first, 32), 0);
    assert_int_equal(chmod(first, 0400), 0);
    scratch_put(dir, "another-credential", "0123456789abcdef0123456789abcdef");
    assert_true(set(s, UUID, "one", CST_SEAL_ALWAYS, NULL));
    g_setenv("CREDENTIALS_DIRECTORY", dir, TRUE);
    assert_value(s, UUID, "one");
    assert_true(set(s, OTHER, "two", CST_SEAL_AUTO, NULL));
    info = info_of(s, OTHER);
    assert_string_not_equal(info.key_id, info_of(s, UUID).key_id);
    assert_true(seal(s, UUID));
    /* A new key is a new credential, and no file. */
    scratch_put(dir, "cistern-secret-key-2", "the other key: it has 32 bytes..");
    assert_int_equal(chmod(second, 0440), 0);
    assert_true(cst_secret_values_rekey(s->paths, &count, NULL));
    assert_int_equal(count, 2);
    assert_int_equal(scratch_mode(s->paths->data_dir, "secret-keys/2.key"), -1);
    assert_int_equal(unlink(first), 0);
    assert_value(s, UUID, "one");
    assert_int_equal(chmod(second, 0444), 0);
    assert_value(s, UUID, NULL);
    assert_int_equal(chmod(second, 0400), 0);
    g_unsetenv("CREDENTIALS_DIRECTORY");
    assert_value(s, OTHER, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        scratch_test(unsealed_value_is_readable_for_libvirt),
        scratch_test(sealed_and_back),
        scratch_test(new_values_follow_the_policy),
        scratch_test(a_plain_file_counts),
        scratch_test(files_without_a_definition_go),
        scratch_test(another_secrets_file_is_refused),
        scratch_test(a_key_is_for_its_owner_alone),
        scratch_test(missing_key_is_named_and_the_value_is_kept),
        scratch_test(all_is_sealed_with_a_new_key),
        scratch_test(unused_keys_are_removed),
        scratch_test(the_services_credential_comes_first),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
