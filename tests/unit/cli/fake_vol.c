/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "fake_vol.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include <base/dry_run.h>
#include <base/error.h>

#include <conn/domains.h>
#include <conn/trash.h>

#include "fake_conn.h"

FakeVols fake_vols;

static void fake_vol_free(gpointer data)
{
    FakeVol *vol = data;

    g_free(vol->pool);
    g_free(vol->name);
    g_free(vol->path);
    g_free(vol->format);
    g_free(vol->problem);
    g_free(vol);
}

FakeVol *fake_vols_add(const char *pool, const char *name, uint64_t capacity, uint64_t allocation)
{
    FakeVol *vol = g_new0(FakeVol, 1);

    if (!fake_vols.vols)
        fake_vols.vols = g_ptr_array_new_with_free_func(fake_vol_free);
    vol->pool = g_strdup(pool);
    vol->name = g_strdup(name);
    vol->path = g_strdup_printf("/%s/%s", pool, name);
    vol->info = (CstVolInfo){CST_VOL_FILE, capacity, allocation, allocation, FALSE};
    g_ptr_array_add(fake_vols.vols, vol);
    return vol;
}

void fake_vols_clear(void)
{
    g_clear_pointer(&fake_vols.vols, g_ptr_array_unref);
    g_free(fake_vols.last_xml);
    g_free(fake_vols.last_source);
    g_free(fake_vols.fail);
    if (fake_vols.uploaded)
        g_string_free(fake_vols.uploaded, TRUE);
    fake_vols = (FakeVols){0};
}

static CstVolRef *ref_new(const char *pool, const char *name)
{
    CstVolRef *ref = g_new0(CstVolRef, 1);

    ref->pool = g_strdup(pool);
    ref->name = g_strdup(name);
    ref->key = g_strdup_printf("/%s/%s", pool, name);
    return ref;
}

/** @pool NULL: @text is a path. */
static FakeVol *find(const char *pool, const char *text)
{
    for (guint i = 0; fake_vols.vols && i < fake_vols.vols->len; i++) {
        FakeVol *vol = g_ptr_array_index(fake_vols.vols, i);

        if (pool ? g_str_equal(vol->pool, pool) && g_str_equal(vol->name, text)
                 : g_str_equal(vol->path, text))
            return vol;
    }
    return NULL;
}

static CstVolRef *found(const FakeVol *vol, const char *how, const char *text, GError **error)
{
    if (vol)
        return ref_new(vol->pool, vol->name);
    cst_fail(error, CST_ERROR_NO_VOL, "no storage vol with matching %s '%s'", how, text);
    return NULL;
}

CstVolRef *cst_conn_vol_by_name(CstConn *conn, const CstPoolRef *pool, const char *name,
                                GError **error)
{
    if (g_strcmp0(fake_vols.no_names, pool->name) == 0) {
        cst_fail_errno(error, EMFILE, "cannot open directory '/%s'", pool->name);
        return NULL;
    }
    return found(find(pool->name, name), "name", name, error);
}

CstVolRef *cst_conn_vol_by_key(CstConn *conn, const char *key, GError **error)
{
    return found(find(NULL, key), "key", key, error);
}

CstVolRef *cst_conn_vol_by_path(CstConn *conn, const char *path, GError **error)
{
    return found(find(NULL, path), "path", path, error);
}

CstPoolRef *cst_conn_pool_of_vol(CstConn *conn, const CstVolRef *vol, GError **error)
{
    return cst_conn_pool_by_name(conn, vol->pool, error);
}

char *cst_conn_vol_path(CstConn *conn, const CstVolRef *vol, GError **error)
{
    return g_strdup(find(vol->pool, vol->name)->path);
}

char *cst_conn_vol_xml(CstConn *conn, const CstVolRef *vol, unsigned flags, GError **error)
{
    return g_strdup_printf("<volume type='file'>\n  <name>%s</name>\n  <key>%s</key>\n</volume>\n",
                           vol->name, vol->key);
}

gboolean cst_conn_vol_info(CstConn *conn, const CstVolRef *vol, gboolean physical, CstVolInfo *ret,
                           GError **error)
{
    *ret = find(vol->pool, vol->name)->info;
    if (physical)
        ret->allocation = ret->physical;
    return TRUE;
}

