/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The database of tags and notes: one row in "tagged" for each object with a record, and one row in
 * "tags" for each tag of it. An empty text in tagged.snapshot is the volume itself. A rename
 * changes rows of "tagged" only. The index tags_by_tag finds the volumes of a tag.
 *
 * The connection is opened on first use. CstTagStore.lock guards it. No query creates the database.
 */
#include <store/tags.h>

#include <string.h>
#include <unistd.h>

#include <base/crash.h>
#include <base/error.h>
#include <base/i18n.h>
#include <base/text.h>

#include "database.h"

struct CstTagStore {
    GMutex lock; /* guards the use of the database */
    Database database;
};

static const char schema[] =
    /* AUTOINCREMENT: a list by id does not miss a record that replaces a removed one. */
    "CREATE TABLE IF NOT EXISTS tagged ("
    "  id INTEGER PRIMARY KEY AUTOINCREMENT, pool TEXT NOT NULL, volume TEXT NOT NULL,"
    "  snapshot TEXT NOT NULL, note TEXT, UNIQUE (pool, volume, snapshot));"
    "CREATE TABLE IF NOT EXISTS tags ("
    "  object INTEGER NOT NULL, tag TEXT NOT NULL, PRIMARY KEY (object, tag)) WITHOUT ROWID;"
    "CREATE INDEX IF NOT EXISTS tags_by_tag ON tags (tag, object);";

#define SCHEMA_VERSION "1"

/* Parameters: 1 pool, 2 volume, 3 snapshot (NULL: the volume and all its snapshots). */
#define OF_KEY  " pool = ?1 AND volume = ?2 AND (?3 IS NULL OR snapshot = ?3)"
#define OBJECTS "(SELECT id FROM tagged WHERE" OF_KEY ")"
/* Parameters: 4 pool, 5 volume, 6 snapshot (NULL: as the source). */
#define OF_TARGET " pool = ?4 AND volume = ?5 AND (?6 IS NULL OR snapshot = ?6)"
#define COLUMNS                        \
    "id, pool, volume, snapshot, note" \
    ", (SELECT group_concat(tag, ' ') FROM tags WHERE object = id)"

CstTagStore *cst_tag_store_new(const CstPaths *paths)
{
    CstTagStore *store = g_new0(CstTagStore, 1);

    g_mutex_init(&store->lock);
    store->database = (Database){
        .dir = g_strdup(paths->data_dir),
        .path = g_build_filename(paths->data_dir, "tags.db", NULL),
        .schema = schema,
        .version = SCHEMA_VERSION,
        .durable = TRUE,
    };
    return store;
}

void cst_tag_store_free(CstTagStore *store)
{
    if (!store)
        return;
    database_clear(&store->database);
    g_mutex_clear(&store->lock);
    g_free(store);
}

/* Whether an object may have a record. Call with the lock. */
static gboolean tag_store_exists(const CstTagStore *store)
{
    return store->database.db || access(store->database.path, F_OK) == 0;
}

/* --- statements ------------------------------------------------------------------------------- */

/* The parameters of a statement, from ?1 on. A statement may use a part of them. */
typedef struct {
    char pool[CST_UUID_TEXT_LEN], to_pool[CST_UUID_TEXT_LEN];
    const char *texts[6];
} TagParameters;

/* The texts refer to @parameters itself, which must outlive a copy. */
static void tag_parameters_init(TagParameters *parameters, const CstTagKey *key,
                                const CstTagKey *to)
{
    parameters->texts[0] = cst_uuid_format(&key->pool, parameters->pool);
    parameters->texts[1] = key->volume;
    parameters->texts[2] = key->snapshot;
    for (guint i = 3; i < G_N_ELEMENTS(parameters->texts); i++)
        parameters->texts[i] = NULL;
    if (!to)
        return;
    parameters->texts[3] = cst_uuid_format(&to->pool, parameters->to_pool);
    parameters->texts[4] = to->volume;
    parameters->texts[5] = to->snapshot;
}

