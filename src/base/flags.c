/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Checks of flags. The wording is libvirt's, because clients and their tests match the messages. */
#include <base/flags.h>

#include <base/error.h>
#include <base/i18n.h>

gboolean cst_flags_check(unsigned flags, unsigned allowed, const char *function, GError **error)
{
    if (flags & ~allowed)
        return cst_fail(error, CST_ERROR_FLAGS, _("(0x%x) in function %s"), flags & ~allowed,
                        function);
    return TRUE;
}

gboolean cst_flags_exclusive(unsigned flags, unsigned a, const char *a_name, unsigned b,
                             const char *b_name, GError **error)
{
    if ((flags & a) && (flags & b))
        return cst_fail(error, CST_ERROR_USAGE, _("Flags '%s' and '%s' are mutually exclusive"),
                        a_name, b_name);
    return TRUE;
}
