/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Settings files are GLib key files, but GLib's errors have no line numbers. So each line is passed
 * to GLib separately, below the header of its group. GLib parses the line, and this file knows its
 * number.
 */
#include <base/settings.h>

#include <string.h>

#include <base/error.h>
#include <base/file.h>
#include <base/i18n.h>

#define SETTINGS_MAX 65536 /* bytes of a file */

typedef struct {
    CstSettingFunc set;
    gpointer data;
    char *group; /* current group; NULL before the first header */
    unsigned line;
} Reader;

/* Reports every problem as CONFIG, including problems that GLib finds. */
static gboolean fail_at(const Reader *reader, const char *key, const GError *why, GError **error)
{
    if (key)
        return cst_fail(error, CST_ERROR_CONFIG, _("line %u: [%s] %s: %s"), reader->line,
                        reader->group, key, why->message);
    return cst_fail(error, CST_ERROR_CONFIG, _("line %u: %s"), reader->line, why->message);
}

static gboolean read_key(Reader *reader, GKeyFile *file, const char *key, GError **error)
{
    g_autoptr(GError) why = NULL;
    g_autofree char *value = g_key_file_get_string(file, reader->group, key, &why);

    /* After an invalid escape GLib returns both a value and an error. */
    if (!why)
        reader->set(reader->group, key, g_strstrip(value), reader->line, reader->data, &why);
    return !why || fail_at(reader, key, why, error);
}

static gboolean read_line(Reader *reader, const char *text, GError **error)
{
    gboolean is_header = text[strspn(text, " \t")] == '[';
    g_autofree char *below =
        reader->group && !is_header ? g_strdup_printf("[%s]\n%s\n", reader->group, text) : NULL;
    g_autoptr(GKeyFile) file = g_key_file_new();
    g_auto(GStrv) keys = NULL;
    g_autoptr(GError) why = NULL;

    if (!g_key_file_load_from_data(file, below ? below : text, (gsize)-1, G_KEY_FILE_NONE, &why))
        return fail_at(reader, NULL, why, error);
    if (is_header) {
        g_free(reader->group);
        reader->group = g_key_file_get_start_group(file);
        return TRUE;
    }
    keys = below ? g_key_file_get_keys(file, reader->group, NULL, NULL) : NULL;
    for (char **key = keys; key && *key; key++)
        if (!read_key(reader, file, *key, error))
            return FALSE;
    return TRUE;
}

gboolean cst_settings_read(const char *text, size_t len, CstSettingFunc set, gpointer data,
                           GError **error)
{
    g_auto(GStrv) lines = NULL;
    Reader reader = {set, data, NULL, 1};
    gboolean ok = TRUE;

    if (memchr(text, '\0', len))
        return cst_fail(error, CST_ERROR_CONFIG, "%s", _("it is no text"));
    lines = g_strsplit(text, "\n", -1);
    for (char **line = lines; *line && ok; line++, reader.line++)
        ok = read_line(&reader, g_strchomp(*line), error);
    g_free(reader.group);
    return ok;
}

gboolean cst_settings_read_file(const char *path, gboolean required, CstSettingFunc set,
                                gpointer data, GError **error)
{
    g_autoptr(GError) why = NULL;
    g_autofree char *text = NULL;
    size_t len;

    if (!cst_file_read(path, SETTINGS_MAX, &text, &len, &why)) {
        if (!required && g_error_matches(why, CST_ERROR, CST_ERROR_NOT_FOUND))
            return TRUE;
        g_propagate_error(error, g_steal_pointer(&why));
        return FALSE;
    }
    if (cst_settings_read(text, len, set, data, error))
        return TRUE;
    g_prefix_error(error, "%s: ", path);
    return FALSE;
}
