/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <model/severity.h>

static const char *const severities[CST_SEVERITY_LAST] = {
    [CST_SEVERITY_NOTE] = "note",
    [CST_SEVERITY_WARNING] = "warning",
    [CST_SEVERITY_ERROR] = "error",
};

const char *cst_severity_word(int severity)
{
    return severity >= 0 && severity < CST_SEVERITY_LAST ? severities[severity] : "unknown";
}

gboolean cst_severity_parse(const char *word, CstSeverity *ret_severity)
{
    for (int i = 0; i < CST_SEVERITY_LAST; i++)
        if (g_str_equal(word, severities[i])) {
            *ret_severity = (CstSeverity)i;
            return TRUE;
        }
    return FALSE;
}
