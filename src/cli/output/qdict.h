/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>
#include <stdint.h>

/**
 * Values that are printed as qemu-img prints them: as JSON, or as indented text. The members of a
 * dictionary have the order of QEMU's hash table, so that scripts and tests that compare the text
 * see no difference.
 */
typedef struct CliQdict CliQdict;

/** Returns an empty dictionary or list; owned by the caller. */
CliQdict *cli_qdict_new(void);
CliQdict *cli_qlist_new(void);
/** Frees @value and all values in it. NULL is accepted. */
void cli_qdict_free(CliQdict *value);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(CliQdict, cli_qdict_free)

/** Adds a member. @key NULL: adds an element to a list. A NULL @text adds no member. */
void cli_qdict_add_text(CliQdict *dict, const char *key, const char *text);
void cli_qdict_add_bool(CliQdict *dict, const char *key, gboolean value);
void cli_qdict_add_number(CliQdict *dict, const char *key, int64_t value);
/** Adds @value, and takes ownership of it. */
void cli_qdict_add(CliQdict *dict, const char *key, CliQdict *value);

/** Returns the first element of a list that is not empty; borrowed. */
const CliQdict *cli_qlist_first(const CliQdict *list);

/** Returns the JSON text in qemu-img's layout, without a newline at its end. g_free() it. */
char *cli_qdict_json(const CliQdict *value);
/**
 * Returns the text for people: a line for each member, indented by @depth levels. Dashes in names
 * become spaces. g_free() it.
 */
char *cli_qdict_text(const CliQdict *dict, unsigned depth);
