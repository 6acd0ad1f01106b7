/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Definitions of secrets.
 *
 * Every file is replaced whole, as in pool_files.c. A secret exists for as long as its definition
 * exists. Undefining removes the definition first and the value second, so a crash in between
 * leaves a value without a definition. cst_secret_files_drop_leftovers() removes it, and also a
 * sealed value that a plain one has superseded (secret_values.c).
 *
 * No function acquires a lock, because the caller holds the secrets' driver lock.
 */
#include <store/secret_files.h>

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include <base/crash.h>
#include <base/error.h>
#include <base/file.h>
#include <base/i18n.h>
#include <store/secret_values.h>

#include "seal_keys.h"
#include "secret_names.h"
#include "xml_files.h"

#define FILE_LIMIT (1u << 20) /* bytes of a definition */

void cst_secret_file_free(CstSecretFile *file)
{
    cst_secret_def_free(file->def);
    cst_secret_bytes_clear(&file->value);
    g_free(file);
}

typedef struct {
    const CstPaths *paths;
    GPtrArray *files;
} Loading;

static gboolean secret_file_load(const char *path, const char *stem, gpointer data, GError **error)
{
    Loading *loading = data;
    g_autofree char *xml = NULL;
    CstSecretFile *file;
    char uuid[CST_UUID_TEXT_LEN];

    if (!cst_file_read(path, FILE_LIMIT, &xml, NULL, error))
        return FALSE;
    file = g_new0(CstSecretFile, 1);
    file->def = cst_secret_def_parse(xml, 0, error);
    /* As in libvirt, because the UUID is also the name of the value's file. */
    if (file->def && strcmp(cst_uuid_format(&file->def->uuid, uuid), stem) != 0) {
        cst_fail(error, CST_ERROR_CONFIG, _("<uuid> does not match secret file name '%s'"), stem);
    } else if (file->def && secret_value_check(loading->paths, &file->def->uuid, error)) {
        g_ptr_array_add(loading->files, file);
        return TRUE;
    }
    cst_secret_file_free(file);
    return FALSE;
}

/*
 * Whether the value's file at @path is unused: it has no definition, or a plain value supersedes
 * it.
 */
static gboolean is_leftover(const char *path)
{
    const char *suffix = secret_value_suffix(path);
    g_autofree char *stem = suffix ? g_strndup(path, (gsize)(suffix - path)) : NULL;
    g_autofree char *definition = suffix ? g_strconcat(stem, ".xml", NULL) : NULL;
    g_autofree char *plain = suffix ? g_strconcat(stem, SECRET_PLAIN, NULL) : NULL;

    if (!suffix)
        return FALSE;
    if (access(definition, F_OK) < 0 && errno == ENOENT)
        return TRUE;
    return strcmp(suffix, SECRET_SEALED) == 0 && access(plain, F_OK) == 0;
}

static void add_leftovers(const char *path, gboolean values, GPtrArray *found)
{
    g_autoptr(GDir) dir = g_dir_open(path, 0, NULL);
    const char *entry;

    while (dir && (entry = g_dir_read_name(dir))) {
        g_autofree char *file = g_build_filename(path, entry, NULL);

        if (cst_file_is_temporary(entry) || (values && is_leftover(file)))
            g_ptr_array_add(found, g_steal_pointer(&file));
    }
}

/*
 * Returns the paths of temporary files and of unused values, of an interrupted change or one in
 * progress.
 */
static GPtrArray *secret_files_leftovers(const CstPaths *paths)
{
    GPtrArray *found = g_ptr_array_new_with_free_func(g_free);
    g_autofree char *keys = seal_keys_dir(paths);

    add_leftovers(paths->secret_dir, TRUE, found);
    add_leftovers(keys, FALSE, found);
    return found;
}

gboolean cst_secret_files_have_leftovers(const CstPaths *paths)
{
    g_autoptr(GPtrArray) found = secret_files_leftovers(paths);

    return found->len > 0;
}

void cst_secret_files_drop_leftovers(const CstPaths *paths)
{
    g_autoptr(GPtrArray) found = secret_files_leftovers(paths);

    for (guint i = 0; i < found->len; i++)
        cst_file_remove(g_ptr_array_index(found, i), NULL);
}

GPtrArray *cst_secret_files_load(const CstPaths *paths, GError **error)
{
    g_autoptr(GPtrArray) files =
        g_ptr_array_new_with_free_func((GDestroyNotify)cst_secret_file_free);
    Loading loading = {paths, files};

    return store_xml_load(paths->secret_dir, "secret", secret_file_load, &loading, error)
               ? g_steal_pointer(&files)
               : NULL;
}

gboolean cst_secret_file_save(const CstPaths *paths, const CstSecretDef *def, GError **error)
{
    g_autofree char *path = secret_file_path(paths, &def->uuid, ".xml");
    g_autofree char *text = cst_secret_def_format(def);

    CST_CRASH_POINT("secret.define.before_save");
    return cst_dir_ensure(paths->secret_dir, 0700, error) &&
           cst_file_replace(path, text, strlen(text), 0600, error);
}

gboolean cst_secret_file_remove(const CstPaths *paths, const CstUuid *uuid, GError **error)
{
    g_autofree char *path = secret_file_path(paths, uuid, ".xml");

    CST_CRASH_POINT("secret.undefine.before_remove");
    if (access(path, F_OK) == 0 && !cst_file_remove(path, error))
        return FALSE;
    CST_CRASH_POINT("secret.undefine.definition_removed");
    return cst_secret_value_remove(paths, uuid, error);
}
