/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Images opened by path, in directories with hostile names. Parts come only from the image's own
 * directory. A data file must also be named by the caller. A backing image is opened only on
 * request.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <base/error.h>
#include <base/units.h>
#include <blob/blob.h>
#include <image/hold.h>
#include <image/path.h>

#include "../pool/tree.h"

enum { SIZE = 4096, NOBODY = 65534 };

/* The image's file, "in/disk". Planted files are in the same directory and in "out". */
static CstBlob *owner;

static CstBlob *open_file(const char *name, gboolean writable)
{
    g_autofree char *path = at(name);
    CstBlob *blob = cst_blob_file_open(path, writable, NULL);

    assert_non_null(blob);
    return blob;
}

static int setup(void **state)
{
    g_autofree char *fifo = NULL;

    root = g_dir_make_tmp("path-XXXXXX", NULL);
    make_dir("in", 0755);
    make_dir("out", 0755);
    fifo = at("in/fifo");
    assert_int_equal(mkfifo(fifo, 0644), 0);
    put("in/disk", "disk");
    put("in/part", "part");
    put("out/other", "other");
    make_link("in/near", "part");
    make_link("in/far", "../out/other");
    owner = open_file("in/disk", TRUE);
    return 0;
}

static int teardown(void **state)
{
    cst_blob_unref(owner);
    remove_tree();
    return 0;
}

/* --- names ------------------------------------------------------------------------------------ */

static void name_means_a_file_in_the_directory_of_the_image(void **state)
{
    static const struct {
        const char *owner, *name, *path;
    } cases[] = {
        {"/a/disk", "base", "/a/base"},
        {"/a/disk", "/b/base", "/b/base"},
        {"disk", "base", "base"},
        {"a/disk", "b/base", "a/b/base"},
        {"/a/disk", "file:base", "/a/base"},
        {"/a/disk", "file:/b", "/b"},
        {"/a/disk", "nbd://host", NULL},
        {"/a/disk", "json:{}", NULL},
        {"/a/disk", "a:b/c", NULL},
        {"/a/disk", "./a:b", "/a/./a:b"},
        {"/a/disk", "b/c:d", "/a/b/c:d"},
    };

    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autofree char *path = cst_path_named(cases[i].owner, cases[i].name);

        if (g_strcmp0(path, cases[i].path) != 0)
            fail_msg("'%s' in '%s' is '%s'", cases[i].name, cases[i].owner, path ? path : "none");
    }
}

/* --- parts ------------------------------------------------------------------------------------ */

static CstErrorCode try_part(const char *name, gboolean writable)
{
    const CstImageFiles files = cst_path_parts(owner);
    g_autoptr(GError) error = NULL;
    g_autoptr(CstBlob) part = files.open(name, writable, files.data, &error);

    assert_int_equal(part == NULL, error != NULL);
    assert_true(!part || part->writable == writable);
    return error ? (CstErrorCode)error->code : 0;
}

static void parts_come_from_the_images_own_folder(void **state)
{
    static const struct {
        const char *name;
        CstErrorCode code; /* 0: it is opened */
    } cases[] = {
        {"part", 0},
        {"near", 0},
        {"far", CST_ERROR_DENIED},
        {"../out/other", CST_ERROR_INVALID},
        {"/etc/passwd", CST_ERROR_INVALID},
        {"..", CST_ERROR_INVALID},
        {"", CST_ERROR_INVALID},
        {"none", CST_ERROR_NOT_FOUND},
    };

    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++)
        for (int writable = 0; writable < 2; writable++) {
            CstErrorCode code = try_part(cases[i].name, writable);

            if (code != cases[i].code)
                fail_msg("'%s' gives %d", cases[i].name, (int)code);
        }
}

/* Another user owns the image's directory, and exchanges it or links a part in it. */
static void part_is_no_file_that_another_user_leads_to(void **state)
{
    g_autofree char *in = at("in"), *moved = at("moved"), *out = at("out"), *part = at("in/part");
    g_autofree char *named = at("out/part"), *hard = at("in/hard");

    if (geteuid() != 0)
        skip();
    put("out/part", "secret");
    assert_int_equal(chown(in, NOBODY, NOBODY), 0);
    assert_int_equal(try_part("part", TRUE), 0);
    assert_int_equal(try_part("near", TRUE), CST_ERROR_DENIED);
    assert_int_equal(link(named, hard), 0);
    for (int writable = 0; writable < 2; writable++)
        assert_int_equal(try_part("hard", writable), CST_ERROR_DENIED);
    assert_int_equal(unlink(hard), 0);
    assert_int_equal(rename(in, moved), 0);
    assert_int_equal(symlink(out, in), 0);
    assert_int_equal(try_part("part", TRUE), 0); /* the link is root's */
    assert_int_equal(lchown(in, NOBODY, NOBODY), 0);
    assert_int_equal(try_part("part", TRUE), CST_ERROR_DENIED);
    assert_int_equal(unlink(in), 0);
    assert_int_equal(rename(moved, in), 0);
    assert_int_equal(unlink(named), 0);
}

