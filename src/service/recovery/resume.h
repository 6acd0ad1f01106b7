/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <service/service.h>

/** The jobs of dead processes that this one goes on with. */
typedef struct Resumption Resumption;

/** Ends what dead processes began, but for what a daemon can go on with: that is kept. */
Resumption *resumption_new(CstService *service);
/** Goes on with it, each job once its pool is active. */
void resumption_start(Resumption *resumption);
/** Waits for what is under way; what was not begun is cancelled. NULL: nothing. */
void resumption_free(Resumption *resumption);
