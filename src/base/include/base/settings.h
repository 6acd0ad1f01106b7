/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>

/**
 * Sets @key of @group to the value from a line of a settings file. @line counts from 1. On failure
 * @error describes the problem of the value; cst_settings_read() adds the position.
 */
typedef gboolean (*CstSettingFunc)(const char *group, const char *key, const char *value,
                                   unsigned line, gpointer data, GError **error);

/**
 * Parses @len bytes of a GLib key file and passes each setting to @set, in the order of the file
 * and without surrounding blanks. Any problem is reported as CONFIG, with the line number before
 * the reason.
 */
gboolean cst_settings_read(const char *text, size_t len, CstSettingFunc set, gpointer data,
                           GError **error);

/**
 * Reads the settings file @path, at most 64 KiB, as cst_settings_read() does. An error begins with
 * the path. A missing file has no settings; if @required, it is an error.
 */
gboolean cst_settings_read_file(const char *path, gboolean required, CstSettingFunc set,
                                gpointer data, GError **error);