/* The image is in a directory like /tmp. Another user cannot exchange the link of root there. */
static void link_of_a_trusted_user_in_a_sticky_directory_is_a_part(void **state)
{
    g_autofree char *in = at("in"), *near = at("in/near");
    g_autofree char *hint = g_strdup_printf("cannot use '%s'", near);
    const CstImageFiles files = cst_path_parts(owner);
    g_autoptr(GError) error = NULL;

    if (geteuid() != 0)
        skip();
    assert_int_equal(chmod(in, 01777), 0);
    assert_int_equal(try_part("near", TRUE), 0);
    assert_int_equal(try_part("far", TRUE), CST_ERROR_DENIED);
    assert_int_equal(lchown(near, NOBODY, NOBODY), 0);
    assert_null(files.open("near", TRUE, files.data, &error));
    assert_true(g_error_matches(error, CST_ERROR, CST_ERROR_DENIED));
    assert_non_null(strstr(error->message, hint));
    assert_non_null(strstr(error->message, "is a symbolic link that another user can change"));
}

/* A directory that can be searched but not listed, for a user who is not its owner. */
static void a_folder_needs_not_be_listed(void **state)
{
    g_autofree char *in = at("in");
    int status = 0;
    pid_t child;

    assert_int_equal(chmod(root, 0755), 0);
    assert_int_equal(chmod(in, 0111), 0);
    child = fork();
    if (child == 0) {
        if (geteuid() == 0 && setresuid(NOBODY, NOBODY, NOBODY) != 0)
            _exit(2);
        _exit(try_part("part", FALSE) != 0);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(chmod(in, 0755), 0);
    assert_int_equal(status, 0);
}

static void new_part_replaces_no_existing_file(void **state)
{
    static const char *const taken[] = {"part", "near", "far", "fifo", "disk"};
    const CstImageFiles files = cst_path_parts(owner);
    g_autoptr(CstBlob) part = files.create("new", files.data, NULL);
    g_autofree char *path = at("in/new");
    struct stat st;

    assert_non_null(part);
    assert_true(cst_blob_pwrite(part, "x", 1, 0, NULL));
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_size, 1);
    for (size_t i = 0; i < G_N_ELEMENTS(taken); i++) {
        g_autoptr(GError) error = NULL;

        assert_null(files.create(taken[i], files.data, &error));
        assert_non_null(error);
    }
    assert_null(files.create("../out/new", files.data, NULL));
    g_clear_pointer(&path, g_free);
    path = at("out/new");
    assert_int_not_equal(stat(path, &st), 0);
}

/* The pipe has no writer, so that opening it could wait forever. */
static void a_pipe_is_no_part_and_is_not_waited_for(void **state)
{
    assert_int_not_equal(try_part("fifo", FALSE), 0);
    assert_int_not_equal(try_part("fifo", TRUE), 0);
}

/* --- data files ------------------------------------------------------------------------------- */

static CstErrorCode try_data(const char *name, const char *consented, gboolean writable)
{
    g_autofree char *other = at("in/part"), *path = at(consented);
    const char *const paths[] = {other, path, NULL};
    g_autoptr(GError) error = NULL;
    g_autoptr(CstBlob) data = cst_path_open_data(owner, name, paths, writable, &error);

    assert_int_equal(data == NULL, error != NULL);
    assert_true(!data || (g_str_equal(data->name, path) && data->writable == writable));
    return error ? (CstErrorCode)error->code : 0;
}

