/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The entry, the directories and the messages of backup sessions. */
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

#include "../../../src/hypervisor/backup_entry.h"
#include "../../../src/hypervisor/backup_files.h"
#include "../await.h"

#define SESSION "cistern-backup-0123456789abcdef"

static BackupEntry entry_sample(void)
{
    return (BackupEntry){.domain = {.uri = (char *)"qemu:///system?socket=/a%20b",
                                    .uuid = (char *)PAUSE_UUID,
                                    .name = (char *)" web;1\n[backup]\nid=9",
                                    .id = 7,
                                    .late_until = G_GINT64_CONSTANT(12345678901)},
                         .session = (char *)SESSION,
                         .directory = (char *)"/run/x",
                         .scratch = (char *)"/var/s\n x",
                         .reserve = G_MAXUINT64,
                         .ran = TRUE};
}

/* Returns the directory of the entries, which the test creates. */
static int entries_open(void)
{
    int fd = domain_directory_open(backup_directory, 0711, NULL);

    assert_true(fd >= 0);
    return fd;
}

static char *entry_path(void)
{
    return g_build_filename(backup_directory, PAUSE_UUID, NULL);
}

static void entry_is_read_as_it_was_written(void **unused)
{
    const BackupEntry entry = entry_sample();
    g_autofree char *path = entry_path();
    g_auto(CstFd) fd = entries_open();
    g_auto(BackupEntry) read = {0};
    GStatBuf st;

    assert_true(backup_entry_write(fd, &entry, NULL));
    assert_true(backup_entry_read(fd, PAUSE_UUID, &read, NULL));
    assert_string_equal(read.domain.uri, entry.domain.uri);
    assert_string_equal(read.domain.name, entry.domain.name);
    assert_string_equal(read.session, SESSION);
    assert_string_equal(read.directory, entry.directory);
    assert_string_equal(read.scratch, entry.scratch);
    assert_true(read.domain.id == 7 && read.reserve == G_MAXUINT64 && read.ran && !read.resume);
    assert_true(read.domain.late_until == entry.domain.late_until);
    assert_int_equal(g_stat(path, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
    domain_entry_remove(fd, PAUSE_UUID);
}

/* Each damage is a replacement in a valid entry. */
static void damaged_entry_is_refused_and_kept(void **unused)
{
    static const struct {
        const char *from, *to;
    } cases[] = {
        {"version=1", "version=2"},
        {"session=" SESSION, "session=../" SESSION},
        {"session=" SESSION, "session="},
        {"scratch=/var", "scratch=var"},
        {"directory=/run", "directory=run"},
        {"id=7", "id=-1"},
        {"ran=true", "ran=maybe"},
        {"resume=false", ""},
        {"late-until=", "late="},
        {"reserve=", "reserve=x"},
        {"uuid=c", "uuid=d"},
        {"[backup]", "backup]"},
    };
    const BackupEntry entry = entry_sample();
    g_autofree char *path = entry_path(), *text = NULL;
    g_auto(CstFd) fd = entries_open();

    assert_true(backup_entry_write(fd, &entry, NULL));
    assert_true(g_file_get_contents(path, &text, NULL, NULL));
    for (guint i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autoptr(GString) damaged = g_string_new(text);
        g_auto(BackupEntry) read = {0};
        GError *error = NULL;

        assert_true(g_string_replace(damaged, cases[i].from, cases[i].to, 1) == 1);
        assert_true(g_file_set_contents(path, damaged->str, -1, NULL));
        g_chmod(path, 0600);
        assert_false(backup_entry_read(fd, PAUSE_UUID, &read, &error));
        assert_pause_error(error, CST_ERROR_CORRUPT, "run virsh domjobabort " PAUSE_UUID);
        error = NULL;
        assert_false(cst_hypervisor_backup_recover(backup_directory, backup_scratch, &error));
        assert_pause_error(error, CST_ERROR_CORRUPT, PAUSE_UUID);
        assert_true(g_file_test(path, G_FILE_TEST_EXISTS));
    }
    domain_entry_remove(fd, PAUSE_UUID);
}

/* It names a domain whose job would be ended. */
static void entry_of_another_user_is_refused(void **unused)
{
    const BackupEntry entry = entry_sample();
    g_autofree char *path = entry_path(), *elsewhere = fake_at("elsewhere");
    g_auto(CstFd) fd = entries_open();
    GError *error = NULL;

    assert_true(backup_entry_write(fd, &entry, NULL));
    g_chmod(path, 0644);
    assert_false(cst_hypervisor_backup_recover(backup_directory, NULL, &error));
    assert_pause_error(error, CST_ERROR_DENIED, PAUSE_UUID);
    error = NULL;
    assert_int_equal(g_rename(path, elsewhere), 0);
    assert_int_equal(symlink(elsewhere, path), 0);
    g_chmod(elsewhere, 0600);
    assert_false(cst_hypervisor_backup_recover(backup_directory, NULL, &error));
    assert_pause_error(error, CST_ERROR_IO, PAUSE_UUID);
    assert_backup_refused(CST_ERROR_FAILED, PAUSE_UUID);
    unlink(path);
    if (geteuid() == 0) {
        assert_true(backup_entry_write(fd, &entry, NULL));
        assert_int_equal(chown(path, 4321, 0), 0);
        error = NULL;
        assert_false(cst_hypervisor_backup_recover(backup_directory, NULL, &error));
        assert_pause_error(error, CST_ERROR_DENIED, PAUSE_UUID);
        assert_backup_refused(CST_ERROR_DENIED, PAUSE_UUID);
    }
    unlink(path);
}

static void lock_without_an_entry_is_removed(void **unused)
{
    g_auto(CstFd) fd = entries_open();

    close(domain_entry_lock(fd, PAUSE_UUID, NULL));
    assert_int_equal(directory_count(backup_directory), 1);
    assert_true(cst_hypervisor_backup_recover(backup_directory, NULL, NULL));
    assert_int_equal(directory_count(backup_directory), 0);
}

/* Makes a directory with a file below the scratch directory. */
static void scratch_leave(const char *name)
{
    g_autofree char *path = g_build_filename(backup_scratch, name, NULL);
    g_autofree char *file = g_build_filename(path, "vda.qcow2", NULL);

    assert_int_equal(g_mkdir(path, 0711), 0);
    assert_true(g_file_set_contents(file, "content", -1, NULL));
}

static void scratch_remove(const char *name)
{
    int fd = open(backup_scratch, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    assert_true(backup_directory_remove(fd, name));
    close(fd);
}

/* After a reboot the entry is gone, and the scratch files are left. */
static void scratch_files_of_a_dead_session_are_removed(void **unused)
{
    static const char *const kept[] = {"cistern-backup-0123456789abcdeF", "cistern-backup-",
                                       "cistern-backup-0123456789abcdef0", "other"};
    CstHypervisorBackup *backup = backup_begin_ok(CST_CONSISTENCY_FILESYSTEM, NULL);

    scratch_leave(SESSION);
    for (guint i = 0; i < G_N_ELEMENTS(kept); i++)
        scratch_leave(kept[i]);
    assert_true(cst_hypervisor_backup_recover(backup_directory, backup_scratch, NULL));
    /* The other names, and the directory of the live session. */
    assert_int_equal(directory_count(backup_scratch), G_N_ELEMENTS(kept) + 1);
    for (guint i = 0; i < G_N_ELEMENTS(kept); i++)
        scratch_remove(kept[i]);
    assert_true(cst_hypervisor_backup_check(backup, NULL));
    cst_hypervisor_backup_end(backup);
}

/* Its entry may be in the directory of another program. */
static void scratch_files_of_a_live_session_are_kept_by_their_lock(void **unused)
{
    g_autofree char *elsewhere = fake_at("elsewhere");
    CstHypervisorBackup *backup = backup_begin_ok(CST_CONSISTENCY_FILESYSTEM, NULL);

    assert_true(cst_hypervisor_backup_recover(elsewhere, backup_scratch, NULL));
    assert_int_equal(directory_count(backup_scratch), 1);
    cst_hypervisor_backup_end(backup);
}

static void link_in_the_scratch_directory_is_not_followed(void **unused)
{
    g_autofree char *target = fake_at("target"), *file = g_build_filename(target, "x", NULL);
    g_autofree char *link = g_build_filename(backup_scratch, SESSION, NULL);

    assert_int_equal(g_mkdir(target, 0700), 0);
    assert_true(g_file_set_contents(file, "content", -1, NULL));
    assert_int_equal(symlink(target, link), 0);
    assert_true(cst_hypervisor_backup_recover(backup_directory, backup_scratch, NULL));
    assert_true(g_file_test(file, G_FILE_TEST_EXISTS));
    unlink(link);
    unlink(file);
    g_rmdir(target);
}

static void scratch_directory_of_other_users_is_not_swept(void **unused)
{
    g_autofree char *missing = fake_at("missing");
    GError *error = NULL;

    scratch_leave(SESSION);
    g_chmod(backup_scratch, 0777);
    assert_false(cst_hypervisor_backup_recover(backup_directory, backup_scratch, &error));
    assert_pause_error(error, CST_ERROR_DENIED, "other users can write to the scratch directory");
    assert_int_equal(directory_count(backup_scratch), 1);
    g_chmod(backup_scratch, 0711);
    assert_true(cst_hypervisor_backup_recover(backup_directory, missing, NULL));
    assert_true(cst_hypervisor_backup_recover(missing, backup_scratch, NULL));
    assert_int_equal(directory_count(backup_scratch), 0);
}

/* QEMU's user may have created any file beside its socket. */
static void directory_of_a_socket_is_removed_with_all_its_files(void **unused)
{
    CstHypervisorBackup *backup = backup_begin_ok(CST_CONSISTENCY_FILESYSTEM, NULL);
    g_autofree char *directory = g_path_get_dirname(cst_hypervisor_backup_socket(backup));
    g_autofree char *link = g_build_filename(directory, "link", NULL);
    g_autofree char *below = g_build_filename(directory, "below", NULL);
    g_autofree char *disk = fake_at("disk");

    assert_int_equal(symlink(disk, link), 0);
    assert_int_equal(g_mkdir(below, 0700), 0);
    cst_hypervisor_backup_end(backup);
    assert_int_equal(directory_count(backup_directory), 0);
    assert_true(g_file_test(disk, G_FILE_TEST_EXISTS));
}

/* --- messages --------------------------------------------------------------------------------- */

static BackupRequest request_with(const char *checkpoint, BackupBase *base)
{
    return (BackupRequest){.domain = {.uri = (char *)"qemu:///system",
                                      .uuid = (char *)PAUSE_UUID,
                                      .volumes = (CstHypervisorVolume *)pause_request.volumes,
                                      .n_volumes = 1},
                           .session = (char *)SESSION,
                           .directory = (char *)"/run",
                           .scratch = (char *)"/var",
                           .reserve = 5,
                           .checkpoint = (char *)checkpoint,
                           .bases = base};
}

static void request_with_a_wrong_name_of_a_checkpoint_is_refused(void **unused)
{
    static const char *const names[][2] = {{"cp1", ""}, {"", "cp1"}};

    for (guint i = 0; i < G_N_ELEMENTS(names); i++) {
        BackupBase base = {.name = (char *)names[i][1]};
        const BackupRequest request = request_with(names[i][0], &base);
        g_autoptr(GBytes) packet = backup_request_encode(&request);
        BackupRequest read = {0};

        assert_false(
            backup_request_decode(g_bytes_get_data(packet, NULL), g_bytes_get_size(packet), &read));
        backup_request_clear(&read);
    }
}

static void request_is_decoded_as_it_was_encoded(void **unused)
{
    BackupBase base = {.name = (char *)"cistern-backup-0123abcd-00000002"};
    const BackupRequest request = request_with("cistern-backup-0123abcd-00000001", &base);
    g_autoptr(GBytes) packet = backup_request_encode(&request);
    BackupRequest read = {0};
    gsize len;
    const char *data = g_bytes_get_data(packet, &len);

    assert_true(backup_request_decode(data, len, &read));
    assert_string_equal(read.domain.uuid, PAUSE_UUID);
    assert_string_equal(read.session, SESSION);
    assert_string_equal(read.scratch, "/var");
    assert_true(read.reserve == 5 && read.domain.n_volumes == 1 && !read.domain.freeze);
    assert_true(read.domain.volumes[0].inode == pause_request.volumes[0].inode);
    assert_string_equal(read.checkpoint, "cistern-backup-0123abcd-00000001");
    assert_string_equal(read.bases[0].name, "cistern-backup-0123abcd-00000002");
    backup_request_clear(&read);
    for (gsize cut = 0; cut < len; cut++) {
        backup_request_decode(data, cut, &read);
        backup_request_clear(&read);
    }
}

static void answer_with_values_out_of_range_is_refused(void **unused)
{
    g_autofree char *text = g_strnfill(4097, 'x');
    BackupExport export = {.target = (char *)"vda"};
    g_autoptr(GPtrArray) exports = g_ptr_array_new();
    BackupAnswer answer = {.outcome = PAUSE_NO_SPACE, .free = 7, .exports = exports};

    g_ptr_array_add(exports, &export);
    for (guint i = 0; i < 6; i++) {
        g_autoptr(GBytes) packet = NULL;
        g_auto(BackupAnswer) read = {0};
        gboolean valid;

        answer.outcome = i == 1 ? PAUSE_OUTCOME_LAST : PAUSE_NO_SPACE;
        answer.message = i == 2 ? text : NULL;
        export.loss = i == 3 ? BACKUP_LOSS_LAST : BACKUP_LOSS_BROKEN;
        export.chain = i == 4 ? text : NULL;
        for (guint k = 0; i == 5 && k < PAUSE_VOLUMES_MAX; k++)
            g_ptr_array_add(exports, &export);
        packet = backup_answer_encode(&answer);
        valid =
            backup_answer_decode(g_bytes_get_data(packet, NULL), g_bytes_get_size(packet), &read);
        assert_int_equal(valid, i == 0);
        if (valid)
            assert_true(read.free == 7 &&
                        strcmp(((BackupExport *)read.exports->pdata[0])->target, "vda") == 0);
    }
}

int main(int argc, char **argv)
{
#define CASE(name) cmocka_unit_test_setup_teardown(name, backup_setup, backup_teardown)
    const struct CMUnitTest tests[] = {
        CASE(entry_is_read_as_it_was_written),
        CASE(damaged_entry_is_refused_and_kept),
        CASE(entry_of_another_user_is_refused),
        CASE(lock_without_an_entry_is_removed),
        CASE(scratch_files_of_a_dead_session_are_removed),
        CASE(scratch_files_of_a_live_session_are_kept_by_their_lock),
        CASE(link_in_the_scratch_directory_is_not_followed),
        CASE(scratch_directory_of_other_users_is_not_swept),
        CASE(directory_of_a_socket_is_removed_with_all_its_files),
        CASE(request_is_decoded_as_it_was_encoded),
        CASE(request_with_a_wrong_name_of_a_checkpoint_is_refused),
        CASE(answer_with_values_out_of_range_is_refused),
    };

    cst_hypervisor_run_helper(argc, argv);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
