/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Recovery of interrupted rotations. A rotation that was killed or could not be reverted leaves the
 * present value and the new one (store/secret_values.h). Logins on the storage decide between them:
 *
 * - a storage accepts the present value: the new value is dropped;
 * - a storage refuses the present value, no storage accepts it, and a storage accepts the new one:
 *   the new value replaces the present one;
 * - otherwise, or if an active pool's storage does not answer: both values are kept, and recovery
 *   is retried.
 *
 * A change on the storage's server that was in progress when a program was killed may still take
 * effect. Therefore the new value is dropped only once it is SETTLED_S old.
 *
 * A daemon recovers in a separate thread, at increasing intervals, so that no start waits for it. A
 * starting pool logs in only to its own storage, and triggers recovery if the storage refuses the
 * present value. The lock of rotations prevents recovery of a running rotation.
 */
#include "settle.h"

#include <string.h>

#include <base/dry_run.h>
#include <base/error.h>
#include <base/i18n.h>
#include <base/log.h>
#include <base/test_point.h>
#include <store/rotation_lock.h>
#include <store/secret_values.h>

#include "core/pool.h"
#include "core/service.h"
#include "prove.h"
#include "secret.h"
#include "table.h"

#define FIRST_RETRY_S   1
#define LONGEST_RETRY_S 60
#define SETTLED_S       5 /* after this time no operation from before the kill is in progress */
#define WAIT_STEP_US    (50 * G_TIME_SPAN_MILLISECOND)

/* --- the decision ----------------------------------------------------------------------------- */

typedef enum { SETTLE_DROP, SETTLE_SWITCH, SETTLE_LATER } Decision;

/* Results of the logins of all users with one value. */
typedef struct {
    guint accepted, refused;
    gboolean active_unknown; /* unknown for an active pool */
    char *why;
} Poll;

static void poll_users(const SecretLogin *login, GPtrArray *users, Poll *poll)
{
    g_autofree GError **errors = g_new0(GError *, users->len + 1);

    secret_prove(login, users, errors);
    for (guint i = 0; i < users->len; i++) {
        const SecretUser *user = g_ptr_array_index(users, i);
        SecretVerdict verdict = secret_verdict(errors[i]);

        poll->accepted += verdict == SECRET_ACCEPTED;
        poll->refused += verdict == SECRET_REFUSED;
        poll->active_unknown |= verdict == SECRET_UNKNOWN && user->active;
        if (errors[i] && !poll->why)
            poll->why = g_strdup_printf(_("pool '%s': %s"), user->def->name, errors[i]->message);
        g_clear_error(&errors[i]);
    }
}

static gboolean is_fresh(const CstService *service, const CstUuid *uuid)
{
    gint64 age = g_get_real_time() / G_USEC_PER_SEC - cst_secret_next_saved(service->paths, uuid);

    return age >= 0 && age < SETTLED_S;
}

static Decision secret_recovery_decide(CstService *service, const CstUuid *uuid,
                                       const CstSecretBytes *next, GError **error)
{
    g_autoptr(GPtrArray) users = secret_users(service, uuid, FALSE);
    SecretLogin login = {service, *uuid, NULL};
    Poll now = {0}, then = {0};
    Decision decision = SETTLE_LATER;
    char text[CST_UUID_TEXT_LEN];

    /* No pool logs in with either value. */
    if (users->len == 0)
        return SETTLE_DROP;
    poll_users(&login, users, &now);
    if (now.accepted > 0) {
        decision = is_fresh(service, uuid) ? SETTLE_LATER : SETTLE_DROP;
    } else if (now.refused > 0 && !now.active_unknown) {
        login.value = next;
        poll_users(&login, users, &then);
        if (then.accepted > 0)
            decision = SETTLE_SWITCH;
    }
    if (decision == SETTLE_LATER && now.accepted > 0)
        cst_fail(error, CST_ERROR_BUSY,
                 _("a rotation of secret '%s' was interrupted a moment ago; try again in %d s"),
                 cst_uuid_format(uuid, text), SETTLED_S);
    else if (decision == SETTLE_LATER)
        cst_fail(error, CST_ERROR_STATE,
                 _("secret '%s' has two values since a rotation was interrupted, and no storage "
                   "says which one counts (%s)"),
                 cst_uuid_format(uuid, text), then.why ? then.why : now.why);
    g_free(now.why);
    g_free(then.why);
    return decision;
}

/* --- recovery --------------------------------------------------------------------------------- */