static sqlite3_stmt *tag_statement(const CstTagStore *store, const char *sql,
                                   const TagParameters *parameters, GError **error)
{
    sqlite3_stmt *statement = database_prepare(&store->database, sql, error);
    int count = statement ? sqlite3_bind_parameter_count(statement) : 0;

    for (int i = 0; i < count; i++)
        database_bind_text(statement, i + 1, parameters->texts[i]);
    return statement;
}

static gboolean tags_execute(const CstTagStore *store, const char *sql,
                             const TagParameters *parameters, GError **error)
{
    g_autoptr(DatabaseStatement) statement = tag_statement(store, sql, parameters, error);

    return statement && database_run(&store->database, statement, error);
}

/* Returns the number that a query has as its result. */
static gboolean tags_count(const CstTagStore *store, const char *sql,
                           const TagParameters *parameters, int *ret_count, GError **error)
{
    g_autoptr(DatabaseStatement) statement = tag_statement(store, sql, parameters, error);

    if (!statement)
        return FALSE;
    if (sqlite3_step(statement) != SQLITE_ROW)
        return database_fail(&store->database, error);
    *ret_count = sqlite3_column_int(statement, 0);
    return TRUE;
}

static gboolean tags_have_key(const CstTagStore *store, const TagParameters *parameters,
                              gboolean *ret_found, GError **error)
{
    int count = 0;
    gboolean done = tags_count(store, "SELECT EXISTS (SELECT 1 FROM tagged WHERE" OF_KEY ")",
                               parameters, &count, error);

    *ret_found = count > 0;
    return done;
}

/* --- changes ---------------------------------------------------------------------------------- */

/* Data of the steps in a transaction. */
typedef struct {
    TagParameters parameters;
    const CstTagChange *change;
} TagStep;

static gboolean tags_execute_each(const CstTagStore *store, const char *sql,
                                  TagParameters *parameters, const char *const *tags,
                                  GError **error)
{
    for (; tags && *tags; tags++) {
        parameters->texts[3] = *tags;
        if (!tags_execute(store, sql, parameters, error))
            return FALSE;
    }
    return TRUE;
}

/* Fails if the object has too many tags. Removes an empty record. */
static gboolean tags_complete_change(const CstTagStore *store, const TagParameters *parameters,
                                     GError **error)
{
    int count = 0;

    if (!tags_count(store, "SELECT count(*) FROM tags WHERE object IN " OBJECTS, parameters, &count,
                    error))
        return FALSE;
    if (count > CST_TAGS_MAX)
        return cst_fail(error, CST_ERROR_LIMIT,
                        _("volume '%s' would have %d tags; an object can have %d"),
                        parameters->texts[1], count, CST_TAGS_MAX);
    return tags_execute(store,
                        "DELETE FROM tagged WHERE" OF_KEY " AND note IS NULL"
                        " AND NOT EXISTS (SELECT 1 FROM tags WHERE object = id)",
                        parameters, error);
}

/* Implements DatabaseStep. */
static gboolean tags_change_in_transaction(gpointer owner, gpointer data, GError **error)
{
    const CstTagStore *store = owner;
    const TagStep *step = data;
    const CstTagChange *change = step->change;
    TagParameters parameters = step->parameters;

    if (!tags_execute(store,
                      "INSERT OR IGNORE INTO tagged (pool, volume, snapshot) VALUES (?1, ?2, ?3)",
                      &parameters, error) ||
        (change->clear &&
         !tags_execute(store, "DELETE FROM tags WHERE object IN " OBJECTS, &parameters, error)) ||
        !tags_execute_each(store, "DELETE FROM tags WHERE object IN " OBJECTS " AND tag = ?4",
                           &parameters, change->remove, error) ||
        !tags_execute_each(store,
                           "INSERT OR IGNORE INTO tags (object, tag)"
                           " SELECT id, ?4 FROM tagged WHERE" OF_KEY,
                           &parameters, change->add, error))
        return FALSE;
    parameters.texts[3] = change->note;
    if (change->sets_note &&
        !tags_execute(store, "UPDATE tagged SET note = ?4 WHERE" OF_KEY, &parameters, error))
        return FALSE;
    CST_CRASH_POINT("tags.change.written");
    return tags_complete_change(store, &parameters, error);
}

