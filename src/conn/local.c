/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "local_private.h"

#include <stdio.h>

#include <base/error.h>
#include <base/i18n.h>
#include <service/host.h>

gpointer cst_local_open(const CstPaths *paths, GError **error)
{
    g_autoptr(CstService) service = cst_service_new(paths, CST_SERVICE_EMBEDDED, error);
    CstLocal *local;

    if (!service)
        return NULL;
    local = g_new0(CstLocal, 1);
    local->service = g_steal_pointer(&service);
    local->root = g_strdup(paths->root);
    local->event_fd = -1;
    cst_event_box_init(&local->events);
    return local;
}

static void local_close(gpointer self)
{
    CstLocal *local = self;

    cst_local_events_clear(local);
    cst_service_free(local->service);
    g_free(local->root);
    g_free(local);
}

static char *local_uri(gpointer self, GError **error)
{
    CstLocal *local = self;
    g_autofree char *root =
        local->root ? g_uri_escape_string(local->root, G_URI_RESERVED_CHARS_ALLOWED_IN_PATH, FALSE)
                    : NULL;

    return root ? g_strconcat("storage:///embed?root=", root, NULL) : g_strdup("storage:///embed");
}

static char *local_hostname(gpointer self, GError **error)
{
    return g_strdup(g_get_host_name());
}

static char *local_type(gpointer self, GError **error)
{
    return g_strdup("storage");
}

static gboolean local_version(gpointer self, uint64_t *ret, GError **error)
{
    unsigned major = 0, minor = 0, micro = 0;

    if (sscanf(CST_VERSION, "%u.%u.%u", &major, &minor, &micro) < 2)
        return cst_fail(error, CST_ERROR_INTERNAL, _("cannot read version '%s'"), CST_VERSION);
    *ret = (uint64_t)major * 1000000 + minor * 1000 + micro;
    return TRUE;
}

static char *local_capabilities(gpointer self, GError **error)
{
    return cst_service_capabilities(((CstLocal *)self)->service, error);
}

/** As cisternd answers it: the libvirt release whose calls are here. */
static gboolean local_lib_version(gpointer self, uint64_t *ret, GError **error)
{
    *ret = CST_LIBVIRT_GENERATION;
    return TRUE;
}

const CstConnOps cst_local_ops = {
    .embedded = TRUE,
    .close = local_close,
    .uri = local_uri,
    .hostname = local_hostname,
    .type = local_type,
    .lib_version = local_lib_version,
    .hv_version = local_version,
    .capabilities = local_capabilities,
    .pool_list = cst_local_pool_list,
    .pool_by_name = cst_local_pool_by_name,
    .pool_by_uuid = cst_local_pool_by_uuid,
    .pool_by_target = cst_local_pool_by_target,
    .pool_define = cst_local_pool_define,
    .pool_create = cst_local_pool_create,
    .pool_undefine = cst_local_pool_undefine,
    .pool_build = cst_local_pool_build,
    .pool_start = cst_local_pool_start,
    .pool_stop = cst_local_pool_stop,
    .pool_delete = cst_local_pool_delete,
    .pool_refresh = cst_local_pool_refresh,
    .pool_set_autostart = cst_local_pool_set_autostart,
    .pool_get_autostart = cst_local_pool_get_autostart,
    .pool_is_active = cst_local_pool_is_active,
    .pool_is_persistent = cst_local_pool_is_persistent,
    .pool_info = cst_local_pool_info,
    .pool_problem = cst_local_pool_problem,
    .pool_thin = cst_local_pool_thin,
    .pool_xml = cst_local_pool_xml,
    .pool_count_volumes = cst_local_pool_count_volumes,
    .find_sources = cst_local_find_sources,
    .pool_capabilities = cst_local_pool_capabilities,
    .vol_list = cst_local_vol_list,
    .vol_by_name = cst_local_vol_by_name,
    .vol_by_key = cst_local_vol_by_key,
    .vol_by_path = cst_local_vol_by_path,
    .pool_of_vol = cst_local_pool_of_vol,
    .vol_path = cst_local_vol_path,
    .vol_xml = cst_local_vol_xml,
    .vol_info = cst_local_vol_info,
    .vol_create = cst_local_vol_create,
    .vol_create_from = cst_local_vol_create_from,
    .vol_delete = cst_local_vol_delete,
    .vol_wipe = cst_local_vol_wipe,
    .vol_resize = cst_local_vol_resize,
    .vol_upload = cst_local_vol_upload,
    .vol_download = cst_local_vol_download,
    .vol_chain = cst_local_vol_chain,
    .vol_holders = cst_local_vol_holders,
    .vol_check = cst_local_vol_check,
    .vol_flatten = cst_local_vol_flatten,
    .vol_commit = cst_local_vol_commit,
    .vol_sparsify = cst_local_vol_sparsify,
    .vol_convert = cst_local_vol_convert,
    .vol_rebase = cst_local_vol_rebase,
    .vol_declare = cst_local_vol_declare,
    .vol_problems = cst_local_vol_problems,
    .pool_follow = cst_local_pool_follow,
    .vol_compare = cst_local_vol_compare,
    .vol_measure = cst_local_vol_measure,
    .vol_map = cst_local_vol_map,
    .vol_bitmap = cst_local_vol_bitmap,
    .job_list = cst_local_job_list,
    .job_info = cst_local_job_info,
    .job_cancel = cst_local_job_cancel,
    .job_set_limit = cst_local_job_set_limit,
    .snapshot_list = cst_local_snapshot_list,
    .snapshot_create = cst_local_snapshot_create,
    .snapshot_revert = cst_local_snapshot_revert,
    .snapshot_delete = cst_local_snapshot_delete,
    .snapshot_rename = cst_local_snapshot_rename,
    .snapshot_clone = cst_local_snapshot_clone,
    .secret_list = cst_local_secret_list,
    .secret_by_uuid = cst_local_secret_by_uuid,
    .secret_by_usage = cst_local_secret_by_usage,
    .secret_define = cst_local_secret_define,
    .secret_undefine = cst_local_secret_undefine,
    .secret_xml = cst_local_secret_xml,
    .secret_set_value = cst_local_secret_set_value,
    .secret_get_value = cst_local_secret_get_value,
    .subscribe = cst_local_subscribe,
    .unsubscribe = cst_local_unsubscribe,
    .wait_events = cst_local_wait_events,
};
