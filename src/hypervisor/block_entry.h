/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <hypervisor/job.h>

#include "domain_entry.h"

/** The entry of a block job, by which another process can end it (domain_entry.h). */
typedef struct {
    DomainEntry domain;
    char *target; /* of the disk */
    CstHypervisorJobKind kind;
    gboolean active;   /* COMMIT: of the top layer */
    char *source;      /* path of the image that a pivot replaces */
    char *destination; /* path, to which a pivot switches; NULL: there is no pivot */
    char *top, *base;  /* paths of layers: COMMIT of another layer; PULL. NULL: no such layer */
    /* COPY: names that the persistent definition gets in the place of the old ones, and the format
     * of the destination. NULL: it names no volume. COMMIT: names of the base and of the volume
     * above it. NULL: not known. */
    char *pool, *pool_volume, *old_pool, *old_volume, *format;
    gboolean naming;    /* a change of the persistent definition was sent to libvirt */
    gboolean switching; /* a pivot was sent to libvirt, and its result is not known */
} BlockEntry;

void block_entry_clear(BlockEntry *entry);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(BlockEntry, block_entry_clear)

/** Replaces the entry of @entry->domain.uuid. The caller holds the lock. */
gboolean block_entry_write(int dirfd, const BlockEntry *entry, GError **error);
/**
 * Reads an entry. Fails with NOT_FOUND if there is none, with DENIED if another user could have
 * written it, and with CORRUPT if it is damaged.
 */
gboolean block_entry_read(int dirfd, const char *uuid, BlockEntry *ret_entry, GError **error);
/**
 * Starts the repair of an entry whose processes have ended. Implements DomainRecoverFunc. @data:
 * unused.
 */
gboolean block_entry_recover(int dirfd, const char *uuid, gpointer data, GError **error);
