/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>

/** Gets one scalar; @path and @value live until the call returns. */
typedef void (*CstJsonVisit)(const char *path, const char *value, gpointer data);
/**
 * Calls @visit with @data for each string, number and literal of @text, in order. The path is made
 * of the member names, and of the indexes of array elements, joined by dots ("segments.0.offset").
 * Returns FALSE when @text is no JSON or is nested too deeply; @visit may have been called by then.
 */
gboolean cst_json_walk(const char *text, CstJsonVisit visit, gpointer data);
