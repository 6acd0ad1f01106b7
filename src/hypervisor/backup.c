/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The caller's side of a backup session (see the header).
 *
 *   begin   cst_hypervisor_pause_begin() with keep_running: checks; its watchdog owes the thaw
 *           the keeper is started and checks the domain, too
 *           cst_hypervisor_pause_suspend(): freeze
 *           BACKUP_START: the keeper begins the job
 *           cst_hypervisor_pause_resume(): thaw, and the level
 *   check   receives the reason of the keeper, if it has sent one
 *   end     BACKUP_END; the keeper answers when all files are removed
 *
 * The keeper is prepared before the freeze, so that the guest is frozen for one call of libvirt.
 * The end of this process closes the socket to the keeper, which ends the session then.
 */
#include <hypervisor/backup.h>

#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <base/error.h>
#include <base/file.h>
#include <base/i18n.h>
#include <base/log.h>
#include <base/text.h>
#include <base/units.h>
#include <base/uuid.h>
#include <model/domain_backup.h>

#include "backup_entry.h"
#include "backup_files.h"
#include "backup_protocol.h"
#include "connection.h"
#include "detached.h"
#include "outcome.h"

#define ANSWER_MS 10000 /* more than the limit of the keeper */

struct CstHypervisorBackup {
    GMutex lock;   /* guards @fd and @ended */
    int fd;        /* to the keeper; -1: the connection has ended */
    GError *ended; /* why the session has ended; NULL: it goes on */
    char *uuid;
    char *name; /* of the domain; its UUID until the domain is known */
    char *session, *directory, *scratch, *socket;
    uint64_t reserve;
    char *checkpoint;   /* of the request; NULL: without one */
    GStrv bases;        /* of the volumes; an empty text: without a base */
    GPtrArray *exports; /* of BackupExport *: of the volumes; NULL: not known yet */
    char *refusal;      /* as in BackupAnswer */
    gint64 created;     /* the same */
};

/* --- recovery --------------------------------------------------------------------------------- */

/* Starts a repair with the lock that is held. */
static gboolean backup_entry_repair(int dirfd, const char *uuid, int lock, GError **error)
{
    g_autofree char *limits = detached_limits_format(hypervisor_backup_limits, BACKUP_LIMIT_LAST);

    return detached_start((const char *const[]){HYPERVISOR_PROGRAM, HYPERVISOR_BACKUP,
                                                BACKUP_REPAIR, limits, uuid, "0", NULL},
                          (const int[]){dirfd, lock}, 2, error);
}

static gboolean backup_entry_check(int dirfd, const char *uuid, GError **error)
{
    g_auto(BackupEntry) entry = {0};

    return backup_entry_read(dirfd, uuid, &entry, error);
}

/* Implements DomainRecoverFunc. @data: NULL, or a GHashTable that gets the session of an entry. */
static gboolean backup_entry_recover(int dirfd, const char *uuid, gpointer data, GError **error)
{
    static const DomainRecovery recovery = {backup_entry_check, backup_entry_repair};
    g_auto(BackupEntry) entry = {0};

    if (data && backup_entry_read(dirfd, uuid, &entry, NULL))
        g_hash_table_add(data, g_strdup(entry.session));
    return domain_entry_recover(dirfd, uuid, &recovery, error);
}

gboolean cst_hypervisor_backup_recover(const char *directory, const char *scratch, GError **error)
{
    g_autoptr(GHashTable) kept = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    g_autoptr(GError) why = NULL;
    gboolean ok = domain_directory_recover(directory, backup_entry_recover, kept, error);
    g_auto(CstFd) scratch_fd = scratch ? backup_scratch_open(scratch, &why) : -1;

    if (scratch_fd >= 0)
        backup_scratch_sweep(scratch_fd, kept);
    if (!why || cst_error_code(why) == CST_ERROR_NOT_FOUND)
        return ok;
    if (ok)
        g_propagate_error(error, g_steal_pointer(&why));
    return FALSE;
}

/* Starts a repair of this session after the end of its keeper. */
static void backup_recover(const CstHypervisorBackup *backup)
{
    g_autoptr(GError) error = NULL;
    g_auto(CstFd) dirfd = domain_directory_open(backup->directory, 0, &error);

    if (dirfd < 0 || !backup_entry_recover(dirfd, backup->uuid, NULL, &error))
        cst_log(CST_LOG_WARNING, "cannot end the backup job of domain '%s': %s", backup->name,
                error->message);
}

/* --- the keeper ------------------------------------------------------------------------------- */

