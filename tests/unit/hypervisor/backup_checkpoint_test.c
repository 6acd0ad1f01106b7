/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Checkpoints of backup sessions of the fake libvirt.so.0. */
#include "backup_fixture.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include <base/error.h>
#include <base/file.h>

#include "../await.h"

#define OLDER "cistern-backup-0123abcd-00000001"
#define OLD   "cistern-backup-0123abcd-00000002"
#define NEW   "cistern-backup-0123abcd-00000003"
#define OTHER "cistern-backup-99999999-00000001" /* of another repository */

static CstHypervisorVolume volumes[2];
static const char *bases[2];

static void write_domain(const char *format_a, const char *format_b)
{
    g_autofree char *disks =
        g_strdup_printf("<disk><driver type='%s'/><source file='DIR/disk'/><target dev='vda'/>"
                        "<backingStore/></disk><disk><driver type='%s'/><source file='DIR/disk2'/>"
                        "<target dev='vdb'/></disk>",
                        format_a, format_b);

    fake_write_document("web1.xml", disks);
}

/* The domain has two qcow2 disks, and libvirt the checkpoint OLD. The request asks for NEW. */
static int set_up(void **state)
{
    g_autofree char *second = NULL;
    g_auto(CstFd) fd = -1;

    backup_setup(state);
    second = fake_at("disk2");
    fake_write_file("disk2", "content");
    fd = open(second, O_RDONLY | O_CLOEXEC);
    volumes[0] = pause_request.volumes[0];
    volumes[1] = volumes[0];
    cst_hypervisor_volume_set_file(&volumes[1], fd);
    bases[0] = bases[1] = NULL;
    backup_request.volumes = volumes;
    backup_request.n_volumes = 2;
    backup_request.checkpoint = NEW;
    backup_request.bases = bases;
    backup_request.freeze = FALSE;
    write_domain("qcow2", "qcow2");
    live_set(pause_live, "checkpoints", OLD);
    return 0;
}

static CstHypervisorBackup *begin(void)
{
    return backup_begin_ok(CST_CONSISTENCY_CRASH, "a freeze of the file systems was not requested");
}

static void end(CstHypervisorBackup *backup)
{
    cst_hypervisor_backup_end(backup);
    await_closed();
    await_processes();
}

static void assert_checkpoints(const char *expected)
{
    g_autofree char *names = live_get(pause_live, "checkpoints");

    assert_string_equal(names, expected);
}

/* Whether the new checkpoint has the disk of a volume. */
static gboolean is_tracked(const CstHypervisorBackup *backup, guint volume)
{
    g_autofree char *identity = cst_hypervisor_backup_identity(backup, volume);

    return identity != NULL;
}

/* Whether the document of the last backup has the text. */
static gboolean document_has(const char *text)
{
    g_autofree char *path = fake_at("backup.xml"), *document = NULL;

    assert_true(g_file_get_contents(path, &document, NULL, NULL));
    return strstr(document, text) != NULL;
}

static void assert_changes_of(const CstHypervisorBackup *backup, guint volume, const char *context)
{
    g_autoptr(GError) error = NULL;
    g_autofree char *found = cst_hypervisor_backup_changes(backup, volume, &error);

    if (!found)
        fail_msg("%s", error->message);
    assert_string_equal(found, context);
}

static void assert_lost(const CstHypervisorBackup *backup, guint volume, const char *text)
{
    g_autoptr(GError) error = NULL;

    assert_null(cst_hypervisor_backup_changes(backup, volume, &error));
    assert_true(g_error_matches(error, CST_ERROR, CST_ERROR_NOT_FOUND));
    if (!strstr(error->message, text))
        fail_msg("%s", error->message);
}

/* --- new checkpoints -------------------------------------------------------------------------- */

static void session_without_a_checkpoint_changes_no_checkpoint(void **unused)
{
    CstHypervisorBackup *backup;

    backup_request.checkpoint = NULL;
    backup_request.bases = NULL;
    backup = begin();
    assert_false(is_tracked(backup, 0));
    assert_lost(backup, 0, "no checkpoint was named");
    end(backup);
    assert_checkpoints(OLD);
}

static void new_checkpoint_stays_after_the_session(void **unused)
{
    CstHypervisorBackup *backup = begin();

    assert_true(is_tracked(backup, 0));
    assert_true(is_tracked(backup, 1));
    assert_false(is_tracked(backup, 2));
    assert_false(document_has("incremental"));
    end(backup);
    assert_checkpoints(NEW);
}

static void raw_disk_is_not_tracked(void **unused)
{
    CstHypervisorBackup *backup;

    write_domain("raw", "qcow2");
    backup = begin();
    assert_false(is_tracked(backup, 0));
    assert_true(is_tracked(backup, 1));
    end(backup);
}

