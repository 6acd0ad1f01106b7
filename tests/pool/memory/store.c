/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The technology of the example backend: disks in the memory of this process. A disk consists of
 * blocks that are shared until they are written. One lock guards the sets of stores and disks. Each
 * disk's own lock, acquired after it, guards its size and its blocks, so that reads and writes of
 * content wait only for that lock. A block (GBytes) is immutable; NULL means zeroes.
 */
#include "store.h"

#include <string.h>

#include <base/error.h>
#include <base/units.h>

#define BLOCK (64 * CST_KIB)

static GMutex stores_lock;
static GHashTable *stores; /* name to MemoryStore */
static uint64_t last_id;

void memory_lock(void)
{
    g_mutex_lock(&stores_lock);
}

void memory_unlock(void)
{
    g_mutex_unlock(&stores_lock);
}

/* --- disks ------------------------------------------------------------------------------------ */

static void block_free(gpointer block)
{
    if (block)
        g_bytes_unref(block);
}

static guint memory_block_count(uint64_t size)
{
    return (guint)cst_div_up(size, BLOCK);
}

/*
 * Every disk gets a new number, so that a disk that replaces another disk of its name has another
 * stamp.
 */
MemoryDisk *memory_disk_new(const char *name, uint64_t size)
{
    MemoryDisk *disk = g_new0(MemoryDisk, 1);

    disk->refs = 1;
    disk->name = g_strdup(name);
    disk->id = ++last_id;
    disk->created = g_get_real_time() / G_USEC_PER_SEC;
    disk->below = g_ptr_array_new_with_free_func((GDestroyNotify)memory_disk_unref);
    disk->users = g_ptr_array_new_with_free_func(g_free);
    g_mutex_init(&disk->lock);
    disk->blocks = g_ptr_array_new_with_free_func(block_free);
    disk->size = size;
    disk->writes = 1; /* counts the creation, because a time of 0 means unknown */
    g_ptr_array_set_size(disk->blocks, (gint)memory_block_count(size));
    return disk;
}

MemoryDisk *memory_disk_ref(MemoryDisk *disk)
{
    g_atomic_int_inc(&disk->refs);
    return disk;
}

void memory_disk_unref(MemoryDisk *disk)
{
    if (!disk || !g_atomic_int_dec_and_test(&disk->refs))
        return;
    g_ptr_array_unref(disk->below);
    g_ptr_array_unref(disk->users);
    g_ptr_array_unref(disk->blocks);
    g_mutex_clear(&disk->lock);
    g_free(disk->origin);
    g_free(disk->origin_at);
    g_free(disk->record);
    g_free(disk->name);
    g_free(disk);
}

int memory_disk_find(const MemoryDisk *disk, const char *snapshot)
{
    for (guint i = 0; i < disk->below->len; i++)
        if (strcmp(((MemoryDisk *)disk->below->pdata[i])->name, snapshot) == 0)
            return (int)i;
    return -1;
}

/* Returns a list of the same blocks, with new references. The caller holds the disk's lock. */
static GPtrArray *share_blocks(const MemoryDisk *disk)
{
    GPtrArray *shared = g_ptr_array_new_with_free_func(block_free);

    for (guint i = 0; i < disk->blocks->len; i++)
        g_ptr_array_add(shared,
                        disk->blocks->pdata[i] ? g_bytes_ref(disk->blocks->pdata[i]) : NULL);
    return shared;
}

/* Holds one lock at a time, so that two calls with exchanged arguments cannot deadlock. */
void memory_disk_become(MemoryDisk *disk, MemoryDisk *from)
{
    GPtrArray *blocks;
    uint64_t size;

    g_mutex_lock(&from->lock);
    size = from->size;
    blocks = share_blocks(from);
    g_mutex_unlock(&from->lock);
    g_mutex_lock(&disk->lock);
    g_ptr_array_unref(disk->blocks);
    disk->blocks = blocks;
    disk->size = size;
    disk->writes++;
    g_mutex_unlock(&disk->lock);
}

