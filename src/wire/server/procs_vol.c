/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <string.h>

#include "procedures.h"
#include "stream.h"

/* --- lists ----------------------------------------------------------------------------------- */

static gboolean num_of_volumes(Call *call, const void *args, void *ret, GError **error)
{
    g_autoptr(CstPool) pool = find_pool(call, &((const wire_pool_args *)args)->pool, error);
    guint count;

    if (!pool || !cst_pool_count_volumes(pool, &count, error))
        return FALSE;
    ((wire_int *)ret)->value = (int)count;
    return TRUE;
}

static gboolean list_volumes(Call *call, const void *data, void *ret_data, GError **error)
{
    const wire_pool_max_args *args = data;
    wire_names *ret = ret_data;
    g_autoptr(CstPool) pool = NULL;
    g_autoptr(GPtrArray) rows = NULL;

    if (!check_max(args->max, WIRE_LIST_MAX, "maxnames", "REMOTE_STORAGE_VOL_LIST_MAX", error))
        return FALSE;
    pool = find_pool(call, &args->pool, error);
    if (!pool)
        return FALSE;
    rows = cst_pool_list_volumes(pool, NULL, (guint)args->max, CST_VOL_ROWS_BRIEF, error);
    if (!rows)
        return FALSE;
    ret->names.names_val = g_new0(char *, rows->len + 1);
    for (guint i = 0; i < rows->len && i < (guint)args->max; i++)
        ret->names.names_val[ret->names.names_len++] =
            g_steal_pointer(&((CstVolRow *)g_ptr_array_index(rows, i))->name);
    return TRUE;
}

static gboolean fill_vols(CstPool *pool, wire_vols_ret *ret, GError **error)
{
    g_autoptr(GPtrArray) rows =
        cst_pool_list_volumes(pool, NULL, WIRE_LIST_MAX, CST_VOL_ROWS_BRIEF, error);

    if (!rows)
        return FALSE;
    ret->ret = rows->len;
    ret->vols.vols_val = g_new0(wire_vol, rows->len + 1);
    for (guint i = 0; i < rows->len; i++) {
        CstVolRow *row = g_ptr_array_index(rows, i);
        wire_vol *vol = &ret->vols.vols_val[ret->vols.vols_len++];

        vol->pool = g_strdup(cst_pool_name(pool));
        vol->name = g_steal_pointer(&row->name);
        vol->key = g_steal_pointer(&row->key);
    }
    return TRUE;
}

static gboolean list_all_volumes(Call *call, const void *data, void *ret_data, GError **error)
{
    const wire_vols_args *args = data;
    wire_vols_ret *ret = ret_data;
    g_autoptr(CstPool) pool = NULL;
    guint count;

    if (!cst_flags_check(args->flags, 0, "storagePoolListAllVolumes", error))
        return FALSE;
    pool = find_pool(call, &args->pool, error);
    if (!pool || !cst_pool_count_volumes(pool, &count, error))
        return FALSE;
    ret->ret = count;
    if (!args->need_results)
        return TRUE;
    /* Cistern's own clients list in pages; libvirt's protocol has no more room. */
    if (count > WIRE_LIST_MAX)
        return cst_fail(error, CST_ERROR_RPC, _("Too many storage_vols '%u' for limit '%d'"), count,
                        WIRE_LIST_MAX);
    return fill_vols(pool, ret, error);
}

/* --- lookups --------------------------------------------------------------------------------- */

static gboolean by_name(Call *call, const void *data, void *ret, GError **error)
{
    const wire_vol_by_name_args *args = data;
    g_autoptr(CstPool) pool = find_pool(call, &args->pool, error);

    return pool && fill_vol(&((wire_vol_args *)ret)->vol, pool, args->name, error);
}

