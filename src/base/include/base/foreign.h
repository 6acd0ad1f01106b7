/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/**
 * Libraries of storage technologies. They are loaded on first use, so that hosts without the
 * technology need not install them and no program pays for them at its start. They are never
 * unloaded.
 */
typedef struct {
    void *handles[2];
    char *problem; /**< why they cannot be used; NULL: usable */
} CstForeign;

/**
 * Loads @names (NULL-terminated, at most two). A library comes after the libraries that it depends
 * on. Call it once.
 */
void cst_foreign_open(CstForeign *libraries, const char *const *names);
/**
 * Returns the function @name of one of them. If no library has it, returns NULL and sets problem.
 */
void *cst_foreign_find(CstForeign *libraries, const char *name);

/*
 * These libraries have threads that still run at exit and crash in the destructors of their
 * library.
 */

/**
 * Makes this process skip destructors if it exits with an open connection of such a library. Call
 * it after the library was loaded, because exit handlers run in the reverse order of registration.
 */
void cst_foreign_loaded(void);
/**
 * Counts an open connection. Call it before the library begins to connect. Any thread. Does not
 * return once the process is ending.
 */
void cst_foreign_enter(void);
/** Call it after the library has connected or failed to: it may have registered an exit handler. */
void cst_foreign_connected(void);
/**
 * Ends the process immediately, after flushing stdio, if a connection is open, being opened or
 * being closed. Otherwise returns, and no connection is begun any more. Call it at the end of
 * main(), because exit() may first run handlers of these libraries.
 */
void cst_foreign_end(int status);
/** Ends the use that cst_foreign_enter() counted, after the library has closed it. Any thread. */
void cst_foreign_leave(void);
