/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Parses the headers of a reply. A value that is too long or not a number is ignored. */
#include "http_reply.h"

#include <string.h>

/* Parses the digits at *text and moves past them. Returns FALSE for no digits or too many. */
static gboolean parse_decimal(const char **text, uint64_t *ret_value)
{
    uint64_t value = 0;
    const char *at = *text;

    for (; g_ascii_isdigit(*at); at++) {
        if (value > G_MAXINT64 / 10 - 1)
            return FALSE;
        value = 10 * value + (uint64_t)(*at - '0');
    }
    if (at == *text)
        return FALSE;
    *text = at;
    *ret_value = value;
    return TRUE;
}

/* "bytes 0-499/1234"; an asterisk instead of an unknown total. */
static void read_range(ImportReply *reply, const char *value)
{
    uint64_t start, end, total = G_MAXUINT64;

    if (!g_str_has_prefix(value, "bytes "))
        return;
    value += strlen("bytes ");
    if (!parse_decimal(&value, &start) || *value++ != '-' || !parse_decimal(&value, &end) ||
        *value++ != '/' || (*value != '*' && !parse_decimal(&value, &total)) || end < start ||
        end >= total)
        return;
    reply->has_range = TRUE;
    reply->start = start;
    reply->total = total;
}

static void begin_reply(ImportReply *reply, const char *line)
{
    const char *space = strchr(line, ' ');
    size_t header_size = reply->header_size;
    uint64_t status = 0;

    *reply = (ImportReply){.header_size = header_size, .length = G_MAXUINT64, .total = G_MAXUINT64};
    if (space && (space++, parse_decimal(&space, &status)) && status < 1000)
        reply->status = (long)status;
}

static void read_field(ImportReply *reply, const char *name, const char *value)
{
    uint64_t number;

    if (g_ascii_strcasecmp(name, "etag") == 0 && strlen(value) < IMPORT_REPLY_TEXT)
        g_strlcpy(reply->etag, value, IMPORT_REPLY_TEXT);
    else if (g_ascii_strcasecmp(name, "last-modified") == 0 && strlen(value) < IMPORT_REPLY_TEXT)
        g_strlcpy(reply->modified, value, IMPORT_REPLY_TEXT);
    else if (g_ascii_strcasecmp(name, "content-range") == 0)
        read_range(reply, value);
    else if (g_ascii_strcasecmp(name, "content-length") == 0 && parse_decimal(&value, &number))
        reply->length = number;
}

gboolean import_reply_header(ImportReply *reply, const char *line, size_t len)
{
    g_autofree char *text = NULL;
    char *colon;

    reply->header_size += len;
    if (reply->header_size > IMPORT_REPLY_HEADERS)
        return FALSE;
    text = g_strstrip(g_strndup(line, len));
    if (g_str_has_prefix(text, "HTTP/")) {
        begin_reply(reply, text);
        return TRUE;
    }
    colon = strchr(text, ':');
    if (colon) {
        *colon = '\0';
        read_field(reply, text, g_strstrip(colon + 1));
    }
    return TRUE;
}

char *import_reply_validator(const ImportReply *reply)
{
    /* A weak ETag means that two versions are equivalent, not that they are identical. */
    if (reply->etag[0] == '"')
        return g_strdup(reply->etag);
    return reply->modified[0] ? g_strdup(reply->modified) : NULL;
}
