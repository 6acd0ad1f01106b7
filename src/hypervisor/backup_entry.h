/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "domain_entry.h"

/** The entry of a backup session, by which another process can end it (domain_entry.h). */
typedef struct {
    DomainEntry domain;
    char *session; /* names the directories of the session */
    char *directory, *scratch;
    uint64_t reserve;
    gboolean ran;    /* the domain ran when the session began */
    gboolean resume; /* resume the domain if an I/O error has paused it */
} BackupEntry;

void backup_entry_clear(BackupEntry *entry);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(BackupEntry, backup_entry_clear)

/** Replaces the entry of @entry->domain.uuid. The caller holds the lock. */
gboolean backup_entry_write(int dirfd, const BackupEntry *entry, GError **error);
/**
 * Reads an entry. Fails with NOT_FOUND if there is none, with DENIED if another user could have
 * written it, and with CORRUPT if it is damaged.
 */
gboolean backup_entry_read(int dirfd, const char *uuid, BackupEntry *ret_entry, GError **error);
