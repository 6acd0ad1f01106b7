/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Definitions and values of secrets.
 *
 * Every file is replaced whole, as in pool_files.c. A secret exists for as long as its definition
 * does: undefining removes the definition first and the value second, so a crash in between leaves
 * a value without a definition, which cst_secret_files_drop_leftovers() removes. Buffers that hold
 * a value are overwritten before they are freed.
 *
 * No locks: the caller holds the secrets' driver lock.
 */
#include <store/secret_files.h>

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include <base/crash.h>
#include <base/error.h>
#include <base/file.h>
#include <base/i18n.h>
#include <model/flags.h>

#include "xml_files.h"

#define VALUE_SUFFIX ".base64"
#define FILE_LIMIT   (1u << 20) /* bytes of a definition */
/* Base64 makes four characters of three bytes. */
#define BASE64_LIMIT (4u * (CST_SECRET_VALUE_MAX + 2u) / 3u + 4u)

void cst_secret_file_free(CstSecretFile *file)
{
    cst_secret_def_free(file->def);
    if (file->value)
        explicit_bzero(file->value, file->value_len);
    g_free(file->value);
    g_free(file);
}

static char *secret_path(const CstPaths *paths, const CstUuid *uuid, const char *suffix)
{
    char text[CST_UUID_TEXT_LEN];

    return g_strconcat(paths->secret_dir, "/", cst_uuid_format(uuid, text), suffix, NULL);
}

static gboolean load_value(const CstPaths *paths, CstSecretFile *file, GError **error)
{
    g_autofree char *path = secret_path(paths, &file->def->uuid, VALUE_SUFFIX);
    g_autofree char *text = NULL;
    size_t len;
    gsize value_len;

    if (access(path, F_OK) < 0)
        return TRUE;
    if (!cst_file_read(path, BASE64_LIMIT, &text, &len, error))
        return FALSE;
    file->value = g_base64_decode(text, &value_len);
    file->value_len = value_len;
    /* The text is the value in another form. */
    explicit_bzero(text, len);
    return TRUE;
}

typedef struct {
    const CstPaths *paths;
    GPtrArray *files;
} Loading;

static gboolean load_one(const char *path, const char *stem, gpointer data, GError **error)
{
    Loading *loading = data;
    g_autofree char *xml = NULL;
    CstSecretFile *file;
    char uuid[CST_UUID_TEXT_LEN];

    if (!cst_file_read(path, FILE_LIMIT, &xml, NULL, error))
        return FALSE;
    file = g_new0(CstSecretFile, 1);
    file->def = cst_secret_def_parse(xml, 0, error);
    /* As libvirt does: the value's file is named by the UUID, too. */
    if (file->def && strcmp(cst_uuid_format(&file->def->uuid, uuid), stem) != 0) {
        cst_fail(error, CST_ERROR_CONFIG, _("<uuid> does not match secret file name '%s'"), stem);
    } else if (file->def && load_value(loading->paths, file, error)) {
        g_ptr_array_add(loading->files, file);
        return TRUE;
    }
    cst_secret_file_free(file);
    return FALSE;
}

/* Whether the file at @path is a value whose definition is gone. */
static gboolean is_lone_value(const char *path)
{
    g_autofree char *definition = NULL;

    if (!g_str_has_suffix(path, VALUE_SUFFIX))
        return FALSE;
    definition = g_strdup_printf("%.*s.xml", (int)(strlen(path) - strlen(VALUE_SUFFIX)), path);
    return access(definition, F_OK) < 0 && errno == ENOENT;
}

/* Paths of temporary files and lone values: of an interrupted change, or one in progress. */
static GPtrArray *leftovers(const CstPaths *paths)
{
    GPtrArray *found = g_ptr_array_new_with_free_func(g_free);
    g_autoptr(GDir) dir = g_dir_open(paths->secret_dir, 0, NULL);
    const char *entry;

    while (dir && (entry = g_dir_read_name(dir))) {
        g_autofree char *path = g_build_filename(paths->secret_dir, entry, NULL);

        if (cst_file_is_temporary(entry) || is_lone_value(path))
            g_ptr_array_add(found, g_steal_pointer(&path));
    }
    return found;
}

gboolean cst_secret_files_have_leftovers(const CstPaths *paths)
{
    g_autoptr(GPtrArray) found = leftovers(paths);

    return found->len > 0;
}

void cst_secret_files_drop_leftovers(const CstPaths *paths)
{
    g_autoptr(GPtrArray) found = leftovers(paths);

    for (guint i = 0; i < found->len; i++)
        cst_file_remove(g_ptr_array_index(found, i), NULL);
}

GPtrArray *cst_secret_files_load(const CstPaths *paths)
{
    Loading loading = {paths, g_ptr_array_new_with_free_func((GDestroyNotify)cst_secret_file_free)};

    store_xml_load(paths->secret_dir, "secret", load_one, &loading);
    return loading.files;
}

gboolean cst_secret_file_save(const CstPaths *paths, const CstSecretDef *def, GError **error)
{
    g_autofree char *path = secret_path(paths, &def->uuid, ".xml");
    g_autofree char *text = cst_secret_def_format(def);

    CST_CRASH_POINT("secret.define.before_save");
    return cst_dir_ensure(paths->secret_dir, 0700, error) &&
           cst_file_replace(path, text, strlen(text), 0600, error);
}

gboolean cst_secret_value_save(const CstPaths *paths, const CstUuid *uuid, const uint8_t *value,
                               size_t len, GError **error)
{
    g_autofree char *path = secret_path(paths, uuid, VALUE_SUFFIX);
    g_autofree char *text = g_base64_encode(value, len);
    gboolean done;

    CST_CRASH_POINT("secret.value.before_save");
    done = cst_dir_ensure(paths->secret_dir, 0700, error) &&
           cst_file_replace(path, text, strlen(text), 0600, error);
    explicit_bzero(text, strlen(text));
    return done;
}

gboolean cst_secret_value_remove(const CstPaths *paths, const CstUuid *uuid, GError **error)
{
    g_autofree char *path = secret_path(paths, uuid, VALUE_SUFFIX);

    if (access(path, F_OK) < 0)
        return TRUE;
    return cst_file_remove(path, error);
}

gboolean cst_secret_file_remove(const CstPaths *paths, const CstUuid *uuid, GError **error)
{
    g_autofree char *path = secret_path(paths, uuid, ".xml");

    CST_CRASH_POINT("secret.undefine.before_remove");
    if (access(path, F_OK) == 0 && !cst_file_remove(path, error))
        return FALSE;
    CST_CRASH_POINT("secret.undefine.definition_removed");
    return cst_secret_value_remove(paths, uuid, error);
}
