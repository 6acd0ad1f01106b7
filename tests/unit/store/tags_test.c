/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The database of tags: changes, pages, and the records of a renamed or removed object. */
#include "scratch.h"

#include <string.h>
#include <unistd.h>

#include <base/error.h>
#include <store/tags.h>

static const CstUuid pool = {{1}}, other_pool = {{2}};

static void add(CstTagStore *store, const CstTagKey *key, const char *tags, const char *note)
{
    g_auto(GStrv) words = g_strsplit(tags, " ", -1);
    const CstTagChange change = {
        .add = (const char *const *)words, .sets_note = note != NULL, .note = note};
    g_autoptr(GError) error = NULL;

    assert_true(cst_tag_store_change(store, key, &change, &error));
}

/* Returns "SNAPSHOT=TAG TAG|NOTE" of the volume and its snapshots, one on each line. */
static char *records(CstTagStore *store, const CstUuid *of, const char *volume)
{
    const CstTagKey key = {*of, volume, NULL};
    g_autoptr(GPtrArray) rows = cst_tag_store_list(store, &key, NULL, NULL);
    GString *text = g_string_new(NULL);

    assert_non_null(rows);
    for (guint i = 0; i < rows->len; i++) {
        const CstTagged *tagged = rows->pdata[i];
        g_autofree char *tags = cst_tagged_text(tagged);

        assert_string_equal(tagged->volume, volume);
        g_string_append_printf(text, "%s=%s|%s\n", tagged->snapshot ? tagged->snapshot : "",
                               tags ? tags : "", tagged->note ? tagged->note : "");
    }
    return g_string_free(text, FALSE);
}

static void assert_records(CstTagStore *store, const CstUuid *of, const char *volume,
                           const char *expected)
{
    g_autofree char *found = records(store, of, volume);

    assert_string_equal(found, expected);
}

static void tags_are_read_back_from_the_disk(void **state)
{
    g_autoptr(CstTagStore) store = cst_tag_store_new(((Scratch *)*state)->paths);
    const CstTagKey key = {pool, "a", NULL}, snapshot = {pool, "a", "s"};

    add(store, &key, "b a b", "note");
    add(store, &snapshot, "c", NULL);
    cst_tag_store_free(store);
    store = cst_tag_store_new(((Scratch *)*state)->paths);
    assert_records(store, &pool, "a", "=a b|note\ns=c|\n");
    assert_records(store, &other_pool, "a", "");
    assert_records(store, &pool, "b", "");
}

static void queries_and_removals_create_no_database(void **state)
{
    const CstPaths *paths = ((Scratch *)*state)->paths;
    g_autoptr(CstTagStore) store = cst_tag_store_new(paths);
    g_autofree char *path = g_build_filename(paths->data_dir, "tags.db", NULL);
    const CstTagKey key = {pool, "a", NULL}, to = {pool, "b", NULL};

    assert_records(store, &pool, "a", "");
    assert_true(cst_tag_store_forget(store, &key, NULL));
    assert_true(cst_tag_store_copy(store, &key, &to, NULL));
    assert_true(cst_tag_store_move(store, &key, &to, NULL));
    assert_int_equal(access(path, F_OK), -1);
}

static void change_clears_then_removes_then_adds(void **state)
{
    g_autoptr(CstTagStore) store = cst_tag_store_new(((Scratch *)*state)->paths);
    const CstTagKey key = {pool, "a", NULL};
    const char *const remove[] = {"b", "d", NULL}, *const more[] = {"b", NULL};
    const CstTagChange without = {.remove = remove};
    const CstTagChange both = {.clear = TRUE, .remove = remove, .add = more};
    const CstTagChange nothing = {.clear = TRUE, .sets_note = TRUE};

    add(store, &key, "a b c", "note");
    assert_true(cst_tag_store_change(store, &key, &without, NULL));
    assert_records(store, &pool, "a", "=a c|note\n");
    assert_true(cst_tag_store_change(store, &key, &both, NULL));
    assert_records(store, &pool, "a", "=b|note\n");
    assert_true(cst_tag_store_change(store, &key, &nothing, NULL));
    assert_records(store, &pool, "a", "");
}

static void too_many_tags_change_no_tag(void **state)
{
    g_autoptr(CstTagStore) store = cst_tag_store_new(((Scratch *)*state)->paths);
    const CstTagKey key = {pool, "a", NULL};
    const char *const one[] = {"y", NULL};
    const CstTagChange change = {.add = one, .sets_note = TRUE, .note = "new"};
    g_autoptr(GError) error = NULL;
    g_autofree char *before = NULL;

    for (guint i = 0; i < CST_TAGS_MAX; i++) {
        g_autofree char *tag = g_strdup_printf("x%u", i);

        add(store, &key, tag, NULL);
    }
    before = records(store, &pool, "a");
    assert_false(cst_tag_store_change(store, &key, &change, &error));
    assert_true(g_error_matches(error, CST_ERROR, CST_ERROR_LIMIT));
    assert_records(store, &pool, "a", before);
}

static void copy_replaces_the_records_of_the_target(void **state)
{
    g_autoptr(CstTagStore) store = cst_tag_store_new(((Scratch *)*state)->paths);
    const CstTagKey a = {pool, "a", NULL}, s = {pool, "a", "s"}, b = {other_pool, "b", NULL};
    const CstTagKey stale = {other_pool, "b", "old"}, c = {pool, "c", NULL};

    add(store, &a, "x y", "note");
    add(store, &s, "z", NULL);
    add(store, &stale, "stale", NULL);
    for (guint i = 0; i < 2; i++) {
        assert_true(cst_tag_store_copy(store, &a, &b, NULL));
        assert_records(store, &other_pool, "b", "=x y|note\ns=z|\n");
        assert_records(store, &pool, "a", "=x y|note\ns=z|\n");
    }
    assert_true(cst_tag_store_copy(store, &c, &b, NULL));
    assert_records(store, &other_pool, "b", "");
}

