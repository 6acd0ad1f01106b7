/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "contract.h"

#include <string.h>

#include "await.h"

/* Volumes that are there, whoever attached them: found, filled, wiped, and no more than that. */

#define BLOCKS (VOLUME_SIZE / TAG_BLOCK)

/* The last volume of the pool, by the technology's own word; free it. */
static char *last_volume(Site *site)
{
    g_auto(GStrv) names = site->ground->native_list("p");
    guint count = g_strv_length(names);

    assert_true(count > 1);
    return g_strdup(names[count - 1]);
}

static void assert_as_native(Site *site)
{
    g_autofree char *names = volume_names(site);
    g_autofree char *native = site_native(site, "p");

    assert_string_equal(names, native);
}

static void wait_for(Site *site, const char *name, gboolean listed)
{
    if (site_has(site, GROUND_UNWATCHED))
        assert_true(cst_pool_refresh(site->pool, 0, NULL, NULL));
    AWAIT_STATE(cst_pool_has_volume(site->pool, name, NULL) == listed, "volume '%s'", name);
    assert_as_native(site);
}

/* udev looks at what was written, and has it open while it does. */
static gboolean wipe(CstPool *pool, const char *volume, GError **error)
{
    g_strfreev(site_shell("! command -v udevadm && exit; udevadm settle", "", ""));
    return cst_vol_wipe(pool, volume, CST_WIPE_ZERO, 0, NULL, error);
}

static void listing(Site *site)
{
    g_auto(GStrv) names = site->ground->native_list("p");
    g_autoptr(GPtrArray) rows = NULL;
    g_autoptr(GError) error = NULL;
    CstPoolInfo info;

    assert_as_native(site);
    for (char **name = names; *name; name++)
        volume_assert_found(site, *name);
    rows = cst_pool_list_volumes(site->pool, NULL, 0, CST_VOL_ROWS_DETAILS, &error);
    assert_no_error(error);
    for (guint i = 0; i < rows->len; i++) {
        const CstVolRow *row = g_ptr_array_index(rows, i);

        assert_null(row->problem);
        assert_int_equal(row->info.type,
                         site_has(site, GROUND_UNWATCHED) ? CST_VOL_NETWORK : CST_VOL_BLOCK);
        assert_int_equal(row->info.capacity, VOLUME_SIZE);
    }
    cst_pool_get_info(site->pool, &info);
    assert_int_equal(info.volumes, rows->len);
    assert_int_equal(info.capacity, rows->len * VOLUME_SIZE);
    assert_int_equal(info.allocation, info.capacity);
}

static void assert_refused(gboolean done, int code, GError **error)
{
    assert_false(done);
    assert_error(error, code);
}

static void nothing_is_made(Site *site)
{
    g_autofree char *volume = last_volume(site);
    g_autofree char *xml = volume_xml(site, "new", VOLUME_SIZE);
    g_autofree char *made = NULL;
    g_autoptr(GError) error = NULL;

    assert_refused(cst_vol_create(site->pool, xml, 0, NULL, &made, &error), CST_ERROR_NO_SUPPORT,
                   &error);
    assert_refused(cst_vol_create_from(site->pool, xml, site->pool, volume, 0, NULL, &made, &error),
                   CST_ERROR_NO_SUPPORT, &error);
    assert_refused(cst_vol_resize(site->pool, volume, 2 * VOLUME_SIZE, 0, NULL, &error),
                   CST_ERROR_NO_SUPPORT, &error);
    assert_refused(cst_vol_delete(site->pool, volume, 0, NULL, &error), CST_ERROR_NO_SUPPORT,
                   &error);
    assert_refused(cst_vol_snapshot_create(site->pool, volume, "s", 0, NULL, &error),
                   CST_ERROR_UNSUPPORTED, &error);
    assert_refused(cst_vol_rename(site->pool, volume, "new", NULL, &error), CST_ERROR_NO_SUPPORT,
                   &error);
    assert_as_native(site);
}

static void content(Site *site)
{
    g_autofree char *volume = last_volume(site);
    g_autofree uint32_t *tags = g_new0(uint32_t, BLOCKS);
    g_autofree char *piece = g_malloc0(TAG_BLOCK);
    g_autoptr(CstUpload) upload = NULL;
    g_autoptr(GError) error = NULL;

    content_write(site, volume, 0, BLOCKS, 1);
    content_write(site, volume, 5, 1, 2);
    for (guint i = 0; i < BLOCKS; i++)
        tags[i] = i == 5 ? 2 : 1;
    content_assert(site, volume, tags, BLOCKS);
    upload = cst_vol_upload(site->pool, volume, VOLUME_SIZE - TAG_BLOCK, 0, 0, NULL, &error);
    assert_no_error(error);
    assert_true(cst_upload_write(upload, piece, TAG_BLOCK, NULL));
    assert_refused(cst_upload_write(upload, piece, TAG_BLOCK, &error), CST_ERROR_NO_SPACE, &error);
    g_clear_pointer(&upload, cst_upload_free);
    wipe(site->pool, volume, &error);
    assert_no_error(error);
    content_assert_all(site, volume, 0);
}

