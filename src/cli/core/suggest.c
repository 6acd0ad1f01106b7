/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * "Did you mean …": finds the known name that is nearest to a mistyped one. The distance is the
 * restricted Damerau-Levenshtein distance: the number of characters to insert, delete, replace or
 * swap with their neighbour. A name is near if at most about a third of it is wrong. Three rows of
 * the matrix suffice, which bounds memory. Names longer than NAME_MAX_COMPARED are never near,
 * which bounds time.
 */
#include "suggest.h"

#include <string.h>

#include <base/i18n.h>

#define NAME_MAX_COMPARED 128 /* the cost of a comparison is the product of both lengths */
#define NAMED_AT_MOST     3   /* maximum number of commands in a message */

static guint edit_distance(const char *a, const char *b)
{
    gsize n = strlen(a), m = strlen(b);
    guint rows[3][NAME_MAX_COMPARED + 1];

    if (n > NAME_MAX_COMPARED || m > NAME_MAX_COMPARED)
        return G_MAXUINT;
    for (gsize j = 0; j <= m; j++)
        rows[0][j] = (guint)j;
    for (gsize i = 1; i <= n; i++) {
        guint *row = rows[i % 3];
        const guint *above = rows[(i - 1) % 3];
        const guint *second = rows[(i + 1) % 3]; /* two above */

        row[0] = (guint)i;
        for (gsize j = 1; j <= m; j++) {
            row[j] = above[j - 1] + (a[i - 1] != b[j - 1]);
            row[j] = MIN(row[j], MIN(above[j], row[j - 1]) + 1);
            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
                row[j] = MIN(row[j], second[j - 2] + 1);
        }
    }
    return rows[n % 3][m];
}

void cli_nearest_init(CliNearest *nearest, const char *typed)
{
    /*
     * A name of one or two characters has too few characters for a mistake, so no name is near it.
     */
    *nearest = (CliNearest){.typed = typed, .distance = (guint)MIN(strlen(typed) / 3, 4) + 1};
    if (strlen(typed) < 3)
        nearest->distance = 0;
}

void cli_nearest_offer(CliNearest *nearest, const char *name)
{
    guint distance;

    if (!name || nearest->distance == 0)
        return;
    distance = edit_distance(nearest->typed, name);
    if (distance >= nearest->distance)
        return;
    nearest->distance = distance;
    g_free(nearest->found);
    nearest->found = g_strdup(name);
}

void cli_nearest_clear(CliNearest *nearest)
{
    g_clear_pointer(&nearest->found, g_free);
}

/* --- commands and options -------------------------------------------------------------------- */

/* Commands of other storage tools, and common words. */
static const struct {
    const char *word, *command;
} other_tools[] = {
    {"create", "vol-create-as"},
    {"delete", "vol-delete"},
    {"info", "vol-info"},
    {"clone", "vol-clone"},
    {"resize", "vol-resize"},
    {"rename", "vol-rename"},
    {"move", "vol-move"},
    {"import", "vol-import"},
    {"upload", "vol-upload"},
    {"download", "vol-download"},
    {"convert", "image-convert"},
    {"snapshot", "snap-create"},
    {"revert", "snap-revert"},
    {"backup", "backup-create"},
    {"restore", "backup-restore"},
    {"define", "pool-define-as"},
    {"start", "pool-start"},
    {"stop", "pool-destroy"},
    {"list", "vol-list"},
    {"lvcreate", "vol-create-as"},
    {"lvremove", "vol-delete"},
    {"lvresize", "vol-resize"},
    {"lvextend", "vol-resize"},
    {"lvrename", "vol-rename"},
    {"lvs", "vol-list"},
    {"lvdisplay", "vol-info"},
    {"vgs", "pool-list"},
    {"vgdisplay", "pool-info"},
    {"vgcreate", "pool-define-as"},
    {"zfs", "vol-list"},
    {"zpool", "pool-list"},
    {"rbd", "vol-list"},
    {"qemu-img", "image-info"},
    {"virsh", "help"},
    {"df", "pool-list"},
    {"du", "vol-list"},
};

static const char *command_of_other_tool(const char *word)
{
    for (gsize i = 0; i < G_N_ELEMENTS(other_tools); i++)
        if (g_str_equal(other_tools[i].word, word))
            return other_tools[i].command;
    return NULL;
}

static void offer_command(const CliCommand *command, CliNearest *nearest)
{
    cli_nearest_offer(nearest, command->name);
    cli_nearest_offer(nearest, command->alias);
}

static void offer_commands(const CliGroup *groups, CliNearest *nearest)
{
    for (const CliGroup *group = groups; group->title; group++)
        for (const CliCommand *const *row = group->commands; *row; row++)
            if (!((*row)->flags & CLI_CMD_HIDDEN))
                offer_command(*row, nearest);
}

char *cli_suggest_command(const CliGroup *groups, const char *const *words)
{
    g_autofree char *joined = words[1] ? g_strdup_printf("%s-%s", words[0], words[1]) : NULL;
    g_auto(CliNearest) one = {0};
    g_auto(CliNearest) two = {0};

    if (command_of_other_tool(words[0]) &&
        cli_command_find(groups, command_of_other_tool(words[0])))
        return g_strdup(command_of_other_tool(words[0]));
    cli_nearest_init(&one, words[0]);
    offer_commands(groups, &one);
    if (!joined)
        return g_steal_pointer(&one.found);
    cli_nearest_init(&two, joined);
    offer_commands(groups, &two);
    if (!one.found || (two.found && two.distance < one.distance))
        return g_steal_pointer(&two.found);
    return g_steal_pointer(&one.found);
}

char *cli_suggest_option(const CliCommand *command, const char *name)
{
    g_auto(CliNearest) nearest = {0};

    cli_nearest_init(&nearest, name);
    for (const CliOption *option = command->options; option && option->name; option++)
        cli_nearest_offer(&nearest, option->name);
    for (const CliOption *option = cli_common_options(); option->name; option++)
        if (cli_common_option_applies(option, command))
            cli_nearest_offer(&nearest, option->name);
    return g_steal_pointer(&nearest.found);
}

static gboolean same_object(const CliCommand *a, const CliCommand *b)
{
    size_t dash = strcspn(a->name, "-");

    return a->name[dash] && strncmp(a->name, b->name, dash + 1) == 0;
}

char *cli_suggest_commands_with(const CliGroup *groups, const CliCommand *command, const char *name)
{
    g_autoptr(GString) found = g_string_new(NULL);
    guint count = 0;

    for (const CliGroup *group = groups; group->title; group++)
        for (const CliCommand *const *row = group->commands; *row; row++)
            if (!((*row)->flags & CLI_CMD_HIDDEN) && same_object(command, *row) &&
                cli_command_option(*row, name))
                g_string_append_printf(found, "%s%s", count++ ? ", " : "", (*row)->name);
    return count > 0 && count <= NAMED_AT_MOST ? g_string_free(g_steal_pointer(&found), FALSE)
                                               : NULL;
}

void cli_suggest_name(CliCtl *ctl, const CliNearest *nearest)
{
    if (!nearest->found)
        return;
    cli_hint(ctl, _("did you mean '%s'?"), nearest->found);
}
