/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Users of a secret, and logins that verify a value of it (see the header). No lock is held during
 * a login, and its result is not stored.
 */
#include "prove.h"

#include <string.h>

#include <base/error.h>
#include <base/i18n.h>
#include <base/threads.h>
#include <pool/pool.h>

#include "core/pool.h"
#include "core/service.h"
#include "secret.h"
#include "table.h"

#define LOGINS_MAX 16u /* concurrent logins */

/* --- users ------------------------------------------------------------------------------------ */

static void user_free(gpointer data)
{
    SecretUser *user = data;

    cst_pool_unref(user->pool);
    cst_pool_def_free(user->def);
    g_free(user);
}

typedef struct {
    const CstUuid *uuid;
    gboolean found;
} Looking;

static void secret_match_uuid(CstSecretFile *secret, gpointer data)
{
    Looking *looking = data;

    looking->found |= cst_uuid_equal(&secret->def->uuid, looking->uuid);
}

/* Adds @pool if @def uses the secret. Requires the locks of the tables and the pool. */
static void secret_add_user(CstPool *pool, const CstPoolDef *def, const CstUuid *uuid,
                            GPtrArray *users)
{
    Looking looking = {uuid, FALSE};
    SecretUser *user;

    if (def)
        secret_def_each(pool->service, def, secret_match_uuid, &looking);
    if (!looking.found)
        return;
    user = g_new0(SecretUser, 1);
    user->pool = cst_pool_ref(pool);
    user->def = cst_pool_def_copy(def);
    user->active = pool->active;
    g_ptr_array_add(users, user);
}

static int compare_users(gconstpointer a, gconstpointer b)
{
    const SecretUser *const *left = a, *const *right = b;

    return strcmp((*left)->def->name, (*right)->def->name);
}

GPtrArray *secret_users(CstService *service, const CstUuid *uuid, gboolean active_only)
{
    GPtrArray *users = g_ptr_array_new_with_free_func(user_free);
    GHashTableIter iter;
    gpointer value;

    g_mutex_lock(&service->tables);
    g_hash_table_iter_init(&iter, service->pools_by_name);
    while (g_hash_table_iter_next(&iter, NULL, &value)) {
        CstPool *pool = value;

        g_mutex_lock(&pool->lock);
        if (pool->active || !active_only) {
            secret_add_user(pool, pool->def, uuid, users);
            secret_add_user(pool, pool->new_def, uuid, users);
        }
        g_mutex_unlock(&pool->lock);
    }
    g_mutex_unlock(&service->tables);
    g_ptr_array_sort(users, compare_users);
    return users;
}

void secret_users_join(GPtrArray *users, GPtrArray *more)
{
    g_ptr_array_extend_and_steal(users, more);
    g_ptr_array_sort(users, compare_users);
}

/* The definitions' documents contain the target and the user name of the login. */
gboolean secret_user_same(const SecretUser *a, const SecretUser *b)
{
    g_autofree char *one = NULL, *other = NULL;

    if (a->pool != b->pool)
        return FALSE;
    one = cst_pool_def_format(a->def, NULL);
    other = cst_pool_def_format(b->def, NULL);
    return g_strcmp0(one, other) == 0;
}

/* --- logins ----------------------------------------------------------------------------------- */

/* Implements CstPoolHost.secret. For other secrets of the pool it returns the present value. */
static gboolean secret_lend_value(const CstAuth *auth, CstSecretBytes *ret_value, gpointer data,
                                  GError **error)
{
    const SecretLogin *login = data;
    const CstSecretFile *secret;
    gboolean ours;

    g_mutex_lock(&login->service->tables);
    secret = secret_find_auth(login->service, auth, NULL);
    ours = secret && cst_uuid_equal(&secret->def->uuid, &login->uuid);
    g_mutex_unlock(&login->service->tables);
    if (ours && login->value)
        return cst_secret_bytes_copy(ret_value, login->value->data, login->value->len, error);
    return secret_for_pool(auth, ret_value, login->service, error);
}

gboolean secret_with_state(const SecretLogin *login, const SecretUser *user,
                           gboolean (*run)(CstPoolState *state, gpointer data, GError **error),
                           gpointer data, GError **error)
{
    const CstPoolHost host = {.secret = secret_lend_value, .data = (gpointer)login};
    g_autoptr(CstPoolState) state = cst_pool_state_open(user->def, &host, error);

    return state && run(state, data, error);
}

static gboolean secret_verify_login(CstPoolState *state, gpointer unused, GError **error)
{
    return cst_pool_state_prove(state, error);
}

typedef struct {
    const SecretLogin *login;
    GPtrArray *users;
    GError **errors;
    gint next; /* atomic */
} Proving;

static gpointer secret_verify_thread(gpointer data)
{
    Proving *proving = data;
    guint i;

    while ((i = (guint)g_atomic_int_add(&proving->next, 1)) < proving->users->len)
        secret_with_state(proving->login, g_ptr_array_index(proving->users, i), secret_verify_login,
                          NULL, &proving->errors[i]);
    return NULL;
}

void secret_prove(const SecretLogin *login, GPtrArray *users, GError **ret_errors)
{
    Proving proving = {login, users, ret_errors, 0};

    cst_threads_run(secret_verify_thread, &proving, MIN(MAX(users->len, 1), LOGINS_MAX));
}

SecretVerdict secret_verdict(const GError *error)
{
    CstErrorCode code;

    if (!error)
        return SECRET_ACCEPTED;
    code = cst_error_code(error);
    return code == CST_ERROR_DENIED || code == CST_ERROR_AUTH ? SECRET_REFUSED : SECRET_UNKNOWN;
}

/* Combines the errors into one, and consumes them. */
static gboolean join_errors(GPtrArray *users, GError **errors, GError **error)
{
    GString *text = g_string_new(NULL);
    CstErrorCode code = CST_ERROR_FAILED;
    gboolean any = FALSE;

    for (guint i = 0; i < users->len; i++) {
        const SecretUser *user = g_ptr_array_index(users, i);

        if (!errors[i])
            continue;
        if (!any || secret_verdict(errors[i]) == SECRET_REFUSED)
            code = cst_error_code(errors[i]);
        g_string_append_printf(text, _("%spool '%s': %s"), any ? "; " : "", user->def->name,
                               errors[i]->message);
        any = TRUE;
        g_clear_error(&errors[i]);
    }
    if (any)
        cst_fail(error, code, "%s", text->str);
    g_string_free(text, TRUE);
    return !any;
}

gboolean secret_prove_all(const SecretLogin *login, GPtrArray *users, GError **error)
{
    g_autofree GError **errors = g_new0(GError *, users->len + 1);

    secret_prove(login, users, errors);
    return join_errors(users, errors, error);
}

/* --- after a change --------------------------------------------------------------------------- */

/*
 * A starting pool reads the epoch before it requests the value. It reads the epoch again once it is
 * active, and thus visible here (pool/lifecycle.c).
 */
gboolean secret_value_changed(CstService *service, const CstUuid *uuid, GError **error)
{
    g_autoptr(GPtrArray) users = NULL;
    g_autofree GError **errors = NULL;

    g_atomic_int_inc(&service->secret_epoch);
    users = secret_users(service, uuid, TRUE);
    errors = g_new0(GError *, users->len + 1);
    for (guint i = 0; i < users->len; i++) {
        const SecretUser *user = g_ptr_array_index(users, i);
        g_autoptr(CstPoolState) state = pool_state_get(user->pool, NULL);

        if (state)
            cst_pool_state_renew(state, &errors[i]);
    }
    return join_errors(users, errors, error);
}
