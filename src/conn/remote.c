/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <base/error.h>
#include <base/file.h>
#include <base/i18n.h>

#include "remote_private.h"

/* As virsh: half a minute without a sign of life ends the connection. */
#define PING_MS    5000
#define PING_COUNT 6

/* --- reaching the server --------------------------------------------------------------------- */

/** ssh's standard input and output are one socket; its errors go to the user's terminal. */
static CstWireClient *connect_ssh(const CstConnUri *uri, GPid *ret_pid, GError **error)
{
    g_auto(GStrv) argv = cst_conn_uri_ssh_argv(uri);
    g_autoptr(GError) why = NULL;
    int pair[2];
    gboolean ok;

    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0) {
        cst_fail_errno(error, errno, _("cannot make a socket"));
        return NULL;
    }
    ok = g_spawn_async_with_pipes_and_fds(
        NULL, (const char *const *)argv, NULL, G_SPAWN_SEARCH_PATH | G_SPAWN_DO_NOT_REAP_CHILD,
        NULL, NULL, pair[1], pair[1], -1, NULL, NULL, 0, ret_pid, NULL, NULL, NULL, &why);
    close(pair[1]);
    if (!ok) {
        close(pair[0]);
        cst_fail(error, CST_ERROR_UNREACHABLE, _("cannot run '%s': %s"), argv[0], why->message);
        return NULL;
    }
    return cst_wire_client_new(pair[0]);
}

/** The socket is closed by now, which ssh takes as its end; one that does not is told so. */
static void reap_ssh(GPid pid)
{
    for (int tries = 0; tries < 100; tries++) {
        if (waitpid(pid, NULL, WNOHANG) != 0)
            return;
        if (tries == 50)
            kill(pid, SIGTERM);
        g_usleep(10 * 1000);
    }
    kill(pid, SIGKILL);
    waitpid(pid, NULL, 0);
}

static void remote_close(gpointer self)
{
    CstRemote *remote = self;

    cst_wire_client_free(remote->client);
    cst_remote_events_clear(remote);
    if (remote->ssh)
        reap_ssh(remote->ssh);
    g_free(remote->asked);
    g_free(remote);
}

gpointer cst_remote_open(const CstConnUri *uri, const char *asked, gboolean read_only,
                         gboolean *ret_reached, GError **error)
{
    CstRemote *remote;
    GPid ssh = 0;
    CstWireClient *client = uri->target == CST_URI_SSH
                                ? connect_ssh(uri, &ssh, error)
                                : cst_wire_client_connect(uri->socket, error);

    *ret_reached = client != NULL;
    if (!client)
        return NULL;
    remote = g_new0(CstRemote, 1);
    remote->client = client;
    remote->asked = g_strdup(asked);
    remote->ssh = ssh;
    cst_remote_events_init(remote);
    cst_wire_client_set_keepalive(client, PING_MS, PING_COUNT);
    if (cst_wire_client_authenticate(client, error) &&
        cst_wire_client_open(client, uri->name, read_only ? CST_WIRE_OPEN_RO : 0, error))
        return remote;
    if (ssh && cst_wire_client_broken(client))
        g_prefix_error(error, _("ssh to '%s', socket '%s' there: "), uri->host, uri->socket);
    remote_close(remote);
    return NULL;
}

/* --- about the connection -------------------------------------------------------------------- */

static char *remote_uri(gpointer self, GError **error)
{
    CstRemote *remote = self;

    return remote->asked ? g_strdup(remote->asked)
                         : cst_remote_text(remote, WIRE_PROC_CONNECT_GET_URI, NULL, NULL, error);
}

static char *remote_hostname(gpointer self, GError **error)
{
    return cst_remote_text(self, WIRE_PROC_CONNECT_GET_HOSTNAME, NULL, NULL, error);
}

static char *remote_type(gpointer self, GError **error)
{
    return cst_remote_text(self, WIRE_PROC_CONNECT_GET_TYPE, NULL, NULL, error);
}

static char *remote_capabilities(gpointer self, GError **error)
{
    return cst_remote_text(self, WIRE_PROC_CONNECT_GET_CAPABILITIES, NULL, NULL, error);
}

static gboolean ask_version(CstRemote *remote, int number, uint64_t *ret, GError **error)
{
    wire_hyper version = {0};

    if (!cst_remote_call(remote, number, NULL, NULL, xdr_wire_hyper, &version, error))
        return FALSE;
    *ret = version.value;
    return TRUE;
}

static gboolean remote_lib_version(gpointer self, uint64_t *ret, GError **error)
{
    return ask_version(self, WIRE_PROC_CONNECT_GET_LIB_VERSION, ret, error);
}

