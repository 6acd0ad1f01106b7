/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Drafts that have the volume's name from the beginning (CstBackend.drafts_by_intent), because an
 * lvrename would take longer than the lvcreate. lvcreate sets the tag "intent" with the draft's
 * token in the step that creates the LV. An LV with the tag is a draft while the host has an intent
 * of that token, and a volume from the intent's end on. The tag stays and is ignored then. Without
 * such a host, drafts have hidden names (volume.c).
 *
 * device-mapper's data of an LV has no tags (plain.c), so an LV with the name of a draft's intent
 * is looked up in a report.
 */
#include "logical.h"

#include <string.h>
#include <sys/stat.h>

#include <base/error.h>
#include <base/i18n.h>
#include <base/process.h>
#include <base/test_point.h>

#define KEY     "intent"
#define STEP_US (100 * G_TIME_SPAN_MILLISECOND)

gboolean logical_tags_drafts(const LogicalState *state)
{
    return state->head.host && state->head.host->drafts;
}

char *logical_draft_tag(const char *token)
{
    return logical_tag(KEY, token);
}

gboolean logical_is_draft_of(const LvmVolume *lv, const char *token)
{
    g_autofree char *has = logical_tag_value(lv, KEY);

    return g_strcmp0(has, token) == 0;
}

/*
 * A rollback removes the LV before the intent. So if the intent is missing, an LV of an older
 * report that was rolled back has no node any more.
 */
gboolean logical_is_draft(const LogicalState *state, GHashTable *drafts, const LvmVolume *lv)
{
    g_autofree char *token = logical_tag_value(lv, KEY);
    struct stat node;

    return token &&
           (g_hash_table_contains(drafts, token) || !logical_has_node(state, lv->name, &node));
}

gboolean logical_may_be_draft(GHashTable *drafts, const char *name)
{
    GHashTableIter iter;
    gpointer volume;

    g_hash_table_iter_init(&iter, drafts);
    while (g_hash_table_iter_next(&iter, NULL, &volume))
        if (!*(const char *)volume || strcmp(volume, name) == 0)
            return TRUE;
    return FALSE;
}

/* --- tools that outlive their caller ---------------------------------------------------------- */

/*
 * An lvcreate outlives its caller, and may create the LV later. Its command line has the tag with
 * the token.
 */
gboolean logical_draft_await_tools(const char *token, GError **error)
{
    gint64 end = g_get_monotonic_time() + lvm_host.linger_s * G_TIME_SPAN_SECOND;

    while (cst_process_is_about(token)) {
        if (g_get_monotonic_time() > end)
            return cst_fail(error, CST_ERROR_BUSY,
                            _("a process still works on the half-made volume '%s'"), token);
        CST_TEST_POINT("logical.draft.wait");
        g_usleep(STEP_US);
    }
    return TRUE;
}
