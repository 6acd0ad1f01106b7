/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Moves a volume to another pool on the same storage by a rename, without a copy. For ZFS datasets
 * within one ZFS pool. Snapshots move with the volume, and its clones are not affected.
 *
 * The move is a single step of the backend. At no point in time is the volume in both pools or in
 * neither. An intent ensures that the declaration of the volume's content is moved as well. Until
 * then the volume has less trust, never more.
 *
 * The move is refused if images reference the volume by its path, because the path would become
 * invalid.
 */
#include "move_rename.h"

#include <base/crash.h>
#include <base/error.h>
#include <base/i18n.h>
#include <base/log.h>

#include "by_name.h"
#include "core/intent.h"
#include "core/promise.h"
#include "core/scan.h"
#include "core/service.h"
#include "core/table.h"
#include "dependency/guard.h"
#include "volume/protect.h"
#include "volume/tags.h"

typedef struct {
    CstPool *pool, *to;
    const char *name, *new_name;
    CstTask *task;
    VolumeClaim claim;     /* of the volume */
    VolumeClaim new_claim; /* of its name in the other pool */
    CstVolume *volume;
    KeptByName kept;
    CstIntent *intent;
    PoolPromise promise; /* of the volume in the other pool */
} MoveRename;

/* Releases the claims in reverse order. */
static void move_rename_clear(MoveRename *move)
{
    cst_intent_end(move->intent);
    pool_promise_end(&move->promise);
    volume_release(&move->new_claim);
    volume_release(&move->claim);
    g_clear_pointer(&move->volume, cst_volume_unref);
    kept_clear(&move->kept);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(MoveRename, move_rename_clear)

/* --- checks ----------------------------------------------------------------------------------- */

/*
 * An operation that holds a volume fails if the new name exists, instead of waiting for its claim.
 */
static gboolean claim_both(MoveRename *move, CstPoolState *to, GError **error)
{
    move->claim.task = move->new_claim.task = move->task;
    if (!cst_pool_state_volume_name_check(to, move->new_name, error) ||
        !pool_check_free(move->to, to, move->new_name, error) ||
        !volume_claim_now(&move->claim, move->pool, move->name, CLAIM_WRITE, &move->volume, error))
        return FALSE;
    move->new_claim.after = &move->claim;
    move->new_claim.creating = TRUE;
    return volume_claim(&move->new_claim, move->to, move->new_name, CLAIM_WRITE, error) &&
           pool_check_free(move->to, to, move->new_name, error);
}

static gboolean move_rename_check(MoveRename *move, GError **error)
{
    return volume_not_protected(move->pool, move->name, error) &&
           volume_not_held(&move->claim, error) &&
           volume_not_needed_by_images(&move->claim, error) &&
           kept_read(move->pool, move->claim.state, move->volume, &move->kept, error);
}

/* The volume comes with its snapshots. */
static gboolean move_rename_promise(MoveRename *move, GError **error)
{
    PromiseRequest request = {.name = move->new_name, .added = TRUE};

    return pool_promise_of(move->claim.state, move->volume, &request.more, error) &&
           pool_promise_reserve(&move->promise, move->to, move->new_claim.state, &request, error);
}

/* Another name for the same format is not a change. */
static gboolean move_rename_keeps_format(const MoveRename *move, const char *format)
{
    const CstDeclaration *declaration = move->kept.declaration;
    const char *now = declaration ? declaration->format : move->volume->format;

    return !format || cst_volume_same_format(format, now ? now : "raw");
}

static gboolean move_rename_record(MoveRename *move, GError **error)
{
    g_autoptr(GHashTable) fields = intent_fields_new();

    intent_put(fields, "volume", move->name);
    intent_put(fields, "to-pool", cst_pool_name(move->to));
    intent_put(fields, "to", move->new_name);
    if (!intent_put_identity(fields, "identity", move->claim.state, move->volume, error))
        return FALSE;
    kept_save(&move->kept, fields);
    move->intent =
        intent_begin_durable(move->pool, move->claim.state, VOLUME_MOVE_RENAME, fields, error);
    return move->intent != NULL;
}

/* --- the move --------------------------------------------------------------------------------- */

/* Leaves the completion to the next start. */
static void move_rename_leave_to_replay(MoveRename *move, const GError *why)
{
    cst_log(CST_LOG_WARNING, "pool '%s': the move of volume '%s' to pool '%s' is not complete: %s",
            move->pool->name, move->name, move->to->name, why->message);
    cst_intent_keep(g_steal_pointer(&move->intent));
    pool_recover_later(move->pool, move->claim.state);
}

static void move_rename_update_tables(const MoveRename *move, GPtrArray *children)
{
    CstPool *const pools[] = {move->pool, move->to};
    CstPoolState *const states[] = {move->claim.state, move->new_claim.state};

    pool_rescan_volume(move->to, move->new_claim.state, move->new_name);
    pool_table_end_move(move->pool, move->name);
    pool_rescan_volume(move->pool, move->claim.state, move->name);
    /* Rescan the clones of this volume, because their records contain its name. */
    for (guint i = 0; children && i < children->len; i++)
        for (size_t j = 0; j < G_N_ELEMENTS(pools); j++) {
            g_autofree char *child =
                cst_pool_state_vol_resolve(states[j], g_ptr_array_index(children, i));

            if (child)
                pool_rescan_volume(pools[j], states[j], child);
        }
}

/*
 * Moves the volume. A failed call may have moved it, for example after a timeout. UNSUPPORTED means
 * that no change was made and a copy is needed.
 */
static gboolean move_rename_storage(MoveRename *move, gboolean *ret_done, GError **error)
{
    g_autoptr(CstVolume) still = NULL;
    g_autoptr(GError) why = NULL;

    *ret_done = cst_pool_state_rename_from(move->new_claim.state, move->claim.state, move->name,
                                           move->new_name, &why);
    if (*ret_done || g_error_matches(why, CST_ERROR, CST_ERROR_UNSUPPORTED))
        return TRUE;
    if (!g_error_matches(why, CST_ERROR, CST_ERROR_DRY_RUN) &&
        (!cst_pool_state_scan_one(move->claim.state, move->name, NULL, &still, NULL) || !still)) {
        move_rename_leave_to_replay(move, why);
        move_rename_update_tables(move, NULL);
    }
    g_propagate_error(error, g_steal_pointer(&why));
    return FALSE;
}

/* Moves the tags, the schedules' records of its snapshots, and the declaration of its content. */
static gboolean move_rename_move_kept(CstService *service, CstPoolState *from, const char *name,
                                      CstPoolState *to, const char *new_name,
                                      const KeptByName *kept, GError **error)
{
    g_autoptr(CstVolume) volume = NULL;

    if (!cst_pool_state_scan_one(to, new_name, NULL, &volume, error))
        return FALSE;
    if (!volume)
        return TRUE;
    kept_move_copies(service, from->def->name, name, to->def->name, new_name);
    return volume_tags_move(service, &from->def->uuid, name, &to->def->uuid, new_name, error) &&
           kept_move_device(service, from, name, to, volume, kept, error);
}

static gboolean move_rename_run_steps(MoveRename *move, gboolean *ret_done, GError **error)
{
    g_autoptr(GPtrArray) children = NULL;
    g_autoptr(GError) why = NULL;

    if (!move_rename_record(move, error))
        return FALSE;
    CST_CRASH_POINT("vol.move.rename.recorded");
    if (!move_rename_storage(move, ret_done, error))
        return FALSE;
    if (!*ret_done)
        return TRUE;
    CST_CRASH_POINT("vol.move.rename.renamed");
    /* The volume has its new name. From here on the operation must not fail. */
    volume_is_new(move->to, move->new_name);
    if (!move_rename_move_kept(move->pool->service, move->claim.state, move->name,
                               move->new_claim.state, move->new_name, &move->kept, &why))
        move_rename_leave_to_replay(move, why);
    CST_CRASH_POINT("vol.move.rename.settled");
    children = cst_pool_state_vol_children(move->new_claim.state, move->new_name, NULL);
    move_rename_update_tables(move, children);
    return TRUE;
}

/*
 * The references of the volume stay in force, although the volume is in no pool's table in between.
 */
static gboolean move_rename_run(MoveRename *move, gboolean *ret_done, GError **error)
{
    gboolean done;

    pool_table_begin_move(move->pool, move->volume);
    done = move_rename_run_steps(move, ret_done, error);
    pool_table_end_move(move->pool, move->name);
    return done;
}

gboolean volume_move_by_rename(CstPool *pool, const char *name, CstPool *to, const CstVolMove *how,
                               CstTask *task, gboolean *ret_done, GError **error)
{
    g_auto(MoveRename) move = {.pool = pool,
                               .to = to,
                               .name = name,
                               .new_name = how->name ? how->name : name,
                               .task = task};
    g_autoptr(CstPoolState) state = pool_state_get(pool, error);
    g_autoptr(CstPoolState) to_state = state ? pool_state_get(to, error) : NULL;

    *ret_done = FALSE;
    if (!to_state)
        return FALSE;
    if (!cst_pool_state_can_rename_from(to_state, state))
        return TRUE;
    return claim_both(&move, to_state, error) && move_rename_check(&move, error) &&
           (!move_rename_keeps_format(&move, how->format) ||
            (move_rename_promise(&move, error) && move_rename_run(&move, ret_done, error)));
}

/* --- after a crash ---------------------------------------------------------------------------- */

gboolean volume_move_rename_replay(CstService *service, CstPoolState *state,
                                   VolumeOpenPool open_pool, const CstIntentRecord *record,
                                   GError **error)
{
    const char *name = g_hash_table_lookup(record->fields, "volume");
    const char *to_pool = g_hash_table_lookup(record->fields, "to-pool");
    const char *new_name = g_hash_table_lookup(record->fields, "to");
    g_autoptr(CstPoolState) there = NULL;
    g_autoptr(CstVolume) before = NULL;
    g_auto(KeptByName) kept = {0};

    if (!name || !to_pool || !new_name)
        return TRUE;
    if (!cst_pool_state_scan_one(state, name, NULL, &before, error) ||
        !intent_keep_if_same(record->fields, "identity", state, &before, error))
        return FALSE;
    /* The rename has not happened. */
    if (before)
        return TRUE;
    kept_load(record->fields, &kept);
    there = open_pool(service, to_pool, error);
    return there && move_rename_move_kept(service, state, name, there, new_name, &kept, error);
}
