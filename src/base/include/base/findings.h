/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>
#include <stdint.h>

/**
 * The findings of a check, as text. The author of an image decides how many errors it has, so the
 * list is bounded: it keeps the first CST_FINDINGS_MAX, and the check's own counters count all. Any
 * thread may add.
 */

#define CST_FINDINGS_MAX    100
#define CST_FINDING_MAX_LEN 512 /* bytes of a text; longer ones are cut */

typedef enum { CST_FINDING_ERROR, CST_FINDING_LEAK } CstFindingKind;

typedef struct {
    CstFindingKind kind;
    uint64_t count; /**< number of errors or leaks that the text describes, at least 1 */
    char *text; /**< one sentence without a full stop; may name files: escape it for a terminal */
} CstFinding;

typedef struct CstFindings CstFindings;

/** An empty list; owned by the caller. */
CstFindings *cst_findings_new(void);
/** Frees the list and its texts; @findings may be NULL. */
void cst_findings_free(CstFindings *findings);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(CstFindings, cst_findings_free)

/** Returns the length of the list; 0 for NULL. No thread may add findings any more. */
guint cst_findings_length(const CstFindings *findings);
/** Returns the finding at @index, which must be below the length; borrowed. */
const CstFinding *cst_findings_get(const CstFindings *findings, guint index);

/* --- not in the library -------------------------------------------------------------------- */

/**
 * Adds a finding for @count errors or leaks. No effect if the list is full or NULL, or if @count is
 * 0.
 */
void cst_findings_add(CstFindings *findings, CstFindingKind kind, uint64_t count,
                      const char *format, ...) G_GNUC_PRINTF(4, 5);
/** As cst_findings_add(), with an argument list. */
void cst_findings_add_v(CstFindings *findings, CstFindingKind kind, uint64_t count,
                        const char *format, va_list args) G_GNUC_PRINTF(4, 0);
