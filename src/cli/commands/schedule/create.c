/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* schedule-create, -edit, -pause, -resume and -delete. */
#include <stddef.h>
#include <string.h>

#include <base/error.h>
#include <base/i18n.h>
#include <schedule/selector.h>

#include "commands/consistency.h"
#include "commands/keep.h"
#include "output/confirm.h"
#include "output/report.h"
#include "output/text.h"
#include "schedule.h"

/* --- completion ------------------------------------------------------------------------------- */

void cli_complete_schedules(CliCtl *ctl, const CliArgs *args, GPtrArray *words)
{
    g_autoptr(GPtrArray) schedules =
        cli_conn(ctl, NULL) ? cst_conn_schedules(ctl->conn, NULL, NULL) : NULL;

    for (guint i = 0; schedules && i < schedules->len; i++) {
        const CstSchedule *schedule = schedules->pdata[i];

        g_ptr_array_add(words, g_strdup_printf("%s\t%s", schedule->name, schedule->every));
    }
}

static void complete_actions(CliCtl *ctl, const CliArgs *args, GPtrArray *words)
{
    for (int i = 0; i < CST_SCHEDULE_ACTION_LAST; i++)
        g_ptr_array_add(words, g_strdup(cst_schedule_action_word(i)));
}

static void complete_every(CliCtl *ctl, const CliArgs *args, GPtrArray *words)
{
    static const char *const examples[] = {"hourly", "daily", "weekly", "monthly"};

    for (guint i = 0; i < G_N_ELEMENTS(examples); i++)
        g_ptr_array_add(words, g_strdup(examples[i]));
}

CstSchedule *cli_schedule(CliCtl *ctl, const CliArgs *args, GError **error)
{
    g_autoptr(GPtrArray) schedules = NULL;
    const char *name;

    if (!cli_args_string(args, "schedule", &name, error) || !cli_conn(ctl, error))
        return NULL;
    schedules = cst_conn_schedules(ctl->conn, name, error);
    return schedules && schedules->len == 1 ? g_ptr_array_steal_index(schedules, 0) : NULL;
}

/* --- reading the options ---------------------------------------------------------------------- */

/* Replaces the selectors if the command line has some. */
static gboolean read_selectors(const CliArgs *args, CstSchedule *schedule, GError **error)
{
    g_autoptr(GPtrArray) words = cli_args_rest(args);
    g_autoptr(GPtrArray) texts = g_ptr_array_new_with_free_func(g_free);
    const char *first;

    if (!cli_args_string(args, "on", &first, error))
        return FALSE;
    for (guint i = 0; i < words->len; i++) {
        g_autoptr(CstSelector) selector = cst_selector_parse(words->pdata[i], error);

        if (!selector)
            return FALSE;
        g_ptr_array_add(texts, cst_selector_format(selector));
    }
    if (texts->len == 0)
        return TRUE;
    g_ptr_array_add(texts, NULL);
    g_strfreev(schedule->on);
    schedule->on = g_strdupv((GStrv)texts->pdata);
    return TRUE;
}

/* Runs have another working directory. */
static void option_set(CstSchedule *schedule, const char *name, const char *value)
{
    gboolean is_path =
        strcmp(name, "key-file") == 0 || (strcmp(name, "repo") == 0 && value && strchr(value, '/'));
    g_autofree char *path =
        is_path && value && *value != '-' ? g_canonicalize_filename(value, NULL) : NULL;
    g_autofree char *folder =
        path && g_str_has_suffix(value, "/") ? g_strconcat(path, "/", NULL) : NULL;

    cst_schedule_set_option(schedule, name, folder ? folder : path ? path : value);
}

static gboolean read_options(const CliArgs *args, CstSchedule *schedule, GError **error)
{
    for (const CstScheduleOption *option = cst_schedule_options(); option->name; option++) {
        const char *value = NULL;

        if (!cli_args_has(args, option->name))
            continue;
        if (strcmp(option->name, "boot") == 0)
            value = "yes";
        else if (!cli_args_string(args, option->name, &value, error))
            return FALSE;
        option_set(schedule, option->name, value);
    }
    return TRUE;
}

