/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Values of secrets in their two forms (see the header). All values are read and written through
 * CstSecretBytes; a sealed file's bytes are not secret. A sealed value is opened again before the
 * plain file is removed. Another process may change the form while this one reads. It writes the
 * new file first, so a reader that finds neither file tries again.
 */
#include <store/secret_values.h>

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <base/crash.h>
#include <base/error.h>
#include <base/file.h>
#include <base/i18n.h>

#include "secret_names.h"
#include "secret_value_io.h"

G_STATIC_ASSERT(sizeof(((CstSecretValueInfo *)NULL)->key_id) == SEAL_ID_TEXT);

/* --- reading ---------------------------------------------------------------------------------- */

gboolean cst_secret_value_info(const CstPaths *paths, const CstUuid *uuid,
                               CstSecretValueInfo *ret_info, GError **error)
{
    g_auto(ValueFile) file = {0};
    CstSecretValueInfo info = {0};
    SealHead head;

    if (!value_read(paths, uuid, &value_present, &file, error))
        return FALSE;
    info.present = file.path != NULL;
    info.sealed = file.sealed;
    info.changed = file.mtime;
    if (file.sealed) {
        if (!seal_read_head(file.bytes.data, file.bytes.len, file.path, &head, error))
            return FALSE;
        memcpy(info.key_id, head.key_id, sizeof(info.key_id));
        info.changed = head.changed;
    }
    *ret_info = info;
    return TRUE;
}

static gboolean load_value(const CstPaths *paths, const CstUuid *uuid, const ValuePlace *place,
                           CstSecretBytes *ret_value, GError **error)
{
    g_auto(ValueFile) file = {0};
    g_autoptr(SealKeys) keys = NULL;
    gint64 changed;

    if (!value_read(paths, uuid, place, &file, error))
        return FALSE;
    if (!file.path)
        return TRUE;
    keys = file.sealed ? seal_keys_load(paths) : NULL;
    return value_open(&file, uuid, keys, ret_value, &changed, error);
}

gboolean cst_secret_value_load(const CstPaths *paths, const CstUuid *uuid,
                               CstSecretBytes *ret_value, GError **error)
{
    return load_value(paths, uuid, &value_present, ret_value, error);
}

/* --- removing --------------------------------------------------------------------------------- */

gboolean cst_secret_next_remove(const CstPaths *paths, const CstUuid *uuid, GError **error)
{
    return value_remove_form(paths, uuid, value_pending.sealed, error) &&
           value_remove_form(paths, uuid, value_pending.plain, error);
}

gboolean cst_secret_value_remove(const CstPaths *paths, const CstUuid *uuid, GError **error)
{
    return cst_secret_next_remove(paths, uuid, error) &&
           value_remove_form(paths, uuid, value_present.sealed, error) &&
           value_remove_form(paths, uuid, value_present.plain, error);
}

/* --- all sealed files ------------------------------------------------------------------------- */

typedef struct {
    char *path;
    CstUuid uuid;
} SealedName;

static void sealed_name_free(gpointer data)
{
    SealedName *name = data;

    g_free(name->path);
    g_free(name);
}

static gboolean is_sealed_suffix(const char *suffix, gboolean with_next)
{
    return strcmp(suffix, SECRET_SEALED) == 0 || (with_next && strcmp(suffix, SECRET_NEXT) == 0);
}

/*
 * Returns SealedName *. Excludes a sealed present value that has a plain file, which is a leftover.
 */
static GPtrArray *list_sealed(const CstPaths *paths, gboolean with_next)
{
    GPtrArray *names = g_ptr_array_new_with_free_func(sealed_name_free);
    GDir *dir = g_dir_open(paths->secret_dir, 0, NULL);
    const char *entry;

    while (dir && (entry = g_dir_read_name(dir))) {
        const char *suffix = secret_value_suffix(entry);
        g_autofree char *stem = suffix ? g_strndup(entry, (gsize)(suffix - entry)) : NULL;
        g_autofree char *plain = NULL;
        SealedName *name;
        CstUuid uuid;

        if (!suffix || !is_sealed_suffix(suffix, with_next) || !cst_uuid_parse(stem, &uuid))
            continue;
        plain = secret_file_path(paths, &uuid, SECRET_PLAIN);
        if (strcmp(suffix, SECRET_SEALED) == 0 && access(plain, F_OK) == 0)
            continue;
        name = g_new0(SealedName, 1);
        name->path = g_build_filename(paths->secret_dir, entry, NULL);
        name->uuid = uuid;
        g_ptr_array_add(names, name);
    }
    if (dir)
        g_dir_close(dir);
    return names;
}

