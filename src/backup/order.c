/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The order of backups. Each manifest has a number and names its predecessor, the newest backup
 * when it was made. With these, a client that has seen a backup can detect that the repository was
 * rolled back: the backup is missing, and the next backup does not name it. Backups may be
 * forgotten, so a missing manifest alone is no evidence.
 */
#include <string.h>

#include <base/error.h>
#include <base/i18n.h>

#include "repo.h"

static gboolean backup_is_newer(const CstBackup *backup, const CstBackup *than)
{
    if (backup->number != than->number)
        return backup->number > than->number;
    if (backup->time_us != than->time_us)
        return backup->time_us > than->time_us;
    return strcmp(backup->id, than->id) > 0;
}

CstBackupMark cst_backups_newest(const GPtrArray *backups)
{
    const CstBackup *newest = NULL;
    CstBackupMark mark = {0};

    for (guint i = 0; i < backups->len; i++)
        if (!newest || backup_is_newer(backups->pdata[i], newest))
            newest = backups->pdata[i];
    if (!newest)
        return mark;
    mark.number = newest->number;
    g_strlcpy(mark.id, newest->id, sizeof(mark.id));
    memcpy(mark.digest, newest->digest, sizeof(mark.digest));
    return mark;
}

gboolean cst_repo_has_manifest(CstRepo *repo, const char *id)
{
    uint8_t bytes[REPO_ID];

    return repo_id_parse(id, bytes) && folder_has(&repo->folders, FOLDER_BACKUPS, id);
}

gboolean cst_repo_sync_backups(CstRepo *repo, GError **error)
{
    return folder_sync(&repo->folders, FOLDER_BACKUPS, error);
}

static gboolean mark_is_predecessor(const GPtrArray *backups, const CstBackupMark *mark)
{
    for (guint i = 0; i < backups->len; i++) {
        const CstBackup *backup = backups->pdata[i];

        if (strcmp(backup->predecessor.id, mark->id) == 0 &&
            memcmp(backup->predecessor.digest, mark->digest, sizeof(mark->digest)) == 0)
            return TRUE;
    }
    return FALSE;
}

/*
 * Returns whether the successor of @mark is missing but a later backup exists, so that the chain
 * has a gap.
 */
static gboolean is_chain_open(const GPtrArray *backups, const CstBackupMark *mark)
{
    gboolean later = FALSE;

    for (guint i = 0; i < backups->len; i++) {
        const CstBackup *backup = backups->pdata[i];

        if (backup->number == mark->number + 1)
            return FALSE;
        later = later || backup->number > mark->number;
    }
    return later;
}

gboolean cst_repo_check_seen(CstRepo *repo, const GPtrArray *backups, const CstBackupMark *seen,
                             GError **error)
{
    const char *path = repo->folders.path;

    for (guint i = 0; i < backups->len; i++) {
        const CstBackup *backup = backups->pdata[i];

        if (strcmp(backup->id, seen->id) != 0)
            continue;
        return memcmp(backup->digest, seen->digest, sizeof(seen->digest)) == 0 ||
               cst_fail(error, CST_ERROR_STATE,
                        _("repository '%s' was changed: the manifest of backup '%.8s' is another "
                          "one than this client has seen"),
                        path, seen->id);
    }
    /* A manifest that exists but was not read is damaged, which is reported elsewhere. */
    if (seen->number == 0 || cst_repo_has_manifest(repo, seen->id) ||
        mark_is_predecessor(backups, seen) || is_chain_open(backups, seen))
        return TRUE;
    return cst_fail(error, CST_ERROR_STATE,
                    _("repository '%s' was put back to an earlier state: this client has seen "
                      "backup '%.8s', which is missing, and no later backup names it"),
                    path, seen->id);
}
