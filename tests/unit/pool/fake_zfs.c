/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "fake_zfs.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <cmocka.h>

/* Only a hanging tool gets a short timeout, because a busy host must not cause a failure. */
void fake_lie(const char *verb, const char *how)
{
    g_autofree char *name = g_strconcat("lie/", verb, NULL);

    zfs_host.report_s = zfs_host.change_s = 60;
    if (strcmp(how, "hang") == 0 || strcmp(how, "stall") == 0)
        *(strcmp(verb, "list") == 0 || strcmp(verb, "send") == 0 ? &zfs_host.report_s
                                                                 : &zfs_host.change_s) = 1;
    fake_put(name, how);
}

/* --- existing objects ------------------------------------------------------------------------- */

static char *file_of(const char *folder, const char *name)
{
    g_autofree char *escaped = g_strdelimit(g_strdup(name), "/", '%');

    return g_strdup_printf("%s/%s", folder, escaped);
}

void fake_add_as(const char *dataset, const char *origin, const char *mark)
{
    static unsigned guid = 5000;
    g_autofree char *file = file_of("sets", dataset);
    g_autofree char *device = zfs_device_of(dataset);
    g_autofree char *folder = g_path_get_dirname(device);
    g_autofree char *text = g_strdup_printf("volume\n%u\n%u\n0\n16384\n%s\n-\n-\n%s\n\n", ++guid,
                                            8u << 20, origin ? origin : "-", mark ? mark : "-");

    fake_put(file, text);
    assert_int_equal(g_mkdir_with_parents(folder, 0700), 0);
    assert_true(g_file_set_contents(device, "", 0, NULL));
    assert_int_equal(truncate(device, 8 << 20), 0);
}

void fake_add(const char *dataset)
{
    fake_add_as(dataset, NULL, NULL);
}

void fake_add_filesystem(const char *dataset)
{
    static unsigned guid = 7000;
    g_autofree char *file = file_of("sets", dataset);
    g_autofree char *text = g_strdup_printf("filesystem\n%u\n-\n-\n-\n-\n-\n-\n-\n\n", ++guid);

    fake_put(file, text);
}

void fake_by_others(const char *tool, ...)
{
    g_autoptr(GPtrArray) argv = NULL;
    va_list args;

    va_start(args, tool);
    argv = zfs_vector(tool, args);
    va_end(args);
    assert_true(zfs_changev((const char *const *)argv->pdata, NULL, NULL));
}

void fake_between(const char *line)
{
    fake_put("between", line);
}

void fake_snapshot(const char *dataset, const char *name)
{
    g_autofree char *whole = g_strdup_printf("%s@%s", dataset, name);

    fake_by_others("zfs", "snapshot", whole, NULL);
}

gboolean fake_has(const char *name)
{
    g_autofree char *file = file_of(strchr(name, '@') ? "snaps" : "sets", name);
    g_autofree char *path = fake_path(file);

    return g_file_test(path, G_FILE_TEST_EXISTS);
}

guint fake_count(void)
{
    return fake_count_in("sets") + fake_count_in("snaps") - 1;
}

char *fake_fact(const char *dataset, guint number)
{
    g_autofree char *file = file_of("sets", dataset), *path = fake_path(file), *text = NULL;
    g_auto(GStrv) lines = NULL;

    assert_true(g_file_get_contents(path, &text, NULL, NULL));
    lines = g_strsplit(text, "\n", -1);
    assert_true(number < g_strv_length(lines));
    return g_strdup(lines[number]);
}

void fake_assert_error(GError **error, int code)
{
    assert_non_null(*error);
    if ((*error)->domain != CST_ERROR || (*error)->code != code)
        fail_msg("error %d: %s", (*error)->code, (*error)->message);
    g_clear_error(error);
}

/* --- devices ---------------------------------------------------------------------------------- */

int __real_ioctl(int fd, unsigned long request, void *argument);
int __wrap_ioctl(int fd, unsigned long request, ...);

