/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <sqlite3.h>

#include <store/declarations.h>

/** The database of declarations: its tables and the statements on them. */

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
    SQL_SET_FILE,
    SQL_REMOVE,
    SQL_LIST,
    SQL_SET_MISSING,
    SQL_DROP,
    SQL_FIND_POLICY,
    SQL_SET_POLICY,
    SQL_N_STATEMENTS
} SqlStatement;

struct CstDeclarations {
    char *path;
    char *dir;
    GMutex lock; /* guards what follows, and the use of the connection */
    sqlite3 *db; /* NULL: not opened yet */
    sqlite3_stmt *statements[SQL_N_STATEMENTS];
};

/* All of the following are called with the lock held. */

/** Opens the database unless it is open; makes it on first use. */
gboolean db_open(CstDeclarations *declarations, GError **error);
void db_close(CstDeclarations *declarations);
/** Sets @error to what SQLite says of its last failure. FALSE always. */
gboolean db_fail(const CstDeclarations *declarations, GError **error);

/** A statement of the open database, without the bindings of its last use. */
sqlite3_stmt *db_use(CstDeclarations *declarations, SqlStatement which);
/** @text is borrowed until the statement's next use. NULL is SQL's NULL. */
void db_bind_text(sqlite3_stmt *statement, int index, const char *text);
/** Binds the inode to @index and the time of birth to the one after it. */
void db_bind_id(sqlite3_stmt *statement, int index, const CstFileId *id);
/** Runs a statement that gives no rows. */
gboolean db_run(CstDeclarations *declarations, sqlite3_stmt *statement, GError **error);