static gboolean by_known_name(Call *call, const void *data, void *ret)
{
    const wire_vol_by_name_args *args = data;
    g_autoptr(CstPool) pool = find_pool(call, &args->pool, NULL);
    char *key = pool ? cst_vol_known_key(pool, args->name) : NULL;

    if (key)
        set_vol(&((wire_vol_args *)ret)->vol, pool, args->name, key);
    return key != NULL;
}

static gboolean by_key(Call *call, const void *args, void *ret, GError **error)
{
    const char *key = ((const wire_text *)args)->value;
    g_autoptr(CstPool) pool = NULL;
    g_autofree char *name = NULL;

    return cst_service_volume_by_key(call->service, key, &pool, &name, error) &&
           fill_vol(&((wire_vol_args *)ret)->vol, pool, name, error);
}

static gboolean by_path(Call *call, const void *args, void *ret, GError **error)
{
    const char *path = ((const wire_text *)args)->value;
    g_autoptr(CstPool) pool = NULL;
    g_autofree char *name = NULL;

    return cst_service_volume_by_path(call->service, path, &pool, &name, error) &&
           fill_vol(&((wire_vol_args *)ret)->vol, pool, name, error);
}

/* --- describing ------------------------------------------------------------------------------ */

static gboolean info_with(Call *call, const wire_vol *vol, gboolean physical,
                          wire_vol_info_ret *ret, GError **error)
{
    g_autoptr(CstPool) pool = find_vol_pool(call, vol, error);
    CstVolInfo info;

    if (!pool || !cst_vol_get_info(pool, vol->name, &info, error))
        return FALSE;
    ret->type = (char)info.type;
    ret->capacity = info.capacity;
    ret->allocation = physical ? info.physical : info.allocation;
    return TRUE;
}

static gboolean get_info(Call *call, const void *args, void *ret, GError **error)
{
    return info_with(call, &((const wire_vol_args *)args)->vol, FALSE, ret, error);
}

static gboolean get_info_flags(Call *call, const void *data, void *ret, GError **error)
{
    const wire_vol_flags_args *args = data;

    return cst_flags_check(args->flags, CST_VOL_INFO_PHYSICAL, "storageVolGetInfoFlags", error) &&
           info_with(call, &args->vol, (args->flags & CST_VOL_INFO_PHYSICAL) != 0, ret, error);
}

static gboolean get_xml(Call *call, const void *data, void *ret, GError **error)
{
    const wire_vol_flags_args *args = data;
    g_autoptr(CstPool) pool = find_vol_pool(call, &args->vol, error);

    if (pool)
        ((wire_text *)ret)->value = cst_vol_get_xml(pool, args->vol.name, args->flags, error);
    return ((wire_text *)ret)->value != NULL;
}

static gboolean get_path(Call *call, const void *args, void *ret, GError **error)
{
    const wire_vol *vol = &((const wire_vol_args *)args)->vol;
    g_autoptr(CstPool) pool = find_vol_pool(call, vol, error);

    if (pool)
        ((wire_text *)ret)->value = cst_vol_get_path(pool, vol->name, error);
    return ((wire_text *)ret)->value != NULL;
}

static gboolean get_known_path(Call *call, const void *args, void *ret)
{
    const wire_vol *vol = &((const wire_vol_args *)args)->vol;
    g_autoptr(CstPool) pool = find_vol_pool(call, vol, NULL);

    if (pool)
        ((wire_text *)ret)->value = cst_vol_known_path(pool, vol->name);
    return ((wire_text *)ret)->value != NULL;
}

/* --- changing -------------------------------------------------------------------------------- */

static gboolean create(Call *call, const void *data, void *ret, GError **error)
{
    const wire_vol_create_args *args = data;
    g_autoptr(CstPool) pool = find_pool(call, &args->pool, error);
    g_autofree char *name = NULL;

    return pool && cst_vol_create(pool, args->xml, args->flags, call->task, &name, error) &&
           fill_vol(&((wire_vol_args *)ret)->vol, pool, name, error);
}

