/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>
#include <stdint.h>
#include <stdio.h>

/** "schema" of every JSON object this program prints; it goes up when a member changes meaning. */
#define CLI_JSON_SCHEMA 1

/** One JSON object, whose text is written from left to right. */
typedef struct {
    GString *text;
    gboolean follows; /**< a value stands before the next one, so a comma must */
} CliJson;

/** Starts an object with "schema". */
void cli_json_begin(CliJson *json);
/** Closes the object, prints it on a line and frees it. */
void cli_json_end(CliJson *json, FILE *stream);
/** Frees an object that is not printed. */
void cli_json_clear(CliJson *json);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(CliJson, cli_json_clear)

/** Prints what has been written so far, of an object that is too long to be kept in memory. */
void cli_json_flush(CliJson *json, FILE *stream);

/*
 * @key is the name of the member, NULL in a list. Names have underscores everywhere; keys that are
 * qemu-img's may be spelt as it has them.
 */
/** Opens an object or a list; @bracket: '{' or '['. */
void cli_json_open(CliJson *json, const char *key, char bracket);
/** Closes it; @bracket: '}' or ']'. */
void cli_json_close(CliJson *json, char bracket);
/** Adds a text; NULL: null. Bytes that are no UTF-8, as file names may have, are replaced. */
void cli_json_add_string(CliJson *json, const char *key, const char *value);
/** Adds true or false. */
void cli_json_add_bool(CliJson *json, const char *key, gboolean value);
/** Adds a number. Readers of JSON may have no number above 2⁶³-1; larger ones are cut to it. */
void cli_json_add_number(CliJson *json, const char *key, uint64_t value);
/**
 * Adds a secret text, of which no copy is made: prints what has been written so far, then @len
 * bytes at @value past the buffer of @stream. They have to be characters that JSON does not escape,
 * as base64's are. FALSE, with errno: they were not written.
 */
gboolean cli_json_pass_string(CliJson *json, FILE *stream, const char *key, const void *value,
                              size_t len);
/** Adds a literal as @text spells it. */
void cli_json_add_spelt(CliJson *json, const char *key, const char *text);

/** Returns a time in seconds since 1970 as ISO 8601 in UTC: "2026-11-21T02:44:39Z". Free it. */
char *cli_json_time(int64_t seconds);
