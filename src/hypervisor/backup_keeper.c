/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The keeper of a backup session, and its repair.
 *
 *   begin    the lock; the checks; the entry; the directories of the socket and the scratch files.
 *            Then the caller freezes the guest, which may take seconds
 *   START    the checks again; the entry with @late_until; virDomainBackupBegin(); the entry
 *   watch    the free space at each tick; the domain and its job after an event, and once a second.
 *            After the loss of its connection the keeper connects again
 *   close    the entry with @resume if the scratch space is full; the job is aborted and has ended;
 *            the domain is resumed if an I/O error has paused it; the files, then the entry
 *
 * The close begins when the caller ends, and when the session cannot go on. The caller has then
 * received the reason, because its reader fails as soon as the job ends.
 *
 * Each call of libvirt has a time limit (backup_guard.c). When it passes, and when libvirt does not
 * confirm the end of the job, the keeper becomes a repair with the same lock. A repair reads the
 * entry and does the close. It repeats that as a new program, with growing pauses, until libvirt
 * confirms it, or until the domain has ended. libvirt may begin a job after its client was killed,
 * within CST_HYPERVISOR_LATE_S. Until then a missing job is no proof that there will be none.
 */
#include "backup_keeper.h"

#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <base/error.h>

#include "backup_checkpoint.h"
#include "backup_entry.h"
#include "backup_files.h"
#include "backup_guard.h"
#include "backup_job.h"
#include "detached.h"

#define START_MS   10000             /* for the request of the caller */
#define LOOK_TICKS 5                 /* between two looks at the domain without an event */
#define FULL_BYTES UINT64_C(1048576) /* with less a file system counts as full */

typedef struct {
    unsigned limits[BACKUP_LIMIT_LAST];
    BackupRequest request;
    BackupEntry entry;
    BackupPlan plan;
    BackupJob job;
    BackupAnswer answer;
    char *socket;             /* of the NBD server */
    int caller;               /* its socket; -1: there is no caller */
    int lock;                 /* of the entry; -1: not held */
    int scratch_fd;           /* directory of all scratch files, or -1 */
    int session_fd;           /* holds the lock of the session's scratch files, or -1 */
    gboolean may_track;       /* a new checkpoint may be made */
    gboolean has_entry, sent; /* the job may exist */
    gint64 lost_at;           /* the connection to libvirt; monotonic microseconds; 0: it is not */
    gboolean tick, readable;  /* events of the loop */
    gboolean over;            /* the session ends */
} Keeper;

static void keeper_init(Keeper *keeper)
{
    keeper->caller = keeper->lock = keeper->scratch_fd = keeper->session_fd = -1;
    keeper->entry.domain.id = keeper->job.link.id = -1;
}

/* --- answers ---------------------------------------------------------------------------------- */

static void keeper_reply(Keeper *keeper)
{
    g_autoptr(GBytes) packet = backup_answer_encode(&keeper->answer);
    gsize len;
    gconstpointer data = g_bytes_get_data(packet, &len);

    if (keeper->caller >= 0)
        send(keeper->caller, data, len, MSG_NOSIGNAL | MSG_DONTWAIT);
}

/* Always returns FALSE. */
static gboolean keeper_fail(Keeper *keeper, PauseOutcome outcome, const char *message)
{
    keeper->answer.outcome = outcome;
    g_free(keeper->answer.message);
    keeper->answer.message = g_strdup(message);
    return FALSE;
}

/* Always returns FALSE. */
static gboolean keeper_fail_step(Keeper *keeper, const PauseAnswer *step)
{
    return keeper_fail(keeper, step->outcome, step->message);
}

/* Always returns FALSE. */
static gboolean keeper_fail_error(Keeper *keeper, const GError *error)
{
    PauseOutcome outcome = PAUSE_FAILED;

    if (cst_error_code(error) == CST_ERROR_DENIED)
        outcome = PAUSE_DENIED;
    return keeper_fail(keeper, outcome, error->message);
}

