/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <base/secret_bytes.h>
#include <pool/backend.h>
#include <service/pools.h>
#include <service/service.h>

/**
 * Verification of a value of a secret, either the present or the new one, by logins of pools. Each
 * login uses its own pool state, so that active pools are not affected.
 */

/** A pool definition that uses a secret. An active pool may have two definitions. */
typedef struct {
    CstPool *pool;   /**< referenced */
    CstPoolDef *def; /**< a copy */
    gboolean active;
} SecretUser;

/** Result of a login with a value. */
typedef enum {
    SECRET_ACCEPTED,
    SECRET_REFUSED,
    SECRET_UNKNOWN /**< no result: no answer, or an unrelated failure */
} SecretVerdict;

/**
 * Returns the users of the secret as SecretUser *, ordered by pool name. @active_only: only active
 * pools.
 */
GPtrArray *secret_users(CstService *service, const CstUuid *uuid, gboolean active_only);
/** Moves the elements of @more to @users, and frees @more. */
void secret_users_join(GPtrArray *users, GPtrArray *more);
/** Returns whether both are the same definition of the same pool. */
gboolean secret_user_same(const SecretUser *a, const SecretUser *b);

/** A value of a secret to log in with. */
typedef struct {
    CstService *service;
    CstUuid uuid;
    const CstSecretBytes *value; /**< borrowed; NULL: the present value */
} SecretLogin;

/**
 * Logs in for each of @users, several at a time. Sets ret_errors[i] to the error of the i-th login,
 * or leaves it NULL.
 */
void secret_prove(const SecretLogin *login, GPtrArray *users, GError **ret_errors);
/** Returns the verdict on the value for the error of a login (NULL: no error). */
SecretVerdict secret_verdict(const GError *error);
/**
 * Returns TRUE if all logins succeed. Else fails with all errors, each with its pool's name. The
 * class is DENIED if a login was refused.
 */
gboolean secret_prove_all(const SecretLogin *login, GPtrArray *users, GError **error);
/**
 * Calls @run with a pool state for @user that uses the login's value. The state is valid only
 * during the call.
 */
gboolean secret_with_state(const SecretLogin *login, const SecretUser *user,
                           gboolean (*run)(CstPoolState *state, gpointer data, GError **error),
                           gpointer data, GError **error);