guint cst_secret_values_sealed(const CstPaths *paths)
{
    g_autoptr(GPtrArray) names = list_sealed(paths, FALSE);

    return names->len;
}

/* Called with every sealed file and its content. Files that were removed since are left out. */
typedef gboolean (*SealedFunc)(const SealedName *name, const ValueFile *file, gpointer data,
                               GError **error);

static gboolean for_each_sealed(const CstPaths *paths, SealedFunc each, gpointer data,
                                GError **error)
{
    g_autoptr(GPtrArray) names = list_sealed(paths, TRUE);

    for (guint i = 0; i < names->len; i++) {
        const SealedName *name = g_ptr_array_index(names, i);
        g_auto(ValueFile) file = {.sealed = TRUE};

        if (!value_read_file(g_strdup(name->path), SEAL_MAX, &file, error) ||
            (file.path && !each(name, &file, data, error)))
            return FALSE;
    }
    return TRUE;
}

/* --- keys ------------------------------------------------------------------------------------- */

/* Checks that the keys in @data can open a sealed file. */
static gboolean check_opens(const SealedName *name, const ValueFile *file, gpointer data,
                            GError **error)
{
    g_auto(CstSecretBytes) value = {0};
    gint64 changed;

    return value_open(file, &name->uuid, data, &value, &changed, error);
}

/*
 * Sets *ret_key to the key that seals, which belongs to *keys; NULL: no key exists, and no value is
 * sealed. If sealed values exist without their key, it fails, so that no new key is created. The
 * directory of the key's file is synced, because a killed process may have created the key without
 * syncing its name. Otherwise the value could survive a power loss without its key.
 */
static gboolean find_key(const CstPaths *paths, SealKeys **keys, const SealKey **ret_key,
                         GError **error)
{
    g_autoptr(GError) refused = NULL;

    *keys = seal_keys_load(paths);
    *ret_key = seal_keys_current(*keys, &refused);
    if (refused) {
        g_propagate_error(error, g_steal_pointer(&refused));
        return FALSE;
    }
    if (!*ret_key)
        return for_each_sealed(paths, check_opens, *keys, error);
    return !(*ret_key)->number || cst_parent_sync((*ret_key)->path, error);
}

static gboolean find_or_make_key(const CstPaths *paths, SealKeys **keys, const SealKey **ret_key,
                                 GError **error)
{
    if (!find_key(paths, keys, ret_key, error))
        return FALSE;
    if (*ret_key)
        return TRUE;
    g_clear_pointer(keys, seal_keys_free);
    if (!seal_keys_make(paths, error) || !find_key(paths, keys, ret_key, error))
        return FALSE;
    return *ret_key || cst_fail(error, CST_ERROR_INTERNAL, "the key that was made is not found");
}

gboolean cst_secret_key_ensure(const CstPaths *paths, GError **error)
{
    g_autoptr(SealKeys) keys = NULL;
    const SealKey *key;

    return find_or_make_key(paths, &keys, &key, error);
}

static gboolean add_needed(const SealedName *name, const ValueFile *file, gpointer data,
                           GError **error)
{
    SealHead head;

    if (!seal_read_head(file->bytes.data, file->bytes.len, name->path, &head, error))
        return FALSE;
    g_hash_table_add(data, g_strdup(head.key_id));
    return TRUE;
}

gboolean cst_secret_keys_drop_unused(const CstPaths *paths, gboolean last, GError **error)
{
    g_autoptr(GHashTable) needed = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);

    return for_each_sealed(paths, add_needed, needed, error) &&
           seal_keys_drop(paths, needed, !last, error);
}

/* --- changes of form -------------------------------------------------------------------------- */

/* Refuses to replace a value with a missing key, because the value may be the only copy. */
static gboolean check_replaced(const CstPaths *paths, const CstUuid *uuid, const SealKeys *keys,
                               GError **error)
{
    g_autofree char *path = secret_file_path(paths, uuid, SECRET_SEALED);
    CstSecretValueInfo info;

    if (!cst_secret_value_info(paths, uuid, &info, error))
        return FALSE;
    if (!info.sealed || seal_keys_find(keys, info.key_id, path, error))
        return TRUE;
    g_prefix_error(error, "%s",
                   _("the value is not replaced (undefine the secret to give it up): "));
    return FALSE;
}

