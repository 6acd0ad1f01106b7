/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Rotation: replaces the value that pools use to log in. A kill after any step leaves a usable
 * value (settle.c).
 *
 *   save     the new value is stored next to the present one
 *   change   an administrator changes it on the server
 *   prove    every pool that uses the secret logs in with it, each with its own pool state
 *   switch   it replaces the present value: one rename
 *   renew    active pools log in with it from now on
 *   verify   the server refuses the old value (with an administrator)
 *
 * The lock of rotations (store/rotation_lock.h) is held during all steps. It prevents other
 * processes from rotating or changing this secret. The locks of secrets and definitions are held
 * for the steps that write, and not during logins. Pools that are defined or changed during the
 * rotation are verified before the switch. A pool that starts during the rotation logs in again
 * after it (CstService.secret_epoch).
 *
 * A failure before the switch reverts the steps in reverse order. If the new value could not be
 * removed from the server, it stays next to the present one, and settle.c recovers it later.
 */
#include <string.h>

#include <base/crash.h>
#include <base/dry_run.h>
#include <base/error.h>
#include <base/flags.h>
#include <base/i18n.h>
#include <base/log.h>
#include <base/test_point.h>
#include <model/credential.h>
#include <pool/pool.h>
#include <store/rotation_lock.h>
#include <store/secret_values.h>

#include "core/job.h"
#include "core/pool.h"
#include "core/service.h"
#include "prove.h"
#include "secret.h"
#include "settle.h"
#include "table.h"

#define RETRY_US (G_TIME_SPAN_SECOND / 2)
/* The servers of a cluster apply a change one after another. */
#define SPREAD_US (5 * G_TIME_SPAN_SECOND)
/*
 * Pools may be defined while other pools are verified. This limits the rounds of the search for new
 * pools.
 */
#define ROUNDS_MAX 5

typedef struct {
    CstService *service;
    const CstSecretRotate *args;
    CstTask *task;
    Job *job;
    int lock;
    CstSecretRow *row;
    gboolean ephemeral;
    CstSecretBytes old;
    CstLoginAdmin admin;
    GPtrArray *users;   /* of SecretUser: users with which the value is verified */
    gboolean saved;     /* the new value is stored next to the present one */
    gboolean changed;   /* the server has, or may have, the new value */
    gboolean uncertain; /* the server did not answer, and may still apply it */
} Rotation;

static void rotation_clear(Rotation *rotation)
{
    cst_rotation_unlock(rotation->service->paths, &rotation->args->uuid, rotation->lock);
    g_clear_pointer(&rotation->row, cst_secret_row_free);
    cst_secret_bytes_clear(&rotation->old);
    g_clear_pointer(&rotation->users, g_ptr_array_unref);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Rotation, rotation_clear)

static SecretLogin login_with(const Rotation *rotation, const CstSecretBytes *value)
{
    return (SecretLogin){rotation->service, rotation->args->uuid, value};
}

static GPtrArray *users_now(const Rotation *rotation)
{
    return secret_users(rotation->service, &rotation->args->uuid,
                        (rotation->args->flags & CST_SECRET_ROTATE_ACTIVE) != 0);
}

/* --- checks ----------------------------------------------------------------------------------- */

/* Finds the secret and checks the new value. Called inside secrets_enter(). */
static gboolean find_secret(Rotation *rotation, GError **error)
{
    CstService *service = rotation->service;
    const CstSecretFile *secret;

    g_mutex_lock(&service->tables);
    secret = secret_find(service, &rotation->args->uuid, error);
    if (secret) {
        rotation->row = secret_row_new(secret->def);
        rotation->ephemeral = secret->def->ephemeral;
    }
    g_mutex_unlock(&service->tables);
    return secret && cst_credential_check(rotation->row->usage, rotation->args->value, error);
}

