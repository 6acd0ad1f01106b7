/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The last step of a move: the deletion of the original, by the move itself or, after a crash, by
 * the replay of its intent. The replay deletes only the storage with the recorded identity, and
 * only if the recorded copy exists. The original's file must have the same stamp as before the
 * copy.
 */
#include "move_replay.h"

#include <string.h>

#include <base/crash.h>
#include <base/error.h>
#include <base/file_writers.h>
#include <base/log.h>

#include "by_name.h"
#include "core/intent.h"
#include "core/service.h"
#include "move.h"
#include "volume/create/history.h"
#include "volume/tags.h"

/*
 * Deletes the original under its unique temporary name. Fails if it has snapshots that were not
 * copied.
 */
static gboolean replay_delete_original(CstPoolState *state, const char *aside,
                                       const char *snapshots, CstTask *task, GError **error)
{
    return volume_history_remove(state, aside, snapshots, task, error) &&
           cst_pool_state_delete(state, aside, 0, error);
}

/*
 * Snapshots are removed one by one. The original gets a temporary name first, so that no user finds
 * it with only some of its snapshots. The replay knows this name, and the rename may have happened
 * before a crash.
 */
gboolean move_delete_by_name(CstPoolState *state, const char *name, const char *aside,
                             const char *snapshots, CstTask *task, GError **error)
{
    if (cst_pool_state_rename(state, name, aside, error)) {
        CST_CRASH_POINT("vol.move.aside");
        if (replay_delete_original(state, aside, snapshots, task, error))
            return TRUE;
        /* With only some of its snapshots it stays hidden, and the replay deletes the rest. */
        if (!volume_history_is_whole(state, aside, snapshots))
            return FALSE;
    }
    /* A failed rename may have happened. */
    cst_pool_state_rename(state, aside, name, NULL);
    return FALSE;
}

/*
 * @taken: another volume has the original's name, and the original has its temporary name. If the
 * original has got another snapshot since the copy, it is kept.
 */
static gboolean delete_moved(CstPoolState *state, const CstIntentRecord *record, const char *name,
                             gboolean taken, GError **error)
{
    const char *aside = g_hash_table_lookup(record->fields, "aside");
    const char *snapshots = g_hash_table_lookup(record->fields, "snapshots");
    g_autoptr(GError) why = NULL;

    if (!aside)
        return cst_pool_state_delete(state, name, 0, error);
    if (taken ? replay_delete_original(state, aside, snapshots, NULL, &why)
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
 * Checks that the file @name is unchanged since the copy, and that no program has it open for
 * writing. @renamed: it has its temporary name, and the rename has changed its ctime.
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
    /* Source and copy are the same file, so no content can be lost. */
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

/* Keeps both the original and the copy, because each may contain data that the other one lacks. */
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

/* The original has no name any more: moves the records of its snapshots, and forgets its tags. */
static gboolean forget_original(CstService *service, CstPoolState *state,
                                const CstIntentRecord *record, GError **error)
{
    const char *name = g_hash_table_lookup(record->fields, "volume");

    kept_move_copies(service, state->def->name, name,
                     g_hash_table_lookup(record->fields, "to-pool"),
                     g_hash_table_lookup(record->fields, "to"));
    return volume_tags_forget_name(service, &state->def->uuid, name, error);
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
    gboolean same, taken;

    if (!name || !to_pool || !to)
        return TRUE;
    if (!cst_pool_state_scan_one(state, name, NULL, &mine, error) ||
        (aside && !cst_pool_state_scan_any(state, aside, NULL, &moved, error)))
        return FALSE;
    if (moved) {
        if (!is_as_copied(state, record, aside, TRUE, &same, error))
            return FALSE;
        /* The copy got the tags before the original got its temporary name. */
        if (same)
            return delete_moved(state, record, name, mine != NULL, error) &&
                   (mine || forget_original(service, state, record, error));
        keep_both(state, record, aside, mine != NULL);
        return TRUE;
    }
    taken = mine != NULL;
    if (!intent_keep_if_same(record->fields, "identity", state, &mine, error))
        return FALSE;
    /* The original is already deleted, or another volume has its name. */
    if (!mine)
        return taken || forget_original(service, state, record, error);
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
    return volume_tags_copy(service, &state->def->uuid, name, &there->def->uuid, to, error) &&
           delete_moved(state, record, name, FALSE, error) &&
           forget_original(service, state, record, error);
}
