/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The texts of messages. Names in events come from other users: a mail has them escaped, so that no
 * name adds a header or a line, and JSON has them as strings.
 */
#include <json_glib_library.h>
#include <string.h>

#include <base/i18n.h>
#include <base/text.h>

#include "notify_private.h"

#define SUBJECT_NAME 16 /* characters of a name in a subject that is not ASCII */

static char *time_text(int64_t time)
{
    g_autoptr(GDateTime) utc = g_date_time_new_from_unix_utc(time / G_USEC_PER_SEC);

    return utc ? g_date_time_format_iso8601(utc) : g_strdup("-");
}

/* Returns "over" for the end of a state, else the severity. */
static const char *event_word(const CstEventRecord *event)
{
    return event->over ? "over" : cst_severity_word((int)event->severity);
}

/* --- mail ------------------------------------------------------------------------------------- */

/* Returns the event with the highest severity, which the subject names. */
static const CstEventRecord *events_worst(const GPtrArray *events)
{
    const CstEventRecord *worst = events->pdata[0];

    for (guint i = 1; i < events->len; i++) {
        const CstEventRecord *event = events->pdata[i];

        if (event->severity > worst->severity)
            worst = event;
    }
    return worst;
}

/* Returns a line of a header: ASCII, or an encoded word of RFC 2047. */
static char *header_encode(const char *text)
{
    g_autofree char *encoded = NULL;
    gboolean ascii = TRUE;

    for (const char *p = text; *p; p++)
        ascii = ascii && *p > 0;
    if (ascii)
        return g_strdup(text);
    encoded = g_base64_encode((const guchar *)text, strlen(text));
    return g_strdup_printf("=?UTF-8?B?%s?=", encoded);
}

static char *mail_subject(const GPtrArray *events)
{
    const CstEventRecord *worst = events_worst(events);
    g_autofree char *object = cst_text_escape(worst->object);
    /* An encoded word has at most 75 characters, so a long name is cut. */
    g_autofree char *name =
        g_utf8_strlen(object, -1) > SUBJECT_NAME ? g_utf8_substring(object, 0, SUBJECT_NAME) : NULL;
    g_autofree char *first =
        g_strdup_printf("%s: %s %s", event_word(worst), worst->kind, name ? name : object);
    g_autofree char *encoded = header_encode(first);

    return events->len > 1
               ? g_strdup_printf("[%s] %s (+%u)", g_get_host_name(), encoded, events->len - 1)
               : g_strdup_printf("[%s] %s", g_get_host_name(), encoded);
}

char *message_mail(const CstNotifyRule *rule, const GPtrArray *events)
{
    g_autofree char *to = g_strjoinv(", ", rule->mail);
    g_autofree char *subject = mail_subject(events);
    GString *text = g_string_new(NULL);

    g_string_append_printf(text,
                           "To: %s\nSubject: %s\nAuto-Submitted: auto-generated\n"
                           "MIME-Version: 1.0\nContent-Type: text/plain; charset=utf-8\n"
                           "Content-Transfer-Encoding: 8bit\n\n",
                           to, subject);
    for (guint i = 0; i < events->len; i++) {
        const CstEventRecord *event = events->pdata[i];
        g_autofree char *time = time_text(event->time);
        g_autofree char *object = cst_text_escape(event->object);
        g_autofree char *message = cst_text_escape(event->message);

        g_string_append_printf(text, "%s  %s  %s  %s %s\n    %s\n", time, event_word(event),
                               event->kind, event->type, object, message);
    }
    g_string_append_printf(text, _("\nRule: %s. Further events: cistern events\n"), rule->name);
    return g_string_free(text, FALSE);
}

/* --- JSON ------------------------------------------------------------------------------------- */

static void member_add_text(JsonBuilder *builder, const char *name, const char *text)
{
    g_autofree char *valid = g_utf8_make_valid(text, -1);

    json_builder_set_member_name(builder, name);
    json_builder_add_string_value(builder, valid);
}

static void event_add(JsonBuilder *builder, const CstEventRecord *event)
{
    g_autofree char *time = time_text(event->time);

    json_builder_begin_object(builder);
    json_builder_set_member_name(builder, "id");
    json_builder_add_int_value(builder, event->id);
    member_add_text(builder, "time", time);
    member_add_text(builder, "kind", event->kind);
    member_add_text(builder, "severity", cst_severity_word((int)event->severity));
    json_builder_set_member_name(builder, "over");
    json_builder_add_boolean_value(builder, event->over);
    member_add_text(builder, "type", event->type);
    member_add_text(builder, "object", event->object);
    json_builder_set_member_name(builder, "uid");
    if (event->uid == CST_EVENT_NO_USER)
        json_builder_add_null_value(builder);
    else
        json_builder_add_int_value(builder, event->uid);
    member_add_text(builder, "message", event->message);
    json_builder_end_object(builder);
}

char *message_json(const CstNotifyRule *rule, const GPtrArray *events, GError **error)
{
    JsonBuilder *builder;
    JsonNode *root;
    char *text;

    if (!cst_library_load(&cst_json_glib_library, error))
        return NULL;
    builder = json_builder_new();
    json_builder_begin_object(builder);
    json_builder_set_member_name(builder, "schema");
    json_builder_add_int_value(builder, 1);
    member_add_text(builder, "host", g_get_host_name());
    member_add_text(builder, "rule", rule->name);
    json_builder_set_member_name(builder, "events");
    json_builder_begin_array(builder);
    for (guint i = 0; i < events->len; i++)
        event_add(builder, events->pdata[i]);
    json_builder_end_array(builder);
    json_builder_end_object(builder);
    root = json_builder_get_root(builder);
    text = json_to_string(root, FALSE);
    json_node_unref(root);
    g_object_unref(builder);
    return text;
}
