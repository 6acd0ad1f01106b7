/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>

/** Takes in one file, whose name without its suffix is @stem. */
typedef gboolean (*StoreXmlFunc)(const char *path, const char *stem, gpointer data, GError **error);

/**
 * Calls @load for each .xml file of @dir, none where there is no such directory. One that fails is
 * left out: the log says why, with @kind ("pool") in front.
 */
void store_xml_load(const char *dir, const char *kind, StoreXmlFunc load, gpointer data);
