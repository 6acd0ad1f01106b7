/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The transfer of content in vol-copy. A new copy is sent completely. For an interrupted or
 * existing copy, both sides compute digests of their content, and only the differing parts are
 * sent.
 *
 * With --since, the copy must equal the snapshot. If the storage reports changes since the
 * snapshot, only changed parts of the volume are read. The digests of the snapshot are cached, so
 * that it is read only once (known.h). The destination always reads its complete copy, so that
 * changes made there are not overwritten. A snapshot that was recreated under the same name has
 * another identity, and is read again.
 *
 * A copy may be larger than the volume, because some storage rounds sizes up. Then only the
 * volume's bytes are compared. The bytes after them are zeroes, which the source sends and
 * verifies.
 */
#include "copy.h"

#include <inttypes.h>
#include <string.h>

#include <base/error.h>
#include <base/i18n.h>
#include <blob/blob.h>

#include "known.h"
#include "output/progress.h"
#include "output/report.h"
#include "output/text.h"

#define CHUNK    COPY_CHUNK
#define GAP      (8 * CHUNK) /* equal bytes in a gap that is sent too */
#define GAP_TOLD (2 * CHUNK) /* the same, if the gap must also be read */

/* --- after the volume's end ------------------------------------------------------------------- */

static gboolean tail_check_zero(const void *bytes, size_t len, uint64_t hole, gpointer data,
                                GError **error)
{
    const Copy *copy = data;

    return cst_bytes_are_zero(bytes, len) ||
           cst_fail(error, CST_ERROR_MISMATCH,
                    _("'%s' at '%s' has %" PRIu64 " bytes and vol %s %" PRIu64
                      ", and the additional bytes are not zeroes: it is no copy of this vol"),
                    copy->there->name, copy->to, copy->there_bytes, copy->name, copy->capacity);
}

static gboolean run_check_tail(CstTask *task, gpointer data, GError **error)
{
    Copy *copy = data;
    const CstVolSend tail = {.offset = copy->capacity,
                             .length = copy->there_bytes - copy->capacity};
    const CstConnSink sink = {.piece = tail_check_zero, .data = copy};

    return tail.length == 0 || cst_conn_vol_send(copy->far, copy->there, &tail, &sink, task, error);
}

static gboolean clear_tail(Copy *copy, GError **error)
{
    uint64_t length = copy->there_bytes - copy->capacity;
    gboolean done;

    if (length == 0)
        return TRUE;
    copy->receive = cst_conn_vol_patch(copy->far, copy->there, copy->capacity, NULL, error);
    done = copy->receive && cst_conn_receive_piece(NULL, 0, length, copy->receive, error) &&
           cst_conn_patch_finish(copy->receive, error);
    g_clear_pointer(&copy->receive, cst_conn_receive_free);
    return done;
}

/* --- comparison ------------------------------------------------------------------------------- */

static uint64_t digests_total(const Copy *copy)
{
    return copy->capacity / CHUNK * CST_VOL_DIGEST_SIZE;
}

/* Add a piece, and fail if the server sends more than requested. */
static gboolean last_chunk_add_piece(const void *bytes, size_t len, uint64_t hole, gpointer data,
                                     GError **error)
{
    Chunks *chunks = data;

    if (MAX(len, hole) > chunks->of.capacity - chunks->filled)
        return cst_fail(error, CST_ERROR_LIMIT, "%s", _("the server sends too much content"));
    chunks_add(chunks, bytes, len, hole);
    return TRUE;
}

/*
 * Replace the last digest of the destination if the copy is larger than the volume. That digest is
 * of a complete chunk, so the volume's bytes in the chunk are read back instead.
 */
static gboolean trim_last(const Copy *copy, CstVolDigests *far, CstTask *task, GError **error)
{
    uint64_t inside = copy->capacity % CHUNK, last = copy->capacity - inside;
    const CstVolSend part = {.offset = last, .length = inside};
    g_auto(Chunks) chunks = {0};
    const CstConnSink sink = {.piece = last_chunk_add_piece, .data = &chunks};

    if (copy->there_bytes <= copy->capacity || inside == 0 || far->offset + far->length <= last)
        return TRUE;
    if (!chunks_begin(&chunks, inside, CHUNK, error) ||
        !cst_conn_vol_send(copy->far, copy->there, &part, &sink, task, error))
        return FALSE;
    if (chunks.filled != inside)
        return cst_fail(error, CST_ERROR_RPC, "%s", _("the server has sent too little content"));
    chunks_end(&chunks);
    memcpy(far->digests->data + far->digests->len - CST_VOL_DIGEST_SIZE, chunks.of.digests->data,
           CST_VOL_DIGEST_SIZE);
    return TRUE;
}

