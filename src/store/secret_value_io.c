/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The files of one value: names, reading and writing of either form (secret_value_io.h). */
#include "secret_value_io.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <base/crash.h>
#include <base/error.h>
#include <base/file.h>
#include <base/i18n.h>

#include "secret_names.h"

/* Base64 encodes three bytes as four characters. */
#define BASE64_LIMIT (4u * (CST_SECRET_VALUE_MAX + 2u) / 3u + 4u)
#define LOOKS        3 /* attempts, because the form may change in between */

const ValuePlace value_present = {SECRET_PLAIN, SECRET_SEALED};
const ValuePlace value_pending = {SECRET_NEXT_PLAIN, SECRET_NEXT};

void value_file_clear(ValueFile *file)
{
    g_clear_pointer(&file->path, g_free);
    cst_secret_bytes_clear(&file->bytes);
}

/* --- names ------------------------------------------------------------------------------------ */

char *secret_file_path(const CstPaths *paths, const CstUuid *uuid, const char *suffix)
{
    char text[CST_UUID_TEXT_LEN];

    return g_strconcat(paths->secret_dir, "/", cst_uuid_format(uuid, text), suffix, NULL);
}

const char *secret_value_suffix(const char *name)
{
    static const char *const suffixes[] = {SECRET_PLAIN, SECRET_SEALED, SECRET_NEXT,
                                           SECRET_NEXT_PLAIN};

    for (size_t i = 0; i < G_N_ELEMENTS(suffixes); i++)
        if (g_str_has_suffix(name, suffixes[i]))
            return name + strlen(name) - strlen(suffixes[i]);
    return NULL;
}

/* --- reading ---------------------------------------------------------------------------------- */

gboolean value_read_file(char *path, size_t limit, ValueFile *file, GError **error)
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

gboolean value_read(const CstPaths *paths, const CstUuid *uuid, const ValuePlace *place,
                    ValueFile *file, GError **error)
{
    for (int look = 0; look < LOOKS && !file->path; look++) {
        if (!value_read_file(secret_file_path(paths, uuid, place->plain), BASE64_LIMIT, file,
                             error))
            return FALSE;
        if (file->path)
            return TRUE;
        CST_TEST_POINT("secret.value.look");
        if (!value_read_file(secret_file_path(paths, uuid, place->sealed), SEAL_MAX, file, error))
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

gboolean value_open(const ValueFile *file, const CstUuid *uuid, const SealKeys *keys,
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

/* --- writing ---------------------------------------------------------------------------------- */

gboolean value_remove_form(const CstPaths *paths, const CstUuid *uuid, const char *suffix,
                           GError **error)
{
    g_autofree char *path = secret_file_path(paths, uuid, suffix);

    if (access(path, F_OK) < 0)
        return TRUE;
    return cst_file_remove(path, error);
}

gboolean value_write_plain(const CstPaths *paths, const CstUuid *uuid, const ValuePlace *place,
                           const CstSecretBytes *value, gint64 changed, GError **error)
{
    g_autofree char *path = secret_file_path(paths, uuid, place->plain);
    g_auto(CstSecretBytes) text = {0};

    CST_CRASH_POINT("secret.value.before_save");
    if (!cst_dir_ensure(paths->secret_dir, 0700, error) ||
        !cst_secret_bytes_to_base64(&text, value, error) ||
        !cst_file_replace_dated(path, text.data, text.len, 0600, changed, error))
        return FALSE;
    CST_CRASH_POINT("secret.value.plain_saved");
    return value_remove_form(paths, uuid, place->sealed, error);
}

gboolean value_write_seal(const char *path, const CstUuid *uuid, const CstSecretBytes *value,
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

gboolean value_write_sealed(const CstPaths *paths, const CstUuid *uuid, const ValuePlace *place,
                            const CstSecretBytes *value, gint64 changed, const SealKey *key,
                            GError **error)
{
    g_autofree char *path = secret_file_path(paths, uuid, place->sealed);

    CST_CRASH_POINT("secret.value.before_seal");
    if (!cst_dir_ensure(paths->secret_dir, 0700, error) ||
        !value_write_seal(path, uuid, value, changed, key, error))
        return FALSE;
    CST_CRASH_POINT("secret.value.sealed_saved");
    return value_remove_form(paths, uuid, place->plain, error);
}
