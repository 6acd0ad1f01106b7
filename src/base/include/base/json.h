/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>

/** Receives one scalar. @path and @value are valid during the call. */
typedef void (*CstJsonVisit)(const char *path, const char *value, gpointer data);
/**
 * Calls @visit with @data for each string, number and literal of @text, in order. The path consists
 * of the member names and the indexes of array elements, joined by dots ("segments.0.offset").
 * Returns FALSE when @text is no JSON or is nested too deeply. @visit may have been called before
 * that.
 */
gboolean cst_json_walk(const char *text, CstJsonVisit visit, gpointer data);