gboolean cst_tag_store_change(CstTagStore *store, const CstTagKey *key, const CstTagChange *change,
                              GError **error)
{
    CstTagKey one = *key;
    TagStep step = {.change = change};
    gboolean done;

    one.snapshot = key->snapshot ? key->snapshot : "";
    tag_parameters_init(&step.parameters, &one, NULL);
    g_mutex_lock(&store->lock);
    done = database_open(&store->database, error) &&
           database_transaction(&store->database, tags_change_in_transaction, store, &step, error);
    g_mutex_unlock(&store->lock);
    return done;
}

/* Implements DatabaseStep. */
static gboolean tags_forget_in_transaction(gpointer owner, gpointer data, GError **error)
{
    const TagStep *step = data;

    return tags_execute(owner, "DELETE FROM tags WHERE object IN " OBJECTS, &step->parameters,
                        error) &&
           tags_execute(owner, "DELETE FROM tagged WHERE" OF_KEY, &step->parameters, error);
}

static gboolean tags_forget_target(const CstTagStore *store, const TagParameters *parameters,
                                   GError **error)
{
    return tags_execute(
               store, "DELETE FROM tags WHERE object IN (SELECT id FROM tagged WHERE" OF_TARGET ")",
               parameters, error) &&
           tags_execute(store, "DELETE FROM tagged WHERE" OF_TARGET, parameters, error);
}

/* Implements DatabaseStep. */
static gboolean tags_copy_in_transaction(gpointer owner, gpointer data, GError **error)
{
    const TagStep *step = data;

    return tags_forget_target(owner, &step->parameters, error) &&
           tags_execute(owner,
                        "INSERT INTO tagged (pool, volume, snapshot, note)"
                        " SELECT ?4, ?5, coalesce(?6, snapshot), note FROM tagged WHERE" OF_KEY,
                        &step->parameters, error) &&
           tags_execute(owner,
                        "INSERT INTO tags (object, tag) SELECT target.id, tag FROM tagged"
                        " JOIN tags ON tags.object = tagged.id JOIN tagged AS target"
                        " ON target.pool = ?4 AND target.volume = ?5"
                        " AND target.snapshot = coalesce(?6, tagged.snapshot)"
                        " WHERE tagged.pool = ?1 AND tagged.volume = ?2"
                        " AND (?3 IS NULL OR tagged.snapshot = ?3)",
                        &step->parameters, error);
}

/* Implements DatabaseStep. */
static gboolean tags_move_in_transaction(gpointer owner, gpointer data, GError **error)
{
    const TagStep *step = data;

    return tags_forget_target(owner, &step->parameters, error) &&
           tags_execute(owner, "UPDATE tagged SET pool = ?4, volume = ?5 WHERE" OF_KEY,
                        &step->parameters, error);
}

/*
 * Executes @step if the source has a record, or with @always. Most volumes have no tags, and cause
 * no write.
 */
static gboolean tag_store_apply(CstTagStore *store, const CstTagKey *key, const CstTagKey *to,
                                gboolean always, DatabaseStep function, GError **error)
{
    TagStep step = {0};
    gboolean found = FALSE, done = TRUE;

    tag_parameters_init(&step.parameters, key, to);
    g_mutex_lock(&store->lock);
    if (tag_store_exists(store))
        done = database_open(&store->database, error) &&
               tags_have_key(store, &step.parameters, &found, error);
    if (done && (found || (always && tag_store_exists(store))))
        done = database_transaction(&store->database, function, store, &step, error);
    g_mutex_unlock(&store->lock);
    return done;
}

gboolean cst_tag_store_forget(CstTagStore *store, const CstTagKey *key, GError **error)
{
    return tag_store_apply(store, key, NULL, FALSE, tags_forget_in_transaction, error);
}

gboolean cst_tag_store_copy(CstTagStore *store, const CstTagKey *from, const CstTagKey *to,
                            GError **error)
{
    return tag_store_apply(store, from, to, TRUE, tags_copy_in_transaction, error);
}

gboolean cst_tag_store_move(CstTagStore *store, const CstTagKey *from, const CstTagKey *to,
                            GError **error)
{
    return tag_store_apply(store, from, to, FALSE, tags_move_in_transaction, error);
}