static void data_file_must_be_named_by_the_caller(void **state)
{
    static const struct {
        const char *name, *consented;
        CstErrorCode code;
    } cases[] = {
        {"../out/other", "out/other", 0},
        {"far", "out/other", 0},
        {"../out/other", "in/far", 0},
        {"disk", "out/other", CST_ERROR_DENIED},
        {"../out/other", "out/none", CST_ERROR_DENIED},
        {"none", "out/other", CST_ERROR_NOT_FOUND},
        {"nbd://host", "out/other", CST_ERROR_DENIED},
    };

    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++)
        for (int writable = 0; writable < 2; writable++) {
            CstErrorCode code = try_data(cases[i].name, cases[i].consented, writable);

            if (code != cases[i].code)
                fail_msg("'%s' as '%s' gives %d", cases[i].name, cases[i].consented, (int)code);
        }
}

static void a_data_file_that_is_written_is_claimed(void **state)
{
    g_autoptr(CstBlob) holder = open_file("out/other", TRUE);

    assert_true(cst_image_hold(holder, NULL));
    assert_int_equal(try_data("far", "out/other", TRUE), CST_ERROR_BUSY);
    assert_int_equal(try_data("far", "out/other", FALSE), 0);
}

/* --- chains ----------------------------------------------------------------------------------- */

/* An image in "in" that is based on @backing. */
static char *put_image(const char *backing)
{
    const CstImageCreate options = {
        .capacity = CST_MIB, .backing = backing, .backing_format = backing ? "raw" : NULL};
    g_autoptr(CstBlob) blob = open_file("in/disk", TRUE);

    assert_true(cst_blob_resize(blob, 0, NULL));
    assert_true(cst_image_create(blob, cst_image_format_find("qcow2", NULL), &options, NULL, NULL));
    return at("in/disk");
}

static CstErrorCode try_chain(const char *path, unsigned open_flags, unsigned path_flags,
                              guint length)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(CstChain) chain =
        cst_path_open(path, cst_image_format_find("qcow2", NULL), open_flags, path_flags, &error);

    assert_int_equal(chain == NULL, error != NULL);
    assert_true(!chain || cst_chain_length(chain) == length);
    return error ? (CstErrorCode)error->code : 0;
}

static void backing_image_is_opened_only_on_request(void **state)
{
    static const unsigned ways[] = {0, CST_IMAGE_WRITE};

    for (size_t i = 0; i < G_N_ELEMENTS(ways); i++) {
        g_autofree char *alone = put_image(NULL);
        g_autofree char *based = NULL, *remote = NULL;

        assert_int_equal(try_chain(alone, ways[i], 0, 1), 0);
        assert_int_equal(try_chain(alone, ways[i], CST_PATH_FOLLOW, 1), 0);
        based = put_image("../out/other");
        assert_int_equal(try_chain(based, ways[i], 0, 1), CST_ERROR_DENIED);
        assert_int_equal(try_chain(based, ways[i], CST_PATH_FOLLOW, 2), 0);
        remote = put_image("nbd://localhost:1/x");
        assert_int_equal(try_chain(remote, ways[i], CST_PATH_FOLLOW, 2), CST_ERROR_UNSUPPORTED);
    }
}

static void an_image_that_is_written_is_claimed(void **state)
{
    g_autofree char *path = put_image(NULL);
    g_autoptr(CstChain) chain = cst_path_open(path, NULL, CST_IMAGE_WRITE, 0, NULL);

    assert_non_null(chain);
    assert_int_equal(try_chain(path, CST_IMAGE_WRITE, 0, 1), CST_ERROR_BUSY);
    assert_int_equal(try_chain(path, 0, 0, 1), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(name_means_a_file_in_the_directory_of_the_image),
        cmocka_unit_test_setup_teardown(parts_come_from_the_images_own_folder, setup, teardown),
        cmocka_unit_test_setup_teardown(part_is_no_file_that_another_user_leads_to, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(link_of_a_trusted_user_in_a_sticky_directory_is_a_part,
                                        setup, teardown),
        cmocka_unit_test_setup_teardown(a_folder_needs_not_be_listed, setup, teardown),
        cmocka_unit_test_setup_teardown(new_part_replaces_no_existing_file, setup, teardown),
        cmocka_unit_test_setup_teardown(a_pipe_is_no_part_and_is_not_waited_for, setup, teardown),
        cmocka_unit_test_setup_teardown(data_file_must_be_named_by_the_caller, setup, teardown),
        cmocka_unit_test_setup_teardown(a_data_file_that_is_written_is_claimed, setup, teardown),
        cmocka_unit_test_setup_teardown(backing_image_is_opened_only_on_request, setup, teardown),
        cmocka_unit_test_setup_teardown(an_image_that_is_written_is_claimed, setup, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
