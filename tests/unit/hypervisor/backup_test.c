/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The begin and the end of backup sessions of the fake libvirt.so.0. */
#include "backup_fixture.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>
#include <glib/gstdio.h>

#include <base/error.h>
#include <base/file.h>

#include "../await.h"
#include "../descriptors.h"

static void assert_changes(const char *expected)
{
    g_autofree char *made = backup_changes();

    assert_string_equal(made, expected);
}

static void end_and_await(CstHypervisorBackup *backup)
{
    cst_hypervisor_backup_end(backup);
    await_closed();
    await_processes();
}

/* --- normal sessions -------------------------------------------------------------------------- */

static void backup_begins_between_freeze_and_thaw(void **unused)
{
    guint descriptors = count_descriptors();
    CstHypervisorBackup *backup = backup_begin_ok(CST_CONSISTENCY_FILESYSTEM, NULL);

    assert_true(live_is_now("running", 0));
    assert_true(backup_job_exists());
    assert_true(cst_hypervisor_backup_check(backup, NULL));
    assert_true(backup_result.frozen_us > 0);
    assert_string_equal(cst_hypervisor_backup_export(backup, 0), "vda");
    assert_null(cst_hypervisor_backup_export(backup, 1));
    assert_true(g_file_test(cst_hypervisor_backup_socket(backup), G_FILE_TEST_EXISTS));
    cst_hypervisor_backup_end(backup);
    assert_false(backup_job_exists());
    assert_int_equal(directory_count(backup_scratch), 0);
    assert_int_equal(directory_count(backup_directory), 0);
    assert_changes(" FSFreeze BackupBegin FSThaw AbortJob");
    await_processes();
    assert_int_equal(count_descriptors(), descriptors);
}

static void domain_without_an_agent_is_backed_up_at_level_crash(void **unused)
{
    fake_write_document("web1.xml", "<disk><source file='DIR/disk'/><target dev='vda'/></disk>");
    end_and_await(
        backup_begin_ok(CST_CONSISTENCY_CRASH, "the domain has no channel for a guest agent"));
    assert_changes(" BackupBegin AbortJob");
}

static void freeze_that_is_not_requested_is_not_sent(void **unused)
{
    backup_request.freeze = FALSE;
    end_and_await(
        backup_begin_ok(CST_CONSISTENCY_CRASH, "a freeze of the file systems was not requested"));
    assert_changes(" BackupBegin AbortJob");
}

static void agent_that_hangs_is_level_crash(void **unused)
{
    live_set(pause_live, "agent", "hung");
    end_and_await(backup_begin_ok(
        CST_CONSISTENCY_CRASH, "the guest agent does not answer: Guest agent is not responding"));
    assert_changes(" BackupBegin AbortJob");
}

/* The agent executes the freeze when it wakes up. */
static void agent_that_hangs_in_the_freeze_is_thawed_when_it_wakes(void **unused)
{
    CstHypervisorBackup *backup;

    live_set(pause_live, "agent", "hung-later");
    backup = backup_begin_ok(CST_CONSISTENCY_CRASH,
                             "the file systems could not be frozen: Guest agent is not responding");
    live_wake_agent(pause_live);
    end_and_await(backup);
}

static void domain_of_an_administrator_stays_paused(void **unused)
{
    CstHypervisorBackup *backup;

    live_suspend(pause_live);
    backup = backup_begin_ok(CST_CONSISTENCY_CRASH, "the domain was paused before");
    end_and_await(backup);
    assert_true(live_is_now("paused", 0));
    assert_changes(" BackupBegin AbortJob");
}

/* --- the document and the files --------------------------------------------------------------- */

/* Returns the document that libvirt has received, with SESSION for the name of the session. */
static char *document_received(const CstHypervisorBackup *backup)
{
    g_autofree char *path = fake_at("backup.xml"), *text = NULL;
    g_autofree char *directory = g_path_get_dirname(cst_hypervisor_backup_socket(backup));
    g_autofree char *session = g_path_get_basename(directory);
    g_autoptr(GString) plain = NULL;

    assert_true(g_file_get_contents(path, &text, NULL, NULL));
    plain = g_string_new(text);
    g_string_replace(plain, session, "SESSION", 0);
    g_string_replace(plain, fake_dir, "DIR", 0);
    return g_strdup(plain->str);
}