static gboolean save_value(const CstPaths *paths, const CstUuid *uuid, const ValuePlace *place,
                           const CstSecretBytes *value, CstSealPolicy policy, GError **error)
{
    gint64 now = g_get_real_time() / G_USEC_PER_SEC;
    g_autoptr(SealKeys) keys = NULL;
    const SealKey *key = NULL;
    gboolean found;

    if (policy == CST_SEAL_NEVER) {
        keys = seal_keys_load(paths);
        found = TRUE;
    } else if (policy == CST_SEAL_ALWAYS) {
        found = find_or_make_key(paths, &keys, &key, error);
    } else {
        found = find_key(paths, &keys, &key, error);
    }
    if (!found || !check_replaced(paths, uuid, keys, error))
        return FALSE;
    return key ? value_write_sealed(paths, uuid, place, value, now, key, error)
               : value_write_plain(paths, uuid, place, value, now, error);
}

gboolean cst_secret_value_save(const CstPaths *paths, const CstUuid *uuid,
                               const CstSecretBytes *value, CstSealPolicy policy, GError **error)
{
    return save_value(paths, uuid, &value_present, value, policy, error);
}

static gboolean seal_place(const CstPaths *paths, const CstUuid *uuid, const ValuePlace *place,
                           const SealKeys *keys, const SealKey *key, gboolean *ret_changed,
                           GError **error)
{
    g_auto(ValueFile) file = {0};
    g_auto(CstSecretBytes) value = {0};
    SealHead head;
    gint64 changed;

    if (!value_read(paths, uuid, place, &file, error))
        return FALSE;
    if (!file.path)
        return TRUE;
    if (file.sealed && !seal_read_head(file.bytes.data, file.bytes.len, file.path, &head, error))
        return FALSE;
    if (file.sealed && strcmp(head.key_id, key->id) == 0)
        return TRUE;
    if (!value_open(&file, uuid, keys, &value, &changed, error))
        return FALSE;
    /* An empty file of libvirt is not a value that can be sealed. */
    if (value.len == 0)
        return TRUE;
    if (!value_write_sealed(paths, uuid, place, &value, changed, key, error))
        return FALSE;
    *ret_changed = TRUE;
    return TRUE;
}

gboolean cst_secret_value_seal(const CstPaths *paths, const CstUuid *uuid, gboolean *ret_changed,
                               GError **error)
{
    g_autoptr(SealKeys) keys = NULL;
    gboolean next_changed;
    const SealKey *key;

    *ret_changed = FALSE;
    return find_or_make_key(paths, &keys, &key, error) &&
           seal_place(paths, uuid, &value_present, keys, key, ret_changed, error) &&
           seal_place(paths, uuid, &value_pending, keys, key, &next_changed, error);
}

static gboolean unseal_place(const CstPaths *paths, const CstUuid *uuid, const ValuePlace *place,
                             gboolean *ret_changed, GError **error)
{
    g_autoptr(SealKeys) keys = NULL;
    g_auto(ValueFile) file = {0};
    g_auto(CstSecretBytes) value = {0};
    gint64 changed;

    if (!value_read(paths, uuid, place, &file, error))
        return FALSE;
    if (!file.sealed)
        return TRUE;
    keys = seal_keys_load(paths);
    if (!value_open(&file, uuid, keys, &value, &changed, error) ||
        !value_write_plain(paths, uuid, place, &value, changed, error))
        return FALSE;
    *ret_changed = TRUE;
    return TRUE;
}

gboolean cst_secret_value_unseal(const CstPaths *paths, const CstUuid *uuid, gboolean *ret_changed,
                                 GError **error)
{
    gboolean next_changed;

    *ret_changed = FALSE;
    return unseal_place(paths, uuid, &value_present, ret_changed, error) &&
           unseal_place(paths, uuid, &value_pending, &next_changed, error);
}

typedef struct {
    const SealKeys *keys;
    const SealKey *key;
    guint count;
} Rekeying;

static gboolean rekey_file(const SealedName *name, const ValueFile *file, gpointer data,
                           GError **error)
{
    Rekeying *rekeying = data;
    g_auto(CstSecretBytes) value = {0};
    SealHead head;
    gint64 changed;

    if (!seal_read_head(file->bytes.data, file->bytes.len, name->path, &head, error))
        return FALSE;
    if (strcmp(head.key_id, rekeying->key->id) == 0)
        return TRUE;
    if (!value_open(file, &name->uuid, rekeying->keys, &value, &changed, error))
        return FALSE;
    CST_CRASH_POINT("secret.rekey.before_value");
    if (!value_write_seal(name->path, &name->uuid, &value, changed, rekeying->key, error))
        return FALSE;
    rekeying->count++;
    return TRUE;
}