static gboolean carry_out(CstService *service, const CstUuid *uuid, Decision decision,
                          GError **error)
{
    g_autoptr(CstSecretRow) row = NULL;
    const CstSecretFile *secret;
    gboolean done;

    if (!secrets_enter(service, error))
        return FALSE;
    g_mutex_lock(&service->tables);
    secret = secret_find(service, uuid, NULL);
    row = secret ? secret_row_new(secret->def) : NULL;
    g_mutex_unlock(&service->tables);
    if (row && decision == SETTLE_SWITCH)
        done = secret_promote_next(service, uuid, error);
    else
        done = cst_secret_next_remove(service->paths, uuid, error);
    secrets_leave(service);
    if (done && row && decision == SETTLE_SWITCH) {
        g_autoptr(GError) why = NULL;

        if (!secret_value_changed(service, uuid, &why))
            cst_log(CST_LOG_WARNING, "%s", why->message);
        secret_emit(service, row, CST_EVENT_SECRET_VALUE, 0);
    }
    return done;
}

gboolean secret_settle(CstService *service, const CstUuid *uuid, GError **error)
{
    g_auto(CstSecretBytes) next = {0};
    char text[CST_UUID_TEXT_LEN];
    Decision decision;

    if (!cst_secret_next_exists(service->paths, uuid))
        return TRUE;
    if (!cst_secret_next_load(service->paths, uuid, &next, error))
        return FALSE;
    decision = secret_recovery_decide(service, uuid, &next, error);
    if (decision == SETTLE_LATER || !carry_out(service, uuid, decision, error))
        return FALSE;
    cst_log(CST_LOG_WARNING,
            decision == SETTLE_SWITCH
                ? _("secret %s: the rotation that was interrupted is completed: the new value "
                    "counts")
                : _("secret %s: the rotation that was interrupted has not happened: the old value "
                    "counts"),
            cst_uuid_format(uuid, text));
    return TRUE;
}

/* Recovers a secret unless another process has locked it. */
static gboolean secret_recover_unlocked(CstService *service, const CstUuid *uuid, GError **error)
{
    int lock = cst_rotation_lock(service->paths, uuid, error);
    gboolean done = lock >= 0 && secret_settle(service, uuid, error);

    cst_rotation_unlock(service->paths, uuid, lock);
    return done;
}

/* --- the thread ------------------------------------------------------------------------------- */

struct SecretSettler {
    CstService *service;
    GMutex lock; /* guards the members below */
    GCond cond;
    GThread *thread; /* NULL: no recovery was needed so far */
    gboolean woken;
    gboolean stopping;
};

/* Returns FALSE if recovery is incomplete. Logs failures if @first is set. */
static gboolean secret_recover_all(SecretSettler *settler, gboolean first)
{
    g_autoptr(GArray) uuids = cst_secret_next_list(settler->service->paths);
    gboolean all = TRUE;

    for (guint i = 0; i < uuids->len && !g_atomic_int_get(&settler->stopping); i++) {
        g_autoptr(GError) error = NULL;

        if (secret_recover_unlocked(settler->service, &g_array_index(uuids, CstUuid, i), &error))
            continue;
        all = FALSE;
        if (first && cst_error_code(error) != CST_ERROR_BUSY)
            cst_log(CST_LOG_WARNING, "%s", error->message);
    }
    return all;
}

static gpointer settler_thread(gpointer data)
{
    SecretSettler *settler = data;
    unsigned delay_s = FIRST_RETRY_S;
    gboolean all;

    g_mutex_lock(&settler->lock);
    while (!settler->stopping) {
        settler->woken = FALSE;
        g_mutex_unlock(&settler->lock);
        all = secret_recover_all(settler, delay_s == FIRST_RETRY_S);
        CST_TEST_POINT("secret.settler.tried");
        g_mutex_lock(&settler->lock);
        if (settler->woken || settler->stopping)
            delay_s = FIRST_RETRY_S;
        else if (all)
            while (!settler->woken && !settler->stopping) {
                CST_TEST_POINT("secret.settler.idle");
                g_cond_wait(&settler->cond, &settler->lock);
            }
        else {
            CST_TEST_POINT("secret.settler.retry");
            g_cond_wait_until(&settler->cond, &settler->lock,
                              g_get_monotonic_time() + delay_s * G_TIME_SPAN_SECOND);
        }
        delay_s = all || settler->woken ? FIRST_RETRY_S : MIN(delay_s * 2, LONGEST_RETRY_S);
    }
    g_mutex_unlock(&settler->lock);
    return NULL;
}

