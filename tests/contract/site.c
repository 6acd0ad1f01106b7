/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "contract.h"

#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <base/child.h>
#include <base/file.h>

#include "await.h"

void assert_no_error(GError *error)
{
    if (error)
        fail_msg("%s", error->message);
}

void assert_error(GError **error, int code)
{
    assert_error_says(error, code, "");
}

void assert_error_says(GError **error, int code, const char *words)
{
    assert_non_null(*error);
    if ((*error)->code != code)
        fail_msg("code %d instead of %d: %s", (*error)->code, code, (*error)->message);
    if (!strstr((*error)->message, words))
        fail_msg("'%s' does not say '%s'", (*error)->message, words);
    g_clear_error(error);
}

gboolean site_has(const Site *site, unsigned flag)
{
    return (site->ground->flags & flag) != 0;
}

/* As with libvirt, who has no snapshots does not know the flag. */
unsigned site_delete_flags(const Site *site)
{
    return site_has(site, GROUND_SNAPSHOTS) ? CST_VOL_DELETE_WITH_SNAPSHOTS : 0;
}

void site_stop_service(Site *site)
{
    g_clear_pointer(&site->pool, cst_pool_unref);
    g_clear_pointer(&site->service, cst_service_free);
}

void site_start_service(Site *site)
{
    g_autoptr(GError) error = NULL;

    site->service = cst_service_new(site->paths, CST_SERVICE_DAEMON, &error);
    assert_no_error(error);
    cst_service_start(site->service);
    site->pool = cst_service_pool_by_name(site->service, "p", NULL);
}

void site_restart(Site *site)
{
    site_stop_service(site);
    site_start_service(site);
    assert_non_null(site->pool);
}

CstPool *site_make_pool(Site *site, const char *name)
{
    g_autofree char *xml = site->ground->pool_xml(name);

    return site_make_pool_of(site, xml);
}

CstPool *site_make_pool_of(Site *site, const char *xml)
{
    g_autoptr(GError) error = NULL;
    CstPool *pool = cst_service_pool_define(site->service, xml, 0, &error);

    assert_no_error(error);
    cst_pool_build(pool, 0, NULL, &error);
    assert_no_error(error);
    cst_pool_start(pool, 0, NULL, &error);
    assert_no_error(error);
    return pool;
}

void site_wait_active(CstPool *pool)
{
    AWAIT_STATE(cst_pool_is_active(pool), "pool '%s', problem: %s", cst_pool_name(pool),
                cst_pool_get_problem(pool));
}

CstPoolState *site_open_state(Site *site)
{
    g_autofree char *xml = site->ground->pool_xml("p");
    g_autoptr(CstPoolDef) def = cst_pool_def_parse(xml, 0, NULL);
    g_autoptr(GError) error = NULL;
    CstPoolState *state = cst_pool_state_open(def, NULL, &error);

    assert_no_error(error);
    return state;
}

char *site_trash_xml(Site *site)
{
    g_autofree char *xml = cst_pool_get_xml(site->pool, CST_STORAGE_XML_INACTIVE, NULL);
    char *end = xml ? strstr(xml, "</pool>") : NULL;

    g_assert(end); /* which the analyzer knows, as it does not know cmocka's */
    *end = '\0';
    return g_strconcat(xml, "<c:trash xmlns:c='urn:cistern:storage:1.0' days='7'/></pool>", NULL);
}

void site_keep_deleted(Site *site)
{
    g_autofree char *xml = site_trash_xml(site);
    g_autoptr(GError) error = NULL;
    g_autoptr(CstPool) pool = cst_service_pool_define(site->service, xml, 0, &error);

    assert_no_error(error);
    assert_non_null(pool);
}

gboolean site_links_depend(Site *site)
{
    g_autoptr(CstPoolState) state = site_open_state(site);

    return site_has(site, GROUND_CLONES_DEPEND) || cst_pool_state_holds_images(state);
}

char *site_native(Site *site, const char *pool)
{
    char **names = site->ground->native_list(pool);
    char *text = g_strjoinv(" ", names);

    g_strfreev(names);
    return text;
}

static GPid holder;

void site_hold(const char *path)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);

    assert_true(fd >= 0);
    site_hold_fd(fd);
}

void site_hold_fd(int taken)
{
    static const char *const argv[] = {"sleep", "infinity", NULL};
    g_auto(CstFd) fd = taken;
    g_autoptr(GError) error = NULL;

    g_spawn_async_with_fds(NULL, (char **)argv, NULL,
                           G_SPAWN_SEARCH_PATH | G_SPAWN_DO_NOT_REAP_CHILD, NULL, NULL, &holder, fd,
                           STDOUT_FILENO, STDERR_FILENO, &error);
    assert_no_error(error);
}

void site_release(void)
{
    kill(holder, SIGKILL);
    assert_int_equal(waitpid(holder, NULL, 0), holder);
}

char **site_shell(const char *line, const char *one, const char *two)
{
    const char *argv[] = {"sh", "-c", line, "sh", one, two, NULL};
    CstChild child = {.argv = argv, .timeout_s = 120};
    g_auto(CstChildResult) result = {0};
    g_autoptr(GError) error = NULL;

    cst_child_run(&child, NULL, &result, &error);
    assert_no_error(error);
    if (result.status != 0)
        fail_msg("%s: %s", line, result.err);
    g_strstrip(g_strdelimit(result.out, "\n", ' '));
    return g_strsplit(result.out, " ", *result.out ? -1 : 1);
}

int site_set_up(void **state)
{
    Site *site = g_new0(Site, 1);

    site->ground = *state;
    site->root = g_dir_make_tmp("cistern-contract-XXXXXX", NULL);
    site->paths = cst_paths_new(site->root);
    *state = site;
    site->ground->clean("p");
    site_start_service(site);
    site->pool = site_make_pool(site, "p");
    return 0;
}

int site_tear_down(void **state)
{
    Site *site = *state;
    const char *argv[] = {"rm", "-rf", site->root, NULL};
    CstChild child = {.argv = argv};
    g_auto(CstChildResult) result = {0};

    site_stop_service(site);
    site->ground->clean("p");
    site->ground->clean("q");
    assert_true(cst_child_run(&child, NULL, &result, NULL));
    cst_paths_free(site->paths);
    g_free(site->root);
    g_free(site);
    return 0;
}
