/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <base/error.h>
#include <dir/beneath.h>
#include <dir/dir.h>

#include "points.h"
#include "tree.h"

/*
 * Opening files in a directory that another user controls. Other users may write to "shared". Only
 * we may write to "own". "outside/victim" must stay unchanged.
 */

#define SECRET "only the owner may read or write this"
#define RACES  4000

static char *get(const char *name)
{
    g_autofree char *path = at(name);
    char *text = NULL;

    assert_true(g_file_get_contents(path, &text, NULL, NULL));
    return text;
}

static void link_to(const char *target, const char *name)
{
    g_autofree char *to = at(target);

    make_link(name, to);
}

static int set_up(void **state)
{
    root = g_dir_make_tmp("cistern-beneath-XXXXXX", NULL);
    make_dir("outside", 0700);
    make_dir("shared", 0777);
    make_dir("own", 0755);
    put("outside/victim", SECRET);
    return 0;
}

static int tear_down(void **state)
{
    g_autofree char *victim = get("outside/victim");

    assert_string_equal(victim, SECRET);
    remove_tree();
    return 0;
}

static void open_handle(const char *name, CstDirHandle *dir)
{
    g_autofree char *path = at(name);

    assert_true(cst_handle_open(path, dir, NULL));
}

static void assert_refused(const CstDirHandle *dir, const char *name, int flags, int code)
{
    g_autoptr(GError) error = NULL;

    assert_int_equal(cst_entry_open(dir, name, flags, &error), -1);
    if (!g_error_matches(error, CST_ERROR, code))
        fail_msg("%s: %s", name, error->message);
}

static void assert_opens(const CstDirHandle *dir, const char *name, int flags)
{
    g_autoptr(GError) error = NULL;
    g_auto(CstFd) fd = cst_entry_open(dir, name, flags, &error);

    if (fd < 0)
        fail_msg("%s: %s", name, error->message);
}

/* --- opening ---------------------------------------------------------------------------------- */

static void only_files_of_one_name_in_a_shared_directory(void **state)
{
    g_auto(CstDirHandle) shared = CST_DIR_HANDLE_NONE;
    g_autofree char *victim = at("outside/victim");
    g_autofree char *hard = at("shared/hard");
    g_autofree char *fifo = at("shared/fifo");

    put("shared/file", "x");
    link_to("outside/victim", "shared/link");
    link_to("shared/file", "shared/inside");
    link_to("nothing", "shared/dangling");
    assert_int_equal(link(victim, hard), 0);
    assert_int_equal(mkfifo(fifo, 0600), 0);
    make_dir("shared/dir", 0755);
    open_handle("shared", &shared);
    assert_false(shared.is_private);
    assert_opens(&shared, "file", O_RDWR);
    for (int flags = O_RDONLY; flags <= O_RDWR; flags++) {
        if (flags == O_WRONLY)
            continue;
        assert_refused(&shared, "link", flags, CST_ERROR_DENIED);
        assert_refused(&shared, "inside", flags, CST_ERROR_DENIED);
        assert_refused(&shared, "dangling", flags, CST_ERROR_DENIED);
        assert_refused(&shared, "hard", flags, CST_ERROR_DENIED);
        assert_refused(&shared, "fifo", flags, CST_ERROR_INVALID);
        assert_refused(&shared, "dir", flags, CST_ERROR_INVALID);
        assert_refused(&shared, "none", flags, CST_ERROR_NOT_FOUND);
    }
    put("outside/other", "x");
    assert_refused(&shared, "../outside/other", O_RDONLY, CST_ERROR_IO);
}

