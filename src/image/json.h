/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>

/**
 * Calls @visit for each text, number and word of @text, with the names that lead there joined by
 * dots ("segments.0.offset"); of an array, its elements' numbers. FALSE: this is no JSON, or deeper
 * than anybody makes it.
 */
typedef void (*CstJsonVisit)(const char *path, const char *value, gpointer data);
gboolean cst_json_walk(const char *text, CstJsonVisit visit, gpointer data);
