/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The entry of a backup session (domain_entry.c). A keeper writes it before it creates a directory,
 * and before virDomainBackupBegin(). It removes the entry when the job has ended and its files are
 * removed. So a missing entry means that there is no job and no file, except after a reboot, when
 * scratch files may be left.
 */
#include "backup_entry.h"

#include <base/error.h>
#include <base/i18n.h>

#include "backup_files.h"

#define GROUP "backup"

void backup_entry_clear(BackupEntry *entry)
{
    domain_entry_clear(&entry->domain);
    g_clear_pointer(&entry->session, g_free);
    g_clear_pointer(&entry->directory, g_free);
    g_clear_pointer(&entry->scratch, g_free);
}

gboolean backup_entry_write(int dirfd, const BackupEntry *entry, GError **error)
{
    g_autoptr(GKeyFile) file = domain_entry_encode(&entry->domain, GROUP);

    g_key_file_set_string(file, GROUP, "session", entry->session);
    g_key_file_set_string(file, GROUP, "directory", entry->directory);
    g_key_file_set_string(file, GROUP, "scratch", entry->scratch);
    g_key_file_set_uint64(file, GROUP, "reserve", entry->reserve);
    g_key_file_set_boolean(file, GROUP, "ran", entry->ran);
    g_key_file_set_boolean(file, GROUP, "resume", entry->resume);
    return domain_entry_write(dirfd, entry->domain.uuid, file, error);
}

/* Whether the texts of the entry can be used as paths. */
static gboolean backup_entry_is_valid(const BackupEntry *entry)
{
    return entry->session && backup_session_is_valid(entry->session) && entry->directory &&
           g_path_is_absolute(entry->directory) && entry->scratch &&
           g_path_is_absolute(entry->scratch);
}

static gboolean backup_entry_decode(GKeyFile *file, BackupEntry *ret_entry)
{
    g_autoptr(GError) error = NULL;

    ret_entry->session = g_key_file_get_string(file, GROUP, "session", NULL);
    ret_entry->directory = g_key_file_get_string(file, GROUP, "directory", NULL);
    ret_entry->scratch = g_key_file_get_string(file, GROUP, "scratch", NULL);
    ret_entry->reserve = g_key_file_get_uint64(file, GROUP, "reserve", &error);
    if (!error)
        ret_entry->ran = g_key_file_get_boolean(file, GROUP, "ran", &error);
    if (!error)
        ret_entry->resume = g_key_file_get_boolean(file, GROUP, "resume", &error);
    return !error && backup_entry_is_valid(ret_entry);
}

gboolean backup_entry_read(int dirfd, const char *uuid, BackupEntry *ret_entry, GError **error)
{
    g_autofree char *damaged = g_strdup_printf(
        _("the entry of the backup of domain %s is damaged; run virsh domjobabort %s, "
          "then remove it"),
        uuid, uuid);
    g_autoptr(GKeyFile) file =
        domain_entry_read(dirfd, uuid, GROUP, damaged, &ret_entry->domain, error);

    return file && (backup_entry_decode(file, ret_entry) ||
                    cst_fail(error, CST_ERROR_CORRUPT, "%s", damaged));
}
