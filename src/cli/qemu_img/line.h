/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <getopt.h>

#include <glib.h>

/** Options that have no letter. An option with a letter has its letter as id. */
enum {
    QEMU_ADD = 256,
    QEMU_BACKING_CHAIN,
    QEMU_BITMAPS,
    QEMU_CLEAR,
    QEMU_DISABLE,
    QEMU_ENABLE,
    QEMU_FLUSH_INTERVAL,
    QEMU_FORCE,
    QEMU_IMAGE_OPTS,
    QEMU_MERGE,
    QEMU_NO_DRAIN,
    QEMU_OBJECT,
    QEMU_OUTPUT,
    QEMU_PATTERN,
    QEMU_PREALLOCATION,
    QEMU_REMOVE,
    QEMU_SALVAGE,
    QEMU_SHRINK,
    QEMU_SIZE,
    QEMU_SKIP_BROKEN,
    QEMU_TARGET_IMAGE_OPTS,
    QEMU_TARGET_IS_ZERO
};

/** An option of the command line. */
typedef struct {
    int id;
    const char *value; /**< borrowed; NULL for a switch */
} CliQemuItem;

/** The command line of one of qemu-img's commands. Strings are borrowed from argv. */
typedef struct {
    GArray *items; /**< of CliQemuItem, in the order of the command line */
    char **words;  /**< operands; NULL-terminated */
    int count;     /**< number of operands */
} CliQemuLine;

/**
 * Parses @argv, whose first word is the name of the command, with getopt_long(3). @letters begins
 * with ':'. Return: FALSE after a message if an option is unknown or lacks its value. *ret_help is
 * TRUE if the help is requested. Clear *ret_line in any case.
 */
gboolean cli_qemu_line_parse(int argc, char **argv, const char *letters, const struct option *names,
                             CliQemuLine *ret_line, gboolean *ret_help);
void cli_qemu_line_clear(CliQemuLine *line);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(CliQemuLine, cli_qemu_line_clear)

/** Return: TRUE if the option @id was given. */
gboolean cli_qemu_has(const CliQemuLine *line, int id);
/** Returns the last value of option @id; NULL: it was not given. */
const char *cli_qemu_value(const CliQemuLine *line, int id);
/**
 * Joins all values of option @id with commas. *ret_list is NULL if it was not given; g_free() it.
 * Return: FALSE after a message if a value is not a list of options.
 */
gboolean cli_qemu_list(const CliQemuLine *line, int id, char **ret_list);

/** Receives an option of a list; @value is NULL for a name alone. Valid during the call. */
typedef void (*CliQemuPairFunc)(const char *name, const char *value, gpointer data);
/** Calls @func for the options of "name=value,…". A doubled comma is part of a value. */
void cli_qemu_list_walk(const char *list, CliQemuPairFunc func, gpointer data);

/** Parses @text as a size or a number from @least to @most; see cli_qemu_size(). */
gboolean cli_qemu_parse_size(const char *text, const char *what, guint64 least, guint64 most,
                             guint64 *ret_size);
/**
 * Parses option @id as a size or a number from @least to @most. *ret_size is not changed if the
 * option was not given. @what names the value in the message. Return: FALSE after a message.
 */
gboolean cli_qemu_size(const CliQemuLine *line, int id, const char *what, guint64 least,
                       guint64 most, guint64 *ret_size);

/**
 * Gets the value of --output. Return: FALSE after a message if it is neither human nor json.
 */
gboolean cli_qemu_output_is_json(const CliQemuLine *line, gboolean *ret_json);
