/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The steps in which keys and values of secrets are written: a key is durable before it seals, a
 * value is readable after each failed step, and a form is removed after the other one is durable.
 */
#include "points.h"
#include "recorder.h"
#include "scratch.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include <base/file.h>
#include <store/secret_files.h>
#include <store/secret_values.h>

#include "seal_keys.h"

#define UUID  "11111111-1111-1111-1111-111111111111"
#define OTHER "22222222-2222-2222-2222-222222222222"

/* The steps of a replaced file, and of a removed one. */
#define REPLACED_IN(dir, name)                                                         \
    "create " name ".TMP; chmod " name ".TMP; write " name ".TMP; sync " name ".TMP; " \
    "rename " name ".TMP " name "; open " dir "; sync " dir
#define DATED(name)                                                                    \
    "create " name ".TMP; chmod " name ".TMP; write " name ".TMP; date " name ".TMP; " \
    "sync " name ".TMP; rename " name ".TMP " name "; open .; sync ."
#define REPLACED(name) REPLACED_IN(".", name)
#define REMOVED(name)  "remove " name "; open .; sync ."

static CstUuid uuid_of(const char *text)
{
    CstUuid uuid;

    assert_true(cst_uuid_parse(text, &uuid));
    return uuid;
}

static gboolean save_value(const Scratch *s, const char *of, const char *text, gboolean sealed)
{
    const CstSecretBytes value = {(uint8_t *)text, strlen(text)};
    const CstUuid uuid = uuid_of(of);

    return cst_secret_value_save(s->paths, &uuid, &value, sealed ? CST_SEAL_ALWAYS : CST_SEAL_NEVER,
                                 NULL);
}

static char *load_text(const Scratch *s, gboolean next)
{
    const CstUuid uuid = uuid_of(UUID);
    g_auto(CstSecretBytes) value = {0};
    g_autoptr(GError) error = NULL;

    if (!(next ? cst_secret_next_load : cst_secret_value_load)(s->paths, &uuid, &value, &error))
        fail_msg("the value can't be read: %s", error->message);
    return g_strdup(value.data ? (const char *)value.data : "-");
}

/* --- values ----------------------------------------------------------------------------------- */

static gboolean save_sealed(const Scratch *s, const CstUuid *uuid, GError **error)
{
    const CstSecretBytes value = {(uint8_t *)"newer", 5};

    return cst_secret_value_save(s->paths, uuid, &value, CST_SEAL_ALWAYS, error);
}

static gboolean save_plain(const Scratch *s, const CstUuid *uuid, GError **error)
{
    const CstSecretBytes value = {(uint8_t *)"newer", 5};

    return cst_secret_value_save(s->paths, uuid, &value, CST_SEAL_NEVER, error);
}

static gboolean seal_values(const Scratch *s, const CstUuid *uuid, GError **error)
{
    gboolean changed;

    return cst_secret_value_seal(s->paths, uuid, &changed, error);
}

static gboolean unseal_values(const Scratch *s, const CstUuid *uuid, GError **error)
{
    gboolean changed;

    return cst_secret_value_unseal(s->paths, uuid, &changed, error);
}

static gboolean promote_value(const Scratch *s, const CstUuid *uuid, GError **error)
{
    /* A repeated call finds no next value, which is a different error. */
    return !cst_secret_next_exists(s->paths, uuid) ||
           cst_secret_next_promote(s->paths, uuid, error);
}

static gboolean save_next(const Scratch *s, const CstUuid *uuid, GError **error)
{
    const CstSecretBytes value = {(uint8_t *)"next", 4};

    return cst_secret_next_save(s->paths, uuid, &value, CST_SEAL_NEVER, error);
}

static gboolean remove_secret(const Scratch *s, const CstUuid *uuid, GError **error)
{
    return cst_secret_file_remove(s->paths, uuid, error);
}

typedef struct {
    gboolean (*change)(const Scratch *s, const CstUuid *uuid, GError **error);
    char now, next;                 /* 's': sealed, 'p': plain, '-': absent */
    const char *old_now, *old_next; /* texts before and after; "-": absent */
    const char *new_now, *new_next;
    const char *commit, *steps;
} Row;