/* Sets the exports in the answer, with the losses of their bases. */
static void keeper_adopt_exports(Keeper *keeper)
{
    const GPtrArray *exports = keeper->plan.exports;

    g_clear_pointer(&keeper->answer.exports, g_ptr_array_unref);
    keeper->answer.exports = g_ptr_array_new_with_free_func(backup_export_free);
    for (guint i = 0; i < exports->len; i++) {
        const BackupExport *planned = exports->pdata[i];
        const BackupBase *base = &keeper->request.bases[i];
        BackupExport *export = g_new0(BackupExport, 1);

        export->target = g_strdup(planned->target);
        export->tracked = planned->tracked;
        export->loss = base->loss;
        export->created = base->created;
        export->chain = g_strdup(planned->chain);
        g_ptr_array_add(keeper->answer.exports, export);
    }
    keeper->answer.created = keeper->plan.created;
    g_free(keeper->answer.refusal);
    keeper->answer.refusal = g_strdup(keeper->plan.refusal);
}

/* Sets the facts about the domain in the answer and in the entry. */
static void keeper_adopt_plan(Keeper *keeper)
{
    keeper->entry.domain.id = keeper->job.link.id;
    keeper->entry.ran = keeper->plan.ran;
    g_free(keeper->entry.domain.name);
    keeper->entry.domain.name = g_strdup(keeper->plan.name);
    g_free(keeper->answer.name);
    keeper->answer.name = g_strdup(keeper->plan.name);
    keeper_adopt_exports(keeper);
}

/* --- the scratch space ------------------------------------------------------------------------ */

static gboolean keeper_check_space(Keeper *keeper)
{
    keeper->answer.free = backup_scratch_free(keeper->scratch_fd);
    return keeper->answer.free >= keeper->entry.reserve ||
           keeper_fail(keeper, PAUSE_NO_SPACE, NULL);
}

/* Whether the file system has no room for the next write of the guest, or hardly any. */
static gboolean keeper_has_no_room(const Keeper *keeper)
{
    return keeper->scratch_fd >= 0 &&
           backup_scratch_free(keeper->scratch_fd) < MAX(keeper->entry.reserve, FULL_BYTES);
}

/* Whether a write to the scratch files may have failed and stopped the guest. */
static gboolean keeper_is_full(const Keeper *keeper)
{
    return keeper->job.no_space || keeper_has_no_room(keeper);
}

/* --- close ------------------------------------------------------------------------------------ */

/* Removes the files, the entry and the lock. */
static void keeper_remove_files(Keeper *keeper)
{
    if (keeper->has_entry) {
        backup_directory_remove(BACKUP_DIRECTORY_FD, keeper->entry.session);
        if (keeper->scratch_fd >= 0)
            backup_directory_remove(keeper->scratch_fd, keeper->entry.session);
        domain_entry_remove(BACKUP_DIRECTORY_FD, keeper->entry.domain.uuid);
    }
    if (keeper->lock >= 0)
        domain_entry_unlock(BACKUP_DIRECTORY_FD, keeper->entry.domain.uuid, keeper->lock);
    keeper->lock = -1;
}

/*
 * Ends the job. The entry records that the domain is to be resumed, because the end of the job
 * frees the space. Returns FALSE if libvirt has not confirmed all of it.
 */
static gboolean keeper_end_job(Keeper *keeper, PauseAnswer *step)
{
    if (keeper->entry.ran && !keeper->entry.resume && keeper_is_full(keeper)) {
        keeper->entry.resume = TRUE;
        backup_entry_write(BACKUP_DIRECTORY_FD, &keeper->entry, NULL);
    }
    return backup_job_end(&keeper->job, step) &&
           (step->outcome == PAUSE_ENDED || !keeper->entry.resume ||
            backup_job_resume(&keeper->job, step));
}

