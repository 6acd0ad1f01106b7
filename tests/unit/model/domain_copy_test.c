/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The documents of a copy, and the <mirror> in the document of a domain. */
#include <model/domain.h>
#include <model/domain_copy.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include <base/error.h>

static void assert_document(const CstDomainCopy *copy, const char *expected)
{
    g_autofree char *text = cst_domain_copy_format(copy, NULL);

    assert_string_equal(text, expected);
}

static void document_of_a_copy_has_its_type_format_and_path(void **unused)
{
    const CstDomainCopy file = {.path = "/a<'b.img", .format = "qcow2"};
    const CstDomainCopy device = {.path = "/dev/vg/lv", .format = "raw", .is_device = TRUE};

    assert_document(&file, "<disk type='file'>\n"
                           "  <driver type='qcow2'/>\n"
                           "  <source file='/a&lt;&apos;b.img'/>\n"
                           "</disk>\n");
    assert_document(&device, "<disk type='block'>\n"
                             "  <driver type='raw'/>\n"
                             "  <source dev='/dev/vg/lv'/>\n"
                             "</disk>\n");
}

static void path_that_xml_cannot_represent_is_invalid(void **unused)
{
    const CstDomainCopy copy = {.path = "/a\x01", .format = "raw"};
    g_autoptr(GError) error = NULL;

    assert_null(cst_domain_copy_format(&copy, &error));
    assert_int_equal(error->code, CST_ERROR_INVALID);
}

/* Returns the domain with a disk that has @mirror. */
static CstDomainDef *def_parse(const char *mirror)
{
    g_autofree char *xml = g_strdup_printf(
        "<domain><devices><disk><source file='/top' index='4'/><target dev='vda'/>%s"
        "<backingStore type='file' index='3'><source file='/base'/><backingStore/></backingStore>"
        "</disk></devices></domain>",
        mirror);
    CstDomainDef *def = cst_domain_def_parse(xml, NULL);

    assert_non_null(def);
    return def;
}

static void mirror_of_a_disk_has_its_path_and_state(void **unused)
{
    static const struct {
        const char *xml, *path;
        CstDomainMirror state;
    } cases[] = {
        {"", NULL, CST_DOMAIN_MIRROR_NONE},
        {"<mirror type='file' file='/old'><source file='/copy'/></mirror>", "/copy",
         CST_DOMAIN_MIRROR_COPIES},
        {"<mirror ready='yes'><source dev='/dev/x'/></mirror>", "/dev/x", CST_DOMAIN_MIRROR_READY},
        {"<mirror ready='pivot'><source file='/copy'/></mirror>", "/copy", CST_DOMAIN_MIRROR_ENDS},
        {"<mirror ready='abort'/>", NULL, CST_DOMAIN_MIRROR_ENDS},
    };

    for (guint i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autoptr(CstDomainDef) def = def_parse(cases[i].xml);
        const CstDomainLayer *top = def->layers->pdata[0], *base = def->layers->pdata[1];

        assert_int_equal(top->mirror, cases[i].state);
        assert_true(g_strcmp0(top->mirror_path, cases[i].path) == 0);
        assert_int_equal(top->mirrored, i > 0);
        assert_int_equal(base->mirror, CST_DOMAIN_MIRROR_NONE);
        assert_null(base->mirror_path);
    }
}

static void index_of_a_layer_is_that_of_libvirt(void **unused)
{
    g_autoptr(CstDomainDef) def = def_parse("");
    const CstDomainLayer *top = def->layers->pdata[0], *base = def->layers->pdata[1];

    assert_string_equal(top->index, "4");
    assert_string_equal(base->index, "3");
}

/* --- the name of the copy --------------------------------------------------------------------- */

#define OPTIONS                                                                             \
    "<target dev='vda' bus='virtio'/><iotune><total_bytes_sec>9</total_bytes_sec></iotune>" \
    "<serial>S&amp;1</serial><boot order='2'/><alias name='ua-x'/><address type='pci' "     \
    "slot='0x5'/>"

static CstDomainDiskName disk_name_sample(void)
{
    return (CstDomainDiskName){.target = "vda",
                               .pool = "n",
                               .volume = "copy<'&",
                               .path = "/n/copy",
                               .format = "raw",
                               .old_pool = "p",
                               .old_volume = "v"};
}

/* Renames vda of a domain with two disks. The caller frees the result. */
static char *disk_rename(const char *disk, const CstDomainDiskName *name, GError **error)
{
    g_autofree char *xml = g_strdup_printf(
        "<domain xmlns:q='urn:q'><devices><disk type='file'><source file='/n/copy'/>"
        "<target dev='vdb'/></disk>%s</devices><q:x/></domain>",
        disk);

    return cst_domain_disk_rename(xml, name, error);
}

static void assert_renamed(const char *disk, const char *expected)
{
    const CstDomainDiskName name = disk_name_sample();
    g_autofree char *found = disk_rename(disk, &name, NULL);

    assert_non_null(found);
    assert_string_equal(found, expected);
}