/* Returns the reason of a failure. The caller frees it. */
static char *backup_reason(const CstHypervisorBackup *backup, const BackupAnswer *answer)
{
    g_autofree char *left = cst_units_text(answer->free),
                    *reserve = cst_units_text(backup->reserve);

    if (answer->outcome != PAUSE_NO_SPACE)
        return pause_outcome_text(answer->outcome, answer->message);
    return cst_text_format(_("the scratch space '%s' has only %s free, and %s must stay free; free "
                             "space there, or back up when the guest writes less"),
                           backup->scratch, left, reserve);
}

/* Waits for a packet. @task: may cancel the wait; NULL: cannot be cancelled. */
static gboolean backup_await(const CstHypervisorBackup *backup, CstTask *task, unsigned limit_ms,
                             GError **error)
{
    g_autoptr(GError) why = NULL;

    if (detached_await(backup->fd, task, limit_ms, &why))
        return TRUE;
    if (!why)
        return cst_fail(error, CST_ERROR_TIMEOUT,
                        _("the backup process of domain '%s' did not answer within %u s"),
                        backup->name, limit_ms / 1000);
    g_propagate_error(error, g_steal_pointer(&why));
    return FALSE;
}

/* Receives a packet that is there. Returns FALSE if the keeper has ended. */
static gboolean backup_receive(const CstHypervisorBackup *backup, BackupAnswer *ret_answer,
                               GError **error)
{
    g_autofree char *packet = g_malloc(PAUSE_PACKET_MAX);
    size_t len = pause_packet_receive(backup->fd, packet);

    if (len == 0)
        return cst_fail(error, CST_ERROR_FAILED, _("the backup process of domain '%s' was killed"),
                        backup->name);
    return backup_answer_decode(packet, len, ret_answer) ||
           cst_fail(error, CST_ERROR_FAILED,
                    _("the backup process of domain '%s' sent a malformed answer"), backup->name);
}

static void backup_adopt_name(CstHypervisorBackup *backup, const BackupAnswer *answer)
{
    if (!answer->name)
        return;
    g_free(backup->name);
    backup->name = g_strdup(answer->name);
}

/* Receives an answer, and keeps its facts. Fails with the outcome of the answer, too. */
static gboolean backup_receive_answer(CstHypervisorBackup *backup, CstTask *task, unsigned limit_ms,
                                      GError **error)
{
    g_auto(BackupAnswer) answer = {0};
    g_autofree char *reason = NULL;

    if (!backup_await(backup, task, limit_ms, error) || !backup_receive(backup, &answer, error))
        return FALSE;
    backup_adopt_name(backup, &answer);
    if (answer.outcome == PAUSE_DONE) {
        g_clear_pointer(&backup->exports, g_ptr_array_unref);
        backup->exports = g_steal_pointer(&answer.exports);
        g_free(backup->refusal);
        backup->refusal = g_steal_pointer(&answer.refusal);
        backup->created = answer.created;
        return TRUE;
    }
    reason = backup_reason(backup, &answer);
    return cst_fail(error, pause_outcome_code(answer.outcome), _("cannot back up domain '%s': %s"),
                    backup->name, reason);
}

/* Returns the socket to a new keeper, or -1. */
static int session_begin_keeper(CstHypervisor *hypervisor, int dirfd, GError **error)
{
    unsigned limits[BACKUP_LIMIT_LAST];
    g_autofree char *text = NULL;

    memcpy(limits, hypervisor_backup_limits, sizeof(limits));
    limits[BACKUP_LIMIT_CHECK] += hypervisor_deadline(hypervisor) * 1000;
    text = detached_limits_format(limits, BACKUP_LIMIT_LAST);
    return detached_connect(
        (const char *const[]){HYPERVISOR_PROGRAM, HYPERVISOR_BACKUP, BACKUP_BEGIN, text, NULL},
        dirfd, error);
}