void secret_settler_wake(SecretSettler *settler)
{
    if (!settler)
        return;
    g_mutex_lock(&settler->lock);
    settler->woken = TRUE;
    if (!settler->thread && !settler->stopping)
        settler->thread = g_thread_new("secret-settle", settler_thread, settler);
    g_cond_signal(&settler->cond);
    g_mutex_unlock(&settler->lock);
}

SecretSettler *secret_settler_start(CstService *service)
{
    g_autoptr(GArray) left = NULL;
    SecretSettler *settler;

    if (service->mode != CST_SERVICE_DAEMON)
        return NULL;
    settler = g_new0(SecretSettler, 1);
    settler->service = service;
    g_mutex_init(&settler->lock);
    g_cond_init(&settler->cond);
    left = cst_secret_next_list(service->paths);
    if (left->len > 0)
        secret_settler_wake(settler);
    return settler;
}

void secret_settler_stop(SecretSettler *settler)
{
    if (!settler)
        return;
    g_mutex_lock(&settler->lock);
    g_atomic_int_set(&settler->stopping, TRUE);
    g_cond_signal(&settler->cond);
    g_mutex_unlock(&settler->lock);
    if (settler->thread)
        g_thread_join(settler->thread);
    g_mutex_clear(&settler->lock);
    g_cond_clear(&settler->cond);
    g_free(settler);
}

/* --- before a pool starts --------------------------------------------------------------------- */

static void add_in_doubt(CstSecretFile *secret, gpointer uuids)
{
    g_array_append_val(uuids, secret->def->uuid);
}

/* Returns the pool's secrets that have two values, or are being rotated. */
static GArray *secrets_in_doubt(CstPool *pool)
{
    CstService *service = pool->service;
    GArray *uuids = g_array_new(FALSE, FALSE, sizeof(CstUuid));

    g_mutex_lock(&service->tables);
    g_mutex_lock(&pool->lock);
    secret_def_each(service, pool->def, add_in_doubt, uuids);
    g_mutex_unlock(&pool->lock);
    g_mutex_unlock(&service->tables);
    for (guint i = uuids->len; i-- > 0;) {
        const CstUuid *uuid = &g_array_index(uuids, CstUuid, i);

        if (!cst_secret_next_exists(service->paths, uuid) &&
            !cst_rotation_is_locked(service->paths, uuid))
            g_array_remove_index(uuids, i);
    }
    return uuids;
}

static gboolean is_refused(CstPool *pool, const CstUuid *uuid)
{
    g_autoptr(GPtrArray) users = secret_users(pool->service, uuid, FALSE);
    const SecretLogin login = {pool->service, *uuid, NULL};
    g_autofree GError **errors = NULL;
    gboolean refused = FALSE;

    for (guint i = users->len; i-- > 0;)
        if (((const SecretUser *)g_ptr_array_index(users, i))->pool != pool)
            g_ptr_array_remove_index(users, i);
    errors = g_new0(GError *, users->len + 1);
    secret_prove(&login, users, errors);
    for (guint i = 0; i < users->len; i++) {
        refused |= secret_verdict(errors[i]) == SECRET_REFUSED;
        g_clear_error(&errors[i]);
    }
    return refused;
}

/* Waits for a running rotation as long as the task may wait, then recovers. */
static void secret_wait_and_recover(CstPool *pool, const CstUuid *uuid, CstTask *task)
{
    gint64 max = cst_task_max_wait(task), began = g_get_monotonic_time();
    g_autoptr(GError) error = NULL;

    cst_task_set_waiting(task, TRUE);
    while (cst_rotation_is_locked(pool->service->paths, uuid) && !cst_task_cancelled(task) &&
           (max == 0 || g_get_monotonic_time() - began < max)) {
        CST_TEST_POINT("secret.start.wait");
        g_usleep(WAIT_STEP_US);
    }
    cst_task_set_waiting(task, FALSE);
    if (!secret_recover_unlocked(pool->service, uuid, &error))
        cst_log(CST_LOG_WARNING, "pool '%s': %s", pool->name, error->message);
}

void secret_before_start(CstPool *pool, CstTask *task)
{
    g_autoptr(GArray) uuids = cst_dry_run() ? NULL : secrets_in_doubt(pool);

    for (guint i = 0; uuids && i < uuids->len; i++) {
        const CstUuid *uuid = &g_array_index(uuids, CstUuid, i);

        if (is_refused(pool, uuid))
            secret_wait_and_recover(pool, uuid, task);
    }
}
