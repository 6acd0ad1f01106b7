/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Definitions, autostart links, states and identities of pools, and marks of pools that were never
 * read.
 *
 * Every file is replaced whole (cst_file_replace: temporary file, fsync, rename, fsync of the
 * directory). So a crash leaves the old content or the new one, and perhaps a temporary file, which
 * the next load removes. A pool exists for as long as its definition exists. Undefining removes the
 * definition first. If a crash leaves an autostart link without a definition, the next load removes
 * it.
 *
 * No function acquires a lock, because the caller holds the driver lock.
 */
#include <store/pool_files.h>

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
#include <model/file_header.h>

#include "xml_files.h"

#define FILE_LIMIT (1u << 20) /* bytes; a longer file is not read */
#define SUFFIX     ".xml"
#define UNREAD     ".unread"

void cst_pool_file_free(CstPoolFile *file)
{
    cst_pool_def_free(file->def);
    g_free(file);
}

static char *definition_path(const CstPaths *paths, const char *name)
{
    return g_strconcat(paths->pool_dir, "/", name, SUFFIX, NULL);
}

static char *autostart_path(const CstPaths *paths, const char *name)
{
    return g_strconcat(paths->autostart_dir, "/", name, SUFFIX, NULL);
}

static char *state_path(const CstPaths *paths, const char *name)
{
    return g_strconcat(paths->pool_run_dir, "/", name, SUFFIX, NULL);
}

/* libvirt has no such file. It is next to the state, because it is meaningless without one. */
static char *unread_path(const CstPaths *paths, const char *name)
{
    return g_strconcat(paths->pool_run_dir, "/", name, UNREAD, NULL);
}

/* libvirt has no such file. It is in the data directory, because it must survive a reboot. */
static char *identities_dir(const CstPaths *paths)
{
    return g_build_filename(paths->data_dir, "pools", NULL);
}

static char *identity_path(const CstPaths *paths, const CstUuid *uuid)
{
    g_autofree char *dir = identities_dir(paths);
    char text[CST_UUID_TEXT_LEN];

    return g_strconcat(dir, "/", cst_uuid_format(uuid, text), ".identity", NULL);
}

/* As in libvirt, autostart is on if the link's target is the definition's path. */
static gboolean autostart_linked(const CstPaths *paths, const char *name)
{
    g_autofree char *link = autostart_path(paths, name);
    g_autofree char *target = g_file_read_link(link, NULL);
    g_autofree char *definition = definition_path(paths, name);
    g_autofree char *resolved = NULL;

    if (!target)
        return FALSE;
    resolved = g_canonicalize_filename(target, paths->autostart_dir);
    return strcmp(resolved, definition) == 0;
}

typedef CstPoolDef *(*ParseFunc)(const char *xml, GError **error);

static CstPoolDef *parse_definition(const char *xml, GError **error)
{
    return cst_pool_def_parse(xml, 0, error);
}

typedef struct {
    GPtrArray *files;
    ParseFunc parse;
} Loading;

/* Loads the file at @path into the list of @data. @stem is its name without the suffix. */
static gboolean pool_file_load(const char *path, const char *stem, gpointer data, GError **error)
{
    Loading *loading = data;
    g_autofree char *xml = NULL;
    g_autoptr(CstPoolDef) def = NULL;
    CstPoolFile *file;

    if (!cst_file_read(path, FILE_LIMIT, &xml, NULL, error))
        return FALSE;
    def = loading->parse(xml, error);
    if (!def)
        return FALSE;
    /*
     * As in libvirt, because a definition under another name could not be saved or removed again.
     */
    if (strcmp(def->name, stem) != 0)
        return cst_fail(error, CST_ERROR_CONFIG, _("the file name does not match pool name '%s'"),
                        def->name);
    file = g_new0(CstPoolFile, 1);
    file->def = g_steal_pointer(&def);
    g_ptr_array_add(loading->files, file);
    return TRUE;
}

CstPoolDef *cst_pool_file_read(const char *path, GError **error)
{
    g_autoptr(GPtrArray) files = g_ptr_array_new_with_free_func((GDestroyNotify)cst_pool_file_free);
    Loading loading = {files, parse_definition};
    g_autofree char *stem = g_path_get_basename(path);

    if (g_str_has_suffix(stem, SUFFIX))
        stem[strlen(stem) - strlen(SUFFIX)] = '\0';
    if (!pool_file_load(path, stem, &loading, error))
        return NULL;
    return g_steal_pointer(&((CstPoolFile *)g_ptr_array_index(files, 0))->def);
}

