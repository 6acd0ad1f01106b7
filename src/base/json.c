/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <base/json.h>

#include <string.h>

/*
 * A minimal JSON parser for the values of a LUKS2 header and for QEMU's "json:{…}", whose strings
 * may have single quotes. It does not interpret numbers, and keeps escapes unchanged, because the
 * needed values have no escapes. json-glib is not used for two reasons. It recurses as deep as the
 * text of an untrusted image nests, and the library of the engine would depend on it.
 */
#define MAX_DEPTH 16
#define MAX_PATH  256 /* longer paths are incomplete; no needed value has one */

typedef struct {
    const char *at;
    GString *path;
    unsigned depth;
    CstJsonVisit visit;
    gpointer data;
} Walk;

static gboolean walk_value(Walk *walk);

static void skip_space(Walk *walk)
{
    walk->at += strspn(walk->at, " \t\r\n");
}

static gboolean json_accept(Walk *walk, char wanted)
{
    skip_space(walk);
    if (*walk->at != wanted)
        return FALSE;
    walk->at++;
    return TRUE;
}

/* Returns the next string; NULL if the text has no string here. */
static char *take_string(Walk *walk)
{
    const char *start;
    char quote = '"';

    if (!json_accept(walk, quote)) {
        quote = '\'';
        if (!json_accept(walk, quote))
            return NULL;
    }
    start = walk->at;
    while (*walk->at && *walk->at != quote)
        walk->at += walk->at[0] == '\\' && walk->at[1] ? 2 : 1;
    return *walk->at ? g_strndup(start, (gsize)(walk->at++ - start)) : NULL;
}

static gboolean walk_member(Walk *walk, const char *name)
{
    gsize len = walk->path->len;
    gboolean ok;

    if (len + strlen(name) < MAX_PATH)
        g_string_append_printf(walk->path, "%s%s", len ? "." : "", name);
    ok = walk_value(walk);
    g_string_truncate(walk->path, len);
    return ok;
}

static gboolean walk_object(Walk *walk)
{
    if (json_accept(walk, '}'))
        return TRUE;
    do {
        g_autofree char *name = take_string(walk);

        if (!name || !json_accept(walk, ':') || !walk_member(walk, name))
            return FALSE;
    } while (json_accept(walk, ','));
    return json_accept(walk, '}');
}

static gboolean walk_array(Walk *walk)
{
    if (json_accept(walk, ']'))
        return TRUE;
    for (unsigned i = 0; i == 0 || json_accept(walk, ','); i++) {
        char name[16];

        g_snprintf(name, sizeof(name), "%u", i);
        if (!walk_member(walk, name))
            return FALSE;
    }
    return json_accept(walk, ']');
}

static gboolean walk_word(Walk *walk)
{
    size_t len = strcspn(walk->at, ",]} \t\r\n");
    g_autofree char *word = g_strndup(walk->at, len);

    walk->at += len;
    walk->visit(walk->path->str, word, walk->data);
    return len > 0;
}

static gboolean walk_value(Walk *walk)
{
    gboolean ok;

    skip_space(walk);
    if (*walk->at == '"' || *walk->at == '\'') {
        g_autofree char *text = take_string(walk);

        if (text)
            walk->visit(walk->path->str, text, walk->data);
        return text != NULL;
    }
    if (*walk->at != '{' && *walk->at != '[')
        return walk_word(walk);
    if (walk->depth == MAX_DEPTH)
        return FALSE;
    walk->depth++;
    ok = *walk->at++ == '{' ? walk_object(walk) : walk_array(walk);
    walk->depth--;
    return ok;
}

gboolean cst_json_walk(const char *text, CstJsonVisit visit, gpointer data)
{
    Walk walk = {.at = text, .path = g_string_new(NULL), .visit = visit, .data = data};
    gboolean ok = walk_value(&walk);

    skip_space(&walk);
    ok = ok && *walk.at == '\0';
    g_string_free(walk.path, TRUE);
    return ok;
}
