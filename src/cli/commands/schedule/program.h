/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "core/ctl.h"

/**
 * Runs a command of this program in another process, with the server and the root of this one.
 * @words: its name and arguments. Waits for its end; a cancelled job ends it. If it prints an
 * object with the member @member, *ret_text is its text, which the caller frees, also after a
 * failure; NULL without one. Fails with its error.
 */
gboolean schedule_program(CliCtl *ctl, const GPtrArray *words, const char *member, char **ret_text,
                          GError **error);

/**
 * Runs a command in the same way. It prints an object whose member @list is an array of objects.
 * Returns an array with a GStrv for each: the texts of its @members, "" for a missing one. The
 * caller drops the array.
 */
GPtrArray *schedule_program_list(CliCtl *ctl, const GPtrArray *words, const char *list,
                                 const char *const *members, GError **error);

/** Appends a formatted word. */
void schedule_words_add(GPtrArray *words, const char *format, ...) G_GNUC_PRINTF(2, 3);
