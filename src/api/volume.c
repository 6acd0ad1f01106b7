/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Procedures for volumes. Even lookups are LONG: the service searches the storage for a name that
 * is not in the pool's table, and it reads a volume's attributes again. The two most frequent calls
 * (lookup by name, path) are answered from the table where possible (from_memory).
 *
 * A volume's struct has the name of its pool, its own name and its key. Calls identify the volume
 * by the two names.
 */
#include <string.h>

#include "api_private.h"

/* --- lists ----------------------------------------------------------------------------------- */

static gboolean num_of_volumes(CstApiCall *call, const void *args, void *ret, GError **error)
{
    g_autoptr(CstPool) pool =
        cst_api_pool(call->service, &((const wire_pool_args *)args)->pool, error);
    guint count;

    if (!pool || !cst_pool_count_volumes(pool, &count, error))
        return FALSE;
    ((wire_int *)ret)->value = (int)count;
    return TRUE;
}

static gboolean list_volumes(CstApiCall *call, const void *data, void *ret_data, GError **error)
{
    const wire_pool_max_args *args = data;
    wire_names *ret = ret_data;
    g_autoptr(CstPool) pool = NULL;
    g_autoptr(GPtrArray) rows = NULL;

    if (!cst_api_check_max(args->max, WIRE_LIST_MAX, "maxnames", "REMOTE_STORAGE_VOL_LIST_MAX",
                           error))
        return FALSE;
    pool = cst_api_pool(call->service, &args->pool, error);
    if (!pool)
        return FALSE;
    /* BRIEF: names do not require reading the volumes. */
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

static gboolean list_all_volumes(CstApiCall *call, const void *data, void *ret_data, GError **error)
{
    const wire_vols_args *args = data;
    wire_vols_ret *ret = ret_data;
    g_autoptr(CstPool) pool = NULL;
    guint count;

    if (!cst_flags_check(args->flags, 0, "storagePoolListAllVolumes", error))
        return FALSE;
    pool = cst_api_pool(call->service, &args->pool, error);
    if (!pool || !cst_pool_count_volumes(pool, &count, error))
        return FALSE;
    ret->ret = count;
    if (!args->need_results)
        return TRUE;
    /* The limit of libvirt's reply. Cistern's clients use pages (list_page()). */
    if (count > WIRE_LIST_MAX)
        return cst_fail(error, CST_ERROR_RPC, _("Too many storage_vols '%u' for limit '%d'"), count,
                        WIRE_LIST_MAX);
    return fill_vols(pool, ret, error);
}

static void api_vol_row_fill(wire_vol_row *ret, CstVolRow *row)
{
    ret->name = cst_api_text(g_steal_pointer(&row->name));
    ret->key = cst_api_text(g_steal_pointer(&row->key));
    ret->path = cst_api_text(g_steal_pointer(&row->path));
    ret->type = row->info.type;
    ret->capacity = row->info.capacity;
    ret->allocation = row->info.allocation;
    ret->physical = row->info.physical;
    ret->estimated = row->info.estimated;
    ret->format = cst_api_opt(g_steal_pointer(&row->format));
    ret->problem = cst_api_opt(g_steal_pointer(&row->problem));
}

static gboolean list_page(CstApiCall *call, const void *data, void *ret_data, GError **error)
{
    const wire_vol_page_args *args = data;
    wire_vol_page_ret *ret = ret_data;
    guint limit = args->limit == 0 ? WIRE_PAGE_MAX : args->limit;
    g_autoptr(CstPool) pool = NULL;
    g_autoptr(GPtrArray) rows = NULL;

    if (!cst_flags_check(args->flags, WIRE_PAGE_DETAILS, "cisternVolListPage", error) ||
        !cst_api_check_max((int)MIN(limit, G_MAXINT), WIRE_PAGE_MAX, "limit", "WIRE_PAGE_MAX",
                           error))
        return FALSE;
    pool = cst_api_pool(call->service, &args->pool, error);
    if (!pool)
        return FALSE;
    /* An extra row shows whether there is a next page. */
    rows = cst_pool_list_volumes(
        pool, cst_api_opt_text(args->after), limit + 1,
        args->flags & WIRE_PAGE_DETAILS ? CST_VOL_ROWS_DETAILS : CST_VOL_ROWS_BRIEF, error);
    if (!rows)
        return FALSE;
    ret->more = rows->len > limit;
    ret->rows.rows_val = g_new0(wire_vol_row, MIN(rows->len, limit) + 1);
    for (guint i = 0; i < rows->len && i < limit; i++)
        api_vol_row_fill(&ret->rows.rows_val[ret->rows.rows_len++], g_ptr_array_index(rows, i));
    return TRUE;
}

/* --- lookups --------------------------------------------------------------------------------- */

static gboolean api_vol_by_name(CstApiCall *call, const void *data, void *ret, GError **error)
{
    const wire_vol_by_name_args *args = data;
    g_autoptr(CstPool) pool = cst_api_pool(call->service, &args->pool, error);

    return pool && cst_api_fill_vol(&((wire_vol_args *)ret)->vol, pool, args->name, error);
}

/* Like api_vol_by_name(), but answers from the pool's table. */
static gboolean by_known_name(CstApiCall *call, const void *data, void *ret)
{
    const wire_vol_by_name_args *args = data;
    g_autoptr(CstPool) pool = cst_api_pool(call->service, &args->pool, NULL);
    char *key = pool ? cst_vol_known_key(pool, args->name) : NULL;

    if (key)
        cst_api_set_vol(&((wire_vol_args *)ret)->vol, pool, args->name, key);
    return key != NULL;
}

static gboolean api_vol_by_key(CstApiCall *call, const void *args, void *ret, GError **error)
{
    const char *key = ((const wire_text *)args)->value;
    g_autoptr(CstPool) pool = NULL;
    g_autofree char *name = NULL;

    return cst_service_volume_by_key(call->service, key, &pool, &name, error) &&
           cst_api_fill_vol(&((wire_vol_args *)ret)->vol, pool, name, error);
}

static gboolean by_path(CstApiCall *call, const void *args, void *ret, GError **error)
{
    const char *path = ((const wire_text *)args)->value;
    g_autoptr(CstPool) pool = NULL;
    g_autofree char *name = NULL;

    return cst_service_volume_by_path(call->service, path, &pool, &name, error) &&
           cst_api_fill_vol(&((wire_vol_args *)ret)->vol, pool, name, error);
}

/* --- describing ------------------------------------------------------------------------------ */

static gboolean info_with(CstApiCall *call, const wire_vol *vol, gboolean physical,
                          wire_vol_info_ret *ret, GError **error)
{
    g_autoptr(CstPool) pool = cst_api_vol_pool(call->service, vol, error);
    CstVolInfo info;

    if (!pool || !cst_vol_get_info(pool, vol->name, &info, error))
        return FALSE;
    ret->type = (char)info.type;
    ret->capacity = info.capacity;
    /* With VIR_STORAGE_VOL_GET_PHYSICAL the allocation field holds the physical size. */
    ret->allocation = physical ? info.physical : info.allocation;
    return TRUE;
}

static gboolean api_vol_get_info(CstApiCall *call, const void *args, void *ret, GError **error)
{
    return info_with(call, &((const wire_vol_args *)args)->vol, FALSE, ret, error);
}

static gboolean get_info_flags(CstApiCall *call, const void *data, void *ret, GError **error)
{
    const wire_vol_flags_args *args = data;

    return cst_flags_check(args->flags, CST_VOL_INFO_PHYSICAL, "storageVolGetInfoFlags", error) &&
           info_with(call, &args->vol, (args->flags & CST_VOL_INFO_PHYSICAL) != 0, ret, error);
}

static gboolean api_vol_get_xml(CstApiCall *call, const void *data, void *ret, GError **error)
{
    const wire_vol_flags_args *args = data;
    g_autoptr(CstPool) pool = cst_api_vol_pool(call->service, &args->vol, error);

    if (pool)
        ((wire_text *)ret)->value = cst_vol_get_xml(pool, args->vol.name, args->flags, error);
    return ((wire_text *)ret)->value != NULL;
}

static gboolean get_path(CstApiCall *call, const void *args, void *ret, GError **error)
{
    const wire_vol *vol = &((const wire_vol_args *)args)->vol;
    g_autoptr(CstPool) pool = cst_api_vol_pool(call->service, vol, error);

    if (pool)
        ((wire_text *)ret)->value = cst_vol_get_path(pool, vol->name, error);
    return ((wire_text *)ret)->value != NULL;
}

/* Like get_path(), but answers from the pool's table. */
static gboolean get_known_path(CstApiCall *call, const void *args, void *ret)
{
    const wire_vol *vol = &((const wire_vol_args *)args)->vol;
    g_autoptr(CstPool) pool = cst_api_vol_pool(call->service, vol, NULL);

    if (pool)
        ((wire_text *)ret)->value = cst_vol_known_path(pool, vol->name);
    return ((wire_text *)ret)->value != NULL;
}

/* --- changing -------------------------------------------------------------------------------- */

static gboolean api_vol_create(CstApiCall *call, const void *data, void *ret, GError **error)
{
    const wire_vol_create_args *args = data;
    g_autoptr(CstPool) pool = cst_api_pool(call->service, &args->pool, error);
    g_autofree char *name = NULL;

    return pool && cst_vol_create(pool, args->xml, args->flags, call->task, &name, error) &&
           cst_api_fill_vol(&((wire_vol_args *)ret)->vol, pool, name, error);
}

static gboolean api_vol_create_from(CstApiCall *call, const void *data, void *ret, GError **error)
{
    const wire_vol_create_from_args *args = data;
    g_autoptr(CstPool) pool = cst_api_pool(call->service, &args->pool, error);
    g_autoptr(CstPool) source = pool ? cst_api_vol_pool(call->service, &args->source, error) : NULL;
    unsigned flags = args->flags & ~(unsigned)CST_VOL_CREATE_LIVE;
    g_autofree char *name = NULL;

    if (!source)
        return FALSE;
    return (args->flags & CST_VOL_CREATE_LIVE
                ? cst_vol_create_from_live(pool, args->xml, source, args->source.name,
                                           call->session->live, flags, call->task, &name, error)
                : cst_vol_create_from(pool, args->xml, source, args->source.name, flags, call->task,
                                      &name, error)) &&
           cst_api_fill_vol(&((wire_vol_args *)ret)->vol, pool, name, error);
}

static gboolean api_vol_delete(CstApiCall *call, const void *data, void *ret, GError **error)
{
    const wire_vol_flags_args *args = data;
    g_autoptr(CstPool) pool = cst_api_vol_pool(call->service, &args->vol, error);

    return pool && cst_vol_delete(pool, args->vol.name, args->flags, call->task, error);
}

static gboolean api_vol_wipe(CstApiCall *call, const void *data, void *ret, GError **error)
{
    const wire_vol_flags_args *args = data;
    g_autoptr(CstPool) pool = cst_api_vol_pool(call->service, &args->vol, error);

    return pool &&
           cst_vol_wipe(pool, args->vol.name, CST_WIPE_ZERO, args->flags, call->task, error);
}

static gboolean wipe_pattern(CstApiCall *call, const void *data, void *ret, GError **error)
{
    const wire_vol_wipe_args *args = data;
    g_autoptr(CstPool) pool = cst_api_vol_pool(call->service, &args->vol, error);

    return pool &&
           cst_vol_wipe(pool, args->vol.name, args->algorithm, args->flags, call->task, error);
}

static gboolean api_vol_resize(CstApiCall *call, const void *data, void *ret, GError **error)
{
    const wire_vol_resize_args *args = data;
    g_autoptr(CstPool) pool = cst_api_vol_pool(call->service, &args->vol, error);

    return pool &&
           cst_vol_resize(pool, args->vol.name, args->capacity, args->flags, call->task, error);
}

static gboolean api_vol_resize_qmp(CstApiCall *call, const void *data, void *ret, GError **error)
{
    const wire_vol_resize_qmp_args *args = data;
    g_autoptr(CstPool) pool = cst_api_vol_pool(call->service, &args->vol, error);

    return pool && cst_vol_resize_qmp(pool, args->vol.name, args->capacity, args->flags,
                                      args->socket, call->task, error);
}

#define ROW(number, run, needs, ...) CST_REMOTE_PROCEDURE(number, run, needs, STORAGE, __VA_ARGS__)

static gboolean api_vol_protect(CstApiCall *call, const void *data, void *ret, GError **error)
{
    const wire_vol_flags_args *args = data;
    g_autoptr(CstPool) pool = NULL;

    if (!cst_flags_check(args->flags, WIRE_PROTECT_ON, "cisternVolProtect", error))
        return FALSE;
    pool = cst_api_vol_pool(call->service, &args->vol, error);
    return pool && cst_vol_protect(pool, args->vol.name, (args->flags & WIRE_PROTECT_ON) != 0,
                                   call->task, error);
}

static gboolean api_vol_move(CstApiCall *call, const void *data, void *ret, GError **error)
{
    const wire_vol_move_args *args = data;
    const CstVolMove how = {.name = cst_api_opt_text(args->name),
                            .format = cst_api_opt_text(args->format),
                            .flags = args->flags};
    g_autoptr(CstPool) pool = cst_api_vol_pool(call->service, &args->vol, error);
    g_autoptr(CstPool) to = pool ? cst_api_pool(call->service, &args->pool, error) : NULL;

    return to && cst_vol_move(pool, args->vol.name, to, &how, call->task, error);
}

static gboolean api_vol_rename(CstApiCall *call, const void *data, void *ret, GError **error)
{
    const wire_vol_rename_args *args = data;
    g_autoptr(CstPool) pool = cst_api_vol_pool(call->service, &args->vol, error);

    return pool && cst_vol_rename(pool, args->vol.name, args->name, call->task, error);
}

static gboolean list_protected(CstApiCall *call, const void *args, void *data, GError **error)
{
    g_autoptr(CstPool) pool =
        cst_api_pool(call->service, &((const wire_pool_args *)args)->pool, error);
    g_autoptr(GPtrArray) names = pool ? cst_pool_protected(pool, error) : NULL;
    wire_names *ret = data;

    if (!names)
        return FALSE;
    ret->names.names_val = g_new0(char *, names->len + 1);
    for (guint i = 0; i < names->len && i < WIRE_LIST_MAX; i++)
        ret->names.names_val[ret->names.names_len++] = g_strdup(g_ptr_array_index(names, i));
    return TRUE;
}

const CstProcedure cst_api_volume_procedures[] = {
    ROW(STORAGE_POOL_NUM_OF_VOLUMES, LONG, READ, "virStoragePoolNumOfVolumes", pool_args, int,
        num_of_volumes),
    ROW(STORAGE_POOL_LIST_VOLUMES, LONG, READ, "virStoragePoolListVolumes", pool_max_args, names,
        list_volumes),
    ROW(STORAGE_POOL_LIST_ALL_VOLUMES, LONG, READ, "virStoragePoolListAllVolumes", vols_args,
        vols_ret, list_all_volumes),
    CST_OWN_PROCEDURE(VOL_PROTECT, LONG, WRITE, "cisternVolProtect", vol_flags_args, void,
                      api_vol_protect),
    CST_OWN_PROCEDURE(POOL_PROTECTED, QUICK, READ, "cisternPoolProtected", pool_args, names,
                      list_protected),
    CST_OWN_PROCEDURE(VOL_RENAME, LONG, WRITE, "cisternVolRename", vol_rename_args, void,
                      api_vol_rename),
    CST_OWN_PROCEDURE(VOL_MOVE, LONG, WRITE, "cisternVolMove", vol_move_args, void, api_vol_move),
    CST_OWN_PROCEDURE(VOL_RESIZE_QMP, LONG, WRITE, "cisternVolResizeQmp", vol_resize_qmp_args, void,
                      api_vol_resize_qmp),
    CST_OWN_PROCEDURE(VOL_LIST_PAGE, LONG, READ, "cisternVolListPage", vol_page_args, vol_page_ret,
                      list_page),
    ROW(STORAGE_VOL_LOOKUP_BY_NAME, LONG, READ, "virStorageVolLookupByName", vol_by_name_args,
        vol_args, api_vol_by_name, .from_memory = by_known_name),
    ROW(STORAGE_VOL_LOOKUP_BY_KEY, LONG, READ, "virStorageVolLookupByKey", text, vol_args,
        api_vol_by_key),
    ROW(STORAGE_VOL_LOOKUP_BY_PATH, LONG, READ, "virStorageVolLookupByPath", text, vol_args,
        by_path),
    ROW(STORAGE_VOL_GET_INFO, LONG, READ, "virStorageVolGetInfo", vol_args, vol_info_ret,
        api_vol_get_info),
    ROW(STORAGE_VOL_GET_INFO_FLAGS, LONG, READ, "virStorageVolGetInfoFlags", vol_flags_args,
        vol_info_ret, get_info_flags),
    ROW(STORAGE_VOL_GET_XML_DESC, LONG, READ, "virStorageVolGetXMLDesc", vol_flags_args, text,
        api_vol_get_xml),
    ROW(STORAGE_VOL_GET_PATH, LONG, READ, "virStorageVolGetPath", vol_args, text, get_path,
        .from_memory = get_known_path),
    ROW(STORAGE_VOL_CREATE_XML, LONG, WRITE, "virStorageVolCreateXML", vol_create_args, vol_args,
        api_vol_create),
    ROW(STORAGE_VOL_CREATE_XML_FROM, LONG, WRITE, "virStorageVolCreateXMLFrom",
        vol_create_from_args, vol_args, api_vol_create_from),
    ROW(STORAGE_VOL_DELETE, LONG, WRITE, "virStorageVolDelete", vol_flags_args, void,
        api_vol_delete),
    ROW(STORAGE_VOL_WIPE, LONG, WRITE, "virStorageVolWipe", vol_flags_args, void, api_vol_wipe),
    ROW(STORAGE_VOL_WIPE_PATTERN, LONG, WRITE, "virStorageVolWipePattern", vol_wipe_args, void,
        wipe_pattern),
    ROW(STORAGE_VOL_RESIZE, LONG, WRITE, "virStorageVolResize", vol_resize_args, void,
        api_vol_resize),
    {0},
};