static void keeper_close(Keeper *keeper)
{
    g_auto(PauseAnswer) step = {.id = -1};

    backup_guard_set(keeper->limits[BACKUP_LIMIT_CLOSE]);
    if (keeper->sent && !keeper_end_job(keeper, &step))
        backup_guard_repair();
    backup_guard_set(0);
    keeper_remove_files(keeper);
}

/* --- begin ------------------------------------------------------------------------------------ */

/* Waits for a packet of the caller. Returns its length; 0: the caller has ended. */
static size_t keeper_receive(Keeper *keeper, char *packet, int wait_ms)
{
    struct pollfd caller = {.fd = keeper->caller, .events = POLLIN};
    int found;

    do
        found = poll(&caller, 1, wait_ms);
    while (found < 0);
    return found > 0 ? pause_packet_receive(keeper->caller, packet) : 0;
}

static gboolean keeper_receive_request(Keeper *keeper)
{
    g_autofree char *packet = g_malloc(PAUSE_PACKET_MAX);
    size_t len = keeper_receive(keeper, packet, START_MS);
    BackupRequest *request = &keeper->request;

    return (len > 0 && backup_request_decode(packet, len, request) &&
            domain_uuid_is_canonical(request->domain.uuid) &&
            backup_session_is_valid(request->session) && g_path_is_absolute(request->directory) &&
            g_path_is_absolute(request->scratch)) ||
           keeper_fail(keeper, PAUSE_FAILED, NULL);
}

static void keeper_fill_entry(Keeper *keeper)
{
    const BackupRequest *request = &keeper->request;
    BackupEntry *entry = &keeper->entry;

    entry->domain.uri = g_strdup(request->domain.uri);
    entry->domain.uuid = g_strdup(request->domain.uuid);
    entry->session = g_strdup(request->session);
    entry->directory = g_strdup(request->directory);
    entry->scratch = g_strdup(request->scratch);
    entry->reserve = request->reserve;
}

/* Sets what the calls of libvirt need, from the entry. */
static void keeper_prepare(Keeper *keeper, unsigned round)
{
    keeper->socket = backup_socket_path(keeper->entry.directory, keeper->entry.session);
    keeper->job.uuid = keeper->entry.domain.uuid;
    keeper->job.socket = keeper->socket;
    keeper->job.link.id = keeper->entry.domain.id;
    backup_guard_init(keeper->limits, keeper->entry.domain.uuid, keeper->lock, keeper->caller,
                      round);
}

/* An entry of processes that have ended is repaired, and the caller gets an answer. */
static gboolean keeper_check_entry(Keeper *keeper)
{
    g_auto(BackupEntry) left = {0};
    g_autoptr(GError) error = NULL;

    if (backup_entry_read(BACKUP_DIRECTORY_FD, keeper->entry.domain.uuid, &left, &error)) {
        keeper_fail(keeper, PAUSE_BACKED_UP, NULL);
        keeper_reply(keeper);
        backup_guard_repair();
    }
    return cst_error_code(error) == CST_ERROR_NOT_FOUND || keeper_fail_error(keeper, error);
}

static gboolean keeper_acquire_lock(Keeper *keeper)
{
    g_autoptr(GError) error = NULL;

    keeper->lock = domain_entry_lock(BACKUP_DIRECTORY_FD, keeper->entry.domain.uuid, &error);
    if (keeper->lock >= 0)
        return TRUE;
    if (cst_error_code(error) == CST_ERROR_BUSY)
        return keeper_fail(keeper, PAUSE_BACKED_UP, NULL);
    return keeper_fail_error(keeper, error);
}

/* Checks the domain. The events are registered first, so that each change is known. */
static gboolean keeper_check_domain(Keeper *keeper)
{
    g_auto(PauseAnswer) step = {.id = -1};
    gboolean connected = keeper->job.link.conn != NULL;

    if ((!connected && (!backup_job_connect(&keeper->job, keeper->entry.domain.uri, &step) ||
                        !backup_job_watch(&keeper->job, &step))) ||
        !backup_job_check(&keeper->job, &keeper->request, &keeper->plan, &step))
        return keeper_fail_step(keeper, &step);
    keeper_adopt_plan(keeper);
    return TRUE;
}