GPtrArray *cst_conn_vol_list(CstConn *conn, const CstPoolRef *pool, gboolean details,
                             GError **error)
{
    GPtrArray *rows;

    if (g_strcmp0(pool->name, fake_vols.no_lists) == 0) {
        cst_fail(error, CST_ERROR_UNREACHABLE, "the storage of '%s' is away", pool->name);
        return NULL;
    }
    rows = g_ptr_array_new_with_free_func((GDestroyNotify)cst_vol_row_free);
    for (guint i = 0; fake_vols.vols && i < fake_vols.vols->len; i++) {
        const FakeVol *vol = g_ptr_array_index(fake_vols.vols, i);
        CstVolRow *row;

        if (!g_str_equal(vol->pool, pool->name))
            continue;
        row = g_new0(CstVolRow, 1);
        row->name = g_strdup(vol->name);
        row->key = g_strdup(vol->path);
        row->path = g_strdup(vol->path);
        if (details) {
            row->info = vol->info;
            row->format = g_strdup(vol->format);
            row->problem = g_strdup(vol->problem);
        }
        g_ptr_array_add(rows, row);
    }
    return rows;
}

static void more_free(gpointer data)
{
    CstVolMore *more = data;

    g_free(more->backing);
    g_clear_pointer(&more->holders, g_ptr_array_unref);
    g_free(more);
}

/* Fills in no more than is wanted. */
GPtrArray *cst_conn_vol_list_more(CstConn *conn, const CstPoolRef *pool, const GPtrArray *rows,
                                  unsigned wants, GError **error)
{
    GPtrArray *all = g_ptr_array_new_with_free_func(more_free);

    fake_vols.wants = wants;
    for (guint i = 0; i < rows->len; i++) {
        const FakeVol *vol = find(pool->name, ((const CstVolRow *)rows->pdata[i])->name);
        CstVolMore *more = g_new0(CstVolMore, 1);

        more->snapshots = wants & CST_VOL_MORE_SNAPSHOTS ? vol->snapshots : -1;
        if (wants & CST_VOL_MORE_BACKING)
            more->backing = g_strdup(vol->backing);
        if (wants & CST_VOL_MORE_HOLDERS)
            more->holders =
                cst_conn_vol_holders(conn, &(CstVolRef){vol->pool, vol->name, NULL}, NULL);
        g_ptr_array_add(all, more);
    }
    return all;
}

void cst_conn_run_helper(int argc, char **argv)
{
}

GPtrArray *cst_conn_vol_domains(CstConn *conn, const CstVolRef *ref, GError **error)
{
    return g_ptr_array_new_with_free_func((GDestroyNotify)cst_domain_disk_free);
}

GPtrArray *cst_conn_domains(CstConn *conn, const char *name, GError **error)
{
    g_autoptr(GPtrArray) domains = g_ptr_array_new_with_free_func((GDestroyNotify)cst_domain_free);

    if (name) {
        cst_fail(error, CST_ERROR_NOT_FOUND, "libvirt has no domain '%s'", name);
        return NULL;
    }
    return g_steal_pointer(&domains);
}

GPtrArray *cst_conn_vol_holders(CstConn *conn, const CstVolRef *ref, GError **error)
{
    GPtrArray *holders = g_ptr_array_new_with_free_func((GDestroyNotify)cst_vol_holder_free);
    const FakeVol *vol = find(ref->pool, ref->name);

    if (vol && vol->holder) {
        CstVolHolder *holder = g_new0(CstVolHolder, 1);

        holder->what = g_strdup(vol->holder);
        g_ptr_array_add(holders, holder);
    }
    return holders;
}

static gboolean change(GError **error)
{
    if (fake_vols.fail)
        return cst_fail(error, CST_ERROR_FAILED, "%s", fake_vols.fail);
    fake_vols.changes++;
    return TRUE;
}

