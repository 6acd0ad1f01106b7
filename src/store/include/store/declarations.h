/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <model/declaration.h>
#include <store/paths.h>

/**
 * Declarations on disk: DATA/declarations.db (SQLite, WAL), shared by all processes of a root. A
 * record belongs to a file: it is found by the file's identity, under whatever name and in whatever
 * directory it lies now, and by directory and name where the file system tells no identity.
 *
 * The database is opened on first use, or before. One object may be used by any thread.
 */
typedef struct CstDeclarations CstDeclarations;

CstDeclarations *cst_declarations_new(const CstPaths *paths);
void cst_declarations_free(CstDeclarations *declarations);
/** Opens it now: what is wrong with it is said when a daemon starts. */
gboolean cst_declarations_open(CstDeclarations *declarations, GError **error);

/** What a record is about. Strings are borrowed. */
typedef struct {
    const char *dir;  /**< clean absolute path */
    const char *name; /**< of the entry in it */
    CstFileId id;
} CstDeclaredFile;

/**
 * *ret_declaration is a copy for the caller, NULL when nothing is declared. @by_name: a record of
 * this directory and name counts also when it was made for another file, which somebody has put
 * in its place since; it is about that one then.
 */
gboolean cst_declarations_find(CstDeclarations *declarations, const CstDeclaredFile *file,
                               gboolean by_name, CstDeclaration **ret_declaration, GError **error);

/** One of several files that are looked up together. */
typedef struct {
    CstDeclaredFile file;
    gboolean by_name;            /**< as of cst_declarations_find() */
    CstDeclaration *declaration; /**< what is found: the caller's */
} CstDeclaredLookup;

/**
 * Finds what is declared of @count files of one directory (file.dir is the same in all). Many are
 * looked up by reading the records once, which is cheaper than a search for each. All that was
 * committed before the call is seen. When it fails, declaration is NULL in all of them.
 */
gboolean cst_declarations_find_many(CstDeclarations *declarations, CstDeclaredLookup *lookups,
                                    guint count, GError **error);

/**
 * Records @declaration, in place of what there was for the file and for its name. It survives the
 * end of the process; with @durable a power cut as well when the call returns.
 */
gboolean cst_declarations_set(CstDeclarations *declarations, const CstDeclaredFile *file,
                              const CstDeclaration *declaration, gboolean durable, GError **error);

/**
 * Records @declaration of each of @count files that nothing is recorded of, as one transaction; in
 * place of what there was for its name, made for another file.
 */
gboolean cst_declarations_add_many(CstDeclarations *declarations, const CstDeclaredFile *files,
                                   guint count, const CstDeclaration *declaration, GError **error);

/** Forgets what was recorded for the name. */
gboolean cst_declarations_remove(CstDeclarations *declarations, const char *dir, const char *name,
                                 GError **error);

/** A look through the records of one directory, after all of it has been scanned. */
typedef struct {
    /** FALSE: the file of a record is in no place that is known. Called with the store locked. */
    gboolean (*may_exist)(const char *name, const CstFileId *id, gpointer data);
    gpointer data;
    gint64 now;          /**< seconds, of a clock that goes on between starts */
    gint64 grace_period; /**< seconds for which a file must have been missed */
} CstDeclarationSweep;

/**
 * Drops the records of @dir whose files have been missed for so long; notes of the others since
 * when they are, or that they are back. A record that is made anew has not been missed.
 */
gboolean cst_declarations_sweep(CstDeclarations *declarations, const char *dir,
                                const CstDeclarationSweep *sweep, GError **error);

/** Which references the volumes in @dir follow undeclared; CST_FOLLOW_POOLS when none is set. */
gboolean cst_declarations_follow(CstDeclarations *declarations, const char *dir,
                                 CstFollow *ret_follow, GError **error);
/** Survives a power cut. */
gboolean cst_declarations_set_follow(CstDeclarations *declarations, const char *dir,
                                     CstFollow follow, GError **error);
