/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The root of the command table: every command group of the program. Only this file depends on all
 * command modules. The parser, the completion and the help receive the table in CliCtl.groups.
 */
#include "groups.h"

#include <base/i18n.h>

#include "commands/commands.h"
#include "shell/commands.h"

/* The groups in the order of `help`. Where virsh has the group, title and keyword are the same. */
static const CliGroup groups[] = {
    {N_("Host and Hypervisor"), "host", cli_host_commands},
    {N_("Secret"), "secret", cli_secret_commands},
    {N_("Storage Pool"), "pool", cli_pool_commands},
    {N_("Storage Volume"), "volume", cli_vol_commands},
    {N_("Job"), "job", cli_job_commands},
    {N_("Snapshot"), "snapshot", cli_snap_commands},
    {N_("Backup"), "backup", cli_backup_commands},
    {N_("Schedule"), "schedule", cli_schedule_commands},
    {N_("Diagnosis"), "diagnosis", cli_doctor_commands},
    {N_("Event"), "event", cli_event_commands},
    {N_("Audit"), "audit", cli_audit_commands},
    {N_("Disk Image"), "image", cli_image_commands},
    {N_("Cistern itself"), "cistern", cli_self_commands},
    /* All commands of this group are hidden. */
    {"Internal", "internal", cli_internal_commands},
    {0},
};

const CliGroup *cli_groups(void)
{
    return groups;
}
