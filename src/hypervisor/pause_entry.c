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

#define GROUP "pause"

static const char *const step_words[PAUSE_ENTRY_LAST] = {
    [PAUSE_ENTRY_FREEZING] = "freezing",     [PAUSE_ENTRY_FROZEN] = "frozen",
    [PAUSE_ENTRY_SUSPENDING] = "suspending", [PAUSE_ENTRY_SUSPENDED] = "suspended",
    [PAUSE_ENTRY_RESUMING] = "resuming",     [PAUSE_ENTRY_THAWING] = "thawing",
};

void pause_entry_clear(PauseEntry *entry)
{
    domain_entry_clear(&entry->domain);
}

gboolean pause_entry_write(int dirfd, const PauseEntry *entry, GError **error)
{
    g_autoptr(GKeyFile) file = domain_entry_encode(&entry->domain, GROUP);

    g_key_file_set_string(file, GROUP, "step", step_words[entry->step]);
    g_key_file_set_boolean(file, GROUP, "suspended", entry->suspended);
    g_key_file_set_boolean(file, GROUP, "thaw-owed", entry->thaw_owed);
    return domain_entry_write(dirfd, entry->domain.uuid, file, error);
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

static gboolean pause_entry_decode(GKeyFile *file, PauseEntry *ret_entry)
{
    g_autoptr(GError) error = NULL;
    g_autofree char *step = g_key_file_get_string(file, GROUP, "step", NULL);

    ret_entry->suspended = g_key_file_get_boolean(file, GROUP, "suspended", &error);
    if (!error)
        ret_entry->thaw_owed = g_key_file_get_boolean(file, GROUP, "thaw-owed", &error);
    return !error && step_parse(step, &ret_entry->step);
}

gboolean pause_entry_read(int dirfd, const char *uuid, PauseEntry *ret_entry, GError **error)
{
    g_autofree char *damaged =
        g_strdup_printf(_("the entry of paused domain %s is damaged; run virsh resume %s and virsh "
                          "domfsthaw %s, then remove it"),
                        uuid, uuid, uuid);
    g_autoptr(GKeyFile) file =
        domain_entry_read(dirfd, uuid, GROUP, damaged, &ret_entry->domain, error);

    return file && (pause_entry_decode(file, ret_entry) ||
                    cst_fail(error, CST_ERROR_CORRUPT, "%s", damaged));
}
