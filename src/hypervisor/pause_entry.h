/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>

#include <base/file.h>

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
    char *uri, *uuid;
    char *name; /* of the domain */
    int id;     /* of the domain; a domain that is started again has another one */
    PauseEntryStep step;
    gint64 late_until;  /* libvirt may make a change without an answer; monotonic microseconds */
    gboolean suspended; /* this program has suspended the domain, or is about to */
    gboolean thaw_owed; /* a freeze was sent, or is about to be; no thaw has succeeded since */
} PauseEntry;

void pause_entry_clear(PauseEntry *entry);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(PauseEntry, pause_entry_clear)

/**
 * Opens the directory of the entries. @create: creates it with mode 0700 if it is missing. Returns
 * -1 with NOT_FOUND if it is missing, and with DENIED if other users can write to it.
 */
int pause_directory_open(const char *path, gboolean create, GError **error);

/** Returns the UUIDs of all files in the directory that belong to entries, sorted, as char *. */
GPtrArray *pause_directory_list(int dirfd);

/**
 * Acquires the lock of a domain. Returns its descriptor, which is inherited by child processes, or
 * -1 with BUSY if another process holds it. The lock is free when all processes with the descriptor
 * have ended, or after pause_entry_unlock().
 */
int pause_entry_lock(int dirfd, const char *uuid, GError **error);
/** Whether @lock_fd is the present lock of the domain, and this process holds it. */
gboolean pause_entry_holds(int dirfd, const char *uuid, int lock_fd);
/** Releases the lock for all processes that inherited it, removes its file and closes @lock_fd. */
void pause_entry_unlock(int dirfd, const char *uuid, int lock_fd);

/** Replaces the entry of @entry->uuid. The caller holds the lock. */
gboolean pause_entry_write(int dirfd, const PauseEntry *entry, GError **error);
/**
 * Reads an entry. Fails with NOT_FOUND if there is none, with DENIED if another user could have
 * written it, and with CORRUPT if it is damaged.
 */
gboolean pause_entry_read(int dirfd, const char *uuid, PauseEntry *ret_entry, GError **error);
/** Removes the entry, if there is one. The caller holds the lock. */
void pause_entry_remove(int dirfd, const char *uuid);
