/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <pool/backend.h>

/**
 * Records of volumes that are files, whatever opens them: a directory of this host (src/pool/dir)
 * or a library that speaks to servers (src/pool/gluster).
 */

/** What the storage says of a file without reading it. */
typedef struct {
    CstVolType type; /**< CST_VOL_FILE, CST_VOL_DIR or CST_VOL_BLOCK */
    CstVolumeStamp stamp;
    uint64_t allocation; /**< bytes */
    uint32_t mode;       /**< permission bits */
    uint32_t uid, gid;
    int64_t atime_ns;
    int64_t btime_ns; /**< 0: unknown */
    gboolean shared;  /**< others can write where its content lies, as far as we know */
    gboolean counted; /**< sizes are shown of a directory, too */
} CstFileSeen;

/** A directory of files, and how they are opened. Lives as long as the call that uses it. */
typedef struct {
    const CstPoolState *state; /**< the pool that lists them; NULL: none does */
    /**
     * Returns the path, as volumes of pools are looked up by it, of the file that an image here
     * means by @reference; the caller frees it.
     */
    char *(*reference)(gpointer data, const char *reference);
    /**
     * Opens file @name for reading and updates *seen to what was opened. NOT_FOUND and INVALID: it
     * is gone, or no volume any more. Called from several threads.
     */
    CstBlob *(*open)(gpointer data, const char *name, CstFileSeen *seen, GError **error);
    /** Reads what is kept with the content of the file; NULL: nothing, or nothing of ours. */
    CstDeclaration *(*declared)(CstBlob *blob);
    gpointer data;
} CstFiles;

/** The record as far as *seen fills it: a raw file, until its content says otherwise. */
CstVolume *cst_file_record(const char *name, const CstFileSeen *seen);
/** Sets the record's problem. Returns @volume, for chaining. */
CstVolume *cst_file_with_problem(CstVolume *volume, const char *problem);
/** Whether @known (NULL: nothing) still describes the file. */
gboolean cst_file_fits(const CstVolume *known, const CstFileSeen *seen);
/**
 * Makes the record of a file that *seen says to be one, from its content and what is declared of
 * it. Returns @known (NULL: nothing) with a reference more where that fits, and NULL when the file
 * is gone. What can't be read is a record with a problem.
 */
CstVolume *cst_file_inspect(const CstFiles *files, const char *name, CstFileSeen *seen,
                            CstVolume *known);
/**
 * Logs the problem of a record that was just made (NULL: the file is gone), once for each content
 * of the file: @known, the former record (NULL: there is no former one), has it for this stamp.
 */
void cst_file_log_problem(const CstPoolState *state, const CstVolume *known,
                          const CstVolume *volume);
/** As cst_pool_state_declared(), for files: declarations[i] is what was kept with the content. */
void cst_files_declared(const CstPoolState *state, CstVolume *const *volumes, guint count,
                        CstDeclaration **declarations);

/** The text in which a declaration is kept with the content; g_free() it. */
char *cst_declaration_text(const CstDeclaration *declaration);
/** The declaration of @text, of anybody's making; NULL: it is none of ours. */
CstDeclaration *cst_declaration_of_text(const char *text);
/** The extended attribute that has it, and the length that its text has at most. */
#define CST_DECLARATION_XATTR    "user.cistern.format"
#define CST_DECLARATION_TEXT_MAX 64

/** Files whose content a scan has to read. */
typedef struct CstFileReading CstFileReading;

/** What it is given must outlive it. */
CstFileReading *cst_file_reading_new(const CstFiles *files, const CstScan *scan);
void cst_file_reading_free(CstFileReading *reading);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(CstFileReading, cst_file_reading_free)
/** Notes a file to be read. @known may be NULL. */
void cst_file_reading_add(CstFileReading *reading, const char *name, const CstFileSeen *seen,
                          CstVolume *known);
/** Reads all of them on several threads, and hands their records to the scan's sink. */
void cst_file_reading_run(CstFileReading *reading);