static void link_of_the_owner_in_our_directory_is_followed(void **state)
{
    g_auto(CstDirHandle) own = CST_DIR_HANDLE_NONE;
    g_autofree char *victim = at("outside/victim");
    g_autofree char *hard = at("own/hard");
    g_autofree char *fifo = at("own/fifo");
    g_autofree char *link_path = at("own/link");
    int fd;

    link_to("outside/victim", "own/link");
    link_to("own/fifo", "own/to-fifo");
    link_to("own/loop", "own/loop");
    assert_int_equal(link(victim, hard), 0);
    assert_int_equal(mkfifo(fifo, 0600), 0);
    open_handle("own", &own);
    assert_true(own.is_private);
    assert_opens(&own, "link", O_RDWR);
    assert_opens(&own, "hard", O_RDWR);
    assert_refused(&own, "to-fifo", O_RDWR, CST_ERROR_INVALID);
    assert_refused(&own, "loop", O_RDWR, CST_ERROR_IO);
    /* A file that will be replaced must be in the directory itself. */
    fd = cst_entry_open_file(&own, "link", O_RDONLY, NULL);
    assert_int_equal(fd, -1);
    if (geteuid() != 0)
        return;
    assert_int_equal(lchown(link_path, 12345, 12345), 0);
    assert_refused(&own, "link", O_RDONLY, CST_ERROR_DENIED);
}

/* --- races ------------------------------------------------------------------------------------ */

typedef struct {
    const char *link;  /* replacement */
    const char *entry; /* swapped entry */
    gint stop;
} Swapper;

static gpointer swap_in_a_loop(gpointer data)
{
    Swapper *swapper = data;
    g_autofree char *entry = at(swapper->entry);
    g_autofree char *link_path = at(swapper->link);

    while (!g_atomic_int_get(&swapper->stop))
        if (renameat2(AT_FDCWD, entry, AT_FDCWD, link_path, 2 /* RENAME_EXCHANGE */) < 0)
            g_thread_yield();
    return NULL;
}

static void a_file_that_becomes_a_link_is_never_followed(void **state)
{
    Swapper swapper = {.link = "shared/link", .entry = "shared/file"};
    g_auto(CstDirHandle) shared = CST_DIR_HANDLE_NONE;
    guint opened = 0, refused = 0;
    GThread *thread;

    put("shared/file", "x");
    link_to("outside/victim", "shared/link");
    open_handle("shared", &shared);
    thread = g_thread_new("swapper", swap_in_a_loop, &swapper);
    for (int i = 0; i < RACES || ((opened == 0 || refused == 0) && i < 100 * RACES); i++) {
        g_auto(CstFd) fd = cst_entry_open(&shared, "file", O_RDWR, NULL);

        if (fd >= 0)
            assert_int_equal(pwrite(fd, "evil", 4, 0), 4);
        opened += fd >= 0;
        refused += fd < 0;
    }
    g_atomic_int_set(&swapper.stop, 1);
    g_thread_join(thread);
    assert_true(opened > 0 && refused > 0);
}

static void put_victim(gpointer unused)
{
    g_autofree char *victim = at("outside/victim");
    g_autofree char *entry = at("shared/file");

    assert_int_equal(unlink(entry), 0);
    assert_int_equal(link(victim, entry), 0);
}

/* The check of the name is over. The opened file is checked, too. */
static void a_file_that_becomes_a_hard_link_is_not_opened(void **state)
{
    g_auto(CstDirHandle) shared = CST_DIR_HANDLE_NONE;

    put("shared/file", "x");
    open_handle("shared", &shared);
    point_run("dir.entry.checked", put_victim, NULL);
    assert_refused(&shared, "file", O_RDWR, CST_ERROR_DENIED);
    points_clear();
}

static void a_directory_that_becomes_a_link_is_never_followed(void **state)
{
    Swapper swapper = {.link = "shared/link", .entry = "shared/.cistern-snapshots"};
    g_auto(CstDirHandle) shared = CST_DIR_HANDLE_NONE;
    g_auto(CstDirHandle) outside = CST_DIR_HANDLE_NONE;
    GThread *thread;

    make_dir("shared/.cistern-snapshots", 0700);
    link_to("outside", "shared/link");
    open_handle("shared", &shared);
    open_handle("outside", &outside);
    thread = g_thread_new("swapper", swap_in_a_loop, &swapper);
    for (int i = 0; i < RACES; i++) {
        g_auto(CstDirHandle) found = CST_DIR_HANDLE_NONE;

        if (cst_handle_open_own(&shared, ".cistern-snapshots", TRUE, &found, NULL))
            assert_true(found.st.st_ino != outside.st.st_ino);
    }
    g_atomic_int_set(&swapper.stop, 1);
    g_thread_join(thread);
}