static void domain_of_raw_disks_gets_no_checkpoint(void **unused)
{
    CstHypervisorBackup *backup;

    write_domain("raw", "raw");
    live_set(pause_live, "refuses", "checkpoint");
    backup = begin();
    assert_int_equal(fake_calls("virDomainBackupBegin"), 1);
    end(backup);
    assert_checkpoints("");
}

static void checkpoint_with_an_invalid_name_is_refused(void **unused)
{
    static const char *const names[] = {"", "cp1", "cistern-backup-0123abcd-0000000",
                                        "cistern-backup-0123ABCD-00000001",
                                        "cistern-backup-0123abcd-00000001x"};

    for (guint i = 0; i < G_N_ELEMENTS(names); i++) {
        backup_request.checkpoint = names[i];
        bases[0] = NULL;
        assert_backup_refused(CST_ERROR_INVALID, "is not the name of a checkpoint");
        backup_request.checkpoint = NEW;
        bases[0] = *names[i] ? names[i] : "x";
        assert_backup_refused(CST_ERROR_INVALID, "is not the name of a checkpoint");
    }
    assert_checkpoints(OLD);
}

/* --- bases ------------------------------------------------------------------------------------ */

static void changes_since_a_base_are_exported(void **unused)
{
    CstHypervisorBackup *backup;

    bases[0] = OLD;
    backup = begin();
    assert_changes_of(backup, 0, "qemu:dirty-bitmap:changes-vda");
    assert_lost(backup, 1, "no checkpoint was named");
    assert_true(document_has("<disk name='vda' backup='yes' type='file' "
                             "backupmode='incremental' incremental='" OLD "' exportname='vda' "
                             "exportbitmap='changes-vda'>"));
    assert_true(document_has("<disk name='vdb' backup='yes' type='file' exportname='vdb'>"));
    end(backup);
    assert_checkpoints(OLD ";" NEW);
}

static void unneeded_checkpoints_of_the_repository_are_deleted(void **unused)
{
    live_set(pause_live, "checkpoints", OLDER ";" OTHER ";mine;" OLD);
    bases[1] = OLD;
    end(begin());
    assert_checkpoints(OTHER ";mine;" OLD ";" NEW);
}

static void base_that_libvirt_does_not_have_is_lost(void **unused)
{
    CstHypervisorBackup *backup;

    bases[0] = OLDER;
    bases[1] = OLD;
    backup = begin();
    assert_lost(backup, 0, "libvirt has no checkpoint '" OLDER "'");
    assert_changes_of(backup, 1, "qemu:dirty-bitmap:changes-vdb");
    assert_int_equal(fake_calls("virDomainBackupBegin"), 1);
    end(backup);
    assert_checkpoints(OLD ";" NEW);
}

static void base_with_a_lost_bitmap_is_lost_for_its_disk_only(void **unused)
{
    CstHypervisorBackup *backup;

    bases[0] = bases[1] = OLD;
    live_set(pause_live, "broken", OLD "/vda");
    backup = begin();
    assert_lost(backup, 0, "no record of the changes of disk 'vda' since checkpoint '" OLD "'");
    assert_changes_of(backup, 1, "qemu:dirty-bitmap:changes-vdb");
    assert_true(is_tracked(backup, 0));
    assert_int_equal(fake_calls("virDomainBackupBegin"), 1);
    end(backup);
    assert_checkpoints(OLD ";" NEW);
}

static void checkpoint_without_bitmaps_is_deleted(void **unused)
{
    CstHypervisorBackup *backup;

    bases[0] = bases[1] = OLD;
    live_set(pause_live, "broken", OLD "/vda;" OLD "/vdb");
    backup = begin();
    assert_lost(backup, 0, "QEMU has no record of the changes");
    assert_lost(backup, 1, "QEMU has no record of the changes");
    end(backup);
    assert_checkpoints(NEW);
}

/* Its bitmaps could not be deleted any more if libvirt forgot it. */
static void checkpoint_that_cannot_be_deleted_is_kept(void **unused)
{
    g_autofree char *orphans = NULL;

    fake_add("[calls]\nvirDomainCheckpointDelete = once %s/failed fail 1 0 no\n", fake_dir);
    end(begin());
    assert_checkpoints(OLD ";" NEW);
    orphans = live_get(pause_live, "orphans");
    assert_null(orphans);
}

static void base_that_libvirt_fails_to_describe_is_lost_and_kept(void **unused)
{
    static const char *const calls[] = {"virDomainCheckpointGetXMLDesc",
                                        "virDomainCheckpointLookupByName"};

    for (guint i = 0; i < G_N_ELEMENTS(calls); i++) {
        CstHypervisorBackup *backup;

        live_set(pause_live, "checkpoints", OLD);
        fake_add("[calls]\n%s = once %s/failed%u fail 68 0 cannot acquire the lock\n", calls[i],
                 fake_dir, i);
        bases[0] = OLD;
        backup = begin();
        assert_lost(backup, 0, "libvirt failed to look at checkpoint '" OLD "'");
        end(backup);
        assert_checkpoints(OLD ";" NEW);
    }
}

