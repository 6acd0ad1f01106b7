/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <store/declarations.h>

#include "database.h"

/**
 * The SQLite side of declarations: opening, the schema, and statements that are prepared once. Call
 * all functions with CstDeclarations.lock held.
 */

/** The statements; their texts are in declarations_db.c. */
typedef enum {
    SQL_BEGIN,
    SQL_BEGIN_READ,
    SQL_COMMIT,
    SQL_ROLLBACK,
    SQL_FIND_FILE,
    SQL_FIND_NAME,
    SQL_FIND_DIR,
    SQL_FIND_FILES,
    SQL_FORGET_FILE,
    SQL_SET,
    SQL_ADD,
    SQL_SET_SEEN,
    SQL_SET_FILE,
    SQL_REMOVE,
    SQL_LIST,
    SQL_SET_MISSING,
    SQL_DROP,
    SQL_FIND_POLICY,
    SQL_SET_POLICY,
    SQL_OVERLAYS_OF_DIR,
    SQL_OVERLAYS_ON,
    SQL_ADD_OVERLAY,
    SQL_REMOVE_OVERLAY,
    SQL_OVERLAYS_OF_VOLUME,
    SQL_N_STATEMENTS
} SqlStatement;

struct CstDeclarations {
    Database database;
    GMutex lock; /* guards the members below and the use of the database */
    sqlite3_stmt *statements[SQL_N_STATEMENTS];
    GHashTable *forgotten; /* records of deleted files; see declarations_forget.c */
};

/** Sets the path and the schema of the database. */
void db_init(CstDeclarations *declarations, const CstPaths *paths);
/** Opens the database unless it is open; creates it when it does not exist. */
gboolean db_open(CstDeclarations *declarations, GError **error);
/** Finalizes the statements and closes the database. No effect if it is not open. */
void db_close(CstDeclarations *declarations);
/** Sets @error (IO, or NO_SPACE) from SQLite's last failure. Always returns FALSE. */
gboolean db_fail(const CstDeclarations *declarations, GError **error);

/**
 * Returns a statement of the open database, reset and with all bindings cleared. Returns NULL if it
 * cannot be prepared; its use then fails, and db_fail() has the reason.
 */
sqlite3_stmt *db_use(CstDeclarations *declarations, SqlStatement which);
/** Binds the inode to @index and the birth time to @index + 1. */
void db_bind_id(sqlite3_stmt *statement, int index, const CstFileId *id);
/** Runs a statement that returns no rows. */
gboolean db_run(const CstDeclarations *declarations, sqlite3_stmt *statement, GError **error);
/**
 * Commits the open transaction if @done, otherwise rolls it back. Returns TRUE only if it was
 * committed.
 */
gboolean db_end_transaction(CstDeclarations *declarations, gboolean done, GError **error);

/** Makes and frees the group of records of deleted files (declarations_forget.c). */
void db_forgotten_init(CstDeclarations *declarations);
void db_forgotten_clear(CstDeclarations *declarations);
/** Begins a transaction that changes records, and removes the group in it. */
gboolean db_begin(CstDeclarations *declarations, GError **error);
/** Like db_end_transaction(), for a transaction of db_begin(). */
gboolean db_commit(CstDeclarations *declarations, gboolean done, GError **error);
/** Removes the group in a transaction of its own. Does nothing if the group is empty. */
gboolean db_forgotten_flush(CstDeclarations *declarations, GError **error);
/** Removes the group if the look-up of @id could find one of its records. Failures are logged. */
void db_forgotten_before_find(CstDeclarations *declarations, const CstFileId *id, gboolean by_name);
