/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <string.h>

#include <base/error.h>
#include <base/i18n.h>

#include "volume_family.h"

/* Who has a volume open, and what is based on it. */

#define NAMED_AT_MOST 20 /* in a message */

gboolean volume_not_held(const VolumeClaim *claim, GError **error)
{
    g_autoptr(GPtrArray) holders = cst_pool_state_vol_holders(claim->state, claim->name, error);
    g_autoptr(GString) text = NULL;

    if (!holders)
        return FALSE;
    if (holders->len == 0)
        return TRUE;
    text = g_string_new(NULL);
    for (guint i = 0; i < holders->len; i++)
        g_string_append_printf(text, "%s%s", i > 0 ? ", " : "",
                               ((const CstHolder *)g_ptr_array_index(holders, i))->what);
    return cst_fail(error, CST_ERROR_BUSY, _("volume '%s' is in use: %s"), claim->name, text->str);
}

static char *tree_of(const GPtrArray *rows)
{
    GString *tree = g_string_new(NULL);

    for (guint i = 0; i < rows->len; i++) {
        const CstChainRow *row = g_ptr_array_index(rows, i);
        gboolean named = strcmp(row->name, VOLUME_MORE) != 0;

        g_string_append_printf(tree, "\n%*s%s%s%s", (int)(2 + 2 * row->level), "",
                               row->pool ? row->pool : "", row->pool ? "/" : "",
                               named ? row->name : row->problem);
    }
    return g_string_free(tree, FALSE);
}

/* What is based on the volume, as the end of a message; "": nothing is. NULL with an error. */
static char *tree_below(const VolumeClaim *claim, gboolean images, GError **error)
{
    g_autoptr(GPtrArray) rows = volume_descendants(claim, images, NAMED_AT_MOST, error);

    return rows ? tree_of(rows) : NULL;
}

gboolean volume_not_needed(const VolumeClaim *claim, GError **error)
{
    g_autofree char *tree = tree_below(claim, FALSE, error);

    if (!tree || !*tree)
        return tree != NULL;
    return cst_fail(error, CST_ERROR_BUSY,
                    _("volume '%s' is what others are based on; delete them or make them "
                      "independent (vol-flatten) first:%s"),
                    claim->name, tree);
}

gboolean volume_not_below(const VolumeClaim *claim, GError **error)
{
    g_autofree char *tree = tree_below(claim, TRUE, error);

    if (!tree || !*tree)
        return tree != NULL;
    return cst_fail(error, CST_ERROR_BUSY,
                    _("volume '%s' holds what others show; make them independent (vol-flatten) or "
                      "delete them first:%s"),
                    claim->name, tree);
}
