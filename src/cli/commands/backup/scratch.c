/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Scratch volumes are named "cistern-prove-REPOSITORY-LOCK-RANDOM". An existing lock, also of
 * another host, may belong to a running process. Locks of dead processes on this host are removed
 * when another process acquires a lock. If no lock is possible (read-only repository), the name
 * contains NO_LOCK. Only its own process deletes such a volume.
 */
#include "scratch.h"

#include <string.h>

#include "commands/pool/pool.h"
#include "commands/volume/volume.h"
#include "output/text.h"

#define LOCK_CHARS 16
#define NO_LOCK    "nolock"

static char *name_prefix(const CstRepo *repo)
{
    return g_strdup_printf("cistern-prove-%.8s-", cst_repo_id(repo));
}

static char *scratch_new_name(CstRepo *repo, GError **error)
{
    g_autofree char *lock = cst_repo_lock_id(repo, error);
    g_autofree char *prefix = name_prefix(repo);
    g_autofree char *random = g_uuid_string_random();

    return lock ? g_strdup_printf("%s%.*s-%.8s", prefix, LOCK_CHARS, *lock ? lock : NO_LOCK, random)
                : NULL;
}

static gboolean in_use(const char *owner, const GPtrArray *locks)
{
    if (g_str_has_prefix(owner, NO_LOCK))
        return TRUE;
    for (guint i = 0; i < locks->len; i++)
        if (strncmp(owner, ((const CstRepoLock *)locks->pdata[i])->id, LOCK_CHARS) == 0)
            return TRUE;
    return FALSE;
}

void cli_scratch_drop(const CliScratch *scratch, const CstVolRef *vol)
{
    g_autoptr(GError) why = NULL;

    if (!cst_conn_vol_delete(scratch->ctl->conn, vol, CST_VOL_DELETE_AT_ONCE, NULL, &why))
        cli_warn(scratch->ctl, _("warning: scratch vol '%s' is left: %s\n"), vol->name,
                 why->message);
}

gboolean cli_scratch_drop_stale(const CliScratch *scratch, GError **error)
{
    CstConn *conn = scratch->ctl->conn;
    g_autofree char *prefix = name_prefix(scratch->repo);
    g_autofree char *ours = cst_repo_lock_id(scratch->repo, error);
    /*
     * List the locks last: the process that created a scratch volume had acquired its lock before.
     */
    g_autoptr(GPtrArray) rows = ours ? cst_conn_vol_list(conn, scratch->pool, FALSE, error) : NULL;
    g_autoptr(GPtrArray) locks = rows ? cst_repo_locks(scratch->repo, error) : NULL;

    if (!locks)
        return FALSE;
    for (guint i = 0; *ours && i < rows->len; i++) {
        const char *name = ((const CstVolRow *)rows->pdata[i])->name;
        g_autoptr(CstVolRef) vol = NULL;

        if (!g_str_has_prefix(name, prefix) || in_use(name + strlen(prefix), locks))
            continue;
        vol = cst_conn_vol_by_name(conn, scratch->pool, name, NULL);
        if (vol)
            cli_scratch_drop(scratch, vol);
    }
    return TRUE;
}

/* Drops the volume of a failed restoration, which may be complete although its last call failed. */
static void drop_unfinished(const CliScratch *scratch, const char *name)
{
    g_autoptr(GError) why = NULL;
    g_autoptr(CstVolRef) vol = cst_conn_vol_by_name(scratch->ctl->conn, scratch->pool, name, &why);

    if (vol)
        cli_scratch_drop(scratch, vol);
    else if (!g_error_matches(why, CST_ERROR, CST_ERROR_NO_VOL))
        cli_warn(scratch->ctl, _("warning: scratch vol '%s' may be left: %s\n"), name,
                 why->message);
}

CstVolRef *cli_scratch_restore(const CliScratch *scratch, const CstBackupVolume *volume,
                               const char *format, GError **error)
{
    g_autofree char *name = scratch_new_name(scratch->repo, error);
    const CliRestore how = {.pool = scratch->pool, .name = name, .format = format};

    CstVolRef *vol = name ? cli_restore(scratch->ctl, scratch->repo, volume, &how, error) : NULL;

    if (name && !vol)
        drop_unfinished(scratch, name);
    return vol;
}
