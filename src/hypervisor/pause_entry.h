/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>

#include "domain_entry.h"

/** The entry of a paused domain, by which another process can undo the pause. */

/** A change of the domain that begins, or that has been made. */
typedef enum {
    PAUSE_ENTRY_FREEZING,
    PAUSE_ENTRY_FROZEN,
    PAUSE_ENTRY_SUSPENDING,
    PAUSE_ENTRY_SUSPENDED,
    PAUSE_ENTRY_RESUMING,
    PAUSE_ENTRY_THAWING,
    PAUSE_ENTRY_LAST
} PauseEntryStep;

typedef struct {
    DomainEntry domain;
    PauseEntryStep step;
    gboolean suspended; /* this program has suspended the domain, or is about to */
    gboolean thaw_owed; /* a freeze was sent, or is about to be; no thaw has succeeded since */
} PauseEntry;

void pause_entry_clear(PauseEntry *entry);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(PauseEntry, pause_entry_clear)

/** Replaces the entry of @entry->domain.uuid. The caller holds the lock. */
gboolean pause_entry_write(int dirfd, const PauseEntry *entry, GError **error);
/**
 * Reads an entry. Fails with NOT_FOUND if there is none, with DENIED if another user could have
 * written it, and with CORRUPT if it is damaged.
 */
gboolean pause_entry_read(int dirfd, const char *uuid, PauseEntry *ret_entry, GError **error);
