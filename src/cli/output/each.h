/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "core/ctl.h"
#include "sheet.h"

/**
 * What a command does to each of several things that it was given. A thing that fails keeps none of
 * the others; who was given one thing alone gets what the command would be without this.
 */
typedef struct {
    const char *list; /**< JSON: the list of what became of each */
    const char *kind; /**< JSON: the member of its items that names the thing */
    /** Asked once for all of them, with their number and their names; NULL: nothing is. */
    const char *question;
    /** Names @thing, and its pool where it is in one (else NULL); borrowed. */
    void (*name)(gconstpointer thing, const char **ret_pool, const char **ret_name);
    /** Does it, and ends as a command does (report.h); @data is the caller's. */
    gboolean (*run)(CliCtl *ctl, gconstpointer thing, gpointer data, GError **error);
    /**
     * Of a command that shows things, instead of @run: adds what there is to show of it. On one
     * sheet each of several is an object; of one alone, @object says under which name.
     */
    gboolean (*show)(CliSheet *sheet, gconstpointer thing, gpointer data, GError **error);
    const char *object; /**< JSON: NULL: the facts are the document's own */
    int label_width;    /**< of the sheet; 0: several are told apart by a line with the name */
} CliEach;

/**
 * Runs @each for all of @things, in their order; what became of each is said. PARTIAL when some
 * failed, the last one's error when all did. Nothing more is done once the user has cancelled one.
 * USAGE for several with --detach.
 */
gboolean cli_each(CliCtl *ctl, const CliEach *each, const GPtrArray *things, gpointer data,
                  GError **error);

/** The row for the names behind the first one; @completer as of the first. */
#define CLI_FURTHER(text, completer)                                                   \
    {                                                                                  \
        .name = "further", .kind = CLI_OPT_ARGV, .help = text, .complete = (completer) \
    }

/**
 * Returns the word of option @first and all of CLI_FURTHER, each once and borrowed; free the array.
 * USAGE for an empty one.
 */
GPtrArray *cli_each_word(const CliArgs *args, const char *first, GError **error);
/** Puts @word into such an array at @index (-1: behind all), unless it is there. */
void cli_each_add(GPtrArray *words, int index, const char *word);
