/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <pool/backend.h>

/**
 * Records of volumes that are files, opened in a directory of this host (src/pool/dir) or by a
 * library that connects to servers (src/pool/gluster).
 */

/** Metadata of a file, read without its content. */
typedef struct {
    CstVolType type; /**< CST_VOL_FILE, CST_VOL_DIR or CST_VOL_BLOCK */
    CstVolumeStamp stamp;
    uint64_t allocation; /**< bytes */
    uint32_t mode;       /**< permission bits */
    uint32_t uid, gid;
    int64_t atime_ns;
    int64_t btime_ns; /**< 0: unknown */
    gboolean shared;  /**< other users can write to its directory, as far as is known */
    gboolean counted; /**< report sizes for a directory, too */
} CstFileSeen;

/** A directory of files, and the functions to open them. Valid during the call that uses it. */
typedef struct {
    const CstPoolState *state; /**< the pool that lists them; NULL: no pool does */
    /**
     * Returns the path of the file that an image in this directory means by @reference, in the form
     * in which pools look up volumes. The caller frees it.
     */
    char *(*reference)(gpointer data, const char *reference);
    /**
     * Opens file @name for reading and updates *seen from the open file. NOT_FOUND if the file was
     * removed; INVALID if it is not a volume any more. Called from several threads.
     */
    CstBlob *(*open)(gpointer data, const char *name, CstFileSeen *seen, GError **error);
    /**
     * Reads the declaration stored with the content of the file. NULL if it has no valid
     * declaration.
     */
    CstDeclaration *(*declared)(CstBlob *blob);
    gpointer data;
} CstFiles;

/** Makes the record from *seen: a raw file, until its content is read. */
CstVolume *cst_file_record(const char *name, const CstFileSeen *seen);
/** Sets the record's problem. Returns @volume for chaining. */
CstVolume *cst_file_with_problem(CstVolume *volume, const char *problem);
/** Whether @known (may be NULL) still describes the file. */
gboolean cst_file_fits(const CstVolume *known, const CstFileSeen *seen);
/**
 * Makes the record of a file from its content and its declaration. Returns @known (may be NULL)
 * with a new reference if it still matches, and NULL if the file was removed. A file that cannot be
 * read gets a record with a problem.
 */
CstVolume *cst_file_inspect(const CstFiles *files, const char *name, CstFileSeen *seen,
                            CstVolume *known);
/**
 * Logs the problem of a new record (NULL: the file was removed), once for each content of the file.
 * A problem of @known, the former record (may be NULL), with the same stamp is already logged.
 */
void cst_file_log_problem(const CstPoolState *state, const CstVolume *known,
                          const CstVolume *volume);
/**
 * Like cst_pool_state_declared(), for files. On entry declarations[i] is the declaration stored
 * with the content.
 */
void cst_files_declared(const CstPoolState *state, CstVolume *const *volumes, guint count,
                        CstDeclaration **declarations);

/** Returns the text of a declaration to store with the content. g_free() it. */
char *cst_declaration_text(const CstDeclaration *declaration);
/** Parses the untrusted text of a declaration. NULL if it is not valid. */
CstDeclaration *cst_declaration_of_text(const char *text);
/** The extended attribute with the text, and the maximum length of the text. */
#define CST_DECLARATION_XATTR    "user.cistern.format"
#define CST_DECLARATION_TEXT_MAX 64

/** Files to be read by a scan. */
typedef struct CstFileReading CstFileReading;

/** Makes an empty list. The arguments must outlive it. */
CstFileReading *cst_file_reading_new(const CstFiles *files, const CstScan *scan);
void cst_file_reading_free(CstFileReading *reading);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(CstFileReading, cst_file_reading_free)
/** Adds a file to read. @known may be NULL. */
void cst_file_reading_add(CstFileReading *reading, const char *name, const CstFileSeen *seen,
                          CstVolume *known);
/** Reads all files on several threads, and passes their records to the scan's sink. */
void cst_file_reading_run(CstFileReading *reading);