CstVolRef *cst_conn_vol_create_from(CstConn *conn, const CstPoolRef *pool, const char *xml,
                                    const CstVolRef *source, unsigned flags, CstTask *task,
                                    GError **error)
{
    const char *start = strstr(xml, "<name>");
    const char *end = strstr(xml, "</name>");
    g_autofree char *name = start && end ? g_strndup(start + 6, end - start - 6) : NULL;

    if (!cst_may_change(error))
        return NULL;
    if (!change(error))
        return NULL;
    g_free(fake_vols.last_xml);
    fake_vols.last_xml = g_strdup(xml);
    g_free(fake_vols.last_source);
    fake_vols.last_source = source ? g_strdup(source->name) : NULL;
    fake_vols.last_flags = flags;
    return ref_new(pool->name, name ? name : "?");
}

CstVolRef *cst_conn_vol_create(CstConn *conn, const CstPoolRef *pool, const char *xml,
                               unsigned flags, CstTask *task, GError **error)
{
    if (!cst_may_change(error))
        return NULL;
    return cst_conn_vol_create_from(conn, pool, xml, NULL, flags, task, error);
}

gboolean cst_conn_vol_delete(CstConn *conn, const CstVolRef *vol, unsigned flags, CstTask *task,
                             GError **error)
{
    if (!cst_may_change(error))
        return FALSE;
    fake_vols.last_flags = flags;
    return change(error);
}

gboolean cst_conn_vol_protect(CstConn *conn, const CstVolRef *vol, gboolean on, CstTask *task,
                              GError **error)
{
    if (!change(error))
        return FALSE;
    find(vol->pool, vol->name)->is_protected = on;
    return TRUE;
}

gboolean cst_conn_vol_rename(CstConn *conn, const CstVolRef *vol, const char *new_name,
                             CstTask *task, GError **error)
{
    FakeVol *found;

    if (!change(error))
        return FALSE;
    found = find(vol->pool, vol->name);
    g_free(found->name);
    found->name = g_strdup(new_name);
    return TRUE;
}

GPtrArray *cst_conn_trash_list(CstConn *conn, const CstPoolRef *pool, GError **error)
{
    return g_ptr_array_new_with_free_func((GDestroyNotify)cst_trash_row_free);
}

gboolean cst_conn_trash_totals(CstConn *conn, const CstPoolRef *pool, CstTrashTotals *ret_totals,
                               GError **error)
{
    *ret_totals = (CstTrashTotals){0};
    return TRUE;
}

CstVolRef *cst_conn_trash_restore(CstConn *conn, const CstPoolRef *pool, const char *which,
                                  const char *new_name, CstTask *task, GError **error)
{
    cst_fail(error, CST_ERROR_NO_VOL, "'%s'", which);
    return NULL;
}

gboolean cst_conn_trash_empty(CstConn *conn, const CstPoolRef *pool, const char *which,
                              uint64_t older_than, CstTask *task, guint *ret_count,
                              uint64_t *ret_bytes, GError **error)
{
    *ret_count = 0;
    *ret_bytes = 0;
    return change(error);
}

GHashTable *cst_conn_pool_protected(CstConn *conn, const CstPoolRef *pool, GError **error)
{
    GHashTable *names = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);

    for (guint i = 0; fake_vols.vols && i < fake_vols.vols->len; i++) {
        const FakeVol *vol = g_ptr_array_index(fake_vols.vols, i);

        if (g_str_equal(vol->pool, pool->name) && vol->is_protected)
            g_hash_table_add(names, g_strdup(vol->name));
    }
    return names;
}

gboolean cst_conn_vol_wipe(CstConn *conn, const CstVolRef *vol, unsigned algorithm, CstTask *task,
                           GError **error)
{
    if (!cst_may_change(error))
        return FALSE;
    fake_vols.last_algorithm = algorithm;
    fake_vols.last_rate = cst_task_rate(task);
    cst_task_set_job(task, fake_vols.detach_as);
    if (fake_vols.detach_as)
        return cst_fail(error, CST_ERROR_CANCELLED, "it goes on");
    return change(error);
}

gboolean cst_conn_vol_resize(CstConn *conn, const CstVolRef *vol, uint64_t capacity, unsigned flags,
                             CstTask *task, GError **error)
{
    if (!cst_may_change(error))
        return FALSE;
    fake_vols.last_size = capacity;
    fake_vols.last_flags = flags;
    return change(error);
}

