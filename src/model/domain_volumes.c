/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The volume of each disk (see the header).
 *
 * The definition of a domain names a file by the path that its administrator wrote. That path may
 * have symbolic links, and the backup has the path of the volume in its pool. The host of the
 * backup may be lost, so no path is looked up.
 */
#include <model/domain_volumes.h>

#include <string.h>

#include <base/i18n.h>
#include <base/text.h>
#include <model/domain.h>

#include "xml_read.h"

#define NO_VOLUME G_MAXUINT

typedef gboolean (*LayerMatch)(const CstDomainLayer *layer, const CstDomainVolume *volume);

static void volume_disk_free(gpointer data)
{
    CstDomainVolumeDisk *disk = data;

    g_free(disk->target);
    g_free(disk);
}

/* --- comparisons, the strictest first --------------------------------------------------------- */

static gboolean layer_has_names(const CstDomainLayer *layer, const CstDomainVolume *volume)
{
    return g_strcmp0(layer->pool, volume->pool) == 0 && g_strcmp0(layer->volume, volume->name) == 0;
}

static gboolean layer_has_path(const CstDomainLayer *layer, const CstDomainVolume *volume)
{
    g_autoptr(xmlDoc) doc = NULL;
    g_autofree char *path = NULL;

    if (!layer->path)
        return FALSE;
    if (strcmp(layer->path, volume->identity) == 0)
        return TRUE;
    doc = cst_xml_parse(volume->document, "volume", _("(volume_definition)"), NULL);
    path = doc ? cst_xml_text(xmlDocGetRootElement(doc), "target/path") : NULL;
    return g_strcmp0(layer->path, path) == 0;
}

static gboolean layer_has_base_name(const CstDomainLayer *layer, const CstDomainVolume *volume)
{
    g_autofree char *disk = layer->path ? g_path_get_basename(layer->path) : NULL;
    g_autofree char *name = g_path_get_basename(volume->name);

    return g_strcmp0(disk, name) == 0;
}

static gboolean layer_has_any(const CstDomainLayer *layer, const CstDomainVolume *volume)
{
    return TRUE;
}

/* --- the search ------------------------------------------------------------------------------- */

typedef struct {
    GPtrArray *layers; /* of CstDomainLayer *, borrowed: the disks that the guest can write */
    const CstDomainVolume *volumes;
    guint n_volumes;
    guint *found; /* of each disk: the index of its volume, or NO_VOLUME */
} VolumeSearch;

static gboolean search_has_volume(const VolumeSearch *search, guint volume)
{
    for (guint i = 0; i < search->layers->len; i++)
        if (search->found[i] == volume)
            return TRUE;
    return FALSE;
}

/* Returns the only volume without a disk that matches; NO_VOLUME: none or several match. */
static guint search_only_volume(const VolumeSearch *search, guint disk, LayerMatch matches)
{
    guint only = NO_VOLUME;

    for (guint i = 0; i < search->n_volumes; i++) {
        if (search_has_volume(search, i) ||
            !matches(search->layers->pdata[disk], &search->volumes[i]))
            continue;
        if (only != NO_VOLUME)
            return NO_VOLUME;
        only = i;
    }
    return only;
}

static guint search_disks_left(const VolumeSearch *search)
{
    guint left = 0;

    for (guint i = 0; i < search->layers->len; i++)
        left += search->found[i] == NO_VOLUME;
    return left;
}

/* A base name that two disks have identifies no volume. */
static gboolean search_base_name_is_unique(const VolumeSearch *search, guint disk)
{
    const CstDomainLayer *layer = search->layers->pdata[disk];

    for (guint i = 0; i < search->layers->len; i++) {
        const CstDomainLayer *rival = search->layers->pdata[i];
        g_autofree char *base = g_path_get_basename(layer->path ? layer->path : "");
        g_autofree char *rival_base = g_path_get_basename(rival->path ? rival->path : "");

        if (i != disk && search->found[i] == NO_VOLUME && strcmp(base, rival_base) == 0)
            return FALSE;
    }
    return TRUE;
}