/* A block in use never changes, and its address is not reused as long as both lists hold it. */
void memory_disk_changed(MemoryDisk *since, MemoryDisk *until, CstChanged *changed)
{
    GPtrArray *blocks;
    uint64_t size;
    guint i;

    g_mutex_lock(&until->lock);
    size = until->size;
    blocks = share_blocks(until);
    g_mutex_unlock(&until->lock);
    g_mutex_lock(&since->lock);
    cst_changed_begin(changed, size, g_strdup_printf("%" G_GUINT64_FORMAT, since->id));
    for (i = 0; i < MIN(blocks->len, since->blocks->len); i++)
        if (blocks->pdata[i] != since->blocks->pdata[i] &&
            !cst_changed_add(changed, (uint64_t)i * BLOCK, BLOCK))
            break;
    if (i == MIN(blocks->len, since->blocks->len))
        cst_changed_end(changed, since->size);
    g_mutex_unlock(&since->lock);
    g_ptr_array_unref(blocks);
}

MemoryDisk *memory_disk_copy(MemoryDisk *disk, const char *name)
{
    MemoryDisk *copy = memory_disk_new(name, 0);

    memory_disk_become(copy, disk);
    return copy;
}

/*
 * Writes @len bytes of @buf (NULL: zeroes) to one block. Replaces the block and never changes it,
 * because other disks may share it. Zero blocks use no memory. The caller holds the disk's lock.
 */
static void put_into_block(MemoryDisk *disk, uint64_t offset, const void *buf, size_t len)
{
    gpointer *block = &disk->blocks->pdata[offset / BLOCK];
    uint8_t *bytes;

    if (!buf && (!*block || len == BLOCK)) {
        block_free(g_steal_pointer(block));
        return;
    }
    bytes = *block ? g_memdup2(g_bytes_get_data(*block, NULL), BLOCK) : g_malloc0(BLOCK);
    if (buf)
        memcpy(bytes + offset % BLOCK, buf, len);
    else
        memset(bytes + offset % BLOCK, 0, len);
    block_free(*block);
    *block = g_bytes_new_take(bytes, BLOCK);
}

/* Writes @len bytes of @buf (NULL: zeroes), block by block. The caller holds the disk's lock. */
static void memory_disk_write(MemoryDisk *disk, uint64_t offset, const uint8_t *buf, uint64_t len)
{
    disk->writes++;
    while (len > 0) {
        size_t piece = (size_t)MIN(len, BLOCK - offset % BLOCK);

        put_into_block(disk, offset, buf, piece);
        buf = buf ? buf + piece : NULL;
        offset += piece;
        len -= piece;
    }
}

void memory_disk_resize(MemoryDisk *disk, uint64_t size)
{
    g_mutex_lock(&disk->lock);
    /* Zero the end, so that the old content does not reappear when the disk grows again. */
    if (size < disk->size)
        memory_disk_write(disk, size, NULL, disk->size - size);
    g_ptr_array_set_size(disk->blocks, (gint)memory_block_count(size));
    disk->size = size;
    disk->writes++;
    g_mutex_unlock(&disk->lock);
}

/* Copies a block even if it is no longer shared. */
gboolean memory_disk_own(MemoryDisk *disk, guint index)
{
    gboolean found;

    g_mutex_lock(&disk->lock);
    found = index < disk->blocks->len;
    if (found && disk->blocks->pdata[index]) {
        GBytes *shared = disk->blocks->pdata[index];

        disk->blocks->pdata[index] = g_bytes_new(g_bytes_get_data(shared, NULL), BLOCK);
        g_bytes_unref(shared);
    }
    g_mutex_unlock(&disk->lock);
    return found;
}

/* Adds the disk's blocks to @seen, so that shared blocks count once. */
static void collect_blocks(MemoryDisk *disk, GHashTable *seen)
{
    g_mutex_lock(&disk->lock);
    for (guint i = 0; i < disk->blocks->len; i++)
        if (disk->blocks->pdata[i])
            g_hash_table_add(seen, disk->blocks->pdata[i]);
    g_mutex_unlock(&disk->lock);
}

uint64_t memory_disk_used(MemoryDisk *disk)
{
    g_autoptr(GHashTable) seen = g_hash_table_new(NULL, NULL);

    collect_blocks(disk, seen);
    return g_hash_table_size(seen) * BLOCK;
}

CstVolumeStamp memory_disk_stamp(MemoryDisk *disk)
{
    CstVolumeStamp stamp = {.inode = disk->id};

    g_mutex_lock(&disk->lock);
    stamp.size = disk->size;
    stamp.mtime_ns = (int64_t)disk->writes;
    g_mutex_unlock(&disk->lock);
    return stamp;
}

/* --- content ---------------------------------------------------------------------------------- */

typedef struct {
    CstBlob head;
    MemoryDisk *disk;
} DiskBlob;

