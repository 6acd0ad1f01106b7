/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>

/** FALSE with CST_ERROR_FLAGS, worded as libvirt does, when @flags has a bit outside @allowed. */
gboolean cst_flags_check(unsigned flags, unsigned allowed, const char *function, GError **error);

/** FALSE with CST_ERROR_USAGE when both @a and @b (named) are set. */
gboolean cst_flags_exclusive(unsigned flags, unsigned a, const char *a_name, unsigned b,
                             const char *b_name, GError **error);
