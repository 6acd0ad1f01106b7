/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <service/pools.h>
#include <service/secrets.h>

/** Settles, in the background, what rotations have left that did not come to their end. */
typedef struct SecretSettler SecretSettler;

/** Settles what there is as soon as the storage answers. Daemons only; else returns NULL. */
SecretSettler *secret_settler_start(CstService *service);
/** Waits for the logins under way. NULL is accepted. */
void secret_settler_stop(SecretSettler *settler);
/** Something was left now. NULL is accepted: the next program settles it. */
void secret_settler_wake(SecretSettler *settler);

/**
 * With the rotation's lock: decides which of the two values of a secret stays, by logins with both.
 * TRUE when one value is left; else both are, and the error says why.
 */
gboolean secret_settle(CstService *service, const CstUuid *uuid, GError **error);

/** ServiceHooks.before_start: an inactive pool must not start with a value that is replaced. */
void secret_before_start(CstPool *pool, CstTask *task);
