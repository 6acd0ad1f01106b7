/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* libvirt's domains that use a volume, in the output of commands about one volume. */
#include "domains.h"

#include <string.h>

#include <base/error.h>
#include <base/i18n.h>
#include <base/text.h>
#include <conn/domains.h>

#include "output/text.h"

GPtrArray *cli_vol_domains(CliCtl *ctl, const CstVolRef *vol)
{
    g_autoptr(GError) why = NULL;
    GPtrArray *disks = cst_conn_vol_domains(ctl->conn, vol, &why);

    if (disks)
        return disks;
    /* A connection for reading may not ask, as for vol-holders. */
    if (!g_error_matches(why, CST_ERROR, CST_ERROR_NO_SUPPORT) &&
        !g_error_matches(why, CST_ERROR, CST_ERROR_DENIED) &&
        !g_error_matches(why, CST_ERROR, CST_ERROR_READ_ONLY))
        cli_warn(ctl, _("warning: cannot find the domains that use vol '%s': %s\n"), vol->name,
                 why->message);
    return g_ptr_array_new_with_free_func((GDestroyNotify)cst_domain_disk_free);
}

CstDomainDisk *cli_disks_steal_running(GPtrArray *disks)
{
    for (guint i = 0; i < disks->len; i++) {
        const CstDomainDisk *disk = disks->pdata[i];

        if (disk->state < CST_DOMAIN_ENDING && disk->level == 0 && !disk->reads_only)
            return g_ptr_array_steal_index(disks, i);
    }
    return NULL;
}

CstDomainDisk *cli_vol_running_disk(CliCtl *ctl, const CstVolRef *vol)
{
    g_autoptr(GPtrArray) disks = cli_vol_domains(ctl, vol);

    return cli_disks_steal_running(disks);
}

guint cli_domain_facts(const CstDomainDisk *disk, CliFact ret_facts[CLI_DOMAIN_FACTS])
{
    if (!disk)
        return 0;
    ret_facts[0] = cli_fact_text("domain", NULL, disk->domain);
    ret_facts[1] = cli_fact_text("disk", NULL, disk->target);
    return CLI_DOMAIN_FACTS;
}

/* --- the disks of a domain -------------------------------------------------------------------- */

static gboolean vols_have(const GPtrArray *vols, const CstVolRef *vol)
{
    for (guint i = 0; i < vols->len; i++) {
        const CstVolRef *other = vols->pdata[i];

        if (strcmp(other->pool, vol->pool) == 0 && strcmp(other->name, vol->name) == 0)
            return TRUE;
    }
    return FALSE;
}

static gboolean drive_add_vol(CliCtl *ctl, const CstDomain *domain, const CstDomainDrive *drive,
                              GPtrArray *vols, GError **error)
{
    g_autoptr(CstPoolRef) pool = NULL;
    g_autoptr(CstVolRef) vol = NULL;

    if (!drive->volume)
        return cst_fail(error, CST_ERROR_INVALID,
                        _("disk '%s' of domain '%s' is not usable: %s; define and start a pool for "
                          "it, or name the vols instead of the domain"),
                        drive->target, domain->name, drive->problem ? drive->problem : "?");
    pool = cst_conn_pool_by_name(ctl->conn, drive->pool, error);
    vol = pool ? cst_conn_vol_by_name(ctl->conn, pool, drive->volume, error) : NULL;
    if (!vol)
        return FALSE;
    if (!vols_have(vols, vol))
        g_ptr_array_add(vols, g_steal_pointer(&vol));
    return TRUE;
}

gboolean cli_domain_vols(CliCtl *ctl, const char *name, GPtrArray *vols, CstDomain **ret_domain,
                         GError **error)
{
    g_autoptr(GPtrArray) domains =
        cli_conn(ctl, error) ? cst_conn_domains(ctl->conn, name, error) : NULL;
    const CstDomain *domain = domains && domains->len == 1 ? domains->pdata[0] : NULL;
    guint writable = 0;

    if (!domain)
        return !domains ? FALSE : cst_fail(error, CST_ERROR_NOT_FOUND, _("no domain '%s'"), name);
    for (guint i = 0; i < domain->drives->len; i++) {
        const CstDomainDrive *drive = domain->drives->pdata[i];

        if (drive->reads_only)
            continue;
        if (!drive_add_vol(ctl, domain, drive, vols, error))
            return FALSE;
        writable++;
    }
    if (writable == 0)
        return cst_fail(error, CST_ERROR_INVALID, _("domain '%s' has no disk that it may write"),
                        domain->name);
    if (ret_domain)
        *ret_domain = g_ptr_array_steal_index(domains, 0);
    return TRUE;
}

void cli_complete_domains(CliCtl *ctl, const CliArgs *args, GPtrArray *words)
{
    g_autoptr(GPtrArray) domains =
        cli_conn(ctl, NULL) ? cst_conn_domains(ctl->conn, NULL, NULL) : NULL;

    for (guint i = 0; domains && i < domains->len; i++)
        g_ptr_array_add(words, g_strdup(((const CstDomain *)domains->pdata[i])->name));
}

/* --- facts ------------------------------------------------------------------------------------ */

/* In text: one line for each disk. */
static void domain_fact_add(CliSheet *sheet, const CstDomainDisk *disk)
{
    const char *state = _(cst_domain_state_word(disk->state));
    const char *agent = _(cst_domain_agent_word(disk->agent));
    g_autofree char *text =
        disk->state == CST_DOMAIN_SAVED
            ? g_strdup_printf(_("%s (managed save), disk %s"), disk->domain, disk->target)
            : g_strdup_printf(_("%s (%s), disk %s, guest agent: %s"), disk->domain, state,
                              disk->target, agent);
    g_autofree char *plain = cst_text_escape(text);
    const CliFact fact = cli_fact_text(NULL, N_("Domain:"), plain);

    cli_sheet_add(sheet, &fact, 1);
}

static void domain_item_add(CliSheet *sheet, guint index, const CstDomainDisk *disk)
{
    const CliFact facts[] = {
        cli_fact_text("domain", NULL, disk->domain),
        cli_fact_text("uuid", NULL, disk->uuid),
        cli_fact_text("state", NULL, cst_domain_state_word(disk->state)),
        cli_fact_text("target", NULL, disk->target),
        cli_fact_text("agent", NULL, cst_domain_agent_word(disk->agent)),
        cli_fact_bool("reads_only", NULL, TRUE, disk->reads_only),
        cli_fact_bool("shareable", NULL, TRUE, disk->shareable),
        cli_fact_number("level", NULL, TRUE, disk->level),
    };

    cli_sheet_begin_item(sheet, index);
    cli_sheet_add(sheet, facts, G_N_ELEMENTS(facts));
    cli_sheet_end_object(sheet);
}

void cli_vol_domains_add(CliSheet *sheet, const CstVolRef *vol)
{
    g_autoptr(GPtrArray) disks = cli_vol_domains(sheet->ctl, vol);

    if (disks->len == 0)
        return;
    if (!sheet->json.text) {
        for (guint i = 0; i < disks->len; i++)
            domain_fact_add(sheet, disks->pdata[i]);
        return;
    }
    cli_sheet_begin_list(sheet, "domains", NULL, "");
    for (guint i = 0; i < disks->len; i++)
        domain_item_add(sheet, i, disks->pdata[i]);
    cli_sheet_end_list(sheet);
}
