/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Moves a volume to another pool of this host: a copy becomes complete and durable under its name,
 * then the original is deleted. This operation has exclusive access to the original from the
 * beginning, with QEMU's locks on it, so that no process writes to it during the copy.
 *
 * An image that keeps its format is copied byte by byte, with the snapshots inside it. Its
 * reference to its base is an absolute path, which stays valid. Otherwise a new image without a
 * backing file gets the guest-visible content, and the snapshots are created anew in it
 * (history.c).
 *
 * Within a file system, or within a volume of Gluster, no data are copied: the file gets a second
 * name in the other pool. No data are copied either if the technology can move the volume to the
 * other pool by a rename (move_rename.c).
 *
 * A durable intent records that the original has to be deleted. If the copy has an identity before
 * it gets its name (a file), the intent is written before the name is set, else afterwards. After a
 * kill in between both volumes exist completely. The replay deletes only the storage with the
 * identity in the intent, and only if the recorded copy exists. The intent also contains the stamp
 * of the original's file before the copy. If the file was written since, both the original and the
 * copy are kept.
 */
#include "move.h"

#include <sys/stat.h>

#include <base/crash.h>
#include <base/dry_run.h>
#include <base/error.h>
#include <base/file.h>
#include <base/file_writers.h>
#include <base/flags.h>
#include <base/i18n.h>
#include <base/log.h>
#include <base/test_point.h>
#include <image/convert.h>
#include <service/volumes.h>
#include <store/declarations.h>

#include "by_name.h"
#include "core/claim.h"
#include "core/copy_turn.h"
#include "core/intent.h"
#include "core/job.h"
#include "core/promise.h"
#include "core/scan.h"
#include "core/service.h"
#include "core/space.h"
#include "core/trust.h"
#include "dependency/depth.h"
#include "dependency/guard.h"
#include "move_rename.h"
#include "move_replay.h"
#include "volume/create/history.h"
#include "volume/create/transaction.h"
#include "volume/declare.h"
#include "volume/delete/delete.h"
#include "volume/delete/trash.h"
#include "volume/image/image_chain.h"
#include "volume/protect.h"
#include "volume/running/move.h"
#include "volume/tags.h"

typedef struct {
    CstPool *pool, *to;
    const char *name;
    const CstVolMove *how;
    CstTask *task;
    ImageChain chain; /* of the original */
    VolumeHistory history;
    CstFileStamp stamp; /* of the original, before the copy */
    gboolean same;      /* same format and files: copy the bytes, or use the file itself */
    gboolean bytes;     /* copy byte by byte */
    const CstImageFormat *format;
    CstImageOptions options;
    CstVolDef *def;  /* of the copy */
    char *aside;     /* temporary name for the deletion of the original; NULL: its own name */
    gboolean linked; /* the copy is a second name of the original's file */
    CstIntent *intent;
} Move;

static void move_clear(Move *move)
{
    volume_history_clear(&move->history);
    image_chain_close(&move->chain);
    cst_image_options_clear(&move->options);
    g_clear_pointer(&move->def, cst_vol_def_free);
    g_clear_pointer(&move->aside, g_free);
    cst_intent_end(move->intent);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Move, move_clear)

static const ImageLink *move_original(const Move *move)
{
    return image_chain_link(&move->chain, 0);
}

/* --- the copy --------------------------------------------------------------------------------- */

static gboolean open_original(Move *move, GError **error)
{
    g_autoptr(CstPoolState) state = pool_state_get(move->pool, error);
    g_autoptr(CstVolume) volume = state ? pool_volume(move->pool, state, move->name, error) : NULL;
    g_autoptr(CstPoolState) to_state = volume ? pool_state_get(move->to, error) : NULL;

    if (!to_state)
        return FALSE;
    move->same = volume_move_keeps_format(move->how, volume) &&
                 !(volume->extra && volume->extra->data_file) &&
                 cst_pool_state_holds_images(state) && cst_pool_state_holds_images(to_state);
    move->bytes = move->same && volume->format && !cst_image_name_is_plain(volume->format);
    move->chain =
        (ImageChain){.task = move->task, .write = TRUE, .alone = move->bytes, .at_rest = TRUE};
    if (!image_chain_open(&move->chain, move->pool, move->name, error) ||
        !volume_move_check(&move_original(move)->claim, error) ||
        (move->bytes && !volume_move_check_reference(&move->chain, move->to, error)) ||
        !cst_chain_open_images(move->chain.chain, 0, NULL, error))
        return FALSE;
    move->stamp = cst_file_stamp(cst_blob_file_fd(move_original(move)->blob));
    return volume_history_read(&move->history, &move->chain, error);
}