static GPtrArray *load_directory(const char *dir, ParseFunc parse, GError **error)
{
    g_autoptr(GPtrArray) files = g_ptr_array_new_with_free_func((GDestroyNotify)cst_pool_file_free);
    Loading loading = {files, parse};

    return store_xml_load(dir, "pool", pool_file_load, &loading, error) ? g_steal_pointer(&files)
                                                                        : NULL;
}

/* Whether the path has no entry. A dangling symbolic link is an entry. */
static gboolean path_is_gone(const char *definition)
{
    struct stat st;

    return lstat(definition, &st) < 0 && errno == ENOENT;
}

/* Removes the links without a definition, which an interrupted undefine left. */
static void drop_stale_links(const CstPaths *paths)
{
    GDir *dir = g_dir_open(paths->autostart_dir, 0, NULL);
    const char *entry;

    if (!dir)
        return;
    while ((entry = g_dir_read_name(dir))) {
        g_autofree char *link = g_build_filename(paths->autostart_dir, entry, NULL);
        g_autofree char *definition = g_build_filename(paths->pool_dir, entry, NULL);
        g_autofree char *target = g_file_read_link(link, NULL);

        if (target && strcmp(target, definition) == 0 && path_is_gone(definition))
            cst_file_remove(link, NULL);
    }
    g_dir_close(dir);
}

GPtrArray *cst_pool_files_load(const CstPaths *paths, GError **error)
{
    GPtrArray *files = load_directory(paths->pool_dir, parse_definition, error);
    g_autofree char *identities = identities_dir(paths);

    if (!files)
        return NULL;
    for (guint i = 0; i < files->len; i++) {
        CstPoolFile *file = g_ptr_array_index(files, i);

        file->autostart = autostart_linked(paths, file->def->name);
    }
    drop_stale_links(paths);
    cst_file_drop_temporaries(paths->pool_dir);
    cst_file_drop_temporaries(identities);
    return files;
}

/* Removes the marks without a state, which an interrupted start left. */
static void drop_stale_marks(const CstPaths *paths)
{
    GDir *dir = g_dir_open(paths->pool_run_dir, 0, NULL);
    const char *entry;

    if (!dir)
        return;
    while ((entry = g_dir_read_name(dir))) {
        g_autofree char *mark = g_build_filename(paths->pool_run_dir, entry, NULL);
        g_autofree char *name = g_strdup(entry);
        g_autofree char *state = NULL;

        if (!g_str_has_suffix(entry, UNREAD))
            continue;
        name[strlen(name) - strlen(UNREAD)] = '\0';
        state = state_path(paths, name);
        if (path_is_gone(state))
            cst_file_remove(mark, NULL);
    }
    g_dir_close(dir);
}

GPtrArray *cst_pool_states_load(const CstPaths *paths, GError **error)
{
    /* The caller holds the driver lock, so no other process is writing there. */
    cst_file_drop_temporaries(paths->pool_run_dir);
    drop_stale_marks(paths);
    return load_directory(paths->pool_run_dir, cst_pool_state_parse, error);
}

gboolean cst_pool_file_save(const CstPaths *paths, const CstPoolDef *def, GError **error)
{
    g_autofree char *path = definition_path(paths, def->name);
    g_autofree char *header = cst_model_file_header("pool-edit", def->name, &def->uuid);
    g_autofree char *body = cst_pool_def_format(def, error);
    g_autofree char *text = NULL;

    if (!body || !cst_dir_ensure(paths->pool_dir, 0700, error))
        return FALSE;
    text = g_strconcat(header, body, NULL);
    CST_CRASH_POINT("pool.define.before_save");
    if (!cst_file_replace(path, text, strlen(text), 0600, error))
        return FALSE;
    CST_CRASH_POINT("pool.define.saved");
    return TRUE;
}

