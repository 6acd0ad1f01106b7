/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>
#include <sqlite_library.h>

/**
 * A SQLite database in WAL mode: a killed process loses no committed change, and readers do not
 * wait for writers. SQLite serialises processes; the owner serialises the threads of this process.
 */
typedef struct {
    char *dir; /* created on first use */
    char *path;
    sqlite3 *db; /* NULL: not open */
    /**
     * The text of a schema of tables that are created if they do not exist, and its version, which
     * a later change of the schema raises.
     */
    const char *schema, *version;
    /** Completes the tables of an older version. Returns a code of SQLite. May be NULL. */
    int (*upgrade)(gpointer data);
    gpointer upgrade_data;
    gboolean durable; /* each commit survives a power cut; FALSE: only if it is asked for */
} Database;

/** Opens the database unless it is open; creates it when it does not exist. */
gboolean database_open(Database *database, GError **error);
/** Closes it. All statements must be finalized. No effect if it is not open. */
void database_close(Database *database);
/**
 * Returns a text that differs after each change of the database at @path, also by another process.
 * Does not open it. The caller frees the text.
 */
char *database_stamp(const char *path);
/** Frees the paths. */
void database_clear(Database *database);
/** Sets @error (IO, or NO_SPACE) from SQLite's last failure. Always returns FALSE. */
gboolean database_fail(const Database *database, GError **error);

/** Binds @text, which must live until the statement is used again; NULL binds SQL's NULL. */
void database_bind_text(sqlite3_stmt *statement, int index, const char *text);
/** Returns a copy of a column of the present row, or NULL. The caller frees it. */
char *database_column_text(sqlite3_stmt *statement, int index);
/** Runs a statement that returns no rows, and resets it. */
gboolean database_run(const Database *database, sqlite3_stmt *statement, GError **error);

typedef sqlite3_stmt DatabaseStatement;

/** Frees a statement. NULL is accepted. */
static inline void database_statement_free(DatabaseStatement *statement)
{
    sqlite3_finalize(statement);
}
G_DEFINE_AUTOPTR_CLEANUP_FUNC(DatabaseStatement, database_statement_free)

/** Returns a statement, which the caller finalizes before the close; NULL on failure. */
sqlite3_stmt *database_prepare(const Database *database, const char *sql, GError **error);

typedef gboolean (*DatabaseStep)(gpointer owner, gpointer data, GError **error);
/**
 * Calls @step with @owner and @data in a transaction for writing. Commits only if it succeeds.
 */
gboolean database_transaction(const Database *database, DatabaseStep step, gpointer owner,
                              gpointer data, GError **error);