static gboolean find_users(Rotation *rotation, GError **error)
{
    char text[CST_UUID_TEXT_LEN];

    rotation->users = users_now(rotation);
    if (rotation->users->len > 0)
        return TRUE;
    cst_uuid_format(&rotation->args->uuid, text);
    if (rotation->args->flags & CST_SECRET_ROTATE_ACTIVE)
        return cst_fail(error, CST_ERROR_STATE,
                        _("no active pool uses secret '%s', so a new value cannot be tested; see "
                          "secret-set-value"),
                        text);
    return cst_fail(
        error, CST_ERROR_STATE,
        _("no pool uses secret '%s', so a new value cannot be tested; see secret-set-value"), text);
}

static gboolean rotation_acquire_lock(Rotation *rotation, GError **error)
{
    const CstUuid *uuid = &rotation->args->uuid;
    char text[CST_UUID_TEXT_LEN];

    if (cst_dry_run())
        return !cst_rotation_is_locked(rotation->service->paths, uuid) ||
               cst_fail(error, CST_ERROR_BUSY, _("secret '%s' is being rotated"),
                        cst_uuid_format(uuid, text));
    rotation->lock = cst_rotation_lock(rotation->service->paths, uuid, error);
    return rotation->lock >= 0;
}

/*
 * Does the checks that need no login, and acquires the lock of rotations. From here on no other
 * process changes the secret.
 */
static gboolean rotation_prepare(Rotation *rotation, GError **error)
{
    gboolean done;

    if (!secrets_enter(rotation->service, error))
        return FALSE;
    done = find_secret(rotation, error) && find_users(rotation, error) &&
           rotation_acquire_lock(rotation, error);
    secrets_leave(rotation->service);
    return done;
}

static gboolean read_old(Rotation *rotation, GError **error)
{
    const CstSecretBytes *value = rotation->args->value;

    if (!secret_value_of(rotation->service, &rotation->args->uuid, &rotation->old, error))
        return FALSE;
    return rotation->old.len != value->len ||
           memcmp(rotation->old.data, value->data, value->len) != 0 ||
           cst_fail(error, CST_ERROR_INVALID, _("the new value is the present one"));
}

/* --- the server ------------------------------------------------------------------------------- */

typedef struct {
    const CstLoginAdmin *admin;
    const CstSecretBytes *value;
    char *account;
} Credential;

static gboolean set_credential(CstPoolState *state, gpointer data, GError **error)
{
    Credential *credential = data;

    return cst_pool_state_set_credential(state, credential->admin, credential->value,
                                         &credential->account, error);
}

/*
 * Sets @value on the server. @value NULL: changes no value. Returns the account of the login, which
 * the caller frees.
 */
static char *set_on_server(const Rotation *rotation, guint i, const CstSecretBytes *value,
                           GError **error)
{
    const SecretLogin login = login_with(rotation, NULL);
    const SecretUser *user = g_ptr_array_index(rotation->users, i);
    Credential credential = {&rotation->admin, value, NULL};

    if (secret_with_state(&login, user, set_credential, &credential, error))
        return credential.account;
    g_prefix_error(error, _("pool '%s': "), user->def->name);
    return NULL;
}

/*
 * A change on the server must apply to all pools. Otherwise a kill between two changes would
 * leave both values in use.
 */
static gboolean check_account(const Rotation *rotation, GError **error)
{
    g_autofree char *first = set_on_server(rotation, 0, NULL, error);

    for (guint i = 1; first && i < rotation->users->len; i++) {
        g_autofree char *other = set_on_server(rotation, i, NULL, error);

        if (!other)
            return FALSE;
        if (strcmp(first, other) != 0)
            return cst_fail(error, CST_ERROR_UNSUPPORTED,
                            _("the pools log in as different users (%s, %s): their keys can't be "
                              "changed at once; give each user a secret of its own"),
                            first, other);
    }
    return first != NULL;
}

