/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <base/secret_bytes.h>
#include <pool/backend.h>
#include <service/pools.h>
#include <service/service.h>

/**
 * Logins of pools with a value of a secret, be it the present one or one that is to take its place:
 * each on a state of its own, so that what is active does not notice.
 */

/** A definition of a pool that uses a secret; an active pool may have two. */
typedef struct {
    CstPool *pool;   /**< referenced */
    CstPoolDef *def; /**< a copy */
    gboolean active;
} SecretUser;

/** What a storage says of a value. */
typedef enum {
    SECRET_ACCEPTED,
    SECRET_REFUSED,
    SECRET_UNKNOWN /**< it did not say: no answer, or something else failed */
} SecretVerdict;

/** Returns SecretUser * of the secret, by the pools' names. @active_only: of active pools only. */
GPtrArray *secret_users(CstService *service, const CstUuid *uuid, gboolean active_only);
/** Moves what @more has, which is freed, to @users. */
void secret_users_join(GPtrArray *users, GPtrArray *more);
/** Whether both are the same definition of the same pool. */
gboolean secret_user_same(const SecretUser *a, const SecretUser *b);

/** A value of a secret; its data NULL: the present one. */
typedef struct {
    CstService *service;
    CstUuid uuid;
    const CstSecretBytes *value; /**< borrowed; NULL: the present one */
} SecretLogin;

/**
 * Logs in for each of @users, several at a time, and puts into ret_errors[i] why the login of the
 * i-th failed, or NULL.
 */
void secret_prove(const SecretLogin *login, GPtrArray *users, GError **ret_errors);
/** What the error of a login (NULL: none) says of the value. */
SecretVerdict secret_verdict(const GError *error);
/**
 * TRUE when no login has failed. Else fails with all reasons, each with its pool's name, as DENIED
 * when one was refused.
 */
gboolean secret_prove_all(const SecretLogin *login, GPtrArray *users, GError **error);
/** Opens a state for @user that is lent the login's value; unref it before the login is gone. */
gboolean secret_with_state(const SecretLogin *login, const SecretUser *user,
                           gboolean (*run)(CstPoolState *state, gpointer data, GError **error),
                           gpointer data, GError **error);