/* Get digests from the destination. The caller clears *ret, also after a failure. */
static gboolean query_destination_digests(const Copy *copy, const CstVolSend *part, CstTask *task,
                                          CstVolDigests *ret, GError **error)
{
    return cst_conn_vol_digests(copy->far, copy->there, part, CHUNK, task, ret, error) &&
           trim_last(copy, ret, task, error);
}

static gboolean digest_destination(Copy *copy, CstTask *task, GError **error)
{
    cst_vol_digests_clear(&copy->distant);
    return query_destination_digests(copy, &(CstVolSend){.length = copy->capacity}, task,
                                     &copy->distant, error);
}

typedef struct {
    Copy *copy;
    CstTask *task;
    gboolean ok, ended; /* ended: atomic */
    GError *error;
} FarDigests;

static gpointer destination_digest_thread(gpointer data)
{
    FarDigests *digests = data;

    digests->ok = digest_destination(digests->copy, digests->task, &digests->error);
    g_atomic_int_set(&digests->ended, TRUE);
    return NULL;
}

/* Compute the digests on both sides in parallel. The task shows the progress of the source. */
static gboolean digest_both(Copy *copy, const CstVolSend *what, CstTask *task, GError **error)
{
    g_autoptr(CstTask) far_task = cst_task_new();
    FarDigests digests = {.copy = copy, .task = far_task};
    GThread *thread;
    gboolean ok;

    cst_vol_digests_clear(&copy->near);
    cst_task_set_total(task, digests_total(copy));
    thread = g_thread_new("digests", destination_digest_thread, &digests);
    ok = cst_conn_vol_digests(copy->conn, copy->vol, what, CHUNK, task, &copy->near, error);
    if (!ok)
        cst_task_cancel(far_task);
    while (ok && !g_atomic_int_get(&digests.ended)) {
        if (cst_task_cancelled(task))
            cst_task_cancel(far_task);
        g_usleep(20000);
    }
    g_thread_join(thread);
    if (!ok)
        g_clear_error(&digests.error);
    else if (!digests.ok)
        g_propagate_error(error, digests.error);
    return ok && digests.ok;
}

static gboolean same_size(const Copy *copy, GError **error)
{
    return cli_check_size(copy->name, copy->capacity, copy->near.capacity, error) &&
           cli_check_size(copy->name, copy->there_bytes, copy->distant.capacity, error);
}

/* Fail with MISMATCH unless the copy equals the snapshot that was read here. */
static gboolean check_is_then(const Copy *copy, GError **error)
{
    g_autoptr(GArray) runs = chunks_compare(&copy->near, &copy->distant, 0);

    return runs->len == 0 ||
           cst_fail(error, CST_ERROR_MISMATCH,
                    _("'%s' at '%s' differs from snapshot '%s' at byte %" PRIu64
                      ": it was changed there, or is a copy of another volume; --update overwrites "
                      "the differences"),
                    copy->new_name, copy->to, copy->since, g_array_index(runs, CstRange, 0).offset);
}

/* --- transfer --------------------------------------------------------------------------------- */

gboolean copy_pass_piece(const void *bytes, size_t len, uint64_t hole, gpointer data,
                         GError **error)
{
    Copy *copy = data;

    if (copy->passed.digest)
        chunks_add(&copy->passed, bytes, len, hole);
    return cst_conn_receive_piece(bytes, len, hole, copy->receive, error);
}

void copy_keep_passed(Copy *copy)
{
    chunks_end(&copy->passed);
    cst_vol_digests_clear(&copy->near);
    copy->near = copy->passed.of;
    copy->passed.of.digests = NULL;
    chunks_clear(&copy->passed);
    copy->passed = (Chunks){0};
}

static gboolean send_run(Copy *copy, uint64_t offset, uint64_t length, CstTask *task,
                         GError **error)
{
    CstVolSend what = copy->what;
    gboolean done;

    what.offset = offset;
    what.length = length;
    copy->receive = cst_conn_vol_patch(copy->far, copy->there, offset, NULL, error);
    done = copy->receive &&
           cli_vol_content_send(copy->content, &what, copy_pass_piece, copy, task, error) &&
           cst_conn_patch_finish(copy->receive, error);
    g_clear_pointer(&copy->receive, cst_conn_receive_free);
    return done;
}

static gboolean send_runs(Copy *copy, const GArray *runs, CstTask *task, GError **error)
{
    cst_task_set_total(task, cli_runs_total(runs));
    for (guint i = 0; i < runs->len; i++) {
        const CstRange *run = &g_array_index(runs, CstRange, i);

        if (!send_run(copy, run->offset, run->length, task, error))
            return FALSE;
    }
    return TRUE;
}

