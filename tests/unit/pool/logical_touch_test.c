/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include <base/error.h>
#include <base/file.h>
#include <logical/logical.h>

/* device-mapper's devices of this host, and the devices directly below each one. */
static const struct {
    const char *node, *uuid, *name, *below;
} mapped[] = {
    {"dm-0", "LVM-abc", "my--vg-lv", "dm-1"},
    {"dm-1", "LVM-abc-tdata", "my--vg-thin_tdata", "sda1 cciss!c0d0p1"},
    {"dm-2", "LVM-def", "my--vg--2-lv", "sdb1"},
    {"dm-3", "LVM-ghi", "my-vg", "sdc1"},
    {"dm-4", "CRYPT-x", "my--vg-lv", "sdd1"},
};

static GString *touched;         /* paths, each followed by a space */
static const char *failing = ""; /* paths that fail */

GStrv __wrap_cst_kernel_list(const char *path);
char *__wrap_cst_kernel_read(const char *path);
gboolean __wrap_cst_device_touch(const char *path, GError **error);

GStrv __wrap_cst_kernel_list(const char *path)
{
    if (strcmp(path, "/sys/block") == 0)
        return g_strsplit("sda dm-0 dm-1 dm-2 dm-3 dm-4", " ", -1);
    for (size_t i = 0; i < G_N_ELEMENTS(mapped); i++) {
        g_autofree char *slaves = g_strdup_printf("/sys/block/%s/slaves", mapped[i].node);

        if (strcmp(path, slaves) == 0)
            return g_strsplit(mapped[i].below, " ", -1);
    }
    return g_new0(char *, 1);
}

char *__wrap_cst_kernel_read(const char *path)
{
    for (size_t i = 0; i < G_N_ELEMENTS(mapped); i++) {
        g_autofree char *dir = g_strdup_printf("/sys/block/%s/dm/", mapped[i].node);

        if (g_str_has_prefix(path, dir))
            return g_strconcat(g_str_has_suffix(path, "uuid") ? mapped[i].uuid : mapped[i].name,
                               "\n", NULL);
    }
    return NULL;
}

gboolean __wrap_cst_device_touch(const char *path, GError **error)
{
    g_string_append_printf(touched, "%s ", path);
    return !strstr(failing, path) || cst_fail_errno(error, EIO, "cannot read '%s'", path);
}

static gboolean touch(const char *vg, GError **error)
{
    CstPoolDef def = {.name = (char *)"p", .source.name = (char *)vg};

    g_string_truncate(touched, 0);
    return logical_touch(&def, error);
}

static void only_physical_volumes_of_the_group_are_read(void **state)
{
    assert_true(touch("my-vg", NULL));
    assert_non_null(strstr(touched->str, "/dev/sda1 "));
    assert_non_null(strstr(touched->str, "/dev/cciss/c0d0p1 "));
    assert_int_equal(touched->len, strlen("/dev/sda1 /dev/cciss/c0d0p1 "));
    assert_true(touch("my-vg-2", NULL));
    assert_string_equal(touched->str, "/dev/sdb1 ");
}

static void group_without_active_volumes_has_answered(void **state)
{
    assert_true(touch("other", NULL));
    assert_string_equal(touched->str, "");
}

static void group_fails_when_each_physical_volume_does(void **state)
{
    g_autoptr(GError) error = NULL;

    failing = "/dev/sda1";
    assert_true(touch("my-vg", &error));
    assert_null(error);
    failing = "/dev/sda1 /dev/cciss/c0d0p1";
    assert_false(touch("my-vg", &error));
    assert_non_null(error);
    failing = "";
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(only_physical_volumes_of_the_group_are_read),
        cmocka_unit_test(group_without_active_volumes_has_answered),
        cmocka_unit_test(group_fails_when_each_physical_volume_does),
    };
    int failed;

    touched = g_string_new(NULL);
    failed = cmocka_run_group_tests(tests, NULL, NULL);
    g_string_free(touched, TRUE);
    return failed;
}
