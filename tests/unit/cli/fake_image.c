/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "fake_image.h"

#include <base/error.h>

FakeImages fake_images;

/** Notes @last, and what it was given. */
G_GNUC_PRINTF(3, 4)
static void asked(const char *last, unsigned flags, const char *format, ...)
{
    va_list args;

    fake_images.last = last;
    fake_images.flags = flags;
    g_free(fake_images.base);
    va_start(args, format);
    fake_images.base = g_strdup_vprintf(format, args);
    va_end(args);
}

gboolean cst_conn_vol_check(CstConn *conn, const CstVolRef *vol, unsigned repair, CstTask *task,
                            CstCheckReport *ret_report, GError **error)
{
    *ret_report = fake_images.report;
    fake_images.flags = repair;
    return TRUE;
}

gboolean cst_conn_vol_flatten(CstConn *conn, const CstVolRef *vol, CstTask *task, GError **error)
{
    fake_images.last = "flatten";
    return TRUE;
}

gboolean cst_conn_vol_commit(CstConn *conn, const CstVolRef *vol, const char *base, unsigned flags,
                             CstTask *task, GError **error)
{
    asked("commit", flags, "%s", base ? base : "-");
    return TRUE;
}

gboolean cst_conn_vol_sparsify(CstConn *conn, const CstVolRef *vol, CstTask *task,
                               uint64_t *ret_given_back, GError **error)
{
    fake_images.last = "sparsify";
    *ret_given_back = 3 << 20;
    return TRUE;
}

static void add(GPtrArray *rows, unsigned level, const char *name, gboolean self)
{
    CstChainRow *row = g_new0(CstChainRow, 1);

    row->level = level;
    row->name = g_strdup(name);
    row->self = self;
    if (level > 0) {
        row->pool = g_strdup("images");
        row->format = g_strdup("qcow2");
        row->capacity = 1 << 20;
    } else {
        row->problem = g_strdup("it is in no active pool");
    }
    g_ptr_array_add(rows, row);
}

GPtrArray *cst_conn_vol_chain(CstConn *conn, const CstVolRef *vol, GError **error)
{
    GPtrArray *rows = g_ptr_array_new_with_free_func((GDestroyNotify)cst_chain_row_free);

    add(rows, 0, "/base", FALSE);
    add(rows, 1, vol->name, TRUE);
    add(rows, 2, "above", FALSE);
    return rows;
}

CstVolRef *cst_conn_vol_convert(CstConn *conn, const CstPoolRef *pool, const CstVolRef *source,
                                const CstVolConvert *how, CstTask *task, GError **error)
{
    CstVolRef *ref = g_new0(CstVolRef, 1);

    asked("convert", how->flags, "%s/%s %s/%s %s %s", source->pool, source->name, pool->name,
          how->name, how->format, how->options ? how->options : "-");
    ref->pool = g_strdup(pool->name);
    ref->name = g_strdup(how->name);
    return ref;
}

gboolean cst_conn_vol_rebase(CstConn *conn, const CstVolRef *vol, const CstVolRebase *how,
                             CstTask *task, GError **error)
{
    asked("rebase", how->flags, "%s %s %s", vol->name, how->backing ? how->backing : "-",
          how->backing_format ? how->backing_format : "-");
    return TRUE;
}

gboolean cst_conn_vol_compare(CstConn *conn, const CstVolRef *vol, const CstVolRef *other,
                              CstTask *task, CstCompareReport *ret_report, GError **error)
{
    asked("compare", 0, "%s/%s %s/%s", vol->pool, vol->name, other->pool, other->name);
    *ret_report = fake_images.difference;
    return TRUE;
}
