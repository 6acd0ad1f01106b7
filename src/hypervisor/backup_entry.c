/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The entry of a backup session (domain_entry.c). A keeper writes it before it creates a directory,
 * and before virDomainBackupBegin(). It removes the entry when the job has ended and its files are
 * removed. So a missing entry means that there is no job and no file, except after a reboot, when
 * scratch files may be left.
 */
#include "backup_entry.h"

#include <string.h>

#include <base/error.h>
#include <base/i18n.h>

#include "backup_files.h"

#define GROUP   "backup"
#define VERSION 1

void backup_entry_clear(BackupEntry *entry)
{
    g_clear_pointer(&entry->uri, g_free);
    g_clear_pointer(&entry->uuid, g_free);
    g_clear_pointer(&entry->name, g_free);
    g_clear_pointer(&entry->session, g_free);
    g_clear_pointer(&entry->directory, g_free);
    g_clear_pointer(&entry->scratch, g_free);
}

gboolean backup_entry_write(int dirfd, const BackupEntry *entry, GError **error)
{
    g_autoptr(GKeyFile) file = g_key_file_new();

    g_key_file_set_integer(file, GROUP, "version", VERSION);
    g_key_file_set_string(file, GROUP, "uri", entry->uri);
    g_key_file_set_string(file, GROUP, "uuid", entry->uuid);
    g_key_file_set_string(file, GROUP, "name", entry->name ? entry->name : "");
    g_key_file_set_integer(file, GROUP, "id", entry->id);
    g_key_file_set_string(file, GROUP, "session", entry->session);
    g_key_file_set_string(file, GROUP, "directory", entry->directory);
    g_key_file_set_string(file, GROUP, "scratch", entry->scratch);
    g_key_file_set_uint64(file, GROUP, "reserve", entry->reserve);
    g_key_file_set_int64(file, GROUP, "late-until", entry->late_until);
    g_key_file_set_boolean(file, GROUP, "ran", entry->ran);
    g_key_file_set_boolean(file, GROUP, "resume", entry->resume);
    return domain_entry_write(dirfd, entry->uuid, file, error);
}

/* Returns FALSE if a key is missing, or has a value out of its range. */
static gboolean backup_entry_decode_texts(GKeyFile *file, const char *uuid, BackupEntry *ret_entry)
{
    ret_entry->uri = g_key_file_get_string(file, GROUP, "uri", NULL);
    ret_entry->uuid = g_key_file_get_string(file, GROUP, "uuid", NULL);
    ret_entry->name = g_key_file_get_string(file, GROUP, "name", NULL);
    ret_entry->session = g_key_file_get_string(file, GROUP, "session", NULL);
    ret_entry->directory = g_key_file_get_string(file, GROUP, "directory", NULL);
    ret_entry->scratch = g_key_file_get_string(file, GROUP, "scratch", NULL);
    return ret_entry->uri && ret_entry->name && g_strcmp0(ret_entry->uuid, uuid) == 0 &&
           ret_entry->session && backup_session_is_valid(ret_entry->session) &&
           ret_entry->directory && g_path_is_absolute(ret_entry->directory) && ret_entry->scratch &&
           g_path_is_absolute(ret_entry->scratch);
}

static gboolean backup_entry_decode(GKeyFile *file, const char *uuid, BackupEntry *ret_entry)
{
    g_autoptr(GError) error = NULL;

    if (g_key_file_get_integer(file, GROUP, "version", NULL) != VERSION ||
        !backup_entry_decode_texts(file, uuid, ret_entry))
        return FALSE;
    ret_entry->id = g_key_file_get_integer(file, GROUP, "id", &error);
    if (!error)
        ret_entry->reserve = g_key_file_get_uint64(file, GROUP, "reserve", &error);
    if (!error)
        ret_entry->late_until = g_key_file_get_int64(file, GROUP, "late-until", &error);
    if (!error)
        ret_entry->ran = g_key_file_get_boolean(file, GROUP, "ran", &error);
    if (!error)
        ret_entry->resume = g_key_file_get_boolean(file, GROUP, "resume", &error);
    return !error && ret_entry->id >= 0;
}

gboolean backup_entry_read(int dirfd, const char *uuid, BackupEntry *ret_entry, GError **error)
{
    g_autoptr(GKeyFile) file = g_key_file_new();
    g_autoptr(GError) why = NULL;
    gboolean read = domain_entry_read(dirfd, uuid, file, &why);

    if (!read && cst_error_code(why) != CST_ERROR_CORRUPT) {
        g_propagate_error(error, g_steal_pointer(&why));
        return FALSE;
    }
    return (read && backup_entry_decode(file, uuid, ret_entry)) ||
           cst_fail(error, CST_ERROR_CORRUPT,
                    _("the entry of the backup of domain %s is damaged; run virsh domjobabort %s, "
                      "then remove it"),
                    uuid, uuid);
}