/* --- queries ---------------------------------------------------------------------------------- */

static int compare_tags(gconstpointer a, gconstpointer b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

/* Returns NULL if the row is not one that this program has written. */
static CstTagged *tagged_read(sqlite3_stmt *statement)
{
    g_autoptr(CstTagged) tagged = g_new0(CstTagged, 1);
    g_autofree char *pool = database_column_text(statement, 1);
    g_autofree char *tags = database_column_text(statement, 5);

    tagged->id = sqlite3_column_int64(statement, 0);
    tagged->volume = database_column_text(statement, 2);
    tagged->snapshot = database_column_text(statement, 3);
    tagged->note = database_column_text(statement, 4);
    tagged->tags = tags ? g_strsplit(tags, " ", -1) : g_new0(char *, 1);
    qsort(tagged->tags, g_strv_length(tagged->tags), sizeof(char *), compare_tags);
    if (!pool || !cst_uuid_parse(pool, &tagged->pool) || !tagged->volume || !tagged->snapshot ||
        g_strv_length(tagged->tags) > CST_TAGS_MAX ||
        (tagged->note && strlen(tagged->note) > CST_NOTE_MAX))
        return NULL;
    if (!*tagged->snapshot)
        g_clear_pointer(&tagged->snapshot, g_free);
    return g_steal_pointer(&tagged);
}

static gboolean tagged_read_all(const CstTagStore *store, sqlite3_stmt *statement, GPtrArray *rows,
                                GError **error)
{
    int result;

    while ((result = sqlite3_step(statement)) == SQLITE_ROW) {
        CstTagged *tagged = tagged_read(statement);

        if (tagged)
            g_ptr_array_add(rows, tagged);
    }
    return result == SQLITE_DONE || database_fail(&store->database, error);
}

/* Returns the rows of a query. @id: replaces parameter 2; -1: no such parameter. */
static GPtrArray *tag_store_query(CstTagStore *store, const char *sql,
                                  const TagParameters *parameters, int64_t id, GError **error)
{
    g_autoptr(GPtrArray) rows = g_ptr_array_new_with_free_func((GDestroyNotify)cst_tagged_free);
    gboolean done = TRUE;

    g_mutex_lock(&store->lock);
    if (tag_store_exists(store)) {
        g_autoptr(DatabaseStatement) statement = database_open(&store->database, error)
                                                     ? tag_statement(store, sql, parameters, error)
                                                     : NULL;

        if (statement && id >= 0)
            sqlite3_bind_int64(statement, 2, id);
        done = statement && tagged_read_all(store, statement, rows, error);
    }
    g_mutex_unlock(&store->lock);
    return done ? g_steal_pointer(&rows) : NULL;
}

#define PAGE " LIMIT " G_STRINGIFY(CST_TAG_PAGE_MAX)

GPtrArray *cst_tag_store_list(CstTagStore *store, const CstTagKey *key, const char *after,
                              GError **error)
{
    TagParameters parameters;

    tag_parameters_init(&parameters, key, NULL);
    parameters.texts[2] = after;
    return tag_store_query(store,
                           key->volume ? "SELECT " COLUMNS " FROM tagged WHERE pool = ?1"
                                         " AND volume = ?2 AND (?3 IS NULL OR snapshot > ?3)"
                                         " ORDER BY snapshot" PAGE
                                       : "SELECT " COLUMNS " FROM tagged WHERE pool = ?1"
                                         " AND volume > coalesce(?3, '')"
                                         " AND snapshot = '' ORDER BY volume" PAGE,
                           &parameters, -1, error);
}

GPtrArray *cst_tag_store_with_tag(CstTagStore *store, const char *tag, int64_t after,
                                  GError **error)
{
    const TagParameters parameters = {.texts = {tag}};

    return tag_store_query(store,
                           "SELECT " COLUMNS " FROM tagged WHERE snapshot = '' AND id IN"
                           " (SELECT object FROM tags WHERE tag = ?1 AND object > ?2)"
                           " ORDER BY id" PAGE,
                           &parameters, after, error);
}
