/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <base/task.h>
#include <store/paths.h>

/**
 * The audit trail in DATA/audit: one line of JSON for each record. Each line has a sequence number,
 * the hash of the line before it, and its own hash. So a changed or removed line is detected.
 * docs/audit.md describes the files. The same lines go to the journal of the host.
 */
typedef struct CstAudit CstAudit;

/** Characters of a hash (SHA-256 in hexadecimal). */
#define CST_AUDIT_HASH 64
/** Default and maximum of the limit, in MiB. */
#define CST_AUDIT_MIB     100
#define CST_AUDIT_MIB_MAX 1000
/** Most problems that a verification reports. */
#define CST_AUDIT_PROBLEMS_MAX 100

/** A field of the journal's entry. Both strings are borrowed. */
typedef struct {
    const char *key;   /**< an identifier of journald, such as "CISTERN_POOL" */
    const char *value; /**< NULL or "": the entry does not have this field */
} CstAuditField;

/**
 * Returns a handle, which the caller frees. Accesses no file yet. @journal: path of journald's
 * socket; NULL: the host's.
 */
CstAudit *cst_audit_new(const CstPaths *paths, const char *journal);
/** NULL is accepted. */
void cst_audit_free(CstAudit *audit);
/** Sets the size in bytes that all files together may have. At least ten lines fit into a file. */
void cst_audit_set_limit(CstAudit *audit, uint64_t bytes);

/**
 * Appends a record. @members: the members of its JSON object, without braces. A failure is logged,
 * and the next record has the number of records that were lost. The line is not synced. From any
 * thread; waits for other processes for a second at most.
 */
void cst_audit_append(CstAudit *audit, const char *members, const CstAuditField *fields,
                      guint count);

/**
 * Returns up to @max lines (char *), from the position *@position on, and sets *@position to the
 * position of the next line. 0: the oldest line. An empty array: there are no further lines. The
 * caller drops the array.
 */
GPtrArray *cst_audit_lines(const CstPaths *paths, uint64_t *position, guint max, GError **error);

/** The result of a verification. */
typedef struct {
    uint64_t records;
    uint64_t first; /**< sequence number of the oldest record; 0: there are no records */
    uint64_t last;
    uint64_t repairs;              /**< records about incomplete lines or missing records */
    char head[CST_AUDIT_HASH + 1]; /**< hash of the last record; "": there are no records */
    GPtrArray *problems;           /**< sentences (char *), empty: the trail is complete */
} CstAuditState;

/** Frees the members of @state. */
void cst_audit_state_clear(CstAuditState *state);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(CstAuditState, cst_audit_state_clear)

/**
 * Verifies all files. @head: the hash of a record that must be among them; NULL: any. INVALID if it
 * is no hash. @task is checked for cancellation.
 */
gboolean cst_audit_verify(const CstPaths *paths, const char *head, CstTask *task,
                          CstAuditState *ret_state, GError **error);
