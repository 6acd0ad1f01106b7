/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Locks on a repository. Each lock is a file in "locks" that names its owner. The owner holds
 * flock(2) on the file while it is alive. Therefore the kernel knows whether an owner on this host
 * is alive. For an owner on another host this is unknown, because not every network file system
 * shares such locks. Its lock is valid until a user removes it.
 *
 * A process writes its own file first and then searches for conflicting locks. If two processes do
 * so at the same time, at least one sees the other. Both may fail, but never both continue.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#include <base/dry_run.h>
#include <base/error.h>
#include <base/i18n.h>
#include <base/test_point.h>

#include "repo.h"

#define LOCK_MAX 1024

/* Returns "NAME MACHINE-ID". Two parts distinguish hosts with the same name or a copied id. */
static char *this_machine(void)
{
    g_autofree char *id = NULL;

    if (!g_file_get_contents("/etc/machine-id", &id, NULL, NULL))
        id = g_strdup("?");
    return g_strdup_printf("%s %s", g_get_host_name(), g_strchomp(id));
}

void cst_repo_lock_free(CstRepoLock *lock)
{
    if (!lock)
        return;
    g_free(lock->id);
    g_free(lock->host);
    g_free(lock);
}

static void free_lock(gpointer lock)
{
    cst_repo_lock_free(lock);
}

/* "1\nexclusive\nPID\nSINCE\nNAME MACHINE-ID\n" */
static gboolean repo_lock_parse(const char *text, CstRepoLock *ret_lock)
{
    g_auto(GStrv) lines = g_strsplit(text, "\n", 6);

    if (g_strv_length(lines) != 6 || strcmp(lines[0], "1") != 0 ||
        !g_ascii_string_to_signed(lines[2], 10, 1, G_MAXINT64, &ret_lock->pid, NULL) ||
        !g_ascii_string_to_signed(lines[3], 10, 0, G_MAXINT64, &ret_lock->since, NULL) ||
        !g_utf8_validate(lines[4], -1, NULL))
        return FALSE;
    ret_lock->exclusive = strcmp(lines[1], "exclusive") == 0;
    ret_lock->host = g_strdup(lines[4]);
    return TRUE;
}

/* A lock whose owner is unknown. It is valid until a user removes it. */
static CstRepoLock *unknown_lock(const char *name)
{
    CstRepoLock *lock = g_new0(CstRepoLock, 1);

    lock->id = g_strdup(name);
    lock->host = g_strdup("?");
    lock->exclusive = TRUE;
    return lock;
}

/* Returns NULL without an error if the lock was removed. */
static CstRepoLock *read_lock(CstRepo *repo, const char *name, GError **error)
{
    g_autofree char *path = folder_path(&repo->folders, FOLDER_LOCKS, name);
    g_autofree char *here = this_machine();
    g_autoptr(GError) why = NULL;
    g_auto(CstFd) fd = folder_file_open(repo->folders.fds[FOLDER_LOCKS], name, path, &why);
    CstRepoLock *lock;
    char text[LOCK_MAX];
    ssize_t got;

    if (fd < 0) {
        /* A FIFO, a link or a directory. An error here would also refuse its removal. */
        if (cst_error_code(why) == CST_ERROR_CORRUPT)
            return unknown_lock(name);
        if (cst_error_code(why) != CST_ERROR_NOT_FOUND)
            g_propagate_error(error, g_steal_pointer(&why));
        return NULL;
    }
    got = pread(fd, text, sizeof(text) - 1, 0);
    text[MAX(got, 0)] = '\0';
    lock = g_new0(CstRepoLock, 1);
    lock->id = g_strdup(name);
    if (!repo_lock_parse(text, lock)) {
        cst_repo_lock_free(lock);
        return unknown_lock(name);
    }
    lock->dead = strcmp(lock->host, here) == 0 && flock(fd, LOCK_SH | LOCK_NB) == 0;
    return lock;
}

GPtrArray *cst_repo_locks(CstRepo *repo, GError **error)
{
    g_autoptr(GPtrArray) names = folder_list(&repo->folders, FOLDER_LOCKS, NULL, error);
    g_autoptr(GPtrArray) locks = g_ptr_array_new_with_free_func(free_lock);
    char ours[REPO_ID_TEXT];

    repo_id_format(repo->lock_id, ours);
    for (guint i = 0; names && i < names->len; i++) {
        g_autoptr(GError) why = NULL;
        CstRepoLock *lock;

        if (repo->lock >= 0 && strcmp(names->pdata[i], ours) == 0)
            continue;
        lock = read_lock(repo, names->pdata[i], &why);
        if (why) {
            g_propagate_error(error, g_steal_pointer(&why));
            return NULL;
        }
        if (lock)
            g_ptr_array_add(locks, lock);
    }
    return names ? g_steal_pointer(&locks) : NULL;
}

gboolean cst_repo_unlock(CstRepo *repo, gboolean all, guint *ret_count, GError **error)
{
    g_autoptr(GPtrArray) locks = cst_repo_locks(repo, error);

    *ret_count = 0;
    for (guint i = 0; locks && i < locks->len; i++) {
        const CstRepoLock *lock = locks->pdata[i];
        g_autofree char *here = this_machine();

        /* Never remove a lock whose owner is alive on this host, even with --all. */
        if (!lock->dead && (!all || strcmp(lock->host, here) == 0))
            continue;
        if (!folder_remove(&repo->folders, FOLDER_LOCKS, lock->id, error))
            return FALSE;
        ++*ret_count;
    }
    return locks != NULL;
}

