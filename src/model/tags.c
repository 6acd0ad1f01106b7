/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Tags and notes of volumes and snapshots. */
#include <model/tags.h>

#include <base/error.h>
#include <base/i18n.h>

void cst_tagged_free(CstTagged *tagged)
{
    if (!tagged)
        return;
    g_free(tagged->volume);
    g_free(tagged->snapshot);
    g_strfreev(tagged->tags);
    g_free(tagged->note);
    g_free(tagged);
}

char *cst_tagged_text(const CstTagged *tagged)
{
    return tagged && *tagged->tags ? g_strjoinv(" ", tagged->tags) : NULL;
}

static gboolean tags_check(const char *const *tags, GError **error)
{
    guint count = 0;

    for (; tags && tags[count]; count++)
        if (!cst_tag_check(tags[count], error))
            return FALSE;
    return count <= CST_TAGS_MAX ||
           cst_fail(error, CST_ERROR_LIMIT, _("an object can have %d tags"), CST_TAGS_MAX);
}

gboolean cst_tag_change_check(const CstTagChange *change, GError **error)
{
    return tags_check(change->add, error) && tags_check(change->remove, error) &&
           (!change->sets_note || !change->note || cst_note_check(change->note, error));
}
