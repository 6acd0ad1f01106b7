/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/**
 * Libraries of storage technologies, loaded at run time, that have threads of their own: their
 * destructors crash while those threads still run.
 */

/**
 * Has this process skip destructors when it exits with an open connection of such a library. Call
 * it after the library was loaded: what was registered last runs first.
 */
void cst_foreign_loaded(void);
/** Counts an open connection: call it before the library begins to make one. Any thread. */
void cst_foreign_enter(void);
/** Ends what cst_foreign_enter() began, once the library has let go. Any thread. */
void cst_foreign_leave(void);