/* --- directories of the service --------------------------------------------------------------- */

static void planted_directory_is_not_accepted_as_ours(void **state)
{
    g_auto(CstDirHandle) shared = CST_DIR_HANDLE_NONE;
    g_auto(CstDirHandle) found = CST_DIR_HANDLE_NONE;
    g_autofree char *theirs = at("shared/theirs");
    struct stat st;

    make_dir("shared/open", 0777);
    make_dir("shared/theirs", 0700);
    put("shared/file", "x");
    link_to("outside", "shared/link");
    if (geteuid() == 0)
        assert_int_equal(chown(theirs, 12345, 12345), 0);
    open_handle("shared", &shared);
    for (int make = FALSE; make <= TRUE; make++) {
        const char *const planted[] = {"open", "file", "link", geteuid() == 0 ? "theirs" : "open"};

        for (size_t i = 0; i < G_N_ELEMENTS(planted); i++) {
            g_autoptr(GError) error = NULL;

            assert_false(cst_handle_open_own(&shared, planted[i], make, &found, &error));
            assert_true(g_error_matches(error, CST_ERROR, CST_ERROR_DENIED));
            assert_non_null(strstr(error->message, planted[i]));
        }
    }
    assert_true(cst_handle_open_own(&shared, "none", FALSE, &found, NULL));
    assert_int_equal(found.fd, -1);
    assert_true(cst_handle_open_own(&shared, "new", TRUE, &found, NULL));
    assert_int_equal(fstat(found.fd, &st), 0);
    assert_int_equal(st.st_mode & 07777, 0700);
}

/* A directory that cannot be made or opened is always an error. */
static void directory_that_cannot_be_created_is_reported(void **state)
{
    g_autofree char *longer = g_strnfill(256, 'n');
    g_auto(CstDirHandle) in = CST_DIR_HANDLE_NONE;

    open_handle("own", &in);
    for (int make = 0; make < 2; make++) {
        g_auto(CstDirHandle) made = CST_DIR_HANDLE_NONE;
        g_autoptr(GError) error = NULL;

        assert_false(cst_handle_open_own(&in, longer, make, &made, &error));
        assert_true(g_error_matches(error, CST_ERROR, CST_ERROR_IO));
        assert_non_null(strstr(error->message, make ? "cannot create" : "cannot open"));
        assert_int_equal(made.fd, -1);
    }
}

/* The limit is that of the kernel. */
static void a_path_has_so_many_links_and_no_more(void **state)
{
    for (int i = 0; i < 42; i++) {
        g_autofree char *name = g_strdup_printf("own/link%d", i);
        g_autofree char *target = i ? g_strdup_printf("own/link%d", i - 1) : g_strdup("outside");

        link_to(target, name);
    }
    for (int links = 40; links <= 41; links++) {
        g_autofree char *name = g_strdup_printf("own/link%d", links - 1);
        g_autofree char *path = at(name);
        g_auto(CstDirHandle) dir = CST_DIR_HANDLE_NONE;

        assert_int_equal(cst_handle_open_trusted(path, FALSE, 0, &dir, NULL), links == 40);
    }
}