static gboolean create_from(Call *call, const void *data, void *ret, GError **error)
{
    const wire_vol_create_from_args *args = data;
    g_autoptr(CstPool) pool = find_pool(call, &args->pool, error);
    g_autoptr(CstPool) source = pool ? find_vol_pool(call, &args->source, error) : NULL;
    g_autofree char *name = NULL;

    return source &&
           cst_vol_create_from(pool, args->xml, source, args->source.name, args->flags, call->task,
                               &name, error) &&
           fill_vol(&((wire_vol_args *)ret)->vol, pool, name, error);
}

static gboolean delete (Call *call, const void *data, void *ret, GError **error)
{
    const wire_vol_flags_args *args = data;
    g_autoptr(CstPool) pool = find_vol_pool(call, &args->vol, error);

    return pool && cst_vol_delete(pool, args->vol.name, args->flags, call->task, error);
}

static gboolean wipe(Call *call, const void *data, void *ret, GError **error)
{
    const wire_vol_flags_args *args = data;
    g_autoptr(CstPool) pool = find_vol_pool(call, &args->vol, error);

    return pool &&
           cst_vol_wipe(pool, args->vol.name, CST_WIPE_ZERO, args->flags, call->task, error);
}

static gboolean wipe_pattern(Call *call, const void *data, void *ret, GError **error)
{
    const wire_vol_wipe_args *args = data;
    g_autoptr(CstPool) pool = find_vol_pool(call, &args->vol, error);

    return pool &&
           cst_vol_wipe(pool, args->vol.name, args->algorithm, args->flags, call->task, error);
}

static gboolean resize(Call *call, const void *data, void *ret, GError **error)
{
    const wire_vol_resize_args *args = data;
    g_autoptr(CstPool) pool = find_vol_pool(call, &args->vol, error);

    return pool &&
           cst_vol_resize(pool, args->vol.name, args->capacity, args->flags, call->task, error);
}

/* --- streams --------------------------------------------------------------------------------- */

static gboolean upload(Call *call, const void *data, void *ret, GError **error)
{
    const wire_vol_stream_args *args = data;
    g_autoptr(CstPool) pool = find_vol_pool(call, &args->vol, error);
    CstUpload *started;

    if (!pool)
        return FALSE;
    started = cst_vol_upload(pool, args->vol.name, args->offset, args->length, args->flags,
                             call->task, error);
    if (!started)
        return FALSE;
    call->stream = stream_new_upload(started, (args->flags & CST_VOL_STREAM_SPARSE) != 0);
    return TRUE;
}

static gboolean download(Call *call, const void *data, void *ret, GError **error)
{
    const wire_vol_stream_args *args = data;
    g_autoptr(CstPool) pool = find_vol_pool(call, &args->vol, error);
    CstDownload *started;

    if (!pool)
        return FALSE;
    started = cst_vol_download(pool, args->vol.name, args->offset, args->length, args->flags,
                               call->task, error);
    if (!started)
        return FALSE;
    call->stream = stream_new_download(started, (args->flags & CST_VOL_STREAM_SPARSE) != 0);
    return TRUE;
}

#define ROW STORAGE_ROW

