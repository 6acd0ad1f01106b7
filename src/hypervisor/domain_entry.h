/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>

#include <base/file.h>

/** The files of a directory by which processes that work on a domain are found again. */

/** Whether @text is a UUID in the form of cst_uuid_format(), which is the name of a file. */
gboolean domain_uuid_is_canonical(const char *text);

/**
 * Opens the directory of the entries. @mode: creates it if it is missing, and adds the bits of the
 * mode that it has not. 0: changes nothing. Returns -1 with NOT_FOUND if it is missing, and with
 * DENIED if other users can write to it.
 */
int domain_directory_open(const char *path, mode_t mode, GError **error);

/** Returns the UUIDs of all files in the directory that belong to entries, sorted, as char *. */
GPtrArray *domain_directory_list(int dirfd);

/** Recovers the domain @uuid of an entry. */
typedef gboolean (*DomainRecoverFunc)(int dirfd, const char *uuid, gpointer data, GError **error);
/**
 * Calls @recover for each domain of the directory @path. A missing directory is empty. A failure is
 * reported at the end; the other domains are recovered nevertheless.
 */
gboolean domain_directory_recover(const char *path, DomainRecoverFunc recover, gpointer data,
                                  GError **error);

/** Works of one kind on a domain, whose processes have ended. */
typedef struct {
    /** Reads the entry of a domain, with the errors of domain_entry_read(). */
    gboolean (*check)(int dirfd, const char *uuid, GError **error);
    /** Starts a process with the lock, which repairs the domain. */
    gboolean (*repair)(int dirfd, const char *uuid, int lock, GError **error);
} DomainRecovery;
/**
 * Starts the repair of a domain, or removes its files if it has no entry. Does nothing while
 * another process holds the lock.
 */
gboolean domain_entry_recover(int dirfd, const char *uuid, const DomainRecovery *recovery,
                              GError **error);

/**
 * Acquires the lock of a domain. Returns its descriptor, which is inherited by child processes, or
 * -1 with BUSY if another process holds it. The lock is free when all processes with the descriptor
 * have ended, or after domain_entry_unlock().
 */
int domain_entry_lock(int dirfd, const char *uuid, GError **error);
/** Whether @lock_fd is the present lock of the domain, and this process holds it. */
gboolean domain_entry_holds(int dirfd, const char *uuid, int lock_fd);
/** Releases the lock for all processes that inherited it, removes its file and closes @lock_fd. */
void domain_entry_unlock(int dirfd, const char *uuid, int lock_fd);

/** The keys that each entry has. */
typedef struct {
    char *uri, *uuid;
    char *name;        /* of the domain */
    int id;            /* of the domain; a domain that is started again has another one */
    gint64 late_until; /* libvirt may act without an answer; monotonic microseconds */
} DomainEntry;

void domain_entry_clear(DomainEntry *entry);

/** Returns a key file with the keys of @entry in @group. The caller adds its own keys. */
GKeyFile *domain_entry_encode(const DomainEntry *entry, const char *group);
/** Replaces the entry of domain @uuid. The caller holds the lock. */
gboolean domain_entry_write(int dirfd, const char *uuid, GKeyFile *file, GError **error);
/**
 * Reads an entry. *ret_entry gets the keys in @group, and the caller reads its own keys from the
 * returned file. NULL: NOT_FOUND if there is no entry; DENIED if another user could have written
 * it; CORRUPT with the message @damaged if it is no key file, or one of the keys is not valid.
 */
GKeyFile *domain_entry_read(int dirfd, const char *uuid, const char *group, const char *damaged,
                            DomainEntry *ret_entry, GError **error);
/** Removes the entry, if there is one. The caller holds the lock. */
void domain_entry_remove(int dirfd, const char *uuid);