static const Row rows[] = {
    {save_sealed, 's', '-', "old", "-", "newer", "-", "rename " UUID ".sealed.TMP " UUID ".sealed",
     REPLACED(UUID ".sealed")},
    /* The plain value counts until it is removed. */
    {save_sealed, 'p', '-', "old", "-", "newer", "-", "remove " UUID ".base64",
     REPLACED(UUID ".sealed") "; " REMOVED(UUID ".base64")},
    {save_plain, 'p', '-', "old", "-", "newer", "-", "rename " UUID ".base64.TMP " UUID ".base64",
     DATED(UUID ".base64")},
    {save_plain, 's', '-', "old", "-", "newer", "-", "rename " UUID ".base64.TMP " UUID ".base64",
     DATED(UUID ".base64") "; " REMOVED(UUID ".sealed")},
    {save_next, 'p', '-', "old", "-", "old", "next",
     "rename " UUID ".next-base64.TMP " UUID ".next-base64", DATED(UUID ".next-base64")},
    {seal_values, 'p', 'p', "old", "next", "old", "next", NULL,
     REPLACED(UUID ".sealed") "; " REMOVED(UUID ".base64") "; " REPLACED(UUID ".next") "; " REMOVED(
         UUID ".next-base64")},
    {unseal_values, 's', 's', "old", "next", "old", "next", NULL,
     DATED(UUID ".base64") "; " REMOVED(UUID ".sealed") "; " DATED(
         UUID ".next-base64") "; " REMOVED(UUID ".next")},
    {promote_value, 'p', 'p', "old", "next", "next", "-",
     "rename " UUID ".next-base64 " UUID ".base64",
     "rename " UUID ".next-base64 " UUID ".base64; open .; sync ."},
    {promote_value, 's', 's', "old", "next", "next", "-", "rename " UUID ".next " UUID ".sealed",
     "rename " UUID ".next " UUID ".sealed; open .; sync ."},
    {promote_value, 's', 'p', "old", "next", "next", "-",
     "rename " UUID ".next-base64 " UUID ".base64",
     "rename " UUID ".next-base64 " UUID ".base64; open .; sync .; " REMOVED(UUID ".sealed")},
    /* The old value is sealed first, because a plain one would have priority over the new one. */
    {promote_value, 'p', 's', "old", "next", "next", "-", "rename " UUID ".next " UUID ".sealed",
     REPLACED(UUID ".sealed") "; " REMOVED(UUID ".base64") "; rename " UUID ".next " UUID
                                                           ".sealed; open .; sync ."},
};

static void assert_texts(const Scratch *s, const char *now, const char *next, const char *after)
{
    g_autofree char *is_now = load_text(s, FALSE), *is_next = load_text(s, TRUE);

    if (strcmp(is_now, now) != 0 || strcmp(is_next, next) != 0)
        fail_msg("after '%s' the value is %s and the next one %s, not %s and %s", after, is_now,
                 is_next, now, next);
}

static void prepare_values(const Scratch *s, const Row *row)
{
    const CstSecretBytes next = {(uint8_t *)"next", 4};
    const CstUuid uuid = uuid_of(UUID);

    scratch_put(s->paths->secret_dir, UUID ".xml", "<secret><uuid>" UUID "</uuid></secret>");
    assert_true(cst_secret_value_remove(s->paths, &uuid, NULL));
    assert_true(cst_secret_key_ensure(s->paths, NULL));
    assert_true(save_value(s, UUID, "old", row->now == 's'));
    if (row->next != '-')
        assert_true(cst_secret_next_save(
            s->paths, &uuid, &next, row->next == 's' ? CST_SEAL_ALWAYS : CST_SEAL_NEVER, NULL));
    assert_texts(s, row->old_now, row->old_next, "");
}

/* Whether the record @text has the step @commit, and that step did not fail. */
static gboolean has_step(const char *text, const char *commit)
{
    g_auto(GStrv) taken = g_strsplit(text, "; ", -1);

    return commit && g_strv_contains((const char *const *)taken, commit);
}

/* FALSE: no step failed. *ret_text: the record. */
static gboolean fail_value_step(const Scratch *s, const Row *row, guint step, char **ret_text)
{
    const CstUuid uuid = uuid_of(UUID);
    g_autoptr(GError) error = NULL;
    gboolean done, committed;

    prepare_values(s, row);
    recorder_begin_failing(s->paths->secret_dir, step, EIO);
    done = row->change(s, &uuid, &error);
    *ret_text = recorder_end();
    if (recorder_steps() >= step && done)
        fail_msg("a failed step is no error: %s", *ret_text);
    committed = done || has_step(*ret_text, row->commit);
    /* As the next start does. */
    cst_secret_files_drop_leftovers(s->paths);
    assert_texts(s, committed ? row->new_now : row->old_now,
                 committed ? row->new_next : row->old_next, *ret_text);
    assert_true(row->change(s, &uuid, NULL));
    cst_secret_files_drop_leftovers(s->paths);
    assert_texts(s, row->new_now, row->new_next, *ret_text);
    return !done;
}

static void value_is_old_or_new_after_each_failed_step(void **state)
{
    const Scratch *s = *state;

    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        g_autofree char *text = NULL;

        for (guint step = 1; fail_value_step(s, &rows[i], step, &text); step++)
            g_clear_pointer(&text, g_free);
        assert_string_equal(text, rows[i].steps);
    }
}

