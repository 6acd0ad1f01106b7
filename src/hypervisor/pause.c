/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The caller's side of a pause (see the header): starts the watchdog, sends it commands and
 * receives an answer to each.
 *
 * The program that is started forks and ends at once (pause_watchdog.c), so that no process remains
 * that this one must reap. The watchdog has one end of a socket. A call that fails, and the end of
 * this process, close the other end, and the watchdog undoes the pause.
 */
#include <hypervisor/pause.h>

#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <base/error.h>
#include <base/file.h>
#include <base/i18n.h>
#include <base/log.h>
#include <base/text.h>
#include <base/uuid.h>

#include "connection.h"
#include "detached.h"
#include "outcome.h"
#include "pause_entry.h"
#include "pause_protocol.h"
#include "qmp_outcome.h"
#include "qmp_uri.h"

#define ANSWER_MS 60000 /* with the deadline of a question more than all limits of a command */
#define END_MS    1000

struct CstHypervisorPause {
    int fd;        /* to the watchdog; -1: an error has ended the pause */
    char *subject; /* of messages: "domain 'NAME'", or a process */
    char *socket;  /* of the monitor; NULL: a domain of libvirt */
    gboolean keep_running;
    gboolean suspended; /* the next call is to resume */
    unsigned answer_ms; /* limit of an answer of the watchdog */
};

static void pause_set_domain(CstHypervisorPause *pause, const char *name)
{
    g_free(pause->subject);
    pause->subject = g_strdup_printf(_("domain '%s'"), name);
}

/* A worker that was killed has reported no failure of the monitor. */
static QmpOutcome answer_monitor(const PauseAnswer *answer)
{
    if (answer->monitor != QMP_DONE)
        return answer->monitor;
    switch (answer->outcome) {
    case PAUSE_TIMEOUT: return QMP_SILENT;
    case PAUSE_LOST: return QMP_LOST;
    case PAUSE_UNVERIFIED: return QMP_UNVERIFIED;
    default: return QMP_DONE;
    }
}

/* Always returns FALSE. */
static gboolean answer_report(const CstHypervisorPause *pause, const PauseAnswer *answer,
                              GError **error)
{
    QmpOutcome monitor = pause->socket ? answer_monitor(answer) : QMP_DONE;
    CstErrorCode code = monitor ? qmp_outcome_code(monitor) : pause_outcome_code(answer->outcome);
    g_autofree char *reason = monitor ? qmp_outcome_text(pause->socket, monitor, answer->message)
                                      : pause_outcome_text(answer->outcome, answer->message);

    if (pause->keep_running)
        return cst_fail(error, code, _("cannot back up %s: %s"), pause->subject, reason);
    if (pause->suspended)
        return cst_fail(error, code, _("%s did not stay paused, or that is not known: %s"),
                        pause->subject, reason);
    return cst_fail(error, code, _("cannot pause %s: %s"), pause->subject, reason);
}

/* --- the watchdog ----------------------------------------------------------------------------- */

/* Returns the socket to a new watchdog, or -1. */
static int watchdog_begin(CstHypervisor *hypervisor, int dirfd, GError **error)
{
    unsigned limits[PAUSE_LIMIT_LAST];
    g_autofree char *text = NULL;

    memcpy(limits, hypervisor_pause_limits, sizeof(limits));
    limits[PAUSE_LIMIT_CHECK] += hypervisor_deadline(hypervisor) * 1000;
    text = pause_limits_format(limits);
    return detached_connect(
        (const char *const[]){HYPERVISOR_PROGRAM, HYPERVISOR_PAUSE, PAUSE_BEGIN, text, NULL}, dirfd,
        error);
}

/* Waits for a packet. @task: may cancel the wait; NULL: cannot be cancelled. */
static gboolean pause_await(const CstHypervisorPause *pause, CstTask *task, unsigned limit_ms,
                            GError **error)
{
    g_autoptr(GError) why = NULL;

    if (detached_await(pause->fd, task, limit_ms, &why))
        return TRUE;
    if (!why)
        return cst_fail(error, CST_ERROR_TIMEOUT,
                        _("the watchdog of %s did not answer within %u s"), pause->subject,
                        limit_ms / 1000);
    g_propagate_error(error, g_steal_pointer(&why));
    return FALSE;
}