static void document_names_each_disk_of_the_domain(void **unused)
{
    CstHypervisorVolume volumes[2] = {pause_request.volumes[0]};
    g_autofree char *second = fake_at("disk2"), *document = NULL;
    g_auto(CstFd) fd = -1;
    CstHypervisorBackup *backup;

    fake_write_file("disk2", "content");
    fd = open(second, O_RDONLY | O_CLOEXEC);
    cst_hypervisor_volume_set_file(&volumes[1], fd);
    volumes[1].has_file = TRUE;
    backup_request.volumes = volumes;
    backup_request.n_volumes = 2;
    fake_write_document("web1.xml",
                        "<disk device='cdrom'><target dev='sda'/><readonly/></disk>"
                        "<disk><source file='DIR/disk2'/><target dev='vdb'/></disk>"
                        "<disk><source file='DIR/other'/><target dev='v&lt;&apos;c'/></disk>"
                        "<disk><source file='DIR/disk'/><target dev='vda'/>"
                        "<backingStore><source file='DIR/below'/></backingStore></disk>");
    backup = backup_begin_ok(CST_CONSISTENCY_CRASH, "the domain has no channel for a guest agent");
    document = document_received(backup);
    assert_string_equal(cst_hypervisor_backup_export(backup, 0), "vda");
    assert_string_equal(cst_hypervisor_backup_export(backup, 1), "vdb");
    end_and_await(backup);
    assert_string_equal(document,
                        "<domainbackup mode='pull'>\n"
                        "  <server transport='unix' socket='DIR/backups/SESSION/nbd'/>\n"
                        "  <disks>\n"
                        "    <disk name='sda' backup='no'/>\n"
                        "    <disk name='vdb' backup='yes' type='file' exportname='vdb'>\n"
                        "      <driver type='qcow2'/>\n"
                        "      <scratch file='DIR/scratch/SESSION/vdb.qcow2'/>\n"
                        "    </disk>\n"
                        "    <disk name='v&lt;&apos;c' backup='no'/>\n"
                        "    <disk name='vda' backup='yes' type='file' exportname='vda'>\n"
                        "      <driver type='qcow2'/>\n"
                        "      <scratch file='DIR/scratch/SESSION/vda.qcow2'/>\n"
                        "    </disk>\n"
                        "  </disks>\n"
                        "</domainbackup>\n");
}

static void assert_directory(const char *path, mode_t mode, uid_t uid)
{
    GStatBuf st;

    assert_int_equal(g_stat(path, &st), 0);
    assert_int_equal(st.st_mode & 07777, mode);
    assert_int_equal(st.st_uid, uid);
}

/* A session as root: QEMU's user binds the socket. */
static void assert_socket_owner(uid_t uid, const char *reason)
{
    CstHypervisorBackup *backup = backup_begin_ok(CST_CONSISTENCY_CRASH, reason);
    g_autofree char *directory = g_path_get_dirname(cst_hypervisor_backup_socket(backup));
    g_autofree char *session = g_path_get_basename(directory);
    g_autofree char *scratch = g_build_filename(backup_scratch, session, NULL);

    assert_directory(directory, 0700, uid);
    assert_directory(scratch, 0711, geteuid());
    assert_directory(backup_directory, 0711, geteuid());
    end_and_await(backup);
}

static void directory_of_the_socket_belongs_to_the_user_of_qemu(void **unused)
{
    g_autofree char *disk = fake_at("disk");
    const char *reason = "the domain has no channel for a guest agent";

    if (geteuid() != 0)
        skip();
    assert_int_equal(chown(disk, 4321, 1234), 0);
    fake_write_document("web1.xml", "<disk><source file='DIR/disk'/><target dev='vda'/></disk>");
    assert_socket_owner(4321, reason);
    fake_write_document("web1.xml", "<disk type='volume'><source pool='p' volume='v'/>"
                                    "<target dev='vda'/></disk>");
    assert_socket_owner(4321, reason);
    fake_write_file("web1.xml", "<domain><devices><disk type='volume'>"
                                "<source pool='p' volume='v'/><target dev='vda'/></disk></devices>"
                                "<seclabel model='apparmor'><label>x</label></seclabel>"
                                "<seclabel model='dac'><label>+64055:+108</label></seclabel>"
                                "</domain>");
    assert_socket_owner(64055, reason);
}

