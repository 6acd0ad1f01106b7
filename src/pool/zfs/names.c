/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Names of datasets, of volumes, and of their device nodes. The name of a volume is the name of its
 * dataset relative to the pool's dataset, so that volumes in different datasets have different
 * names.
 *
 * udev's rule links the devices below /dev/zvol by the names of their datasets, with '+' for each
 * blank. ZFS allows blanks in names, but not '+'.
 */
#include "zfs.h"

#include <string.h>

#include <base/error.h>
#include <base/i18n.h>

/*
 * From zfs(8): letters, digits and these characters, including blanks; a full name has up to 255
 * bytes.
 */
#define OTHER_CHARACTERS "-_.: "
#define NAME_MAX_LEN     255
/*
 * Maximum length of a draft's name in the dataset of the volume, including the '/' characters. A
 * name in the trash is shorter, and has no draft.
 */
#define DRAFT_MAX_LEN 82
#define ROOT_MAX_LEN  100

/* Whether the text is valid between two '/' or after '@'. */
static gboolean is_component(const char *text)
{
    if (!*text || strcmp(text, ".") == 0 || strcmp(text, "..") == 0)
        return FALSE;
    for (const char *p = text; *p; p++)
        if (!g_ascii_isalnum(*p) && !strchr(OTHER_CHARACTERS, *p))
            return FALSE;
    return TRUE;
}

gboolean zfs_is_name(const char *name)
{
    g_auto(GStrv) parts = g_strsplit(name, "/", -1);
    gboolean ok = *name != '\0';

    for (char **part = parts; ok && *part; part++)
        ok = is_component(*part);
    return ok;
}

gboolean zfs_name_check(const ZfsState *state, const char *name, GError **error)
{
    size_t beside = cst_name_is_trash(name) ? 1 : DRAFT_MAX_LEN;
    size_t room = NAME_MAX_LEN - beside - strlen(state->root);

    if (!zfs_is_name(name) || strlen(name) > room)
        return cst_fail(error, CST_ERROR_INVALID,
                        _("ZFS takes no volume of name '%s' in '%s': up to %d letters, digits and "
                          "- _ . : or blanks"),
                        name, state->root, (int)room);
    if (!cst_device_name_is_volume(zfs_last_of(name)))
        return cst_fail(error, CST_ERROR_INVALID, _("the beginning of the name '%s' is reserved"),
                        name);
    return TRUE;
}

gboolean zfs_snapshot_name_check(const char *name, GError **error)
{
    return (is_component(name) && strlen(name) <= NAME_MAX_LEN / 2) ||
           cst_fail(error, CST_ERROR_INVALID,
                    _("ZFS takes no snapshot of name '%s': up to %d letters, digits and - _ . : or "
                      "blanks"),
                    name, NAME_MAX_LEN / 2);
}

/*
 * From zpool(8): a pool's name begins with a letter. A name with a leading '-' would be an option.
 */
gboolean zfs_root_check(const char *root, GError **error)
{
    return (zfs_is_name(root) && g_ascii_isalpha(*root) && strlen(root) <= ROOT_MAX_LEN) ||
           cst_fail(error, CST_ERROR_INVALID,
                    _("'%s' is no name of a ZFS pool or dataset (\"tank\", \"tank/vm\")"), root);
}

char *zfs_dataset_of(const ZfsState *state, const char *name)
{
    return g_strdup_printf("%s/%s", state->root, name);
}

const char *zfs_volume_of(const ZfsState *state, const char *dataset)
{
    size_t len = strlen(state->root);

    return strncmp(dataset, state->root, len) == 0 && dataset[len] == '/' && dataset[len + 1]
               ? dataset + len + 1
               : NULL;
}

char *zfs_parent_of(const char *dataset)
{
    const char *slash = strrchr(dataset, '/');

    return slash ? g_strndup(dataset, (gsize)(slash - dataset)) : g_strdup(dataset);
}

/*
 * In the same dataset as the volume, because an encrypted volume cannot leave the dataset with its
 * key.
 */
char *zfs_draft_of(const ZfsState *state, const char *name, const char *token)
{
    g_autofree char *dataset = zfs_dataset_of(state, name);
    g_autofree char *parent = zfs_parent_of(dataset);
    g_autofree char *draft = cst_draft_name(token);

    return g_strdup_printf("%s/%s", parent, draft);
}

const char *zfs_last_of(const char *dataset)
{
    const char *slash = strrchr(dataset, '/');

    return slash ? slash + 1 : dataset;
}

gboolean zfs_is_volume(const ZfsState *state, const ZfsDataset *dataset)
{
    return dataset->is_volume && zfs_volume_of(state, dataset->name) &&
           cst_device_name_is_volume(zfs_last_of(dataset->name));
}

gboolean zfs_is_shown(const ZfsState *state, const ZfsDataset *dataset)
{
    return zfs_is_volume(state, dataset) && !cst_draft_is_hidden(zfs_last_of(dataset->name));
}

char *zfs_origin_of(const char *snapshot)
{
    return g_strndup(snapshot, strcspn(snapshot, "@"));
}

/* --- paths ------------------------------------------------------------------------------------ */

char *zfs_device_of(const char *dataset)
{
    char *path = g_strdup_printf("%s/zvol/%s", zfs_host.dev, dataset);

    return g_strdelimit(path, " ", '+');
}

/*
 * The path that libvirt shows, below the definition's target. The device itself is always below
 * zfs_host.dev.
 */
char *zfs_vol_path(CstPoolState *state, const char *name)
{
    char *path = g_strdup_printf("%s/%s", state->def->target_path, name);

    return g_strdelimit(path, " ", '+');
}

/* The key is the name of the dataset. */
char *zfs_vol_resolve(CstPoolState *state, const char *path)
{
    const char *target = state->def->target_path;
    size_t len = strlen(target);
    const char *name;

    if (path[0] != '/')
        name = zfs_volume_of(ZFS(state), path);
    else
        name = strncmp(path, target, len) == 0 && path[len] == '/' ? path + len + 1 : NULL;
    if (!name || !*name || cst_draft_is_hidden(zfs_last_of(name)))
        return NULL;
    return path[0] == '/' ? g_strdelimit(g_strdup(name), "+", ' ') : g_strdup(name);
}
