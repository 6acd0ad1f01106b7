/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <json-glib/json-glib.h>
#include <stdint.h>
#include <stdio.h>

/** "schema" of every JSON object this program prints; it goes up when a member changes meaning. */
#define CLI_JSON_SCHEMA 1

/** Starts an object with "schema"; cli_json_end() closes it, prints it on a line and frees it. */
JsonBuilder *cli_json_begin(void);
void cli_json_end(FILE *stream, JsonBuilder *builder);
/**
 * The name of a member for @key. Names have underscores everywhere; keys that are qemu-img's may be
 * spelt as it has them. The caller frees it.
 */
char *cli_json_key(const char *key);
/** The value of this member is added next. */
void cli_json_add_member(JsonBuilder *builder, const char *key);
void cli_json_add_string(JsonBuilder *builder, const char *key, const char *value);
void cli_json_add_bool(JsonBuilder *builder, const char *key, gboolean value);
/** JSON has no number above 2⁶³-1; such sizes are cut to it. */
void cli_json_add_size(JsonBuilder *builder, const char *key, uint64_t value);

/** A time in seconds since 1970 as ISO 8601 in UTC: "2026-11-21T02:44:39Z". */
char *cli_json_time(int64_t seconds);
