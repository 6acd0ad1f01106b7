/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The volumes of a schedule. The disks of a running domain make one group, so that their snapshots
 * have one point in time and the guest stands once.
 */
#include <string.h>

#include <base/error.h>
#include <base/i18n.h>
#include <conn/domains.h>
#include <conn/tags.h>
#include <schedule/selector.h>

#include "commands/volume/domains.h"
#include "output/text.h"
#include "schedule.h"

/* A selection under way. */
typedef struct {
    CliCtl *ctl;
    GPtrArray *vols;      /* of CstVolRef *, owned */
    GHashTable *names;    /* "POOL/VOL" of @vols */
    GHashTable *machines; /* "POOL/VOL" to the name of a domain */
    guint matches;        /* volumes that the selectors have, before duplicates are removed */
} Selection;

static void group_free(gpointer data)
{
    ScheduleGroup *group = data;

    g_free(group->machine);
    g_ptr_array_unref(group->vols);
    g_free(group);
}

static char *vol_text(const char *pool, const char *name)
{
    return g_strconcat(pool, "/", name, NULL);
}

/* Consumes @vol. */
static void selection_add(Selection *selection, CstVolRef *vol)
{
    char *text = vol_text(vol->pool, vol->name);

    selection->matches++;
    if (g_hash_table_add(selection->names, text))
        g_ptr_array_add(selection->vols, vol);
    else
        cst_vol_ref_free(vol);
}

/* Adds the volumes of the pool with names that match. @pattern NULL: all. */
static gboolean selection_add_pool(Selection *selection, const char *pool_name, const char *pattern,
                                   GError **error)
{
    CstConn *conn = selection->ctl->conn;
    g_autoptr(CstPoolRef) pool = cst_conn_pool_by_name(conn, pool_name, error);
    g_autoptr(GPtrArray) rows = pool ? cst_conn_vol_list(conn, pool, FALSE, error) : NULL;

    for (guint i = 0; rows && i < rows->len; i++) {
        const CstVolRow *row = rows->pdata[i];
        CstVolRef *vol;

        if (pattern && !g_pattern_match_simple(pattern, row->name))
            continue;
        vol = g_new0(CstVolRef, 1);
        *vol = (CstVolRef){g_strdup(pool->name), g_strdup(row->name), g_strdup(row->key)};
        selection_add(selection, vol);
    }
    return rows != NULL;
}

/* Consumes the volumes in @vols. */
static void selection_add_vols(Selection *selection, GPtrArray *vols)
{
    g_ptr_array_set_free_func(vols, NULL);
    for (guint i = 0; i < vols->len; i++)
        selection_add(selection, vols->pdata[i]);
}

static gboolean selection_add_machine(Selection *selection, const char *machine, GError **error)
{
    g_autoptr(GPtrArray) vols = g_ptr_array_new_with_free_func((GDestroyNotify)cst_vol_ref_free);

    if (!cli_domain_vols(selection->ctl, machine, vols, NULL, error))
        return FALSE;
    selection_add_vols(selection, vols);
    return TRUE;
}

static gboolean selection_add_tag(Selection *selection, const char *tag, GError **error)
{
    g_autoptr(GPtrArray) vols = cst_conn_tag_matches(selection->ctl->conn, tag, error);

    if (vols)
        selection_add_vols(selection, vols);
    return vols != NULL;
}

static gboolean selection_add_text(Selection *selection, const char *text, GError **error)
{
    g_autoptr(CstSelector) selector = cst_selector_parse(text, error);

    if (!selector)
        return FALSE;
    switch (selector->kind) {
    case CST_SELECT_MACHINE: return selection_add_machine(selection, selector->pattern, error);
    case CST_SELECT_TAG: return selection_add_tag(selection, selector->pattern, error);
    case CST_SELECT_POOL: return selection_add_pool(selection, selector->pool, NULL, error);
    default: return selection_add_pool(selection, selector->pool, selector->pattern, error);
    }
}

/* Without libvirt each volume is alone. */
static void selection_find_machines(Selection *selection)
{
    g_autoptr(GPtrArray) domains = cst_conn_domains(selection->ctl->conn, NULL, NULL);

    for (guint i = 0; domains && i < domains->len; i++) {
        const CstDomain *domain = domains->pdata[i];

        for (guint j = 0; domain->state < CST_DOMAIN_ENDING && j < domain->drives->len; j++) {
            const CstDomainDrive *drive = domain->drives->pdata[j];

            if (drive->volume && !drive->reads_only)
                g_hash_table_insert(selection->machines, vol_text(drive->pool, drive->volume),
                                    g_strdup(domain->name));
        }
    }
}

static GPtrArray *selection_group(Selection *selection)
{
    GPtrArray *groups = g_ptr_array_new_with_free_func(group_free);
    g_autoptr(GHashTable) of_machine = g_hash_table_new(g_str_hash, g_str_equal);

    while (selection->vols->len > 0) {
        CstVolRef *vol = g_ptr_array_steal_index(selection->vols, 0);
        g_autofree char *text = vol_text(vol->pool, vol->name);
        const char *machine = g_hash_table_lookup(selection->machines, text);
        ScheduleGroup *group = machine ? g_hash_table_lookup(of_machine, machine) : NULL;

        if (!group) {
            group = g_new0(ScheduleGroup, 1);
            group->machine = g_strdup(machine);
            group->vols = g_ptr_array_new_with_free_func((GDestroyNotify)cst_vol_ref_free);
            g_ptr_array_add(groups, group);
        }
        if (machine)
            g_hash_table_insert(of_machine, group->machine, group);
        g_ptr_array_add(group->vols, vol);
    }
    return groups;
}

/* Adds the volumes of all selectors. Appends the selectors without a volume to @empty. */
static gboolean selection_add_all(Selection *selection, const CstSchedule *schedule,
                                  GPtrArray *empty, GError **error)
{
    for (char **on = schedule->on; *on; on++) {
        guint before = selection->matches;

        if (!selection_add_text(selection, *on, error))
            return FALSE;
        if (selection->matches == before)
            g_ptr_array_add(empty, *on);
    }
    return TRUE;
}

GPtrArray *schedule_select(ScheduleWork *work, GError **error)
{
    const CstSchedule *schedule = work->schedule;
    g_autoptr(GPtrArray) empty = g_ptr_array_new();
    g_autoptr(GPtrArray) vols = g_ptr_array_new_with_free_func((GDestroyNotify)cst_vol_ref_free);
    g_autoptr(GHashTable) names = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    g_autoptr(GHashTable) machines = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
    Selection selection = {work->ctl, vols, names, machines, 0};

    if (!selection_add_all(&selection, schedule, empty, error))
        return NULL;
    if (vols->len == 0) {
        cst_fail(error, CST_ERROR_NOT_FOUND, _("schedule '%s' selects no volumes at present"),
                 schedule->name);
        return NULL;
    }
    for (guint i = 0; i < empty->len; i++)
        schedule_add_problem(work, empty->pdata[i], _("selects no volumes at present"));
    selection_find_machines(&selection);
    return selection_group(&selection);
}