/* Writes the entry, then creates the directories. */
static gboolean keeper_make_files(Keeper *keeper)
{
    const BackupEntry *entry = &keeper->entry;
    g_autoptr(GError) error = NULL;

    keeper->scratch_fd = backup_scratch_open(entry->scratch, &error);
    if (keeper->scratch_fd < 0)
        return keeper_fail_error(keeper, error);
    if (!keeper_check_space(keeper))
        return FALSE;
    keeper->has_entry = backup_entry_write(BACKUP_DIRECTORY_FD, entry, &error);
    if (keeper->has_entry && backup_socket_make(BACKUP_DIRECTORY_FD, entry->session,
                                                keeper->plan.uid, keeper->plan.gid, &error))
        keeper->session_fd = backup_scratch_make(keeper->scratch_fd, entry->session, &error);
    return keeper->session_fd >= 0 || keeper_fail_error(keeper, error);
}

/* Sets the answer to the request. */
static gboolean keeper_accept(Keeper *keeper)
{
    gboolean ok;

    if (!keeper_receive_request(keeper))
        return FALSE;
    keeper_fill_entry(keeper);
    if (!keeper_acquire_lock(keeper))
        return FALSE;
    keeper_prepare(keeper, 0);
    if (!keeper_check_entry(keeper))
        return FALSE;
    backup_guard_set(keeper->limits[BACKUP_LIMIT_CHECK]);
    ok = keeper_check_domain(keeper) && keeper_make_files(keeper);
    if (ok)
        keeper->may_track =
            backup_checkpoints_check(keeper->job.link.domain, &keeper->request, &keeper->plan);
    backup_guard_set(0);
    return ok;
}

/* Begins the job. Until libvirt has answered, the job may begin late. */
static gboolean keeper_send_begin(Keeper *keeper)
{
    g_auto(PauseAnswer) step = {.id = -1};
    g_autoptr(GError) error = NULL;
    gboolean begun;

    keeper->entry.domain.late_until =
        g_get_monotonic_time() + keeper->limits[BACKUP_LIMIT_LATE] * G_TIME_SPAN_MILLISECOND;
    if (!backup_entry_write(BACKUP_DIRECTORY_FD, &keeper->entry, &error))
        return keeper_fail_error(keeper, error);
    keeper->sent = TRUE;
    begun = backup_job_begin(&keeper->job, &keeper->request, &keeper->plan, &step);
    keeper_adopt_exports(keeper);
    if (step.outcome == PAUSE_LOST)
        return keeper_fail_step(keeper, &step);
    keeper->entry.domain.late_until = 0;
    backup_entry_write(BACKUP_DIRECTORY_FD, &keeper->entry, NULL);
    return begun || keeper_fail_step(keeper, &step);
}

/* The domain may have changed while its guest was frozen. */
static gboolean keeper_start(Keeper *keeper)
{
    gboolean ok;

    backup_guard_set(keeper->limits[BACKUP_LIMIT_BEGIN]);
    ok = keeper_check_domain(keeper) && keeper_check_space(keeper);
    if (ok && !keeper->may_track)
        backup_plan_drop_checkpoint(&keeper->plan);
    ok = ok && keeper_send_begin(keeper);
    backup_guard_set(0);
    return ok;
}

/* --- watch ------------------------------------------------------------------------------------ */

/* Implements virEventHandleCallback. */
static void keeper_on_socket(int watch, int fd, int events, void *data)
{
    ((Keeper *)data)->readable = TRUE;
}

/* Implements virEventTimeoutCallback. */
static void keeper_on_tick(int timer, void *data)
{
    ((Keeper *)data)->tick = TRUE;
}

