/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Notes: keys in the Ceph pool's metadata that record a change in progress, for the recovery after
 * a crash. They are stored with the images, so that each host with the pool finds them. A key
 * consists of a prefix for the kind of the note, and a name.
 */
#include "rbd.h"

#include <errno.h>
#include <string.h>

#include <base/i18n.h>

#define NOTES_AT_ONCE 64
#define NOTE_MAX      4096 /* average limit of a key, and of a value */

int cst_rbd_note_set(RbdJob *job, const char *prefix, const char *name, const char *value)
{
    g_autofree char *key = g_strconcat(prefix, name, NULL);

    return job->ceph->rbd_pool_metadata_set(job->conn->io, key, value);
}

int cst_rbd_note_remove(RbdJob *job, const char *prefix, const char *name)
{
    g_autofree char *key = g_strconcat(prefix, name, NULL);
    int result = job->ceph->rbd_pool_metadata_remove(job->conn->io, key);

    return result == -ENOENT ? 0 : result;
}

char *cst_rbd_note_get(RbdJob *job, const char *prefix, const char *name, int *ret_result)
{
    g_autofree char *key = g_strconcat(prefix, name, NULL);
    g_autofree char *value = g_malloc0(NOTE_MAX);
    size_t len = NOTE_MAX - 1;

    *ret_result = job->ceph->rbd_pool_metadata_get(job->conn->io, key, value, &len);
    return *ret_result < 0 ? NULL : g_steal_pointer(&value);
}

/*
 * Calls @each for the notes in @keys, which end with an empty key. *ret_last: the last key, where
 * the next list continues. FALSE if no further notes have the prefix.
 */
static gboolean hand_out(RbdJob *job, const char *prefix, const char *keys, const char *values,
                         RbdNoteFunc each, char **ret_last)
{
    for (; *keys && g_str_has_prefix(keys, prefix); keys += strlen(keys) + 1) {
        cst_work_heartbeat(&job->work);
        each(job, keys + strlen(prefix), values);
        g_free(*ret_last);
        *ret_last = g_strdup(keys);
        values += strlen(values) + 1;
    }
    return *keys == '\0';
}

/*
 * Reads NOTES_AT_ONCE notes at a time, starting after the last key. Keys are sorted, so the keys of
 * a prefix are contiguous. @each may remove the note.
 */
gboolean cst_rbd_note_each(RbdJob *job, const char *prefix, RbdNoteFunc each, GError **error)
{
    g_autofree char *keys = g_malloc(NOTES_AT_ONCE * NOTE_MAX + 1);
    g_autofree char *values = g_malloc(NOTES_AT_ONCE * NOTE_MAX + 1);
    g_autofree char *last = g_strdup(prefix);
    gboolean more = TRUE;

    while (more) {
        size_t keys_len = NOTES_AT_ONCE * NOTE_MAX, values_len = keys_len;
        int result = job->ceph->rbd_pool_metadata_list(job->conn->io, last, NOTES_AT_ONCE, keys,
                                                       &keys_len, values, &values_len);

        /* A pool without any note may have no metadata object. */
        if (result == -ENOENT || result == -EOPNOTSUPP)
            return TRUE;
        if (result < 0)
            return cst_ceph_fail(error, result, _("cannot read the notes of %s"), job->what);
        keys[keys_len] = values[values_len] = '\0';
        more = keys_len > 0 && hand_out(job, prefix, keys, values, each, &last);
    }
    return TRUE;
}
