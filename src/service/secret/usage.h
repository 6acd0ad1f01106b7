/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <service/secrets.h>

typedef struct SecretWatch SecretWatch;

/**
 * Starts the thread of a daemon that warns, once a day, of values that are older than the policy
 * allows; NULL where there is nothing to warn of.
 */
SecretWatch *secret_watch_start(CstService *service);
/** Ends the thread and waits for it. NULL is accepted. */
void secret_watch_stop(SecretWatch *watch);