static gboolean keeper_add_events(Keeper *keeper)
{
    return virEventAddHandle(keeper->caller, VIR_EVENT_HANDLE_READABLE | VIR_EVENT_HANDLE_HANGUP,
                             keeper_on_socket, keeper, NULL) >= 0 &&
           virEventAddTimeout((int)keeper->limits[BACKUP_LIMIT_TICK], keeper_on_tick, keeper,
                              NULL) >= 0;
}

/* Connects again after the loss of the connection. */
static gboolean keeper_find_job(Keeper *keeper, PauseAnswer *step)
{
    gboolean connected =
        keeper->lost_at == 0 || (backup_job_connect(&keeper->job, keeper->entry.domain.uri, step) &&
                                 backup_job_watch(&keeper->job, step));

    return connected && backup_job_look(&keeper->job, step);
}

/*
 * Whether the session goes on after this failure: QEMU and its export do not need libvirt, which
 * may have been restarted.
 */
static gboolean keeper_may_wait(Keeper *keeper, const PauseAnswer *step)
{
    gint64 now = g_get_monotonic_time(), limit_ms = keeper->limits[BACKUP_LIMIT_RECONNECT];

    if (step->outcome != PAUSE_LOST && !(keeper->lost_at > 0 && step->outcome == PAUSE_FAILED))
        return FALSE;
    if (keeper->lost_at == 0)
        keeper->lost_at = now;
    return now - keeper->lost_at < limit_ms * G_TIME_SPAN_MILLISECOND;
}

/* Fails if the session cannot go on. An I/O error of a guest's own disk does not concern it. */
static gboolean keeper_look(Keeper *keeper)
{
    g_auto(PauseAnswer) step = {.id = -1};
    gboolean ok, waits;

    keeper->job.event = FALSE;
    backup_guard_set(keeper->limits[BACKUP_LIMIT_LOOK]);
    ok = keeper_find_job(keeper, &step);
    if (ok)
        keeper->lost_at = 0;
    waits = !ok && keeper_may_wait(keeper, &step);
    if (!ok && !waits)
        keeper_fail_step(keeper, &step);
    if (ok && backup_job_has_io_error(&keeper->job) && keeper_is_full(keeper)) {
        /* A write has failed, although the file system may have free blocks. */
        keeper->answer.free =
            keeper_has_no_room(keeper) ? backup_scratch_free(keeper->scratch_fd) : 0;
        ok = keeper_fail(keeper, PAUSE_NO_SPACE, NULL);
    }
    backup_guard_set(0);
    return ok || waits;
}

/* Runs one iteration of the event loop. @ticks: since the last look at the domain. */
static void keeper_run_events(Keeper *keeper, guint *ticks)
{
    if (virEventRunDefaultImpl() < 0) {
        keeper_fail(keeper, PAUSE_FAILED, "virEventRunDefaultImpl");
        keeper->over = TRUE;
        return;
    }
    /* The caller ends the session, or has ended. It sends no other command. */
    if (keeper->readable) {
        keeper->over = TRUE;
        return;
    }
    *ticks += keeper->tick;
    if (keeper->tick && !keeper_check_space(keeper))
        keeper->over = TRUE;
    keeper->tick = FALSE;
    if (!keeper->over && (keeper->job.event || *ticks >= LOOK_TICKS)) {
        *ticks = 0;
        keeper->over = !keeper_look(keeper);
    }
}

/* Returns when the session ends. Sends the reason if the caller does not know it. */
static void keeper_watch(Keeper *keeper)
{
    guint ticks = 0;

    if (!keeper_add_events(keeper)) {
        keeper->over = TRUE;
        keeper_fail(keeper, PAUSE_FAILED, NULL);
    }
    while (!keeper->over)
        keeper_run_events(keeper, &ticks);
    if (keeper->answer.outcome != PAUSE_DONE)
        keeper_reply(keeper);
}

/* --- the process ------------------------------------------------------------------------------ */

/* Waits without a limit, while the guest is frozen. */
static gboolean keeper_await_start(Keeper *keeper)
{
    g_autofree char *packet = g_malloc(PAUSE_PACKET_MAX);

    return keeper_receive(keeper, packet, -1) == 1 && (unsigned char)packet[0] == BACKUP_START;
}

