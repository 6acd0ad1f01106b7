/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Recorded references of images: search by path and by identity, and changes. */
#include <store/overlays.h>

#include "declared.h"

static void change_overlays(const Root *root, CstOverlay *removed, CstOverlay *added)
{
    g_autoptr(GPtrArray) out = g_ptr_array_new_with_free_func((GDestroyNotify)cst_overlay_free);
    g_autoptr(GPtrArray) in = g_ptr_array_new_with_free_func((GDestroyNotify)cst_overlay_free);

    if (removed)
        g_ptr_array_add(out, removed);
    if (added)
        g_ptr_array_add(in, added);
    assert_true(cst_overlays_change(root->store, out, in, NULL));
}

static CstOverlay *overlay_on(const char *volume, const char *path, uint64_t inode, gint64 btime)
{
    const CstFileId base = {.inode = inode, .btime_ns = btime};

    return cst_overlay_new("/over", volume, path, &base);
}

static void assert_overlays_on(const Root *root, const char *path, uint64_t inode, gint64 btime,
                               const char *wanted)
{
    const CstFileId base = {.inode = inode, .btime_ns = btime};
    g_autoptr(GPtrArray) found = cst_overlays_on(root->store, path, &base, NULL);
    g_autoptr(GString) names = g_string_new(NULL);

    assert_non_null(found);
    for (guint i = 0; i < found->len; i++)
        g_string_append_printf(names, "%s ", ((CstOverlay *)g_ptr_array_index(found, i))->volume);
    assert_string_equal(names->str, wanted);
}

static void overlays_are_found_by_the_path_or_the_identity_of_their_base(void **state)
{
    Root *root = *state;

    change_overlays(root, NULL, overlay_on("a", "/bases/b", 0, 0));
    change_overlays(root, NULL, overlay_on("b", "/link/b", 7, 5));
    change_overlays(root, NULL, overlay_on("c", "/bases/other", 8, 5));
    assert_overlays_on(root, "/bases/b", 7, 5, "a b ");
    assert_overlays_on(root, "/bases/b", 0, 0, "a ");
    assert_overlays_on(root, "/elsewhere", 7, 6, "");
}

static void inode_without_a_birth_time_is_no_identity(void **state)
{
    Root *root = *state;

    change_overlays(root, NULL, overlay_on("a", "/link/b", 7, 0));
    assert_overlays_on(root, "/bases/b", 7, 0, "");
}

static void removed_overlay_is_not_found_and_the_next_process_finds_the_rest(void **state)
{
    Root *root = *state;
    g_autoptr(GPtrArray) found = NULL;

    change_overlays(root, NULL, overlay_on("a", "/bases/b", 7, 5));
    change_overlays(root, overlay_on("a", "/bases/b", 0, 0), overlay_on("a2", "/bases/b", 7, 5));
    cst_declarations_free(root->store);
    root->store = cst_declarations_new(root->paths);
    assert_overlays_on(root, "/bases/b", 7, 5, "a2 ");
    found = cst_overlays_of_dir(root->store, "/over", NULL);
    assert_int_equal(found->len, 1);
    g_ptr_array_unref(found);
    found = cst_overlays_of_volume(root->store, "/over", "a", NULL);
    assert_int_equal(found->len, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(overlays_are_found_by_the_path_or_the_identity_of_their_base),
        TEST(inode_without_a_birth_time_is_no_identity),
        TEST(removed_overlay_is_not_found_and_the_next_process_finds_the_rest),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
