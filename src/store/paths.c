/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The layouts of files below a root. They have libvirt's names, so that libvirt's daemons and ours
 * find each other's files. Files that libvirt does not have are in var/lib/cistern.
 */
#include <store/paths.h>

#include <unistd.h>

static void set_system_layout(CstPaths *paths, const char *root)
{
    paths->etc_dir = g_build_filename(root, "etc", NULL);
    paths->pool_dir = g_build_filename(root, "etc/libvirt/storage", NULL);
    paths->secret_dir = g_build_filename(root, "etc/libvirt/secrets", NULL);
    paths->run_dir = g_build_filename(root, "run/libvirt", NULL);
    paths->pool_run_dir = g_build_filename(paths->run_dir, "storage", NULL);
    paths->secret_run_dir = g_build_filename(paths->run_dir, "secrets", NULL);
    paths->data_dir = g_build_filename(root, "var/lib/cistern", NULL);
    paths->socket_ro = g_build_filename(paths->run_dir, "virtstoraged-sock-ro", NULL);
    paths->secret_socket_ro = g_build_filename(paths->run_dir, "virtsecretd-sock-ro", NULL);
}

static void set_session_layout(CstPaths *paths)
{
    const char *config = g_get_user_config_dir();

    paths->session = TRUE;
    paths->etc_dir = g_strdup("/etc");
    paths->pool_dir = g_build_filename(config, "libvirt/storage", NULL);
    paths->secret_dir = g_build_filename(config, "libvirt/secrets", NULL);
    paths->run_dir = g_build_filename(g_get_user_runtime_dir(), "libvirt", NULL);
    /* libvirt's session drivers have an additional directory level. */
    paths->pool_run_dir = g_build_filename(paths->run_dir, "storage/run", NULL);
    paths->secret_run_dir = g_build_filename(paths->run_dir, "secrets/run", NULL);
    paths->data_dir = g_build_filename(g_get_user_data_dir(), "cistern", NULL);
}

CstPaths *cst_paths_new(const char *root)
{
    CstPaths *paths = g_new0(CstPaths, 1);

    /*
     * With --root an unprivileged user also has the system layout, below a directory of that user.
     */
    if (root) {
        paths->root = g_canonicalize_filename(root, NULL);
        set_system_layout(paths, paths->root);
    } else if (geteuid() == 0) {
        set_system_layout(paths, "/");
    } else {
        set_session_layout(paths);
    }
    paths->autostart_dir = g_build_filename(paths->pool_dir, "autostart", NULL);
    paths->system_token = g_build_filename(paths->run_dir, "common/system.token", NULL);
    paths->socket = g_build_filename(paths->run_dir, "virtstoraged-sock", NULL);
    paths->secret_socket = g_build_filename(paths->run_dir, "virtsecretd-sock", NULL);
    return paths;
}

char *cst_paths_daemon_config(const CstPaths *paths)
{
    if (paths->session)
        return g_build_filename(g_get_user_config_dir(), "cistern", "cisternd.conf", NULL);
    return g_build_filename(paths->root ? paths->root : "/", "etc/cistern/cisternd.conf", NULL);
}

char *cst_paths_packaged_config(const CstPaths *paths)
{
    if (paths->session)
        return NULL;
    return g_build_filename(paths->root ? paths->root : "/", "usr/lib/cistern/cisternd.conf", NULL);
}

/* Returns a directory of Cistern below /run, which the caller frees. */
static char *paths_run_dir(const CstPaths *paths, const char *name)
{
    g_autofree char *parent = g_path_get_dirname(paths->run_dir);

    return g_build_filename(parent, "cistern", name, NULL);
}

char *cst_paths_pause_dir(const CstPaths *paths)
{
    return paths_run_dir(paths, "pause");
}

char *cst_paths_backup_dir(const CstPaths *paths)
{
    return paths_run_dir(paths, "backup");
}

char *cst_paths_promise_dir(const CstPaths *paths)
{
    return paths_run_dir(paths, "promise");
}

char *cst_paths_block_job_dir(const CstPaths *paths)
{
    return paths_run_dir(paths, "block-job");
}

char *cst_paths_scratch_dir(const CstPaths *paths)
{
    /* QEMU's user cannot search data_dir, whose mode is 0700. */
    return g_strconcat(paths->data_dir, "-scratch", NULL);
}

CstPaths *cst_paths_copy(const CstPaths *paths)
{
    CstPaths *copy = g_new0(CstPaths, 1);

    *copy = (CstPaths){
        .root = g_strdup(paths->root),
        .session = paths->session,
        .etc_dir = g_strdup(paths->etc_dir),
        .pool_dir = g_strdup(paths->pool_dir),
        .autostart_dir = g_strdup(paths->autostart_dir),
        .pool_run_dir = g_strdup(paths->pool_run_dir),
        .secret_dir = g_strdup(paths->secret_dir),
        .secret_run_dir = g_strdup(paths->secret_run_dir),
        .system_token = g_strdup(paths->system_token),
        .data_dir = g_strdup(paths->data_dir),
        .run_dir = g_strdup(paths->run_dir),
        .socket = g_strdup(paths->socket),
        .socket_ro = g_strdup(paths->socket_ro),
        .secret_socket = g_strdup(paths->secret_socket),
        .secret_socket_ro = g_strdup(paths->secret_socket_ro),
    };
    return copy;
}

void cst_paths_free(CstPaths *paths)
{
    if (!paths)
        return;
    g_free(paths->root);
    g_free(paths->etc_dir);
    g_free(paths->pool_dir);
    g_free(paths->autostart_dir);
    g_free(paths->pool_run_dir);
    g_free(paths->secret_dir);
    g_free(paths->secret_run_dir);
    g_free(paths->system_token);
    g_free(paths->data_dir);
    g_free(paths->run_dir);
    g_free(paths->socket);
    g_free(paths->socket_ro);
    g_free(paths->secret_socket);
    g_free(paths->secret_socket_ro);
    g_free(paths);
}
