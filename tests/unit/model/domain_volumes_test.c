/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The volumes of a backup that are the disks of a domain. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include <base/error.h>
#include <model/domain_volumes.h>

#define DOMAIN(disks)        "<domain><name>web</name><devices>" disks "</devices></domain>"
#define FILE_DISK(path, dev) "<disk><source file='" path "'/><target dev='" dev "'/></disk>"
#define VOLUME_AT(path)      "<volume><target><path>" path "</path></target></volume>"

static const CstDomainVolume two_volumes[] = {
    {"p", "a.img", VOLUME_AT("/p/a.img"), ""},
    {"q", "lv", VOLUME_AT("/dev/q/lv"), "key-of-lv"},
};

/* Expects "TARGET:INDEX" of each disk, joined by blanks. */
static void assert_disks(const char *xml, const CstDomainVolume *volumes, guint count,
                         const char *expected)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(GPtrArray) disks = cst_domain_volume_disks(xml, volumes, count, &error);
    g_autoptr(GString) text = g_string_new(NULL);

    if (!disks)
        fail_msg("%s", error->message);
    for (guint i = 0; disks && i < disks->len; i++) {
        const CstDomainVolumeDisk *disk = disks->pdata[i];

        g_string_append_printf(text, "%s%s:%u", i > 0 ? " " : "", disk->target, disk->volume);
    }
    assert_string_equal(text->str, expected);
}

static void assert_no_disks(const char *xml, const CstDomainVolume *volumes, guint count,
                            CstErrorCode code, const char *text)
{
    g_autoptr(GError) error = NULL;

    assert_null(cst_domain_volume_disks(xml, volumes, count, &error));
    if (!g_error_matches(error, CST_ERROR, code) || !strstr(error->message, text))
        fail_msg("unexpected refusal: %d %s", error->code, error->message);
}

static void disks_are_found_by_path_and_by_name(void **unused)
{
    assert_disks(DOMAIN("<disk><source dev='/dev/q/lv'/><target dev='vda'/></disk>" FILE_DISK(
                     "/p/a.img", "vdb")),
                 two_volumes, 2, "vda:1 vdb:0");
    assert_disks(DOMAIN("<disk type='volume'><source pool='q' volume='lv'/><target dev='vda'/>"
                        "</disk>" FILE_DISK("/p/a.img", "vdb")),
                 two_volumes, 2, "vda:1 vdb:0");
}

static void disk_is_found_by_the_key_of_its_volume(void **unused)
{
    const CstDomainVolume volumes[] = {{"p", "x", "<broken", "/key/1"}, {"p", "y", "", "/key/2"}};

    assert_disks(DOMAIN(FILE_DISK("/key/2", "vda") FILE_DISK("/key/1", "vdb")), volumes, 2,
                 "vda:1 vdb:0");
}

static void disk_behind_a_link_is_found_by_its_base_name(void **unused)
{
    assert_disks(DOMAIN(FILE_DISK("/link/lv", "vda") FILE_DISK("/link/a.img", "vdb")), two_volumes,
                 2, "vda:1 vdb:0");
}

static void last_disk_has_the_last_volume(void **unused)
{
    assert_disks(DOMAIN(FILE_DISK("/link/other", "vda") FILE_DISK("/p/a.img", "vdb")), two_volumes,
                 2, "vda:1 vdb:0");
    assert_disks(DOMAIN("<disk type='network'><source protocol='rbd' name='x'/>"
                        "<target dev='vda'/></disk>"),
                 two_volumes, 1, "vda:0");
}

static void media_and_backing_files_have_no_volume(void **unused)
{
    assert_disks(DOMAIN("<disk device='cdrom'><source file='/iso'/><target dev='sda'/></disk>"
                        "<disk><source file='/ro'/><target dev='vdz'/><readonly/></disk>"
                        "<disk><source file='/p/a.img'/><target dev='vda'/>"
                        "<backingStore><source file='/base'/></backingStore></disk>"),
                 two_volumes, 1, "vda:0");
}

static void unclear_disks_are_refused(void **unused)
{
    assert_no_disks(DOMAIN(FILE_DISK("/x", "vda") FILE_DISK("/y", "vdb")), two_volumes, 2,
                    CST_ERROR_NOT_FOUND, "lacks disk 'vda'");
    assert_no_disks(DOMAIN(FILE_DISK("/1/a.img", "vda") FILE_DISK("/2/a.img", "vdb")), two_volumes,
                    2, CST_ERROR_NOT_FOUND, "lacks disk 'vda'");
}

static void missing_volume_and_missing_disk_are_refused(void **unused)
{
    assert_no_disks(DOMAIN(FILE_DISK("/p/a.img", "vda") FILE_DISK("/y", "vdb")), two_volumes, 1,
                    CST_ERROR_NOT_FOUND, "lacks disk 'vdb'");
    assert_no_disks(DOMAIN(FILE_DISK("/p/a.img", "vda")), two_volumes, 2, CST_ERROR_NOT_FOUND,
                    "volume 'lv' of the backup");
    assert_no_disks(DOMAIN(""), NULL, 0, CST_ERROR_NOT_FOUND, "no disk that it may write");
}

static void two_disks_of_one_file_are_refused(void **unused)
{
    assert_no_disks(DOMAIN(FILE_DISK("/p/a.img", "vda") FILE_DISK("/p/a.img", "vdb")), two_volumes,
                    1, CST_ERROR_INVALID, "'vda' and 'vdb' of the domain are the same volume");
}

static void disk_without_a_target_is_refused(void **unused)
{
    assert_no_disks(DOMAIN("<disk><source file='/p/a.img'/></disk>"), two_volumes, 1, CST_ERROR_XML,
                    "no <target dev>");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(disks_are_found_by_path_and_by_name),
        cmocka_unit_test(disk_is_found_by_the_key_of_its_volume),
        cmocka_unit_test(disk_behind_a_link_is_found_by_its_base_name),
        cmocka_unit_test(last_disk_has_the_last_volume),
        cmocka_unit_test(media_and_backing_files_have_no_volume),
        cmocka_unit_test(unclear_disks_are_refused),
        cmocka_unit_test(missing_volume_and_missing_disk_are_refused),
        cmocka_unit_test(two_disks_of_one_file_are_refused),
        cmocka_unit_test(disk_without_a_target_is_refused),
    };

    return cmocka_run_group_tests_name("domain_volumes", tests, NULL, NULL);
}
