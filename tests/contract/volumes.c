/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "contract.h"

#include <string.h>

/* Volumes: made, found, resized, filled, read, wiped, copied and deleted. */

static gboolean copy(Site *site, const char *source, const char *name, uint64_t size, CstTask *task,
                     GError **error)
{
    g_autofree char *xml = volume_xml(site, name, size);
    g_autofree char *made = NULL;

    return cst_vol_create_from(site->pool, xml, site->pool, source, 0, task, &made, error);
}

static void assert_native(Site *site, const char *expected)
{
    g_autofree char *names = site_native(site, "p");

    assert_string_equal(names, expected);
}

static void creating(Site *site)
{
    g_autofree char *again = volume_xml(site, "v", VOLUME_SIZE);
    g_autoptr(GPtrArray) rows = NULL;
    g_autoptr(GError) error = NULL;
    char *made = NULL;

    volume_make(site, "v", VOLUME_SIZE);
    volume_assert_found(site, "v");
    rows = cst_pool_list_volumes(site->pool, NULL, 0, CST_VOL_ROWS_DETAILS, &error);
    assert_no_error(error);
    assert_int_equal(rows->len, 1);
    assert_int_equal(((CstVolRow *)rows->pdata[0])->info.capacity, VOLUME_SIZE);
    assert_null(((CstVolRow *)rows->pdata[0])->problem);
    assert_false(cst_vol_create(site->pool, again, 0, NULL, &made, &error));
    assert_error(&error, CST_ERROR_VOL_EXISTS);
    assert_int_equal(volume_size(site, "v"), VOLUME_SIZE);
}

static void deleting(Site *site)
{
    g_autoptr(GError) error = NULL;

    volume_make(site, "v", VOLUME_SIZE);
    volume_make(site, "w", VOLUME_SIZE);
    cst_vol_delete(site->pool, "v", 0, NULL, &error);
    assert_no_error(error);
    assert_native(site, "w");
    assert_false(cst_pool_has_volume(site->pool, "v", &error));
    assert_error(&error, CST_ERROR_NO_VOL);
    assert_false(cst_vol_delete(site->pool, "v", 0, NULL, &error));
    assert_error(&error, CST_ERROR_NO_VOL);
    volume_make(site, "v", VOLUME_SIZE);
    assert_native(site, "v w");
}

/* @permissions: an element of <target>, "" for none. */
static gboolean make_directory(Site *site, const char *permissions, GError **error)
{
    g_autofree char *xml = g_strdup_printf("<volume type='dir'><name>d</name><capacity>0</capacity>"
                                           "<target><format type='dir'/>%s</target></volume>",
                                           permissions);
    g_autofree char *made = NULL;

    return cst_vol_create(site->pool, xml, 0, NULL, &made, error);
}

/* As clients are told: of what they reach by URLs it is another word. */
static CstVolType directory_type(const Site *site)
{
    return site_has(site, GROUND_URLS) ? CST_VOL_NETDIR : CST_VOL_DIR;
}

/* With any mode it is listed as a directory, before and after a refresh. */
static void a_directory_of_any_mode(Site *site)
{
    static const char *const modes[] = {"00", "0600", "0755", "0777"};

    for (size_t i = 0; i < G_N_ELEMENTS(modes); i++) {
        g_autofree char *type =
            g_strdup_printf("<volume type='%s'>", cst_vol_type_name(directory_type(site)));
        g_autofree char *permissions =
            g_strdup_printf("<permissions><mode>%s</mode></permissions>", modes[i]);
        g_autofree char *mode = g_strdup_printf("<mode>%s</mode>", modes[i]);
        g_autoptr(GError) error = NULL;

        make_directory(site, permissions, &error);
        assert_no_error(error);
        for (int refreshed = 0; refreshed < 2; refreshed++) {
            g_autofree char *xml = cst_vol_get_xml(site->pool, "d", 0, NULL);

            assert_non_null(strstr(xml, type));
            assert_non_null(strstr(xml, "<format type='dir'/>"));
            if (!strstr(xml, mode))
                fail_msg("%s: %s", mode, xml);
            assert_true(cst_pool_refresh(site->pool, 0, NULL, NULL));
        }
        cst_vol_delete(site->pool, "d", 0, NULL, &error);
        assert_no_error(error);
    }
}

