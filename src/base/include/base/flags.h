/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>

/**
 * Returns FALSE with CST_ERROR_FLAGS, worded as in libvirt, if @flags has a bit outside @allowed.
 */
gboolean cst_flags_check(unsigned flags, unsigned allowed, const char *function, GError **error);

/** Returns FALSE with CST_ERROR_USAGE if @flags has both @a and @b, named @a_name and @b_name. */
gboolean cst_flags_exclusive(unsigned flags, unsigned a, const char *a_name, unsigned b,
                             const char *b_name, GError **error);
