/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/**
 * Libraries of storage technologies: loaded on first use, so that hosts without the technology need
 * not install them and no program pays for them at its start. They are never unloaded.
 */
typedef struct {
    void *handles[2];
    char *problem; /**< why they can't be used; NULL: they can */
} CstForeign;

/** Loads @names (NULL-terminated, two at most), those first that others depend on. Call it once. */
void cst_foreign_open(CstForeign *libraries, const char *const *names);
/** Returns function @name of one of them; NULL: none has it, which is their problem then. */
void *cst_foreign_find(CstForeign *libraries, const char *name);

/* Those that have threads of their own crash in their destructors while these still run. */

/**
 * Has this process skip destructors when it exits with an open connection of such a library. Call
 * it after the library was loaded: what was registered last runs first.
 */
void cst_foreign_loaded(void);
/**
 * Counts an open connection: call it before the library begins to make one. Any thread. Does not
 * return once the process ends.
 */
void cst_foreign_enter(void);
/**
 * Call it when the library has connected, or could not: it may have registered an end of its own.
 */
void cst_foreign_connected(void);
/**
 * Ends the process here, with what was printed, if a connection is open, or being opened or closed;
 * else it returns, and none is begun any more. For the end of main(): what exit() runs may already
 * be one of the libraries'.
 */
void cst_foreign_end(int status);
/** Ends what cst_foreign_enter() began, once the library has let go. Any thread. */
void cst_foreign_leave(void);
