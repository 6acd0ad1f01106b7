/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Health of the ZFS pool's devices. The state is read often, from the kernel's statistics, which is
 * cheap. zpool status reports the faulty devices and the result of a scrub, only as text for users.
 * The text is passed on unchanged: from the line that begins with a key ("scan:") to the next key,
 * and the rows of the device table with a faulty state.
 */
#include "zfs.h"

#include <string.h>

#include <base/error.h>
#include <base/file.h>
#include <base/i18n.h>

/* From zpoolconcepts(7). Unknown states count as degraded. */
static const struct {
    const char *state;
    CstHealthLevel level;
} levels[] = {
    {"ONLINE", CST_HEALTH_GOOD},      {"DEGRADED", CST_HEALTH_DEGRADED},
    {"FAULTED", CST_HEALTH_FAILED},   {"UNAVAIL", CST_HEALTH_FAILED},
    {"SUSPENDED", CST_HEALTH_FAILED},
};

/* Keys of zpool status with text that is passed on. */
static const char *const keys[] = {"status", "scan", "errors", NULL};

/*
 * States of devices that are not reported. "STATE" is the table's header; the last two are states
 * of spares.
 */
static const char *const well[] = {"STATE", "ONLINE", "AVAIL", "INUSE", NULL};

#define NO_ERRORS "errors: No known data errors"

static CstHealthLevel zfs_health_level(const char *state)
{
    for (size_t i = 0; i < G_N_ELEMENTS(levels); i++)
        if (strcmp(levels[i].state, state) == 0)
            return levels[i].level;
    return CST_HEALTH_DEGRADED;
}

/*
 * Returns "scan" for " scan: none requested"; NULL if the line continues the text of another key.
 */
static char *status_line_key(const char *line)
{
    const char *begin = line + strspn(line, " ");
    const char *colon = strchr(begin, ':');

    if (line[0] == '\t' || !colon || strcspn(begin, " \t") < (size_t)(colon - begin))
        return NULL;
    return g_strndup(begin, (gsize)(colon - begin));
}

static void end_note(CstPoolHealth *health, GString *note)
{
    if (note->len > 0 && strcmp(note->str, NO_ERRORS) != 0)
        cst_pool_health_note(health, note->str);
    g_string_truncate(note, 0);
}

/* Parses a row of the device table: "name state read write checksum words…". */
static void status_parse_device(char *line, CstPoolHealth *health)
{
    g_auto(GStrv) words = g_strsplit_set(g_strstrip(line), " \t", -1);
    const char *field[6] = {NULL};
    g_autofree char *note = NULL;
    size_t count = 0;
    const char *rest = NULL;

    for (char **word = words; *word && count < G_N_ELEMENTS(field); word++)
        if (**word)
            field[count++] = *word;
    if (count < 5 || g_strv_contains(well, field[1]))
        return;
    /* The reason follows the counts, in several words. */
    if (count == G_N_ELEMENTS(field))
        rest = strstr(line + strlen(field[0]), field[5]);
    note = g_strdup_printf("%s: %s%s%s", field[0], field[1], rest ? ", " : "", rest ? rest : "");
    cst_pool_health_note(health, note);
}

void zfs_status_parse(const char *text, CstPoolHealth *health)
{
    g_auto(GStrv) lines = g_strsplit(text, "\n", -1);
    g_autoptr(GString) note = g_string_new(NULL);
    gboolean devices = FALSE;

    for (char **line = lines; *line; line++) {
        g_autofree char *key = status_line_key(*line);

        if (key) {
            end_note(health, note);
            devices = strcmp(key, "config") == 0;
            if (g_strv_contains(keys, key))
                g_string_append(note, g_strstrip(*line));
        } else if (devices) {
            status_parse_device(*line, health);
        } else if (note->len > 0 && *g_strstrip(*line)) {
            g_string_append_printf(note, " %s", *line);
        }
    }
    end_note(health, note);
}

/* Only a suspended ZFS pool cannot be queried further. */
gboolean zfs_health(CstPoolState *state, gboolean details, CstPoolHealth *health, GError **error)
{
    const char *const argv[] = {"zpool", "status", ZFS(state)->pool, NULL};
    g_autofree char *out = NULL;

    health->state = zfs_kernel_state(ZFS(state)->pool);
    if (!health->state)
        return cst_fail(error, CST_ERROR_NOT_FOUND, _("there is no ZFS pool '%s'"),
                        ZFS(state)->pool);
    health->level = zfs_health_level(health->state);
    if (!details || strcmp(health->state, ZFS_SUSPENDED) == 0)
        return TRUE;
    if (!zfs_report(argv, NULL, &out, error))
        return FALSE;
    zfs_status_parse(out, health);
    return TRUE;
}
