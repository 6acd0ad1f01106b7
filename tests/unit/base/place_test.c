/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Names in directories that another user can change at any time. The tests act as that user: they
 * give links and directories another owner, and exchange names between two steps of the product.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <base/error.h>
#include <base/input.h>
#include <base/place.h>
#include <glib/gstdio.h>

#include "points.h"

#define OTHER 12345 /* a user who is neither root nor the user of this process */

/*
 * The folder has: "theirs", a directory of the other user; "sticky", like /tmp; "private", a
 * directory of ours with the file "victim".
 */
/* --- system calls ----------------------------------------------------------------------------- */

/* Linked with --wrap: a file system that keeps no modes, and one that maps our user to OTHER. */
static gboolean keeps_no_mode, maps_owner;

int __real_fstat64(int fd, struct stat *st);
int __wrap_fstat64(int fd, struct stat *st);

int __wrap_fstat64(int fd, struct stat *st)
{
    int result = __real_fstat64(fd, st);

    if (keeps_no_mode)
        st->st_mode |= 0055;
    if (maps_owner)
        st->st_uid = OTHER;
    return result;
}

/* Opening names that begin with open_fails, or removing directories, fails with this error. */
static const char *open_fails;
static gboolean remove_fails;
static int fail_errno;

int __real_openat64(int dirfd, const char *name, int flags, ...);
int __wrap_openat64(int dirfd, const char *name, int flags, ...);
int __real_unlinkat(int dirfd, const char *name, int flags);
int __wrap_unlinkat(int dirfd, const char *name, int flags);

int __wrap_openat64(int dirfd, const char *name, int flags, ...)
{
    mode_t mode = 0;
    va_list rest;

    va_start(rest, flags);
    if (flags & O_CREAT)
        mode = va_arg(rest, mode_t);
    va_end(rest);
    if (!open_fails || !g_str_has_prefix(name, open_fails))
        return __real_openat64(dirfd, name, flags, mode);
    errno = fail_errno;
    return -1;
}

int __wrap_unlinkat(int dirfd, const char *name, int flags)
{
    if (!remove_fails)
        return __real_unlinkat(dirfd, name, flags);
    errno = fail_errno;
    return -1;
}

static int setup(void **state)
{
    char *dir = g_dir_make_tmp("base-place-XXXXXX", NULL);

    if (geteuid() != 0)
        skip();
    *state = dir;
    return chdir(dir) || mkdir("theirs", 0755) || chown("theirs", OTHER, OTHER) ||
           mkdir("sticky", 0700) || chmod("sticky", 01777) || mkdir("private", 0700) ||
           !g_file_set_contents("private/victim", "secret", -1, NULL) ||
           chmod("private/victim", 0600);
}

static int teardown(void **state)
{
    const char *const argv[] = {"rm", "-rf", *state, NULL};

    if (!*state)
        return 0;
    assert_int_equal(chdir("/"), 0);
    assert_true(g_spawn_sync(NULL, (char **)argv, NULL, G_SPAWN_SEARCH_PATH, NULL, NULL, NULL, NULL,
                             NULL, NULL));
    g_free(*state);
    return 0;
}

static void their_link(const char *target, const char *path)
{
    assert_int_equal(symlink(target, path) || lchown(path, OTHER, OTHER), 0);
}

static void assert_refused(const char *path)
{
    g_auto(CstPlace) place = CST_PLACE_INIT;
    g_autoptr(GError) error = NULL;

    assert_false(cst_place_init(&place, path, &error));
    if (!g_error_matches(error, CST_ERROR, CST_ERROR_DENIED))
        fail_msg("%s: %s", path, error->message);
}

static void assert_name(const char *path, const char *name)
{
    g_auto(CstPlace) place = CST_PLACE_INIT;
    g_autoptr(GError) error = NULL;

    if (!cst_place_init(&place, path, &error))
        fail_msg("%s: %s", path, error->message);
    assert_string_equal(place.name, name);
}

