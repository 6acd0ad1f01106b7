/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "rbd_site.h"

#include <string.h>

CstPoolState *site_pool;

int site_set_up(void **unused)
{
    fake_ceph_reset();
    site_pool = site_open("");
    return 0;
}

int site_tear_down(void **unused)
{
    fake_ceph_resume();
    cst_pool_state_unref(site_pool);
    ceph_await_quiet();
    fake_ceph_await_clients(0);
    return ceph_has_left() && fake_ceph_open_pools() == 0 ? 0 : -1;
}

void site_make_plain(const char *name)
{
    assert_true(site_make(site_pool, name, SITE_SIZE, "", NULL));
}

CstPoolState *site_open(const char *config)
{
    g_autofree char *xml = g_strdup_printf(
        "<pool type='rbd' xmlns:rbd='http://libvirt.org/schemas/storagepool/rbd/1.0'>"
        "<name>p</name><source><host name='fake'/><name>libvirt</name></source>"
        "<rbd:config_opts>%s<rbd:option name='rbd_default_format' value='2'/></rbd:config_opts>"
        "</pool>",
        config);
    g_autoptr(CstPoolDef) def = cst_pool_def_parse(xml, 0, NULL);
    CstPoolState *state;

    assert_non_null(def);
    state = cst_pool_state_open(def, NULL, NULL);
    assert_non_null(state);
    return state;
}

CstVolDef *site_vol_def(const char *name, uint64_t size, const char *options)
{
    g_autofree char *xml =
        g_strdup_printf("<volume><name>%s</name><capacity>%" G_GUINT64_FORMAT "</capacity>"
                        "<options xmlns='urn:cistern:storage:1.0'>%s</options></volume>",
                        name, size, options);
    CstVolDef *def = cst_vol_def_parse(xml, CST_POOL_RBD, 0, NULL);

    assert_non_null(def);
    return def;
}

gboolean site_make(CstPoolState *state, const char *name, uint64_t size, const char *options,
                   GError **error)
{
    g_autoptr(CstVolDef) def = site_vol_def(name, size, options);
    g_auto(CstVolDraft) draft = {.token = g_strdup(name)};

    return cst_pool_state_reserve(state, def, &draft, error) &&
           cst_pool_state_commit(state, &draft, def, error);
}

gboolean site_clone(CstPoolState *state, const char *name, uint64_t size, const char *source,
                    const char *snapshot, GError **error)
{
    g_autoptr(CstVolDef) def = site_vol_def(name, size, "");
    g_auto(CstVolDraft) draft = {.token = g_strdup(name)};
    uint64_t now = size;

    if (!cst_pool_state_reserve_clone(state, def, source, snapshot, &draft, error))
        return FALSE;
    if (draft.blob && (!cst_blob_get_size(draft.blob, &now, error) ||
                       (now < size && !cst_blob_resize(draft.blob, size, error))))
        return FALSE;
    return cst_pool_state_commit(state, &draft, def, error);
}

void site_write(CstPoolState *state, const char *name, const char *text)
{
    g_autoptr(CstBlob) blob = cst_pool_state_vol_open(state, name, TRUE, NULL);

    assert_non_null(blob);
    assert_true(cst_blob_pwrite(blob, text, strlen(text), 0, NULL));
}

void site_snap(CstPoolState *state, const char *name, const char *snapshot)
{
    CstSnapshotCreate how = {0};

    assert_true(cst_pool_state_snapshot_create(state, name, snapshot, &how, NULL, NULL));
}

static char *line_of(const CstVolume *volume)
{
    const CstVolumeExtra *extra = volume->extra;

    return g_strdup_printf("%s %" G_GUINT64_FORMAT " %" G_GUINT64_FORMAT " %s %s\n", volume->name,
                           volume->capacity, volume->allocation,
                           extra && extra->backing_path ? extra->backing_path : "-",
                           extra && extra->problem ? extra->problem : "-");
}

static CstVolume *nothing_known(const char *name, gpointer data)
{
    return NULL;
}

static void take(CstVolume *volume, gpointer lines)
{
    g_ptr_array_add(lines, line_of(volume));
    cst_volume_unref(volume);
}

static int compare_lines(gconstpointer a, gconstpointer b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

char *site_scan(CstPoolState *state, GError **error)
{
    g_autoptr(GPtrArray) lines = g_ptr_array_new_with_free_func(g_free);
    CstScan scan = {nothing_known, take, lines};

    if (!cst_pool_state_scan(state, &scan, NULL, error))
        return NULL;
    g_ptr_array_sort(lines, compare_lines);
    g_ptr_array_add(lines, NULL);
    return g_strjoinv("", (char **)lines->pdata);
}

char *site_scan_one(CstPoolState *state, const char *name, GError **error)
{
    g_autoptr(CstVolume) volume = NULL;

    if (!cst_pool_state_scan_one(state, name, NULL, &volume, error))
        return NULL;
    return volume ? line_of(volume) : g_strdup("none");
}

void site_assert_dump(const char *expected)
{
    g_autofree char *found = fake_ceph_dump("libvirt", "");

    assert_string_equal(found, expected);
}

void site_assert_failed(gboolean done, GError **error, int code, const char *words)
{
    assert_false(done);
    if ((*error)->code != code || !strstr((*error)->message, words))
        fail_msg("%d, %s", (*error)->code, (*error)->message);
    g_clear_error(error);
}

rbd_image_t site_open_elsewhere(RbdConn *conn, const char *name)
{
    rbd_image_t image = NULL;

    assert_int_equal(conn->ceph->rbd_open(conn->io, name, &image, NULL), 0);
    return image;
}

RbdConn *site_another_client(CstPoolState **ret_other)
{
    *ret_other = site_open("");
    return cst_rbd_conn_get((RbdState *)*ret_other, NULL);
}
