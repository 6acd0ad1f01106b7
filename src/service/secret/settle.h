/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <service/pools.h>
#include <service/secrets.h>

/** Recovers interrupted rotations in the background. */
typedef struct SecretSettler SecretSettler;

/**
 * Starts the recovery of existing interrupted rotations, which continues until the storage answers.
 * Returns NULL in an embedded process.
 */
SecretSettler *secret_settler_start(CstService *service);
/** Waits for running logins. NULL is accepted. */
void secret_settler_stop(SecretSettler *settler);
/** Reports a newly interrupted rotation. NULL is accepted: the next daemon recovers it. */
void secret_settler_wake(SecretSettler *settler);

/**
 * Decides between the two values of a secret by logins with both. Requires the rotation's lock.
 * Returns TRUE if one value is left. Else both are kept, and the error contains the reason.
 */
gboolean secret_settle(CstService *service, const CstUuid *uuid, GError **error);

/** Implements ServiceHooks.before_start: an inactive pool must not start with an outdated value. */
void secret_before_start(CstPool *pool, CstTask *task);
