/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The output of backup-restore --machine. */
#include "restore_report.h"

#include <base/error.h>
#include <base/i18n.h>
#include <base/text.h>

#include "output/report.h"
#include "output/sheet.h"
#include "output/text.h"

void machine_print_plan(const MachineRestore *restore)
{
    const char *name = restore->new_name ? restore->new_name : restore->machine->name;
    g_autoptr(GString) plan = g_string_new(NULL);

    for (guint i = 0; i < restore->disks->len; i++) {
        const MachineDisk *disk = restore->disks->pdata[i];

        g_string_append_printf(plan, _("Would restore vol %s in pool %s as disk %s"), disk->name,
                               disk->pool->name, disk->target);
        g_string_append_c(plan, '\n');
    }
    g_string_append_printf(plan,
                           restore->defines ? _("Would define domain %s")
                                            : _("Would print the definition of domain %s"),
                           name);
    cli_plan_lines(restore->ctl, plan->str);
}

void machine_warn_parts(const MachineRestore *restore, const CstDomainDefinition *definition)
{
    g_autofree char *display = definition->display ? cst_text_escape(definition->display) : NULL;

    if (definition->has_arguments && restore->new_name)
        cli_warn(
            restore->ctl, "%s",
            _("warning: the definition has <qemu:commandline>; files and ports in it are those "
              "of the old domain\n"));
    if (display)
        cli_warn(restore->ctl,
                 _("warning: the display of the domain listens on '%s', and a backup has no "
                   "password of a display; set it with virsh edit before the start\n"),
                 display);
}

static void machine_add_disk_item(CliSheet *sheet, const MachineDisk *disk)
{
    g_autofree char *problem = disk->failure ? cst_error_text(disk->failure) : NULL;
    const CliFact facts[] = {
        cli_fact_text("pool", NULL, disk->pool->name),
        cli_fact_text("volume", NULL, disk->name),
        cli_fact_text("target", NULL, disk->target),
        cli_fact_text("path", NULL, disk->path),
        cli_fact_bool("done", NULL, TRUE, disk->made != NULL),
        cli_fact_nullable("problem", NULL, problem),
    };

    cli_sheet_begin_object(sheet, NULL, NULL);
    cli_sheet_add(sheet, facts, G_N_ELEMENTS(facts));
    cli_sheet_end_object(sheet);
}

void machine_print_json(const MachineRestore *restore, const CstDomainDefinition *definition,
                        gboolean defined)
{
    g_auto(CliSheet) sheet = {0};
    const CliFact facts[] = {
        cli_fact_text("command", NULL, restore->ctl->current->command->name),
        cli_fact_text("domain", NULL, definition ? definition->name : NULL),
        cli_fact_bool("defined", NULL, TRUE, defined),
        cli_fact_text("definition", NULL, definition ? definition->document : NULL),
        cli_fact_real("seconds", cli_seconds(restore->ctl)),
    };

    if (!restore->ctl->settings.json)
        return;
    cli_sheet_begin(&sheet, restore->ctl);
    cli_sheet_add(&sheet, facts, G_N_ELEMENTS(facts));
    cli_sheet_begin_list(&sheet, "volumes", NULL, "");
    for (guint i = 0; i < restore->disks->len; i++)
        machine_add_disk_item(&sheet, restore->disks->pdata[i]);
    cli_sheet_end_list(&sheet);
    cli_sheet_end(&sheet);
}

void machine_print_definition(const MachineRestore *restore, const CstDomainDefinition *definition)
{
    if (!restore->ctl->settings.json)
        cli_document(restore->ctl, "definition", definition->document);
}
