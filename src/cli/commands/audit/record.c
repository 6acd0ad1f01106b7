/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Records of the audit trail, from their lines of JSON. */
#include <json_glib_library.h>
#include <pwd.h>
#include <string.h>

#include "audit.h"

/* json-glib's own macro would need GObject before the library is loaded. */
typedef JsonParser RecordParser;
G_DEFINE_AUTOPTR_CLEANUP_FUNC(RecordParser, g_object_unref)

/* Returns a member that is a text, borrowed; NULL without it. */
static const char *member_text(JsonObject *object, const char *name)
{
    JsonNode *node = json_object_get_member(object, name);

    return node && JSON_NODE_HOLDS_VALUE(node) && json_node_get_value_type(node) == G_TYPE_STRING
               ? json_node_get_string(node)
               : NULL;
}

static gboolean member_number(JsonObject *object, const char *name, uint64_t *ret_number)
{
    JsonNode *node = json_object_get_member(object, name);

    if (!node || !JSON_NODE_HOLDS_VALUE(node) || json_node_get_value_type(node) != G_TYPE_INT64)
        return FALSE;
    *ret_number = (uint64_t)MAX(json_node_get_int(node), 0);
    return TRUE;
}

/* Returns the name of a user, or the digits of a uid without a name. The caller frees it. */
static char *user_name(uint64_t uid)
{
    const struct passwd *entry = uid <= G_MAXUINT32 ? getpwuid((uid_t)uid) : NULL;

    return entry ? g_strdup(entry->pw_name) : g_strdup_printf("%" G_GUINT64_FORMAT, uid);
}

static void name_add(AuditRecord *record, const char *name)
{
    if (name)
        g_ptr_array_add(record->names, g_strdup(name));
}

/* Appends @word to the list of words in *@list, unless it is NULL. */
static void words_add(char **list, const char *word)
{
    g_autofree char *before = *list;

    if (word)
        *list = before ? g_strconcat(before, " ", word, NULL) : g_strdup(word);
    else
        *list = g_steal_pointer(&before);
}

/* Appends "TYPE NAME" to the text of the objects, and adds the names by which it is found. */
static void object_read(AuditRecord *record, GString *text, JsonObject *object)
{
    const char *type = member_text(object, "type");
    const char *pool = member_text(object, "pool");
    const char *name = member_text(object, "name");
    const char *uuid = member_text(object, "uuid");
    uint64_t number;

    g_string_append_printf(text, "%s%s ", text->len ? ", " : "", type ? type : "?");
    if (pool) {
        g_autofree char *full = g_strconcat(pool, "/", name ? name : "?", NULL);

        g_string_append(text, full);
        name_add(record, full);
    } else if (member_number(object, "number", &number)) {
        g_autofree char *digits = g_strdup_printf("%" G_GUINT64_FORMAT, number);

        g_string_append(text, digits);
        name_add(record, digits);
    } else {
        g_string_append(text, name ? name : uuid ? uuid : "?");
    }
    name_add(record, pool);
    name_add(record, name);
    name_add(record, uuid);
    name_add(record, member_text(object, "pool_uuid"));
    name_add(record, member_text(object, "key"));
    words_add(&record->uuids, uuid ? uuid : member_text(object, "pool_uuid"));
    words_add(&record->keys, member_text(object, "key"));
}

static void objects_read(AuditRecord *record, JsonObject *root)
{
    g_autoptr(GString) text = g_string_new(NULL);
    JsonNode *node = json_object_get_member(root, "objects");
    JsonArray *array = node && JSON_NODE_HOLDS_ARRAY(node) ? json_node_get_array(node) : NULL;
    uint64_t further;

    for (guint i = 0; array && i < json_array_get_length(array); i++) {
        JsonNode *element = json_array_get_element(array, i);

        if (JSON_NODE_HOLDS_OBJECT(element))
            object_read(record, text, json_node_get_object(element));
    }
    if (member_number(root, "further_objects", &further))
        g_string_append_printf(text, ", +%" G_GUINT64_FORMAT, further);
    record->object = text->len ? g_strdup(text->str) : NULL;
}