static void a_directory(Site *site)
{
    g_autoptr(GError) error = NULL;
    CstVolInfo info;

    make_directory(site, "", &error);
    assert_no_error(error);
    assert_true(cst_vol_get_info(site->pool, "d", &info, NULL));
    assert_int_equal(info.type, directory_type(site));
    assert_false(cst_vol_wipe(site->pool, "d", CST_WIPE_ZERO, 0, NULL, &error));
    assert_error(&error, CST_ERROR_NO_SUPPORT);
    assert_false(cst_vol_snapshot_create(site->pool, "d", "s", 0, NULL, &error));
    assert_error(&error, CST_ERROR_UNSUPPORTED);
    assert_false(copy(site, "d", "e", VOLUME_SIZE, NULL, &error));
    assert_error(&error, CST_ERROR_CONFIG);
    cst_vol_delete(site->pool, "d", 0, NULL, &error);
    assert_no_error(error);
    assert_native(site, "");
}

static void a_directory_refused(Site *site)
{
    g_autoptr(GError) error = NULL;

    assert_false(make_directory(site, "", &error));
    assert_non_null(error);
    assert_int_not_equal(error->code, CST_ERROR_INTERNAL);
    assert_native(site, "");
}

/* --- names ------------------------------------------------------------------------------------ */

static void names_refused(Site *site)
{
    g_autofree char *long_name = g_strnfill(300, 'x');
    const char *const names[] = {"", ".", "..", "../x", "/x", "a/../b", "x&#10;y", long_name};

    volume_make(site, "v", VOLUME_SIZE);
    for (size_t i = 0; i < G_N_ELEMENTS(names); i++) {
        g_autofree char *xml = volume_xml(site, names[i], VOLUME_SIZE);
        g_autofree char *made = NULL;
        g_autoptr(GError) error = NULL;

        assert_false(cst_vol_create(site->pool, xml, 0, NULL, &made, &error));
        assert_non_null(error);
        assert_int_not_equal(error->code, CST_ERROR_INTERNAL);
        g_clear_error(&error);
        assert_false(copy(site, "v", names[i], VOLUME_SIZE, NULL, &error));
        assert_non_null(error);
        assert_int_not_equal(error->code, CST_ERROR_INTERNAL);
    }
    assert_native(site, "v");
}

/* --- size ------------------------------------------------------------------------------------- */

static void resizing(Site *site)
{
    const guint blocks = VOLUME_SIZE / TAG_BLOCK;
    g_autofree uint32_t *tags = g_new0(uint32_t, 2 * blocks);
    g_autoptr(GError) error = NULL;

    volume_make(site, "v", VOLUME_SIZE);
    content_write(site, "v", 0, blocks, 3);
    cst_vol_resize(site->pool, "v", 2 * VOLUME_SIZE, 0, NULL, &error);
    assert_no_error(error);
    assert_int_equal(volume_size(site, "v"), 2 * VOLUME_SIZE);
    for (guint i = 0; i < blocks; i++)
        tags[i] = 3;
    if (site_has(site, GROUND_GROWS_ZERO))
        content_assert(site, "v", tags, 2 * blocks);
    assert_false(cst_vol_resize(site->pool, "v", VOLUME_SIZE, 0, NULL, &error));
    assert_error(&error, CST_ERROR_INVALID);
    cst_vol_resize(site->pool, "v", VOLUME_SIZE, CST_VOL_RESIZE_SHRINK, NULL, &error);
    assert_no_error(error);
    content_assert_all(site, "v", 3);
    cst_vol_resize(site->pool, "v", VOLUME_SIZE / 2, CST_VOL_RESIZE_SHRINK | CST_VOL_RESIZE_DELTA,
                   NULL, &error);
    assert_no_error(error);
    content_assert_all(site, "v", 3);
    assert_int_equal(volume_size(site, "v"), VOLUME_SIZE / 2);
}

static void resizing_refused(Site *site)
{
    g_autoptr(GError) error = NULL;

    volume_make(site, "v", VOLUME_SIZE);
    assert_false(cst_vol_resize(site->pool, "v", 2 * VOLUME_SIZE, 0, NULL, &error));
    assert_error(&error, CST_ERROR_NO_SUPPORT);
}

/* --- streams ---------------------------------------------------------------------------------- */