/*
 * Fails with BUSY if another program has written to the original, or to another file of its chain,
 * since the copy began, or has the original open for writing. Locks exclude only QEMU and this
 * program. Checks only files: the open count of a device and the locks of an object include this
 * move itself.
 */
static gboolean check_unwritten(const Move *move, GError **error)
{
    const CstFileStamp now = cst_file_stamp(cst_blob_file_fd(move_original(move)->blob));

    if (!image_chain_is_as_before(&move->chain, error))
        return FALSE;
    if (!now.counted)
        return TRUE;
    if (cst_file_stamp_differs(&move->stamp, &now))
        return cst_fail(error, CST_ERROR_BUSY,
                        _("another program has written to volume '%s' while it was copied; stop it "
                          "and move the volume again"),
                        move->name);
    return volume_not_held(&move_original(move)->claim, error);
}

/* Returns whether the volume has snapshots that are not copied with its bytes. */
static gboolean has_history(const Move *move)
{
    return move->history.snapshots->len > 0 && !(move->bytes && move->history.inside);
}

static gboolean check_history(const Move *move, GError **error)
{
    g_autoptr(CstPoolState) to = NULL;

    if (!has_history(move))
        return TRUE;
    to = pool_state_get(move->to, error);
    return to && volume_history_fits(&move->history, move->to, to, move->format, error);
}

static gboolean plan_definition(Move *move, GError **error)
{
    move->def = volume_move_define(move_original(move)->volume, move->to, move->how, move->bytes,
                                   &move->format, &move->options, error);
    return move->def != NULL;
}

static gboolean move_copy_bytes(const Move *move, const VolumeTxn *txn, GError **error)
{
    CstBlob *from = move_original(move)->blob;
    uint64_t size;

    if (!cst_blob_get_size(from, &size, error))
        return FALSE;
    cst_task_set_total(move->task, size);
    return cst_blob_copy(from, 0, txn->draft.blob, 0, size,
                         txn->draft.zeroed ? CST_COPY_DST_ZERO : 0, move->task, error);
}

static gboolean move_convert_content(Move *move, const VolumeTxn *txn, GError **error)
{
    move->options.create.file_name = move->def->name;
    return cst_image_convert(cst_chain_guest(move->chain.chain), txn->draft.blob, move->format,
                             &move->options.create, txn->draft.zeroed ? CST_CONVERT_TARGET_ZERO : 0,
                             move->task, error);
}

/* Returns the size to which the copy and its snapshots can grow. */
static uint64_t move_promise(const Move *move)
{
    uint64_t bytes = MAX(move->def->capacity, move->def->allocation);

    for (guint i = 0; i < move->history.snapshots->len; i++) {
        const CstSnapshot *snapshot = g_ptr_array_index(move->history.snapshots, i);

        bytes += MIN(snapshot->capacity, G_MAXINT64 - MIN(bytes, (uint64_t)G_MAXINT64));
    }
    return bytes;
}

/*
 * With snapshots the draft begins with the size of the oldest content, and ends with the present
 * size.
 */
static gboolean move_fill_draft(Move *move, VolumeTxn *txn, GError **error)
{
    uint64_t capacity = move->def->capacity;

    txn->promised = move_promise(move);
    if (has_history(move))
        move->def->capacity = volume_history_first_size(&move->history);
    if (!volume_txn_begin(txn, move->to, move->def, VOLUME_MOVE "-copy", error))
        return FALSE;
    if (!has_history(move))
        return move->bytes ? move_copy_bytes(move, txn, error)
                           : move_convert_content(move, txn, error);
    move->def->capacity = capacity;
    move->options.create.file_name = move->def->name;
    return volume_history_write(&move->history, txn, move->format, &move->options.create,
                                move->task, error);
}

/* --- the intent ------------------------------------------------------------------------------- */

/* The copy exists, so the error must report that only the deletion failed. */
static gboolean fail_half(const Move *move, const GError *why, GError **error)
{
    return cst_fail(error, why->code,
                    _("the copy '%s' in pool '%s' is complete, but the original can't be deleted: "
                      "%s"),
                    move->def->name, cst_pool_name(move->to), why->message);
}

