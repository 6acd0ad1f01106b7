/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <model/declaration.h>
#include <store/paths.h>

/**
 * The database of declarations (model/declaration.h): DATA/declarations.db, in SQLite, shared by
 * all processes of a root. A record belongs to a file. It is found by the file's identity,
 * regardless of the directory and the name that the file has now. If the file system reports no
 * identity, it is found by directory and name.
 *
 * All functions except new and free may be called from any thread. They open the database on first
 * use and wait up to 5 s for other processes. Failures of SQLite are IO.
 */
typedef struct CstDeclarations CstDeclarations;

/** Makes the object without accessing files. Copies the strings that it needs of @paths. */
CstDeclarations *cst_declarations_new(const CstPaths *paths);
/** NULL is accepted. */
void cst_declarations_free(CstDeclarations *declarations);
/** Opens the database now, so that a daemon reports a problem with it at start-up. */
gboolean cst_declarations_open(CstDeclarations *declarations, GError **error);

/** The file that a record describes. Strings are borrowed. */
typedef struct {
    const char *dir;  /**< clean absolute path */
    const char *name; /**< directory entry in @dir */
    CstFileId id;     /**< zero if unknown */
} CstDeclaredFile;

/**
 * Looks up the declaration of @file. *ret_declaration is a copy owned by the caller; NULL if no
 * record exists. @by_name: also accept a record of this directory and name that was made for
 * another file, which has been replaced since, and bind it to the present file. The seen_format of
 * the earlier file is then ignored.
 */
gboolean cst_declarations_find(CstDeclarations *declarations, const CstDeclaredFile *file,
                               gboolean by_name, CstDeclaration **ret_declaration, GError **error);

/** A query of cst_declarations_find_many(). */
typedef struct {
    CstDeclaredFile file;
    gboolean by_name;            /**< as for cst_declarations_find() */
    CstDeclaration *declaration; /**< result, owned by the caller; NULL: no record */
} CstDeclaredLookup;

/**
 * Looks up @count files of one directory (file.dir is equal in all). For large counts it reads the
 * records once instead of searching for each file. Sees all changes that were committed before the
 * call. On failure all results are NULL.
 */
gboolean cst_declarations_find_many(CstDeclarations *declarations, CstDeclaredLookup *lookups,
                                    guint count, GError **error);

/**
 * Records @declaration and replaces the records of the file and of its name. When the call returns
 * the record survives the end of the process. With @durable it also survives a power loss.
 */
gboolean cst_declarations_set(CstDeclarations *declarations, const CstDeclaredFile *file,
                              const CstDeclaration *declaration, gboolean durable, GError **error);

/** The record of one file for cst_declarations_add_many(); borrowed. */
typedef struct {
    CstDeclaredFile file;
    const CstDeclaration *declaration;
} CstDeclaredRecord;

/**
 * Adds, in one transaction, each of @count records if its file has no record yet. Replaces records
 * of the same name that were made for another file. If the file has a record without a declared
 * format, that record gets the new seen_format, unless it is NULL. It also becomes restricted if
 * the new record is.
 */
gboolean cst_declarations_add_many(CstDeclarations *declarations, const CstDeclaredRecord *records,
                                   guint count, GError **error);

/** Removes the record of the name. Succeeds if no record exists. */
gboolean cst_declarations_remove(CstDeclarations *declarations, const char *dir, const char *name,
                                 GError **error);

/**
 * Removes the record of @file, which has an identity and is deleted. The record is removed at the
 * latest before the next look-up that could find it, and when @declarations is freed. A group of
 * records has one transaction. If the process is killed before, the record stays for the sweep.
 */
gboolean cst_declarations_forget(CstDeclarations *declarations, const CstDeclaredFile *file,
                                 GError **error);

/** Whether the file of a record exists. */
typedef enum {
    CST_DECLARED_MISSING,
    CST_DECLARED_PRESENT,
    CST_DECLARED_UNKNOWN, /**< the file may be in a directory that cannot be read now */
} CstDeclaredPresence;

/** Parameters of cst_declarations_sweep(). */
typedef struct {
    /**
     * Searches for the file of a record. Called with the database locked, so it must not call it.
     */
    CstDeclaredPresence (*look)(const char *name, const CstFileId *id, gpointer data);
    gpointer data;
    gint64 now;          /**< seconds of a clock that continues across restarts */
    gint64 grace_period; /**< seconds for which a file must have been missing */
} CstDeclarationSweep;

/**
 * Deletes the records of @dir with files that have been missing for the grace period. For every
 * other record, stores the time since which its file is missing, or that it is present again. A
 * record with an unknown file does not change. Call it after a complete scan of the directory. A
 * record that is set again starts as not missing.
 */
gboolean cst_declarations_sweep(CstDeclarations *declarations, const char *dir,
                                const CstDeclarationSweep *sweep, GError **error);

/** Reads the follow policy of @dir. The default is CST_FOLLOW_POOLS. */
gboolean cst_declarations_follow(CstDeclarations *declarations, const char *dir,
                                 CstFollow *ret_follow, GError **error);
/** Sets the follow policy of @dir. It survives a power loss when the call returns. */
gboolean cst_declarations_set_follow(CstDeclarations *declarations, const char *dir,
                                     CstFollow follow, GError **error);