/* As libvirt writes it after a pivot. */
static void disk_with_the_path_of_the_copy_names_its_volume(void **unused)
{
    assert_renamed("<disk type='file' device='disk' snapshot='no'>\n  "
                   "<driver name='qemu' type='raw' cache='none'><x/></driver>\n  "
                   "<source file='/n/copy' startupPolicy='optional' index='7'>"
                   "<seclabel model='dac' relabel='no'/></source>\n  <backingStore/>\n  " OPTIONS
                   "</disk>",
                   "<disk type=\"volume\" device=\"disk\" snapshot=\"no\">\n  "
                   "<driver name=\"qemu\" type=\"raw\" cache=\"none\"><x/></driver>\n  "
                   "<source startupPolicy=\"optional\" pool=\"n\" volume=\"copy&lt;'&amp;\">"
                   "<seclabel model=\"dac\" relabel=\"no\"/></source>\n  "
                   "<target dev=\"vda\" bus=\"virtio\"/><iotune><total_bytes_sec>9"
                   "</total_bytes_sec></iotune><serial>S&amp;1</serial><boot order=\"2\"/>"
                   "<alias name=\"ua-x\"/><address type=\"pci\" slot=\"0x5\"/></disk>");
    assert_renamed("<disk type='block'><driver type='raw'/><source dev='/n/copy'/>"
                   "<target dev='vda'/></disk>",
                   "<disk type=\"volume\"><driver type=\"raw\"/><source pool=\"n\" "
                   "volume=\"copy&lt;'&amp;\"/><target dev=\"vda\"/></disk>");
}

/* libvirt has kept it in the pivot. */
static void disk_with_the_volume_of_before_gets_the_format_of_the_copy(void **unused)
{
    assert_renamed("<disk type='volume'><driver name='qemu' type='qcow2' discard='unmap'>"
                   "<metadata_cache><max_size>1</max_size></metadata_cache></driver>"
                   "<source pool='p' volume='v' mode='host'/><backingStore type='file'>"
                   "<format type='raw'/><source file='/base'/></backingStore>"
                   "<target dev='vda'/></disk>",
                   "<disk type=\"volume\"><driver name=\"qemu\" type=\"raw\" discard=\"unmap\"/>"
                   "<source pool=\"n\" volume=\"copy&lt;'&amp;\"/><target dev=\"vda\"/></disk>");
}

static void assert_rename_fails(const char *disk, const CstDomainDiskName *name, CstErrorCode code)
{
    g_autoptr(GError) error = NULL;

    assert_null(disk_rename(disk, name, &error));
    assert_int_equal(error->code, code);
}

static void disk_with_another_image_is_not_renamed(void **unused)
{
    static const char *const disks[] = {
        "",
        "<disk type='file'><target dev='vda'/></disk>",
        "<disk type='file'><source file='/n/copy2'/><target dev='vda'/></disk>",
        "<disk type='file'><source file='/x'/><target dev='vda'/><backingStore>"
        "<source file='/n/copy'/></backingStore></disk>",
        "<disk type='volume'><source pool='p' volume='v2'/><target dev='vda'/></disk>",
        "<disk type='volume'><source pool='q' volume='v'/><target dev='vda'/></disk>",
        "<disk type='network'><source protocol='rbd' name='/n/copy'/>"
        "<target dev='vda'/></disk>",
    };
    CstDomainDiskName name = disk_name_sample();

    for (guint i = 0; i < G_N_ELEMENTS(disks); i++)
        assert_rename_fails(disks[i], &name, CST_ERROR_NOT_FOUND);
    name.old_pool = name.old_volume = NULL;
    assert_rename_fails(
        "<disk type='volume'><source pool='p' volume='v'/><target dev='vda'/></disk>", &name,
        CST_ERROR_NOT_FOUND);
}

/* Its volume would show other bytes than the copy. */
static void encrypted_disk_is_not_renamed(void **unused)
{
    static const char *const disks[] = {
        "<disk type='file'><source file='/n/copy'/><encryption/><target dev='vda'/></disk>",
        "<disk type='file'><source file='/n/copy'><encryption/></source><target dev='vda'/></disk>",
        "<disk type='file'><source file='/n/copy'><slices/></source><target dev='vda'/></disk>",
    };
    const CstDomainDiskName name = disk_name_sample();

    for (guint i = 0; i < G_N_ELEMENTS(disks); i++)
        assert_rename_fails(disks[i], &name, CST_ERROR_UNSUPPORTED);
}

static void name_that_xml_cannot_represent_is_invalid(void **unused)
{
    static const char disk[] =
        "<disk type='file'><source file='/n/copy'/><target dev='vda'/></disk>";
    CstDomainDiskName name = disk_name_sample();

    name.volume = "a\x01";
    assert_rename_fails(disk, &name, CST_ERROR_INVALID);
    name = disk_name_sample();
    name.pool = "a\x01";
    assert_rename_fails(disk, &name, CST_ERROR_INVALID);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(document_of_a_copy_has_its_type_format_and_path),
        cmocka_unit_test(path_that_xml_cannot_represent_is_invalid),
        cmocka_unit_test(mirror_of_a_disk_has_its_path_and_state),
        cmocka_unit_test(index_of_a_layer_is_that_of_libvirt),
        cmocka_unit_test(disk_with_the_path_of_the_copy_names_its_volume),
        cmocka_unit_test(disk_with_the_volume_of_before_gets_the_format_of_the_copy),
        cmocka_unit_test(disk_with_another_image_is_not_renamed),
        cmocka_unit_test(encrypted_disk_is_not_renamed),
        cmocka_unit_test(name_that_xml_cannot_represent_is_invalid),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