static void definition_is_removed_before_the_values(void **state)
{
    const Scratch *s = *state;
    const Row row = {NULL, 's', 'p', "old", "next", NULL, NULL, NULL, NULL};
    const CstUuid uuid = uuid_of(UUID);
    g_autofree char *text = NULL;

    prepare_values(s, &row);
    recorder_begin(s->paths->secret_dir);
    assert_true(remove_secret(s, &uuid, NULL));
    text = recorder_end();
    assert_string_equal(
        text, REMOVED(UUID ".xml") "; " REMOVED(UUID ".next-base64") "; " REMOVED(UUID ".sealed"));
}

static void unseal_secret(gpointer data)
{
    const CstUuid uuid = uuid_of(UUID);
    gboolean changed;

    assert_true(cst_secret_value_unseal(((Scratch *)data)->paths, &uuid, &changed, NULL));
}

/* The plain file was opened before it existed, the sealed one after its removal. */
static void value_is_found_while_its_form_changes(void **state)
{
    Scratch *s = *state;
    g_autofree char *text = NULL;

    assert_true(save_value(s, UUID, "old", TRUE));
    point_run("secret.value.look", unseal_secret, s);
    text = load_text(s, FALSE);
    points_clear();
    assert_string_equal(text, "old");
}

/* --- keys ------------------------------------------------------------------------------------- */

static void remove_keys(gpointer data)
{
    const Scratch *s = data;
    g_autofree char *dir = seal_keys_dir(s->paths);
    g_autofree char *path = g_build_filename(dir, "1.key", NULL);

    unlink(path);
    assert_int_equal(g_mkdir_with_parents(dir, 0700), 0);
}

static gboolean ensure_key(gpointer data, GError **error)
{
    return cst_secret_key_ensure(((Scratch *)data)->paths, error);
}

/* Without a commit: a key in an unsynced directory is removed again. */
static void key_that_may_not_last_is_removed(void **state)
{
    Scratch *s = *state;
    g_autofree char *dir = seal_keys_dir(s->paths);
    g_autofree char *text = NULL;

    /* The last two steps are of the use of the key, which stays. */
    remove_keys(s);
    recorder_begin(dir);
    assert_true(cst_secret_key_ensure(s->paths, NULL));
    text = recorder_end();
    assert_string_equal(text, REPLACED("1.key") "; open .; sync .");
    point_watch("secret.key.undo");
    for (guint step = 1; step <= 7; step++) {
        g_autofree char *before = NULL, *after = NULL;

        remove_keys(s);
        before = recorder_tree(dir);
        recorder_begin_failing(dir, step, EIO);
        assert_false(ensure_key(s, NULL));
        g_free(recorder_end());
        after = recorder_tree(dir);
        assert_string_equal(after, before);
    }
    assert_int_equal(point_passed("secret.key.undo"), 7);
    points_clear();
}

#define KEYS    "var/lib/cistern/secret-keys"
#define SECRETS "etc/libvirt/secrets"

static void key_is_durable_before_it_seals(void **state)
{
    const Scratch *s = *state;
    g_autofree char *text = NULL, *again = NULL;

    assert_int_equal(g_mkdir_with_parents(s->paths->secret_dir, 0700), 0);
    assert_int_equal(g_mkdir_with_parents(s->paths->data_dir, 0700), 0);
    recorder_begin(s->root);
    assert_true(save_value(s, UUID, "value", TRUE));
    text = recorder_end();
    assert_string_equal(
        text, "mkdir " KEYS "; open var/lib/cistern; sync var/lib/cistern; "
              "open var/lib/cistern; sync var/lib/cistern; " REPLACED_IN(
                  KEYS, KEYS "/1.key") "; open " KEYS "; sync " KEYS
                                       "; " REPLACED_IN(SECRETS, SECRETS "/" UUID ".sealed"));
    /* A process that was killed may have made the key and not synced its name. */
    recorder_begin(s->root);
    assert_true(save_value(s, UUID, "value", TRUE));
    again = recorder_end();
    assert_string_equal(again, "open " KEYS "; sync " KEYS
                               "; " REPLACED_IN(SECRETS, SECRETS "/" UUID ".sealed"));
}

static void value_is_not_sealed_with_a_key_that_cannot_be_synced(void **state)
{
    const Scratch *s = *state;
    g_autofree char *before = NULL, *after = NULL;

    assert_true(save_value(s, UUID, "old", TRUE));
    before = recorder_tree(s->root);
    recorder_begin_failing(s->root, 2, EIO);
    assert_false(save_value(s, UUID, "newer", TRUE));
    g_free(recorder_end());
    after = recorder_tree(s->root);
    assert_string_equal(after, before);
}