static gboolean change_server(Rotation *rotation, GError **error)
{
    g_autofree char *account = NULL;

    rotation->changed = TRUE;
    account = set_on_server(rotation, 0, rotation->args->value, error);
    rotation->uncertain = !account && cst_error_code(*error) == CST_ERROR_UNREACHABLE;
    CST_CRASH_POINT("secret.rotate.changed");
    return account != NULL;
}

/* --- verification ----------------------------------------------------------------------------- */

/* Retries a refused login while the server may not have applied the new value yet. */
static gboolean rotation_verify_new(const Rotation *rotation, GPtrArray *users, GError **error)
{
    const SecretLogin login = login_with(rotation, rotation->args->value);
    gint64 wait =
        MAX(rotation->args->wait_s * G_TIME_SPAN_SECOND, rotation->changed ? SPREAD_US : 0);
    gint64 end = g_get_monotonic_time() + wait;

    for (;;) {
        g_autoptr(GError) why = NULL;

        if (!cst_task_check(rotation->task, error))
            return FALSE;
        if (secret_prove_all(&login, users, &why))
            return TRUE;
        if (secret_verdict(why) != SECRET_REFUSED || g_get_monotonic_time() >= end) {
            g_propagate_error(error, g_steal_pointer(&why));
            return FALSE;
        }
        g_usleep(RETRY_US);
    }
}

static gboolean rotation_verify_present(const Rotation *rotation, GError **error)
{
    const SecretLogin login = login_with(rotation, NULL);

    if (secret_prove_all(&login, rotation->users, error))
        return TRUE;
    g_prefix_error(error, "%s", _("the present value is not accepted everywhere: "));
    return FALSE;
}

/* Returns the present users that were not verified. */
static GPtrArray *rotation_unverified_users(const Rotation *rotation)
{
    GPtrArray *users = users_now(rotation);

    for (guint i = users->len; i-- > 0;)
        for (guint k = 0; k < rotation->users->len; k++)
            if (secret_user_same(g_ptr_array_index(users, i),
                                 g_ptr_array_index(rotation->users, k))) {
                g_ptr_array_remove_index(users, i);
                break;
            }
    return users;
}

/* --- writing ---------------------------------------------------------------------------------- */

static gboolean save_new(Rotation *rotation, GError **error)
{
    CstService *service = rotation->service;

    if (rotation->ephemeral)
        return TRUE;
    if (!secrets_enter(service, error))
        return FALSE;
    CST_CRASH_POINT("secret.rotate.before_save");
    rotation->saved =
        cst_secret_next_save(service->paths, &rotation->args->uuid, rotation->args->value,
                             service->secret_policy.seal, error);
    secrets_leave(service);
    CST_CRASH_POINT("secret.rotate.saved");
    return rotation->saved;
}

/* Checks that no other program has changed the value. Called inside secrets_enter(). */
static gboolean rotation_check_unchanged(const Rotation *rotation, GError **error)
{
    g_auto(CstSecretBytes) now = {0};
    char text[CST_UUID_TEXT_LEN];

    if (!secret_value_of(rotation->service, &rotation->args->uuid, &now, error))
        return FALSE;
    return (now.len == rotation->old.len && memcmp(now.data, rotation->old.data, now.len) == 0) ||
           cst_fail(error, CST_ERROR_STATE,
                    _("the value of secret '%s' was changed during its rotation"),
                    cst_uuid_format(&rotation->args->uuid, text));
}

/*
 * Switches to the new value. If pools were not verified yet, changes nothing and returns them in
 * *ret_users; else *ret_users stays NULL. Called inside secrets_enter().
 */
static gboolean switch_entered(Rotation *rotation, GPtrArray **ret_users, GError **error)
{
    g_autoptr(GPtrArray) users = rotation_unverified_users(rotation);

    if (users->len > 0) {
        *ret_users = g_steal_pointer(&users);
        return TRUE;
    }
    if (!rotation_check_unchanged(rotation, error))
        return FALSE;
    return rotation->ephemeral
               ? secret_keep_in_memory(rotation->service, &rotation->args->uuid,
                                       rotation->args->value, error)
               : secret_promote_next(rotation->service, &rotation->args->uuid, error);
}

