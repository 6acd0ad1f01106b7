/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <base/child.h>
#include <guest/guest.h>

/** How a kind of file system is checked. */
typedef struct {
    const char *const *types;  /**< blkid's words for it */
    const char *const *check;  /**< the tool; it changes nothing. Ends with 0 when all is well */
    const char *const *replay; /**< replays the journal; NULL: check needs none */
    const char *replayed;      /**< what that prints when there was something to replay */
    /** Takes away what only says that it was mounted; NULL: nothing does. */
    gboolean (*unmount)(CstBlob *copy, gboolean *ret_was_mounted, GError **error);
    const char *settled; /**< N_(): what one that was replayed or unmounted is called */
    const char *pending; /**< what check prints when it can't judge; NULL: it always can */
    const char *why;     /**< N_(): why it can't, then */
} GuestChecker;

/** The checker for what blkid calls @type; NULL: there is none. */
const GuestChecker *guest_checker_find(const char *type);

/** Judges @part by what the check of it said. @settled: it was replayed or unmounted before. */
void guest_checker_judge(const GuestChecker *checker, const CstChildResult *result,
                         gboolean settled, CstGuestPart *part);
