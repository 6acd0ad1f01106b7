/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>

/**
 * Loads the file at @path. @stem is its name without the suffix. Returns FALSE with @error if the
 * file must be skipped.
 */
typedef gboolean (*StoreXmlFunc)(const char *path, const char *stem, gpointer data, GError **error);

/**
 * Calls @load for each .xml file in @dir. If the directory does not exist, makes no call. A damaged
 * file is logged with @kind ("pool") as prefix, and skipped. Returns FALSE with IO or DENIED if the
 * directory or a file exists and cannot be read.
 */
gboolean store_xml_load(const char *dir, const char *kind, StoreXmlFunc load, gpointer data,
                        GError **error);
