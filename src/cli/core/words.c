/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Splits a line into commands and words by virsh's quoting rules (words.h), and quotes a word. One
 * pass, character by character. Adjacent quoted and unquoted parts form one word, as in a shell.
 */
#include "words.h"

#include <string.h>

#include <base/error.h>
#include <base/i18n.h>

typedef struct {
    const char *pos;
    GPtrArray *lines; /**< of char **, one for each finished command */
    GPtrArray *line;  /**< words of the command being read */
} Splitter;

static gboolean is_blank_char(char c)
{
    return c == ' ' || c == '\t';
}

static gboolean is_end(char c)
{
    return c == ';' || c == '\n';
}

static void splitter_end_line(Splitter *splitter)
{
    if (splitter->line->len == 0)
        return;
    g_ptr_array_add(splitter->line, NULL);
    g_ptr_array_add(splitter->lines, g_ptr_array_steal(splitter->line, NULL));
}

static gboolean splitter_read_escape(Splitter *splitter, GString *word, GError **error)
{
    splitter->pos++;
    if (*splitter->pos == '\0')
        return cst_fail(error, CST_ERROR_USAGE, "%s", _("dangling \\"));
    if (*splitter->pos != '\n')
        g_string_append_c(word, *splitter->pos);
    splitter->pos++;
    return TRUE;
}

static gboolean splitter_read_word(Splitter *splitter, GError **error)
{
    g_autoptr(GString) word = g_string_new(NULL);
    gboolean single = FALSE;
    gboolean twice = FALSE;

    while (*splitter->pos) {
        char c = *splitter->pos;

        if (!single && !twice && (is_blank_char(c) || is_end(c)))
            break;
        if (c == '\'' && !twice) {
            single = !single;
        } else if (c == '"' && !single) {
            twice = !twice;
        } else if (c == '\\' && !single) {
            if (!splitter_read_escape(splitter, word, error))
                return FALSE;
            continue;
        } else {
            g_string_append_c(word, c);
        }
        splitter->pos++;
    }
    if (twice)
        return cst_fail(error, CST_ERROR_USAGE, "%s", _("missing \""));
    g_ptr_array_add(splitter->line, g_string_free(g_steal_pointer(&word), FALSE));
    return TRUE;
}

static gboolean splitter_split_lines(Splitter *splitter, GError **error)
{
    while (*splitter->pos) {
        if (is_blank_char(*splitter->pos)) {
            splitter->pos++;
        } else if (g_str_has_prefix(splitter->pos, "\\\n")) {
            splitter->pos += 2;
        } else if (is_end(*splitter->pos)) {
            splitter_end_line(splitter);
            splitter->pos++;
        } else if (*splitter->pos == '#') {
            splitter->pos += strcspn(splitter->pos, "\n");
        } else if (!splitter_read_word(splitter, error)) {
            return FALSE;
        }
    }
    splitter_end_line(splitter);
    return TRUE;
}

GPtrArray *cli_words_split(const char *text, GError **error)
{
    Splitter splitter = {
        .pos = text,
        .lines = g_ptr_array_new_with_free_func((GDestroyNotify)g_strfreev),
        .line = g_ptr_array_new_with_free_func(g_free),
    };
    gboolean ok = splitter_split_lines(&splitter, error);

    g_ptr_array_unref(splitter.line);
    if (!ok)
        g_clear_pointer(&splitter.lines, g_ptr_array_unref);
    return splitter.lines;
}

char *cli_words_quote(const char *text)
{
    static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
                                "%+,-./:=@_";

    if (*text && text[strspn(text, plain)] == '\0')
        return g_strdup(text);
    return g_shell_quote(text);
}