/* The dispatcher has checked the range, so every block exists. */
static gboolean memory_blob_pread(CstBlob *blob, void *buf, size_t len, uint64_t offset,
                                  GError **error)
{
    MemoryDisk *disk = ((DiskBlob *)blob)->disk;
    uint8_t *to = buf;

    if (!memory_enter("pread", error))
        return FALSE;
    g_mutex_lock(&disk->lock);
    for (size_t done = 0; done < len;) {
        uint64_t at = offset + done;
        size_t piece = (size_t)MIN(len - done, BLOCK - at % BLOCK);
        GBytes *block = disk->blocks->pdata[at / BLOCK];

        if (block)
            memcpy(to + done, (const uint8_t *)g_bytes_get_data(block, NULL) + at % BLOCK, piece);
        else
            memset(to + done, 0, piece);
        done += piece;
    }
    g_mutex_unlock(&disk->lock);
    return TRUE;
}

/* Like a block device, a disk does not grow with a write past its end. */
static gboolean memory_blob_pwrite(CstBlob *blob, const void *buf, size_t len, uint64_t offset,
                                   GError **error)
{
    MemoryDisk *disk = ((DiskBlob *)blob)->disk;
    gboolean fits;

    if (!memory_enter("pwrite", error))
        return FALSE;
    g_mutex_lock(&disk->lock);
    fits = offset + len <= disk->size;
    if (fits)
        memory_disk_write(disk, offset, buf, len);
    g_mutex_unlock(&disk->lock);
    return fits || cst_fail(error, CST_ERROR_NO_SPACE, "'%s' ends before that", blob->name);
}

static gboolean memory_blob_get_size(CstBlob *blob, uint64_t *ret_size, GError **error)
{
    MemoryDisk *disk = ((DiskBlob *)blob)->disk;

    g_mutex_lock(&disk->lock);
    *ret_size = disk->size;
    g_mutex_unlock(&disk->lock);
    return TRUE;
}

static gboolean memory_blob_flush(CstBlob *blob, GError **error)
{
    return memory_enter("flush", error);
}

static gboolean memory_blob_zero(CstBlob *blob, uint64_t offset, uint64_t length, unsigned flags,
                                 GError **error)
{
    MemoryDisk *disk = ((DiskBlob *)blob)->disk;

    if (!memory_enter("pwrite", error))
        return FALSE;
    g_mutex_lock(&disk->lock);
    memory_disk_write(disk, offset, NULL, length);
    g_mutex_unlock(&disk->lock);
    return TRUE;
}

/* Returns one run of data or holes, extended block by block. */
static gboolean memory_blob_extent(CstBlob *blob, uint64_t offset, uint64_t length,
                                   CstExtent *ret_extent, GError **error)
{
    MemoryDisk *disk = ((DiskBlob *)blob)->disk;
    uint64_t end = offset;
    gboolean hole;

    g_mutex_lock(&disk->lock);
    hole = disk->blocks->pdata[offset / BLOCK] == NULL;
    while (end < offset + length && (disk->blocks->pdata[end / BLOCK] == NULL) == hole)
        end = MIN(offset + length, (end / BLOCK + 1) * BLOCK);
    g_mutex_unlock(&disk->lock);
    *ret_extent = (CstExtent){.offset = offset,
                              .length = end - offset,
                              .flags = hole ? CST_EXTENT_HOLE | CST_EXTENT_ZERO : CST_EXTENT_DATA};
    return TRUE;
}

static void memory_blob_close(CstBlob *blob)
{
    memory_disk_unref(((DiskBlob *)blob)->disk);
    g_free(blob);
}

static const CstBlobOps disk_ops = {
    .kind = "memory disk",
    .pread = memory_blob_pread,
    .get_size = memory_blob_get_size,
    .close = memory_blob_close,
    .pwrite = memory_blob_pwrite,
    .flush = memory_blob_flush,
    .extent = memory_blob_extent,
    .zero = memory_blob_zero,
};

/* The reference keeps a deleted disk readable for its open blobs, like an unlinked file. */
CstBlob *memory_blob_new(MemoryDisk *disk, gboolean writable)
{
    DiskBlob *blob = g_new0(DiskBlob, 1);

    cst_blob_init(&blob->head, &disk_ops, disk->name, writable);
    blob->disk = memory_disk_ref(disk);
    return &blob->head;
}

/* --- stores ----------------------------------------------------------------------------------- */

