/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>
#include <stdint.h>

#include <store/audit.h>

/**
 * The files of the audit trail, in the directory DATA/audit:
 *
 *     head           the number and the hash of the last record, and its file; also the lock
 *     00000001.jsonl the lines; the next file continues the chain of the one before it
 */

/** Maximum bytes of a line; records are cut to fit. */
#define AUDIT_LINE_MAX 32768
/** Number of files that are kept. */
#define AUDIT_FILES 10

/** The place after the last record. */
typedef struct {
    uint64_t seq;                  /**< of the last record; 0: there is no record */
    uint64_t file;                 /**< number of its file, from 1 on; 0: there is no file */
    uint64_t size;                 /**< of this file, in bytes */
    char hash[CST_AUDIT_HASH + 1]; /**< of the last record; zeros without one; "": unknown */
} AuditHead;

/** A piece of a file between two line breaks. */
typedef struct {
    const char *text; /**< without the line break; not terminated */
    size_t len;
    gboolean ended; /**< a line break follows */
    gboolean valid; /**< a record with a correct hash of its own; the members below are set */
    uint64_t seq;
    char prev[CST_AUDIT_HASH + 1];
    char hash[CST_AUDIT_HASH + 1];
    uint64_t file;
    uint64_t end; /**< position in the file after the line break, in bytes */
} AuditLine;

/** Returns the directory of the trail. The caller frees it. */
char *audit_directory(const CstPaths *paths);
/** Returns the path of a file with lines. The caller frees it. */
char *audit_file_path(const char *dir, uint64_t number);
/** Returns the numbers (uint64_t) of the files in @dir, in ascending order. The caller drops it. */
GArray *audit_files_list(const char *dir);

/** Formats @head as the content of the file "head". The caller frees the text. */
char *audit_head_format(const AuditHead *head);
/** Parses the content of the file "head". Returns FALSE if it is no such content. */
gboolean audit_head_parse(const char *text, AuditHead *ret_head);
/** Reads the file "head" in @dir. Returns FALSE if it is missing or damaged. */
gboolean audit_head_read(const char *dir, AuditHead *ret_head);

/** Computes the hash of a line from its text before the member "hash". */
void audit_hash(const char *text, size_t len, char ret_hash[CST_AUDIT_HASH + 1]);

/** Receives a line. Returns FALSE to end the scan. */
typedef gboolean (*AuditVisit)(const AuditLine *line, gpointer data);
/**
 * Passes the lines of a file from @offset on to @visit. Succeeds if the file does not exist, and
 * after @visit has ended the scan.
 */
gboolean audit_file_scan(const char *dir, uint64_t number, uint64_t offset, AuditVisit visit,
                         gpointer data, GError **error);
/** Returns whether @line has the member "NAME":NUMBER, and sets *@ret_number. */
gboolean audit_line_number(const AuditLine *line, const char *name, uint64_t *ret_number);
/** Returns whether @line has the member "NAME":"VALUE". */
gboolean audit_line_has(const AuditLine *line, const char *name, const char *value);

/* --- audit_journal.c -------------------------------------------------------------------------- */

/** The connection to journald. Guarded by the lock of its CstAudit. */
typedef struct {
    char *path; /**< of the socket */
    int fd;     /**< -1: not connected */
} AuditJournal;

/** Sends an entry. Never blocks. The entry is lost if journald does not accept it. */
void audit_journal_send(AuditJournal *journal, const CstAuditField *fields, guint count);
/** Frees the members. */
void audit_journal_clear(AuditJournal *journal);
