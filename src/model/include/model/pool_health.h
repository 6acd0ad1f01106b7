/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>

/** How the storage under a pool is, by its own technology: a ZFS pool's devices, for example. */

typedef enum {
    CST_HEALTH_UNKNOWN, /**< the technology does not tell */
    CST_HEALTH_GOOD,
    CST_HEALTH_DEGRADED, /**< works, with less safety or speed than it is made for */
    CST_HEALTH_FAILED    /**< content can't be reached, or is lost */
} CstHealthLevel;

typedef struct {
    CstHealthLevel level;
    char *state;      /**< in the technology's own word ("ONLINE"); NULL: it has none */
    GPtrArray *notes; /**< of char: what it says besides, a line each; NULL: nothing */
} CstPoolHealth;

/** Appends a note, which is copied. */
void cst_pool_health_note(CstPoolHealth *health, const char *note);
/** Frees what the struct holds, and makes it UNKNOWN. */
void cst_pool_health_clear(CstPoolHealth *health);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(CstPoolHealth, cst_pool_health_clear)