/* The rules of retention, which are no options of the definition. 0: no such rule. */
static const struct {
    const char *name;
    size_t at; /* of the number in the definition */
} keep_rules[] = {
    {"keep-last", offsetof(CstSchedule, keep.last)},
    {"keep-hourly", offsetof(CstSchedule, keep.hourly)},
    {"keep-daily", offsetof(CstSchedule, keep.daily)},
    {"keep-weekly", offsetof(CstSchedule, keep.weekly)},
    {"keep-monthly", offsetof(CstSchedule, keep.monthly)},
    {"keep-yearly", offsetof(CstSchedule, keep.yearly)},
    {"keep-min", offsetof(CstSchedule, keep_min)},
};

static gboolean fail_unset(const char *name, GError **error)
{
    g_autoptr(GString) names = g_string_new(NULL);

    for (const CstScheduleOption *option = cst_schedule_options(); option->name; option++)
        g_string_append_printf(names, "%s, ", option->name);
    for (guint i = 0; i < G_N_ELEMENTS(keep_rules); i++)
        g_string_append_printf(names, "%s%s", i ? ", " : "", keep_rules[i].name);
    return cst_fail(error, CST_ERROR_USAGE, _("--unset does not know '%s'; it takes %s"), name,
                    names->str);
}

static gboolean unset_name(CstSchedule *schedule, const char *name, GError **error)
{
    for (guint i = 0; i < G_N_ELEMENTS(keep_rules); i++)
        if (strcmp(keep_rules[i].name, name) == 0) {
            *(uint32_t *)(void *)((char *)schedule + keep_rules[i].at) = 0;
            return TRUE;
        }
    for (const CstScheduleOption *option = cst_schedule_options(); option->name; option++)
        if (strcmp(option->name, name) == 0) {
            cst_schedule_set_option(schedule, name, NULL);
            return TRUE;
        }
    return fail_unset(name, error);
}

static gboolean read_unset(const CliArgs *args, CstSchedule *schedule, GError **error)
{
    g_auto(GStrv) names = NULL;
    const char *list;

    if (!cli_args_string(args, "unset", &list, error))
        return FALSE;
    names = g_strsplit(list ? list : "", ",", -1);
    for (char **name = names; *name; name++)
        if (!unset_name(schedule, *name, error))
            return FALSE;
    return TRUE;
}

/* Reads the options that the command line has. */
static gboolean read_definition(const CliArgs *args, CstSchedule *schedule, GError **error)
{
    const char *every = NULL, *action = NULL;

    if (!cli_args_string(args, "every", &every, error) ||
        !cli_args_string(args, "do", &action, error) ||
        !cli_keep_read(args, &schedule->keep, error) ||
        !cli_args_uint(args, "keep-min", &schedule->keep_min, error) ||
        !read_selectors(args, schedule, error) || !read_options(args, schedule, error))
        return FALSE;
    if (!schedule_values_check(schedule, error) || !schedule_keep_layers_check(schedule, error))
        return FALSE;
    if (action && !cst_schedule_action_parse(action, &schedule->action))
        return cst_fail(error, CST_ERROR_USAGE, _("--do does not know '%s'"), action);
    if (every) {
        g_free(schedule->every);
        schedule->every = g_strdup(every);
    }
    return TRUE;
}

/* --- schedule-create, schedule-edit ----------------------------------------------------------- */

static gboolean cmd_create(CliCtl *ctl, const CliArgs *args, GError **error)
{
    g_autoptr(CstSchedule) schedule = cst_schedule_new();
    const char *name;

    ctl->blame |= CLI_BLAME_ALL;
    if (!cli_args_string(args, "schedule", &name, error))
        return FALSE;
    schedule->name = g_strdup(name);
    if (!read_definition(args, schedule, error) || !cst_schedule_check(schedule, error))
        return FALSE;
    ctl->blame &= ~(unsigned)CLI_BLAME_ALL;
    cli_plan(ctl, _("Would create schedule %s"), name);
    return cli_outcome(
        ctl, cli_conn(ctl, error) && cst_conn_schedule_set(ctl->conn, schedule, error), "schedule",
        name, _("Schedule %s created"), _("Failed to create schedule %s"), name);
}

