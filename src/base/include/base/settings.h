/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>

/**
 * Takes the value that a line of a file of settings gives @key of @group. @line counts from 1.
 * Fails with what is wrong with the value; who reads the file says where.
 */
typedef gboolean (*CstSettingFunc)(const char *group, const char *key, const char *value,
                                   unsigned line, gpointer data, GError **error);

/**
 * Reads @len bytes of a key file of GLib's and hands each setting to @set, in their order and
 * without the blanks around it. CONFIG for anything that is wrong, with the line in front of it.
 */
gboolean cst_settings_read(const char *text, size_t len, CstSettingFunc set, gpointer data,
                           GError **error);
