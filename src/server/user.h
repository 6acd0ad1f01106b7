/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>
#include <stdatomic.h>
#include <sys/types.h>

#include "workers.h"

struct CstWireServer;

/**
 * An account: a uid together with the subordinate uids of that user. All its connections share one
 * limit of connections, one budget of bytes and one turn at the workers. The bytes are the sum of
 * queued requests, replies in preparation or unread, events, and pieces of streams. The server's
 * table holds the struct; the last connection frees it.
 */
typedef struct User {
    guint refs;        /**< guarded by the server's users_lock, as is @connections */
    guint connections; /**< counted against max_user_clients */
    uid_t account;     /**< uid of the user, or the first uid of a range without a single owner */
    gboolean trusted;  /**< root or the daemon's user */
    size_t budget;     /**< bytes that may be held; G_MAXSIZE: no limit */
    _Atomic size_t bytes;
    atomic_bool starved; /**< a call of this user waits until bytes are given back */
    WorkerShare shares[WORK_CLASSES];
} User;

/**
 * Returns the user that @uid counts for (subuid.h) with a new reference. Makes the user if it has
 * no connection yet. Never returns NULL. From any thread, like all functions here.
 */
User *user_get(struct CstWireServer *server, uid_t uid);
/** Drops a reference; the last one frees @user. */
void user_put(struct CstWireServer *server, User *user);

/** Counts a connection. Returns FALSE if the user has reached max_user_clients. */
gboolean user_connect(struct CstWireServer *server, User *user);
/** Reverses one user_connect() that returned TRUE. */
void user_disconnect(struct CstWireServer *server, User *user);

/**
 * Returns whether the user has used up its budget. Then no more bytes may be read from it or made
 * for it.
 */
static inline gboolean user_is_over(const User *user)
{
    return user->bytes >= user->budget;
}

/**
 * Replaces @before bytes by @now in the user's account. Starts calls that waited for bytes if the
 * user is below the budget again. Locks: takes the workers' locks, so the caller must not hold
 * them.
 */
void user_charge(struct CstWireServer *server, User *user, size_t before, size_t now);