/* Compute the digests during the transfer, so that the source is read only once. */
static gboolean run_send_all(CstTask *task, gpointer data, GError **error)
{
    Copy *copy = data;

    cst_task_set_total(task, copy->capacity);
    if (!chunks_begin(&copy->passed, copy->capacity, CHUNK, error) ||
        !send_run(copy, 0, 0, task, error))
        return FALSE;
    copy_keep_passed(copy);
    return TRUE;
}

static gboolean run_copy_compare(CstTask *task, gpointer data, GError **error)
{
    Copy *copy = data;

    return digest_both(copy, &copy->what, task, error) && same_size(copy, error);
}

static gboolean run_send_differences(CstTask *task, gpointer data, GError **error)
{
    Copy *copy = data;
    g_autoptr(GArray) runs = chunks_compare(&copy->near, &copy->distant, GAP);

    return send_runs(copy, runs, task, error);
}

gboolean copy_check_is_there(const Copy *copy, GError **error)
{
    g_autoptr(GArray) runs = chunks_compare(&copy->near, &copy->distant, 0);

    return runs->len == 0 ||
           cst_fail(error, CST_ERROR_MISMATCH,
                    _("the copy at '%s' differs from vol %s at byte %" PRIu64
                      ": one of them changed during the copy, or the destination does not store "
                      "data reliably; the original was left as it is"),
                    copy->to, copy->name, g_array_index(runs, CstRange, 0).offset);
}

/* Verify that the destination has the digests of the source. */
static gboolean run_verify(CstTask *task, gpointer data, GError **error)
{
    Copy *copy = data;

    cst_task_set_total(task, digests_total(copy));
    return digest_destination(copy, task, error) && same_size(copy, error) &&
           copy_check_is_there(copy, error) && run_check_tail(task, copy, error);
}

/* --- changes since a snapshot ----------------------------------------------------------------- */

/*
 * Query the changes since the snapshot. With --force-share and without --snapshot, a program may
 * write to the volume, so the changes cannot be determined. A live snapshot has no record of them.
 */
static gboolean copy_query_changes(const Copy *copy, CstTask *task, CliChanged *ret, GError **error)
{
    if ((copy->what.flags && !copy->what.snapshot) || copy->live.snapshot)
        return TRUE;
    return cli_changed_ask(copy->conn, copy->vol, copy->since, copy->what.snapshot, CHUNK,
                           copy->capacity, task, ret, error);
}

/* Return: the identity of the snapshot; "" if unknown. The caller frees it. */
static char *copy_snapshot_identity(const Copy *copy, const char *snapshot)
{
    char *identity = NULL;
    uint64_t capacity;

    return snapshot && cli_snapshot_identify(copy->conn, copy->vol, snapshot, &identity, &capacity,
                                             NULL)
               ? identity
               : g_strdup("");
}

/* Cache the digests of a snapshot, if its identity has not changed since @identity was read. */
static void copy_cache_digests(const Copy *copy, const char *snapshot, const char *identity)
{
    g_autofree char *now = copy_snapshot_identity(copy, snapshot);

    if (strcmp(now, identity) == 0)
        known_save(copy->vol, identity, &copy->near);
}

/*
 * Get both sides' digests for the snapshot. The digests of the source come from the cache or are
 * computed. *ret_read is TRUE if they were computed.
 */
static gboolean digest_then(Copy *copy, const char *identity, CstTask *task, gboolean *ret_read,
                            GError **error)
{
    const CstVolSend then = {.snapshot = copy->since, .flags = copy->what.flags};

    *ret_read = !known_load(copy->vol, identity, copy->capacity, CHUNK, &copy->near);
    if (*ret_read)
        return digest_both(copy, &then, task, error);
    cst_task_set_total(task, digests_total(copy));
    return digest_destination(copy, task, error);
}

/* Refuse to overwrite a volume that is not the copy of the snapshot. */
static gboolean run_check_since(CstTask *task, gpointer data, GError **error)
{
    Copy *copy = data;
    gboolean read;

    if (!copy_query_changes(copy, task, &copy->changed, error) ||
        !digest_then(copy, copy->changed.dirty ? copy->changed.identity : "", task, &read, error) ||
        !same_size(copy, error) || !check_is_then(copy, error))
        return FALSE;
    if (read && copy->changed.dirty)
        copy_cache_digests(copy, copy->since, copy->changed.identity);
    return TRUE;
}

/* Replace the digests of a part (@now) in the digests of the complete volume @name (@all). */
static gboolean digests_replace_part(CstVolDigests *all, const CstVolDigests *now, const char *name,
                                     GError **error)
{
    if (!cli_check_size(name, all->capacity, now->capacity, error))
        return FALSE;
    memcpy(all->digests->data + now->offset / CHUNK * CST_VOL_DIGEST_SIZE, now->digests->data,
           now->digests->len);
    return TRUE;
}