static gboolean cmd_edit(CliCtl *ctl, const CliArgs *args, GError **error)
{
    g_autoptr(CstSchedule) changes = cst_schedule_new();
    g_autoptr(CstSchedule) schedule = NULL;
    const char *new_name;

    /* Mistakes in the command line are found before the schedule is. */
    if (!cli_args_string(args, "newname", &new_name, error) ||
        !read_definition(args, changes, error) || !read_unset(args, changes, error))
        return FALSE;
    schedule = cli_schedule(ctl, args, error);
    if (!schedule || !read_definition(args, schedule, error) || !read_unset(args, schedule, error))
        return FALSE;
    if (new_name) {
        g_free(schedule->name);
        schedule->name = g_strdup(new_name);
    }
    cli_plan(ctl, _("Would change schedule %s"), schedule->name);
    return cli_outcome(ctl, cst_conn_schedule_set(ctl->conn, schedule, error), "schedule",
                       schedule->name, _("Schedule %s changed"), _("Failed to change schedule %s"),
                       schedule->name);
}

#define EVERY(flags_)                                                                        \
    {                                                                                        \
        .name = "every", .kind = CLI_OPT_STRING, .flags = CLI_OPT_NAMED | (flags_),          \
        .help = N_("calendar expression of systemd: hourly, 02:00, 'Mon..Fri *-*-* 02:00'"), \
        .complete = complete_every                                                           \
    }
#define DO(flags_)                                                                               \
    {                                                                                            \
        .name = "do", .kind = CLI_OPT_STRING, .flags = CLI_OPT_NAMED | (flags_),                 \
        .help = N_("action: snapshot, backup, copy, prove, check, trash-empty, rotate-check or " \
                   "consolidate"),                                                               \
        .complete = complete_actions                                                             \
    }
#define DEFINITION_OPTIONS                                                                       \
    CLI_KEEP_OPTIONS, CLI_NAMED("keep-min", N_("keep the newest so many in any case")),          \
        CLI_CONSISTENCY, CLI_MAX_PAUSE,                                                          \
        CLI_NAMED("size", N_("space for the differences, if snapshots have a size (LVM)")),      \
        CLI_NAMED("min-free", N_("skip pools with less free space: 10G, or 5% (default)")),      \
        CLI_NAMED("repo", N_("backup, prove: repository, a directory with a slash, or a pool")), \
        CLI_NAMED("secret", N_("UUID of the secret that protects the repository's key")),        \
        CLI_FILE("key-file", CLI_OPT_NAMED,                                                      \
                 N_("file with the key that protects the "                                       \
                    "repository")),                                                              \
        CLI_SWITCH("boot", N_("prove: boot the machine, too")),                                  \
        CLI_NAMED("to", N_("copy: connection URI of the other daemon")),                         \
        CLI_NAMED("newpool", N_("copy: pool there; default: one of the same name")),             \
        CLI_NAMED("older-than", N_("trash-empty, rotate-check: age, such as 30d")),              \
        CLI_NAMED("keep-layers", N_("consolidate: images that a chain may have (default: the "   \
                                    "setting of the pool that warns, or 8)")),                   \
        CLI_NAMED("rate-limit", N_("bytes per second at most, as scaled integer")),              \
    {                                                                                            \
        .name = "on", .kind = CLI_OPT_ARGV,                                                      \
        .help = N_("POOL, POOL/PATTERN, tag:TAG or machine:DOMAIN")                              \
    }

static const CliOption create_options[] = {SCHEDULE(CLI_OPT_REQUIRED),
                                           EVERY(CLI_OPT_REQUIRED),
                                           DO(CLI_OPT_REQUIRED),
                                           DEFINITION_OPTIONS,
                                           {0}};

const CliCommand cli_schedule_create_command = {
    .name = "schedule-create",
    .summary = N_("run an action on volumes at regular times"),
    .description = N_(
        "Create a schedule: an action on the volumes of selectors, at the times of a calendar "
        "expression. The daemon runs it, or the timer cistern-schedules.timer of a host without a "
        "daemon. The --keep options select the copies that stay; without one all stay. A schedule "
        "removes only copies that it has made itself."),
    .options = create_options,
    .handler = cmd_create,
    .flags = CLI_CMD_MUTATES | CLI_CMD_OURS,
};

