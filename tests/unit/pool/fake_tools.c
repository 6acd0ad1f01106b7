/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "fake_tools.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

char *fake_folder;
CstPoolState *fake_state;

static const FakeTools *played;

char *fake_path(const char *name)
{
    return g_build_filename(fake_folder, name, NULL);
}

void fake_put(const char *name, const char *text)
{
    g_autofree char *path = fake_path(name);

    assert_true(g_file_set_contents(path, text, -1, NULL));
}

guint fake_count_in(const char *folder)
{
    g_autofree char *path = fake_path(folder);
    g_autoptr(GDir) dir = g_dir_open(path, 0, NULL);
    guint count = 0;

    while (g_dir_read_name(dir))
        count++;
    return count;
}

gboolean fake_was_called(const char *line)
{
    g_autofree char *path = fake_path("log");
    g_autofree char *text = NULL;

    assert_true(g_file_get_contents(path, &text, NULL, NULL));
    return strstr(text, line) != NULL;
}

static void make_folder(const char *name)
{
    g_autofree char *path = fake_path(name);

    assert_int_equal(mkdir(path, 0700), 0);
}

void fake_tools_set_up(const FakeTools *tools)
{
    g_autofree char *path = NULL;

    played = tools;
    fake_folder = g_dir_make_tmp("cst-tools-XXXXXX", NULL);
    make_folder("bin");
    make_folder("lie");
    for (const char *const *folder = tools->folders; *folder; folder++)
        make_folder(*folder);
    for (const char *const *tool = tools->tools; *tool; tool++) {
        g_autofree char *link_name = g_build_filename(fake_folder, "bin", *tool, NULL);

        assert_int_equal(symlink(tools->script, link_name), 0);
    }
    path = g_strconcat(fake_folder, "/bin:/usr/bin:/bin", NULL);
    g_setenv("PATH", path, TRUE);
    g_setenv(tools->variable, fake_folder, TRUE);
}

int fake_tools_tear_down(void)
{
    g_autofree char *command = g_strdup_printf("rm -rf '%s'", fake_folder);

    cst_pool_state_unref(fake_state);
    g_clear_pointer(&fake_folder, g_free);
    return system(command) == 0 ? 0 : -1;
}

CstPoolState *fake_open(const char *xml)
{
    g_autoptr(CstPoolDef) def = cst_pool_def_parse(xml, 0, NULL);
    CstPoolState *opened;

    assert_non_null(def);
    opened = cst_pool_state_open(def, NULL, NULL);
    assert_non_null(opened);
    return opened;
}

/* Appends the first word of a line of the log, or the first two words. */
static void append_call(char *line, GString *words)
{
    g_auto(GStrv) parts = g_strsplit(line, " ", 3);

    g_string_append_printf(words, "%s%s%s ", parts[0], played->has_verbs ? "-" : "",
                           played->has_verbs ? parts[1] : "");
}

void fake_assert_calls(const char *expected)
{
    g_autofree char *path = fake_path("log");
    g_autofree char *text = NULL;
    g_auto(GStrv) lines = NULL;
    g_autoptr(GString) words = g_string_new(NULL);

    if (g_file_get_contents(path, &text, NULL, NULL)) {
        fake_put("log", "");
        lines = g_strsplit(text, "\n", -1);
        for (char **line = lines; *line && **line; line++)
            append_call(*line, words);
    }
    assert_string_equal(words->str, expected);
}

CstVolDef *fake_volume(const char *name, uint64_t capacity)
{
    CstVolDef *def = cst_vol_def_new();

    def->type = CST_VOL_BLOCK;
    def->name = g_strdup(name);
    def->capacity = def->allocation = capacity;
    return def;
}

gboolean fake_create(const char *name, GError **error)
{
    g_autoptr(CstVolDef) def = fake_volume(name, 5 * MIB);
    g_auto(CstVolDraft) draft = {.token = g_strdup(TOKEN)};
    g_autofree char *lie = g_strconcat("lie/", played->remover, NULL);

    if (cst_pool_state_reserve(fake_state, def, &draft, error) &&
        cst_pool_state_commit(fake_state, &draft, def, error))
        return TRUE;
    fake_put(lie, "");
    assert_true(cst_pool_state_abandon(fake_state, TOKEN, NULL));
    return FALSE;
}

