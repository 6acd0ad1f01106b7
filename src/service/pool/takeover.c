/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Reports the definitions, of libvirt or of an earlier version, that this daemon would not load.
 * Used before the daemon replaces another one on a host. Therefore it changes no files and acquires
 * no lock: the current manager of the definitions may hold it.
 */
#include <service/takeover.h>

#include <base/i18n.h>
#include <pool/registry.h>
#include <store/pool_files.h>

/*
 * Returns NULL if the definition in @path would be loaded and its type has a backend. The caller
 * frees the result.
 */
static char *takeover_problem(const char *path)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(CstPoolDef) def = cst_pool_file_read(path, &error);

    if (!def)
        return g_strdup_printf(_("'%s' would not be loaded: %s"), path, error->message);
    if (cst_backend_exists(def->type))
        return NULL;
    return g_strdup_printf(_("pool '%s' would not start: there is no backend for pools of type %s "
                             "yet"),
                           def->name, cst_pool_type_name(def->type));
}

GPtrArray *cst_takeover_definitions(const CstPaths *paths, guint *ret_count)
{
    GPtrArray *problems = g_ptr_array_new_with_free_func(g_free);
    GDir *dir = g_dir_open(paths->pool_dir, 0, NULL);
    const char *name;

    *ret_count = 0;
    while (dir && (name = g_dir_read_name(dir))) {
        g_autofree char *path = g_build_filename(paths->pool_dir, name, NULL);
        char *problem;

        if (!g_str_has_suffix(name, ".xml") || !g_file_test(path, G_FILE_TEST_IS_REGULAR))
            continue;
        ++*ret_count;
        problem = takeover_problem(path);
        if (problem)
            g_ptr_array_add(problems, problem);
    }
    if (dir)
        g_dir_close(dir);
    return problems;
}