/* A device is a file here. The ioctl returns its dataset, like the kernel. */
int __wrap_ioctl(int fd, unsigned long request, ...)
{
    g_autofree char *path = g_strdup_printf("/proc/self/fd/%d", fd);
    g_autofree char *target = g_file_read_link(path, NULL);
    g_autofree char *zvols = fake_path("dev/zvol/");
    void *argument;
    va_list args;

    va_start(args, request);
    argument = va_arg(args, void *);
    va_end(args);
    if (_IOC_TYPE(request) != 0x12 || _IOC_NR(request) != 125)
        return __real_ioctl(fd, request, argument);
    if (!target || !g_str_has_prefix(target, zvols))
        return -1;
    g_strlcpy(argument, g_strdelimit(target, "+", ' ') + strlen(zvols), 256);
    return 0;
}

/* --- the pool --------------------------------------------------------------------------------- */

CstPoolState *fake_pool(const char *root, const char *options)
{
    g_autofree char *xml =
        g_strdup_printf("<pool type='zfs' xmlns:c='urn:cistern:storage:1.0'><name>p</name>"
                        "<source><device path='/dev/sda'/><name>%s</name></source>%s</pool>",
                        root, options);

    return fake_open(xml);
}

static const FakeTools tools = {
    .script = FAKE_ZFS_SCRIPT,
    .variable = "FAKE_ZFS",
    .tools = (const char *[]){"zfs", "zpool", "udevadm", NULL},
    .folders = (const char *[]){"sets", "snaps", "marks", "held", "content", "dev", "dev/zvol",
                                "dev/zvol/tank", "kstat", "kstat/tank", NULL},
    .remover = "program",
    .has_verbs = TRUE};

int fake_set_up(void **unused)
{
    fake_tools_set_up(&tools);
    g_setenv("FAKE_ZFS_SEND", FAKE_ZFS_SEND, TRUE);
    fake_put("pool", "77\n1073741824\nONLINE\n");
    fake_put("kstat/tank/state", "ONLINE\n");
    fake_add_filesystem("tank");
    fake_put("log", "");
    zfs_host = (ZfsHost){.dev = fake_path("dev"),
                         .kstat = fake_path("kstat"),
                         .report_s = 60,
                         .change_s = 60,
                         .node_us = 300 * G_TIME_SPAN_MILLISECOND,
                         .busy_us = 300 * G_TIME_SPAN_MILLISECOND};
    /* Tests change objects without the backend's knowledge. */
    zfs_host.fresh_us = zfs_host.estimate_us = 0;
    fake_state = fake_pool("tank", "");
    return 0;
}

int fake_tear_down(void **unused)
{
    int status = fake_tools_tear_down();

    g_free((gpointer)zfs_host.dev);
    g_free((gpointer)zfs_host.kstat);
    return status;
}

/* --- volumes ---------------------------------------------------------------------------------- */

static CstVolume *none_known(const char *name, gpointer data)
{
    return NULL;
}

static void collect(CstVolume *volume, gpointer data)
{
    g_string_append_printf(data, "%s ", volume->name);
    cst_volume_unref(volume);
}

char *fake_names(GError **error)
{
    g_autoptr(GString) names = g_string_new(NULL);
    CstScan scan = {.known = none_known, .sink = collect, .data = names};

    if (!cst_pool_state_scan(fake_state, &scan, NULL, error)) {
        assert_int_equal(names->len, 0);
        return NULL;
    }
    return g_string_free(g_steal_pointer(&names), FALSE);
}

void fake_write(const char *volume, const char *text)
{
    g_autoptr(CstBlob) blob = cst_pool_state_vol_open(fake_state, volume, TRUE, NULL);

    assert_non_null(blob);
    assert_true(cst_blob_pwrite(blob, text, 4, 0, NULL));
}

void fake_assert_holds(const char *volume, const char *text)
{
    g_autoptr(CstBlob) blob = cst_pool_state_vol_open(fake_state, volume, FALSE, NULL);
    char buf[5] = "";

    assert_non_null(blob);
    assert_true(cst_blob_pread(blob, buf, 4, 0, NULL));
    assert_string_equal(buf, text);
}