/* --- failing calls ---------------------------------------------------------------------------- */

void fake_fault(guint number, const char *how)
{
    g_autofree char *text = g_strdup_printf("%u %s\n", number, how);

    fake_put("fault", text);
}

gboolean fake_fault_end(void)
{
    g_autofree char *path = fake_path("fault"), *text = NULL;

    if (!g_file_get_contents(path, &text, NULL, NULL))
        return FALSE;
    assert_int_equal(unlink(path), 0);
    return atoi(text) <= 0;
}

char *fake_output(const char *command)
{
    const char *const argv[] = {"sh", "-c", command, NULL};
    char *text = NULL;

    assert_true(g_spawn_sync(fake_folder, (char **)argv, NULL, G_SPAWN_SEARCH_PATH, NULL, NULL,
                             &text, NULL, NULL, NULL));
    return text;
}

static void check_failed(const FakeOperation *operation, guint number, const char *how,
                         char *(*state)(void), const char *before, const char *after)
{
    g_autofree char *now = state();
    gboolean as_after = strcmp(now, after) == 0;
    g_autoptr(GError) error = NULL;

    if (strcmp(now, before) != 0 && !(operation->may_be_done && as_after))
        fail_msg("%s, call %u %s: from\n%sto\n%s", operation->what, number, how, before, now);
    if (!operation->call(&error) && !(operation->may_be_done && as_after))
        fail_msg("%s, call %u %s, and again: %s", operation->what, number, how, error->message);
}

/* Returns FALSE if the operation makes fewer calls. */
static gboolean play_fault(const FakeOperation *operation, guint number, const char *how,
                           char *(*state)(void), const char *after)
{
    g_autofree char *before = NULL, *now = NULL;
    g_autoptr(GError) error = NULL;
    gboolean done, struck;

    operation->prepare();
    before = state();
    fake_fault(number, how);
    done = operation->call(&error);
    struck = fake_fault_end();
    if (!done && !struck)
        fail_msg("%s: %s", operation->what, error->message);
    if (!done)
        check_failed(operation, number, how, state, before, after);
    /* The removals at the next start were not needed for the result. */
    assert_true(cst_pool_state_settle(fake_state, NULL));
    now = state();
    if (strcmp(now, after) != 0)
        fail_msg("%s, call %u %s, done: expected\n%sgot\n%s", operation->what, number, how, after,
                 now);
    return struck;
}

void fake_play_faults(const FakeOperation *operation, char *(*state)(void),
                      int (*set_up)(void **unused), int (*tear_down)(void **unused))
{
    static const char *const ways[] = {"fail", "failing"};
    g_autofree char *after = NULL;
    g_autoptr(GError) error = NULL;

    operation->prepare();
    if (!operation->call(&error))
        fail_msg("%s: %s", operation->what, error->message);
    after = state();
    for (size_t i = 0; i < G_N_ELEMENTS(ways); i++) {
        gboolean struck = TRUE;

        for (guint number = 1; struck; number++) {
            assert_int_equal(tear_down(NULL), 0);
            assert_int_equal(set_up(NULL), 0);
            struck = play_fault(operation, number, ways[i], state, after);
        }
    }
}

/* --- changed ranges --------------------------------------------------------------------------- */

static char *blocks_told(const char *since, const char *until, uint64_t block, guint max)
{
    g_autoptr(GString) text = g_string_new(NULL);
    g_auto(CstChanged) told = {.max = max};
    g_autoptr(GError) error = NULL;

    do {
        told.offset = told.next;
        if (!cst_pool_state_snapshot_changed(fake_state, "disk", since, until, NULL, &told, &error))
            fail_msg("%s", error->message);
        for (guint i = 0; i < told.ranges->len; i++) {
            const CstRange *range = &g_array_index(told.ranges, CstRange, i);

            for (uint64_t at = range->offset; at < range->offset + range->length; at += block)
                g_string_append_printf(text, "%u ", (unsigned)(at / block));
        }
    } while (told.next < told.capacity);
    return g_string_free(g_steal_pointer(&text), FALSE);
}

void fake_assert_told(const char *since, const char *until, uint64_t block, const char *expected)
{
    for (guint max = 1; max < 4; max++) {
        g_autofree char *blocks = blocks_told(since, until, block, max);

        assert_string_equal(blocks, expected);
    }
}
