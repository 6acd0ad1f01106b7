/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The entry of a paused domain (domain_entry.c). A watchdog writes the entry before each change of
 * the domain, and removes it when all changes are undone. So a missing entry means that the domain
 * needs no repair.
 */
#include "pause_entry.h"

#include <string.h>

#include <base/error.h>
#include <base/i18n.h>

#define GROUP   "pause"
#define VERSION 1

static const char *const step_words[PAUSE_ENTRY_LAST] = {
    [PAUSE_ENTRY_FREEZING] = "freezing",     [PAUSE_ENTRY_FROZEN] = "frozen",
    [PAUSE_ENTRY_SUSPENDING] = "suspending", [PAUSE_ENTRY_SUSPENDED] = "suspended",
    [PAUSE_ENTRY_RESUMING] = "resuming",     [PAUSE_ENTRY_THAWING] = "thawing",
};

void pause_entry_clear(PauseEntry *entry)
{
    g_clear_pointer(&entry->uri, g_free);
    g_clear_pointer(&entry->uuid, g_free);
    g_clear_pointer(&entry->name, g_free);
}

static GKeyFile *pause_entry_encode(const PauseEntry *entry)
{
    GKeyFile *file = g_key_file_new();

    g_key_file_set_integer(file, GROUP, "version", VERSION);
    g_key_file_set_string(file, GROUP, "uri", entry->uri);
    g_key_file_set_string(file, GROUP, "uuid", entry->uuid);
    g_key_file_set_string(file, GROUP, "name", entry->name ? entry->name : "");
    g_key_file_set_integer(file, GROUP, "id", entry->id);
    g_key_file_set_string(file, GROUP, "step", step_words[entry->step]);
    g_key_file_set_int64(file, GROUP, "late-until", entry->late_until);
    g_key_file_set_boolean(file, GROUP, "suspended", entry->suspended);
    g_key_file_set_boolean(file, GROUP, "thaw-owed", entry->thaw_owed);
    return file;
}

gboolean pause_entry_write(int dirfd, const PauseEntry *entry, GError **error)
{
    g_autoptr(GKeyFile) file = pause_entry_encode(entry);

    return domain_entry_write(dirfd, entry->uuid, file, error);
}

/* Returns FALSE for an unknown word. */
static gboolean step_parse(const char *word, PauseEntryStep *ret_step)
{
    for (guint i = 0; word && i < PAUSE_ENTRY_LAST; i++)
        if (strcmp(word, step_words[i]) == 0) {
            *ret_step = (PauseEntryStep)i;
            return TRUE;
        }
    return FALSE;
}

/* Returns FALSE if a key is missing, or has a value out of its range. */
static gboolean pause_entry_decode(GKeyFile *file, const char *uuid, PauseEntry *ret_entry)
{
    g_autoptr(GError) error = NULL;
    g_autofree char *step = g_key_file_get_string(file, GROUP, "step", NULL);

    if (g_key_file_get_integer(file, GROUP, "version", NULL) != VERSION)
        return FALSE;
    ret_entry->uri = g_key_file_get_string(file, GROUP, "uri", NULL);
    ret_entry->uuid = g_key_file_get_string(file, GROUP, "uuid", NULL);
    ret_entry->name = g_key_file_get_string(file, GROUP, "name", NULL);
    if (!ret_entry->uri || g_strcmp0(ret_entry->uuid, uuid) != 0 || !ret_entry->name ||
        !step_parse(step, &ret_entry->step))
        return FALSE;
    ret_entry->id = g_key_file_get_integer(file, GROUP, "id", &error);
    if (!error)
        ret_entry->late_until = g_key_file_get_int64(file, GROUP, "late-until", &error);
    if (!error)
        ret_entry->suspended = g_key_file_get_boolean(file, GROUP, "suspended", &error);
    if (!error)
        ret_entry->thaw_owed = g_key_file_get_boolean(file, GROUP, "thaw-owed", &error);
    return !error && ret_entry->id >= 0;
}

gboolean pause_entry_read(int dirfd, const char *uuid, PauseEntry *ret_entry, GError **error)
{
    g_autoptr(GKeyFile) file = g_key_file_new();
    g_autoptr(GError) why = NULL;
    gboolean read = domain_entry_read(dirfd, uuid, file, &why);

    if (!read && cst_error_code(why) != CST_ERROR_CORRUPT) {
        g_propagate_error(error, g_steal_pointer(&why));
        return FALSE;
    }
    return (read && pause_entry_decode(file, uuid, ret_entry)) ||
           cst_fail(error, CST_ERROR_CORRUPT,
                    _("the entry of paused domain %s is damaged; run virsh resume %s and virsh "
                      "domfsthaw %s, then remove it"),
                    uuid, uuid, uuid);
}