static void links_that_another_user_can_change_are_refused(void **state)
{
    their_link("../private", "theirs/dir");
    their_link("../private/victim", "theirs/file");
    their_link("../private/victim", "sticky/file");
    assert_refused("theirs/dir/victim");
    assert_refused("theirs/file");
    assert_refused("sticky/file");
    /* Our link in their directory: they can put it under another name. */
    assert_int_equal(symlink("../private/victim", "theirs/ours"), 0);
    assert_refused("theirs/ours");
    assert_refused("theirs/../private/victim");
}

static void trusted_links_are_followed(void **state)
{
    assert_int_equal(symlink("private", "dir"), 0);
    assert_int_equal(symlink("dir/victim", "file"), 0);
    assert_int_equal(symlink("../private/victim", "sticky/ours"), 0);
    assert_name("dir/new", "new");
    assert_name("file", "victim");
    assert_name("sticky/ours", "victim");
    assert_name("./private/../private//victim/", "victim");
    assert_name("theirs/new", "new");
}

static void assert_read(const char *path, CstFileAccess access, CstErrorCode code)
{
    g_autoptr(GError) error = NULL;
    g_autofree char *text = NULL;

    assert_int_equal(cst_input_read(path, access, 100, &text, NULL, &error), code == 0);
    if (code != 0 && !g_error_matches(error, CST_ERROR, code))
        fail_msg("%s: %s", path, error->message);
}

static void input_is_no_link_of_another_user(void **state)
{
    their_link("../private", "theirs/dir");
    their_link("../private/victim", "theirs/file");
    assert_int_equal(symlink("private/victim", "ours"), 0);
    assert_read("ours", CST_FILE_PRIVATE, 0);
    assert_read("theirs/file", CST_FILE_PRIVATE, CST_ERROR_DENIED);
    assert_read("theirs/dir/victim", CST_FILE_PRIVATE, CST_ERROR_DENIED);
    assert_read("theirs/none", CST_FILE_PRIVATE, CST_ERROR_NOT_FOUND);
    assert_int_equal(link("private/victim", "theirs/hard"), 0);
    assert_read("theirs/hard", CST_FILE_PRIVATE, CST_ERROR_DENIED);
    assert_read("ours", CST_FILE_PRIVATE, 0);
    assert_int_equal(unlink("theirs/hard"), 0);
    assert_int_equal(mkfifo("theirs/fifo", 0666), 0);
    assert_read("theirs/fifo", CST_FILE_ANY, CST_ERROR_INVALID);
    assert_int_equal(chmod("private/victim", 0640), 0);
    assert_read("ours", CST_FILE_PRIVATE, CST_ERROR_DENIED);
    assert_read("ours", CST_FILE_ANY, 0);
}

static void hard_link_that_another_user_can_have_made_is_refused(void **state)
{
    g_auto(CstPlace) place = CST_PLACE_INIT;
    g_auto(CstFd) fd = -1;
    struct stat st;

    assert_int_equal(link("private/victim", "sticky/hard"), 0);
    assert_read("sticky/hard", CST_FILE_ANY, CST_ERROR_DENIED);
    assert_read("private/victim", CST_FILE_ANY, 0);
    assert_true(g_file_set_contents("sticky/single", "x", 1, NULL));
    assert_read("sticky/single", CST_FILE_ANY, 0);
    /* A member of the directory's group can have linked the file, too. */
    assert_int_equal(mkdir("group", 0700) || chmod("group", 0775), 0);
    assert_int_equal(link("private/victim", "group/hard"), 0);
    assert_read("group/hard", CST_FILE_ANY, CST_ERROR_DENIED);
    assert_int_equal(unlink("sticky/hard") || unlink("group/hard"), 0);
    assert_true(g_file_set_contents("group/single", "x", 1, NULL));
    assert_read("group/single", CST_FILE_ANY, 0);
    /* The owner of the directory can only have linked the owner's own file. */
    assert_true(g_file_set_contents("theirs/own", "x", 1, NULL));
    assert_int_equal(chown("theirs/own", OTHER, OTHER), 0);
    assert_int_equal(link("theirs/own", "theirs/second"), 0);
    assert_read("theirs/second", CST_FILE_ANY, 0);
    /* The name is removed after the open, so that the file has one name at fstat(). */
    assert_int_equal(link("private/victim", "theirs/hard"), 0);
    assert_true(cst_place_init(&place, "theirs/hard", NULL));
    fd = cst_place_open(&place, O_RDONLY);
    assert_int_equal(unlink("theirs/hard"), 0);
    assert_int_equal(fstat(fd, &st), 0);
    assert_int_equal(st.st_nlink, 1);
    assert_false(cst_place_check_links(&place, &st, NULL));
}