/* Sends the request and receives the result of the checks. */
static gboolean session_request(CstHypervisorBackup *backup, CstHypervisor *hypervisor,
                                const CstHypervisorBackupRequest *request, CstTask *task,
                                GError **error)
{
    g_autofree BackupBase *bases = g_new0(BackupBase, request->n_volumes);
    const BackupRequest sent = {.domain = {.uri = (char *)request->uri,
                                           .uuid = backup->uuid,
                                           .volumes = (CstHypervisorVolume *)request->volumes,
                                           .n_volumes = request->n_volumes},
                                .session = backup->session,
                                .directory = backup->directory,
                                .scratch = backup->scratch,
                                .reserve = backup->reserve,
                                .checkpoint = (char *)request->checkpoint,
                                .bases = bases};
    g_autoptr(GBytes) packet = NULL;
    unsigned limit_ms = hypervisor_backup_limits[BACKUP_LIMIT_CHECK] + ANSWER_MS +
                        hypervisor_deadline(hypervisor) * 1000;
    gconstpointer data;
    gsize len;

    for (guint i = 0; i < request->n_volumes; i++)
        bases[i].name = *backup->bases[i] ? backup->bases[i] : NULL;
    packet = backup_request_encode(&sent);
    data = g_bytes_get_data(packet, &len);
    if (len > PAUSE_PACKET_MAX)
        return cst_fail(error, CST_ERROR_LIMIT,
                        _("the request for a backup of domain '%s' is too long"), backup->name);
    if (send(backup->fd, data, len, MSG_NOSIGNAL) != (ssize_t)len)
        return cst_fail(error, CST_ERROR_FAILED, _("the backup process of domain '%s' was killed"),
                        backup->name);
    return backup_receive_answer(backup, task, limit_ms, error);
}

/* Only one helper process asks libvirt at a time (hypervisor.c). */
static gboolean session_start_keeper(CstHypervisorBackup *backup, CstHypervisor *hypervisor,
                                     const CstHypervisorBackupRequest *request, CstTask *task,
                                     GError **error)
{
    g_auto(CstFd) dirfd = domain_directory_open(backup->directory, 0711, error);
    gboolean ok;

    if (dirfd < 0 || !hypervisor_begin(hypervisor, request->uri, task, error))
        return FALSE;
    backup->fd = session_begin_keeper(hypervisor, dirfd, error);
    ok = backup->fd >= 0 && session_request(backup, hypervisor, request, task, error);
    hypervisor_end(hypervisor, request->uri, NULL);
    return ok;
}

/* --- begin ------------------------------------------------------------------------------------ */

/* The keeper checks the same, but its messages are not translated. */
static gboolean backup_check_request(const CstHypervisorBackup *backup,
                                     const CstHypervisorBackupRequest *request, GError **error)
{
    g_auto(CstFd) scratch_fd = -1;

    if (!g_path_is_absolute(request->directory) || !g_path_is_absolute(request->scratch))
        return cst_fail(error, CST_ERROR_INVALID,
                        _("cannot back up domain '%s': a directory has no absolute path"),
                        backup->name);
    if (strlen(backup->socket) > CST_HYPERVISOR_SOCKET_MAX)
        return cst_fail(error, CST_ERROR_INVALID,
                        _("cannot back up domain '%s': the path of its socket has more than %d "
                          "bytes: %s"),
                        backup->name, CST_HYPERVISOR_SOCKET_MAX, backup->socket);
    for (guint i = 0; i < request->n_volumes; i++)
        if (*backup->bases[i] && !cst_checkpoint_name_is_valid(backup->bases[i]))
            return cst_fail(error, CST_ERROR_INVALID, _("'%s' is not the name of a checkpoint"),
                            backup->bases[i]);
    if (request->checkpoint && !cst_checkpoint_name_is_valid(request->checkpoint))
        return cst_fail(error, CST_ERROR_INVALID, _("'%s' is not the name of a checkpoint"),
                        request->checkpoint);
    scratch_fd = backup_scratch_open(request->scratch, error);
    return scratch_fd >= 0;
}

/* Returns a base for each volume. */
static GStrv bases_copy(const CstHypervisorBackupRequest *request)
{
    GStrv bases = g_new0(char *, request->n_volumes + 1);

    for (guint i = 0; i < request->n_volumes; i++) {
        const char *base = request->bases ? request->bases[i] : NULL;

        bases[i] = g_strdup(base ? base : "");
    }
    return bases;
}

/* Returns NULL if the request has no UUID. */
static CstHypervisorBackup *backup_new(const CstHypervisorBackupRequest *request, GError **error)
{
    CstHypervisorBackup *backup;
    char text[CST_UUID_TEXT_LEN];
    CstUuid uuid;

    if (!cst_uuid_parse(request->uuid, &uuid)) {
        cst_fail(error, CST_ERROR_INVALID, _("'%s' is not the UUID of a domain"), request->uuid);
        return NULL;
    }
    backup = g_new0(CstHypervisorBackup, 1);
    g_mutex_init(&backup->lock);
    backup->fd = -1;
    backup->uuid = g_strdup(cst_uuid_format(&uuid, text));
    backup->name = request->name ? cst_text_escape(request->name) : g_strdup(backup->uuid);
    backup->session = backup_session_make();
    backup->directory = g_strdup(request->directory);
    backup->scratch = g_strdup(request->scratch);
    backup->socket = backup_socket_path(backup->directory, backup->session);
    backup->reserve = request->reserve;
    backup->bases = bases_copy(request);
    backup->checkpoint = g_strdup(request->checkpoint);
    return backup;
}

