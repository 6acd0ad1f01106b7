/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <blob/blob.h>
#include <pool/memory.h>

/**
 * What stands in for a technology: stores of disks made of blocks, which are shared until they are
 * written to. A real backend has a library or a tool in this place, and no such file.
 */

/** One disk, or a snapshot of one. Content and size have a lock of their own. */
typedef struct {
    gint refs;
    char *name;
    uint64_t id;
    int64_t created;  /* seconds since the epoch */
    char *origin;     /* disk whose blocks it began with; NULL: none */
    char *origin_at;  /* snapshot of that one; NULL: of what it was then */
    GPtrArray *below; /* its snapshots, oldest first: MemoryDisk */
    GPtrArray *users; /* char *: who has it open */

    GMutex lock; /* guards the members below */
    uint64_t size;
    uint64_t writes;   /* counts changes */
    GPtrArray *blocks; /* GBytes; NULL: zeroes */
} MemoryDisk;

typedef struct {
    char *name;
    gboolean active;
    GHashTable *disks;  /* name to MemoryDisk */
    GHashTable *drafts; /* token to MemoryDisk */
} MemoryStore;

/** Guards all stores: what is in them, and their disks but for content and size. */
void memory_lock(void);
void memory_unlock(void);
/** With the lock held, as all that follows; NULL when it was not built. */
MemoryStore *memory_store(const char *name);
MemoryStore *memory_store_build(const char *name);
void memory_store_remove(const char *name);
/** Bytes of blocks, those that are shared counted once. */
uint64_t memory_store_used(const MemoryStore *store);

MemoryDisk *memory_disk_new(const char *name, uint64_t size);
/** Shares all blocks. */
MemoryDisk *memory_disk_copy(MemoryDisk *disk, const char *name);
MemoryDisk *memory_disk_ref(MemoryDisk *disk);
void memory_disk_unref(MemoryDisk *disk);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(MemoryDisk, memory_disk_unref)
/** Position of a snapshot in disk->below, -1: none of that name. */
int memory_disk_find(const MemoryDisk *disk, const char *snapshot);
void memory_disk_resize(MemoryDisk *disk, uint64_t size);
/** Size and blocks become those of @from. */
void memory_disk_become(MemoryDisk *disk, MemoryDisk *from);
/** Block @index becomes its own; FALSE: there is no such block. */
gboolean memory_disk_own(MemoryDisk *disk, guint index);
uint64_t memory_disk_used(MemoryDisk *disk);
/** Its size, and a count of writes. */
CstVolumeStamp memory_disk_stamp(MemoryDisk *disk);

/** The disk's content; references it. */
CstBlob *memory_blob_new(MemoryDisk *disk, gboolean writable);

/** Every callback begins with this: FALSE, with IO, when it is to fail. Without the lock. */
gboolean memory_enter(const char *callback, GError **error);
