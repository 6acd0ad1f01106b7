/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <store/paths.h>

#include <unistd.h>

static void set_system_layout(CstPaths *paths, const char *root)
{
    paths->pool_dir = g_build_filename(root, "etc/libvirt/storage", NULL);
    paths->secret_dir = g_build_filename(root, "etc/libvirt/secrets", NULL);
    paths->run_dir = g_build_filename(root, "run/libvirt", NULL);
    paths->pool_run_dir = g_build_filename(paths->run_dir, "storage", NULL);
    paths->data_dir = g_build_filename(root, "var/lib/cistern", NULL);
    paths->socket_ro = g_build_filename(paths->run_dir, "virtstoraged-sock-ro", NULL);
}

static void set_session_layout(CstPaths *paths)
{
    const char *config = g_get_user_config_dir();

    paths->session = TRUE;
    paths->pool_dir = g_build_filename(config, "libvirt/storage", NULL);
    paths->secret_dir = g_build_filename(config, "libvirt/secrets", NULL);
    paths->run_dir = g_build_filename(g_get_user_runtime_dir(), "libvirt", NULL);
    paths->pool_run_dir = g_build_filename(paths->run_dir, "storage/run", NULL);
    paths->data_dir = g_build_filename(g_get_user_data_dir(), "cistern", NULL);
}

CstPaths *cst_paths_new(const char *root)
{
    CstPaths *paths = g_new0(CstPaths, 1);

    if (root) {
        paths->root = g_canonicalize_filename(root, NULL);
        set_system_layout(paths, paths->root);
    } else if (geteuid() == 0) {
        set_system_layout(paths, "/");
    } else {
        set_session_layout(paths);
    }
    paths->autostart_dir = g_build_filename(paths->pool_dir, "autostart", NULL);
    paths->socket = g_build_filename(paths->run_dir, "virtstoraged-sock", NULL);
    return paths;
}

void cst_paths_free(CstPaths *paths)
{
    if (!paths)
        return;
    g_free(paths->root);
    g_free(paths->pool_dir);
    g_free(paths->autostart_dir);
    g_free(paths->pool_run_dir);
    g_free(paths->secret_dir);
    g_free(paths->data_dir);
    g_free(paths->run_dir);
    g_free(paths->socket);
    g_free(paths->socket_ro);
    g_free(paths);
}