static void path_is_not_followed_through_foreign_links(void **state)
{
    g_auto(CstDirHandle) dir = CST_DIR_HANDLE_NONE;
    g_autofree char *deep = at("own/a/b");
    g_autofree char *through = at("own/way/c");
    g_autofree char *planted = at("shared/link/c");
    g_autofree char *last = at("shared/link");
    g_autofree char *victim = at("outside/c");

    assert_true(cst_handle_open_trusted(deep, TRUE, 0750, &dir, NULL));
    assert_int_equal(dir.st.st_mode & 0777, 0750);
    cst_handle_clear(&dir);
    link_to("own/a", "own/way");
    assert_true(cst_handle_open_trusted(through, TRUE, 0700, &dir, NULL));
    cst_handle_clear(&dir);
    link_to("outside", "shared/link");
    assert_false(cst_handle_open_trusted(planted, TRUE, 0700, &dir, NULL));
    assert_false(cst_handle_open_trusted(last, TRUE, 0700, &dir, NULL));
    assert_int_equal(access(victim, F_OK), -1);
}

/* --- identity --------------------------------------------------------------------------------- */

static CstPoolState *open_pool(void)
{
    g_autofree char *xml = g_strdup_printf(
        "<pool type='dir'><name>p</name><target><path>%s/own</path></target></pool>", root);
    g_autoptr(CstPoolDef) def = cst_pool_def_parse(xml, 0, NULL);
    CstPoolState *state = cst_dir_backend.open(def, NULL);

    assert_non_null(state);
    return state;
}

static void assert_another(gboolean done, GError **error)
{
    assert_false(done);
    assert_true(g_error_matches(*error, CST_ERROR, CST_ERROR_STATE));
    g_clear_error(error);
}

static void every_call_verifies_the_directory(void **state)
{
    static const CstSnapshotCreate how = {0};
    CstPoolState *pool = open_pool();
    g_autofree char *own = at("own");
    g_autofree char *away = at("away");
    g_auto(CstVolDraft) draft = {.token = g_strdup("token")};
    g_autoptr(CstVolDef) def = cst_vol_def_new();
    g_autoptr(GError) error = NULL;
    const CstBackend *ops = &cst_dir_backend;
    CstVolume *volume;
    CstPoolUsage usage;
    CstScan scan = {0};
    GPtrArray *list = g_ptr_array_new();
    gboolean active;

    def->name = g_strdup("n");
    assert_true(ops->expect(pool, NULL, TRUE, NULL));
    put("own/v", "x");
    assert_int_equal(rename(own, away), 0);
    make_dir("own", 0755);
    put("own/v", "not the pool's");
    assert_another(ops->scan(pool, &scan, NULL, &error), &error);
    assert_another(ops->scan_one(pool, "v", NULL, &volume, &error), &error);
    assert_another(ops->usage(pool, &usage, &error), &error);
    assert_another(ops->drop_drafts(pool, &error), &error);
    assert_another(ops->identity(pool, &error) != NULL, &error);
    assert_another(ops->vol_reserve(pool, def, &draft, &error), &error);
    assert_another(ops->vol_commit(pool, &draft, def, &error), &error);
    assert_another(ops->vol_abandon(pool, "token", &error), &error);
    assert_another(ops->vol_delete(pool, "v", 0, &error), &error);
    assert_another(ops->vol_open(pool, "v", FALSE, &error) != NULL, &error);
    assert_another(ops->watch_open(pool, &error) >= 0, &error);
    assert_another(ops->snapshots->list(pool, "v", list, &error), &error);
    assert_another(ops->snapshots->create(pool, "v", "s", &how, NULL, &error), &error);
    assert_another(ops->snapshots->revert(pool, "v", "s", NULL, NULL, &error), &error);
    assert_another(ops->snapshots->remove(pool, "v", "s", NULL, &error), &error);
    assert_another(ops->snapshots->rename(pool, "v", "s", "t", &error), &error);
    assert_another(ops->snapshots->open(pool, "v", "s", &error) != NULL, &error);
    assert_true(ops->check(pool, &active, NULL) && !active);
    g_ptr_array_unref(list);
    ops->close(pool);
}

/*
 * A record from before a boot has another device number. It matches the same directory if it is
 * mounted.
 */