/* After a refusal the caller may request the next session at once. */
static void keeper_run(Keeper *keeper)
{
    gboolean ready = keeper_accept(keeper), begun;

    if (ready)
        keeper_reply(keeper);
    if (ready && keeper_await_start(keeper)) {
        begun = keeper_start(keeper);
        keeper_reply(keeper);
        if (begun)
            keeper_watch(keeper);
    }
    keeper_close(keeper);
    keeper->answer.closed = TRUE;
    keeper_reply(keeper);
}

/* Returns FALSE if the job may exist, or may begin late. */
static gboolean repair_end_job(Keeper *keeper)
{
    g_auto(PauseAnswer) step = {.id = -1};

    if (!backup_job_connect(&keeper->job, keeper->entry.domain.uri, &step))
        return step.outcome == PAUSE_ENDED;
    if (!keeper_end_job(keeper, &step))
        return FALSE;
    return step.outcome == PAUSE_ENDED || keeper->job.aborted ||
           g_get_monotonic_time() >= keeper->entry.domain.late_until;
}

/* Ends a session whose processes have ended. Another process may have done so. */
static void keeper_run_repair(Keeper *keeper, const char *uuid, unsigned round)
{
    gint64 late_max =
        g_get_monotonic_time() + keeper->limits[BACKUP_LIMIT_LATE] * G_TIME_SPAN_MILLISECOND;
    g_autoptr(GError) error = NULL;

    if (!domain_uuid_is_canonical(uuid) ||
        !domain_entry_holds(BACKUP_DIRECTORY_FD, uuid, BACKUP_LOCK_FD))
        return;
    if (!backup_entry_read(BACKUP_DIRECTORY_FD, uuid, &keeper->entry, &error)) {
        if (cst_error_code(error) == CST_ERROR_NOT_FOUND)
            domain_entry_unlock(BACKUP_DIRECTORY_FD, uuid, BACKUP_LOCK_FD);
        return;
    }
    keeper->lock = BACKUP_LOCK_FD;
    keeper->has_entry = TRUE;
    keeper->entry.domain.late_until = MIN(keeper->entry.domain.late_until, late_max);
    keeper->scratch_fd = backup_scratch_open(keeper->entry.scratch, NULL);
    keeper_prepare(keeper, round);
    detached_rest(round, keeper->limits[BACKUP_LIMIT_RETRY], keeper->limits[BACKUP_LIMIT_RETRY_MAX],
                  keeper->entry.domain.late_until);
    backup_guard_set(keeper->limits[BACKUP_LIMIT_CLOSE]);
    if (!repair_end_job(keeper))
        backup_guard_repair();
    backup_guard_set(0);
    keeper_remove_files(keeper);
}

void backup_keeper_main(int argc, char **argv)
{
    Keeper keeper = {0};
    gboolean repairs = argc == 6 && strcmp(argv[2], BACKUP_REPAIR) == 0;
    gboolean begins = argc == 4 && strcmp(argv[2], BACKUP_BEGIN) == 0;
    guint64 round = 0;

    keeper_init(&keeper);
    if ((!repairs && !begins) ||
        !detached_limits_parse(argv[3], keeper.limits, BACKUP_LIMIT_LAST) ||
        (repairs && !g_ascii_string_to_unsigned(argv[5], 10, 0, G_MAXINT, &round, NULL)))
        _exit(EXIT_FAILURE);
    detached_fork(BACKUP_SOCKET_FD, repairs);
    /* A session's daemon that the keeper started would end with it. */
    g_setenv("LIBVIRT_AUTOSTART", "0", TRUE);
    if (begins) {
        keeper.caller = BACKUP_SOCKET_FD;
        keeper_run(&keeper);
    } else {
        keeper_run_repair(&keeper, argv[4], (unsigned)round);
    }
    _exit(EXIT_SUCCESS);
}
