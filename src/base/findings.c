/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The list of a check's findings (see the header). The lock guards the list while threads of the
 * check add to it. Readers start after all of them have ended and do not acquire it.
 */
#include <base/findings.h>

#include <stdarg.h>
#include <string.h>

struct CstFindings {
    GMutex lock;
    GPtrArray *list; /* CstFinding */
};

static void finding_free(gpointer data)
{
    CstFinding *finding = data;

    g_free(finding->text);
    g_free(finding);
}

CstFindings *cst_findings_new(void)
{
    CstFindings *findings = g_new0(CstFindings, 1);

    g_mutex_init(&findings->lock);
    findings->list = g_ptr_array_new_with_free_func(finding_free);
    return findings;
}

void cst_findings_free(CstFindings *findings)
{
    if (!findings)
        return;
    g_ptr_array_unref(findings->list);
    g_mutex_clear(&findings->lock);
    g_free(findings);
}

/* Truncates between two characters, because the text is shown in terminals and in JSON. */
static char *text_truncated(const char *text)
{
    gsize length = strlen(text);

    if (length <= CST_FINDING_MAX_LEN)
        return g_strdup(text);
    length = CST_FINDING_MAX_LEN;
    /* A byte 10xxxxxx continues a character. */
    while (length > 0 && ((guchar)text[length] & 0xc0) == 0x80)
        length--;
    return g_strndup(text, length);
}

void cst_findings_add_v(CstFindings *findings, CstFindingKind kind, uint64_t count,
                        const char *format, va_list args)
{
    /* Checks run the same code whether or not the caller wants the list. */
    if (!findings || count == 0)
        return;
    g_mutex_lock(&findings->lock);
    if (findings->list->len < CST_FINDINGS_MAX) {
        g_autofree char *text = g_strdup_vprintf(format, args);
        CstFinding *finding = g_new(CstFinding, 1);

        *finding = (CstFinding){kind, count, text_truncated(text)};
        g_ptr_array_add(findings->list, finding);
    }
    g_mutex_unlock(&findings->lock);
}

void cst_findings_add(CstFindings *findings, CstFindingKind kind, uint64_t count,
                      const char *format, ...)
{
    va_list args;

    va_start(args, format);
    cst_findings_add_v(findings, kind, count, format, args);
    va_end(args);
}

guint cst_findings_length(const CstFindings *findings)
{
    return findings ? findings->list->len : 0;
}

const CstFinding *cst_findings_get(const CstFindings *findings, guint index)
{
    return g_ptr_array_index(findings->list, index);
}
