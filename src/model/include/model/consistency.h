/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>

/**
 * Consistency of a copy of a disk, from what was verified when it was made. A larger number is a
 * better consistency. The numbers are part of the protocol.
 */
typedef enum {
    CST_CONSISTENCY_UNKNOWN,     /**< not recorded */
    CST_CONSISTENCY_CRASH,       /**< one point in time, as after a power cut of the machine */
    CST_CONSISTENCY_FILESYSTEM,  /**< the guest's file systems were frozen */
    CST_CONSISTENCY_APPLICATION, /**< the guest's applications had written their data, too */
    CST_CONSISTENCY_OFFLINE,     /**< no process had the disk open */
    CST_CONSISTENCY_LAST
} CstConsistency;

/** Returns the name: "crash", …; "unknown" for other numbers. Stable, not translated. */
const char *cst_consistency_word(int consistency);
/** Parses a name except "unknown". Returns FALSE without an error for other texts. */
gboolean cst_consistency_parse(const char *word, CstConsistency *ret_consistency);

/** Maximum length of a recorded reason in bytes. */
#define CST_CONSISTENCY_REASON_MAX 200

/**
 * Returns the text that the storage keeps with a copy: "offline", or "crash the guest has no
 * agent". Control characters of @reason (may be NULL) become blanks, and its end is cut off if it
 * is too long. The caller frees it. NULL for CST_CONSISTENCY_UNKNOWN.
 */
char *cst_consistency_record(CstConsistency consistency, const char *reason);
/**
 * Parses such a text, which may have been damaged or written by another program. NULL, and a text
 * that cst_consistency_record() does not make, mean UNKNOWN. *ret_reason: NULL without a reason;
 * the caller frees it.
 */
void cst_consistency_record_parse(const char *record, CstConsistency *ret_consistency,
                                  char **ret_reason);
