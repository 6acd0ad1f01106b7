/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The newest backup that this user has seen in a repository. ~/.local/state/cistern/backups has a
 * file for each repository, named by the repository's id:
 *
 *     NUMBER ID DIGEST
 *
 * If the repository lacks that backup, it was replaced by an earlier state. A file is replaced
 * atomically and synced, under a lock on the directory. The backup that it names is durable. After
 * a crash the file may name an older backup, which is harmless. Before a backup is removed on
 * purpose, the file is set to the newest remaining backup.
 */
#include "seen.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <base/dry_run.h>
#include <base/error.h>
#include <base/file.h>
#include <base/place.h>

#include "output/text.h"

#define FILE_LIMIT 4096
#define FILES_MAX  256 /* maximum number of remembered repositories */

/* --- the files -------------------------------------------------------------------------------- */

/* Return: NULL if this user has no state directory. */
static char *seen_path(const CstRepo *repo)
{
    g_autofree char *dir = cst_place_state_dir("backups");

    return dir ? g_build_filename(dir, cst_repo_id(repo), NULL) : NULL;
}

static gboolean digest_parse(const char *text, uint8_t ret_digest[CST_BACKUP_DIGEST])
{
    for (guint i = 0; i < CST_BACKUP_DIGEST; i++) {
        int high = g_ascii_xdigit_value(text[2 * i]);
        int low = high < 0 ? -1 : g_ascii_xdigit_value(text[2 * i + 1]);

        if (low < 0)
            return FALSE;
        ret_digest[i] = (uint8_t)(high << 4 | low);
    }
    return text[2 * CST_BACKUP_DIGEST] == '\0';
}

static gboolean seen_parse(char *text, CstBackupMark *ret_mark)
{
    g_auto(GStrv) words = g_strsplit(g_strchomp(text), " ", 4);
    CstBackupMark mark = {0};

    if (g_strv_length(words) != 3 ||
        !g_ascii_string_to_unsigned(words[0], 10, 0, G_MAXINT64, &mark.number, NULL) ||
        strlen(words[1]) != CST_BACKUP_ID_TEXT - 1 || !digest_parse(words[2], mark.digest))
        return FALSE;
    g_strlcpy(mark.id, words[1], sizeof(mark.id));
    *ret_mark = mark;
    return TRUE;
}

/* Read the mark of a repository. The id is "" if no mark exists. */
static gboolean seen_load(const char *path, CstBackupMark *ret_mark, GError **error)
{
    g_autofree char *text = NULL;
    g_autoptr(GError) why = NULL;

    *ret_mark = (CstBackupMark){0};
    if (!path)
        return TRUE;
    if (!cst_file_read_trusted(path, FILE_LIMIT, &text, NULL, &why)) {
        if (g_error_matches(why, CST_ERROR, CST_ERROR_NOT_FOUND))
            return TRUE;
        g_propagate_error(error, g_steal_pointer(&why));
        return FALSE;
    }
    return seen_parse(text, ret_mark) ||
           cst_fail(error, CST_ERROR_CORRUPT,
                    _("cannot read '%s', which names the newest backup of the repository that "
                      "this user has seen; remove the file if it may be forgotten"),
                    path);
}

/* Remove the oldest files, so that @dir has room for one more. */
static void seen_make_room(const char *dir)
{
    for (;;) {
        g_autoptr(GDir) listing = g_dir_open(dir, 0, NULL);
        g_autofree char *oldest = NULL;
        time_t oldest_time = 0;
        guint count = 0;
        const char *name;

        while (listing && (name = g_dir_read_name(listing))) {
            g_autofree char *path = g_build_filename(dir, name, NULL);
            struct stat st;

            if (lstat(path, &st) < 0 || !S_ISREG(st.st_mode))
                continue;
            count++;
            if (!oldest || st.st_mtime < oldest_time) {
                g_free(oldest);
                oldest = g_steal_pointer(&path);
                oldest_time = st.st_mtime;
            }
        }
        if (count < FILES_MAX || !cst_file_remove(oldest, NULL))
            return;
    }
}

/*
 * A backup whose commit failed in its last step is listed, but a power cut can remove it. Therefore
 * the list of backups is synced before the file names one.
 */