gboolean cst_pool_file_remove(const CstPaths *paths, const char *name, GError **error)
{
    g_autofree char *definition = definition_path(paths, name);
    g_autofree char *link = autostart_path(paths, name);
    g_autoptr(GError) why = NULL;

    CST_CRASH_POINT("pool.undefine.before_remove");
    if (!cst_file_remove(definition, error))
        return FALSE;
    CST_CRASH_POINT("pool.undefine.removed");
    /* The pool is undefined. The next load removes a remaining link. */
    if (!cst_file_remove(link, &why))
        cst_log(CST_LOG_WARNING, "%s", why->message);
    CST_CRASH_POINT("pool.undefine.link_removed");
    return TRUE;
}

gboolean cst_pool_file_set_autostart(const CstPaths *paths, const char *name, gboolean autostart,
                                     GError **error)
{
    g_autofree char *definition = definition_path(paths, name);
    g_autofree char *link = autostart_path(paths, name);

    /* symlink() bypasses base/file.h, so check for a dry run here. */
    if (!cst_may_change(error))
        return FALSE;
    CST_CRASH_POINT("pool.autostart.before");
    if (!autostart) {
        if (!cst_file_remove(link, error))
            return FALSE;
    } else {
        if (!cst_dir_ensure(paths->autostart_dir, 0700, error))
            return FALSE;
        if (symlink(definition, link) < 0 && !(errno == EEXIST && autostart_linked(paths, name)))
            return cst_fail_errno(error, errno, _("Failed to create symlink '%s' to '%s'"), link,
                                  definition);
        if (!cst_parent_sync(link, error))
            return FALSE;
    }
    CST_CRASH_POINT("pool.autostart.after");
    return TRUE;
}

gboolean cst_pool_state_save(const CstPaths *paths, const CstPoolDef *def, GError **error)
{
    g_autofree char *path = state_path(paths, def->name);
    g_autofree char *header = cst_model_file_header("pool-edit", def->name, &def->uuid);
    g_autofree char *body = cst_pool_state_format(def, error);
    g_autofree char *text = NULL;

    if (!body || !cst_dir_ensure(paths->pool_run_dir, 0755, error))
        return FALSE;
    text = g_strconcat(header, body, NULL);
    return cst_file_replace(path, text, strlen(text), 0600, error);
}

gboolean cst_pool_state_remove(const CstPaths *paths, const char *name, GError **error)
{
    g_autofree char *path = state_path(paths, name);

    return cst_file_remove(path, error);
}

gboolean cst_pool_unread_save(const CstPaths *paths, const char *name, GError **error)
{
    g_autofree char *path = unread_path(paths, name);

    return cst_dir_ensure(paths->pool_run_dir, 0755, error) &&
           cst_file_replace(path, "", 0, 0600, error);
}

/* Any entry counts, also one that cannot be read. */
gboolean cst_pool_is_unread(const CstPaths *paths, const char *name)
{
    g_autofree char *path = unread_path(paths, name);

    return !path_is_gone(path);
}

gboolean cst_pool_unread_remove(const CstPaths *paths, const char *name, GError **error)
{
    g_autofree char *path = unread_path(paths, name);

    return path_is_gone(path) || cst_file_remove(path, error);
}

gboolean cst_pool_identity_save(const CstPaths *paths, const CstUuid *uuid, const char *identity,
                                GError **error)
{
    g_autofree char *path = identity_path(paths, uuid);
    g_autofree char *dir = identities_dir(paths);

    if (!cst_dir_ensure(dir, 0700, error))
        return FALSE;
    return cst_file_replace(path, identity, strlen(identity), 0600, error);
}

gboolean cst_pool_identity_load(const CstPaths *paths, const CstUuid *uuid, char **ret_identity,
                                GError **error)
{
    g_autofree char *path = identity_path(paths, uuid);
    g_autoptr(GError) why = NULL;

    *ret_identity = NULL;
    if (cst_file_read(path, 4096, ret_identity, NULL, &why) ||
        g_error_matches(why, CST_ERROR, CST_ERROR_NOT_FOUND))
        return TRUE;
    g_propagate_error(error, g_steal_pointer(&why));
    return FALSE;
}

gboolean cst_pool_identity_remove(const CstPaths *paths, const CstUuid *uuid, GError **error)
{
    g_autofree char *path = identity_path(paths, uuid);

    if (access(path, F_OK) < 0)
        return TRUE;
    return cst_file_remove(path, error);
}