static const CliOption edit_options[] = {SCHEDULE(CLI_OPT_REQUIRED),
                                         CLI_NAMED("newname", N_("new name of the schedule")),
                                         CLI_NAMED("unset", N_("remove these options, with commas: "
                                                               "consistency,rate-limit")),
                                         EVERY(0),
                                         DO(0),
                                         DEFINITION_OPTIONS,
                                         {0}};

const CliCommand cli_schedule_edit_command = {
    .name = "schedule-edit",
    .summary = N_("change a schedule"),
    .description = N_("Change the given properties of a schedule. New selectors replace all former "
                      "ones. The copies that it has made stay its own."),
    .options = edit_options,
    .handler = cmd_edit,
    .flags = CLI_CMD_MUTATES | CLI_CMD_OURS,
};

/* --- schedule-pause, schedule-resume ---------------------------------------------------------- */

static gboolean set_paused(CliCtl *ctl, const CliArgs *args, gboolean paused, GError **error)
{
    g_autoptr(CstSchedule) schedule = cli_schedule(ctl, args, error);

    if (!schedule)
        return FALSE;
    schedule->paused = paused;
    cli_plan(ctl, paused ? _("Would pause schedule %s") : _("Would resume schedule %s"),
             schedule->name);
    return cli_outcome(ctl, cst_conn_schedule_set(ctl->conn, schedule, error), "schedule",
                       schedule->name, paused ? _("Schedule %s paused") : _("Schedule %s resumed"),
                       paused ? _("Failed to pause schedule %s")
                              : _("Failed to resume schedule %s"),
                       schedule->name);
}

static gboolean cmd_pause(CliCtl *ctl, const CliArgs *args, GError **error)
{
    return set_paused(ctl, args, TRUE, error);
}

static gboolean cmd_resume(CliCtl *ctl, const CliArgs *args, GError **error)
{
    return set_paused(ctl, args, FALSE, error);
}

static const CliOption name_options[] = {SCHEDULE(CLI_OPT_REQUIRED), {0}};

const CliCommand cli_schedule_pause_command = {
    .name = "schedule-pause",
    .summary = N_("let a schedule make no runs"),
    .description = N_("Let a schedule make no runs until schedule-resume. Its copies stay."),
    .options = name_options,
    .handler = cmd_pause,
    .flags = CLI_CMD_MUTATES | CLI_CMD_OURS,
};

const CliCommand cli_schedule_resume_command = {
    .name = "schedule-resume",
    .summary = N_("let a paused schedule run again"),
    .description = N_("Let a paused schedule run again. The times that it missed are made good by "
                      "one run."),
    .options = name_options,
    .handler = cmd_resume,
    .flags = CLI_CMD_MUTATES | CLI_CMD_OURS,
};

/* --- schedule-delete -------------------------------------------------------------------------- */

static gboolean cmd_delete(CliCtl *ctl, const CliArgs *args, GError **error)
{
    g_autoptr(CstSchedule) schedule = cli_schedule(ctl, args, error);

    if (!schedule)
        return FALSE;
    cli_plan(ctl, _("Would delete schedule %s"), schedule->name);
    if (!cli_confirm(ctl, error, _("Delete schedule %s and its history?"), schedule->name))
        return FALSE;
    return cli_outcome(ctl, cst_conn_schedule_delete(ctl->conn, schedule->name, error), "schedule",
                       schedule->name, _("Schedule %s deleted"), _("Failed to delete schedule %s"),
                       schedule->name);
}

const CliCommand cli_schedule_delete_command = {
    .name = "schedule-delete",
    .summary = N_("delete a schedule"),
    .description = N_("Delete a schedule and its history. The snapshots and backups that it made "
                      "stay; no schedule removes them any more."),
    .options = name_options,
    .handler = cmd_delete,
    .flags = CLI_CMD_MUTATES | CLI_CMD_DESTROYS | CLI_CMD_OURS,
};