static void copy_of_a_snapshot_changes_one_snapshot(void **state)
{
    g_autoptr(CstTagStore) store = cst_tag_store_new(((Scratch *)*state)->paths);
    const CstTagKey a = {pool, "a", NULL}, s = {pool, "a", "s"}, t = {pool, "a", "t"};

    add(store, &a, "x", NULL);
    add(store, &s, "z", "note");
    add(store, &t, "stale", NULL);
    assert_true(cst_tag_store_copy(store, &s, &t, NULL));
    assert_records(store, &pool, "a", "=x|\ns=z|note\nt=z|note\n");
    assert_true(cst_tag_store_forget(store, &s, NULL));
    assert_records(store, &pool, "a", "=x|\nt=z|note\n");
}

static void second_move_is_harmless(void **state)
{
    g_autoptr(CstTagStore) store = cst_tag_store_new(((Scratch *)*state)->paths);
    const CstTagKey a = {pool, "a", NULL}, s = {pool, "a", "s"}, b = {other_pool, "b", NULL};

    add(store, &a, "x", NULL);
    add(store, &s, "z", NULL);
    add(store, &b, "stale", "stale");
    for (guint i = 0; i < 2; i++) {
        assert_true(cst_tag_store_move(store, &a, &b, NULL));
        assert_records(store, &other_pool, "b", "=x|\ns=z|\n");
        assert_records(store, &pool, "a", "");
    }
    assert_true(cst_tag_store_forget(store, &b, NULL));
    assert_records(store, &other_pool, "b", "");
}

static void pages_have_each_volume_once(void **state)
{
    enum { COUNT = CST_TAG_PAGE_MAX + 10 };
    g_autoptr(CstTagStore) store = cst_tag_store_new(((Scratch *)*state)->paths);
    const CstTagKey all = {pool, NULL, NULL}, snapshot = {pool, "v0000", "s"};
    g_autoptr(GPtrArray) first = NULL, second = NULL, found = NULL, rest = NULL;

    add(store, &snapshot, "gold", NULL);
    for (guint i = 0; i < COUNT; i++) {
        g_autofree char *name = g_strdup_printf("v%04u", i);
        const CstTagKey key = {pool, name, NULL};

        add(store, &key, "gold", NULL);
    }
    first = cst_tag_store_list(store, &all, NULL, NULL);
    assert_int_equal(first->len, CST_TAG_PAGE_MAX);
    assert_string_equal(((CstTagged *)first->pdata[0])->volume, "v0000");
    second =
        cst_tag_store_list(store, &all, ((CstTagged *)first->pdata[first->len - 1])->volume, NULL);
    assert_int_equal(second->len, COUNT - CST_TAG_PAGE_MAX);
    assert_string_equal(((CstTagged *)second->pdata[0])->volume, "v1024");
    found = cst_tag_store_with_tag(store, "gold", 0, NULL);
    assert_int_equal(found->len, CST_TAG_PAGE_MAX);
    rest = cst_tag_store_with_tag(store, "gold", ((CstTagged *)found->pdata[found->len - 1])->id,
                                  NULL);
    assert_int_equal(rest->len, COUNT - CST_TAG_PAGE_MAX);
    assert_null(((CstTagged *)found->pdata[0])->snapshot);
    g_ptr_array_unref(g_steal_pointer(&rest));
    rest = cst_tag_store_with_tag(store, "gol", 0, NULL);
    assert_int_equal(rest->len, 0);
}

static void only_plain_words_are_tags(void **state)
{
    static const char *const good[] = {"a", "_", "9", "A.b_c:d-e"};
    static const char *const bad[] = {"", ".a", ":a", "-a", "a b", "a,b", "a/b", "\xc3\xa9", "a\n"};
    g_autofree char *longest = g_strnfill(CST_TAG_MAX, 'x');
    g_autofree char *too_long = g_strnfill(CST_TAG_MAX + 1, 'x');
    g_autofree char *note = g_strnfill(CST_NOTE_MAX, 'x');
    g_autofree char *long_note = g_strnfill(CST_NOTE_MAX + 1, 'x');

    for (guint i = 0; i < G_N_ELEMENTS(good); i++)
        assert_true(cst_tag_check(good[i], NULL));
    for (guint i = 0; i < G_N_ELEMENTS(bad); i++)
        assert_false(cst_tag_check(bad[i], NULL));
    assert_true(cst_tag_check(longest, NULL));
    assert_false(cst_tag_check(too_long, NULL));
    assert_true(cst_note_check("line\nline \xc3\xa9", NULL));
    assert_true(cst_note_check(note, NULL));
    assert_false(cst_note_check(long_note, NULL));
    assert_false(cst_note_check("", NULL));
    assert_false(cst_note_check("a\tb", NULL));
    assert_false(cst_note_check("\xff", NULL));
    assert_false(cst_note_check("\xe2\x80\xae", NULL));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        scratch_test(tags_are_read_back_from_the_disk),
        scratch_test(queries_and_removals_create_no_database),
        scratch_test(change_clears_then_removes_then_adds),
        scratch_test(too_many_tags_change_no_tag),
        scratch_test(copy_replaces_the_records_of_the_target),
        scratch_test(copy_of_a_snapshot_changes_one_snapshot),
        scratch_test(second_move_is_harmless),
        scratch_test(pages_have_each_volume_once),
        cmocka_unit_test(only_plain_words_are_tags),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
