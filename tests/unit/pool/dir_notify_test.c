/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Watches of many directories that share one inotify instance (pool/dir/notify.h). */
#include "tree.h"

#include <string.h>

#include <base/error.h>
#include <pool/pool.h>

#include "await.h"
#include "points.h"

#define MANY 300 /* more than the limit of inotify instances of a user (128) */

/* --- watched pools ---------------------------------------------------------------------------- */

typedef struct {
    CstPoolState *state;
    int fd;
    GHashTable *names;
    guint anything; /* number of reports without a name */
} Watched;

static void watched_free(Watched *watched)
{
    cst_pool_state_watch_close(watched->state, &watched->fd);
    g_hash_table_unref(watched->names);
    cst_pool_state_unref(watched->state);
    g_free(watched);
}
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Watched, watched_free)

static Watched *watch_dir(const char *name)
{
    g_autofree char *xml = g_strdup_printf(
        "<pool type='dir'><name>p</name><target><path>%s/%s</path></target></pool>", root, name);
    g_autoptr(CstPoolDef) def = cst_pool_def_parse(xml, 0, NULL);
    g_autofree char *path = at(name);
    Watched *watched = g_new0(Watched, 1);
    g_autoptr(GError) error = NULL;

    mkdir(path, 0700);
    watched->names = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    watched->state = cst_pool_state_open(def, NULL, &error);
    assert_non_null(watched->state);
    watched->fd = cst_pool_state_watch_open(watched->state, &error);
    if (watched->fd < 0)
        fail_msg("%s", error->message);
    return watched;
}

static void note_name(const char *name, gpointer data)
{
    Watched *watched = data;

    if (name)
        g_hash_table_add(watched->names, g_strdup(name));
    else
        watched->anything++;
}

static gboolean has_name(Watched *watched, const char *name)
{
    cst_pool_state_watch_read(watched->state, watched->fd, note_name, watched);
    return g_hash_table_contains(watched->names, name);
}

static gboolean has_anything(Watched *watched)
{
    cst_pool_state_watch_read(watched->state, watched->fd, note_name, watched);
    return watched->anything > 0;
}

static guint count_instances(void)
{
    g_autoptr(GDir) fds = g_dir_open("/proc/self/fd", 0, NULL);
    const char *fd;
    guint count = 0;

    while ((fd = g_dir_read_name(fds))) {
        g_autofree char *link = g_build_filename("/proc/self/fd", fd, NULL);
        g_autofree char *target = g_file_read_link(link, NULL);

        count += target && strstr(target, "inotify") != NULL;
    }
    return count;
}

/* --- the directory ---------------------------------------------------------------------------- */

static int set_up(void **state)
{
    root = g_dir_make_tmp("cst-notify-XXXXXX", NULL);
    return root ? 0 : -1;
}

static int tear_down(void **state)
{
    const char *const argv[] = {"rm", "-rf", root, NULL};

    points_clear();
    assert_int_equal(count_instances(), 0);
    g_spawn_sync(NULL, (char **)argv, NULL, G_SPAWN_SEARCH_PATH, NULL, NULL, NULL, NULL, NULL,
                 NULL);
    g_clear_pointer(&root, g_free);
    return 0;
}

/* --- tests ------------------------------------------------------------------------------------ */

static void many_directories_need_one_instance(void **state)
{
    g_autoptr(GPtrArray) many = g_ptr_array_new_with_free_func((GDestroyNotify)watched_free);

    for (guint i = 0; i < MANY; i++) {
        g_autofree char *name = g_strdup_printf("dir%u", i);

        g_ptr_array_add(many, watch_dir(name));
    }
    assert_int_equal(count_instances(), 1);
    put("dir0/first", "");
    put("dir299/last", "");
    AWAIT(has_name(g_ptr_array_index(many, 0), "first"));
    AWAIT(has_name(g_ptr_array_index(many, MANY - 1), "last"));
    assert_false(has_name(g_ptr_array_index(many, 0), "last"));
    assert_false(has_name(g_ptr_array_index(many, 1), "first"));
}

static void all_watchers_of_one_directory_are_notified(void **state)
{
    g_autoptr(Watched) one = watch_dir("dir");
    g_autoptr(Watched) two = watch_dir("dir");

    put("dir/a", "");
    AWAIT(has_name(one, "a"));
    AWAIT(has_name(two, "a"));
    g_clear_pointer(&one, watched_free);
    put("dir/b", "");
    AWAIT(has_name(two, "b"));
}

static void directory_that_is_watched_again_is_reported_again(void **state)
{
    g_autoptr(Watched) other = watch_dir("other");
    g_autoptr(Watched) watched = watch_dir("dir");

    g_clear_pointer(&watched, watched_free);
    watched = watch_dir("dir");
    put("dir/a", "");
    AWAIT(has_name(watched, "a"));
    assert_false(has_name(other, "a"));
}

static void deleted_directory_is_reported_without_a_name(void **state)
{
    g_autoptr(Watched) watched = watch_dir("dir");
    g_autofree char *path = at("dir");

    assert_int_equal(rmdir(path), 0);
    AWAIT(has_anything(watched));
}

static void hidden_names_are_not_reported(void **state)
{
    g_autoptr(Watched) watched = watch_dir("dir");

    put("dir/.cistern-1.part", "");
    put("dir/shown", "");
    AWAIT(has_name(watched, "shown"));
    assert_false(has_name(watched, ".cistern-1.part"));
}

/* The other watcher of the directory has the name, so the thread has reported it to both. */
static void add_b(gpointer other)
{
    put("dir/b", "");
    AWAIT(has_name(other, "b"));
}

static void name_added_during_a_read_is_reported_by_the_next_read(void **state)
{
    g_autoptr(Watched) watched = watch_dir("dir");
    g_autoptr(Watched) other = watch_dir("dir");

    put("dir/a", "");
    AWAIT(has_name(other, "a"));
    point_run("dir.notify.collected", add_b, other);
    assert_true(has_name(watched, "a"));
    assert_true(has_name(watched, "b"));
}

static guint queue_length(void)
{
    g_autofree char *text = NULL;

    assert_true(g_file_get_contents("/proc/sys/fs/inotify/max_queued_events", &text, NULL, NULL));
    return (guint)g_ascii_strtoull(text, NULL, 10);
}

/* Renames one file repeatedly while the thread that reads the queue is stopped. */
static void overflow_queue(void)
{
    g_autofree char *a = at("busy/a");
    g_autofree char *b = at("busy/b");
    guint events = queue_length();

    for (guint i = 0; i <= events / 4; i++) {
        assert_int_equal(rename(a, b), 0);
        assert_int_equal(rename(b, a), 0);
    }
}

static void overflow_of_the_queue_reports_every_directory(void **state)
{
    g_autoptr(Watched) busy = watch_dir("busy");
    g_autoptr(Watched) quiet = watch_dir("quiet");

    point_hold("dir.notify.readable");
    put("busy/a", "");
    point_await("dir.notify.readable", 1);
    overflow_queue();
    put("quiet/lost", "");
    point_release("dir.notify.readable");
    AWAIT(has_anything(quiet));
    AWAIT(has_anything(busy));
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(many_directories_need_one_instance),
        TEST(all_watchers_of_one_directory_are_notified),
        TEST(directory_that_is_watched_again_is_reported_again),
        TEST(deleted_directory_is_reported_without_a_name),
        TEST(hidden_names_are_not_reported),
        TEST(name_added_during_a_read_is_reported_by_the_next_read),
        TEST(overflow_of_the_queue_reports_every_directory),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
