/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <pool/backend.h>

/**
 * Which news of a pool's rooms (CstRoom) are worth telling: each at 80, 90 and 95 percent, and when
 * what was in it is lost; once, until it is below that again.
 */
typedef struct CstFullness CstFullness;

CstFullness *cst_fullness_new(void);
void cst_fullness_free(CstFullness *fullness);

/** Lines of text for those of @rooms that got fuller than was told; all there is must be in it. */
GPtrArray *cst_fullness_news(CstFullness *fullness, const GPtrArray *rooms);
