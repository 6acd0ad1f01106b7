/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A backup session of a domain of the fake libvirt. The free space is the content of a file. */
#include "backup_fixture.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <cmocka.h>
#include <glib/gstdio.h>

#include <base/error.h>

#include "../await.h"

#define LONG_MS      120000 /* no limit passes by itself */
#define FREE_SETTING "FAKE_FREE"

char *backup_directory, *backup_scratch;
CstHypervisorBackupRequest backup_request;
CstHypervisorPauseResult backup_result;
static unsigned limits[BACKUP_LIMIT_LAST]; /* of the product */

int __real_fstatvfs64(int fd, struct statvfs *ret_st);
int __wrap_fstatvfs64(int fd, struct statvfs *ret_st);

int __wrap_fstatvfs64(int fd, struct statvfs *ret_st)
{
    const char *path = g_getenv(FREE_SETTING);
    g_autofree char *text = NULL;
    int status = __real_fstatvfs64(fd, ret_st);

    if (path && g_file_get_contents(path, &text, NULL, NULL)) {
        ret_st->f_frsize = 1;
        ret_st->f_bavail = g_ascii_strtoull(text, NULL, 10);
    }
    return status;
}

void backup_set_free(uint64_t bytes)
{
    g_autofree char *text = g_strdup_printf("%" G_GUINT64_FORMAT, bytes);

    fake_write_file("free", text);
}

int backup_setup(void **unused)
{
    g_autofree char *space = NULL, *document = NULL;

    pause_setup(unused);
    space = fake_at("free");
    g_setenv(FREE_SETTING, space, TRUE);
    backup_set_free(G_GUINT64_CONSTANT(1) << 40);
    backup_directory = fake_at("backups");
    backup_scratch = fake_at("scratch");
    document = fake_at("backup.xml");
    fake_add("backup-xml = %s\n", document);
    g_mkdir(backup_scratch, 0711);
    backup_request = (CstHypervisorBackupRequest){.uri = "qemu:///system",
                                                  .uuid = PAUSE_UUID,
                                                  .volumes = pause_request.volumes,
                                                  .n_volumes = 1,
                                                  .freeze = TRUE,
                                                  .pauses = pause_directory,
                                                  .directory = backup_directory,
                                                  .scratch = backup_scratch,
                                                  .reserve = 4096};
    memcpy(limits, hypervisor_backup_limits, sizeof(limits));
    for (guint i = 0; i < BACKUP_LIMIT_LAST; i++)
        hypervisor_backup_limits[i] = LONG_MS;
    hypervisor_backup_limits[BACKUP_LIMIT_TICK] = 10;
    hypervisor_backup_limits[BACKUP_LIMIT_RETRY] = 10;
    hypervisor_backup_limits[BACKUP_LIMIT_RETRY_MAX] = 50;
    hypervisor_backup_limits[BACKUP_LIMIT_LATE] = 100;
    return 0;
}

static void directory_remove_empty(const char *path)
{
    guint left = directory_count(path);

    if (left > 0)
        fail_msg("%u names are left in %s", left, path);
    g_rmdir(path);
}

int backup_teardown(void **unused)
{
    await_processes();
    memcpy(hypervisor_backup_limits, limits, sizeof(limits));
    g_clear_pointer(&backup_result.reason, g_free);
    directory_remove_empty(backup_directory);
    directory_remove_empty(backup_scratch);
    g_free(backup_directory);
    g_free(backup_scratch);
    g_unsetenv(FREE_SETTING);
    return pause_teardown(unused);
}

CstHypervisorBackup *backup_begin(GError **error)
{
    g_autoptr(CstHypervisor) hypervisor = fake_hypervisor(pause_deadline_s);

    g_clear_pointer(&backup_result.reason, g_free);
    fake_write_file("fake", fake_state->str);
    return cst_hypervisor_backup_begin(hypervisor, &backup_request, NULL, &backup_result, error);
}

CstHypervisorBackup *backup_begin_ok(CstConsistency level, const char *reason)
{
    g_autoptr(GError) error = NULL;
    CstHypervisorBackup *backup = backup_begin(&error);

    if (!backup)
        fail_msg("%s", error->message);
    if (g_strcmp0(backup_result.reason, reason) != 0)
        fail_msg("the reason is: %s", backup_result.reason);
    assert_int_equal(backup_result.consistency, level);
    return backup;
}

void assert_backup_refused(CstErrorCode code, const char *text)
{
    GError *error = NULL;

    assert_null(backup_begin(&error));
    assert_pause_error(error, code, text);
}

void assert_backup_ends(CstHypervisorBackup *backup, CstErrorCode code, const char *text)
{
    GError *error = NULL;

    AWAIT(!cst_hypervisor_backup_check(backup, NULL));
    assert_false(cst_hypervisor_backup_check(backup, &error));
    assert_pause_error(error, code, text);
}

gboolean backup_job_exists(void)
{
    g_autofree char *socket = live_get(pause_live, "backup");

    return socket != NULL;
}

void await_closed(void)
{
    AWAIT_STATE(!backup_job_exists() && directory_count(backup_directory) == 0 &&
                    directory_count(backup_scratch) == 0 && directory_count(pause_directory) == 0 &&
                    live_get_number(pause_live, "frozen") == 0,
                "job %d, entries %u, scratch %u, pauses %u, frozen %d", backup_job_exists(),
                directory_count(backup_directory), directory_count(backup_scratch),
                directory_count(pause_directory), live_get_number(pause_live, "frozen"));
}

pid_t find_keeper(void)
{
    return find_child(getpid(), HYPERVISOR_BACKUP);
}

char *backup_changes(void)
{
    static const char *const names[] = {"virDomainSuspend",     "virDomainResume",
                                        "virDomainFSFreeze",    "virDomainFSThaw",
                                        "virDomainBackupBegin", "virDomainAbortJob"};
    g_autofree char *path = fake_at("log");
    g_autofree char *text = NULL;
    g_auto(GStrv) lines = NULL;
    GString *made = g_string_new(NULL);

    assert_true(g_file_get_contents(path, &text, NULL, NULL));
    lines = g_strsplit(text, "\n", -1);
    for (char **line = lines; *line; line++)
        for (guint i = 0; i < G_N_ELEMENTS(names); i++)
            if (strcmp(*line, names[i]) == 0)
                g_string_append_printf(made, " %s", *line + strlen("virDomain"));
    return g_string_free(made, FALSE);
}