static void record_of_an_earlier_boot_is_compared_by_its_known_fields(void **state)
{
    CstPoolState *pool = open_pool();
    g_autoptr(GError) error = NULL;
    CstPoolUsage usage;
    char mounted[128];

    assert_true(cst_dir_backend.expect(
        pool, "mounted=0 type=1 inode=2 device=3 boot=aaaaaaaa-0000-0000-0000-000000000001\n",
        FALSE, NULL));
    assert_true(cst_dir_backend.usage(pool, &usage, NULL));
    g_snprintf(mounted, sizeof(mounted),
               "mounted=1 type=1 inode=2 device=3 boot=aaaaaaaa-0000-0000-0000-000000000001\n");
    assert_true(cst_dir_backend.expect(pool, mounted, FALSE, NULL));
    assert_another(cst_dir_backend.usage(pool, &usage, &error), &error);
    assert_another(cst_dir_backend.expect(pool, mounted, TRUE, &error), &error);
    cst_dir_backend.close(pool);
}

/* --- drafts while another process starts a pool on the directory ------------------------------ */

/* Wrapped with --wrap: called when a file has been made, before its maker uses it. */
static void (*on_created)(const CstDirHandle *dir, const char *name);

int __real_cst_entry_create(const CstDirHandle *dir, const char *name);
int __wrap_cst_entry_create(const CstDirHandle *dir, const char *name);

int __wrap_cst_entry_create(const CstDirHandle *dir, const char *name)
{
    int fd = __real_cst_entry_create(dir, name);

    if (on_created)
        on_created(dir, name);
    return fd;
}

static void start_another_pool(void)
{
    CstPoolState *pool = open_pool();

    assert_true(cst_dir_backend.drop_drafts(pool, NULL));
    cst_dir_backend.close(pool);
}

static void a_volume_is_made_although_another_process_drops_dead_drafts(void **state)
{
    static const int types[] = {CST_VOL_FILE, CST_VOL_DIR};
    CstPoolState *pool = open_pool();

    for (gsize i = 0; i < G_N_ELEMENTS(types); i++) {
        g_auto(CstVolDraft) draft = {.token = g_strdup("token")};
        g_autoptr(CstVolDef) def = cst_vol_def_new();
        g_autofree char *path = at("own/v");

        def->name = g_strdup("v");
        def->type = types[i];
        assert_true(cst_dir_backend.vol_reserve(pool, def, &draft, NULL));
        start_another_pool();
        assert_true(cst_dir_backend.vol_commit(pool, &draft, def, NULL));
        assert_int_equal(g_file_test(path, G_FILE_TEST_IS_DIR), types[i] == CST_VOL_DIR);
        assert_true(cst_dir_backend.vol_delete(pool, "v", 0, NULL));
    }
    cst_dir_backend.close(pool);
}

static void drop_at_once(const CstDirHandle *dir, const char *name)
{
    start_another_pool();
}

static int dropper = -1; /* holds the lock of a file that is about to be removed */

static void lock_at_once(const CstDirHandle *dir, const char *name)
{
    struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET};

    dropper = cst_entry_open_draft(dir, name);
    assert_int_equal(fcntl(dropper, F_OFD_SETLK, &lock), 0);
}

/* A maker must not write for hours to a file without a name. */
static void a_file_that_is_dropped_before_it_is_locked_fails_at_once(void **state)
{
    static void (*const meanwhile[])(const CstDirHandle *dir, const char *name) = {drop_at_once,
                                                                                   lock_at_once};
    CstPoolState *pool = open_pool();
    g_autoptr(CstVolDef) def = cst_vol_def_new();

    def->name = g_strdup("v");
    for (gsize i = 0; i < G_N_ELEMENTS(meanwhile); i++) {
        g_auto(CstVolDraft) draft = {.token = g_strdup("token")};
        g_autoptr(GError) error = NULL;

        on_created = meanwhile[i];
        assert_false(cst_dir_backend.vol_reserve(pool, def, &draft, &error));
        assert_non_null(strstr(error->message, g_strerror(EAGAIN)));
        on_created = NULL;
        cst_fd_clear(&dropper);
        assert_true(cst_dir_backend.vol_reserve(pool, def, &draft, NULL));
        assert_true(cst_dir_backend.vol_abandon(pool, "token", NULL));
    }
    cst_dir_backend.close(pool);
}

