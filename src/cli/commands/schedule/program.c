/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Runs a command of this program for a schedule, and reads its JSON. */
#include "program.h"

#include <json_glib_library.h>
#include <string.h>

#include <base/child.h>
#include <base/error.h>
#include <base/i18n.h>

#include "core/background.h"
#include "output/progress.h"

#define PROGRAM "/proc/self/exe"

/* json-glib's own macro would need GObject before the library is loaded. */
typedef JsonParser ProgramParser;
G_DEFINE_AUTOPTR_CLEANUP_FUNC(ProgramParser, g_object_unref)

typedef struct {
    GPtrArray *argv;
    CstChildResult result;
} ProgramTask;

static gboolean run_program(CstTask *task, gpointer data, GError **error)
{
    ProgramTask *program = data;
    const CstChild child = {.argv = (const char *const *)program->argv->pdata,
                            .ends_with_us = TRUE};

    return cst_child_run(&child, task, &program->result, error);
}

/* Returns the object in a line of JSON; NULL: there is none. Borrowed from @parser. */
static JsonObject *line_object(JsonParser *parser, const char *line)
{
    JsonNode *root;

    if (!json_parser_load_from_data(parser, line, -1, NULL))
        return NULL;
    root = json_parser_get_root(parser);
    return root && JSON_NODE_HOLDS_OBJECT(root) ? json_node_get_object(root) : NULL;
}

/* Returns a member that is a text, or NULL. The caller frees it. */
static char *object_text(JsonObject *object, const char *member)
{
    JsonNode *node = object ? json_object_get_member(object, member) : NULL;

    return node && JSON_NODE_HOLDS_VALUE(node) ? g_strdup(json_node_get_string(node)) : NULL;
}

/* Returns the member of the last line of @text that has it, or NULL. The caller frees it. */
static char *last_text(const char *text, const char *object_name, const char *member)
{
    g_autoptr(ProgramParser) parser = json_parser_new_immutable();
    g_auto(GStrv) lines = g_strsplit(text, "\n", -1);
    char *found = NULL;

    for (guint i = g_strv_length(lines); i-- > 0 && !found;) {
        JsonObject *object = line_object(parser, lines[i]);
        JsonNode *inner =
            object && object_name ? json_object_get_member(object, object_name) : NULL;

        if (object_name)
            object = inner && JSON_NODE_HOLDS_OBJECT(inner) ? json_node_get_object(inner) : NULL;
        found = object_text(object, member);
    }
    return found;
}

static gboolean program_fail(const GPtrArray *words, const CstChildResult *result, GError **error)
{
    g_autofree char *message = last_text(result->err, "error", "message");
    g_autofree char *word = last_text(result->err, "error", "code");
    CstErrorCode code = CST_ERROR_FAILED;

    if (word && !cst_error_from_word(word, &code))
        code = CST_ERROR_FAILED;
    return cst_fail(error, code, "%s: %s", (const char *)words->pdata[0],
                    message ? message : _("it ended without a message"));
}

/*
 * Runs the command and waits for its end. FALSE: it did not run. The caller clears *ret_result
 * after TRUE, also if the command failed.
 */
static gboolean program_run(CliCtl *ctl, const GPtrArray *words, CstChildResult *ret_result,
                            GError **error)
{
    g_autoptr(GPtrArray) argv = g_ptr_array_new_with_free_func(g_free);
    ProgramTask program = {.argv = argv};

    if (!cst_library_load(&cst_json_glib_library, error))
        return FALSE;
    g_ptr_array_add(argv, g_strdup(PROGRAM));
    cli_settings_add(argv, ctl);
    if (!ctl->settings.json)
        g_ptr_array_add(argv, g_strdup("--json"));
    if (!ctl->settings.no_input)
        g_ptr_array_add(argv, g_strdup("--no-input"));
    if (ctl->settings.dry_run)
        g_ptr_array_add(argv, g_strdup("--dry-run"));
    for (guint i = 0; i < words->len; i++)
        g_ptr_array_add(argv, g_strdup(words->pdata[i]));
    g_ptr_array_add(argv, NULL);
    if (!cli_run_task(ctl, words->pdata[0], run_program, &program, error))
        return FALSE;
    *ret_result = program.result;
    return TRUE;
}

gboolean schedule_program(CliCtl *ctl, const GPtrArray *words, const char *member, char **ret_text,
                          GError **error)
{
    CstChildResult result = {0};
    gboolean ok;

    if (!program_run(ctl, words, &result, error))
        return FALSE;
    if (member && ret_text)
        *ret_text = last_text(result.out, NULL, member);
    ok = result.status == 0 || program_fail(words, &result, error);
    cst_child_result_clear(&result);
    return ok;
}

static GStrv object_texts(JsonObject *object, const char *const *members)
{
    g_autoptr(GStrvBuilder) texts = g_strv_builder_new();

    for (guint i = 0; members[i]; i++) {
        g_autofree char *text = object_text(object, members[i]);

        g_strv_builder_add(texts, text ? text : "");
    }
    return g_strv_builder_end(texts);
}

GPtrArray *schedule_program_list(CliCtl *ctl, const GPtrArray *words, const char *list,
                                 const char *const *members, GError **error)
{
    g_autoptr(GPtrArray) rows = g_ptr_array_new_with_free_func((GDestroyNotify)g_strfreev);
    g_autoptr(ProgramParser) parser = NULL;
    CstChildResult result = {0};
    JsonObject *object;
    JsonNode *node;
    JsonArray *array;
    gboolean ok;

    if (!program_run(ctl, words, &result, error))
        return NULL;
    parser = json_parser_new_immutable();
    object = line_object(parser, result.out);
    node = object ? json_object_get_member(object, list) : NULL;
    array = node && JSON_NODE_HOLDS_ARRAY(node) ? json_node_get_array(node) : NULL;
    for (guint i = 0; array && i < json_array_get_length(array); i++) {
        node = json_array_get_element(array, i);
        if (JSON_NODE_HOLDS_OBJECT(node))
            g_ptr_array_add(rows, object_texts(json_node_get_object(node), members));
    }
    ok = result.status == 0
             ? array || cst_fail(error, CST_ERROR_FAILED, _("%s: its output has no list '%s'"),
                                 (const char *)words->pdata[0], list)
             : program_fail(words, &result, error);
    cst_child_result_clear(&result);
    return ok ? g_steal_pointer(&rows) : NULL;
}

void schedule_words_add(GPtrArray *words, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    g_ptr_array_add(words, g_strdup_vprintf(format, args));
    va_end(args);
}