static gboolean digests_renew_source(Copy *copy, const CstRange *run, CstTask *task, GError **error)
{
    const CstVolSend part = {copy->what.snapshot, run->offset, run->length, copy->what.flags};
    g_auto(CstVolDigests) now = {0};

    return cst_conn_vol_digests(copy->conn, copy->vol, &part, CHUNK, task, &now, error) &&
           digests_replace_part(&copy->near, &now, copy->vol->name, error);
}

static gboolean digests_renew_destination(Copy *copy, const CstRange *run, GError **error)
{
    const CstVolSend part = {.offset = run->offset, .length = run->length};
    g_auto(CstVolDigests) now = {0};

    return query_destination_digests(copy, &part, NULL, &now, error) &&
           digests_replace_part(&copy->distant, &now, copy->there->name, error);
}

/* Read the changed runs. All other chunks keep the digests of the snapshot. */
static gboolean run_compare_changed(CstTask *task, gpointer data, GError **error)
{
    Copy *copy = data;
    g_autoptr(GArray) runs = cli_changed_runs(&copy->changed, GAP_TOLD);

    copy->read = cli_runs_total(runs);
    cst_task_set_total(task, copy->read / CHUNK * CST_VOL_DIGEST_SIZE);
    for (guint i = 0; i < runs->len; i++)
        if (!digests_renew_source(copy, &g_array_index(runs, CstRange, i), task, error))
            return FALSE;
    return TRUE;
}

/*
 * Detect writes to the volume since the first query: the second answer must be equal. The answer
 * does not show a write to a chunk that had already changed, but these chunks were read.
 */
static gboolean check_changes_stable(const Copy *copy, CstTask *task, GError **error)
{
    g_auto(CliChanged) again = {0};

    if (!copy_query_changes(copy, task, &again, error))
        return FALSE;
    return cli_changed_equal(&again, &copy->changed) ||
           cst_fail(error, CST_ERROR_BUSY,
                    _("vol %s or its snapshot '%s' changed during the copy; --update makes the "
                      "copy identical"),
                    copy->name, copy->since);
}

/* Send the differing runs, and verify that the destination has stored them. */
static gboolean run_send_changed(CstTask *task, gpointer data, GError **error)
{
    Copy *copy = data;
    g_autoptr(GArray) runs = chunks_compare(&copy->near, &copy->distant, GAP_TOLD);

    if (!send_runs(copy, runs, task, error) || !check_changes_stable(copy, task, error))
        return FALSE;
    for (guint i = 0; i < runs->len; i++)
        if (!digests_renew_destination(copy, &g_array_index(runs, CstRange, i), error))
            return FALSE;
    return copy_check_is_there(copy, error);
}

static gboolean send_changed_runs(Copy *copy, GError **error)
{
    CliCtl *ctl = copy->ctl;
    g_autofree char *all = cli_size_text(ctl, copy->capacity);
    g_autofree char *read = NULL;

    if (!cli_run_task(ctl, _("Comparing"), run_compare_changed, copy, error))
        return FALSE;
    read = cli_size_text(ctl, copy->read);
    if (!ctl->settings.quiet)
        cli_warn(ctl, _("The storage reports the changes since '%s': %s of %s are read\n"),
                 copy->since, read, all);
    return cli_run_task(ctl, _("Copying"), run_send_changed, copy, error);
}

/* --- complete copies -------------------------------------------------------------------------- */

static gboolean send_whole(Copy *copy, GError **error)
{
    CliCtl *ctl = copy->ctl;
    /* If the source computes no digests, the copy cannot be compared and is sent completely. */
    gboolean done = copy->fresh || !copy->near_can.digests
                        ? cli_run_task(ctl, _("Copying"), run_send_all, copy, error)
                        : cli_run_task(ctl, _("Comparing"), run_copy_compare, copy, error) &&
                              cli_run_task(ctl, _("Copying"), run_send_differences, copy, error);

    return done && clear_tail(copy, error) &&
           cli_run_task(ctl, _("Verifying"), run_verify, copy, error);
}

gboolean copy_content(Copy *copy, GError **error)
{
    g_autofree char *identity = copy_snapshot_identity(copy, copy->what.snapshot);

    /* Verify first that the existing volume is a copy of this one, and not another disk. */
    if ((copy->update || copy->since) && copy->there_bytes > copy->capacity &&
        !cli_run_task(copy->ctl, _("Comparing"), run_check_tail, copy, error))
        return FALSE;
    if (copy->since && !cli_run_task(copy->ctl, _("Comparing"), run_check_since, copy, error))
        return FALSE;
    if (copy->changed.dirty ? !send_changed_runs(copy, error) : !send_whole(copy, error))
        return FALSE;
    if (copy->what.snapshot)
        copy_cache_digests(copy, copy->what.snapshot, identity);
    return TRUE;
}
