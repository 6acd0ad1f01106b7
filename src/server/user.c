/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Users of the server by account. The server's users_lock guards the table, the references and the
 * connection counts. The bytes are atomic, because the threads of all loops and workers charge
 * them.
 *
 * A user at the end of the budget is starved. A worker that finds no bytes for a call sets the flag
 * (has_bytes(), workers.c). The thread that brings the bytes below the budget clears it and wakes
 * the workers.
 */
#include "user.h"

#include <unistd.h>

#include <base/test_point.h>

#include "server.h"

User *user_get(struct CstWireServer *server, uid_t uid)
{
    uid_t account;
    User *user;

    g_mutex_lock(&server->users_lock);
    account = subuid_account(server->subuids, uid);
    user = g_hash_table_lookup(server->users, GUINT_TO_POINTER(account));
    if (!user) {
        user = g_new0(User, 1);
        user->account = account;
        user->trusted = account == 0 || account == server->owner;
        user->budget = user->trusted ? G_MAXSIZE : server->options.max_user_bytes;
        g_hash_table_insert(server->users, GUINT_TO_POINTER(account), user);
    }
    user->refs++;
    g_mutex_unlock(&server->users_lock);
    return user;
}

void user_put(struct CstWireServer *server, User *user)
{
    g_mutex_lock(&server->users_lock);
    if (--user->refs == 0) {
        g_hash_table_remove(server->users, GUINT_TO_POINTER(user->account));
        g_free(user);
    }
    g_mutex_unlock(&server->users_lock);
}

gboolean user_connect(struct CstWireServer *server, User *user)
{
    gboolean ok;

    g_mutex_lock(&server->users_lock);
    ok = user->trusted || user->connections < server->options.max_user_clients;
    if (ok)
        user->connections++;
    g_mutex_unlock(&server->users_lock);
    return ok;
}

void user_disconnect(struct CstWireServer *server, User *user)
{
    g_mutex_lock(&server->users_lock);
    user->connections--;
    g_mutex_unlock(&server->users_lock);
}

void user_charge(struct CstWireServer *server, User *user, size_t before, size_t now)
{
    if (now == before)
        return;
    CST_TEST_POINT("user.bytes.charge");
    /* Unsigned arithmetic: a decrease wraps around to the correct sum. */
    user->bytes += now - before;
    if (now < before && user->starved && !user_is_over(user)) {
        user->starved = FALSE;
        for (int i = 0; i < WORK_CLASSES; i++)
            workers_kick(server->workers[i]);
    }
}