/* --- ours ------------------------------------------------------------------------------------- */

static gboolean write_ours(CstRepo *repo, gboolean exclusive, GError **error)
{
    g_autofree char *here = this_machine();
    g_autofree char *text =
        g_strdup_printf("1\n%s\n%d\n%" PRId64 "\n%s\n", exclusive ? "exclusive" : "shared",
                        (int)getpid(), g_get_real_time() / G_USEC_PER_SEC, here);
    g_auto(CstFd) fd = folder_draft(&repo->folders, repo->lock_id, error);
    char name[REPO_ID_TEXT];

    if (fd < 0)
        return FALSE;
    repo_id_format(repo->lock_id, name);
    /* Lock the file before it is visible. */
    if (!cst_pwrite_full(fd, text, strlen(text), 0, repo->folders.path, error) ||
        (flock(fd, LOCK_EX | LOCK_NB) < 0 &&
         !cst_fail_errno(error, errno, _("cannot lock a file in '%s'"), repo->folders.path)) ||
        !folder_publish(&repo->folders, fd, repo->lock_id, FOLDER_LOCKS, name, error)) {
        folder_drop_draft(&repo->folders, repo->lock_id);
        /* The name exists if only the sync of the directory failed. */
        (void)unlinkat(repo->folders.fds[FOLDER_LOCKS], name, 0);
        return FALSE;
    }
    repo->lock = g_steal_fd(&fd);
    repo->lock_exclusive = exclusive;
    return TRUE;
}

static gboolean repo_lock_fail_busy(const CstRepoLock *lock, const CstRepo *repo, GError **error)
{
    g_autoptr(GDateTime) since = g_date_time_new_from_unix_local(lock->since);
    g_autofree char *when = since ? g_date_time_format(since, "%F %T") : g_strdup("?");
    g_auto(GStrv) host = g_strsplit(lock->host, " ", 2);

    if (lock->pid == 0)
        return cst_fail(error, CST_ERROR_BUSY,
                        _("repository '%s' has a lock 'locks/%s' that cannot be read; if no other "
                          "process uses the repository, 'backup-unlock --all' removes it"),
                        repo->folders.path, lock->id);
    return cst_fail(error, CST_ERROR_BUSY,
                    _("repository '%s' is %s by process %" PRId64 " of host '%s' since "
                      "%s; if that is gone for sure, backup-unlock removes its lock"),
                    repo->folders.path, lock->exclusive ? _("being pruned") : _("in use"),
                    lock->pid, host[0], when);
}

void repo_unlock(CstRepo *repo)
{
    char name[REPO_ID_TEXT];

    if (repo->lock < 0)
        return;
    (void)unlinkat(repo->folders.fds[FOLDER_LOCKS], repo_id_format(repo->lock_id, name), 0);
    cst_fd_clear(&repo->lock);
}

static gboolean repo_lock_conflicts(CstRepo *repo, gboolean exclusive, GError **error)
{
    g_autoptr(GPtrArray) locks = cst_repo_locks(repo, error);

    for (guint i = 0; locks && i < locks->len; i++) {
        const CstRepoLock *lock = locks->pdata[i];

        if (lock->dead)
            (void)folder_remove(&repo->folders, FOLDER_LOCKS, lock->id, NULL);
        else if (exclusive || lock->exclusive)
            return !repo_lock_fail_busy(lock, repo, error);
    }
    return locks == NULL;
}

gboolean repo_lock(CstRepo *repo, gboolean exclusive, GError **error)
{
    g_autoptr(GError) why = NULL;

    if (repo->lock >= 0 && (repo->lock_exclusive || !exclusive))
        return TRUE;
    repo_unlock(repo);
    /* A dry run checks for conflicts and writes no lock. */
    if (cst_dry_run())
        return !repo_lock_conflicts(repo, exclusive, error);
    if (!write_ours(repo, exclusive, &why)) {
        if (repo->read_only && !exclusive && cst_error_code(why) == CST_ERROR_DENIED)
            return TRUE;
        g_propagate_error(error, g_steal_pointer(&why));
        return FALSE;
    }
    CST_TEST_POINT("repo.lock.written");
    if (repo_lock_conflicts(repo, exclusive, error)) {
        repo_unlock(repo);
        return FALSE;
    }
    /* Another process may have removed files before the lock was acquired. */
    repo_index_drop(repo);
    return TRUE;
}

char *cst_repo_lock_id(CstRepo *repo, GError **error)
{
    char name[REPO_ID_TEXT];

    return repo_lock(repo, FALSE, error)
               ? g_strdup(repo->lock >= 0 ? repo_id_format(repo->lock_id, name) : "")
               : NULL;
}

gboolean repo_lock_to_write(CstRepo *repo, GError **error)
{
    return repo_lock(repo, FALSE, error) &&
           (repo->lock >= 0 || cst_dry_run() ||
            cst_fail(error, CST_ERROR_DENIED, _("repository '%s' can only be read"),
                     repo->folders.path));
}