/* --- refusals --------------------------------------------------------------------------------- */

static void domain_that_may_not_be_backed_up_is_refused(void **unused)
{
    static const struct {
        const char *state, *line, *disks;
        CstErrorCode code;
        const char *text;
    } cases[] = {
        {"ioerror", "", NULL, CST_ERROR_BUSY, "cannot back up domain 'web1': an I/O error"},
        {"off", "", NULL, CST_ERROR_NOT_FOUND, "it does not run any more"},
        {"running", "job = yes\n", NULL, CST_ERROR_BUSY, "'web1': it has a job"},
        {"running", "block-job = vda\n", NULL, CST_ERROR_BUSY,
         "a disk has a block job (virsh blockjob); try again later: vda"},
        {"running", "", "<disk><source file='DIR/disk'/><target dev='vda'/><shareable/></disk>",
         CST_ERROR_INVALID, "shareable disk: vda"},
        {"running", "", "<disk><source file='DIR/disk'/><target dev='vda'/><readonly/></disk>",
         CST_ERROR_INVALID, "its disk is read-only"},
        {"running", "", "<disk><source file='DIR/disk'/><target dev='../x'/></disk>",
         CST_ERROR_INVALID, "the name of its disk cannot name a file: ../x"},
        {"running", "", "<disk><source file='DIR/x'/><target dev='vda'/></disk>",
         CST_ERROR_NOT_FOUND, "a volume is not a disk of it"},
    };
    g_autofree char *begin = g_strdup(fake_state->str);

    for (guint i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_string_assign(fake_state, begin);
        fake_add("%s", cases[i].line);
        live_set(pause_live, "state", cases[i].state);
        if (cases[i].disks)
            fake_write_document("web1.xml", cases[i].disks);
        assert_backup_refused(cases[i].code, cases[i].text);
        assert_int_equal(directory_count(backup_directory), 0);
    }
    live_set(pause_live, "state", "running");
    assert_changes("");
}

static void backup_of_another_program_is_busy_and_kept(void **unused)
{
    live_set(pause_live, "backup", "/elsewhere");
    assert_backup_refused(CST_ERROR_BUSY, "it has a job");
    assert_true(backup_job_exists());
    live_set(pause_live, "backup", NULL);
    assert_changes("");
}

/* libvirt would wait for it, while the guest is frozen. */
static void job_that_begins_during_the_freeze_is_busy(void **unused)
{
    pid_t other;

    fake_add("[calls]\nvirDomainFSFreeze = wait %s/go\n", fake_dir);
    other = fork();
    if (other == 0) {
        AWAIT(fake_calls("virDomainFSFreeze") > 0);
        live_set(pause_live, "backup", "/elsewhere");
        fake_write_file("go", "");
        _exit(0);
    }
    assert_backup_refused(CST_ERROR_BUSY, "cannot back up domain 'web1': it has a job");
    assert_changes(" FSFreeze FSThaw");
    assert_true(backup_job_exists());
    live_set(pause_live, "backup", NULL);
    await_closed();
}

static void second_session_of_a_domain_is_busy(void **unused)
{
    CstHypervisorBackup *backup;
    g_autofree char *socket = NULL;

    /* The keeper does not look at its job. */
    hypervisor_backup_limits[BACKUP_LIMIT_TICK] = hypervisor_backup_limits[BACKUP_LIMIT_LOOK];
    backup = backup_begin_ok(CST_CONSISTENCY_FILESYSTEM, NULL);
    socket = live_get(pause_live, "backup");
    assert_backup_refused(CST_ERROR_BUSY, "it has a job");
    /* Before the job begins, the lock of the entry refuses it. */
    live_set(pause_live, "backup", NULL);
    assert_backup_refused(CST_ERROR_BUSY, "another process backs it up");
    live_set(pause_live, "backup", socket);
    end_and_await(backup);
    end_and_await(backup_begin_ok(CST_CONSISTENCY_FILESYSTEM, NULL));
}

