/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The end of a move: the original is deleted, by the move itself or, after a crash, by the replay
 * of its intent. The replay deletes the very storage that the intent names, only while the very
 * copy exists, and only if the original's file has the stamp that it had before the copy.
 */
#include "move_replay.h"

#include <string.h>

#include <base/crash.h>
#include <base/error.h>
#include <base/file_writers.h>
#include <base/log.h>

#include "core/intent.h"
#include "history.h"
#include "move.h"

/* Under a name that nothing else gets. Snapshots that were not copied keep it from going. */
static gboolean delete_aside(CstPoolState *state, const char *aside, const char *snapshots,
                             CstTask *task, GError **error)
{
    return volume_history_remove(state, aside, snapshots, task, error) &&
           cst_pool_state_delete(state, aside, 0, error);
}

/*
 * Snapshots go one by one. So that nobody finds an original without some of them under its name, it
 * gets another name first, by which the replay knows it, too. It may have got that before a crash.
 */
gboolean move_delete_by_name(CstPoolState *state, const char *name, const char *aside,
                             const char *snapshots, CstTask *task, GError **error)
{
    if (cst_pool_state_rename(state, name, aside, error)) {
        CST_CRASH_POINT("vol.move.aside");
        if (delete_aside(state, aside, snapshots, task, error))
            return TRUE;
    }
    /* A rename that failed may have happened all the same. */
    cst_pool_state_rename(state, aside, name, NULL);
    return FALSE;
}

/*
 * @taken: something else has the original's name, which has its other one. What has got another
 * snapshot since is not what was copied: it stays.
 */
static gboolean delete_moved(CstPoolState *state, const CstIntentRecord *record, const char *name,
                             gboolean taken, GError **error)
{
    const char *aside = g_hash_table_lookup(record->fields, "aside");
    const char *snapshots = g_hash_table_lookup(record->fields, "snapshots");
    g_autoptr(GError) why = NULL;

    if (!aside)
        return cst_pool_state_delete(state, name, 0, error);
    if (taken ? delete_aside(state, aside, snapshots, NULL, &why)
              : move_delete_by_name(state, name, aside, snapshots, NULL, &why))
        return cst_pool_state_settle(state, error);
    if (g_error_matches(why, CST_ERROR, CST_ERROR_STATE)) {
        cst_log(CST_LOG_WARNING, "the original of a move stays: %s", why->message);
        return TRUE;
    }
    g_propagate_error(error, g_steal_pointer(&why));
    return FALSE;
}

/*
 * Whether the original called @name holds what was copied, as far as its file tells, and no program
 * can write to it. @renamed: it has its other name, and a rename changes the time of its inode.
 */
static gboolean is_as_copied(CstPoolState *state, const CstIntentRecord *record, const char *name,
                             gboolean renamed, gboolean *ret_same, GError **error)
{
    const char *identity = g_hash_table_lookup(record->fields, "identity");
    const char *copy = g_hash_table_lookup(record->fields, "to-identity");
    CstFileStamp before = cst_file_stamp_parse(g_hash_table_lookup(record->fields, "stamp")), now;
    g_autoptr(GPtrArray) holders = NULL;
    g_autoptr(CstBlob) blob = NULL;

    *ret_same = TRUE;
    /* One file with two names loses nothing with one of them. */
    if (!before.counted || g_strcmp0(identity, copy) == 0)
        return TRUE;
    holders = cst_pool_state_vol_holders(state, name, error);
    for (guint i = 0; holders && i < holders->len; i++)
        *ret_same &= ((const CstHolder *)g_ptr_array_index(holders, i))->reads_only;
    if (!holders || !*ret_same)
        return holders != NULL;
    blob = cst_pool_state_vol_open(state, name, FALSE, error);
    if (!blob)
        return FALSE;
    now = cst_file_stamp(cst_blob_file_fd(blob));
    if (renamed) {
        now.ctime_s = before.ctime_s;
        now.ctime_ns = before.ctime_ns;
    }
    *ret_same = !cst_file_stamp_differs(&before, &now);
    return TRUE;
}

/* The original stays, and so does the copy, because each may hold what the other one lacks. */
static void keep_both(CstPoolState *state, const CstIntentRecord *record, const char *present,
                      gboolean taken)
{
    const char *name = g_hash_table_lookup(record->fields, "volume");
    const char *to = g_hash_table_lookup(record->fields, "to");
    const char *to_pool = g_hash_table_lookup(record->fields, "to-pool");

    if (!taken && strcmp(present, name) != 0 && cst_pool_state_rename(state, present, name, NULL))
        present = name;
    cst_log(
        CST_LOG_WARNING,
        "volume '%s' of pool '%s' was moved to '%s' of pool '%s' by a process that has died, "
        "and was written to, or opened for writing, since it was copied: both stay; compare them "
        "(vol-compare), and delete the one that is out of date (vol-delete)",
        present, state->def->name, to, to_pool);
}

gboolean volume_move_replay(CstService *service, CstPoolState *state, VolumeOpenPool open_pool,
                            const CstIntentRecord *record, GError **error)
{
    const char *name = g_hash_table_lookup(record->fields, "volume");
    const char *to_pool = g_hash_table_lookup(record->fields, "to-pool");
    const char *to = g_hash_table_lookup(record->fields, "to");
    const char *aside = g_hash_table_lookup(record->fields, "aside");
    g_autoptr(CstPoolState) there = NULL;
    g_autoptr(CstVolume) mine = NULL, moved = NULL, copy = NULL;
    gboolean same;

    if (!name || !to_pool || !to)
        return TRUE;
    if (!cst_pool_state_scan_one(state, name, NULL, &mine, error) ||
        (aside && !cst_pool_state_scan_any(state, aside, NULL, &moved, error)))
        return FALSE;
    if (moved) {
        if (!is_as_copied(state, record, aside, TRUE, &same, error))
            return FALSE;
        if (same)
            return delete_moved(state, record, name, mine != NULL, error);
        keep_both(state, record, aside, mine != NULL);
        return TRUE;
    }
    if (!intent_keep_if_same(record->fields, "identity", state, &mine, error))
        return FALSE;
    /* It is gone already, or something else has its name. */
    if (!mine)
        return TRUE;
    there = open_pool(service, to_pool, error);
    if (!there || !cst_pool_state_scan_one(there, to, NULL, &copy, error) ||
        !intent_keep_if_same(record->fields, "to-identity", there, &copy, error))
        return FALSE;
    if (!copy)
        return TRUE;
    if (!is_as_copied(state, record, name, FALSE, &same, error))
        return FALSE;
    if (!same) {
        keep_both(state, record, name, TRUE);
        return TRUE;
    }
    cst_log(CST_LOG_INFO, "volume '%s' was moved to '%s' of pool '%s': the original goes", name, to,
            to_pool);
    return delete_moved(state, record, name, FALSE, error);
}