static void rekey_removes_the_old_key_last(void **state)
{
    const Scratch *s = *state;
    g_autofree char *text = NULL;
    guint count = 0;

    assert_true(save_value(s, UUID, "one", TRUE));
    recorder_begin(s->root);
    assert_true(cst_secret_values_rekey(s->paths, &count, NULL));
    text = recorder_end();
    assert_int_equal(count, 1);
    assert_string_equal(
        text,
        "open " KEYS "; sync " KEYS "; open var/lib/cistern; sync var/lib/cistern; " REPLACED_IN(
            KEYS, KEYS "/2.key") "; open " KEYS "; sync " KEYS
                                 "; " REPLACED_IN(SECRETS,
                                                  SECRETS "/" UUID ".sealed") "; remove " KEYS
                                                                              "/1.key; open " KEYS
                                                                              "; sync " KEYS);
}

/* Whichever step fails, both values open, and the next attempt ends with one key. */
static void values_open_after_each_failed_step_of_rekey(void **state)
{
    const Scratch *s = *state;
    g_autofree char *dir = seal_keys_dir(s->paths);
    const CstUuid other = uuid_of(OTHER);
    gboolean done = FALSE;

    for (guint step = 1; !done; step++) {
        g_auto(CstSecretBytes) value = {0};
        g_autofree char *text = NULL, *record = NULL;
        g_autoptr(GError) error = NULL;
        g_auto(GStrv) keys = NULL;
        guint count;

        assert_true(save_value(s, UUID, "one", TRUE) && save_value(s, OTHER, "two", TRUE));
        recorder_begin_failing(s->root, step, EIO);
        done = cst_secret_values_rekey(s->paths, &count, &error);
        record = recorder_end();
        assert_true(done ? recorder_steps() < step : error != NULL);
        text = load_text(s, FALSE);
        assert_string_equal(text, "one");
        assert_true(cst_secret_value_load(s->paths, &other, &value, NULL));
        assert_string_equal((const char *)value.data, "two");
        assert_true(cst_secret_values_rekey(s->paths, &count, NULL));
        keys = cst_kernel_list(dir);
        assert_int_equal(g_strv_length(keys), 1);
    }
}

/* The refused key could be the one that must seal. */
static void value_is_not_sealed_while_a_key_is_refused(void **state)
{
    const Scratch *s = *state;
    g_autofree char *dir = seal_keys_dir(s->paths);
    g_autofree char *newest = g_build_filename(dir, "2.key", NULL);
    g_autofree char *before = NULL, *after = NULL;
    g_autoptr(GError) error = NULL;
    const CstUuid uuid = uuid_of(UUID);
    guint count;

    assert_true(save_value(s, UUID, "old", TRUE));
    assert_true(seal_keys_make(s->paths, NULL));
    assert_int_equal(chmod(newest, 0640), 0);
    before = recorder_tree(s->root);
    assert_false(save_value(s, UUID, "newer", TRUE));
    assert_false(seal_values(s, &uuid, &error));
    assert_int_equal(cst_error_code(error), CST_ERROR_INVALID_SECRET);
    assert_false(cst_secret_values_rekey(s->paths, &count, NULL));
    after = recorder_tree(s->root);
    assert_string_equal(after, before);
}

static void rekey_without_the_key_of_a_value_makes_no_change(void **state)
{
    const Scratch *s = *state;
    g_autofree char *dir = seal_keys_dir(s->paths);
    g_autofree char *first = g_build_filename(dir, "1.key", NULL);
    g_autofree char *before = NULL, *after = NULL;
    guint count;

    assert_true(save_value(s, UUID, "one", TRUE));
    assert_true(seal_keys_make(s->paths, NULL));
    assert_true(save_value(s, OTHER, "two", TRUE));
    assert_int_equal(unlink(first), 0);
    before = recorder_tree(s->root);
    assert_false(cst_secret_values_rekey(s->paths, &count, NULL));
    after = recorder_tree(s->root);
    assert_string_equal(after, before);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        scratch_test(value_is_old_or_new_after_each_failed_step),
        scratch_test(definition_is_removed_before_the_values),
        scratch_test(value_is_found_while_its_form_changes),
        scratch_test(key_that_may_not_last_is_removed),
        scratch_test(key_is_durable_before_it_seals),
        scratch_test(value_is_not_sealed_with_a_key_that_cannot_be_synced),
        scratch_test(rekey_removes_the_old_key_last),
        scratch_test(value_is_not_sealed_while_a_key_is_refused),
        scratch_test(rekey_without_the_key_of_a_value_makes_no_change),
        scratch_test(values_open_after_each_failed_step_of_rekey),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