/* A lost thaw does not harm the backup. The watchdog of the pause repeats it. */
static void backup_thaw(CstHypervisorPause *pause, CstHypervisorPauseResult *ret_result)
{
    g_autoptr(GError) why = NULL;

    if (cst_hypervisor_pause_resume(pause, ret_result, &why))
        return;
    *ret_result = (CstHypervisorPauseResult){.consistency = CST_CONSISTENCY_CRASH,
                                             .reason = g_strdup(why->message)};
}

/* Freezes, begins the job and thaws. The end of @pause thaws after a failure. */
static gboolean backup_begin_job(CstHypervisorBackup *backup, CstHypervisorPause *pause,
                                 CstTask *task, CstHypervisorPauseResult *ret_result,
                                 GError **error)
{
    unsigned limit_ms = hypervisor_backup_limits[BACKUP_LIMIT_BEGIN] + ANSWER_MS;

    if (!cst_hypervisor_pause_suspend(pause, error))
        return FALSE;
    pause_byte_send(backup->fd, BACKUP_START);
    if (!backup_receive_answer(backup, task, limit_ms, error))
        return FALSE;
    backup_thaw(pause, ret_result);
    return TRUE;
}

/* The pause ends before a session that has failed, so that the guest is thawed first. */
static gboolean backup_begin(CstHypervisorBackup *backup, CstHypervisor *hypervisor,
                             const CstHypervisorBackupRequest *request, CstTask *task,
                             CstHypervisorPauseResult *ret_result, GError **error)
{
    const CstHypervisorPauseRequest paused = {.uri = request->uri,
                                              .uuid = request->uuid,
                                              .name = request->name,
                                              .volumes = request->volumes,
                                              .n_volumes = request->n_volumes,
                                              .freeze = request->freeze,
                                              .keep_running = TRUE,
                                              .directory = request->pauses};
    g_autoptr(CstHypervisorPause) pause = NULL;
    gboolean ok;

    pause = cst_hypervisor_pause_begin(hypervisor, &paused, task, error);
    if (!pause)
        return FALSE;
    /* libvirt may need this worker: it looks up the volumes of a domain that it starts. */
    cst_task_set_waiting(task, TRUE);
    ok = session_start_keeper(backup, hypervisor, request, task, error) &&
         backup_begin_job(backup, pause, task, ret_result, error);
    cst_task_set_waiting(task, FALSE);
    return ok;
}

CstHypervisorBackup *cst_hypervisor_backup_begin(CstHypervisor *hypervisor,
                                                 const CstHypervisorBackupRequest *request,
                                                 CstTask *task,
                                                 CstHypervisorPauseResult *ret_result,
                                                 GError **error)
{
    CstHypervisorBackup *backup = backup_new(request, error);

    if (!backup)
        return NULL;
    if (backup_check_request(backup, request, error) &&
        backup_begin(backup, hypervisor, request, task, ret_result, error))
        return backup;
    cst_hypervisor_backup_end(backup);
    return NULL;
}

/* --- the session ------------------------------------------------------------------------------ */

const char *cst_hypervisor_backup_socket(const CstHypervisorBackup *backup)
{
    return backup->socket;
}

static const BackupExport *backup_find_export(const CstHypervisorBackup *backup, guint volume)
{
    return backup->exports && volume < backup->exports->len ? backup->exports->pdata[volume] : NULL;
}

const char *cst_hypervisor_backup_export(const CstHypervisorBackup *backup, guint volume)
{
    const BackupExport *export = backup_find_export(backup, volume);

    return export ? export->target : NULL;
}

/* Returns the identity of a checkpoint for one image; NULL: the time of the checkpoint is not
 * known. */
static char *checkpoint_identity(const CstHypervisorBackup *backup, const char *name,
                                 gint64 created, const BackupExport *export)
{
    if (created == 0)
        return NULL;
    return g_strdup_printf("%s %s %" G_GINT64_FORMAT " %s", backup->uuid, name, created,
                           export->chain);
}

char *cst_hypervisor_backup_identity(const CstHypervisorBackup *backup, guint volume)
{
    const BackupExport *export = backup_find_export(backup, volume);

    return export && export->tracked
               ? checkpoint_identity(backup, backup->checkpoint, backup->created, export)
               : NULL;
}

