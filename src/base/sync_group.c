/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <base/sync_group.h>
#include <base/test_point.h>

/*
 * Group commit with leader and followers. At most one round syncs at a time (group->busy), and at
 * most one collects members (group->next). A caller joins group->next. While a round syncs, its
 * successor collects members. When the sync has ended, the first member of the successor that wakes
 * up clears group->next and syncs. So a round always begins to sync after its last member has
 * joined, and a member waits for at most the running sync and its own.
 *
 * group->lock guards all fields and is not held during a sync.
 */

/* One sync and the callers that wait for it. */
typedef struct {
    guint refs;
    gboolean done;
    GError *error; /* NULL: the sync succeeded */
} Round;

struct CstSyncGroup {
    GMutex lock;
    GCond cond;
    CstSyncFunc sync;
    Round *next;   /* collects members, has not begun to sync; NULL: no waiting members */
    gboolean busy; /* a round syncs */
};

CstSyncGroup *cst_sync_group_new(CstSyncFunc sync)
{
    CstSyncGroup *group = g_new0(CstSyncGroup, 1);

    g_mutex_init(&group->lock);
    g_cond_init(&group->cond);
    group->sync = sync;
    return group;
}

void cst_sync_group_free(CstSyncGroup *group)
{
    if (!group)
        return;
    g_mutex_clear(&group->lock);
    g_cond_clear(&group->cond);
    g_free(group);
}

static void round_unref(Round *round)
{
    if (--round->refs > 0)
        return;
    g_clear_error(&round->error);
    g_free(round);
}

/* Syncs for @round. Called with the lock held, which is released during the sync. */
static void round_lead(CstSyncGroup *group, Round *round, int fd, const char *name)
{
    GError *error = NULL;

    group->next = NULL;
    group->busy = TRUE;
    g_mutex_unlock(&group->lock);
    /* Released, so that the next round can collect its members. */
    group->sync(fd, name, &error);
    CST_TEST_POINT("sync_group.synced");
    g_mutex_lock(&group->lock);
    round->error = error;
    round->done = TRUE;
    group->busy = FALSE;
    g_cond_broadcast(&group->cond);
}

gboolean cst_sync_group_wait(CstSyncGroup *group, int fd, const char *name_for_errors,
                             GError **error)
{
    gboolean synced;
    Round *round;

    g_mutex_lock(&group->lock);
    if (!group->next)
        group->next = g_new0(Round, 1);
    round = group->next;
    round->refs++;
    while (!round->done) {
        if (group->busy) {
            CST_TEST_POINT("sync_group.wait");
            g_cond_wait(&group->cond, &group->lock);
        } else {
            round_lead(group, round, fd, name_for_errors);
        }
    }
    synced = round->error == NULL;
    if (!synced && error)
        *error = g_error_copy(round->error);
    round_unref(round);
    g_mutex_unlock(&group->lock);
    return synced;
}
