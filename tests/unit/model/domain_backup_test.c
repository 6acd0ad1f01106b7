/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The documents of libvirt's backups and checkpoints. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <base/error.h>
#include <model/domain_backup.h>

#define NAME "cistern-backup-0123abcd-89abcdef"

static void backup_exports_the_changes_of_a_disk_with_a_base(void **state)
{
    const CstDomainBackupDisk disks[] = {{.target = "vda", .scratch = "/s/<a>", .base = NAME},
                                         {.target = "vdb", .scratch = "/s/b", .tracked = TRUE},
                                         {.target = "vdc"}};
    g_autofree char *xml = cst_domain_backup_format("/run/nbd", disks, 3, NULL);

    assert_string_equal(xml, "<domainbackup mode='pull'>\n"
                             "  <server transport='unix' socket='/run/nbd'/>\n"
                             "  <disks>\n"
                             "    <disk name='vda' backup='yes' type='file' "
                             "backupmode='incremental' incremental='" NAME "' exportname='vda' "
                             "exportbitmap='changes-vda'>\n"
                             "      <driver type='qcow2'/>\n"
                             "      <scratch file='/s/&lt;a&gt;'/>\n"
                             "    </disk>\n"
                             "    <disk name='vdb' backup='yes' type='file' exportname='vdb'>\n"
                             "      <driver type='qcow2'/>\n"
                             "      <scratch file='/s/b'/>\n"
                             "    </disk>\n"
                             "    <disk name='vdc' backup='no'/>\n"
                             "  </disks>\n"
                             "</domainbackup>\n");
}

static void checkpoint_names_each_disk_and_has_the_tracked_ones(void **state)
{
    const CstDomainBackupDisk disks[] = {{.target = "vda", .tracked = TRUE},
                                         {.target = "v'c", .scratch = "/s"}};
    g_autofree char *xml = cst_domain_checkpoint_format(NAME, disks, 2, NULL);

    assert_string_equal(xml, "<domaincheckpoint>\n"
                             "  <name>" NAME "</name>\n"
                             "  <disks>\n"
                             "    <disk name='vda' checkpoint='bitmap'/>\n"
                             "    <disk name='v&apos;c' checkpoint='no'/>\n"
                             "  </disks>\n"
                             "</domaincheckpoint>\n");
}

static void text_that_xml_cannot_represent_is_refused(void **state)
{
    const CstDomainBackupDisk disk = {.target = "vd\x01", .tracked = TRUE};
    g_autoptr(GError) error = NULL;

    assert_null(cst_domain_checkpoint_format(NAME, &disk, 1, &error));
    assert_true(g_error_matches(error, CST_ERROR, CST_ERROR_INVALID));
}

/* Whether a document with this list of disks has the changes of vda. */
static gboolean disks_have_changes(const char *disks)
{
    g_autofree char *xml =
        g_strdup_printf("<domaincheckpoint><disks>%s</disks></domaincheckpoint>", disks);

    return cst_domain_checkpoint_has_changes(xml, "vda");
}

static void changes_of_a_disk_with_a_size_are_known(void **state)
{
    assert_true(disks_have_changes("<disk name='vdb' checkpoint='no'/>"
                                   "<disk name='vda' checkpoint='bitmap' bitmap='x' size='0'/>"));
    assert_false(disks_have_changes("<disk name='vda' checkpoint='bitmap' bitmap='x'/>"));
    assert_false(disks_have_changes("<disk name='vda' checkpoint='no' size='1'/>"));
    assert_false(disks_have_changes("<disk name='vdb' checkpoint='bitmap' size='1'/>"));
    assert_false(disks_have_changes("<disk checkpoint='bitmap' size='1'/>"));
    assert_false(disks_have_changes(""));
}

static void malformed_document_has_no_changes(void **state)
{
    assert_false(cst_domain_checkpoint_has_changes("", "vda"));
    assert_false(cst_domain_checkpoint_has_changes("<domaincheckpoint/>", "vda"));
    assert_false(
        cst_domain_checkpoint_has_changes("<domaincheckpoint><disks><disk name='vda'", "vda"));
    assert_false(cst_domain_checkpoint_has_changes(
        "<other><disks><disk name='vda' checkpoint='bitmap' size='1'/></disks></other>", "vda"));
}

static void name_of_a_checkpoint_has_one_form(void **state)
{
    static const char *const wrong[] = {"",
                                        "cistern-backup-",
                                        "cistern-backup-0123abcd",
                                        "cistern-backup-0123abcd-",
                                        "cistern-backup-0123abcd-89abcde",
                                        "cistern-backup-0123abcd-89abcdef0",
                                        "cistern-backup-0123Abcd-89abcdef",
                                        "cistern-backup-0123abcd+89abcdef",
                                        "Cistern-backup-0123abcd-89abcdef",
                                        "cistern-backup-0123abc/-89abcdef"};

    assert_true(cst_checkpoint_name_is_valid(NAME));
    for (guint i = 0; i < G_N_ELEMENTS(wrong); i++)
        assert_false(cst_checkpoint_name_is_valid(wrong[i]));
}

static void siblings_are_checkpoints_of_one_repository(void **state)
{
    assert_true(cst_checkpoint_is_sibling(NAME, "cistern-backup-0123abcd-00000000"));
    assert_false(cst_checkpoint_is_sibling(NAME, "cistern-backup-0123abce-89abcdef"));
    assert_false(cst_checkpoint_is_sibling("cistern-backup-0123abcd-mine", NAME));
    assert_false(cst_checkpoint_is_sibling(NAME, "cistern-backup-0123abcd-mine"));
}

static void context_is_that_of_the_exported_bitmap(void **state)
{
    g_autofree char *context = cst_domain_backup_context("vda");

    assert_string_equal(context, "qemu:dirty-bitmap:changes-vda");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(backup_exports_the_changes_of_a_disk_with_a_base),
        cmocka_unit_test(checkpoint_names_each_disk_and_has_the_tracked_ones),
        cmocka_unit_test(text_that_xml_cannot_represent_is_refused),
        cmocka_unit_test(changes_of_a_disk_with_a_size_are_known),
        cmocka_unit_test(malformed_document_has_no_changes),
        cmocka_unit_test(name_of_a_checkpoint_has_one_form),
        cmocka_unit_test(siblings_are_checkpoints_of_one_repository),
        cmocka_unit_test(context_is_that_of_the_exported_bitmap),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
