/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>

/** Whether @source is an URL, of whatever scheme. */
gboolean import_is_url(const char *source);
/** The file's name: the last part of a path, or of an URL's path, unescaped. g_free() it. */
char *import_file_of(const char *source);