/* Records the intent. @copy: the identity of the copy's storage. */
static gboolean move_record_intent(Move *move, const char *copy, GError **error)
{
    const ImageLink *link = move_original(move);
    g_autoptr(GHashTable) fields = intent_fields_new();
    g_autofree char *snapshots = volume_history_names(&move->history);
    g_autofree char *stamp = cst_file_stamp_format(&move->stamp);

    move->aside = *snapshots ? trash_name_of(move->name) : NULL;
    intent_put(fields, "volume", move->name);
    intent_put(fields, "stamp", stamp);
    intent_put(fields, "snapshots", snapshots);
    intent_put(fields, "aside", move->aside);
    intent_put(fields, "to-pool", cst_pool_name(move->to));
    intent_put(fields, "to", move->def->name);
    intent_put(fields, "to-identity", copy);
    if (!intent_put_identity(fields, "identity", link->claim.state, link->volume, error))
        return FALSE;
    move->intent = intent_begin_durable(move->pool, link->claim.state, VOLUME_MOVE, fields, error);
    if (!move->intent)
        return FALSE;
    CST_CRASH_POINT("vol.move.recorded");
    return TRUE;
}

static gboolean record_before(Move *move, const VolumeTxn *txn, GError **error)
{
    g_autofree char *copy = cst_file_id_text(&txn->draft.id);

    return !*copy || move_record_intent(move, copy, error);
}

static gboolean record_after(Move *move, CstPoolState *to, GError **error)
{
    g_autoptr(CstVolume) copy = NULL;
    g_autofree char *identity = NULL;
    g_autoptr(GError) why = NULL;

    if (cst_pool_state_scan_one(to, move->def->name, NULL, &copy, &why) && !copy)
        cst_fail_no_volume(move->def->name, &why);
    if (copy)
        identity = cst_pool_state_vol_identity(to, copy, &why);
    return (identity && move_record_intent(move, identity, &why)) || fail_half(move, why, error);
}

/* --- move of the file ------------------------------------------------------------------------- */

/* Declares the file at its new place, with at most the trust of a copy. */
static gboolean move_declare_target(const Move *move, CstPoolState *state, GError **error)
{
    g_autoptr(CstDeclaration) declaration = trust_of_copy(move->def, move_original(move)->volume);
    g_autoptr(CstVolume) volume = NULL;
    CstDeclaredFile file;

    if (!trust_applies(state))
        return TRUE;
    if (!cst_pool_state_scan_one(state, move->def->name, NULL, &volume, error))
        return FALSE;
    if (!volume)
        return cst_fail(error, CST_ERROR_NO_VOL, "'%s'", move->def->name);
    declaration->restricted |= (volume->flags & CST_VOLUME_SHARED) != 0;
    file = trust_file(state, volume->name, cst_volume_file_id(volume));
    return cst_declarations_set(move->to->service->declarations, &file, declaration, TRUE, error);
}

/* Leaves the completion of the move to the next start, or to the time when the storage answers. */
static void move_leave_to_replay(Move *move, const GError *why)
{
    cst_log(CST_LOG_WARNING, "pool '%s': the move of volume '%s' to pool '%s' is not complete: %s",
            cst_pool_name(move->pool), move->name, cst_pool_name(move->to), why->message);
    cst_intent_keep(g_steal_pointer(&move->intent));
    pool_recover_later(move->pool, move_original(move)->claim.state);
}

/* Removes the file's name in @state again, if the failed call has created it. */
static void move_unlink_adopted(Move *move, CstPoolState *state)
{
    const CstFileId wanted = cst_volume_file_id(move_original(move)->volume);
    g_autoptr(CstVolume) volume = NULL;
    g_autoptr(GError) why = NULL;
    CstFileId found = {0};

    CST_TEST_POINT("vol.move.drop_taken");
    if (cst_pool_state_scan_one(state, move->def->name, NULL, &volume, &why) && volume)
        found = cst_volume_file_id(volume);
    if (cst_file_id_equal(&found, &wanted))
        cst_pool_state_delete(state, move->def->name, 0, &why);
    if (why)
        move_leave_to_replay(move, why);
}

static gboolean move_adopt_file(Move *move, CstPoolState *state, GError **error)
{
    const ImageLink *link = move_original(move);
    const CstFileId file = cst_volume_file_id(link->volume);
    g_autofree char *identity = cst_file_id_text(&file);
    g_autoptr(GError) why = NULL;

    if (!*identity || !cst_pool_state_can_take(state, link->claim.state))
        return cst_fail(error, CST_ERROR_UNSUPPORTED, _("volume '%s' is no file"), move->name);
    if (!move_record_intent(move, identity, error))
        return FALSE;
    move->linked = cst_pool_state_take(state, link->claim.state, move->name, link->blob,
                                       move->def->name, &why);
    if (move->linked) {
        CST_CRASH_POINT("vol.move.linked");
        if (move_declare_target(move, state, &why))
            return TRUE;
    }
    if (!g_error_matches(why, CST_ERROR, CST_ERROR_UNSUPPORTED) &&
        !g_error_matches(why, CST_ERROR, CST_ERROR_VOL_EXISTS))
        move_unlink_adopted(move, state);
    g_propagate_error(error, g_steal_pointer(&why));
    return FALSE;
}