gboolean cst_secret_values_rekey(const CstPaths *paths, guint *ret_count, GError **error)
{
    g_autoptr(SealKeys) keys = NULL;
    Rekeying rekeying = {0};

    if (!find_key(paths, &keys, &rekeying.key, error) ||
        !for_each_sealed(paths, check_opens, keys, error))
        return FALSE;
    /* The administrator replaces credentials; the last one seals. */
    if (!rekeying.key || rekeying.key->number) {
        g_clear_pointer(&keys, seal_keys_free);
        if (!seal_keys_make(paths, error) || !find_key(paths, &keys, &rekeying.key, error))
            return FALSE;
        CST_CRASH_POINT("secret.rekey.key_made");
    }
    rekeying.keys = keys;
    if (!for_each_sealed(paths, rekey_file, &rekeying, error))
        return FALSE;
    *ret_count = rekeying.count;
    CST_CRASH_POINT("secret.rekey.sealed");
    return cst_secret_keys_drop_unused(paths, FALSE, error);
}

/* --- the next value --------------------------------------------------------------------------- */

gboolean cst_secret_next_save(const CstPaths *paths, const CstUuid *uuid,
                              const CstSecretBytes *value, CstSealPolicy policy, GError **error)
{
    return cst_secret_next_remove(paths, uuid, error) &&
           save_value(paths, uuid, &value_pending, value, policy, error);
}

gboolean cst_secret_next_load(const CstPaths *paths, const CstUuid *uuid, CstSecretBytes *ret_value,
                              GError **error)
{
    return load_value(paths, uuid, &value_pending, ret_value, error);
}

gint64 cst_secret_next_saved(const CstPaths *paths, const CstUuid *uuid)
{
    g_autofree char *plain = secret_file_path(paths, uuid, value_pending.plain);
    g_autofree char *sealed = secret_file_path(paths, uuid, value_pending.sealed);
    struct stat st;

    return stat(plain, &st) == 0 || stat(sealed, &st) == 0 ? (gint64)st.st_mtime : 0;
}

gboolean cst_secret_next_exists(const CstPaths *paths, const CstUuid *uuid)
{
    return cst_secret_next_saved(paths, uuid) != 0;
}

/*
 * A plain value has precedence over a sealed one, so the rename must decide which value counts. If
 * the old value is plain and the new one sealed, the old one is therefore sealed first.
 */
gboolean cst_secret_next_promote(const CstPaths *paths, const CstUuid *uuid, GError **error)
{
    g_auto(ValueFile) now = {0}, next = {0};
    g_autofree char *path = NULL;
    gboolean changed;

    if (!value_read(paths, uuid, &value_present, &now, error) ||
        !value_read(paths, uuid, &value_pending, &next, error))
        return FALSE;
    if (!next.path)
        return cst_fail(error, CST_ERROR_STATE, _("there is no new value any more"));
    if (next.sealed && now.path && !now.sealed &&
        !cst_secret_value_seal(paths, uuid, &changed, error))
        return FALSE;
    path = secret_file_path(paths, uuid, next.sealed ? value_present.sealed : value_present.plain);
    CST_CRASH_POINT("secret.next.before_switch");
    if (rename(next.path, path) < 0)
        return cst_fail_errno(error, errno, _("cannot rename '%s'"), next.path);
    if (!cst_parent_sync(path, error))
        return FALSE;
    CST_CRASH_POINT("secret.next.switched");
    return next.sealed || value_remove_form(paths, uuid, value_present.sealed, error);
}

GArray *cst_secret_next_list(const CstPaths *paths)
{
    GArray *uuids = g_array_new(FALSE, FALSE, sizeof(CstUuid));
    g_autoptr(GDir) dir = g_dir_open(paths->secret_dir, 0, NULL);
    const char *entry;

    while (dir && (entry = g_dir_read_name(dir))) {
        const char *suffix = secret_value_suffix(entry);
        g_autofree char *stem = suffix ? g_strndup(entry, (gsize)(suffix - entry)) : NULL;
        CstUuid uuid;

        if (suffix &&
            (strcmp(suffix, value_pending.plain) == 0 ||
             strcmp(suffix, value_pending.sealed) == 0) &&
            cst_uuid_parse(stem, &uuid))
            g_array_append_val(uuids, uuid);
    }
    return uuids;
}