static void scratch_space_below_the_reserve_is_refused(void **unused)
{
    backup_request.reserve = 2 << 20;
    backup_set_free((2 << 20) - 1);
    assert_backup_refused(CST_ERROR_NO_SPACE,
                          "has only 2.00 MiB free, and 2.00 MiB must stay free");
    assert_changes("");
    backup_set_free(2 << 20);
    end_and_await(backup_begin_ok(CST_CONSISTENCY_FILESYSTEM, NULL));
}

static void directories_of_other_users_are_refused(void **unused)
{
    g_autofree char *link = fake_at("link"), *missing = fake_at("missing");

    assert_int_equal(g_chmod(backup_scratch, 0733), 0);
    assert_backup_refused(CST_ERROR_DENIED, "other users can write to the scratch directory");
    assert_int_equal(g_chmod(backup_scratch, 0711), 0);
    assert_int_equal(symlink(backup_scratch, link), 0);
    backup_request.scratch = link;
    assert_backup_refused(CST_ERROR_IO, "cannot open the scratch directory");
    backup_request.scratch = missing;
    assert_backup_refused(CST_ERROR_NOT_FOUND, "cannot open the scratch directory");
    backup_request.scratch = "relative";
    assert_backup_refused(CST_ERROR_INVALID, "no absolute path");
    backup_request.scratch = backup_scratch;
    assert_int_equal(g_mkdir(backup_directory, 0700), 0);
    assert_int_equal(g_chmod(backup_directory, 0777), 0);
    assert_backup_refused(CST_ERROR_DENIED, "other users can write to directory");
    assert_int_equal(g_chmod(backup_directory, 0711), 0);
    if (geteuid() == 0) {
        assert_int_equal(chown(backup_scratch, 4321, 0), 0);
        assert_backup_refused(CST_ERROR_DENIED, "other users can write to the scratch directory");
    }
    assert_changes("");
}

static void socket_with_a_long_path_is_refused(void **unused)
{
    g_autofree char *name = g_strnfill(CST_HYPERVISOR_SOCKET_MAX, 'x');
    g_autofree char *path = fake_at(name);

    backup_request.directory = path;
    assert_backup_refused(CST_ERROR_INVALID, "the path of its socket has more than 107 bytes");
}

/* --- failures of libvirt ---------------------------------------------------------------------- */

static void error_of_each_call_leaves_a_thawed_domain(void **unused)
{
    static const char *const calls[] = {
        "virDomainBackupBegin", "virConnectOpen",      "virConnectDomainEventRegisterAny",
        "virDomainGetXMLDesc",  "virDomainGetJobInfo", "virDomainGetState"};
    g_autofree char *begin = g_strdup(fake_state->str);

    for (guint i = 0; i < G_N_ELEMENTS(calls); i++) {
        g_string_assign(fake_state, begin);
        fake_add("[calls]\n%s = fail 1 0 the \\x1b[31mreason\n", calls[i]);
        assert_backup_refused(CST_ERROR_FAILED, "[31mreason");
        await_closed();
        await_processes();
    }
    assert_changes(" FSFreeze BackupBegin FSThaw");
}

/* The freeze ends at its limit. libvirt begins the job late. */
static void begin_that_hangs_is_overtaken(void **unused)
{
    static const char *const calls[] = {"virDomainBackupBegin", "after virDomainBackupBegin"};
    g_autofree char *begin = g_strdup(fake_state->str);

    hypervisor_backup_limits[BACKUP_LIMIT_BEGIN] = 500;
    for (guint i = 0; i < G_N_ELEMENTS(calls); i++) {
        g_string_assign(fake_state, begin);
        fake_add("[calls]\n%s = once %s/hang%u hang\n", calls[i], fake_dir, i);
        assert_backup_refused(CST_ERROR_TIMEOUT, "'web1': libvirt did not answer");
        await_closed();
        await_processes();
        assert_true(live_is_now("running", 0));
    }
}

/* The limit of the freeze passes before the job begins. */
static void begin_after_the_limit_of_the_freeze_is_level_crash(void **unused)
{
    CstHypervisorBackup *backup;
    pid_t other;

    hypervisor_pause_limits[PAUSE_LIMIT_FROZEN] = 300;
    fake_add("[calls]\nvirDomainBackupBegin = wait %s/go\n", fake_dir);
    other = fork();
    if (other == 0) {
        AWAIT(fake_calls("virDomainFSThaw") > 0);
        fake_write_file("go", "");
        _exit(0);
    }
    backup = backup_begin_ok(CST_CONSISTENCY_CRASH,
                             "the limit of a freeze passed before the copy was complete");
    end_and_await(backup);
    assert_changes(" FSFreeze BackupBegin FSThaw AbortJob");
}