/*
 * If both pools are on the same file system, gives the file its new name in the other pool; the
 * original name is removed later. *ret_done FALSE: the volume has to be copied, also because
 * snapshots are separate files.
 */
static gboolean move_link_target(Move *move, gboolean *ret_done, GError **error)
{
    g_auto(VolumeClaim) claim = {
        .task = move->task, .after = image_chain_last_claim(&move->chain), .creating = TRUE};
    g_auto(PoolPromise) promise = {0};
    const PromiseRequest request = {move->def->name, move_promise(move), TRUE};
    g_autoptr(GError) why = NULL;

    *ret_done = FALSE;
    if (!move->same || has_history(move))
        return TRUE;
    if (!volume_claim(&claim, move->to, move->def->name, CLAIM_WRITE, error) ||
        !cst_pool_state_volume_name_check(claim.state, move->def->name, error) ||
        !cst_pool_state_check_create(claim.state, error) ||
        !pool_promise_reserve(&promise, move->to, claim.state, &request, error))
        return FALSE;
    *ret_done = move_adopt_file(move, claim.state, &why);
    if (!*ret_done) {
        g_clear_pointer(&move->intent, cst_intent_end);
        if (g_error_matches(why, CST_ERROR, CST_ERROR_UNSUPPORTED))
            return TRUE;
        g_propagate_error(error, g_steal_pointer(&why));
        return FALSE;
    }
    CST_CRASH_POINT("vol.move.declared");
    volume_is_new(move->to, move->def->name);
    pool_rescan_volume(move->to, claim.state, move->def->name);
    return TRUE;
}

/* --- the original ----------------------------------------------------------------------------- */

/* Returns TRUE if the volume exists, or if the scan failed. */
static gboolean move_volume_exists(CstPoolState *state, const char *name)
{
    g_autoptr(CstVolume) volume = NULL;

    return !cst_pool_state_scan_any(state, name, NULL, &volume, NULL) || volume;
}

/*
 * Returns TRUE if the original has no name left at present. The replay completes a move of a file
 * with both names, or of an original with its temporary name, without loss.
 */
static gboolean deletion_failed(Move *move, const GError *why, GError **error)
{
    const VolumeClaim *claim = &move_original(move)->claim;
    gboolean aside = move->aside && move_volume_exists(claim->state, move->aside);
    gboolean there = move_volume_exists(claim->state, move->name);

    CST_TEST_POINT("vol.move.deletion_failed");
    if (aside || !there || move->linked)
        move_leave_to_replay(move, why);
    if (!aside && !there)
        return TRUE;
    volume_rescan(claim);
    return fail_half(move, why, error);
}

static gboolean delete_original(Move *move, GError **error)
{
    ImageLink *link = image_chain_link(&move->chain, 0);
    g_autofree char *snapshots = volume_history_names(&move->history);
    CstPoolState *state = link->claim.state;
    g_autoptr(GError) why = NULL;

    /* Close the images, because not all storage can delete open volumes. */
    g_clear_pointer(&move->chain.chain, cst_chain_free);
    if (!move->linked && !check_unwritten(move, &why))
        return fail_half(move, why, error);
    g_clear_pointer(&link->blob, cst_blob_unref);
    /* Without the descriptor of this process, the kernel's count of writers is exact. */
    if (!move->linked && !volume_not_held(&link->claim, &why))
        return fail_half(move, why, error);
    if ((move->aside
             ? !move_delete_by_name(state, move->name, move->aside, snapshots, move->task, &why)
             : !cst_pool_state_delete(state, move->name, 0, &why)) &&
        !deletion_failed(move, why, error))
        return FALSE;
    CST_CRASH_POINT("vol.move.deleted");
    /* While the intent exists, so that a replay does it after a kill. */
    kept_move_copies(move->pool->service, move->pool->name, move->name, move->to->name,
                     move->def->name);
    volume_is_gone(&link->claim, link->volume);
    return TRUE;
}

