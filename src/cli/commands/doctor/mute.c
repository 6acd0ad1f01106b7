/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* doctor --mute, --unmute and --mutes. */
#include <string.h>

#include <base/error.h>
#include <base/i18n.h>
#include <base/units.h>

#include "output/report.h"
#include "output/table.h"

#include "doctor.h"

#define UNTIL_MAX_S (10 * 365 * 86400LL)

/* Splits ID[:OBJECT]. *ret_object is "" without one. Both are owned by the caller. */
static gboolean mute_split(const char *text, char **ret_id, char **ret_object, GError **error)
{
    const char *colon = strchr(text, ':');
    g_autofree char *id = colon ? g_strndup(text, (size_t)(colon - text)) : g_strdup(text);

    if (!cst_doctor_rule(id))
        return cst_fail(error, CST_ERROR_USAGE, _("there is no check '%s'"), id);
    *ret_id = g_steal_pointer(&id);
    *ret_object = g_strdup(colon ? colon + 1 : "");
    return TRUE;
}

/* Returns the highest severity of the present findings that the mute will hide. */
static gboolean mute_find_severity(CliCtl *ctl, CstDoctorMute *mute, GError **error)
{
    g_autoptr(GPtrArray) findings = doctor_collect(ctl, error);

    mute->severity = cst_doctor_rule(mute->id)->severity;
    for (guint i = 0; findings && i < findings->len; i++) {
        const CstDoctorFinding *finding = findings->pdata[i];

        if (strcmp(finding->id, mute->id) == 0 &&
            (!*mute->object || strcmp(finding->object, mute->object) == 0))
            mute->severity = MAX(mute->severity, finding->severity);
    }
    return findings != NULL;
}

/* Reads a duration from now on, or a time. Returns FALSE unless it is in the next ten years. */
static gboolean until_read(const char *text, int64_t *ret_until)
{
    int64_t now = g_get_real_time() / G_USEC_PER_SEC;
    uint64_t seconds;

    if (cst_units_parse_seconds(text, &seconds) && seconds <= UNTIL_MAX_S)
        *ret_until = now + (int64_t)seconds;
    else if (!cli_parse_time(text, ret_until))
        return FALSE;
    return *ret_until > now && *ret_until <= now + UNTIL_MAX_S;
}

static gboolean mute_set(CliCtl *ctl, const char *text, const char *until, GError **error)
{
    g_autoptr(CstDoctorMute) mute = g_new0(CstDoctorMute, 1);

    if (!mute_split(text, &mute->id, &mute->object, error))
        return FALSE;
    if (!until || !until_read(until, &mute->until))
        return cst_fail(error, CST_ERROR_USAGE,
                        _("--mute needs --until with a duration, such as 30d, or a time, such as "
                          "2027-01-31, in the next ten years"));
    cli_plan(ctl, _("Would mute %s"), text);
    if (!mute_find_severity(ctl, mute, error) || !cst_conn_doctor_mute(ctl->conn, mute, error))
        return cli_failed(ctl, _("Failed to mute %s"), text);
    cli_done(ctl, "mute", text, _("%s muted"), text);
    return TRUE;
}

static gboolean mute_remove(CliCtl *ctl, const char *text, GError **error)
{
    g_autoptr(CstDoctorMute) mute = g_new0(CstDoctorMute, 1);

    if (!mute_split(text, &mute->id, &mute->object, error))
        return FALSE;
    cli_plan(ctl, _("Would end the mute of %s"), text);
    return cli_outcome(ctl, cst_conn_doctor_mute(ctl->conn, mute, error), "mute", text,
                       _("Mute of %s ended"), _("Failed to end the mute of %s"), text);
}

static const CliColumn mutes_columns[] = {
    {N_("Check"), "id", CLI_CELL_TEXT, NULL, 0},
    {N_("Object"), "object", CLI_CELL_TEXT, "-", 0},
    {N_("Severity"), "severity", CLI_CELL_WORD, NULL, 0},
    {N_("Until"), "until", CLI_CELL_TIME, NULL, 0},
};

static gboolean mutes_print(CliCtl *ctl, GError **error)
{
    g_autoptr(CliTable) table = cli_table_new(mutes_columns, G_N_ELEMENTS(mutes_columns));
    g_autoptr(GPtrArray) mutes = cst_conn_doctor_mutes(ctl->conn, error);

    if (!mutes)
        return cli_failed(ctl, "%s", _("Failed to list mutes"));
    for (guint i = 0; i < mutes->len; i++) {
        const CstDoctorMute *mute = mutes->pdata[i];

        cli_table_add_text(table, mute->id);
        cli_table_add_text(table, *mute->object ? mute->object : NULL);
        cli_table_add_word(table, cst_severity_word((int)mute->severity));
        cli_table_add_time(table, mute->until);
    }
    cli_table_print(ctl, table, "mutes");
    return TRUE;
}

gboolean doctor_change_mutes(CliCtl *ctl, const CliArgs *args, gboolean *ret_done, GError **error)
{
    const char *mute = NULL, *unmute = NULL, *until = NULL;

    *ret_done = TRUE;
    if (!cli_args_exclusive(args, "mute", "unmute", error) ||
        !cli_args_exclusive(args, "mutes", "mute", error) ||
        !cli_args_exclusive(args, "mutes", "unmute", error) ||
        !cli_args_string(args, "mute", &mute, error) ||
        !cli_args_string(args, "unmute", &unmute, error) ||
        !cli_args_string(args, "until", &until, error))
        return FALSE;
    if (until && !mute)
        return cst_fail(error, CST_ERROR_USAGE, _("--until belongs to --mute"));
    if (!mute && !unmute && !cli_args_has(args, "mutes")) {
        *ret_done = FALSE;
        return TRUE;
    }
    if (cli_args_has(args, "object"))
        return cst_fail(error, CST_ERROR_USAGE,
                        _("a mute names its object after the check, as ID:OBJECT"));
    if (!cli_conn(ctl, error))
        return FALSE;
    if (mute)
        return mute_set(ctl, mute, until, error);
    return unmute ? mute_remove(ctl, unmute, error) : mutes_print(ctl, error);
}
