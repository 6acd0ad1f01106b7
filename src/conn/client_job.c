/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Typed calls for jobs that this program executes. */
#include <conn/client_jobs.h>

#include <base/error_class.h>
#include <base/url.h>

#include "conn_private.h"

#define NAME_MAX_BYTES  255 /* of a string that servers accept */
#define ERROR_MAX_BYTES 1000

/*
 * Returns @text in the form that servers accept: one line of valid UTF-8, truncated between
 * characters. The caller frees it.
 */
static char *one_line(const char *text, size_t max)
{
    g_autofree char *valid = g_utf8_make_valid(text, -1);
    GString *line = g_string_new(NULL);

    for (const char *p = valid; *p; p = g_utf8_next_char(p)) {
        gunichar c = g_utf8_get_char(p);

        if (line->len + (size_t)(g_utf8_next_char(p) - p) > max)
            break;
        g_string_append_unichar(line, g_unichar_iscntrl(c) ? ' ' : c);
    }
    return g_string_free(line, FALSE);
}

gboolean cst_conn_client_job_begin(CstConn *conn, const CstConnJob *job, uint64_t *ret_handle,
                                   uint64_t *ret_id, GError **error)
{
    g_autofree char *pool = one_line(job->pool, NAME_MAX_BYTES);
    g_autofree char *volume = job->volume ? one_line(job->volume, NAME_MAX_BYTES) : NULL;
    const wire_client_job_begin_args args = {(char *)job->kind, pool, cst_opt_arg(&volume),
                                             job->limit, job->group};
    wire_client_job_begin_ret ret = {0};

    if (!cst_conn_own_call(conn, WIRE_CISTERN_CLIENT_JOB_BEGIN, &args, &ret, NULL, error))
        return FALSE;
    *ret_handle = ret.handle;
    *ret_id = ret.id;
    return TRUE;
}

gboolean cst_conn_client_job_progress(CstConn *conn, uint64_t handle, CstProgress progress,
                                      gboolean *ret_cancel, uint64_t *ret_limit, GError **error)
{
    const wire_client_job_progress_args args = {handle, progress.done, progress.total};
    wire_client_job_progress_ret ret = {0};

    if (!cst_conn_own_call(conn, WIRE_CISTERN_CLIENT_JOB_PROGRESS, &args, &ret, NULL, error))
        return FALSE;
    *ret_cancel = ret.cancel != 0;
    *ret_limit = ret.limit;
    return TRUE;
}

gboolean cst_conn_client_job_end(CstConn *conn, uint64_t handle, const GError *why, GError **error)
{
    g_autofree char *text = why ? one_line(why->message, ERROR_MAX_BYTES) : NULL;
    char *word = why ? (char *)cst_error_info(cst_error_code(why))->word : NULL;
    const wire_client_job_end_args args = {handle, cst_opt_arg(&word), cst_opt_arg(&text)};

    if (text)
        cst_url_mask(text);
    return cst_conn_own_call(conn, WIRE_CISTERN_CLIENT_JOB_END, &args, NULL, NULL, error);
}

gboolean cst_conn_set_job_group(CstConn *conn, uint64_t group, GError **error)
{
    const wire_client_job_group_args args = {group};

    return cst_conn_own_call(conn, WIRE_CISTERN_CLIENT_JOB_GROUP, &args, NULL, NULL, error);
}
