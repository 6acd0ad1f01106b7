/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Records of deleted volumes that are kept. A record is replaced whole and is durable when the call
 * returns. The storage decides whether the volume exists: a record without a volume has no meaning.
 */
#include <store/trash.h>

#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <base/crash.h>
#include <base/dry_run.h>
#include <base/error.h>
#include <base/file.h>
#include <base/i18n.h>
#include <base/log.h>
#include <base/test_point.h>

#include "volume_files.h"

#define GROUP      "trash"
#define RECORD_MAX 65536

void cst_trashed_free(CstTrashed *trashed)
{
    if (!trashed)
        return;
    g_free(trashed->hidden);
    g_free(trashed->name);
    g_free(trashed);
}

CstTrashed *cst_trashed_copy(const CstTrashed *trashed)
{
    CstTrashed *copy = trashed ? g_memdup2(trashed, sizeof(*trashed)) : NULL;

    if (copy) {
        copy->hidden = g_strdup(trashed->hidden);
        copy->name = g_strdup(trashed->name);
    }
    return copy;
}

static char *trash_record_dir(const CstPaths *paths, const CstUuid *pool)
{
    return volume_files_dir(paths, "trash", pool);
}

/* --- writing ---------------------------------------------------------------------------------- */

gboolean cst_trash_set(const CstPaths *paths, const CstUuid *pool, const CstTrashed *trashed,
                       GError **error)
{
    g_autofree char *dir = trash_record_dir(paths, pool);
    g_autofree char *path = volume_file_path(dir, trashed->hidden);
    g_autoptr(GKeyFile) keys = g_key_file_new();
    g_autofree char *text = NULL;
    gsize length;

    if (!cst_may_change(error) || !cst_dir_ensure(dir, 0700, error))
        return FALSE;
    g_key_file_set_string(keys, GROUP, "name", trashed->name);
    g_key_file_set_int64(keys, GROUP, "deleted", trashed->deleted);
    g_key_file_set_int64(keys, GROUP, "until", trashed->until);
    g_key_file_set_uint64(keys, GROUP, "uid", trashed->uid);
    text = g_key_file_to_data(keys, &length, NULL);
    return cst_file_replace(path, text, length, 0600, error);
}

gboolean cst_trash_remove(const CstPaths *paths, const CstUuid *pool, const char *hidden,
                          GError **error)
{
    g_autofree char *dir = trash_record_dir(paths, pool);
    g_autofree char *path = volume_file_path(dir, hidden);

    return access(path, F_OK) != 0 || (cst_may_change(error) && cst_file_remove(path, error));
}

gboolean cst_trash_remove_many(const CstPaths *paths, const CstUuid *pool,
                               const char *const *hidden, guint count, GError **error)
{
    g_autofree char *dir = trash_record_dir(paths, pool);
    g_autofree char *any = count > 0 ? volume_file_path(dir, hidden[0]) : NULL;

    if (count == 0 || access(dir, F_OK) != 0)
        return TRUE;
    if (!cst_may_change(error))
        return FALSE;
    for (guint i = 0; i < count; i++) {
        g_autofree char *path = volume_file_path(dir, hidden[i]);

        if (unlink(path) < 0 && errno != ENOENT)
            return cst_fail_errno(error, errno, _("cannot remove '%s'"), path);
        CST_CRASH_POINT("trash.records.unlinked");
    }
    return cst_parent_sync(any, error);
}

void cst_trash_drop_temporaries(const CstPaths *paths, const CstUuid *pool, const char *hidden)
{
    g_autofree char *dir = trash_record_dir(paths, pool);
    g_autofree char *path = volume_file_path(dir, hidden);

    cst_file_drop_temporaries_of(path);
}

/* --- reading ---------------------------------------------------------------------------------- */

static gboolean trash_record_parse(GKeyFile *keys, CstTrashed *trashed, GError **error)
{
    g_autoptr(GError) why = NULL;

    trashed->name = g_key_file_get_string(keys, GROUP, "name", &why);
    if (!why)
        trashed->deleted = g_key_file_get_int64(keys, GROUP, "deleted", &why);
    if (!why)
        trashed->until = g_key_file_get_int64(keys, GROUP, "until", &why);
    if (!why)
        trashed->uid = (uint32_t)g_key_file_get_uint64(keys, GROUP, "uid", &why);
    return !why || cst_fail(error, CST_ERROR_INVALID, _("the record of deleted volume '%s': %s"),
                            trashed->hidden, why->message);
}