/* Receives an answer. Returns FALSE without a valid answer. */
static gboolean pause_receive(const CstHypervisorPause *pause, CstTask *task,
                              PauseAnswer *ret_answer, GError **error)
{
    g_autofree char *packet = g_malloc(PAUSE_PACKET_MAX);
    size_t len;

    if (!pause_await(pause, task, pause->answer_ms, error))
        return FALSE;
    len = pause_packet_receive(pause->fd, packet);
    if (len == 0)
        return cst_fail(error, CST_ERROR_FAILED, _("the watchdog of %s has ended"), pause->subject);
    return pause_answer_decode(packet, len, ret_answer) ||
           cst_fail(error, CST_ERROR_FAILED, _("the watchdog of %s sent a malformed answer"),
                    pause->subject);
}

/* Sends a command and receives its answer. After a failure the watchdog undoes the pause. */
static gboolean pause_command(CstHypervisorPause *pause, PauseCommand command,
                              PauseAnswer *ret_answer, GError **error)
{
    pause_byte_send(pause->fd, command);
    if (!pause_receive(pause, NULL, ret_answer, error)) {
        cst_fd_clear(&pause->fd);
        return FALSE;
    }
    return ret_answer->outcome == PAUSE_DONE || answer_report(pause, ret_answer, error);
}

/* --- the interface ---------------------------------------------------------------------------- */

static gboolean pause_check_request(const CstHypervisorPauseRequest *request, CstUuid *ret_uuid,
                                    GError **error)
{
    gboolean files = request->n_volumes > 0;

    for (guint i = 0; i < request->n_volumes; i++)
        files = files && request->volumes[i].has_file;
    if (!cst_uuid_parse(request->uuid, ret_uuid))
        return cst_fail(error, CST_ERROR_INVALID, _("'%s' is not the UUID of a domain"),
                        request->uuid);
    if (!files)
        return cst_fail(error, CST_ERROR_INVALID,
                        _("cannot pause domain '%s': a volume is not a file or device of this "
                          "host"),
                        request->uuid);
    return request->n_volumes <= PAUSE_VOLUMES_MAX ||
           cst_fail(error, CST_ERROR_LIMIT, _("cannot pause domain '%s' for more than %d volumes"),
                    request->uuid, PAUSE_VOLUMES_MAX);
}

/* Sends the request and receives the result of the checks. */
static gboolean pause_request(CstHypervisorPause *pause, const CstHypervisorPauseRequest *request,
                              const char *uuid, CstTask *task, GError **error)
{
    const PauseRequest sent = {.uri = (char *)request->uri,
                               .uuid = (char *)uuid,
                               .freeze = request->freeze,
                               .keep_running = request->keep_running,
                               .volumes = (CstHypervisorVolume *)request->volumes,
                               .n_volumes = request->n_volumes};
    g_autoptr(GBytes) packet = pause_request_encode(&sent);
    g_auto(PauseAnswer) answer = {.id = -1};
    gsize len;
    gconstpointer data = g_bytes_get_data(packet, &len);

    if (len > PAUSE_PACKET_MAX || send(pause->fd, data, len, MSG_NOSIGNAL) != (ssize_t)len)
        return cst_fail(error, CST_ERROR_FAILED, _("the watchdog of %s has ended"), pause->subject);
    if (!pause_receive(pause, task, &answer, error))
        return FALSE;
    if (answer.name)
        pause_set_domain(pause, answer.name);
    return answer.outcome == PAUSE_DONE || answer_report(pause, &answer, error);
}

/* Only one helper process asks libvirt at a time (hypervisor.c). */
static gboolean pause_start(CstHypervisorPause *pause, CstHypervisor *hypervisor,
                            const CstHypervisorPauseRequest *request, const char *uuid,
                            CstTask *task, GError **error)
{
    g_auto(CstFd) dirfd = domain_directory_open(request->directory, 0700, error);
    gboolean ok;

    if (dirfd < 0 || !hypervisor_begin(hypervisor, request->uri, task, error))
        return FALSE;
    pause->fd = watchdog_begin(hypervisor, dirfd, error);
    ok = pause->fd >= 0 && pause_request(pause, request, uuid, task, error);
    hypervisor_end(hypervisor, request->uri, NULL);
    return ok;
}

static void pause_free(CstHypervisorPause *pause)
{
    cst_fd_clear(&pause->fd);
    g_free(pause->subject);
    g_free(pause->socket);
    g_free(pause);
}

/* @uuid: of the domain, which names it if the request has no name. */
static void pause_set_subject(CstHypervisorPause *pause, const CstHypervisorPauseRequest *request,
                              const char *uuid)
{
    g_autofree char *name = cst_text_escape(request->name ? request->name : uuid);
    g_auto(QmpUri) uri = {0};

    if (qmp_uri_parse(request->uri, &uri)) {
        pause->socket = g_steal_pointer(&uri.socket);
        pause->subject = g_steal_pointer(&name);
    } else {
        pause_set_domain(pause, name);
    }
}