/* Each of their bitmaps costs time with each write of the guest. */
static void domain_with_many_checkpoints_gets_no_further_one(void **unused)
{
    g_autoptr(GString) names = g_string_new("mine");
    CstHypervisorBackup *backup;

    for (guint i = 0; i < 15; i++)
        g_string_append_printf(names, ";cistern-backup-%08x-00000001", i);
    live_set(pause_live, "checkpoints", names->str);
    backup = begin();
    assert_true(is_tracked(backup, 0));
    end(backup);
    backup_request.checkpoint = "cistern-backup-99999999-00000001";
    backup = begin();
    assert_false(is_tracked(backup, 0));
    end(backup);
    g_string_append(names, ";" NEW);
    assert_checkpoints(names->str);
}

static void libvirt_is_asked_once_for_a_base_of_several_disks(void **unused)
{
    bases[0] = bases[1] = OLD;
    end(begin());
    /* Once for its sizes, and once for the time of the new checkpoint. */
    assert_int_equal(fake_calls("virDomainCheckpointGetXMLDesc"), 2);
}

/* --- identities ------------------------------------------------------------------------------- */

/* Makes NEW, and then a backup with it as the base. Returns whether both identities are equal. */
static gboolean base_is_the_same(void (*between)(void))
{
    g_autofree char *as_new = NULL, *as_base = NULL;
    CstHypervisorBackup *backup = begin();

    as_new = cst_hypervisor_backup_identity(backup, 0);
    assert_non_null(as_new);
    end(backup);
    if (between)
        between();
    bases[0] = NEW;
    backup_request.checkpoint = "cistern-backup-0123abcd-00000004";
    backup = begin();
    as_base = cst_hypervisor_backup_base_identity(backup, 0);
    end(backup);
    return g_strcmp0(as_new, as_base) == 0;
}

static void base_has_the_identity_of_the_checkpoint(void **unused)
{
    assert_true(base_is_the_same(NULL));
}

static void checkpoint_remake(void)
{
    live_set(pause_live, "checkpoints", "");
    bases[0] = NULL;
    end(begin());
}

static void checkpoint_that_was_made_again_has_another_identity(void **unused)
{
    assert_false(base_is_the_same(checkpoint_remake));
}

/* The disk vda has a backing file. */
static void write_overlay_of(const char *backing)
{
    g_autofree char *disks =
        g_strdup_printf("<disk><driver type='qcow2'/><source file='DIR/disk'/><target dev='vda'/>"
                        "<backingStore><source file='%s'/><backingStore/></backingStore></disk>"
                        "<disk><driver type='qcow2'/><source file='DIR/disk2'/>"
                        "<target dev='vdb'/></disk>",
                        backing);

    fake_write_file("below", "content");
    fake_write_document("web1.xml", disks);
}

static void write_overlay(void)
{
    write_overlay_of("DIR/below");
}

static void below_change(void)
{
    fake_write_file("below", "other content");
}

static void overlay_of_a_changed_file_has_another_identity(void **unused)
{
    write_overlay();
    assert_false(base_is_the_same(below_change));
}

static void overlay_that_got_a_backing_file_has_another_identity(void **unused)
{
    assert_false(base_is_the_same(write_overlay));
}

static void overlay_of_an_unchanged_file_has_the_same_identity(void **unused)
{
    write_overlay();
    assert_true(base_is_the_same(NULL));
}

static void overlay_of_no_regular_file_is_not_tracked(void **unused)
{
    CstHypervisorBackup *backup;
    g_autofree char *identity = NULL;

    write_overlay_of("/dev/null");
    bases[0] = OLD;
    backup = begin();
    assert_false(is_tracked(backup, 0));
    assert_true(is_tracked(backup, 1));
    identity = cst_hypervisor_backup_base_identity(backup, 0);
    assert_true(g_str_has_suffix(identity, " -"));
    end(backup);
}

static void checkpoint_with_the_name_of_an_existing_one_is_not_made(void **unused)
{
    CstHypervisorBackup *backup;

    backup_request.checkpoint = OLD;
    backup = begin();
    assert_false(is_tracked(backup, 0));
    end(backup);
    assert_checkpoints(OLD);
}

/* --- refusals --------------------------------------------------------------------------------- */

