/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>
#include <stdint.h>
#include <stdio.h>

/**
 * "schema" of each JSON object of this program. It is incremented when a member changes its
 * meaning.
 */
#define CLI_JSON_SCHEMA 1

/** A JSON object, which is written sequentially. */
typedef struct {
    GString *text;
    gboolean follows; /**< a value precedes the next one, so a comma is needed */
} CliJson;

/** Starts an object with "schema". */
void cli_json_begin(CliJson *json);
/** Closes the object, prints it on one line and frees it. */
void cli_json_end(CliJson *json, FILE *stream);
/** Frees an object without printing it. */
void cli_json_clear(CliJson *json);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(CliJson, cli_json_clear)

/** Prints the text so far. For objects that are too long for memory. */
void cli_json_flush(CliJson *json, FILE *stream);

/*
 * @key is the name of the member; NULL in a list. In names, '-' becomes '_', so that the keys of
 * qemu-img may be passed unchanged.
 */
/** Opens an object or a list. @bracket is '{' or '['. */
void cli_json_open(CliJson *json, const char *key, char bracket);
/** Closes an object or a list. @bracket is '}' or ']'. */
void cli_json_close(CliJson *json, char bracket);
/** Adds a text, or null for NULL. Bytes that are not UTF-8, as in file names, are replaced. */
void cli_json_add_string(CliJson *json, const char *key, const char *value);
/** Adds true or false. */
void cli_json_add_bool(CliJson *json, const char *key, gboolean value);
/**
 * Adds a number. Values above 2⁶³-1 are reduced to it, because JSON readers may not support them.
 */
void cli_json_add_number(CliJson *json, const char *key, uint64_t value);
/**
 * Adds a secret text without making a copy of it. Prints the text so far, then @len bytes at
 * @value, which bypass the buffer of @stream. The bytes must be characters that JSON does not
 * escape, such as base64. Return: FALSE, with errno, if they were not written.
 */
gboolean cli_json_pass_string(CliJson *json, FILE *stream, const char *key, const void *value,
                              size_t len);
/** Adds the literal @text unchanged. */
void cli_json_add_spelt(CliJson *json, const char *key, const char *text);

/**
 * Returns a time in seconds since 1970 as ISO 8601 in UTC: "2026-11-21T02:44:39Z". The caller frees
 * it.
 */
char *cli_json_time(int64_t seconds);