static void search_run(VolumeSearch *search)
{
    static const LayerMatch matches[] = {layer_has_names, layer_has_path, layer_has_base_name,
                                         layer_has_any};

    for (guint step = 0; step < G_N_ELEMENTS(matches); step++)
        for (guint i = 0; i < search->layers->len; i++) {
            if (search->found[i] != NO_VOLUME ||
                (matches[step] == layer_has_base_name && !search_base_name_is_unique(search, i)) ||
                (matches[step] == layer_has_any && search_disks_left(search) != 1))
                continue;
            search->found[i] = search_only_volume(search, i, matches[step]);
        }
}

/* Two disks that are one file. */
static gboolean search_check_shared(const VolumeSearch *search, GError **error)
{
    for (guint i = 0; i < search->layers->len; i++)
        for (guint j = 0; j < i; j++) {
            const CstDomainLayer *one = search->layers->pdata[j], *two = search->layers->pdata[i];
            g_autofree char *first = cst_text_escape(one->target);
            g_autofree char *second = cst_text_escape(two->target);

            if (one->path && g_strcmp0(one->path, two->path) == 0)
                return cst_fail(error, CST_ERROR_INVALID,
                                _("disks '%s' and '%s' of the domain are the same volume"), first,
                                second);
        }
    return TRUE;
}

static gboolean search_check(const VolumeSearch *search, GError **error)
{
    for (guint i = 0; i < search->layers->len; i++) {
        const CstDomainLayer *layer = search->layers->pdata[i];
        g_autofree char *target = cst_text_escape(layer->target);

        if (search->found[i] == NO_VOLUME)
            return cst_fail(error, CST_ERROR_NOT_FOUND,
                            _("the backup lacks disk '%s' of the domain; restore the vols that it "
                              "has with --all"),
                            target);
    }
    for (guint i = 0; i < search->n_volumes; i++) {
        g_autofree char *name = cst_text_escape(search->volumes[i].name);

        if (!search_has_volume(search, i))
            return cst_fail(error, CST_ERROR_NOT_FOUND,
                            _("volume '%s' of the backup is no disk in the definition of the "
                              "domain; restore the vols with --all"),
                            name);
    }
    return TRUE;
}

static gboolean search_add_layers(VolumeSearch *search, const CstDomainDef *def, GError **error)
{
    for (guint i = 0; i < def->layers->len; i++) {
        CstDomainLayer *layer = def->layers->pdata[i];

        if (layer->level > 0 || layer->removable || layer->read_only)
            continue;
        if (!layer->target)
            return cst_fail(error, CST_ERROR_XML, _("a disk of the domain has no <target dev>"));
        g_ptr_array_add(search->layers, layer);
    }
    if (search->layers->len == 0)
        return cst_fail(error, CST_ERROR_NOT_FOUND, _("the domain has no disk that it may write"));
    return search_check_shared(search, error);
}

GPtrArray *cst_domain_volume_disks(const char *xml, const CstDomainVolume *volumes, guint n_volumes,
                                   GError **error)
{
    g_autoptr(CstDomainDef) def = cst_domain_def_parse(xml, error);
    g_autoptr(GPtrArray) layers = g_ptr_array_new();
    g_autoptr(GPtrArray) disks = g_ptr_array_new_with_free_func(volume_disk_free);
    VolumeSearch search = {.layers = layers, .volumes = volumes, .n_volumes = n_volumes};
    g_autofree guint *found = NULL;

    if (!def || !search_add_layers(&search, def, error))
        return NULL;
    search.found = found = g_new(guint, layers->len + 1);
    for (guint i = 0; i < layers->len; i++)
        found[i] = NO_VOLUME;
    search_run(&search);
    if (!search_check(&search, error))
        return NULL;
    for (guint i = 0; i < layers->len; i++) {
        CstDomainVolumeDisk *disk = g_new0(CstDomainVolumeDisk, 1);

        disk->target = g_strdup(((const CstDomainLayer *)layers->pdata[i])->target);
        disk->volume = found[i];
        g_ptr_array_add(disks, disk);
    }
    return g_steal_pointer(&disks);
}
