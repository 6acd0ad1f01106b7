/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Names of images and snapshots: valid names, and our own names. */
#include "rbd.h"

#include <string.h>

#include <base/error.h>
#include <base/i18n.h>

char *cst_rbd_draft_name(const char *token)
{
    return g_strconcat(RBD_HIDDEN_PREFIX, token, RBD_DRAFT_SUFFIX, NULL);
}

gboolean cst_rbd_is_draft(const char *name)
{
    return g_str_has_prefix(name, RBD_HIDDEN_PREFIX) && g_str_has_suffix(name, RBD_DRAFT_SUFFIX);
}

/* Without a suffix, because a helper is a snapshot, and not a draft. */
char *cst_rbd_helper_name(const char *token)
{
    return g_strconcat(RBD_HIDDEN_PREFIX, token, NULL);
}

gboolean cst_rbd_name_check(const char *name, const char *what, GError **error)
{
    if (*name && !strpbrk(name, "/@"))
        return TRUE;
    return cst_fail(error, CST_ERROR_INVALID,
                    _("'%s' can't be the name of a %s in an RBD pool: the rbd tool could not "
                      "address it; leave out '/' and '@'"),
                    name, what);
}
