/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * JSON objects, one a line, each with the version of its schema. Their text is json-glib's.
 */
#include "json.h"

JsonBuilder *cli_json_begin(void)
{
    JsonBuilder *builder = json_builder_new();

    json_builder_begin_object(builder);
    json_builder_set_member_name(builder, "schema");
    json_builder_add_int_value(builder, CLI_JSON_SCHEMA);
    return builder;
}

void cli_json_end(FILE *stream, JsonBuilder *builder)
{
    g_autoptr(JsonNode) root = NULL;
    g_autofree char *text = NULL;

    json_builder_end_object(builder);
    root = json_builder_get_root(builder);
    text = json_to_string(root, FALSE);
    fprintf(stream, "%s\n", text);
    fflush(stream);
    g_object_unref(builder);
}

char *cli_json_key(const char *key)
{
    return g_strdelimit(g_strdup(key), "-", '_');
}

void cli_json_add_member(JsonBuilder *builder, const char *key)
{
    g_autofree char *name = cli_json_key(key);

    json_builder_set_member_name(builder, name);
}

void cli_json_add_string(JsonBuilder *builder, const char *key, const char *value)
{
    g_autofree char *valid = NULL;

    cli_json_add_member(builder, key);
    if (!value) {
        json_builder_add_null_value(builder);
        return;
    }
    /* File names may be any bytes; JSON text is UTF-8. */
    valid = g_utf8_make_valid(value, -1);
    json_builder_add_string_value(builder, valid);
}

void cli_json_add_bool(JsonBuilder *builder, const char *key, gboolean value)
{
    cli_json_add_member(builder, key);
    json_builder_add_boolean_value(builder, value);
}

void cli_json_add_size(JsonBuilder *builder, const char *key, uint64_t value)
{
    cli_json_add_member(builder, key);
    json_builder_add_int_value(builder, (gint64)MIN(value, (uint64_t)G_MAXINT64));
}

char *cli_json_time(int64_t seconds)
{
    g_autoptr(GDateTime) time = g_date_time_new_from_unix_utc(seconds);

    return time ? g_date_time_format(time, "%Y-%m-%dT%H:%M:%SZ") : g_strdup("-");
}
