/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The text of audit records. Names come from clients and from files of other users, so a value has
 * a limit, control characters are escaped, and bytes that are no UTF-8 are replaced.
 */
#include "audit_text.h"

#include <inttypes.h>
#include <string.h>

#define VALUE_MAX 1024 /* bytes of an escaped value */

static void member_begin(GString *members, const char *key)
{
    if (members->len > 0 && members->str[members->len - 1] != '{' &&
        members->str[members->len - 1] != '[')
        g_string_append_c(members, ',');
    g_string_append_printf(members, "\"%s\":", key);
}

void audit_add_text(GString *members, const char *key, const char *value)
{
    g_autofree char *valid = NULL;
    gsize begin;

    if (!value)
        return;
    if (!g_utf8_validate(value, -1, NULL))
        value = valid = g_utf8_make_valid(value, -1);
    member_begin(members, key);
    g_string_append_c(members, '"');
    begin = members->len;
    for (const char *at = value; *at; at = g_utf8_next_char(at)) {
        gunichar c = g_utf8_get_char(at);

        if (members->len - begin > VALUE_MAX) {
            g_string_append(members, "…");
            break;
        }
        if (c == '"' || c == '\\')
            g_string_append_printf(members, "\\%c", (char)c);
        else if (c < 0x20 || (c >= 0x7f && c < 0xa0))
            g_string_append_printf(members, "\\u%04x", c);
        else
            g_string_append_unichar(members, c);
    }
    g_string_append_c(members, '"');
}

void audit_add_number(GString *members, const char *key, uint64_t number)
{
    member_begin(members, key);
    g_string_append_printf(members, "%" PRIu64, number);
}

void audit_add_uuid(GString *members, const char *key, const CstUuid *uuid)
{
    char text[CST_UUID_TEXT_LEN];

    audit_add_text(members, key, cst_uuid_format(uuid, text));
}
