/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The consistency of a copy: its names, and its record in the storage. */
#include <model/consistency.h>

#include <string.h>

static const char *const consistency_words[] = {
    [CST_CONSISTENCY_UNKNOWN] = "unknown",       [CST_CONSISTENCY_CRASH] = "crash",
    [CST_CONSISTENCY_FILESYSTEM] = "filesystem", [CST_CONSISTENCY_APPLICATION] = "application",
    [CST_CONSISTENCY_OFFLINE] = "offline",
};

G_STATIC_ASSERT(G_N_ELEMENTS(consistency_words) == CST_CONSISTENCY_LAST);

const char *cst_consistency_word(int consistency)
{
    if (consistency < 0 || consistency >= CST_CONSISTENCY_LAST)
        consistency = CST_CONSISTENCY_UNKNOWN;
    return consistency_words[consistency];
}

gboolean cst_consistency_parse(const char *word, CstConsistency *ret_consistency)
{
    for (int i = CST_CONSISTENCY_CRASH; i < CST_CONSISTENCY_LAST; i++) {
        if (strcmp(word, consistency_words[i]) != 0)
            continue;
        *ret_consistency = (CstConsistency)i;
        return TRUE;
    }
    return FALSE;
}

/* --- records ---------------------------------------------------------------------------------- */

char *cst_consistency_record(CstConsistency consistency, const char *reason)
{
    g_autofree char *text = g_utf8_make_valid(reason ? reason : "", -1);
    const char *end;

    if (consistency <= CST_CONSISTENCY_UNKNOWN || consistency >= CST_CONSISTENCY_LAST)
        return NULL;
    for (char *p = text; *p; p++)
        if (g_ascii_iscntrl(*p))
            *p = ' ';
    if (strlen(text) > CST_CONSISTENCY_REASON_MAX) {
        text[CST_CONSISTENCY_REASON_MAX] = '\0';
        /* A character that was cut is removed as a whole. */
        if (!g_utf8_validate(text, -1, &end))
            text[end - text] = '\0';
    }
    g_strstrip(text);
    return g_strconcat(cst_consistency_word(consistency), *text ? " " : "", text, NULL);
}

static gboolean consistency_reason_is_valid(const char *reason)
{
    if (!*reason || strlen(reason) > CST_CONSISTENCY_REASON_MAX ||
        !g_utf8_validate(reason, -1, NULL))
        return FALSE;
    for (const char *p = reason; *p; p++)
        if (g_ascii_iscntrl(*p))
            return FALSE;
    return TRUE;
}

void cst_consistency_record_parse(const char *record, CstConsistency *ret_consistency,
                                  char **ret_reason)
{
    const char *blank = record ? strchr(record, ' ') : NULL;
    g_autofree char *word = blank ? g_strndup(record, (gsize)(blank - record)) : g_strdup(record);
    CstConsistency parsed;

    *ret_consistency = CST_CONSISTENCY_UNKNOWN;
    *ret_reason = NULL;
    if (!word || (blank && !consistency_reason_is_valid(blank + 1)) ||
        !cst_consistency_parse(word, &parsed))
        return;
    *ret_consistency = parsed;
    *ret_reason = blank ? g_strdup(blank + 1) : NULL;
}