static void upload_and_download(Site *site)
{
    const guint blocks = VOLUME_SIZE / TAG_BLOCK;
    g_autofree uint32_t *tags = g_new0(uint32_t, blocks);

    volume_make(site, "v", VOLUME_SIZE);
    content_write(site, "v", 0, blocks, 1);
    content_write(site, "v", 5, 3, 2);
    content_write(site, "v", blocks - 1, 1, 4);
    for (guint i = 0; i < blocks; i++)
        tags[i] = i >= 5 && i < 8 ? 2 : i == blocks - 1 ? 4 : 1;
    content_assert(site, "v", tags, blocks);
    content_write(site, "v", 0, blocks, 0);
    content_assert_all(site, "v", 0);
}

/* Bytes after the end extend a file. A device has no room for them. */
static void writing_behind_the_end(Site *site, gboolean grows)
{
    g_autofree char *piece = g_malloc0(TAG_BLOCK);
    g_autoptr(CstUpload) upload = NULL;
    g_autoptr(GError) error = NULL;
    gboolean written;

    volume_make(site, "v", VOLUME_SIZE);
    upload = cst_vol_upload(site->pool, "v", VOLUME_SIZE - TAG_BLOCK, 0, 0, NULL, &error);
    assert_no_error(error);
    assert_true(cst_upload_write(upload, piece, TAG_BLOCK, NULL));
    written = cst_upload_write(upload, piece, TAG_BLOCK, &error);
    assert_int_equal(written, grows);
    if (!grows)
        assert_error(&error, CST_ERROR_NO_SPACE);
    g_clear_pointer(&upload, cst_upload_free);
    assert_int_equal(volume_size(site, "v"), VOLUME_SIZE + (grows ? TAG_BLOCK : 0));
}

static void it_grows(Site *site)
{
    writing_behind_the_end(site, TRUE);
}

static void it_has_an_end(Site *site)
{
    /* An image's file may grow; what the guest sees of it does not. */
    if (strcmp(site->ground->format, "raw") == 0)
        writing_behind_the_end(site, FALSE);
}

static void streams_refused(Site *site)
{
    g_autoptr(GError) error = NULL;

    assert_null(cst_vol_upload(site->pool, "nobody", 0, 0, 0, NULL, &error));
    assert_error(&error, CST_ERROR_NO_VOL);
    assert_null(cst_vol_download(site->pool, "nobody", 0, 0, 0, NULL, &error));
    assert_error(&error, CST_ERROR_NO_VOL);
}

/* --- wipe ------------------------------------------------------------------------------------- */

static uint8_t *read_start(Site *site, const char *volume, size_t wanted)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(CstDownload) download =
        cst_vol_download(site->pool, volume, 0, wanted, 0, NULL, &error);
    uint8_t *buf = g_malloc0(wanted);
    uint64_t hole;
    size_t len;

    assert_no_error(error);
    assert_true(cst_download_read(download, buf, wanted, &len, &hole, NULL));
    assert_int_equal(len, wanted);
    return buf;
}

static void wiping(Site *site)
{
    static const unsigned algorithms[] = {CST_WIPE_ZERO, CST_WIPE_RANDOM, CST_WIPE_NNSA};
    g_autofree uint8_t *zeroes = g_malloc0(4096);

    for (size_t i = 0; i < G_N_ELEMENTS(algorithms); i++) {
        g_autofree uint8_t *before = NULL;
        g_autofree uint8_t *after = NULL;
        g_autoptr(GError) error = NULL;
        gboolean done;

        volume_make(site, "v", VOLUME_SIZE);
        content_write(site, "v", 0, VOLUME_SIZE / TAG_BLOCK, 9);
        before = read_start(site, "v", 4096);
        done = cst_vol_wipe(site->pool, "v", algorithms[i], 0, NULL, &error);
        assert_no_error(error);
        assert_true(done);
        after = read_start(site, "v", 4096);
        assert_memory_not_equal(after, before, 4096);
        if (algorithms[i] != CST_WIPE_RANDOM)
            assert_memory_equal(after, zeroes, 4096);
        assert_true(cst_vol_delete(site->pool, "v", 0, NULL, NULL));
    }
}

/* --- clone ------------------------------------------------------------------------------------ */