char *cst_hypervisor_backup_base_identity(const CstHypervisorBackup *backup, guint volume)
{
    const BackupExport *export = backup_find_export(backup, volume);

    return export ? checkpoint_identity(backup, backup->bases[volume], export->created, export)
                  : NULL;
}

char *cst_hypervisor_backup_changes(const CstHypervisorBackup *backup, guint volume, GError **error)
{
    const BackupExport *export = backup_find_export(backup, volume);
    const char *base = export ? backup->bases[volume] : "";

    if (!*base)
        cst_fail(error, CST_ERROR_NOT_FOUND, "%s", _("no checkpoint was named"));
    else if (export->loss == BACKUP_LOSS_NONE)
        return cst_domain_backup_context(export->target);
    else if (export->loss == BACKUP_LOSS_MISSING)
        cst_fail(error, CST_ERROR_NOT_FOUND, _("libvirt has no checkpoint '%s' of the domain"),
                 base);
    else if (export->loss == BACKUP_LOSS_BROKEN)
        cst_fail(error, CST_ERROR_NOT_FOUND,
                 _("QEMU has no record of the changes of disk '%s' since checkpoint '%s'; the disk "
                   "is new, QEMU was killed, or another program has written to the image"),
                 export->target, base);
    else if (export->loss == BACKUP_LOSS_UNKNOWN)
        cst_fail(error, CST_ERROR_NOT_FOUND,
                 _("libvirt failed to look at checkpoint '%s'; it is kept for the next backup"),
                 base);
    else
        cst_fail(error, CST_ERROR_NOT_FOUND,
                 _("libvirt does not report the changes since checkpoint '%s': %s"), base,
                 backup->refusal ? backup->refusal : "?");
    return NULL;
}

/* Sets @ended if the keeper has sent a reason, or has ended. The caller holds the lock. */
static void backup_update(CstHypervisorBackup *backup)
{
    struct pollfd fd = {.fd = backup->fd, .events = POLLIN};
    g_auto(BackupAnswer) answer = {0};
    g_autoptr(GError) why = NULL;
    g_autofree char *reason = NULL;

    if (backup->ended || poll(&fd, 1, 0) <= 0)
        return;
    if (!backup_receive(backup, &answer, &why)) {
        cst_fd_clear(&backup->fd);
        backup_recover(backup);
        cst_fail(&backup->ended, CST_ERROR_FAILED, _("the backup of domain '%s' has ended: %s"),
                 backup->name, why->message);
        return;
    }
    reason = backup_reason(backup, &answer);
    cst_fail(&backup->ended, pause_outcome_code(answer.outcome),
             _("the backup of domain '%s' has ended: %s"), backup->name, reason);
}

gboolean cst_hypervisor_backup_check(CstHypervisorBackup *backup, GError **error)
{
    gboolean ok;

    g_mutex_lock(&backup->lock);
    backup_update(backup);
    ok = !backup->ended;
    if (!ok)
        g_propagate_error(error, g_error_copy(backup->ended));
    g_mutex_unlock(&backup->lock);
    return ok;
}

/* Waits until the keeper has removed all files. Returns FALSE if it was killed. */
static gboolean backup_await_closed(const CstHypervisorBackup *backup)
{
    unsigned limit_ms = hypervisor_backup_limits[BACKUP_LIMIT_END];
    gboolean closed = FALSE;

    while (!closed) {
        g_auto(BackupAnswer) answer = {0};

        if (!backup_await(backup, NULL, limit_ms, NULL)) {
            cst_log(CST_LOG_WARNING,
                    "the backup job of domain '%s' has not ended yet; its process goes on",
                    backup->name);
            return TRUE;
        }
        if (!backup_receive(backup, &answer, NULL))
            return FALSE;
        closed = answer.closed;
    }
    return TRUE;
}

void cst_hypervisor_backup_end(CstHypervisorBackup *backup)
{
    if (!backup)
        return;
    if (backup->fd >= 0) {
        pause_byte_send(backup->fd, BACKUP_END);
        if (!backup_await_closed(backup))
            backup_recover(backup);
    }
    cst_fd_clear(&backup->fd);
    g_clear_error(&backup->ended);
    g_mutex_clear(&backup->lock);
    g_clear_pointer(&backup->exports, g_ptr_array_unref);
    g_strfreev(backup->bases);
    g_free(backup->refusal);
    g_free(backup->checkpoint);
    g_free(backup->uuid);
    g_free(backup->name);
    g_free(backup->session);
    g_free(backup->directory);
    g_free(backup->scratch);
    g_free(backup->socket);
    g_free(backup);
}