CstHypervisorPause *cst_hypervisor_pause_begin(CstHypervisor *hypervisor,
                                               const CstHypervisorPauseRequest *request,
                                               CstTask *task, GError **error)
{
    CstHypervisorPause *pause = NULL;
    char text[CST_UUID_TEXT_LEN];
    CstUuid uuid;
    gboolean ok;

    if (!hypervisor_check_helper(error) || !pause_check_request(request, &uuid, error))
        return NULL;
    pause = g_new0(CstHypervisorPause, 1);
    pause->fd = -1;
    pause->keep_running = request->keep_running;
    pause->answer_ms = ANSWER_MS + hypervisor_deadline(hypervisor) * 1000;
    pause_set_subject(pause, request, cst_uuid_format(&uuid, text));
    /* libvirt may need this worker: it looks up the volumes of a domain that it starts. */
    cst_task_set_waiting(task, TRUE);
    ok = pause_start(pause, hypervisor, request, text, task, error);
    cst_task_set_waiting(task, FALSE);
    if (ok)
        return pause;
    pause_free(pause);
    return NULL;
}

/* Checks the order of the calls, on which the answers of the watchdog depend. */
static gboolean pause_expect(const CstHypervisorPause *pause, gboolean suspended, GError **error)
{
    if (pause->suspended != suspended)
        return cst_fail(error, CST_ERROR_INTERNAL,
                        _("the calls for the pause of %s are in a wrong order"), pause->subject);
    return pause->fd >= 0 ||
           cst_fail(error, CST_ERROR_FAILED, _("the watchdog of %s has ended"), pause->subject);
}

gboolean cst_hypervisor_pause_suspend(CstHypervisorPause *pause, GError **error)
{
    g_auto(PauseAnswer) answer = {.id = -1};

    if (!pause_expect(pause, FALSE, error))
        return FALSE;
    pause->suspended = pause_command(pause, PAUSE_SUSPEND, &answer, error);
    return pause->suspended;
}

gboolean cst_hypervisor_pause_resume(CstHypervisorPause *pause,
                                     CstHypervisorPauseResult *ret_result, GError **error)
{
    g_auto(PauseAnswer) answer = {.id = -1};

    if (!pause_expect(pause, TRUE, error))
        return FALSE;
    if (!pause_command(pause, PAUSE_RESUME, &answer, error))
        return FALSE;
    ret_result->consistency =
        answer.gap == PAUSE_GAP_NONE ? CST_CONSISTENCY_FILESYSTEM : CST_CONSISTENCY_CRASH;
    ret_result->reason =
        answer.gap == PAUSE_GAP_NONE ? NULL : pause_gap_text(answer.gap, answer.gap_message);
    ret_result->paused_us = answer.paused_us;
    ret_result->frozen_us = answer.frozen_us;
    return TRUE;
}

void cst_hypervisor_pause_end(CstHypervisorPause *pause)
{
    g_autoptr(GError) error = NULL;

    if (!pause)
        return;
    if (pause->fd >= 0) {
        pause_byte_send(pause->fd, PAUSE_END);
        if (!pause_await(pause, NULL, END_MS, &error))
            cst_log(CST_LOG_WARNING, "%s is not resumed and thawed yet; its watchdog goes on",
                    pause->subject);
    }
    pause_free(pause);
}

/* --- recovery --------------------------------------------------------------------------------- */

/* Starts a repair with the lock that is held. */
static gboolean entry_repair(int dirfd, const char *uuid, int lock, GError **error)
{
    g_autofree char *limits = pause_limits_format(hypervisor_pause_limits);

    return detached_start((const char *const[]){HYPERVISOR_PROGRAM, HYPERVISOR_PAUSE, PAUSE_REPAIR,
                                                limits, uuid, NULL},
                          (const int[]){dirfd, lock}, 2, error);
}

static gboolean pause_entry_check(int dirfd, const char *uuid, GError **error)
{
    g_auto(PauseEntry) entry = {0};

    return pause_entry_read(dirfd, uuid, &entry, error);
}

/* Implements DomainRecoverFunc. @data: unused. */
static gboolean pause_entry_recover(int dirfd, const char *uuid, gpointer data, GError **error)
{
    static const DomainRecovery recovery = {pause_entry_check, entry_repair};

    return domain_entry_recover(dirfd, uuid, &recovery, error);
}

gboolean cst_hypervisor_pause_recover(const char *directory, GError **error)
{
    return domain_directory_recover(directory, pause_entry_recover, NULL, error);
}
