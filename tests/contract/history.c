/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "contract.h"

#include <string.h>

/* Volumes that are moved with their snapshots, whoever keeps these on either side. */

#define BLOCKS ((guint)(VOLUME_SIZE / TAG_BLOCK))

/* --- a volume with a history ------------------------------------------------------------------ */

static const char *const contents[] = {"one", "two", "three", NULL}; /* NULL: now */

/* The former and the present content of the volume (GByteArray), in the order of sending. */
static GPtrArray *history_sent(Site *site, CstPool *pool, const char *volume)
{
    GPtrArray *sent = g_ptr_array_new_with_free_func((GDestroyNotify)g_byte_array_unref);
    CstPool *own = site->pool;

    site->pool = pool;
    for (size_t i = 0; i < G_N_ELEMENTS(contents); i++)
        g_ptr_array_add(sent, content_sent(site, volume, contents[i]));
    site->pool = own;
    return sent;
}

static void take(Site *site, const char *name)
{
    g_autoptr(GError) error = NULL;

    cst_vol_snapshot_create(site->pool, "v", name, 0, NULL, &error);
    assert_no_error(error);
}

/* Classic snapshots of LVM keep their volume to its size. */
static gboolean grow(Site *site, uint64_t capacity)
{
    g_autoptr(GError) error = NULL;
    gboolean grown = cst_vol_resize(site->pool, "v", capacity, 0, NULL, &error);

    if (!grown)
        assert_error(&error, CST_ERROR_BUSY);
    return grown;
}

/* Written here and there, taken back to zeroes, and larger at last, where that can be. */
static void make_history(Site *site)
{
    volume_make(site, "v", VOLUME_SIZE);
    content_write(site, "v", 0, BLOCKS / 2, 1);
    take(site, "one");
    content_write(site, "v", 3, 4, 2);
    content_write(site, "v", BLOCKS - 1, 1, 3);
    take(site, "two");
    content_write(site, "v", 5, 1, 0);
    content_write(site, "v", 20, 1, 4);
    if (grow(site, 2 * VOLUME_SIZE))
        content_write(site, "v", 2 * BLOCKS - 2, 1, 5);
    take(site, "three");
    content_write(site, "v", 0, 1, 6);
}

static void assert_same(const GPtrArray *sent, const GPtrArray *wanted)
{
    for (guint i = 0; i < wanted->len; i++) {
        const GByteArray *is = g_ptr_array_index(sent, i), *was = g_ptr_array_index(wanted, i);

        if (is->len != was->len || memcmp(is->data, was->data, was->len) != 0)
            fail_msg("%s: %u bytes, %u were sent", contents[i] ? contents[i] : "now", is->len,
                     was->len);
    }
}

static void assert_history(Site *site, CstPool *pool, const char *volume, const GPtrArray *wanted)
{
    g_autoptr(GPtrArray) sent = history_sent(site, pool, volume);
    g_autofree char *names = NULL;
    CstPool *own = site->pool;

    assert_same(sent, wanted);
    site->pool = pool;
    names = snapshot_names(site, volume);
    site->pool = own;
    assert_string_equal(names, "one two three");
}

static void move(CstPool *pool, const char *volume, CstPool *to, const char *name,
                 const char *format)
{
    const CstVolMove how = {.name = name, .format = format};
    g_autoptr(GError) error = NULL;

    cst_vol_move(pool, volume, to, &how, NULL, &error);
    assert_no_error(error);
}

/* A revert shows that snapshots which were made of a copy are as good as those of before. */
static void assert_reverts(Site *site, CstPool *pool, const char *volume, const GPtrArray *wanted)
{
    static const char *const agreed[] = {"two", "three", NULL};
    const GByteArray *was = g_ptr_array_index(wanted, 0);
    CstPool *own = site->pool;
    g_autoptr(GByteArray) is = NULL;
    g_autoptr(GError) error = NULL;

    cst_vol_snapshot_revert(pool, volume, "one", agreed, NULL, &error);
    assert_no_error(error);
    site->pool = pool;
    is = content_sent(site, volume, NULL);
    site->pool = own;
    assert_int_equal(is->len, was->len);
    assert_memory_equal(is->data, was->data, was->len);
}

/* --- to its like ------------------------------------------------------------------------------ */

/* The volume stays where an image of its format would be without its snapshots. */
static void assert_refused(Site *site, CstPool *to)
{
    g_autofree char *before = site_native(site, "p");
    const CstVolMove how = {.format = "vdi"};
    g_autofree char *after = NULL;
    g_autoptr(GError) error = NULL;

    assert_false(cst_vol_move(site->pool, "v", to, &how, NULL, &error));
    assert_error_says(&error, CST_ERROR_BUSY,
                      "(format 'vdi' cannot store snapshots); delete them, or make volumes of them "
                      "(snap-clone), first:\n  one\n  two\n  three");
    after = site_native(site, "p");
    assert_string_equal(after, before);
}

static void they_go_along(Site *site)
{
    g_autoptr(CstPool) other = site_make_pool(site, "q");
    g_autofree char *empty = site_native(site, "p"), *after = NULL;
    g_autoptr(GPtrArray) wanted = NULL;

    make_history(site);
    wanted = history_sent(site, site->pool, "v");
    move(site->pool, "v", other, "w", NULL);
    after = site_native(site, "p");
    assert_string_equal(after, empty);
    assert_history(site, other, "w", wanted);
    move(other, "w", site->pool, "v", NULL);
    assert_history(site, site->pool, "v", wanted);
    assert_reverts(site, site->pool, "v", wanted);
}

/* --- to images, and back ---------------------------------------------------------------------- */

static CstPool *make_pool_of_files(Site *site)
{
    g_autofree char *path = g_build_filename(site->root, "images", NULL);
    g_autofree char *xml = g_strdup_printf(
        "<pool type='dir'><name>images</name><target><path>%s</path></target></pool>", path);

    return site_make_pool_of(site, xml);
}

static void an_image_keeps_them(Site *site)
{
    g_autoptr(CstPool) images = NULL;
    g_autofree char *empty = site_native(site, "p"), *after = NULL;
    g_autoptr(GPtrArray) wanted = NULL;

    if (site_has(site, GROUND_ALONE))
        return;
    images = make_pool_of_files(site);
    make_history(site);
    wanted = history_sent(site, site->pool, "v");
    assert_refused(site, images);
    move(site->pool, "v", images, "w", "qcow2");
    after = site_native(site, "p");
    assert_string_equal(after, empty);
    assert_history(site, images, "w", wanted);
    move(images, "w", site->pool, "v", site->ground->format);
    assert_history(site, site->pool, "v", wanted);
    assert_reverts(site, site->pool, "v", wanted);
}

const ContractTest history_tests[] = {
    {"snapshots are moved along", they_go_along, GROUND_SNAPSHOTS, NULL},
    {"snapshots are moved into images and back", an_image_keeps_them, GROUND_SNAPSHOTS, NULL},
    {0},
};