static void detail_read(AuditRecord *record, JsonObject *root)
{
    static const char *const keys[] = {"source_pool", "source",   "snapshot", "bitmap", "trash",
                                       "new_pool",    "new_name", "check",    "of",     "rule"};
    g_autoptr(GString) text = g_string_new(NULL);

    for (guint i = 0; i < G_N_ELEMENTS(keys); i++) {
        const char *value = member_text(root, keys[i]);

        if (!value)
            continue;
        g_string_append_printf(text, "%s%s=%s", text->len ? " " : "", keys[i], value);
        name_add(record, value);
    }
    record->detail = text->len ? g_strdup(text->str) : NULL;
}

static void caller_read(AuditRecord *record, JsonObject *root)
{
    JsonNode *node = json_object_get_member(root, "for");
    JsonObject *actor = node && JSON_NODE_HOLDS_OBJECT(node) ? json_node_get_object(node) : NULL;
    uint64_t uid;

    record->has_uid = member_number(root, "uid", &record->uid);
    if (record->has_uid)
        record->user = user_name(record->uid);
    record->has_login = member_number(root, "login", &record->login_uid);
    if (record->has_login)
        record->login = user_name(record->login_uid);
    (void)member_number(root, "pid", &record->pid);
    record->program = g_strdup(member_text(root, "program"));
    record->via = g_strdup(member_text(root, "via"));
    if (!actor)
        return;
    record->actor = g_strdup(member_text(actor, "sasl"));
    if (!record->actor)
        record->actor = g_strdup(member_text(actor, "tls"));
    if (!record->actor)
        record->actor = g_strdup(member_text(actor, "user"));
    if (!record->actor && member_number(actor, "uid", &uid))
        record->actor = user_name(uid);
}

static int64_t time_read(const char *text)
{
    g_autoptr(GDateTime) time = text ? g_date_time_new_from_iso8601(text, NULL) : NULL;

    return time ? g_date_time_to_unix(time) : 0;
}

AuditRecord *audit_record_parse(const char *line)
{
    g_autoptr(RecordParser) parser = json_parser_new_immutable();
    AuditRecord *record;
    JsonObject *object;
    JsonNode *root;

    if (!json_parser_load_from_data(parser, line, -1, NULL))
        return NULL;
    root = json_parser_get_root(parser);
    if (!root || !JSON_NODE_HOLDS_OBJECT(root))
        return NULL;
    object = json_node_get_object(root);
    record = g_new0(AuditRecord, 1);
    record->names = g_ptr_array_new_with_free_func(g_free);
    record->time = time_read(member_text(object, "time"));
    record->kind = g_strdup(member_text(object, "kind"));
    record->procedure = g_strdup(member_text(object, "procedure"));
    record->result = g_strdup(member_text(object, "result"));
    record->hash = g_strdup(member_text(object, "hash"));
    (void)member_number(object, "seq", &record->seq);
    (void)member_number(object, "lost", &record->lost);
    record->has_job = member_number(object, "job", &record->job);
    record->has_duration = member_number(object, "duration_us", &record->duration_us);
    caller_read(record, object);
    objects_read(record, object);
    detail_read(record, object);
    return record;
}

void audit_record_free(AuditRecord *record)
{
    if (!record)
        return;
    g_free(record->kind);
    g_free(record->procedure);
    g_free(record->user);
    g_free(record->login);
    g_free(record->actor);
    g_free(record->program);
    g_free(record->via);
    g_free(record->object);
    g_free(record->uuids);
    g_free(record->keys);
    g_free(record->detail);
    g_free(record->result);
    g_free(record->hash);
    g_ptr_array_unref(record->names);
    g_free(record);
}
