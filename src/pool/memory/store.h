/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <base/changed.h>
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

/**
 * Acquires or releases the lock of all stores, which guards what is in them and their disks, except
 * content and size.
 */
void memory_lock(void);
void memory_unlock(void);
/**
 * With the lock held, as for all that follows: returns a store, borrowed; NULL when it was not
 * built.
 */
MemoryStore *memory_store(const char *name);
/** Returns the store, made if necessary. */
MemoryStore *memory_store_build(const char *name);
/** Removes the store with its disks. It exists. */
void memory_store_remove(const char *name);
/** Returns the bytes of all blocks, shared ones counted once. */
uint64_t memory_store_used(const MemoryStore *store);

/** Makes a disk of zeroes; one reference. @name is copied. */
MemoryDisk *memory_disk_new(const char *name, uint64_t size);
/** Makes a disk that shares all blocks of @disk; one reference. */
MemoryDisk *memory_disk_copy(MemoryDisk *disk, const char *name);
/** Returns @disk with one reference more. Any thread. */
MemoryDisk *memory_disk_ref(MemoryDisk *disk);
/** Frees the disk with the last reference. NULL is accepted. */
void memory_disk_unref(MemoryDisk *disk);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(MemoryDisk, memory_disk_unref)
/** Returns the position of a snapshot in disk->below; -1: none of that name. */
int memory_disk_find(const MemoryDisk *disk, const char *snapshot);
/** Grows the disk by zeroes, or cuts it off. */
void memory_disk_resize(MemoryDisk *disk, uint64_t size);
/** Gives @disk the size and blocks of @from. */
void memory_disk_become(MemoryDisk *disk, MemoryDisk *from);
/** Tells in which blocks @until has others than @since, as CstSnapshotBackend.changed does. */
void memory_disk_changed(MemoryDisk *since, MemoryDisk *until, CstChanged *changed);
/** Makes block @index the disk's own copy; FALSE: there is no such block. */
gboolean memory_disk_own(MemoryDisk *disk, guint index);
/** Returns the bytes of the disk's blocks, shared ones included. */
uint64_t memory_disk_used(MemoryDisk *disk);
/** Returns a stamp of the disk: its size, and its count of writes as the time of change. */
CstVolumeStamp memory_disk_stamp(MemoryDisk *disk);

/** Opens the disk's content, with a reference to the disk. */
CstBlob *memory_blob_new(MemoryDisk *disk, gboolean writable);

/**
 * Begins a call of @callback: waits while it is to hang, and fails (with IO, or the class that the
 * test has set) when it is to fail. Without the lock held.
 */
gboolean memory_enter(const char *callback, GError **error);
