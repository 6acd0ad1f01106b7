/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The storage of keys (see the header). A key file is rejected if another user owns it or could
 * have read or written it, because that user would know the key. Key files are replaced whole. A
 * number is used only once, because the highest file remains until a higher one exists.
 */
#include "seal_keys.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <gnutls_library.h>

#include <base/crash.h>
#include <base/error.h>
#include <base/file.h>
#include <base/i18n.h>

#define CREDENTIAL "cistern-secret-key"
#define SUFFIX     ".key"

static void key_free(gpointer data)
{
    SealKey *key = data;

    cst_secret_bytes_clear(&key->key);
    g_free(key->path);
    g_free(key);
}

char *seal_keys_dir(const CstPaths *paths)
{
    return g_build_filename(paths->data_dir, "secret-keys", NULL);
}

/* --- reading ---------------------------------------------------------------------------------- */

/* @others: the mode bits that a key's file must not have. */
static gboolean seal_key_read(const char *path, mode_t others, CstSecretBytes *ret_key,
                              GError **error)
{
    g_auto(CstFd) fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    struct stat st;

    if (fd < 0 || fstat(fd, &st) < 0)
        return cst_fail_errno(error, errno, _("cannot open '%s'"), path);
    if (!S_ISREG(st.st_mode) || st.st_size != SEAL_KEY_BYTES)
        return cst_fail(error, CST_ERROR_INVALID_SECRET,
                        _("'%s' is not used: a key is a file of %d bytes"), path, SEAL_KEY_BYTES);
    if (!cst_owner_is_us(st.st_uid) || (st.st_mode & others))
        return cst_fail(error, CST_ERROR_INVALID_SECRET,
                        _("'%s' is not used: it is user %u's, mode %04o, so other users may know "
                          "or change it; only its owner may have access to a key"),
                        path, (unsigned)st.st_uid, st.st_mode & 07777);
    /* The caller needs the library for the key's id. */
    return cst_library_load(&cst_gnutls_library, error) &&
           cst_secret_bytes_alloc(ret_key, SEAL_KEY_BYTES, error) &&
           cst_pread_full(fd, ret_key->data, SEAL_KEY_BYTES, 0, path, error);
}

static void add_key(SealKeys *keys, const char *path, guint64 number)
{
    /*
     * systemd grants a service's user access by an ACL. The ACL's mask is in the mode's group bits.
     */
    mode_t others = number ? S_IRWXG | S_IRWXO : S_IWGRP | S_IRWXO;
    SealKey *key = g_new0(SealKey, 1);
    g_autoptr(GError) error = NULL;

    key->path = g_strdup(path);
    key->number = number;
    if (seal_key_read(path, others, &key->key, &error)) {
        seal_key_id(&key->key, key->id);
        g_ptr_array_add(keys->keys, key);
        return;
    }
    g_ptr_array_add(keys->refused, g_strdup(error->message));
    key_free(key);
}

/* Returns the number of a key file; 0: not a key file. */
static guint64 seal_key_number(const char *name)
{
    g_autofree char *digits = NULL;
    guint64 number;

    if (!g_str_has_suffix(name, SUFFIX))
        return 0;
    digits = g_strndup(name, strlen(name) - strlen(SUFFIX));
    return g_ascii_string_to_unsigned(digits, 10, 1, G_MAXINT64, &number, NULL) ? number : 0;
}

static void seal_keys_load_files(SealKeys *keys, const char *dir)
{
    GDir *listing = g_dir_open(dir, 0, NULL);
    const char *name;
    struct stat st;

    if (listing && (stat(dir, &st) < 0 || !cst_only_we_write(&st))) {
        g_ptr_array_add(keys->refused,
                        g_strdup_printf(_("'%s' is not used: other users may change it"), dir));
        g_dir_close(listing);
        return;
    }
    while (listing && (name = g_dir_read_name(listing))) {
        g_autofree char *path = g_build_filename(dir, name, NULL);
        guint64 number = seal_key_number(name);

        if (number)
            add_key(keys, path, number);
    }
    if (listing)
        g_dir_close(listing);
}

static void load_credentials(SealKeys *keys, const char *dir)
{
    GDir *listing = dir ? g_dir_open(dir, 0, NULL) : NULL;
    const char *name;

    while (listing && (name = g_dir_read_name(listing))) {
        g_autofree char *path = g_build_filename(dir, name, NULL);

        if (g_str_has_prefix(name, CREDENTIAL))
            add_key(keys, path, 0);
    }
    if (listing)
        g_dir_close(listing);
}

/* Sorts key files by number, then credentials by name, so that the last key seals. */
static int compare_keys(gconstpointer a, gconstpointer b)
{
    const SealKey *one = *(const SealKey *const *)a, *two = *(const SealKey *const *)b;

    if ((one->number == 0) != (two->number == 0))
        return one->number == 0 ? 1 : -1;
    if (one->number != two->number)
        return one->number < two->number ? -1 : 1;
    return strcmp(one->path, two->path);
}