static void cloning(Site *site)
{
    const guint blocks = VOLUME_SIZE / TAG_BLOCK;
    g_autofree uint32_t *tags = g_new0(uint32_t, 2 * blocks);
    g_autoptr(GError) error = NULL;

    volume_make(site, "a", VOLUME_SIZE);
    content_write(site, "a", 0, blocks, 1);
    assert_true(copy(site, "a", "b", VOLUME_SIZE, NULL, &error));
    content_assert_all(site, "b", 1);
    content_write(site, "a", 0, blocks, 2);
    content_assert_all(site, "b", 1);
    content_write(site, "b", 0, blocks, 3);
    content_assert_all(site, "a", 2);
    copy(site, "b", "c", 2 * VOLUME_SIZE, NULL, &error);
    assert_no_error(error);
    assert_int_equal(volume_size(site, "c"), 2 * VOLUME_SIZE);
    for (guint i = 0; i < blocks; i++)
        tags[i] = 3;
    if (site_has(site, GROUND_GROWS_ZERO))
        content_assert(site, "c", tags, 2 * blocks);
    content_assert_all(site, "b", 3);
    assert_native(site, "a b c");
}

static void cloning_refused(Site *site)
{
    g_autoptr(CstTask) task = cst_task_new();
    g_autoptr(GError) error = NULL;

    volume_make(site, "a", VOLUME_SIZE);
    volume_make(site, "b", VOLUME_SIZE);
    content_write(site, "a", 0, 1, 1);
    assert_false(copy(site, "a", "b", VOLUME_SIZE, NULL, &error));
    assert_error(&error, CST_ERROR_VOL_EXISTS);
    assert_false(copy(site, "a", "a", VOLUME_SIZE, NULL, &error));
    assert_error(&error, CST_ERROR_VOL_EXISTS);
    assert_false(copy(site, "nobody", "c", VOLUME_SIZE, NULL, &error));
    assert_error(&error, CST_ERROR_NO_VOL);
    cst_task_cancel(task);
    /* A copy by reflinks ends before a cancellation could arrive. */
    if (!copy(site, "a", "c", VOLUME_SIZE, task, &error))
        assert_error(&error, CST_ERROR_CANCELLED);
    else
        assert_true(cst_vol_delete(site->pool, "c", 0, NULL, NULL));
    assert_native(site, "a b");
}

/* The same content in another pool has to be moved, whatever can be shared within one. */
static void cloning_between_pools(Site *site)
{
    g_autoptr(CstPool) other = site_make_pool(site, "q");
    g_autofree char *xml = volume_xml(site, "copy", VOLUME_SIZE);
    g_autofree char *made = NULL;
    g_autoptr(CstPool) mine = site->pool;
    g_autoptr(GError) error = NULL;

    volume_make(site, "a", VOLUME_SIZE);
    content_write(site, "a", 0, VOLUME_SIZE / TAG_BLOCK, 6);
    cst_vol_create_from(other, xml, mine, "a", 0, NULL, &made, &error);
    assert_no_error(error);
    assert_true(cst_vol_delete(mine, "a", 0, NULL, NULL));
    site->pool = other;
    content_assert_all(site, "copy", 6);
    site->pool = g_steal_pointer(&mine);
}

const ContractTest volume_tests[] = {
    {"a volume is made and found", creating, 0, NULL},
    {"a volume is deleted", deleting, 0, NULL},
    {"a volume that is a directory", a_directory, GROUND_DIRECTORIES, a_directory_refused},
    {"a directory of any mode", a_directory_of_any_mode, GROUND_DIRECTORIES, NULL},
    {"names that lead elsewhere are refused", names_refused, 0, NULL},
    {"a volume is made larger and smaller", resizing, GROUND_RESIZES, resizing_refused},
    {"what was written is read", upload_and_download, 0, NULL},
    {"writing behind the end", it_grows, GROUND_GROWS_BY_WRITE, it_has_an_end},
    {"streams of no volume are refused", streams_refused, 0, NULL},
    {"wiped content is gone", wiping, 0, NULL},
    {"a clone has its source's content, and then its own", cloning, 0, NULL},
    {"a clone that can't be leaves nothing", cloning_refused, 0, NULL},
    {"a clone in another pool", cloning_between_pools, 0, NULL},
    {0},
};