/* --- durable names ---------------------------------------------------------------------------- */

static guint syncs;
static gboolean sync_fails;
static char *synced_names; /* content of the directory when it was synced */

static gboolean count_sync(int fd, const char *name, GError **error)
{
    g_autofree char *path = g_strdup_printf("/proc/self/fd/%d", fd);
    g_autoptr(GDir) dir = g_dir_open(path, 0, NULL);
    const char *entry;

    syncs++;
    g_free(synced_names);
    synced_names = g_strdup("");
    while ((entry = g_dir_read_name(dir))) {
        char *longer = g_strconcat(synced_names, entry, " ", NULL);

        g_free(synced_names);
        synced_names = longer;
    }
    return !sync_fails || cst_fail(error, CST_ERROR_IO, "cannot sync '%s'", name);
}

static gboolean make_volume(CstPoolState *pool, int type, GError **error)
{
    g_auto(CstVolDraft) draft = {.token = g_strdup("token")};
    g_autoptr(CstVolDef) def = cst_vol_def_new();

    def->name = g_strdup("v");
    def->type = type;
    if (cst_dir_backend.vol_reserve(pool, def, &draft, error) &&
        cst_dir_backend.vol_commit(pool, &draft, def, error))
        return TRUE;
    assert_true(cst_dir_backend.vol_abandon(pool, "token", NULL));
    return FALSE;
}

static void a_name_is_durable_when_the_call_answers(void **state)
{
    CstPoolState *pool = open_pool();
    CstDirState *dir = (CstDirState *)pool;
    g_autofree char *path = at("own/v");
    g_autoptr(GError) error = NULL;

    cst_sync_group_free(dir->names);
    dir->names = cst_sync_group_new(count_sync);
    for (int type = CST_VOL_FILE; type <= CST_VOL_DIR; type++) {
        if (type != CST_VOL_FILE && type != CST_VOL_DIR)
            continue;
        syncs = 0;
        sync_fails = FALSE;
        assert_true(make_volume(pool, type, NULL));
        assert_int_equal(syncs, 1);
        assert_string_equal(synced_names, "v ");
        assert_true(cst_dir_backend.vol_delete(pool, "v", 0, NULL));
        assert_int_equal(syncs, 2);
        assert_string_equal(synced_names, "");
        /* A volume that may be lost in a power failure is not shown. */
        sync_fails = TRUE;
        assert_false(make_volume(pool, type, &error));
        assert_true(g_error_matches(error, CST_ERROR, CST_ERROR_IO));
        g_clear_error(&error);
        assert_int_equal(access(path, F_OK), -1);
    }
    g_clear_pointer(&synced_names, g_free);
    cst_dir_backend.close(pool);
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(only_files_of_one_name_in_a_shared_directory),
        TEST(link_of_the_owner_in_our_directory_is_followed),
        TEST(a_file_that_becomes_a_link_is_never_followed),
        TEST(a_file_that_becomes_a_hard_link_is_not_opened),
        TEST(a_directory_that_becomes_a_link_is_never_followed),
        TEST(planted_directory_is_not_accepted_as_ours),
        TEST(directory_that_cannot_be_created_is_reported),
        TEST(a_path_has_so_many_links_and_no_more),
        TEST(path_is_not_followed_through_foreign_links),
        TEST(every_call_verifies_the_directory),
        TEST(record_of_an_earlier_boot_is_compared_by_its_known_fields),
        TEST(a_volume_is_made_although_another_process_drops_dead_drafts),
        TEST(a_file_that_is_dropped_before_it_is_locked_fails_at_once),
        TEST(a_name_is_durable_when_the_call_answers),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
