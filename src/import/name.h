/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>

/** Returns whether @source is a URL of any scheme. */
gboolean import_is_url(const char *source);
/**
 * Returns the file's name: the last part of a path, or the last part of a URL's path, unescaped.
 * Free it with g_free().
 */
char *import_file_of(const char *source);