/* Verifies and switches. Also verifies pools that were defined during the verification. */
static gboolean rotation_verify_and_switch(Rotation *rotation, GError **error)
{
    g_autoptr(GPtrArray) users = g_ptr_array_ref(rotation->users);

    for (guint round = 0; users && round < ROUNDS_MAX; round++) {
        gboolean done;

        job_set_step(rotation->job, "rotate: prove");
        if (!rotation_verify_new(rotation, users, error))
            return FALSE;
        CST_CRASH_POINT("secret.rotate.proved");
        if (users != rotation->users)
            secret_users_join(rotation->users, g_steal_pointer(&users));
        g_clear_pointer(&users, g_ptr_array_unref);
        job_set_step(rotation->job, "rotate: switch");
        if (!secrets_enter(rotation->service, error))
            return FALSE;
        done = switch_entered(rotation, &users, error);
        secrets_leave(rotation->service);
        if (!done)
            return FALSE;
    }
    return !users || cst_fail(error, CST_ERROR_BUSY,
                              _("pools that use the secret are being defined all the time"));
}

/* --- undo ------------------------------------------------------------------------------------- */

static void remove_new(Rotation *rotation)
{
    CstService *service = rotation->service;
    g_autoptr(GError) why = NULL;

    if (secrets_enter(service, &why)) {
        cst_secret_next_remove(service->paths, &rotation->args->uuid, &why);
        secrets_leave(service);
    }
    if (why)
        cst_log(CST_LOG_WARNING, "%s", why->message);
}

/* Restores the old value on the server. Returns whether the server certainly has it again. */
static gboolean rotation_undo_server(Rotation *rotation, GError **error)
{
    g_autofree char *account = NULL;
    g_autoptr(GError) why = NULL;

    CST_TEST_POINT("secret.rotate.take_back");
    if (!rotation->changed)
        return TRUE;
    account = set_on_server(rotation, 0, &rotation->old, &why);
    if (account)
        return !rotation->uncertain;
    g_prefix_error(error,
                   _("the old value could not be put back on the server (%s), so both are "
                     "kept until one of them is accepted: "),
                   why->message);
    return FALSE;
}

/* Reverts the steps before the switch, even if the task was cancelled. */
static void rotation_undo(Rotation *rotation, GError **error)
{
    gboolean clean = rotation_undo_server(rotation, error);

    CST_CRASH_POINT("secret.rotate.taken_back");
    if (!rotation->saved)
        return;
    if (clean)
        remove_new(rotation);
    else
        secret_settler_wake(rotation->service->secret_settler);
}

/* --- after the switch ------------------------------------------------------------------------- */

static gboolean rotation_renew_pools(Rotation *rotation, GError **error)
{
    g_autoptr(GError) why = NULL;

    CST_CRASH_POINT("secret.rotate.switched");
    if (!secret_value_changed(rotation->service, &rotation->args->uuid, &why))
        return cst_fail(error, cst_error_code(why),
                        _("the new value counts, but a pool goes on with the old one: %s"),
                        why->message);
    CST_CRASH_POINT("secret.rotate.renewed");
    return TRUE;
}

static gboolean verify_old_refused(const Rotation *rotation, GError **error)
{
    const SecretLogin login = login_with(rotation, &rotation->old);
    gint64 end = g_get_monotonic_time() + SPREAD_US;

    for (;;) {
        g_autoptr(GError) why = NULL;
        gboolean accepted = secret_prove_all(&login, rotation->users, &why);

        if (secret_verdict(why) == SECRET_REFUSED)
            return TRUE;
        if (g_get_monotonic_time() >= end)
            return accepted ? cst_fail(error, CST_ERROR_FAILED,
                                       _("the new value counts, but the server still accepts the "
                                         "old one"))
                            : cst_fail(error, cst_error_code(why),
                                       _("the new value counts, but whether the server refuses "
                                         "the old one is not known: %s"),
                                       why->message);
        g_usleep(RETRY_US);
    }
}

