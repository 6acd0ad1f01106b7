/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "core/ctl.h"
#include "sheet.h"

/**
 * The action of a command that accepts several objects. If one object fails, the command continues
 * with the next one. For a single object, the output is that of a command without this feature.
 */
typedef struct {
    const char *list; /**< JSON: name of the list of results */
    const char *kind; /**< JSON: member of its items with the object's name */
    /** Asked once for all objects, with their number and names; NULL: no question. */
    const char *question;
    /** Gets the name of @thing and its pool (NULL if it is not in a pool), both borrowed. */
    void (*name)(gconstpointer thing, const char **ret_pool, const char **ret_name);
    /** Performs the action and ends as a command does (report.h). @data is the caller's. */
    gboolean (*run)(CliCtl *ctl, gconstpointer thing, gpointer data, GError **error);
    /**
     * Used instead of @run by commands that show objects: adds the facts of @thing to the sheet.
     * Each of several objects becomes an object of the sheet; for a single one, @object is the
     * member's name.
     */
    gboolean (*show)(CliSheet *sheet, gconstpointer thing, gpointer data, GError **error);
    const char *object; /**< JSON: member for a single object; NULL: top level */
    int label_width;    /**< label width of the sheet; 0: a line with the name precedes each
                             object */
} CliEach;

/**
 * Runs @each for all of @things in order, and reports each result. Fails with PARTIAL if some
 * failed, or with the error of the last one if all failed. Stops after the user has cancelled one.
 * Fails with USAGE for several objects with --detach.
 */
gboolean cli_each(CliCtl *ctl, const CliEach *each, const GPtrArray *things, gpointer data,
                  GError **error);

/** The row for further names after the first one. @completer is that of the first name. */
#define CLI_FURTHER(text, completer)                                                   \
    {                                                                                  \
        .name = "further", .kind = CLI_OPT_ARGV, .help = text, .complete = (completer) \
    }

/**
 * Returns the values of option @first and of CLI_FURTHER without duplicates, borrowed. The caller
 * frees the array. Fails with USAGE for an empty name.
 */
GPtrArray *cli_each_word(const CliArgs *args, const char *first, GError **error);
/** Inserts @word into such an array at @index (-1: append), unless the array already has it. */
void cli_each_add(GPtrArray *words, int index, const char *word);