static void a_link_may_be_the_place_itself(void **state)
{
    g_auto(CstPlace) place = CST_PLACE_INIT;
    struct stat st;

    assert_int_equal(symlink("private/victim", "file"), 0);
    assert_true(cst_place_init_for(&place, "file", geteuid(), FALSE, NULL));
    assert_string_equal(place.name, "file");
    assert_true(cst_place_stat(&place, &st) && S_ISLNK(st.st_mode));
    assert_int_equal(cst_place_open(&place, O_RDONLY), -1);
    assert_int_equal(errno, ELOOP);
}

static void the_own_links_of_a_served_user_are_followed(void **state)
{
    g_auto(CstPlace) place = CST_PLACE_INIT;

    assert_int_equal(mkdir("theirs/sub", 0755) || chown("theirs/sub", OTHER, OTHER), 0);
    their_link("sub", "theirs/dir");
    assert_true(cst_place_init_for(&place, "theirs/dir/socket", OTHER, FALSE, NULL));
    assert_true(place.trusted);
}

static void loops_and_nameless_paths_end(void **state)
{
    g_auto(CstPlace) loop = CST_PLACE_INIT, root = CST_PLACE_INIT;
    g_autoptr(GError) error = NULL;

    assert_int_equal(symlink("loop", "loop"), 0);
    assert_false(cst_place_init(&loop, "loop", &error));
    g_clear_error(&error);
    assert_false(cst_place_init(&root, "/", &error));
    assert_true(g_error_matches(error, CST_ERROR, CST_ERROR_INVALID));
}

static void a_directory_that_can_be_exchanged_is_named(void **state)
{
    g_auto(CstPlace) place = CST_PLACE_INIT, safe = CST_PLACE_INIT;

    assert_int_equal(mkdir("theirs/sub", 0755), 0);
    assert_true(cst_place_init(&place, "theirs/sub/new", NULL));
    assert_string_equal(place.exchanged, "sub");
    assert_true(cst_place_init(&safe, "theirs/new", NULL));
    assert_null(safe.exchanged);
    /* In a sticky directory, the owner of an entry can exchange the entry. */
    assert_int_equal(mkdir("sticky/theirs", 0755) || chown("sticky/theirs", OTHER, OTHER), 0);
    cst_place_clear(&place);
    assert_true(cst_place_init(&place, "sticky/theirs/new", NULL));
    assert_string_equal(place.exchanged, "theirs");
    assert_int_equal(mkdir("sticky/ours", 0755), 0);
    cst_place_clear(&safe);
    assert_true(cst_place_init(&safe, "sticky/ours/new", NULL));
    assert_null(safe.exchanged);
}

