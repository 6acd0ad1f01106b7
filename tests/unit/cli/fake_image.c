/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "fake_image.h"

#include <string.h>
#include <unistd.h>

#include <base/dry_run.h>
#include <base/error.h>

FakeImages fake_images;

/** Records @last and the arguments of the call. */
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
    ret_report->findings = fake_images.counts_only ? NULL : cst_findings_new();
    for (unsigned i = 0; i < fake_images.listed; i++)
        cst_findings_add(ret_report->findings, i % 2 ? CST_FINDING_LEAK : CST_FINDING_ERROR, 2,
                         "number %u in \033[2J", i);
    fake_images.flags = repair;
    return TRUE;
}

gboolean cst_conn_vol_flatten(CstConn *conn, const CstVolRef *vol, CstTask *task, GError **error)
{
    if (!cst_may_change(error))
        return FALSE;
    fake_images.last = "flatten";
    return TRUE;
}

gboolean cst_conn_vol_commit(CstConn *conn, const CstVolRef *vol, const char *base, unsigned flags,
                             CstTask *task, GError **error)
{
    if (!cst_may_change(error))
        return FALSE;
    asked("commit", flags, "%s", base ? base : "-");
    return TRUE;
}

gboolean cst_conn_vol_sparsify(CstConn *conn, const CstVolRef *vol, CstTask *task,
                               uint64_t *ret_given_back, GError **error)
{
    if (!cst_may_change(error))
        return FALSE;
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
    add(rows, 1, "beside", FALSE);
    return rows;
}

gboolean cst_conn_vol_serve(CstConn *conn, const CstVolRef *vol, const CstVolServe *how,
                            CstTask *task, GError **error)
{
    if (!cst_may_change(error))
        return FALSE;
    asked("serve", 0, "%s/%s%s%s %s %s %s:%u%s", vol->pool, vol->name, how->snapshot ? "@" : "",
          how->snapshot ? how->snapshot : "", how->read_only ? "ro" : "rw",
          how->socket ? how->socket : "-", how->host ? how->host : "-", how->port,
          how->force_share ? " shared" : "");
    return TRUE;
}

gboolean cst_conn_vol_send_to(CstConn *conn, const CstVolRef *vol, const CstVolSend *what, int fd,
                              CstTask *task, GError **error)
{
    static const char content[] = "what the guest sees\n";

    asked("send", what->flags, "%s/%s%s%s", vol->pool, vol->name, what->snapshot ? "@" : "",
          what->snapshot ? what->snapshot : "");
    return write(fd, content, strlen(content)) == (ssize_t)strlen(content) ||
           cst_fail(error, CST_ERROR_IO, "cannot write");
}

gboolean cst_conn_vol_move(CstConn *conn, const CstVolRef *vol, const CstPoolRef *pool,
                           const CstVolMove *how, CstTask *task, GError **error)
{
    if (!cst_may_change(error))
        return FALSE;
    asked("move", how->flags, "%s/%s %s/%s %s", vol->pool, vol->name, pool->name,
          how->name ? how->name : "-", how->format ? how->format : "-");
    return TRUE;
}

CstVolRef *cst_conn_vol_convert(CstConn *conn, const CstPoolRef *pool, const CstVolRef *source,
                                const CstVolConvert *how, CstTask *task, GError **error)
{
    CstVolRef *ref;

    if (!cst_may_change(error))
        return NULL;
    ref = g_new0(CstVolRef, 1);
    asked("convert", how->flags, "%s/%s %s/%s %s %s", source->pool, source->name, pool->name,
          how->name, how->format, how->options ? how->options : "-");
    ref->pool = g_strdup(pool->name);
    ref->name = g_strdup(how->name);
    return ref;
}

gboolean cst_conn_vol_rebase(CstConn *conn, const CstVolRef *vol, const CstVolRebase *how,
                             CstTask *task, GError **error)
{
    if (!cst_may_change(error))
        return FALSE;
    asked("rebase", how->flags, "%s %s %s", vol->name, how->backing ? how->backing : "-",
          how->backing_format ? how->backing_format : "-");
    return TRUE;
}

gboolean cst_conn_vol_declare(CstConn *conn, const CstVolRef *vol, const CstVolDeclare *how,
                              CstTask *task, GError **error)
{
    asked("declare", how->flags, "%s %s %s", vol->name, how->format ? how->format : "-",
          how->backing ? how->backing : "-");
    return TRUE;
}

GPtrArray *cst_conn_vol_problems(CstConn *conn, const CstVolRef *vol, GError **error)
{
    GPtrArray *problems = g_ptr_array_new_with_free_func(g_free);

    if (fake_images.problem)
        g_ptr_array_add(problems, g_strdup(fake_images.problem));
    return problems;
}

gboolean cst_conn_pool_follow(CstConn *conn, const CstPoolRef *pool, const CstFollow *follow,
                              CstFollow *ret_follow, GError **error)
{
    asked("follow", 0, "%s %s", pool->name, follow ? cst_follow_name(*follow) : "-");
    *ret_follow = follow ? *follow : CST_FOLLOW_NONE;
    return TRUE;
}

gboolean cst_conn_vol_compare(CstConn *conn, const CstVolRef *vol, const CstVolRef *other,
                              CstTask *task, CstCompareReport *ret_report, GError **error)
{
    asked("compare", 0, "%s/%s %s/%s", vol->pool, vol->name, other->pool, other->name);
    *ret_report = fake_images.difference;
    return TRUE;
}

gboolean cst_conn_vol_measure(CstConn *conn, const CstVolRef *vol, const char *format,
                              const char *options, CstTask *task, CstMeasureReport *ret_report,
                              GError **error)
{
    asked("measure", 0, "%s %s %s", vol->name, format, options ? options : "-");
    *ret_report = (CstMeasureReport){.required = 327680, .fully_allocated = 1376256};
    return TRUE;
}

/* Three runs, in pages of two. */
CstVolMap *cst_conn_vol_map(CstConn *conn, const CstVolRef *vol, uint64_t start, guint limit,
                            CstTask *task, GError **error)
{
    static const CstVolMapRun runs[] = {
        {.start = 0,
         .length = 4096,
         .present = TRUE,
         .data = TRUE,
         .has_offset = TRUE,
         .offset = 65536},
        {.start = 4096, .length = 4096, .depth = 1, .present = TRUE, .zero = TRUE},
        {.start = 8192, .length = 8192, .depth = 1},
    };
    CstVolMap *map = cst_vol_map_new();

    for (size_t i = 0; i < G_N_ELEMENTS(runs) && map->runs->len < 2; i++)
        if (runs[i].start >= start)
            g_array_append_val(map->runs, runs[i]);
    g_ptr_array_add(map->files, g_strdup("/images/disk"));
    g_ptr_array_add(map->files, g_strdup("/images/low"));
    map->more = start == 0;
    return map;
}

gboolean cst_conn_vol_bitmap(CstConn *conn, const CstVolRef *vol, const CstBitmapChange *change,
                             const CstVolRef *source, CstTask *task, GError **error)
{
    g_autoptr(GString) text = g_string_new(NULL);

    if (!cst_may_change(error))
        return FALSE;
    for (guint i = 0; i < change->steps->len; i++) {
        const CstBitmapStep *step = &g_array_index(change->steps, CstBitmapStep, i);

        g_string_append_printf(text, " %s%s%s", step->action, step->from ? "=" : "",
                               step->from ? step->from : "");
    }
    asked("bitmap", change->granularity, "%s %s%s of %s", vol->name, change->name, text->str,
          source ? source->name : "itself");
    return TRUE;
}