/* A replay gives the copy its tags, too, before it deletes the original (move_replay.c). */
static gboolean move_copy_tags(const Move *move, GError **error)
{
    g_autoptr(GError) why = NULL;

    return volume_tags_copy(move->pool->service, &move->pool->uuid, move->name, &move->to->uuid,
                            move->def->name, &why) ||
           fail_half(move, why, error);
}

/* Returns a new reference to the content of the copy, for the check of its size. */
static CstBlob *open_counted(Move *move, GError **error)
{
    return move->bytes ? cst_blob_ref(move_original(move)->blob)
                       : cst_chain_view(move->chain.chain, NULL, error);
}

static gboolean move_make_copy(Move *move, GError **error)
{
    g_autoptr(CstBlob) counted = open_counted(move, error);
    g_auto(VolumeTxn) txn = {
        .claim.task = move->task,
        .claim.after = image_chain_last_claim(&move->chain),
        .copies = TRUE,
        .overwrite = (move->how->flags & CST_VOL_CONVERT_OVERWRITE) != 0,
        .image = !cst_image_format_is_plain(move->format),
        .content = cst_image_format_name(move->format),
        .copy.from = counted,
    };

    if (!counted)
        return FALSE;
    if (move->bytes)
        txn.declaration = trust_of_copy(move->def, move_original(move)->volume);
    if (!move_fill_draft(move, &txn, error) || !check_unwritten(move, error) ||
        !record_before(move, &txn, error) || !volume_txn_commit(&txn, move->def, error))
        return FALSE;
    CST_CRASH_POINT("vol.move.copied");
    return move->intent || record_after(move, txn.claim.state, error);
}

/*
 * Checks the space in a dry run. A dry run ends before the second name is created, so it cannot
 * detect whether a copy is needed, except by comparing the file systems.
 */
static gboolean check_room_of_dry_run(Move *move, GError **error)
{
    g_autoptr(CstPoolState) state = NULL;
    g_autoptr(CstBlob) counted = NULL;
    struct stat st;
    CstRoom room;

    if (!cst_dry_run())
        return TRUE;
    state = pool_state_get(move->to, error);
    if (!state)
        return FALSE;
    room = pool_room(state);
    if (room.known && fstat(cst_blob_file_fd(move_original(move)->blob), &st) == 0 &&
        st.st_dev == room.device)
        return TRUE;
    counted = open_counted(move, error);
    return counted && pool_check_room(move->to, state, move->def->name,
                                      &(SpaceCopy){.from = counted}, move->task, error);
}

/* *ret_switched: a running domain may use the new volume, also after a failure. */
static gboolean vol_move_run(CstPool *pool, const char *name, CstPool *to, const CstVolMove *how,
                             CstTask *task, gboolean *ret_switched, GError **error)
{
    g_auto(Move) move = {.pool = pool, .to = to, .name = name, .how = how, .task = task};
    gboolean moved, linked;

    *ret_switched = FALSE;
    if (!cst_flags_check(how->flags, CST_VOL_CONVERT_OVERWRITE | CST_VOL_MOVE_TRANSIENT,
                         "cisternVolMove", error) ||
        (how->name && !cst_name_check(how->name, _("volume"), error)) ||
        !volume_move_check_place(pool, name, to, how, error) ||
        !running_move(pool, name, to, how, task, ret_switched, error))
        return FALSE;
    moved = *ret_switched;
    if (!moved && pool != to && !volume_move_by_rename(pool, name, to, how, task, &moved, error))
        return FALSE;
    return moved ||
           (open_original(&move, error) && plan_definition(&move, error) &&
            check_history(&move, error) && check_room_of_dry_run(&move, error) &&
            move_link_target(&move, &linked, error) && (linked || move_make_copy(&move, error)) &&
            move_copy_tags(&move, error) && delete_original(&move, error));
}

gboolean cst_vol_move(CstPool *pool, const char *name, CstPool *to, const CstVolMove *how,
                      CstTask *task, GError **error)
{
    g_auto(Job) job = {0};
    g_auto(CopyTurn) turn = {0};
    const uint32_t depth = chain_depth_warned(pool, name);
    gboolean done, switched;

    job_begin(&job, pool, "move", name, &task);
    copy_turn_offer(&turn, to, task);
    done = vol_move_run(pool, name, to, how, task, &switched, error);
    if (done || switched) {
        const char *new_name = how->name ? how->name : name;

        if (switched)
            kept_move_copies(pool->service, pool->name, name, to->name, new_name);
        volume_renamed(pool, name, depth, to, new_name);
    }
    return job_end(&job, done, error);
}