/* Open disks outlive their store. */
static void store_free(gpointer data)
{
    MemoryStore *store = data;

    g_hash_table_unref(store->disks);
    g_hash_table_unref(store->drafts);
    g_free(store->name);
    g_free(store);
}

MemoryStore *memory_store(const char *name)
{
    return stores ? g_hash_table_lookup(stores, name) : NULL;
}

MemoryStore *memory_store_build(const char *name)
{
    MemoryStore *store = memory_store(name);

    if (store)
        return store;
    if (!stores)
        stores = g_hash_table_new_full(g_str_hash, g_str_equal, NULL, store_free);
    store = g_new0(MemoryStore, 1);
    store->name = g_strdup(name);
    store->disks =
        g_hash_table_new_full(g_str_hash, g_str_equal, g_free, (GDestroyNotify)memory_disk_unref);
    store->drafts =
        g_hash_table_new_full(g_str_hash, g_str_equal, g_free, (GDestroyNotify)memory_disk_unref);
    g_hash_table_replace(stores, store->name, store);
    return store;
}

void memory_store_remove(const char *name)
{
    g_hash_table_remove(stores, name);
}

static void collect_disks(GHashTable *disks, GHashTable *seen)
{
    GHashTableIter iter;
    gpointer value;

    g_hash_table_iter_init(&iter, disks);
    while (g_hash_table_iter_next(&iter, NULL, &value)) {
        MemoryDisk *disk = value;

        collect_blocks(disk, seen);
        for (guint i = 0; i < disk->below->len; i++)
            collect_blocks(disk->below->pdata[i], seen);
    }
}

uint64_t memory_store_used(const MemoryStore *store)
{
    g_autoptr(GHashTable) seen = g_hash_table_new(NULL, NULL);

    collect_disks(store->disks, seen);
    collect_disks(store->drafts, seen);
    return g_hash_table_size(seen) * BLOCK;
}

/* --- the tool --------------------------------------------------------------------------------- */

void cst_memory_put(const char *store, const char *volume, const void *data, size_t len)
{
    MemoryDisk *disk;

    memory_lock();
    disk = memory_disk_new(volume, len);
    memory_disk_write(disk, 0, data, len);
    g_hash_table_replace(memory_store_build(store)->disks, g_strdup(volume), disk);
    memory_unlock();
}

gboolean cst_memory_take(const char *store, const char *volume)
{
    MemoryStore *there;
    gboolean found;

    memory_lock();
    there = memory_store(store);
    found = there && g_hash_table_remove(there->disks, volume);
    memory_unlock();
    return found;
}

static int memory_compare_names(gconstpointer a, gconstpointer b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* Includes drafts and snapshots, so that a test sees the state after a crash. */
char **cst_memory_list(const char *store)
{
    GPtrArray *names = g_ptr_array_new();
    MemoryStore *there;
    GHashTableIter iter;
    gpointer key, value;

    memory_lock();
    there = memory_store(store);
    if (there) {
        g_hash_table_iter_init(&iter, there->drafts);
        while (g_hash_table_iter_next(&iter, &key, NULL))
            g_ptr_array_add(names, g_strconcat(key, ".part", NULL));
        g_hash_table_iter_init(&iter, there->disks);
        while (g_hash_table_iter_next(&iter, &key, &value)) {
            const MemoryDisk *disk = value;

            g_ptr_array_add(names, g_strdup(key));
            for (guint i = 0; i < disk->below->len; i++)
                g_ptr_array_add(names,
                                g_strdup_printf("%s@%s", disk->name,
                                                ((MemoryDisk *)disk->below->pdata[i])->name));
        }
    }
    memory_unlock();
    g_ptr_array_sort(names, memory_compare_names);
    g_ptr_array_add(names, NULL);
    return (char **)g_ptr_array_free(names, FALSE);
}

/* Holders are only texts; they do not prevent any use of the volume. */
void cst_memory_hold(const char *store, const char *volume, const char *who)
{
    MemoryStore *there;
    MemoryDisk *disk;

    memory_lock();
    there = memory_store(store);
    disk = there ? g_hash_table_lookup(there->disks, volume) : NULL;
    if (disk && who)
        g_ptr_array_add(disk->users, g_strdup(who));
    else if (disk)
        g_ptr_array_set_size(disk->users, 0);
    memory_unlock();
}

void cst_memory_clear(void)
{
    cst_memory_release();
    memory_lock();
    g_clear_pointer(&stores, g_hash_table_unref);
    memory_unlock();
}
