/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Values of secrets in their two forms (see the header). Everything that is read or written goes
 * through CstSecretBytes; a sealed file's bytes are no secret. What is sealed is opened again
 * before the plain file is removed. Another process may change the form while this one reads: it
 * writes the new file first, so who finds neither looks once more.
 */
#include <store/secret_values.h>

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <base/crash.h>
#include <base/error.h>
#include <base/file.h>
#include <base/i18n.h>

#include "seal_keys.h"
#include "secret_names.h"

/* Base64 makes four characters of three bytes. */
#define BASE64_LIMIT (4u * (CST_SECRET_VALUE_MAX + 2u) / 3u + 4u)
#define LOOKS        3 /* for a file whose form changes meanwhile */

G_STATIC_ASSERT(sizeof(((CstSecretValueInfo *)NULL)->key_id) == SEAL_ID_TEXT);

/* A value's file as it was read. */
typedef struct {
    char *path;
    CstSecretBytes bytes;
    gboolean sealed;
    gint64 mtime;
} ValueFile;

static void value_file_clear(ValueFile *file)
{
    g_clear_pointer(&file->path, g_free);
    cst_secret_bytes_clear(&file->bytes);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(ValueFile, value_file_clear)

/* --- names ------------------------------------------------------------------------------------ */

char *secret_file_path(const CstPaths *paths, const CstUuid *uuid, const char *suffix)
{
    char text[CST_UUID_TEXT_LEN];

    return g_strconcat(paths->secret_dir, "/", cst_uuid_format(uuid, text), suffix, NULL);
}

const char *secret_value_suffix(const char *name)
{
    static const char *const suffixes[] = {SECRET_PLAIN, SECRET_SEALED, SECRET_NEXT};

    for (size_t i = 0; i < G_N_ELEMENTS(suffixes); i++)
        if (g_str_has_suffix(name, suffixes[i]))
            return name + strlen(name) - strlen(suffixes[i]);
    return NULL;
}

/* --- reading ---------------------------------------------------------------------------------- */

/* @file->path stays NULL where there is no such file. */
static gboolean read_file(char *path, size_t limit, ValueFile *file, GError **error)
{
    g_autofree char *name = path;
    g_auto(CstFd) fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    struct stat st;

    if (fd < 0 && errno == ENOENT)
        return TRUE;
    if (fd < 0 || fstat(fd, &st) < 0)
        return cst_fail_errno(error, errno, _("cannot open '%s'"), path);
    if (!S_ISREG(st.st_mode))
        return cst_fail(error, CST_ERROR_INVALID, _("'%s' is not a regular file"), path);
    if ((uint64_t)st.st_size > limit)
        return cst_fail(error, CST_ERROR_LIMIT, _("'%s' is larger than %zu bytes"), path, limit);
    if (!cst_secret_bytes_alloc(&file->bytes, (size_t)st.st_size, error) ||
        !cst_pread_full(fd, file->bytes.data, file->bytes.len, 0, path, error))
        return FALSE;
    file->mtime = st.st_mtime;
    file->path = g_steal_pointer(&name);
    return TRUE;
}

/* The file that counts; its path is NULL where there is none. */
static gboolean read_value(const CstPaths *paths, const CstUuid *uuid, ValueFile *file,
                           GError **error)
{
    for (int look = 0; look < LOOKS && !file->path; look++) {
        if (!read_file(secret_file_path(paths, uuid, SECRET_PLAIN), BASE64_LIMIT, file, error))
            return FALSE;
        if (file->path)
            return TRUE;
        if (!read_file(secret_file_path(paths, uuid, SECRET_SEALED), SEAL_MAX, file, error))
            return FALSE;
        file->sealed = file->path != NULL;
    }
    return TRUE;
}

gboolean secret_value_check(const CstPaths *paths, const CstUuid *uuid, GError **error)
{
    g_autofree char *path = secret_file_path(paths, uuid, SECRET_PLAIN);
    struct stat st;

    return stat(path, &st) < 0 || (uint64_t)st.st_size <= BASE64_LIMIT ||
           cst_fail(error, CST_ERROR_LIMIT, _("'%s' is larger than %zu bytes"), path,
                    (size_t)BASE64_LIMIT);
}

/* The value in @file, and when it was set. */
static gboolean open_file(const ValueFile *file, const CstUuid *uuid, const SealKeys *keys,
                          CstSecretBytes *ret_value, gint64 *ret_changed, GError **error)
{
    const SealKey *key;
    SealHead head;

    if (!file->sealed) {
        *ret_changed = file->mtime;
        return cst_secret_bytes_from_base64(ret_value, (const char *)file->bytes.data,
                                            file->bytes.len, error);
    }
    if (!seal_read_head(file->bytes.data, file->bytes.len, file->path, &head, error))
        return FALSE;
    key = seal_keys_find(keys, head.key_id, file->path, error);
    *ret_changed = head.changed;
    return key && seal_open(&key->key, uuid, file->bytes.data, file->bytes.len, file->path,
                            ret_value, error);
}

gboolean cst_secret_value_info(const CstPaths *paths, const CstUuid *uuid,
                               CstSecretValueInfo *ret_info, GError **error)
{
    g_auto(ValueFile) file = {0};
    CstSecretValueInfo info = {0};
    SealHead head;

    if (!read_value(paths, uuid, &file, error))
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

gboolean cst_secret_value_load(const CstPaths *paths, const CstUuid *uuid,
                               CstSecretBytes *ret_value, GError **error)
{
    g_auto(ValueFile) file = {0};
    g_autoptr(SealKeys) keys = NULL;
    gint64 changed;

    if (!read_value(paths, uuid, &file, error))
        return FALSE;
    if (!file.path)
        return TRUE;
    keys = file.sealed ? seal_keys_load(paths) : NULL;
    return open_file(&file, uuid, keys, ret_value, &changed, error);
}

/* --- writing ---------------------------------------------------------------------------------- */

static gboolean remove_form(const CstPaths *paths, const CstUuid *uuid, const char *suffix,
                            GError **error)
{
    g_autofree char *path = secret_file_path(paths, uuid, suffix);

    if (access(path, F_OK) < 0)
        return TRUE;
    return cst_file_remove(path, error);
}

static gboolean write_plain(const CstPaths *paths, const CstUuid *uuid, const CstSecretBytes *value,
                            gint64 changed, GError **error)
{
    g_autofree char *path = secret_file_path(paths, uuid, SECRET_PLAIN);
    g_auto(CstSecretBytes) text = {0};

    CST_CRASH_POINT("secret.value.before_save");
    if (!cst_dir_ensure(paths->secret_dir, 0700, error) ||
        !cst_secret_bytes_to_base64(&text, value, error) ||
        !cst_file_replace_dated(path, text.data, text.len, 0600, changed, error))
        return FALSE;
    CST_CRASH_POINT("secret.value.plain_saved");
    return remove_form(paths, uuid, SECRET_SEALED, error);
}

/* Writes the sealed form to @path, after it has been opened again. */
static gboolean write_seal(const char *path, const CstUuid *uuid, const CstSecretBytes *value,
                           gint64 changed, const SealKey *key, GError **error)
{
    g_auto(CstSecretBytes) opened = {0};
    g_autofree uint8_t *file = NULL;
    size_t len;

    if (!seal_close(&key->key, uuid, changed, value, &file, &len, error) ||
        !seal_open(&key->key, uuid, file, len, path, &opened, error))
        return FALSE;
    if (opened.len != value->len || memcmp(opened.data, value->data, value->len) != 0)
        return cst_fail(error, CST_ERROR_INTERNAL, "'%s' does not open as it was sealed", path);
    return cst_file_replace(path, file, len, 0600, error);
}

static gboolean write_sealed(const CstPaths *paths, const CstUuid *uuid,
                             const CstSecretBytes *value, gint64 changed, const SealKey *key,
                             GError **error)
{
    g_autofree char *path = secret_file_path(paths, uuid, SECRET_SEALED);

    CST_CRASH_POINT("secret.value.before_seal");
    if (!cst_dir_ensure(paths->secret_dir, 0700, error) ||
        !write_seal(path, uuid, value, changed, key, error))
        return FALSE;
    CST_CRASH_POINT("secret.value.sealed_saved");
    return remove_form(paths, uuid, SECRET_PLAIN, error);
}

gboolean cst_secret_value_remove(const CstPaths *paths, const CstUuid *uuid, GError **error)
{
    return remove_form(paths, uuid, SECRET_NEXT, error) &&
           remove_form(paths, uuid, SECRET_SEALED, error) &&
           remove_form(paths, uuid, SECRET_PLAIN, error);
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

/* Of SealedName *. A sealed file beside a plain one is a leftover, and is not among them. */
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

        if (!suffix || strcmp(suffix, SECRET_PLAIN) == 0 || !cst_uuid_parse(stem, &uuid) ||
            (!with_next && strcmp(suffix, SECRET_NEXT) == 0))
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

/* Calls @each with every sealed file, read; those that are gone meanwhile are left out. */
typedef gboolean (*SealedFunc)(const SealedName *name, const ValueFile *file, gpointer data,
                               GError **error);

static gboolean for_each_sealed(const CstPaths *paths, SealedFunc each, gpointer data,
                                GError **error)
{
    g_autoptr(GPtrArray) names = list_sealed(paths, TRUE);

    for (guint i = 0; i < names->len; i++) {
        const SealedName *name = g_ptr_array_index(names, i);
        g_auto(ValueFile) file = {.sealed = TRUE};

        if (!read_file(g_strdup(name->path), SEAL_MAX, &file, error) ||
            (file.path && !each(name, &file, data, error)))
            return FALSE;
    }
    return TRUE;
}

/* --- keys ------------------------------------------------------------------------------------- */

/* Whether the key of a sealed file is among @data, and opens it. */
static gboolean check_opens(const SealedName *name, const ValueFile *file, gpointer data,
                            GError **error)
{
    g_auto(CstSecretBytes) value = {0};
    gint64 changed;

    return open_file(file, &name->uuid, data, &value, &changed, error);
}

/*
 * Sets *ret_key to the key that seals, which belongs to *keys; NULL: there is none, nor is anything
 * sealed. A key is not made while there are values that need another one: it is missing.
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
    return *ret_key || for_each_sealed(paths, check_opens, *keys, error);
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

/* A value whose key is missing is not replaced either: it may be somebody's only copy. */
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

gboolean cst_secret_value_save(const CstPaths *paths, const CstUuid *uuid,
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
    return key ? write_sealed(paths, uuid, value, now, key, error)
               : write_plain(paths, uuid, value, now, error);
}

gboolean cst_secret_value_seal(const CstPaths *paths, const CstUuid *uuid, gboolean *ret_changed,
                               GError **error)
{
    g_autoptr(SealKeys) keys = NULL;
    g_auto(ValueFile) file = {0};
    g_auto(CstSecretBytes) value = {0};
    const SealKey *key;
    CstSecretValueInfo info;
    gint64 changed;

    *ret_changed = FALSE;
    if (!find_or_make_key(paths, &keys, &key, error) ||
        !cst_secret_value_info(paths, uuid, &info, error))
        return FALSE;
    if (!info.present || strcmp(info.key_id, key->id) == 0)
        return TRUE;
    if (!read_value(paths, uuid, &file, error) ||
        !open_file(&file, uuid, keys, &value, &changed, error))
        return FALSE;
    /* An empty file of libvirt's is no value that could be sealed. */
    if (value.len == 0)
        return TRUE;
    if (!write_sealed(paths, uuid, &value, changed, key, error))
        return FALSE;
    *ret_changed = TRUE;
    return TRUE;
}

gboolean cst_secret_value_unseal(const CstPaths *paths, const CstUuid *uuid, gboolean *ret_changed,
                                 GError **error)
{
    g_autoptr(SealKeys) keys = NULL;
    g_auto(ValueFile) file = {0};
    g_auto(CstSecretBytes) value = {0};
    gint64 changed;

    *ret_changed = FALSE;
    if (!read_value(paths, uuid, &file, error))
        return FALSE;
    if (!file.sealed)
        return TRUE;
    keys = seal_keys_load(paths);
    if (!open_file(&file, uuid, keys, &value, &changed, error) ||
        !write_plain(paths, uuid, &value, changed, error))
        return FALSE;
    *ret_changed = TRUE;
    return TRUE;
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
    if (!open_file(file, &name->uuid, rekeying->keys, &value, &changed, error))
        return FALSE;
    CST_CRASH_POINT("secret.rekey.before_value");
    if (!write_seal(name->path, &name->uuid, &value, changed, rekeying->key, error))
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
    /* A credential is the administrator's to replace: the last one seals. */
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
