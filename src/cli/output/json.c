/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * JSON objects, one on each line, each with the version of its schema. The text is appended to a
 * string. The only state is whether a comma must come next.
 *
 * json-glib is not used, because its generator needs the complete object as a tree, and the map of
 * an image may have millions of rows. It also prints 56.77 as 56.770000000000003 and does not
 * escape the character U+001F, which makes the text invalid.
 */
#include "json.h"

#include <base/text.h>

#include "text.h"

void cli_json_begin(CliJson *json)
{
    *json = (CliJson){.text = g_string_new(NULL)};
    cli_json_open(json, NULL, '{');
    cli_json_add_number(json, "schema", CLI_JSON_SCHEMA);
}

void cli_json_end(CliJson *json, FILE *stream)
{
    cli_json_close(json, '}');
    g_string_append_c(json->text, '\n');
    cli_json_flush(json, stream);
    fflush(stream);
    cli_json_clear(json);
}

void cli_json_clear(CliJson *json)
{
    if (json->text)
        g_string_free(g_steal_pointer(&json->text), TRUE);
}

void cli_json_flush(CliJson *json, FILE *stream)
{
    fwrite(json->text->str, 1, json->text->len, stream);
    g_string_truncate(json->text, 0);
}

/* Write the text before a value: a comma, and the name of a member. */
static void begin_value(CliJson *json, const char *key)
{
    gsize at;

    if (json->follows)
        g_string_append_c(json->text, ',');
    json->follows = TRUE;
    if (!key)
        return;
    g_string_append_c(json->text, '"');
    at = json->text->len;
    g_string_append(json->text, key);
    g_strdelimit(json->text->str + at, "-", '_');
    g_string_append(json->text, "\":");
}

void cli_json_open(CliJson *json, const char *key, char bracket)
{
    begin_value(json, key);
    g_string_append_c(json->text, bracket);
    json->follows = FALSE;
}

void cli_json_close(CliJson *json, char bracket)
{
    g_string_append_c(json->text, bracket);
    json->follows = TRUE;
}

/* JSON may contain any character, but this text may be printed on a terminal. */
static void json_append_escaped(GString *out, gunichar c)
{
    static const char letters[] = "btn\0fr"; /* for characters 8 to 13; 11 has no letter */

    if (c == '"' || c == '\\')
        g_string_append_printf(out, "\\%c", (char)c);
    else if (c >= '\b' && c <= '\r' && letters[c - '\b'])
        g_string_append_printf(out, "\\%c", letters[c - '\b']);
    else if (c <= 0xffff && !cst_text_is_plain(c))
        g_string_append_printf(out, "\\u%04x", c);
    else
        g_string_append_unichar(out, c);
}

/* Return: the number of bytes at the start of @text that need no escape. */
static gsize plain_length(const char *text)
{
    const char *end = text;

    while (*end >= ' ' && *end < 0x7f && *end != '"' && *end != '\\')
        end++;
    return (gsize)(end - text);
}

void cli_json_add_string(CliJson *json, const char *key, const char *value)
{
    g_autofree char *valid = NULL;
    gsize plain;

    begin_value(json, key);
    if (!value) {
        g_string_append(json->text, "null");
        return;
    }
    g_string_append_c(json->text, '"');
    plain = plain_length(value);
    g_string_append_len(json->text, value, (gssize)plain);
    if (value[plain])
        valid = g_utf8_make_valid(value + plain, -1);
    for (const char *at = valid; at && *at; at = g_utf8_next_char(at))
        json_append_escaped(json->text, g_utf8_get_char(at));
    g_string_append_c(json->text, '"');
}

gboolean cli_json_pass_string(CliJson *json, FILE *stream, const char *key, const void *value,
                              size_t len)
{
    begin_value(json, key);
    g_string_append_c(json->text, '"');
    cli_json_flush(json, stream);
    g_string_append_c(json->text, '"');
    return cli_write_unbuffered(stream, value, len);
}

void cli_json_add_bool(CliJson *json, const char *key, gboolean value)
{
    cli_json_add_spelt(json, key, value ? "true" : "false");
}

void cli_json_add_number(CliJson *json, const char *key, uint64_t value)
{
    char buffer[CLI_DIGITS];

    cli_json_add_spelt(json, key, cli_digits(MIN(value, (uint64_t)G_MAXINT64), buffer));
}

void cli_json_add_spelt(CliJson *json, const char *key, const char *text)
{
    begin_value(json, key);
    g_string_append(json->text, text);
}

char *cli_json_time(int64_t seconds)
{
    g_autoptr(GDateTime) time = g_date_time_new_from_unix_utc(seconds);

    return time ? g_date_time_format(time, "%Y-%m-%dT%H:%M:%SZ") : g_strdup("-");
}