/* --- the call --------------------------------------------------------------------------------- */

static gboolean rotation_check_args(const CstSecretRotate *args, GError **error)
{
    return cst_flags_check(args->flags, CST_SECRET_ROTATE_ACTIVE, "secretRotate", error) &&
           (args->value->len > 0 ||
            cst_fail(error, CST_ERROR_USAGE, _("value in %s must not be NULL"), "secretRotate"));
}

/* Does the checks before the first change. First recovers an interrupted rotation. */
static gboolean rotation_check_all(Rotation *rotation, GError **error)
{
    gboolean admin = rotation->admin.user != NULL;

    return (cst_dry_run() || secret_settle(rotation->service, &rotation->args->uuid, error)) &&
           read_old(rotation, error) && (!admin || check_account(rotation, error)) &&
           ((!admin && !cst_dry_run()) || rotation_verify_present(rotation, error)) &&
           cst_may_change(error);
}

static gboolean rotation_run_steps(Rotation *rotation, GError **error)
{
    if (!rotation_prepare(rotation, error) || !rotation_check_all(rotation, error))
        return FALSE;
    job_set_step(rotation->job, "rotate: save");
    if (!save_new(rotation, error))
        return FALSE;
    job_set_step(rotation->job, "rotate: change");
    if ((rotation->admin.user && !change_server(rotation, error)) ||
        !rotation_verify_and_switch(rotation, error)) {
        rotation_undo(rotation, error);
        return FALSE;
    }
    secret_emit(rotation->service, rotation->row, CST_EVENT_SECRET_VALUE, 0);
    job_set_step(rotation->job, "rotate: renew");
    if (!rotation_renew_pools(rotation, error))
        return FALSE;
    job_set_step(rotation->job, "rotate: verify");
    return !rotation->admin.user || verify_old_refused(rotation, error);
}

static GPtrArray *secret_user_names(const GPtrArray *users)
{
    GPtrArray *names = g_ptr_array_new_with_free_func(g_free);

    for (guint i = 0; users && i < users->len; i++) {
        const char *name = ((const SecretUser *)g_ptr_array_index(users, i))->def->name;

        if (!g_ptr_array_find_with_equal_func(names, name, g_str_equal, NULL))
            g_ptr_array_add(names, g_strdup(name));
    }
    return names;
}

/* Returns the names of the pools for the job. A pool with two definitions is included once. */
static char *pools_text(CstService *service, const CstUuid *uuid)
{
    g_autoptr(GPtrArray) users = secret_users(service, uuid, FALSE);
    g_autoptr(GPtrArray) names = secret_user_names(users);

    g_ptr_array_add(names, NULL);
    return g_strjoinv(", ", (char **)names->pdata);
}

gboolean cst_service_secret_rotate(CstService *service, const CstSecretRotate *args, CstTask *task,
                                   GPtrArray **ret_pools, GError **error)
{
    g_auto(Job) job = {0};
    g_autofree char *pools = NULL;
    gboolean done;

    if (!rotation_check_args(args, error) || !secrets_sync(service, error))
        return FALSE;
    pools = pools_text(service, &args->uuid);
    job_begin_service(&job, service, "rotate: check", pools, &task);
    {
        g_auto(Rotation) rotation = {.service = service,
                                     .args = args,
                                     .task = task,
                                     .job = &job,
                                     .lock = -1,
                                     .admin = {args->admin_user, args->admin_key}};

        done = rotation_run_steps(&rotation, error);
        if (done)
            *ret_pools = secret_user_names(rotation.users);
    }
    return job_end(&job, done, error);
}
