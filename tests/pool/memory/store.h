/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <base/changed.h>
#include <blob/blob.h>
#include <pool/memory.h>

/**
 * The technology of the example backend: stores of disks made of blocks, which are shared until
 * they are written. A real backend uses a library or a tool instead, and has no such file.
 */

/** A disk, or a snapshot of a disk. A separate lock guards its content and size. */
typedef struct {
    gint refs;
    char *name;
    uint64_t id;
    int64_t created;  /* seconds since the epoch */
    char *origin;     /* disk that it was cloned from; NULL: no clone */
    char *origin_at;  /* snapshot that it was cloned from; NULL: the disk's content at that time */
    char *record;     /* of the consistency, for a snapshot; NULL: no record */
    GPtrArray *below; /* its snapshots, oldest first: MemoryDisk */
    GPtrArray *users; /* char *: users of the open disk */

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
 * Acquire or release the lock of all stores, which guards the stores and their disks, except
 * content and size.
 */
void memory_lock(void);
void memory_unlock(void);
/**
 * Returns a store, borrowed; NULL if it was not built. The caller of this and the functions below
 * holds the lock.
 */
MemoryStore *memory_store(const char *name);
/** Returns the store, and creates it if necessary. */
MemoryStore *memory_store_build(const char *name);
/** Removes an existing store and its disks. */
void memory_store_remove(const char *name);
/** Returns the bytes of all blocks; shared blocks count once. */
uint64_t memory_store_used(const MemoryStore *store);

/** Makes a disk of zeroes with one reference. @name is copied. */
MemoryDisk *memory_disk_new(const char *name, uint64_t size);
/** Makes a disk that shares all blocks of @disk, with one reference. */
MemoryDisk *memory_disk_copy(MemoryDisk *disk, const char *name);
/** Returns @disk with a new reference. Any thread. */
MemoryDisk *memory_disk_ref(MemoryDisk *disk);
/** Drops a reference; the last one frees the disk. Accepts NULL. */
void memory_disk_unref(MemoryDisk *disk);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(MemoryDisk, memory_disk_unref)
/** Returns the index of a snapshot in disk->below; -1 if it does not exist. */
int memory_disk_find(const MemoryDisk *disk, const char *snapshot);
/** Resizes the disk; new bytes are zeroes. */
void memory_disk_resize(MemoryDisk *disk, uint64_t size);
/** Gives @disk the size and blocks of @from. */
void memory_disk_become(MemoryDisk *disk, MemoryDisk *from);
/** Reports the blocks that differ between @since and @until; see CstSnapshotBackend.changed. */
void memory_disk_changed(MemoryDisk *since, MemoryDisk *until, CstChanged *changed);
/** Makes block @index the disk's own copy. FALSE if the index is past the end. */
gboolean memory_disk_own(MemoryDisk *disk, guint index);
/** Returns the bytes of the disk's blocks, including shared blocks. */
uint64_t memory_disk_used(MemoryDisk *disk);
/** Returns a stamp of the disk: its size, with its count of writes as the time of change. */
CstVolumeStamp memory_disk_stamp(MemoryDisk *disk);

/** Opens the disk's content, with a reference to the disk. */
CstBlob *memory_blob_new(MemoryDisk *disk, gboolean writable);

/**
 * Begins a call of @callback. Waits while the callback hangs. Fails with IO, or the error code of
 * the test, if the callback has a fault. Call it without the lock.
 */
gboolean memory_enter(const char *callback, GError **error);