static void steps_stay_in_the_directory_that_was_opened(void **state)
{
    g_auto(CstPlace) place = CST_PLACE_INIT;
    g_autofree char *name = NULL;
    g_autoptr(GError) error = NULL;
    g_auto(CstFd) draft = -1, fd = -1;

    assert_true(cst_place_init(&place, "theirs/victim", &error));
    draft = cst_place_make_draft(&place, &name, &error);
    assert_true(draft >= 0);
    fd = openat(draft, "victim", O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
    /* The owner puts a link to a directory of ours in the place of each directory. */
    assert_int_equal(rename("theirs", "moved"), 0);
    their_link("private", "theirs");
    assert_int_equal(renameat(place.dir, name, place.dir, "elsewhere"), 0);
    assert_int_equal(symlinkat("../private", place.dir, name), 0);
    assert_true(cst_place_adopt(&place, draft, "victim", "victim", FALSE, &error));
    assert_true(cst_place_drop_draft(&place, draft, name, NULL, NULL));
    assert_int_equal(access("moved/victim", F_OK), 0);
    assert_int_equal(access("private/victim", F_OK), 0);
    assert_int_equal(g_remove("moved/elsewhere"), 0);
}

static void replace_draft(gpointer data)
{
    GDir *dir = g_dir_open("theirs", 0, NULL);
    const char *name;

    while ((name = g_dir_read_name(dir)))
        if (g_str_has_prefix(name, ".cistern-")) {
            g_autofree char *path = g_build_filename("theirs", name, NULL);

            assert_int_equal(rmdir(path), 0);
            assert_int_equal(mkdir(path, 0777) || chown(path, OTHER, OTHER), 0);
        }
    g_dir_close(dir);
}

static void a_draft_that_was_exchanged_is_not_used(void **state)
{
    g_auto(CstPlace) place = CST_PLACE_INIT;
    g_autofree char *name = NULL;
    g_auto(CstFd) draft = -1;
    struct stat st;

    assert_true(cst_place_init(&place, "theirs/new", NULL));
    point_run("place.draft.made", replace_draft, NULL);
    draft = cst_place_make_draft(&place, &name, NULL);
    assert_int_equal(fstat(draft, &st), 0);
    assert_int_equal(st.st_uid, geteuid());
    points_clear();
}

static void assert_draft_is_made(const CstPlace *place)
{
    g_autofree char *name = NULL;
    g_auto(CstFd) draft = cst_place_make_draft(place, &name, NULL);

    assert_true(draft >= 0);
    assert_true(cst_place_drop_draft(place, draft, name, NULL, NULL));
}

static void a_draft_is_made_where_owner_or_mode_are_not_kept(void **state)
{
    g_auto(CstPlace) place = CST_PLACE_INIT;

    assert_true(cst_place_init(&place, "private/new", NULL));
    keeps_no_mode = TRUE;
    assert_draft_is_made(&place);
    maps_owner = TRUE;
    assert_draft_is_made(&place);
    keeps_no_mode = FALSE;
    assert_draft_is_made(&place);
    maps_owner = FALSE;
}

/* A directory of ours that another user can enter: its files keep their modes. */
static void open_draft(gpointer data)
{
    GDir *dir = g_dir_open("theirs", 0, NULL);
    const char *name;

    while ((name = g_dir_read_name(dir)))
        if (g_str_has_prefix(name, ".cistern-")) {
            g_autofree char *path = g_build_filename("theirs", name, NULL);

            assert_int_equal(chmod(path, 0755), 0);
        }
    g_dir_close(dir);
}

static void a_draft_that_another_user_can_enter_is_not_used(void **state)
{
    g_auto(CstPlace) place = CST_PLACE_INIT;
    g_autofree char *name = NULL;
    g_autoptr(GError) error = NULL;

    assert_true(cst_place_init(&place, "theirs/new", NULL));
    point_run_always("place.draft.made", open_draft, NULL);
    assert_int_equal(cst_place_make_draft(&place, &name, &error), -1);
    assert_true(g_error_matches(error, CST_ERROR, CST_ERROR_DENIED));
    points_clear();
}

static void always_exchanged_drafts_are_an_error(void **state)
{
    g_auto(CstPlace) place = CST_PLACE_INIT;
    g_autofree char *name = NULL;
    g_autoptr(GError) error = NULL;

    assert_true(cst_place_init(&place, "theirs/new", NULL));
    point_run_always("place.draft.made", replace_draft, NULL);
    assert_int_equal(cst_place_make_draft(&place, &name, &error), -1);
    assert_true(g_error_matches(error, CST_ERROR, CST_ERROR_DENIED));
    points_clear();
}

static void assert_makes_no_draft(const CstPlace *place, const char *text)
{
    g_autofree char *name = NULL;
    g_autoptr(GError) error = NULL;

    point_watch("place.draft.undo");
    assert_int_equal(cst_place_make_draft(place, &name, &error), -1);
    assert_non_null(strstr(error->message, text));
    assert_int_equal(point_passed("place.draft.undo"), 1);
    points_clear();
    assert_int_equal(unlink("private/victim"), 0);
    assert_int_equal(rmdir("private"), 0); /* it is empty */
}

static void draft_that_cannot_be_opened_is_removed(void **state)
{
    g_auto(CstPlace) place = CST_PLACE_INIT;

    assert_true(cst_place_init(&place, "private/new", NULL));
    open_fails = ".cistern-";
    fail_errno = EMFILE;
    assert_makes_no_draft(&place, "'private/new': Too many open files");
    open_fails = NULL;
}

static void draft_without_space_for_its_probe_is_removed(void **state)
{
    g_auto(CstPlace) place = CST_PLACE_INIT;

    assert_true(cst_place_init(&place, "private/new", NULL));
    keeps_no_mode = TRUE;
    open_fails = ".cistern-probe";
    fail_errno = ENOSPC;
    assert_makes_no_draft(&place, "'private/new': No space left on device");
    open_fails = NULL;
    keeps_no_mode = FALSE;
}

static void draft_that_cannot_be_removed_is_named(void **state)
{
    g_auto(CstPlace) place = CST_PLACE_INIT;
    g_autofree char *name = NULL, *path = NULL;
    g_autoptr(GError) error = NULL;
    g_auto(CstFd) draft = -1;

    assert_true(cst_place_init(&place, "private/new", NULL));
    draft = cst_place_make_draft(&place, &name, NULL);
    remove_fails = TRUE;
    fail_errno = EIO;
    assert_false(cst_place_drop_draft(&place, draft, name, NULL, &error));
    remove_fails = FALSE;
    path = g_strdup_printf("'private/%s'", name);
    assert_non_null(strstr(error->message, path));
    assert_non_null(strstr(error->message, "Input/output error"));
    assert_true(cst_place_drop_draft(&place, draft, name, NULL, NULL));
}

static void only_the_file_that_was_meant_is_removed(void **state)
{
    g_auto(CstPlace) place = CST_PLACE_INIT;
    struct stat st;

    assert_true(g_file_set_contents("theirs/a", "ours", -1, NULL));
    assert_true(cst_place_init(&place, "theirs/a", NULL) && cst_place_stat(&place, &st));
    assert_int_equal(rename("theirs/a", "theirs/b"), 0);
    assert_int_equal(link("private/victim", "theirs/a"), 0);
    cst_place_remove(&place, &st);
    assert_int_equal(access("theirs/a", F_OK), 0);
    assert_int_equal(unlink("theirs/a"), 0);
    assert_int_equal(rename("theirs/b", "theirs/a"), 0);
    cst_place_remove(&place, &st);
    assert_int_equal(access("theirs/a", F_OK), -1);
}

static int open_output(const char *path, gboolean *ret_created, GError **error)
{
    g_auto(CstPlace) place = CST_PLACE_INIT;

    return cst_place_init(&place, path, error)
               ? cst_place_open_output(&place, 0640, ret_created, error)
               : -1;
}

static void assert_output_refused(const char *path)
{
    g_autoptr(GError) error = NULL;
    gboolean created;

    assert_int_equal(open_output(path, &created, &error), -1);
    if (!g_error_matches(error, CST_ERROR, CST_ERROR_DENIED))
        fail_msg("%s: %s", path, error->message);
}

static void output_never_opens_files_of_another_user(void **state)
{
    g_auto(CstFd) fd = -1;
    gboolean created;

    /* Made by the other user to be filled; and another name of a file of ours. */
    assert_true(g_file_set_contents("sticky/made", "", 0, NULL));
    assert_int_equal(chown("sticky/made", OTHER, OTHER), 0);
    assert_output_refused("sticky/made");
    assert_int_equal(link("private/victim", "sticky/hard"), 0);
    assert_output_refused("sticky/hard");
    assert_int_equal(link("private/victim", "theirs/link"), 0);
    assert_output_refused("theirs/link");
    fd = open_output("theirs/new", &created, NULL);
    assert_true(fd >= 0 && created);
    cst_fd_clear(&fd);
    fd = open_output("theirs/new", &created, NULL);
    assert_true(fd >= 0 && !created);
    cst_fd_clear(&fd);
    /* Their own file in their own directory. */
    assert_int_equal(chown("theirs/new", OTHER, OTHER), 0);
    fd = open_output("theirs/new", &created, NULL);
    assert_true(fd >= 0);
    cst_fd_clear(&fd);
    fd = open_output("/dev/stdout", &created, NULL);
    assert_true(fd >= 0 && !created);
}

static void new_name_replaces_no_existing_file(void **state)
{
    g_auto(CstPlace) place = CST_PLACE_INIT;
    g_autoptr(GError) error = NULL;
    g_autofree char *text = NULL;
    GStatBuf st;

    assert_true(cst_place_init(&place, "private/victim", NULL));
    assert_false(cst_place_replace(&place, "new", 3, 0644, FALSE, &error));
    assert_true(g_error_matches(error, CST_ERROR, CST_ERROR_EXISTS));
    assert_true(g_file_get_contents("private/victim", &text, NULL, NULL));
    assert_string_equal(text, "secret");
    assert_true(cst_place_replace(&place, "new", 3, 0644, TRUE, NULL));
    assert_int_equal(g_stat("private/victim", &st), 0);
    assert_int_equal(st.st_mode & 07777, 0644);
    assert_int_equal(st.st_size, 3);
    /* No draft is left. */
    assert_int_equal(unlink("private/victim"), 0);
    assert_int_equal(rmdir("private"), 0);
}

static void test_missing_directories_are_made_private(void **state)
{
    g_auto(CstPlace) place = CST_PLACE_INIT;
    struct stat st;

    assert_true(cst_place_init_making(&place, "private/a/b/name", NULL));
    assert_string_equal(place.name, "name");
    assert_true(place.closed);
    assert_int_equal(stat("private/a", &st), 0);
    assert_int_equal(st.st_mode & 07777, 0700);
    assert_int_equal(stat("private/a/b", &st), 0);
    assert_int_equal(st.st_mode & 07777, 0700);
    assert_int_equal(access("private/a/b/name", F_OK), -1);
}

static void exchange_made_directory(gpointer unused)
{
    assert_int_equal(rename("theirs/a", "theirs/moved"), 0);
    assert_int_equal(symlink("../private", "theirs/a"), 0);
    assert_int_equal(lchown("theirs/a", OTHER, OTHER), 0);
}

static void test_made_directory_that_becomes_a_link_is_not_entered(void **state)
{
    g_auto(CstPlace) place = CST_PLACE_INIT;
    g_autoptr(GError) error = NULL;

    point_run("place.parent.made", exchange_made_directory, NULL);
    assert_false(cst_place_init_making(&place, "theirs/a/b/name", &error));
    points_clear();
    assert_int_equal(cst_error_code(error), CST_ERROR_DENIED);
    assert_int_equal(access("private/b", F_OK), -1);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(links_that_another_user_can_change_are_refused),
        TEST(trusted_links_are_followed),
        TEST(input_is_no_link_of_another_user),
        TEST(a_link_may_be_the_place_itself),
        TEST(hard_link_that_another_user_can_have_made_is_refused),
        TEST(the_own_links_of_a_served_user_are_followed),
        TEST(loops_and_nameless_paths_end),
        TEST(a_directory_that_can_be_exchanged_is_named),
        TEST(steps_stay_in_the_directory_that_was_opened),
        TEST(a_draft_that_was_exchanged_is_not_used),
        TEST(always_exchanged_drafts_are_an_error),
        TEST(a_draft_is_made_where_owner_or_mode_are_not_kept),
        TEST(a_draft_that_another_user_can_enter_is_not_used),
        TEST(draft_that_cannot_be_opened_is_removed),
        TEST(draft_without_space_for_its_probe_is_removed),
        TEST(draft_that_cannot_be_removed_is_named),
        TEST(only_the_file_that_was_meant_is_removed),
        TEST(output_never_opens_files_of_another_user),
        TEST(new_name_replaces_no_existing_file),
        TEST(test_missing_directories_are_made_private),
        TEST(test_made_directory_that_becomes_a_link_is_not_entered),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