const Procedure procedures_vol[] = {
    ROW(STORAGE_POOL_NUM_OF_VOLUMES, RUN_LONG, NEEDS_READ, "virStoragePoolNumOfVolumes",
        "storage_pool:search_storage_vols", WIRE_TYPE(pool_args), WIRE_TYPE(int), num_of_volumes),
    ROW(STORAGE_POOL_LIST_VOLUMES, RUN_LONG, NEEDS_READ, "virStoragePoolListVolumes",
        "storage_pool:search_storage_vols", WIRE_TYPE(pool_max_args), WIRE_TYPE(names),
        list_volumes),
    ROW(STORAGE_POOL_LIST_ALL_VOLUMES, RUN_LONG, NEEDS_READ, "virStoragePoolListAllVolumes",
        "storage_pool:search_storage_vols", WIRE_TYPE(vols_args), WIRE_TYPE(vols_ret),
        list_all_volumes),
    KNOWN_ROW(STORAGE_VOL_LOOKUP_BY_NAME, NEEDS_READ, "virStorageVolLookupByName",
              "storage_vol:getattr", WIRE_TYPE(vol_by_name_args), WIRE_TYPE(vol_args), by_name,
              by_known_name),
    ROW(STORAGE_VOL_LOOKUP_BY_KEY, RUN_LONG, NEEDS_READ, "virStorageVolLookupByKey",
        "storage_vol:getattr", WIRE_TYPE(text), WIRE_TYPE(vol_args), by_key),
    ROW(STORAGE_VOL_LOOKUP_BY_PATH, RUN_LONG, NEEDS_READ, "virStorageVolLookupByPath",
        "storage_vol:getattr", WIRE_TYPE(text), WIRE_TYPE(vol_args), by_path),
    ROW(STORAGE_VOL_GET_INFO, RUN_LONG, NEEDS_READ, "virStorageVolGetInfo", "storage_vol:read",
        WIRE_TYPE(vol_args), WIRE_TYPE(vol_info_ret), get_info),
    ROW(STORAGE_VOL_GET_INFO_FLAGS, RUN_LONG, NEEDS_READ, "virStorageVolGetInfoFlags",
        "storage_vol:read", WIRE_TYPE(vol_flags_args), WIRE_TYPE(vol_info_ret), get_info_flags),
    ROW(STORAGE_VOL_GET_XML_DESC, RUN_LONG, NEEDS_READ, "virStorageVolGetXMLDesc",
        "storage_vol:read", WIRE_TYPE(vol_flags_args), WIRE_TYPE(text), get_xml),
    KNOWN_ROW(STORAGE_VOL_GET_PATH, NEEDS_READ, "virStorageVolGetPath", "storage_vol:read",
              WIRE_TYPE(vol_args), WIRE_TYPE(text), get_path, get_known_path),
    ROW(STORAGE_VOL_CREATE_XML, RUN_LONG, NEEDS_WRITE, "virStorageVolCreateXML",
        "storage_vol:create", WIRE_TYPE(vol_create_args), WIRE_TYPE(vol_args), create),
    ROW(STORAGE_VOL_CREATE_XML_FROM, RUN_LONG, NEEDS_WRITE, "virStorageVolCreateXMLFrom",
        "storage_vol:create", WIRE_TYPE(vol_create_from_args), WIRE_TYPE(vol_args), create_from),
    ROW(STORAGE_VOL_DELETE, RUN_LONG, NEEDS_WRITE, "virStorageVolDelete", "storage_vol:delete",
        WIRE_TYPE(vol_flags_args), NOTHING, delete),
    ROW(STORAGE_VOL_WIPE, RUN_LONG, NEEDS_WRITE, "virStorageVolWipe", "storage_vol:format",
        WIRE_TYPE(vol_flags_args), NOTHING, wipe),
    ROW(STORAGE_VOL_WIPE_PATTERN, RUN_LONG, NEEDS_WRITE, "virStorageVolWipePattern",
        "storage_vol:format", WIRE_TYPE(vol_wipe_args), NOTHING, wipe_pattern),
    ROW(STORAGE_VOL_RESIZE, RUN_LONG, NEEDS_WRITE, "virStorageVolResize", "storage_vol:resize",
        WIRE_TYPE(vol_resize_args), NOTHING, resize),
    ROW(STORAGE_VOL_UPLOAD, RUN_LONG, NEEDS_WRITE, "virStorageVolUpload", "storage_vol:data_write",
        WIRE_TYPE(vol_stream_args), NOTHING, upload),
    ROW(STORAGE_VOL_DOWNLOAD, RUN_LONG, NEEDS_WRITE, "virStorageVolDownload",
        "storage_vol:data_read", WIRE_TYPE(vol_stream_args), NOTHING, download),
    {0},
};
