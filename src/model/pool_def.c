/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Pool definitions as structs: construction, deep copies, destruction. A copy begins as a copy of
 * the struct, so that plain members cannot be forgotten. Strings and lists are then replaced one by
 * one.
 */
#include <model/pool_def.h>

#include <string.h>

#include "adapter.h"
#include "options.h"
#include "perms.h"

static void host_free(gpointer data)
{
    CstHost *host = data;

    g_free(host->name);
    g_free(host);
}

static void device_free(gpointer data)
{
    CstPoolDevice *device = data;

    g_free(device->path);
    g_clear_pointer(&device->free_extents, g_array_unref);
    g_free(device);
}

void cst_pool_source_init(CstPoolSource *source, CstPoolType type)
{
    const CstPoolTypeInfo *info = cst_pool_type_info(type);

    memset(source, 0, sizeof(*source));
    source->hosts = g_ptr_array_new_with_free_func(host_free);
    source->devices = g_ptr_array_new_with_free_func(device_free);
    source->adapter.managed = -1;
    if (info)
        source->format = info->default_source_format;
    if (info)
        source->dir = g_strdup(info->default_dir);
}

void cst_pool_source_add_host(CstPoolSource *source, const char *name, uint16_t port)
{
    CstHost *host = g_new0(CstHost, 1);

    host->name = g_strdup(name);
    host->port = port;
    g_ptr_array_add(source->hosts, host);
}

void cst_pool_source_add_device(CstPoolSource *source, const char *path)
{
    CstPoolDevice *device = g_new0(CstPoolDevice, 1);

    device->path = g_strdup(path);
    device->part_separator = -1;
    g_ptr_array_add(source->devices, device);
}

void cst_pool_source_clear(CstPoolSource *source)
{
    g_clear_pointer(&source->hosts, g_ptr_array_unref);
    g_clear_pointer(&source->devices, g_ptr_array_unref);
    g_free(source->dir);
    g_free(source->name);
    cst_adapter_clear(&source->adapter);
    g_free(source->initiator_iqn);
    g_free(source->auth.username);
    g_free(source->auth.secret_usage);
    g_free(source->auth.secret_type);
    g_free(source->vendor);
    g_free(source->product);
    g_free(source->protocol_ver);
    memset(source, 0, sizeof(*source));
}

CstPoolDef *cst_pool_def_new(CstPoolType type)
{
    CstPoolDef *def = g_new0(CstPoolDef, 1);

    def->type = type;
    def->feature_cow = -1;
    def->target_perms = (CstPerms)CST_PERMS_INIT;
    cst_pool_source_init(&def->source, type);
    return def;
}

static void copy_devices(CstPoolSource *to, const CstPoolSource *from)
{
    for (guint i = 0; from->devices && i < from->devices->len; i++) {
        const CstPoolDevice *device = g_ptr_array_index(from->devices, i);
        CstPoolDevice *copy;

        cst_pool_source_add_device(to, device->path);
        copy = g_ptr_array_index(to->devices, i);
        copy->part_separator = device->part_separator;
        if (device->free_extents)
            copy->free_extents = g_array_copy(device->free_extents);
    }
}

static void copy_source(CstPoolSource *to, const CstPoolSource *from)
{
    /* CST_POOL_TYPE_LAST has no defaults, and a copy needs no defaults. */
    cst_pool_source_init(to, CST_POOL_TYPE_LAST);
    for (guint i = 0; from->hosts && i < from->hosts->len; i++) {
        const CstHost *host = g_ptr_array_index(from->hosts, i);

        cst_pool_source_add_host(to, host->name, host->port);
    }
    copy_devices(to, from);
    to->dir = g_strdup(from->dir);
    to->name = g_strdup(from->name);
    cst_adapter_copy(&to->adapter, &from->adapter);
    to->initiator_iqn = g_strdup(from->initiator_iqn);
    to->auth = from->auth;
    to->auth.username = g_strdup(from->auth.username);
    to->auth.secret_usage = g_strdup(from->auth.secret_usage);
    to->auth.secret_type = g_strdup(from->auth.secret_type);
    to->vendor = g_strdup(from->vendor);
    to->product = g_strdup(from->product);
    to->format = from->format;
    to->protocol_ver = g_strdup(from->protocol_ver);
}

CstPoolDef *cst_pool_def_copy(const CstPoolDef *def)
{
    CstPoolDef *copy = g_new0(CstPoolDef, 1);

    *copy = *def;
    copy->name = g_strdup(def->name);
    copy_source(&copy->source, &def->source);
    copy->target_path = g_strdup(def->target_path);
    cst_perms_copy(&copy->target_perms, &def->target_perms);
    copy->options = cst_options_copy(def->options);
    copy->trash_days = def->trash_days;
    return copy;
}

void cst_pool_def_add_option(CstPoolDef *def, const char *key, const char *value)
{
    cst_options_add(&def->options, key, value);
}

void cst_pool_def_free(CstPoolDef *def)
{
    if (!def)
        return;
    g_free(def->name);
    cst_pool_source_clear(&def->source);
    g_free(def->target_path);
    g_free(def->target_perms.label);
    g_clear_pointer(&def->options, g_ptr_array_unref);
    g_free(def);
}