/* Its client was killed, and libvirt begins the job later. */
static void job_that_begins_late_is_ended(void **unused)
{
    g_autofree char *socket = NULL;
    g_autoptr(GDir) dir = NULL;
    const char *name;

    hypervisor_backup_limits[BACKUP_LIMIT_BEGIN] = 500;
    hypervisor_backup_limits[BACKUP_LIMIT_LATE] = 100000;
    fake_add("[calls]\nvirDomainBackupBegin = once %s/hang hang\n", fake_dir);
    assert_backup_refused(CST_ERROR_TIMEOUT, "libvirt did not answer");
    AWAIT(fake_calls("virDomainBackupGetXMLDesc") > 2);
    assert_true(directory_count(backup_directory) > 0);
    dir = g_dir_open(backup_directory, 0, NULL);
    while ((name = g_dir_read_name(dir)) && !socket)
        if (g_str_has_prefix(name, "cistern-backup-"))
            socket = g_build_filename(backup_directory, name, "nbd", NULL);
    assert_non_null(socket);
    live_set(pause_live, "backup", socket);
    await_closed();
}

/* Cancels the task during virDomainBackupBegin(), which returns after the thaw. */
static gpointer task_cancel_later(gpointer task)
{
    AWAIT(fake_calls("virDomainBackupBegin") > 0);
    cst_task_cancel(task);
    AWAIT(fake_calls("virDomainFSThaw") > 0);
    fake_write_file("go", "");
    return NULL;
}

static void task_that_is_cancelled_ends_the_session(void **unused)
{
    g_autoptr(CstHypervisor) hypervisor = fake_hypervisor(pause_deadline_s);
    g_autoptr(CstTask) task = cst_task_new();
    GError *error = NULL;
    GThread *other;

    fake_add("[calls]\nvirDomainBackupBegin = wait %s/go\n", fake_dir);
    fake_write_file("fake", fake_state->str);
    other = g_thread_new("cancel", task_cancel_later, task);
    assert_null(
        cst_hypervisor_backup_begin(hypervisor, &backup_request, task, &backup_result, &error));
    g_thread_join(other);
    assert_int_equal(error->code, CST_ERROR_CANCELLED);
    g_error_free(error);
    await_closed();
    assert_true(live_is_now("running", 0));
    cst_hypervisor_backup_end(NULL);
}

int main(int argc, char **argv)
{
#define CASE(name) cmocka_unit_test_setup_teardown(name, backup_setup, backup_teardown)
    const struct CMUnitTest tests[] = {
        CASE(backup_begins_between_freeze_and_thaw),
        CASE(domain_without_an_agent_is_backed_up_at_level_crash),
        CASE(freeze_that_is_not_requested_is_not_sent),
        CASE(agent_that_hangs_is_level_crash),
        CASE(agent_that_hangs_in_the_freeze_is_thawed_when_it_wakes),
        CASE(domain_of_an_administrator_stays_paused),
        CASE(document_names_each_disk_of_the_domain),
        CASE(directory_of_the_socket_belongs_to_the_user_of_qemu),
        CASE(domain_that_may_not_be_backed_up_is_refused),
        CASE(backup_of_another_program_is_busy_and_kept),
        CASE(job_that_begins_during_the_freeze_is_busy),
        CASE(second_session_of_a_domain_is_busy),
        CASE(scratch_space_below_the_reserve_is_refused),
        CASE(directories_of_other_users_are_refused),
        CASE(socket_with_a_long_path_is_refused),
        CASE(error_of_each_call_leaves_a_thawed_domain),
        CASE(begin_that_hangs_is_overtaken),
        CASE(begin_after_the_limit_of_the_freeze_is_level_crash),
        CASE(job_that_begins_late_is_ended),
        CASE(task_that_is_cancelled_ends_the_session),
    };

    cst_hypervisor_run_helper(argc, argv);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
