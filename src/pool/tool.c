/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Runs the host's tools and maps their error messages (pool/tool.h). A tool is run without a shell,
 * in the C locale, without inherited descriptors and with a time limit. Its output is limited.
 */
#include <pool/tool.h>

#include <string.h>

#include <base/child.h>
#include <base/i18n.h>
#include <base/log.h>

/* Maximum number of bytes of a tool's messages in an error. */
#define COMPLAINT_MAX 1000

/*
 * Returns the tool's messages on one line, without its name. Leaves out warnings, because tools
 * also print them on success.
 */
static char *tool_error_text(const char *name, const char *err)
{
    g_autofree char *prefix = g_strconcat(name, ": ", NULL);
    g_auto(GStrv) lines = g_strsplit(err, "\n", -1);
    g_autoptr(GString) text = g_string_new(NULL);

    for (char **line = lines; *line && text->len < COMPLAINT_MAX; line++) {
        const char *said = g_strstrip(*line);

        if (g_str_has_prefix(said, prefix))
            said += strlen(prefix);
        if (*said && !g_str_has_prefix(said, "WARNING:"))
            g_string_append_printf(text, "%s%s", text->len > 0 ? "; " : "", said);
    }
    return g_string_free(g_steal_pointer(&text), FALSE);
}

/* Returns the meaning of an exit status; NULL if it is unknown. */
static const CstToolStatus *status_of(const CstTool *tool, int status)
{
    for (const CstToolStatus *known = tool->statuses; known && known->status; known++)
        if (known->status == status)
            return known;
    return NULL;
}

static CstErrorCode meaning_of(const CstToolMeaning *meanings, const char *said)
{
    for (; meanings && meanings->words; meanings++)
        if (strstr(said, meanings->words))
            return meanings->code;
    return CST_ERROR_FAILED;
}

/*
 * Returns the text of an error. If the tool has documented statuses, an unknown status is included.
 */
static char *tool_failure_text(const CstTool *tool, int status, const char *said)
{
    if (!*said)
        return g_strdup_printf(_("'%s' failed with status %d and no word why"), tool->argv[0],
                               status);
    if (tool->statuses && !status_of(tool, status))
        return g_strdup_printf(_("'%s' failed with status %d: %s"), tool->argv[0], status, said);
    return g_strdup_printf(_("'%s' failed: %s"), tool->argv[0], said);
}

static gboolean tool_fail(const CstTool *tool, int status, const char *said, GError **error)
{
    const CstToolStatus *known = status_of(tool, status);
    g_autofree char *why = tool_failure_text(tool, status, said);

    if (known && known->hint)
        return cst_fail(error, known->code, "%s (%s)", _(known->hint), why);
    return cst_fail(error, known ? known->code : meaning_of(tool->meanings, said), "%s", why);
}

/* The messages of a successful tool are logged. */
static gboolean tool_check_result(const CstTool *tool, const CstChildResult *result, GError **error)
{
    g_autofree char *said = tool_error_text(tool->argv[0], result->err);

    if (result->status != 0 && result->status != tool->accepted)
        return tool_fail(tool, result->status, said, error);
    if (*said)
        cst_log(CST_LOG_DEBUG, "%s: %s", tool->argv[0], said);
    return TRUE;
}

/*
 * Returns the path of a tool, or NULL if it is not installed. The caller frees it. A daemon's PATH
 * may lack /usr/sbin.
 */
static char *find_tool(const char *name)
{
    g_autofree char *sbin = g_build_filename("/usr/sbin", name, NULL);
    char *path = g_find_program_in_path(name);

    return path ? path : g_find_program_in_path(sbin);
}

gboolean cst_tool_exists(const char *name)
{
    g_autofree char *path = find_tool(name);

    return path != NULL;
}

gboolean cst_tool_require(const char *name, const char *package, GError **error)
{
    return cst_tool_exists(name) ||
           cst_fail(error, CST_ERROR_UNSUPPORTED,
                    _("there is no '%s' on this host; install package '%s'"), name, package);
}

gboolean cst_tool_run(const CstTool *tool, CstTask *task, char **ret_out, GError **error)
{
    g_autofree char *path = find_tool(tool->argv[0]);
    guint count = g_strv_length((char **)tool->argv);
    g_autofree const char **argv = g_new0(const char *, count + 1);
    g_auto(CstChildResult) result = {0};
    CstChild child = {.argv = argv,
                      .timeout_s = tool->timeout_s,
                      .output_limit = tool->output_limit,
                      .input = tool->input,
                      .input_len = tool->input_len,
                      .stream = tool->stream,
                      .search_path = tool->search_path};
    gboolean done;

    if (!path)
        return cst_tool_require(tool->argv[0], tool->package, error);
    memcpy(argv, tool->argv, count * sizeof(*argv));
    argv[0] = path;
    if (!cst_child_run(&child, task, &result, error))
        return FALSE;
    done = tool_check_result(tool, &result, error);
    if (ret_out)
        *ret_out = g_steal_pointer(&result.out);
    return done;
}

/* --- names ------------------------------------------------------------------------------------ */

gboolean cst_host_check(const char *host, GError **error)
{
    gboolean plain = host && *host && *host != '-';

    for (const char *c = host; plain && *c; c++)
        plain = !g_ascii_isspace(*c) && !g_ascii_iscntrl(*c) && *c != '/';
    return plain || cst_fail(error, CST_ERROR_INVALID, _("'%s' can't be the name of a host"),
                             host ? host : "");
}

gboolean cst_tool_is_text(const char *name, gsize len)
{
    for (gsize i = 0; i < len; i++)
        if (g_ascii_iscntrl(name[i]))
            return FALSE;
    return g_utf8_validate(name, (gssize)len, NULL);
}