static void holding(Site *site)
{
    g_autofree char *volume = last_volume(site);
    g_autoptr(GError) error = NULL;

    if (!site->ground->hold)
        return;
    content_write(site, volume, 0, BLOCKS, 3);
    site->ground->hold("p", volume);
    assert_refused(wipe(site->pool, volume, &error), CST_ERROR_BUSY, &error);
    content_assert_all(site, volume, 3);
    site->ground->release("p", volume);
    wipe(site->pool, volume, &error);
    assert_no_error(error);
    content_assert_all(site, volume, 0);
}

static void life(Site *site)
{
    g_autofree char *volume = last_volume(site);
    g_autoptr(GError) error = NULL;

    content_write(site, volume, 0, BLOCKS, 4);
    cst_pool_stop(site->pool, NULL, &error);
    assert_no_error(error);
    assert_false(cst_pool_is_active(site->pool));
    assert_refused(cst_pool_delete(site->pool, 0, NULL, &error), CST_ERROR_NO_SUPPORT, &error);
    cst_pool_start(site->pool, 0, NULL, &error);
    assert_no_error(error);
    assert_as_native(site);
    content_assert_all(site, volume, 4);
}

static void restarting(Site *site)
{
    site_restart(site);
    site_wait_active(site->pool);
    assert_as_native(site);
    assert_true(cst_pool_set_autostart(site->pool, TRUE, NULL));
    assert_true(cst_pool_stop(site->pool, NULL, NULL));
    site_restart(site);
    site_wait_active(site->pool);
    assert_as_native(site);
    assert_true(cst_pool_set_autostart(site->pool, FALSE, NULL));
    assert_true(cst_pool_stop(site->pool, NULL, NULL));
    site_restart(site);
    assert_false(cst_pool_is_active(site->pool));
}

static void coming_and_going(Site *site)
{
    g_autofree char *volume = last_volume(site);
    g_autoptr(GError) error = NULL;

    site->ground->native_delete("p", volume);
    wait_for(site, volume, FALSE);
    assert_null(cst_vol_download(site->pool, volume, 0, 0, 0, NULL, &error));
    assert_error(&error, CST_ERROR_NO_VOL);
    site->ground->native_create("p", volume, VOLUME_SIZE);
    cst_pool_refresh(site->pool, 0, NULL, &error);
    assert_no_error(error);
    wait_for(site, volume, TRUE);
    assert_int_equal(volume_size(site, volume), VOLUME_SIZE);
}

static char *clone_to(Site *site, const char *source, const char *name, unsigned flags,
                      GError **error)
{
    g_autofree char *xml = volume_clone_xml(site, source, name);
    char *made = NULL;

    cst_vol_create_from(site->pool, xml, site->pool, source, flags, NULL, &made, error);
    return made;
}

/* Into one that is there: if it is empty, or with consent. */
static void cloning(Site *site)
{
    g_auto(GStrv) names = site->ground->native_list("p");
    g_autofree char *volume = last_volume(site);
    const char *other = names[0];
    g_autofree char *made = NULL, *again = NULL;
    g_autoptr(GError) error = NULL;

    content_write(site, volume, 0, BLOCKS, 6);
    content_write(site, other, BLOCKS - 1, 1, 7);
    assert_null(clone_to(site, volume, other, 0, &error));
    assert_error_says(&error, CST_ERROR_STATE, "holds something");
    wipe(site->pool, other, &error);
    assert_no_error(error);
    made = clone_to(site, volume, other, 0, &error);
    assert_no_error(error);
    assert_string_equal(made, other);
    content_assert_all(site, other, 6);
    content_write(site, volume, 0, BLOCKS, 8);
    again = clone_to(site, volume, other, CST_VOL_CREATE_OVERWRITE, &error);
    assert_no_error(error);
    content_assert_all(site, other, 8);
    assert_as_native(site);
}

static void two_pools(Site *site)
{
    g_autoptr(CstPool) other = NULL;
    g_autoptr(GError) error = NULL;
    g_autofree char *volume = NULL;

    if (site_has(site, GROUND_SINGLE))
        return;
    other = site_make_pool(site, "q");
    volume = last_volume(site);
    content_write(site, volume, 0, BLOCKS, 5);
    wipe(other, volume, &error);
    assert_no_error(error);
    content_assert_all(site, volume, 5);
    assert_true(cst_pool_stop(other, NULL, NULL));
    assert_as_native(site);
}

const ContractTest fixed_tests[] = {
    {"what is attached is listed and found", listing, GROUND_FIXED, NULL},
    {"what is attached is not made, resized, renamed, cloned or deleted", nothing_is_made,
     GROUND_FIXED, NULL},
    {"what is attached is written, read and wiped", content, GROUND_FIXED, NULL},
    {"what is attached and in use is not wiped", holding, GROUND_FIXED, NULL},
    {"what is attached is the same in the pool's next life", life, GROUND_FIXED, NULL},
    {"what is attached is there after restarts", restarting, GROUND_FIXED, NULL},
    {"what is attached is cloned onto", cloning, GROUND_FIXED, NULL},
    {"what is attached goes and comes", coming_and_going, GROUND_FIXED, NULL},
    {"what is attached belongs to one pool", two_pools, GROUND_FIXED, NULL},
    {0},
};
