/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "run.h"

/**
 * The options of a new image, as qemu-img parses and prints them. The image engine decides later
 * whether their values are possible.
 */
typedef struct {
    const char *format;
    const char *context; /**< start of messages, or NULL. Borrowed */
    GPtrArray *pairs;    /**< of char *: name, value, name, value, … */
    gboolean failed;     /**< a message has been printed */
} CliQemuCreation;

/**
 * Parses @list (NULL: no options) for @format. Return: FALSE after a message if @format has no such
 * option, or a value is not of the option's kind. Clear *ret_creation in any case.
 */
gboolean cli_qemu_creation_parse(CliQemuCreation *ret_creation, const char *context,
                                 const char *format, const char *list);
void cli_qemu_creation_clear(CliQemuCreation *creation);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(CliQemuCreation, cli_qemu_creation_clear)

/** Returns the value of option @name; NULL: it was not given. Borrowed. */
const char *cli_qemu_creation_get(const CliQemuCreation *creation, const char *name);
/** Return: TRUE if the format has option @name. */
gboolean cli_qemu_creation_knows(const CliQemuCreation *creation, const char *name);
/** Sets option @name, which @format must have. Return: FALSE after a message. */
gboolean cli_qemu_creation_set(CliQemuCreation *creation, const char *name, const char *value);
/**
 * Sets the backing file and its format; NULL: not given. Return: FALSE after a message.
 */
gboolean cli_qemu_creation_set_backing(CliQemuCreation *creation, const char *backing,
                                       const char *format);
/**
 * Checks the values for which qemu-img has its own messages. The image engine checks all values.
 * Return: FALSE after a message.
 */
gboolean cli_qemu_creation_check(const CliQemuCreation *creation);
/** Prints all options with their values, as in the line "Formatting …". */
void cli_qemu_creation_print(const CliQemuCreation *creation);
/**
 * Sets option "options" of the image-* command. For a VHD, whose size qemu-img rounds to whole
 * cylinders by default, adds the option that rounds.
 */
void cli_qemu_creation_apply(const CliQemuCreation *creation, CliQemuRun *run);

/** Return: TRUE if a name in @list (may be NULL) requests help. */
gboolean cli_qemu_wants_help(const char *list);
/** Prints the options of @format. Return: the exit status. */
int cli_qemu_creation_help(const char *format);
/** Like cli_qemu_creation_help(), for the options that amend changes. */
int cli_qemu_amend_help(const char *format);

/**
 * Parses the value of -l: a name, or "snapshot.name=NAME" or "snapshot.id=ID". *ret_name is NULL
 * without @text; g_free() it. Return: FALSE after a message.
 */
gboolean cli_qemu_snapshot_value(const char *text, char **ret_name);