static void refused_changes_are_lost_and_the_checkpoint_is_made(void **unused)
{
    CstHypervisorBackup *backup;

    bases[0] = OLD;
    live_set(pause_live, "refuses", "changes");
    backup = begin();
    assert_lost(backup, 0, "since checkpoint '" OLD "': no changes today");
    assert_true(is_tracked(backup, 0));
    assert_int_equal(fake_calls("virDomainBackupBegin"), 2);
    end(backup);
    assert_checkpoints(OLD ";" NEW);
}

static void refused_checkpoint_does_not_prevent_the_backup(void **unused)
{
    CstHypervisorBackup *backup;

    bases[0] = OLD;
    live_set(pause_live, "refuses", "checkpoint");
    backup = begin();
    assert_lost(backup, 0, "no bitmaps in this image");
    assert_false(is_tracked(backup, 0));
    assert_int_equal(fake_calls("virDomainBackupBegin"), 3);
    end(backup);
    assert_checkpoints(OLD);
}

static void job_that_libvirt_refuses_is_tried_without_checkpoints_once(void **unused)
{
    bases[0] = OLD;
    fake_add("[calls]\nvirDomainBackupBegin = fail 1 0 never\n");
    assert_backup_refused(CST_ERROR_FAILED, "never");
    assert_int_equal(fake_calls("virDomainBackupBegin"), 3);
    await_closed();
    await_processes();
    assert_checkpoints(OLD);
}

/* A lost connection is no reason to try again, because the job may have begun. */
static void lost_connection_is_not_tried_again(void **unused)
{
    bases[0] = OLD;
    fake_add("[calls]\nvirDomainBackupBegin = once %s/lost lose gone\n", fake_dir);
    assert_backup_refused(CST_ERROR_FAILED, "gone");
    assert_int_equal(fake_calls("virDomainBackupBegin"), 1);
    await_closed();
    await_processes();
}

static void call_about_checkpoints_that_hangs_is_limited(void **unused)
{
    static const char *const calls[] = {"virDomainCheckpointGetXMLDesc",
                                        "virDomainListAllCheckpoints", "virDomainCheckpointDelete"};
    g_autofree char *begin_state = g_strdup(fake_state->str);

    hypervisor_backup_limits[BACKUP_LIMIT_CHECK] = 500;
    pause_deadline_s = 1;
    bases[0] = OLD;
    live_set(pause_live, "checkpoints", OLDER ";" OLD);
    for (guint i = 0; i < G_N_ELEMENTS(calls); i++) {
        g_string_assign(fake_state, begin_state);
        fake_add("[calls]\n%s = once %s/hang%u hang\n", calls[i], fake_dir, i);
        assert_backup_refused(CST_ERROR_TIMEOUT, "libvirt did not answer");
        await_closed();
        await_processes();
    }
    assert_int_equal(fake_calls("virDomainBackupBegin"), 0);
}

int main(int argc, char **argv)
{
#define CASE(name) cmocka_unit_test_setup_teardown(name, set_up, backup_teardown)
    const struct CMUnitTest tests[] = {
        CASE(session_without_a_checkpoint_changes_no_checkpoint),
        CASE(new_checkpoint_stays_after_the_session),
        CASE(raw_disk_is_not_tracked),
        CASE(domain_of_raw_disks_gets_no_checkpoint),
        CASE(checkpoint_with_an_invalid_name_is_refused),
        CASE(changes_since_a_base_are_exported),
        CASE(unneeded_checkpoints_of_the_repository_are_deleted),
        CASE(base_that_libvirt_does_not_have_is_lost),
        CASE(base_with_a_lost_bitmap_is_lost_for_its_disk_only),
        CASE(checkpoint_without_bitmaps_is_deleted),
        CASE(checkpoint_that_cannot_be_deleted_is_kept),
        CASE(base_that_libvirt_fails_to_describe_is_lost_and_kept),
        CASE(domain_with_many_checkpoints_gets_no_further_one),
        CASE(libvirt_is_asked_once_for_a_base_of_several_disks),
        CASE(base_has_the_identity_of_the_checkpoint),
        CASE(checkpoint_that_was_made_again_has_another_identity),
        CASE(overlay_of_a_changed_file_has_another_identity),
        CASE(overlay_that_got_a_backing_file_has_another_identity),
        CASE(overlay_of_an_unchanged_file_has_the_same_identity),
        CASE(overlay_of_no_regular_file_is_not_tracked),
        CASE(checkpoint_with_the_name_of_an_existing_one_is_not_made),
        CASE(refused_changes_are_lost_and_the_checkpoint_is_made),
        CASE(refused_checkpoint_does_not_prevent_the_backup),
        CASE(job_that_libvirt_refuses_is_tried_without_checkpoints_once),
        CASE(lost_connection_is_not_tried_again),
        CASE(call_about_checkpoints_that_hangs_is_limited),
    };

    cst_hypervisor_run_helper(argc, argv);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
