/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A tree of values, and its two texts. QEMU keeps the members of a dictionary in a hash table of
 * 512 buckets and prints them bucket by bucket, the last inserted one of a bucket first. A member
 * therefore has its place in the text by its name alone. The members are sorted at insertion.
 */
#include "qdict.h"

#include <string.h>

#define BUCKETS 512
#define INDENT  4

typedef enum { KIND_TEXT, KIND_BOOL, KIND_NUMBER, KIND_DICT, KIND_LIST } Kind;

struct CliQdict {
    Kind kind;
    char *text; /**< KIND_TEXT */
    int64_t number;
    GArray *members; /**< of Member: KIND_DICT, KIND_LIST */
};

typedef struct {
    char *key; /**< NULL in a list */
    unsigned bucket;
    CliQdict *value;
} Member;

static void member_clear(gpointer data)
{
    Member *member = data;

    g_free(member->key);
    cli_qdict_free(member->value);
}

static CliQdict *value_new(Kind kind)
{
    CliQdict *value = g_new0(CliQdict, 1);

    value->kind = kind;
    if (kind == KIND_DICT || kind == KIND_LIST) {
        value->members = g_array_new(FALSE, FALSE, sizeof(Member));
        g_array_set_clear_func(value->members, member_clear);
    }
    return value;
}

CliQdict *cli_qdict_new(void)
{
    return value_new(KIND_DICT);
}

CliQdict *cli_qlist_new(void)
{
    return value_new(KIND_LIST);
}

void cli_qdict_free(CliQdict *value)
{
    if (!value)
        return;
    g_free(value->text);
    if (value->members)
        g_array_unref(value->members);
    g_free(value);
}

/* Return: the bucket of @key in QEMU's hash table, which has the hash function of Samba's tdb. */
static unsigned bucket_of(const char *key)
{
    uint32_t hash = 0x238f13afu * (uint32_t)strlen(key);

    for (unsigned i = 0; key[i]; i++)
        hash += (uint32_t)(unsigned char)key[i] << (i * 5 % 24);
    return (1103515243u * hash + 12345u) % BUCKETS;
}

void cli_qdict_add(CliQdict *dict, const char *key, CliQdict *value)
{
    const Member member = {g_strdup(key), key ? bucket_of(key) : 0, value};
    guint at = dict->members->len;

    if (key)
        for (at = 0; at < dict->members->len; at++)
            if (g_array_index(dict->members, Member, at).bucket >= member.bucket)
                break;
    g_array_insert_val(dict->members, at, member);
}

void cli_qdict_add_text(CliQdict *dict, const char *key, const char *text)
{
    CliQdict *value;

    if (!text)
        return;
    value = value_new(KIND_TEXT);
    value->text = g_strdup(text);
    cli_qdict_add(dict, key, value);
}

void cli_qdict_add_bool(CliQdict *dict, const char *key, gboolean truth)
{
    CliQdict *value = value_new(KIND_BOOL);

    value->number = truth;
    cli_qdict_add(dict, key, value);
}

void cli_qdict_add_number(CliQdict *dict, const char *key, int64_t number)
{
    CliQdict *value = value_new(KIND_NUMBER);

    value->number = number;
    cli_qdict_add(dict, key, value);
}

const CliQdict *cli_qlist_first(const CliQdict *list)
{
    return g_array_index(list->members, Member, 0).value;
}

/* --- JSON ------------------------------------------------------------------------------------ */

static void append_character(GString *out, gunichar c)
{
    static const char letters[] = "btn\0fr"; /* for characters 8 to 13; 11 has no letter */

    if (c == '"' || c == '\\')
        g_string_append_printf(out, "\\%c", (char)c);
    else if (c >= '\b' && c <= '\r' && letters[c - '\b'])
        g_string_append_printf(out, "\\%c", letters[c - '\b']);
    else if (c >= ' ' && c < 0x7f)
        g_string_append_c(out, (char)c);
    else if (c <= 0xffff)
        g_string_append_printf(out, "\\u%04X", c);
    else
        g_string_append_printf(out, "\\u%04X\\u%04X", 0xd7c0 + (c >> 10), 0xdc00 + (c & 0x3ff));
}

static void append_string(GString *out, const char *text)
{
    g_autofree char *valid = g_utf8_make_valid(text, -1);

    g_string_append_c(out, '"');
    for (const char *at = valid; *at; at = g_utf8_next_char(at))
        append_character(out, g_utf8_get_char(at));
    g_string_append_c(out, '"');
}

static void append_line(GString *out, unsigned depth)
{
    g_string_append_printf(out, "\n%*s", (int)(depth * INDENT), "");
}

static void append_json(GString *out, const CliQdict *value, unsigned depth)
{
    gboolean is_dict = value->kind == KIND_DICT;

    switch (value->kind) {
    case KIND_TEXT: append_string(out, value->text); return;
    case KIND_BOOL: g_string_append(out, value->number ? "true" : "false"); return;
    case KIND_NUMBER: g_string_append_printf(out, "%" G_GINT64_FORMAT, value->number); return;
    case KIND_DICT:
    case KIND_LIST: break;
    }
    g_string_append_c(out, is_dict ? '{' : '[');
    for (guint i = 0; i < value->members->len; i++) {
        const Member *member = &g_array_index(value->members, Member, i);

        if (i > 0)
            g_string_append_c(out, ',');
        append_line(out, depth + 1);
        if (is_dict) {
            append_string(out, member->key);
            g_string_append(out, ": ");
        }
        append_json(out, member->value, depth + 1);
    }
    append_line(out, depth);
    g_string_append_c(out, is_dict ? '}' : ']');
}

char *cli_qdict_json(const CliQdict *value)
{
    GString *out = g_string_new(NULL);

    append_json(out, value, 0);
    return g_string_free(out, FALSE);
}

/* --- text ------------------------------------------------------------------------------------ */

static void append_text(GString *out, const CliQdict *value, unsigned depth)
{
    switch (value->kind) {
    case KIND_TEXT: g_string_append(out, value->text); return;
    case KIND_BOOL: g_string_append(out, value->number ? "true" : "false"); return;
    case KIND_NUMBER: g_string_append_printf(out, "%" G_GINT64_FORMAT, value->number); return;
    case KIND_DICT:
    case KIND_LIST: break;
    }
    for (guint i = 0; i < value->members->len; i++) {
        const Member *member = &g_array_index(value->members, Member, i);
        gboolean is_compound = member->value->members != NULL;
        g_autofree char *name = member->key ? g_strdup(member->key) : g_strdup_printf("[%u]", i);

        g_strdelimit(name, "-", ' ');
        g_string_append_printf(out, "%*s%s:%c", (int)(depth * INDENT), "", name,
                               is_compound ? '\n' : ' ');
        append_text(out, member->value, depth + 1);
        if (!is_compound)
            g_string_append_c(out, '\n');
    }
}

char *cli_qdict_text(const CliQdict *dict, unsigned depth)
{
    GString *out = g_string_new(NULL);

    append_text(out, dict, depth);
    return g_string_free(out, FALSE);
}
