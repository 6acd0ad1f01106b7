/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Names of volumes, derived from untrusted names. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include <import/import.h>

#include "name.h"

static void test_names_of_volumes(void **state)
{
    static const struct {
        const char *source, *name;
    } rows[] = {
        {"disk.qcow2", "disk"},
        {"appliance.ova", "appliance"},
        {"appliance.OVF", "appliance"},
        {"/a/b/Fedora-40.x86_64.raw.xz", "Fedora-40.x86_64"},
        {"DISK.VMDK.GZ", "DISK"},
        {"a.img.zst", "a"},
        {"a.bz2.gz", "a.bz2"},
        {"livecd.azure.vhd.zip", "livecd.azure"},
        {"debian-12.tar.xz", "debian-12"},
        {"libvirt.box", "libvirt"},
        {"debian", "debian"},
        {"x.iso", "x.iso"},
        {".qcow2", "qcow2"},
        {"-", "disk"},
        {"..", "disk"},
        {"/", "disk"},
        {"", "disk"},
        {"--pool", "pool"},
        {"...img", "disk"},
        {"a b/c\n", "c_"},
        {"a b;c", "a_b_c"},
        {"_under", "_under"},
        {"é.img", "disk"},
    };

    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        g_autofree char *name = cst_import_name(rows[i].source);

        assert_string_equal(name, rows[i].name);
    }
}

static void test_long_names_are_cut(void **state)
{
    g_autofree char *source = g_strnfill(300, 'x');
    g_autofree char *name = cst_import_name(source);

    assert_int_equal(strlen(name), 100);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_names_of_volumes),
        cmocka_unit_test(test_long_names_are_cut),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
