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
