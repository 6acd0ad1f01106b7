/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Records of the consistency of snapshots (model/consistency.h), in the metadata of the image.
 *
 * librbd has no metadata of a snapshot. The key has the image's id and the snapshot's number. A
 * rename keeps both, and Ceph does not use a number again. librbd copies the metadata to clones.
 * The clone has another id, so a copied record is not taken for that of a snapshot of the clone.
 *
 * A record is set after its snapshot was created, and removed after it. A crash in between leaves a
 * snapshot without a record, or a record without a snapshot. Both are harmless, so failures are
 * only logged. An image of the old format has no id, and its snapshots have no records.
 */
#include "rbd.h"

#include <errno.h>
#include <string.h>

#include <base/log.h>

#define RECORD_KEY      "cistern_consistency_"
#define RECORDS_AT_ONCE 32
#define RECORD_SIZE     4096 /* average limit of a key, and of a value */

/* Returns the start of the keys of the image; the caller frees it. NULL: it has no records. */
static char *record_prefix(RbdJob *job, rbd_image_t image)
{
    g_autofree char *id = NULL;

    if (cst_rbd_image_id(job, image, &id) < 0 || !*id)
        return NULL;
    return g_strdup_printf(RECORD_KEY "%s_", id);
}

/* Returns the key of a snapshot; the caller frees it. NULL: it cannot have a record. */
static char *record_key(RbdJob *job, rbd_image_t image, uint64_t id)
{
    g_autofree char *prefix = record_prefix(job, image);

    return prefix ? g_strdup_printf("%s%" G_GUINT64_FORMAT, prefix, id) : NULL;
}

void cst_rbd_record_set(RbdJob *job, rbd_image_t image, const char *snapshot, const char *record)
{
    g_autofree char *key = NULL;
    uint64_t id = 0;
    int result = job->ceph->rbd_snap_get_id(image, snapshot, &id);

    key = result >= 0 ? record_key(job, image, id) : NULL;
    if (key)
        result = job->ceph->rbd_metadata_set(image, key, record);
    if (!key || result < 0)
        cst_log(CST_LOG_WARNING,
                "cannot record the consistency of snapshot '%s' of volume '%s'%s%s", snapshot,
                job->name, result < 0 ? ": " : "", result < 0 ? g_strerror(-result) : "");
}

void cst_rbd_record_remove(RbdJob *job, rbd_image_t image, uint64_t id)
{
    g_autofree char *key = record_key(job, image, id);

    if (key)
        job->ceph->rbd_metadata_remove(image, key);
}

/* --- reading ---------------------------------------------------------------------------------- */

/*
 * Adds the records in @keys, which end with an empty key. *ret_last: the last key, where the next
 * list continues. Returns FALSE if no further key has the prefix.
 */
static gboolean records_add(GHashTable *records, const char *prefix, const char *keys,
                            const char *values, char **ret_last)
{
    for (; *keys && g_str_has_prefix(keys, prefix); keys += strlen(keys) + 1) {
        g_hash_table_insert(records, g_strdup(keys + strlen(prefix)), g_strdup(values));
        g_free(*ret_last);
        *ret_last = g_strdup(keys);
        values += strlen(values) + 1;
    }
    return *keys == '\0';
}

GHashTable *cst_rbd_records(RbdJob *job, rbd_image_t image)
{
    GHashTable *records = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
    g_autofree char *keys = g_malloc(RECORDS_AT_ONCE * RECORD_SIZE + 1);
    g_autofree char *values = g_malloc(RECORDS_AT_ONCE * RECORD_SIZE + 1);
    g_autofree char *prefix = record_prefix(job, image);
    g_autofree char *last = g_strdup(prefix);
    gboolean more = prefix != NULL;

    while (more) {
        size_t keys_len = RECORDS_AT_ONCE * RECORD_SIZE, values_len = keys_len;
        int result = job->ceph->rbd_metadata_list(image, last, RECORDS_AT_ONCE, keys, &keys_len,
                                                  values, &values_len);

        if (result < 0 && result != -ENOENT)
            cst_log(CST_LOG_WARNING,
                    "cannot read the consistency of the snapshots of volume '%s': "
                    "%s",
                    job->name, g_strerror(-result));
        if (result < 0)
            return records;
        keys[keys_len] = values[values_len] = '\0';
        more = keys_len > 0 && records_add(records, prefix, keys, values, &last);
    }
    return records;
}

const char *cst_rbd_record_of(GHashTable *records, uint64_t id)
{
    g_autofree char *key = g_strdup_printf("%" G_GUINT64_FORMAT, id);

    return g_hash_table_lookup(records, key);
}
