/* SPDX-License-Identifier: LGPL-2.1-or-later */
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
