/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <service/secrets.h>

typedef struct SecretWatch SecretWatch;

/**
 * Starts the daemon's thread that warns once a day about values older than the policy allows.
 * Returns NULL in an embedded process, and if the policy has no maximal age.
 */
SecretWatch *secret_watch_start(CstService *service);
/** Ends the thread and waits for it. NULL is accepted. */
void secret_watch_stop(SecretWatch *watch);
