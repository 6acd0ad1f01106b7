/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <model/declaration.h>
#include <store/paths.h>

/**
 * The database of declarations (model/declaration.h): DATA/declarations.db, in SQLite, shared by
 * all processes of a root. A record belongs to a file. It is found by the file's identity, in
 * whatever directory and under whatever name the file is now; by directory and name where the file
 * system reports no identity.
 *
 * All functions but new and free may be called from any thread. They open the database on first use
 * and wait up to 5 s for other processes; failures of SQLite are IO.
 */
typedef struct CstDeclarations CstDeclarations;

/** Touches no file yet. Copies what it needs of @paths. */
CstDeclarations *cst_declarations_new(const CstPaths *paths);
/** NULL is accepted. */
void cst_declarations_free(CstDeclarations *declarations);
/** Opens the database now, so that a daemon reports at start-up what is wrong with it. */
gboolean cst_declarations_open(CstDeclarations *declarations, GError **error);

/** The file that a record is about. Strings are borrowed. */
typedef struct {
    const char *dir;  /**< clean absolute path */
    const char *name; /**< directory entry in @dir */
    CstFileId id;     /**< zero where unknown */
} CstDeclaredFile;

/**
 * Looks up what is declared of @file. *ret_declaration is a copy owned by the caller; NULL when
 * nothing is declared. @by_name: also accept a record of this directory and name that was made for
 * another file, which has been replaced since, and bind it to the present file. The seen_format of
 * the earlier file does not count.
 */
gboolean cst_declarations_find(CstDeclarations *declarations, const CstDeclaredFile *file,
                               gboolean by_name, CstDeclaration **ret_declaration, GError **error);

/** One query of cst_declarations_find_many(). */
typedef struct {
    CstDeclaredFile file;
    gboolean by_name;            /**< as of cst_declarations_find() */
    CstDeclaration *declaration; /**< result, owned by the caller; NULL: nothing is declared */
} CstDeclaredLookup;

/**
 * Looks up @count files of one directory (file.dir is equal in all). Large counts read the records
 * once instead of searching for each file. Sees everything that was committed before the call. On
 * failure all results are NULL.
 */
gboolean cst_declarations_find_many(CstDeclarations *declarations, CstDeclaredLookup *lookups,
                                    guint count, GError **error);

/**
 * Records @declaration and replaces the records of the file and of its name. When the call returns
 * the record survives the end of the process, and with @durable a power cut as well.
 */
gboolean cst_declarations_set(CstDeclarations *declarations, const CstDeclaredFile *file,
                              const CstDeclaration *declaration, gboolean durable, GError **error);

/** What cst_declarations_add_many() records of one file; borrowed. */
typedef struct {
    CstDeclaredFile file;
    const CstDeclaration *declaration;
} CstDeclaredRecord;

/**
 * Adds those of @count records whose files have none yet, in one transaction. Replaces records of
 * the same name that were made for another file. A file that has a record without a declared format
 * gets the new seen_format, if that is not NULL, and is restricted if the new record is.
 */
gboolean cst_declarations_add_many(CstDeclarations *declarations, const CstDeclaredRecord *records,
                                   guint count, GError **error);

/** Removes the record of the name; succeeds when there is none. */
gboolean cst_declarations_remove(CstDeclarations *declarations, const char *dir, const char *name,
                                 GError **error);

/** Whether the file of a record exists. */
typedef enum {
    CST_DECLARED_MISSING,
    CST_DECLARED_PRESENT,
    CST_DECLARED_UNKNOWN, /**< it may be in a place that cannot be looked at now */
} CstDeclaredPresence;

/** Parameters of cst_declarations_sweep(). */
typedef struct {
    /** Looks for the file of a record. Must not call the database, which is locked. */
    CstDeclaredPresence (*look)(const char *name, const CstFileId *id, gpointer data);
    gpointer data;
    gint64 now;          /**< seconds of a clock that continues across restarts */
    gint64 grace_period; /**< seconds for which a file must have been missing */
} CstDeclarationSweep;

/**
 * Deletes the records of @dir whose files have been missing for the grace period. Stores for the
 * others since when their file is missing, or that it is back. A record whose file is unknown stays
 * as it is. Call it after a complete scan of the directory. A record that is set again starts as
 * not missing.
 */
gboolean cst_declarations_sweep(CstDeclarations *declarations, const char *dir,
                                const CstDeclarationSweep *sweep, GError **error);

/** Reads the follow policy of @dir; CST_FOLLOW_POOLS when none is set. */
gboolean cst_declarations_follow(CstDeclarations *declarations, const char *dir,
                                 CstFollow *ret_follow, GError **error);
/** Sets the follow policy of @dir; it survives a power cut when the call returns. */
gboolean cst_declarations_set_follow(CstDeclarations *declarations, const char *dir,
                                     CstFollow follow, GError **error);