static gboolean seen_write(CstRepo *repo, const char *path, const CstBackupMark *mark,
                           GError **error)
{
    g_autoptr(GString) text = g_string_new(NULL);
    g_autofree char *dir = g_path_get_dirname(path);
    g_auto(CstFd) lock = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    if (!cst_may_change(error))
        return FALSE;
    if (lock < 0 || TEMP_FAILURE_RETRY(flock(lock, LOCK_EX)) < 0)
        return cst_fail_errno(error, errno, _("cannot lock directory '%s'"), dir);
    if (*mark->id == '\0')
        return cst_file_remove(path, error);
    if (!cst_repo_sync_backups(repo, error))
        return FALSE;
    g_string_printf(text, "%" PRIu64 " %s ", mark->number, mark->id);
    for (guint i = 0; i < CST_BACKUP_DIGEST; i++)
        g_string_append_printf(text, "%02x", mark->digest[i]);
    g_string_append_c(text, '\n');
    cst_file_drop_temporaries(dir);
    if (!g_file_test(path, G_FILE_TEST_EXISTS))
        seen_make_room(dir);
    return cst_file_replace(path, text->str, text->len, 0600, error);
}

/* --- checks ----------------------------------------------------------------------------------- */

/* Read the backups, compare them with @seen, and set *ret_mark to the newest one. */
static gboolean seen_check_backups(CstRepo *repo, const CstBackupMark *seen,
                                   CstBackupMark *ret_mark, GError **error)
{
    g_autoptr(GPtrArray) damaged = g_ptr_array_new_with_free_func(g_free);
    g_autoptr(GPtrArray) backups = cst_repo_backups(repo, damaged, error);

    if (!backups)
        return FALSE;
    *ret_mark = cst_backups_newest(backups);
    return *seen->id == '\0' || cst_repo_check_seen(repo, backups, seen, error);
}

static gboolean mark_is_newer(const CstBackupMark *mark, const CstBackupMark *than)
{
    return *mark->id && (*than->id == '\0' || mark->number > than->number);
}

/*
 * Another program of this user may remove a backup between the two reads. Read the file again then.
 */
gboolean backup_seen_check(CstRepo *repo, GError **error)
{
    g_autofree char *path = seen_path(repo);
    CstBackupMark seen, newest, again;

    if (!seen_load(path, &seen, error))
        return FALSE;
    for (;;) {
        GError *why = NULL;

        if (seen_check_backups(repo, &seen, &newest, &why))
            break;
        if (!g_error_matches(why, CST_ERROR, CST_ERROR_STATE) || !seen_load(path, &again, NULL) ||
            strcmp(again.id, seen.id) == 0) {
            g_propagate_error(error, why);
            return FALSE;
        }
        g_error_free(why);
        seen = again;
    }
    /*
     * Ignore an error: if the mark cannot be stored, the next check compares with an older backup.
     */
    if (path && mark_is_newer(&newest, &seen))
        (void)seen_write(repo, path, &newest, NULL);
    return TRUE;
}

void backup_seen_warn(CliCtl *ctl, CstRepo *repo)
{
    g_autoptr(GError) why = NULL;

    if (!backup_seen_check(repo, &why))
        cli_warn(ctl, _("warning: %s\n"), why->message);
}

gboolean backup_seen_accept(CstRepo *repo, GError **error)
{
    g_autofree char *path = seen_path(repo);
    const CstBackupMark none = {0};
    CstBackupMark newest;
    GError *why = NULL;

    if (!seen_check_backups(repo, &none, &newest, error))
        return FALSE;
    if (!path || seen_write(repo, path, &newest, &why))
        return TRUE;
    if (g_error_matches(why, CST_ERROR, CST_ERROR_DRY_RUN)) {
        g_error_free(why);
        return TRUE;
    }
    g_propagate_error(error, why);
    return FALSE;
}

void backup_seen_note(CliCtl *ctl, CstRepo *repo, const CstBackup *backup)
{
    g_autofree char *path = seen_path(repo);
    g_autoptr(GError) why = NULL;
    CstBackupMark seen, mark = {.number = backup->number};

    g_strlcpy(mark.id, backup->id, sizeof(mark.id));
    memcpy(mark.digest, backup->digest, sizeof(mark.digest));
    if (!path || (seen_load(path, &seen, &why) &&
                  (!mark_is_newer(&mark, &seen) || seen_write(repo, path, &mark, &why))))
        return;
    cli_warn(ctl, _("warning: cannot note that backup %.8s is the newest one: %s\n"), backup->id,
             why->message);
}

gboolean backup_seen_before_removal(CstRepo *repo, const GPtrArray *staying, GError **error)
{
    g_autofree char *path = seen_path(repo);
    CstBackupMark seen, newest = cst_backups_newest(staying);

    if (!seen_load(path, &seen, error))
        return FALSE;
    if (!path || *seen.id == '\0' || !cst_repo_has_manifest(repo, seen.id))
        return TRUE;
    for (guint i = 0; i < staying->len; i++)
        if (strcmp(((const CstBackup *)staying->pdata[i])->id, seen.id) == 0)
            return TRUE;
    return seen_write(repo, path, &newest, error);
}
