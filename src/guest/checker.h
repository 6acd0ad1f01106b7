/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <base/child.h>
#include <guest/guest.h>

/** The check of one kind of file system. */
typedef struct {
    const char *const *types;  /**< type names of blkid */
    const char *const *check;  /**< command line of the checker, which changes nothing; status 0:
                                    sound */
    const char *const *replay; /**< command line that replays the journal; NULL: not needed */
    const char *replayed;      /**< output of @replay if it has replayed the journal */
    /** Clears the marks of a mounted file system; NULL: not needed. */
    gboolean (*unmount)(CstBlob *copy, gboolean *ret_was_mounted, GError **error);
    const char *settled; /**< N_(): detail of a sound one that was replayed or unmounted */
    const char *pending; /**< output of @check if it cannot judge; NULL: it always can */
    const char *why;     /**< N_(): reason for that */
} GuestChecker;

/** Returns the checker for blkid's @type, or NULL. */
const GuestChecker *guest_checker_find(const char *type);

/**
 * Sets the verdict of @part by the result of the checker. @settled: it was replayed or unmounted
 * before.
 */
void guest_checker_judge(const GuestChecker *checker, const CstChildResult *result,
                         gboolean settled, CstGuestPart *part);