static CstTrashed *read_record(const char *path, const char *hidden, GError **error)
{
    g_autoptr(CstTrashed) trashed = g_new0(CstTrashed, 1);
    g_autoptr(GKeyFile) keys = g_key_file_new();
    g_autoptr(GError) why = NULL;
    g_autofree char *text = NULL;
    size_t length;

    trashed->hidden = g_strdup(hidden);
    if (!cst_file_read(path, RECORD_MAX, &text, &length, error))
        return NULL;
    if (!g_key_file_load_from_data(keys, text, length, G_KEY_FILE_NONE, &why)) {
        cst_fail(error, CST_ERROR_INVALID, _("the record of deleted volume '%s': %s"), hidden,
                 why->message);
        return NULL;
    }
    return trash_record_parse(keys, trashed, error) ? g_steal_pointer(&trashed) : NULL;
}

gboolean cst_trash_find(const CstPaths *paths, const CstUuid *pool, const char *hidden,
                        CstTrashed **ret_trashed, GError **error)
{
    g_autofree char *dir = trash_record_dir(paths, pool);
    g_autofree char *path = volume_file_path(dir, hidden);
    g_autoptr(GError) why = NULL;

    *ret_trashed = read_record(path, hidden, &why);
    if (*ret_trashed || g_error_matches(why, CST_ERROR, CST_ERROR_NOT_FOUND))
        return TRUE;
    g_propagate_error(error, g_steal_pointer(&why));
    return FALSE;
}

static int compare_trashed(gconstpointer a, gconstpointer b)
{
    const CstTrashed *one = *(CstTrashed *const *)a, *other = *(CstTrashed *const *)b;

    if (one->deleted != other->deleted)
        return one->deleted < other->deleted ? -1 : 1;
    return strcmp(one->hidden, other->hidden);
}

GPtrArray *cst_trash_list(const CstPaths *paths, const CstUuid *pool, GError **error)
{
    g_autoptr(GPtrArray) list = g_ptr_array_new_with_free_func((GDestroyNotify)cst_trashed_free);
    g_autofree char *dir = trash_record_dir(paths, pool);
    g_autoptr(GPtrArray) names = volume_files_list(dir, error);

    if (!names)
        return NULL;
    for (guint i = 0; i < names->len; i++) {
        g_autoptr(GError) why = NULL;
        CstTrashed *trashed = NULL;

        CST_TEST_POINT("trash.list.read");
        if (!cst_trash_find(paths, pool, names->pdata[i], &trashed, &why))
            cst_log(CST_LOG_WARNING, "%s", why->message);
        else if (trashed)
            g_ptr_array_add(list, trashed);
    }
    g_ptr_array_sort(list, compare_trashed);
    return g_steal_pointer(&list);
}

GPtrArray *cst_trash_names(const CstPaths *paths, const CstUuid *pool, GError **error)
{
    g_autofree char *dir = trash_record_dir(paths, pool);

    return volume_files_list(dir, error);
}

/* File systems record times with a resolution of 1 s at most, FAT excepted. */
#define SETTLED_US (2 * G_TIME_SPAN_SECOND)

char *cst_trash_stamp(const CstPaths *paths, const CstUuid *pool, gboolean *ret_settled)
{
    g_autofree char *dir = trash_record_dir(paths, pool);
    struct stat st;
    int64_t age_us;

    *ret_settled = TRUE;
    if (stat(dir, &st) < 0)
        return g_strdup("none");
    age_us = g_get_real_time() - (int64_t)st.st_mtim.tv_sec * G_USEC_PER_SEC;
    *ret_settled = age_us > SETTLED_US;
    return g_strdup_printf("%ju %ju %jd.%09ld", (uintmax_t)st.st_dev, (uintmax_t)st.st_ino,
                           (intmax_t)st.st_mtim.tv_sec, st.st_mtim.tv_nsec);
}
