/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "iscsi_site.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include <unistd.h>

#include <base/error.h>
#include <base/file.h>

#include "iscsi/iscsi.h"

static char *etc;

char *site_xml(const char *more, const char *options)
{
    return g_strdup_printf("<pool type='iscsi'><name>p</name><source>%s<device path='" IQN "'/>"
                           "</source><target><path>/dev/disk/by-path</path></target>%s</pool>",
                           more, options);
}

CstPoolState *site_pool(const char *more)
{
    g_autofree char *xml = site_xml(more, "");

    return fake_pool(xml);
}

int site_set_up(void **state)
{
    g_autofree char *path = NULL, *tool = NULL;

    fake_sysfs_set_up(state);
    kernel_put("/etc/iscsi/ifaces/none", "");
    kernel_drop("/etc/iscsi/ifaces/none");
    kernel_put("/offers", "127.0.0.1:3260,7 " IQN "\n127.0.0.2:3260,8 " IQN "\n");
    kernel_put("/bin/x", "");
    tool = g_strconcat(kernel_folder, "/bin/iscsiadm", NULL);
    assert_int_equal(symlink(FAKE_ISCSIADM, tool), 0);
    path = g_strdup_printf("%s/bin:/usr/bin:/bin", kernel_folder);
    g_setenv("PATH", path, TRUE);
    g_setenv("FAKE_ROOT", kernel_folder, TRUE);
    etc = g_strconcat(kernel_folder, "/etc/iscsi", NULL);
    iscsi_host = (IscsiHost){.config = "/etc/iscsi",
                             .databases = {etc, "/nowhere"},
                             .discover_s = 20,
                             .login_s = 20,
                             .change_s = 20,
                             .gone_s = 300};
    return 0;
}

int site_tear_down(void **state)
{
    g_clear_pointer(&etc, g_free);
    return fake_sysfs_tear_down(state);
}

void site_lie(const char *operation, const char *how)
{
    g_autofree char *path = g_strconcat("/lie/", operation, NULL);

    kernel_put(path, how);
}

char *site_read(const char *path)
{
    g_autofree char *file = g_strconcat(kernel_folder, path, NULL);
    char *text = NULL;

    g_file_get_contents(file, &text, NULL, NULL);
    return text ? text : g_strdup("");
}

static gint compare_texts(gconstpointer a, gconstpointer b, gpointer unused)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

char *site_list(const char *path)
{
    g_auto(GStrv) names = cst_kernel_list(path);

    g_qsort_with_data(names, (gint)g_strv_length(names), sizeof(char *), compare_texts, NULL);
    return g_strjoinv(" ", names);
}

void assert_list(const char *path, const char *wanted)
{
    g_autofree char *names = site_list(path);

    assert_string_equal(names, wanted);
}

char *site_calls(void)
{
    char *text = site_read("/log");

    kernel_put("/log", "");
    return text;
}

void assert_nothing_left(void)
{
    assert_list("/sys/class/iscsi_session", "");
    assert_list("/etc/iscsi/ifaces", "");
    assert_list("/etc/iscsi/nodes", "");
}

void site_start(CstPoolState *pool)
{
    g_autoptr(GError) error = NULL;

    cst_pool_state_start(pool, &error);
    assert_null(error);
}

void site_stop(CstPoolState *pool)
{
    g_autoptr(GError) error = NULL;

    cst_pool_state_stop(pool, &error);
    assert_null(error);
}

void assert_start_fails(CstPoolState *pool, int code, const char *words)
{
    g_autoptr(GError) error = NULL;

    assert_false(cst_pool_state_start(pool, &error));
    if (!strstr(error->message, words))
        fail_msg("'%s' is not in: %s", words, error->message);
    assert_int_equal(error->code, code);
}

gboolean site_is_active(CstPoolState *pool)
{
    gboolean active;

    assert_true(cst_pool_state_check(pool, &active, NULL));
    return active;
}

void site_set_state(unsigned sid, const char *state)
{
    g_autofree char *path = g_strdup_printf(
        "/sys/devices/platform/host%u/session%u/iscsi_session/session%u/state", sid + 10, sid, sid);

    kernel_put(path, state);
}