gboolean cst_conn_vol_resize_qmp(CstConn *conn, const CstVolRef *vol, uint64_t capacity,
                                 unsigned flags, const char *socket, CstTask *task, GError **error)
{
    if (!g_path_is_absolute(socket))
        return cst_fail(error, CST_ERROR_INVALID, "the path of the socket is relative");
    return cst_conn_vol_resize(conn, vol, capacity, flags, task, error);
}

static void remember_transfer(uint64_t offset, uint64_t length, unsigned flags)
{
    fake_vols.last_offset = offset;
    fake_vols.last_length = length;
    fake_vols.last_flags = flags;
}

/* --- content ---------------------------------------------------------------------------------- */

#define CONTENT (128u << 10)

/* The data received last, which is also the content of every volume. */
static uint8_t held[CONTENT];

gboolean cst_conn_vol_send(CstConn *conn, const CstVolRef *vol, const CstVolSend *what,
                           const CstConnSink *sink, CstTask *task, GError **error)
{
    uint8_t sent[CONTENT];

    memcpy(sent, held, CONTENT);
    if (fake_vols.rots)
        sent[CONTENT / 2]++;
    fake_vols.last_flags = what->flags;
    return cst_may_change(error) && change(error) && sink->begin(CONTENT, sink->data, error) &&
           sink->piece(sent, CONTENT, 0, sink->data, error);
}

struct CstConnReceive {
    char *pool;
    size_t offset;
};

CstConnReceive *cst_conn_vol_receive(CstConn *conn, const CstPoolRef *pool, const char *xml,
                                     unsigned flags, CstTask *task, GError **error)
{
    CstConnReceive *receive;

    g_free(fake_vols.last_xml);
    fake_vols.last_xml = g_strdup(xml);
    fake_vols.last_flags = flags;
    if (!cst_may_change(error) || !change(error))
        return NULL;
    receive = g_new0(CstConnReceive, 1);
    receive->pool = g_strdup(pool->name);
    return receive;
}

gboolean cst_conn_receive_piece(const void *bytes, size_t len, uint64_t hole, gpointer receive,
                                GError **error)
{
    CstConnReceive *into = receive;

    if (into->offset + len + hole > CONTENT)
        return cst_fail(error, CST_ERROR_NO_SPACE, "too much");
    if (len > 0)
        memcpy(held + into->offset, bytes, len);
    else
        memset(held + into->offset, 0, hole);
    into->offset += len + hole;
    return TRUE;
}

CstVolRef *cst_conn_receive_finish(CstConnReceive *receive, GError **error)
{
    CstVolRef *made = g_new0(CstVolRef, 1);

    made->pool = g_strdup(receive->pool);
    made->name = g_strdup("made");
    return made;
}

void cst_conn_receive_free(CstConnReceive *receive)
{
    if (!receive)
        return;
    g_free(receive->pool);
    g_free(receive);
}

gboolean cst_conn_vol_upload(CstConn *conn, const CstVolRef *vol, int fd, uint64_t offset,
                             uint64_t length, unsigned flags, CstTask *task, GError **error)
{
    char buffer[64];
    ssize_t n;

    if (!cst_may_change(error))
        return FALSE;
    remember_transfer(offset, length, flags);
    cst_task_set_total(task, lseek(fd, 0, SEEK_END));
    cst_task_advance(task, fake_vols.fail_after);
    if (!change(error))
        return FALSE;
    if (!fake_vols.uploaded)
        fake_vols.uploaded = g_string_new(NULL);
    lseek(fd, 0, SEEK_SET);
    while ((n = read(fd, buffer, sizeof(buffer))) > 0) {
        g_string_append_len(fake_vols.uploaded, buffer, n);
        cst_task_advance(task, n);
    }
    return TRUE;
}

gboolean cst_conn_vol_download(CstConn *conn, const CstVolRef *vol, int fd, uint64_t offset,
                               uint64_t length, unsigned flags, CstTask *task, GError **error)
{
    const char *content = fake_vols.content ? fake_vols.content : "";
    size_t n = fake_vols.fail ? fake_vols.fail_after : strlen(content);

    if (!cst_may_change(error))
        return FALSE;
    remember_transfer(offset, length, flags);
    if (write(fd, content, n) != (ssize_t)n)
        return cst_fail(error, CST_ERROR_IO, "cannot write");
    cst_task_advance(task, n);
    return change(error);
}