SealKeys *seal_keys_load(const CstPaths *paths)
{
    const char *credentials = g_getenv("CREDENTIALS_DIRECTORY");
    g_autofree char *dir = seal_keys_dir(paths);
    SealKeys *keys = g_new0(SealKeys, 1);

    keys->keys = g_ptr_array_new_with_free_func(key_free);
    keys->refused = g_ptr_array_new_with_free_func(g_free);
    keys->places =
        credentials ? g_strdup_printf(_("the credentials '%s*' in '%s' and the files in '%s'"),
                                      CREDENTIAL, credentials, dir)
                    : g_strdup_printf(_("the files in '%s' (this process has no credentials of a "
                                        "service; if cisternd has the key as one, ask cisternd)"),
                                      dir);
    seal_keys_load_files(keys, dir);
    load_credentials(keys, credentials);
    g_ptr_array_sort(keys->keys, compare_keys);
    return keys;
}

void seal_keys_free(SealKeys *keys)
{
    if (!keys)
        return;
    g_ptr_array_unref(keys->keys);
    g_ptr_array_unref(keys->refused);
    g_free(keys->places);
    g_free(keys);
}

/* Returns "; 'PATH' is not used: …" for each refused file; "" if all are accepted. */
static char *seal_keys_refusals(const SealKeys *keys)
{
    GString *text = g_string_new(NULL);

    for (guint i = 0; i < keys->refused->len; i++)
        g_string_append_printf(text, "; %s", (const char *)g_ptr_array_index(keys->refused, i));
    return g_string_free(text, FALSE);
}

const SealKey *seal_keys_find(const SealKeys *keys, const char *id, const char *path,
                              GError **error)
{
    g_autofree char *reasons = NULL;

    for (guint i = 0; i < keys->keys->len; i++) {
        const SealKey *key = g_ptr_array_index(keys->keys, i);

        if (strcmp(key->id, id) == 0)
            return key;
    }
    reasons = seal_keys_refusals(keys);
    cst_fail(error, CST_ERROR_INVALID_SECRET,
             _("'%s' is sealed with key %s, which is not among %s%s"), path, id, keys->places,
             reasons);
    return NULL;
}

/* Fails if any key is refused, because that key could be the one that has to seal. */
const SealKey *seal_keys_current(const SealKeys *keys, GError **error)
{
    g_autofree char *reasons = seal_keys_refusals(keys);

    if (keys->refused->len > 0) {
        cst_fail(error, CST_ERROR_INVALID_SECRET, _("no secret can be sealed%s"), reasons);
        return NULL;
    }
    return keys->keys->len > 0 ? g_ptr_array_index(keys->keys, keys->keys->len - 1) : NULL;
}

/* --- making and dropping ---------------------------------------------------------------------- */

static guint64 seal_keys_highest(const SealKeys *keys)
{
    guint64 number = 0;

    for (guint i = 0; i < keys->keys->len; i++)
        number = MAX(number, ((const SealKey *)g_ptr_array_index(keys->keys, i))->number);
    return number;
}

gboolean seal_keys_make(const CstPaths *paths, GError **error)
{
    g_autoptr(SealKeys) keys = seal_keys_load(paths);
    g_autofree char *dir = seal_keys_dir(paths);
    g_autofree char *path =
        g_strdup_printf("%s/%" G_GUINT64_FORMAT SUFFIX, dir, seal_keys_highest(keys) + 1);
    g_auto(CstSecretBytes) key = {0};
    int result;

    /*
     * Sync the directory's name too, because a killed process may have created but not synced it.
     */
    if (!cst_library_load(&cst_gnutls_library, error) ||
        !cst_secret_bytes_alloc(&key, SEAL_KEY_BYTES, error) || !cst_dir_ensure(dir, 0700, error) ||
        !cst_parent_sync(dir, error))
        return FALSE;
    result = gnutls_rnd(GNUTLS_RND_KEY, key.data, key.len);
    if (result < 0)
        return cst_fail(error, CST_ERROR_FAILED, _("GnuTLS cannot %s: %s"), _("make a key"),
                        gnutls_strerror(result));
    CST_CRASH_POINT("secret.key.before_save");
    if (cst_file_replace(path, key.data, key.len, 0600, error))
        return TRUE;
    /* No value is sealed with the key yet. A key that may not be durable must not seal. */
    CST_TEST_POINT("secret.key.undo");
    unlink(path);
    return FALSE;
}

gboolean seal_keys_drop(const CstPaths *paths, GHashTable *needed, gboolean keep_current,
                        GError **error)
{
    g_autoptr(SealKeys) keys = seal_keys_load(paths);
    guint64 current = keep_current ? seal_keys_highest(keys) : 0;

    for (guint i = 0; i < keys->keys->len; i++) {
        const SealKey *key = g_ptr_array_index(keys->keys, i);

        if (key->number && key->number != current && !g_hash_table_contains(needed, key->id)) {
            CST_CRASH_POINT("secret.key.before_drop");
            if (!cst_file_remove(key->path, error))
                return FALSE;
        }
    }
    return TRUE;
}
