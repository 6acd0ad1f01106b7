/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The snapshots of backups: their names, and the removal of unneeded ones. */
#include "snapshots.h"

#include <string.h>

#include <base/error.h>

#include "output/text.h"

static char *snapshot_name_prefix(const CstRepo *repo)
{
    return g_strdup_printf("cistern-backup-%.8s", cst_repo_id(repo));
}

char *backup_snapshot_name(const CstRepo *repo)
{
    g_autofree char *prefix = snapshot_name_prefix(repo);

    return g_strdup_printf("%s-%08x", prefix, g_random_int());
}

gboolean backup_no_snapshots(const GError *error)
{
    return g_error_matches(error, CST_ERROR, CST_ERROR_UNSUPPORTED) ||
           g_error_matches(error, CST_ERROR, CST_ERROR_NO_SUPPORT);
}

GPtrArray *backup_snapshots(CstConn *conn, const CstRepo *repo, const CstVolRef *vol,
                            GError **error)
{
    g_autoptr(GPtrArray) all = cst_conn_snapshot_list(conn, vol, error);
    g_autofree char *prefix = snapshot_name_prefix(repo);
    size_t len = strlen(prefix);
    GPtrArray *ours;

    if (!all)
        return NULL;
    ours = g_ptr_array_new_with_free_func(g_free);
    for (guint i = 0; i < all->len; i++) {
        const char *name = ((const CstSnapshot *)all->pdata[i])->name;

        if (strncmp(name, prefix, len) == 0 && (name[len] == '\0' || name[len] == '-'))
            g_ptr_array_add(ours, g_strdup(name));
    }
    return ours;
}

gboolean backup_volume_has_checkpoint(const CstBackupVolume *volume)
{
    return g_str_has_prefix(volume->snapshot, CST_CHECKPOINT_PREFIX);
}

static void say_left(CliCtl *ctl, const CstVolRef *vol, const char *snapshot, const GError *why)
{
    cli_warn(ctl, _("warning: snapshot '%s' of vol '%s' is left: %s\n"), snapshot, vol->name,
             why->message);
}

void backup_snapshot_drop(CliCtl *ctl, const CstVolRef *vol, const char *snapshot)
{
    g_autoptr(GError) why = NULL;

    if (!cst_conn_snapshot_delete(ctl->conn, vol, snapshot, NULL, &why) &&
        !g_error_matches(why, CST_ERROR, CST_ERROR_NOT_FOUND))
        say_left(ctl, vol, snapshot, why);
}

/* Return: TRUE if no other live process has a lock on the repository. */
static gboolean is_alone(CstRepo *repo)
{
    g_autoptr(GPtrArray) locks = cst_repo_locks(repo, NULL);

    for (guint i = 0; locks && i < locks->len; i++)
        if (!((const CstRepoLock *)locks->pdata[i])->dead)
            return FALSE;
    return locks != NULL;
}

void backup_snapshots_tidy(CliCtl *ctl, CstRepo *repo, const CstVolRef *vol, const GPtrArray *names,
                           const char *keep)
{
    if (names->len == 0 || !is_alone(repo))
        return;
    for (guint i = 0; i < names->len; i++)
        if (g_strcmp0(names->pdata[i], keep) != 0)
            backup_snapshot_drop(ctl, vol, names->pdata[i]);
}

/* --- snapshots of forgotten backups ----------------------------------------------------------- */

static gboolean snapshot_is_in_backups(const GPtrArray *backups, const char *snapshot)
{
    for (guint i = 0; i < backups->len; i++) {
        const CstBackup *backup = backups->pdata[i];

        for (guint j = 0; j < backup->volumes->len; j++)
            if (strcmp(((const CstBackupVolume *)backup->volumes->pdata[j])->snapshot, snapshot) ==
                0)
                return TRUE;
    }
    return FALSE;
}

/* Return: NULL if the volume no longer exists or cannot be found. */
static CstVolRef *find_backed_up_vol(CstConn *conn, const CstBackupVolume *volume)
{
    g_autoptr(CstPoolRef) pool = cst_conn_pool_by_name(conn, volume->pool, NULL);
    CstVolRef *vol = pool ? cst_conn_vol_by_name(conn, pool, volume->name, NULL) : NULL;

    if (vol && strcmp(vol->key, volume->identity) != 0)
        g_clear_pointer(&vol, cst_vol_ref_free);
    return vol;
}

static void forget_of(CliCtl *ctl, CstRepo *repo, const CstBackupVolume *volume,
                      const GPtrArray *backups)
{
    g_autoptr(CstVolRef) vol = find_backed_up_vol(ctl->conn, volume);
    g_autoptr(GPtrArray) names = vol ? backup_snapshots(ctl->conn, repo, vol, NULL) : NULL;

    for (guint i = names ? names->len : 0; i-- > 0;)
        if (snapshot_is_in_backups(backups, names->pdata[i]))
            g_ptr_array_remove_index(names, i);
    if (names)
        backup_snapshots_tidy(ctl, repo, vol, names, NULL);
}

void backup_snapshots_forget(CliCtl *ctl, CstRepo *repo, const GPtrArray *forgotten)
{
    g_autoptr(GHashTable) seen = g_hash_table_new(g_str_hash, g_str_equal);
    g_autoptr(GPtrArray) damaged = g_ptr_array_new_with_free_func(g_free);
    g_autoptr(GPtrArray) backups = NULL;
    g_autoptr(GError) why = NULL;

    for (guint i = 0; i < forgotten->len; i++) {
        const CstBackup *backup = forgotten->pdata[i];

        for (guint j = 0; j < backup->volumes->len; j++) {
            const CstBackupVolume *volume = backup->volumes->pdata[j];

            if (*volume->snapshot == '\0' || backup_volume_has_checkpoint(volume) ||
                !g_hash_table_add(seen, volume->identity))
                continue;
            if (!backups)
                backups = cst_repo_backups(repo, damaged, &why);
            if (!backups || !cli_conn(ctl, &why)) {
                cli_warn(ctl, _("warning: snapshots of vol '%s' may be left: %s\n"), volume->name,
                         why->message);
                return;
            }
            forget_of(ctl, repo, volume, backups);
        }
    }
}
