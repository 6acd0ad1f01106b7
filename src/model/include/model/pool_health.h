/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>

/**
 * The health of a pool's storage, as its technology reports it: a ZFS pool's devices, for example.
 */

typedef enum {
    CST_HEALTH_UNKNOWN, /**< the technology does not report it */
    CST_HEALTH_GOOD,
    CST_HEALTH_DEGRADED, /**< works, with reduced redundancy or speed */
    CST_HEALTH_FAILED    /**< content cannot be reached, or is lost */
} CstHealthLevel;

typedef struct {
    CstHealthLevel level;
    char *state;      /**< the technology's own word ("ONLINE"); NULL: no state */
    GPtrArray *notes; /**< of char: further reports, one line each; NULL: no notes */
} CstPoolHealth;

/** Appends a note, which is copied. */
void cst_pool_health_note(CstPoolHealth *health, const char *note);
/** Frees the members of @health, and sets its level to UNKNOWN. */
void cst_pool_health_clear(CstPoolHealth *health);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(CstPoolHealth, cst_pool_health_clear)