static gboolean remote_hv_version(gpointer self, uint64_t *ret, GError **error)
{
    return ask_version(self, WIRE_PROC_CONNECT_GET_VERSION, ret, error);
}

const CstConnOps cst_remote_ops = {
    .embedded = FALSE,
    .close = remote_close,
    .uri = remote_uri,
    .hostname = remote_hostname,
    .type = remote_type,
    .lib_version = remote_lib_version,
    .hv_version = remote_hv_version,
    .capabilities = remote_capabilities,
    .pool_list = cst_remote_pool_list,
    .pool_by_name = cst_remote_pool_by_name,
    .pool_by_uuid = cst_remote_pool_by_uuid,
    .pool_by_target = cst_remote_pool_by_target,
    .pool_define = cst_remote_pool_define,
    .pool_create = cst_remote_pool_create,
    .pool_undefine = cst_remote_pool_undefine,
    .pool_build = cst_remote_pool_build,
    .pool_start = cst_remote_pool_start,
    .pool_stop = cst_remote_pool_stop,
    .pool_delete = cst_remote_pool_delete,
    .pool_refresh = cst_remote_pool_refresh,
    .pool_set_autostart = cst_remote_pool_set_autostart,
    .pool_get_autostart = cst_remote_pool_get_autostart,
    .pool_is_active = cst_remote_pool_is_active,
    .pool_is_persistent = cst_remote_pool_is_persistent,
    .pool_info = cst_remote_pool_info,
    .pool_problem = cst_remote_pool_problem,
    .pool_thin = cst_remote_pool_thin,
    .pool_xml = cst_remote_pool_xml,
    .pool_count_volumes = cst_remote_pool_count_volumes,
    .find_sources = cst_remote_find_sources,
    .pool_capabilities = cst_remote_pool_capabilities,
    .vol_list = cst_remote_vol_list,
    .vol_by_name = cst_remote_vol_by_name,
    .vol_by_key = cst_remote_vol_by_key,
    .vol_by_path = cst_remote_vol_by_path,
    .pool_of_vol = cst_remote_pool_of_vol,
    .vol_path = cst_remote_vol_path,
    .vol_xml = cst_remote_vol_xml,
    .vol_info = cst_remote_vol_info,
    .vol_create = cst_remote_vol_create,
    .vol_create_from = cst_remote_vol_create_from,
    .vol_delete = cst_remote_vol_delete,
    .vol_wipe = cst_remote_vol_wipe,
    .vol_resize = cst_remote_vol_resize,
    .vol_upload = cst_remote_vol_upload,
    .vol_download = cst_remote_vol_download,
    .vol_chain = cst_remote_vol_chain,
    .vol_holders = cst_remote_vol_holders,
    .vol_check = cst_remote_vol_check,
    .vol_flatten = cst_remote_vol_flatten,
    .vol_commit = cst_remote_vol_commit,
    .vol_sparsify = cst_remote_vol_sparsify,
    .vol_convert = cst_remote_vol_convert,
    .vol_rebase = cst_remote_vol_rebase,
    .vol_declare = cst_remote_vol_declare,
    .vol_problems = cst_remote_vol_problems,
    .pool_follow = cst_remote_pool_follow,
    .vol_compare = cst_remote_vol_compare,
    .vol_measure = cst_remote_vol_measure,
    .vol_map = cst_remote_vol_map,
    .vol_bitmap = cst_remote_vol_bitmap,
    .job_list = cst_remote_job_list,
    .job_info = cst_remote_job_info,
    .job_cancel = cst_remote_job_cancel,
    .job_set_limit = cst_remote_job_set_limit,
    .set_detach = cst_remote_set_detach,
    .set_dry_run = cst_remote_set_dry_run,
    .snapshot_list = cst_remote_snapshot_list,
    .snapshot_create = cst_remote_snapshot_create,
    .snapshot_revert = cst_remote_snapshot_revert,
    .snapshot_delete = cst_remote_snapshot_delete,
    .snapshot_rename = cst_remote_snapshot_rename,
    .snapshot_clone = cst_remote_snapshot_clone,
    .secret_list = cst_remote_secret_list,
    .secret_by_uuid = cst_remote_secret_by_uuid,
    .secret_by_usage = cst_remote_secret_by_usage,
    .secret_define = cst_remote_secret_define,
    .secret_undefine = cst_remote_secret_undefine,
    .secret_xml = cst_remote_secret_xml,
    .secret_set_value = cst_remote_secret_set_value,
    .secret_get_value = cst_remote_secret_get_value,
    .subscribe = cst_remote_subscribe,
    .unsubscribe = cst_remote_unsubscribe,
    .wait_events = cst_remote_wait_events,
};
