/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The content of a vol-copy. A new copy is sent whole; one that was begun, or that is there, is
 * compared by digests that each side computes of what it has, and sent where it differs.
 *
 * With --since the copy has to be what the snapshot holds. Where the storage tells what has changed
 * since then, only that is read of what the volume holds now; and the snapshot's digests are kept
 * in a cache, so that it is read once (known.h). The far side reads all of its copy, whatever is
 * told: what somebody has changed there is not to be lost. A snapshot that was made anew under the
 * name of another has another identity, and is read.
 *
 * A copy may be larger than the volume, where storage rounds sizes up. Only the volume's bytes are
 * compared then; what is behind them is zeroes, which the far side is given and asked for.
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
#define GAP      (8 * CHUNK) /* equal chunks that are sent rather than begun anew behind them */
#define GAP_TOLD (2 * CHUNK) /* the same, where equal ones would have to be read, too */

/* --- behind the volume's bytes ---------------------------------------------------------------- */

static gboolean take_tail(const void *bytes, size_t len, uint64_t hole, gpointer data,
                          GError **error)
{
    const Copy *copy = data;

    return cst_bytes_are_zero(bytes, len) ||
           cst_fail(error, CST_ERROR_MISMATCH,
                    _("'%s' at '%s' has %" PRIu64 " bytes and vol %s %" PRIu64
                      ", and what is behind these is not zeroes: it is no copy of this one"),
                    copy->there->name, copy->to, copy->there_bytes, copy->name, copy->capacity);
}

static gboolean run_check_tail(CstTask *task, gpointer data, GError **error)
{
    Copy *copy = data;
    const CstVolSend tail = {.offset = copy->capacity,
                             .length = copy->there_bytes - copy->capacity};
    const CstConnSink sink = {.piece = take_tail, .data = copy};

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

/* --- comparing -------------------------------------------------------------------------------- */

static uint64_t digests_total(const Copy *copy)
{
    return copy->capacity / CHUNK * CST_VOL_DIGEST_SIZE;
}

/* No more than was asked for, whatever the server sends. */
static gboolean take_last(const void *bytes, size_t len, uint64_t hole, gpointer data,
                          GError **error)
{
    Chunks *chunks = data;

    if (MAX(len, hole) > chunks->of.capacity - chunks->filled)
        return cst_fail(error, CST_ERROR_LIMIT, "%s", _("the server sends too much content"));
    chunks_add(chunks, bytes, len, hole);
    return TRUE;
}

/*
 * The far side's last digest is of a whole chunk, where the copy is larger than the volume. The
 * volume's bytes in it are read back instead.
 */
static gboolean trim_last(const Copy *copy, CstVolDigests *far, CstTask *task, GError **error)
{
    uint64_t inside = copy->capacity % CHUNK, last = copy->capacity - inside;
    const CstVolSend part = {.offset = last, .length = inside};
    g_auto(Chunks) chunks = {0};
    const CstConnSink sink = {.piece = take_last, .data = &chunks};

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

/* The caller clears *ret, also after a failure. */
static gboolean ask_far(const Copy *copy, const CstVolSend *part, CstTask *task, CstVolDigests *ret,
                        GError **error)
{
    return cst_conn_vol_digests(copy->far, copy->there, part, CHUNK, task, ret, error) &&
           trim_last(copy, ret, task, error);
}

static gboolean digest_far(Copy *copy, CstTask *task, GError **error)
{
    cst_vol_digests_clear(&copy->distant);
    return ask_far(copy, &(CstVolSend){.length = copy->capacity}, task, &copy->distant, error);
}

typedef struct {
    Copy *copy;
    CstTask *task;
    gboolean ok, ended; /* ended: atomic */
    GError *error;
} FarDigests;

static gpointer far_thread(gpointer data)
{
    FarDigests *digests = data;

    digests->ok = digest_far(digests->copy, digests->task, &digests->error);
    g_atomic_int_set(&digests->ended, TRUE);
    return NULL;
}

/* Both sides at once; the near one counts. */
static gboolean digest_both(Copy *copy, const CstVolSend *what, CstTask *task, GError **error)
{
    g_autoptr(CstTask) far_task = cst_task_new();
    FarDigests digests = {.copy = copy, .task = far_task};
    GThread *thread;
    gboolean ok;

    cst_vol_digests_clear(&copy->near);
    cst_task_set_total(task, digests_total(copy));
    thread = g_thread_new("digests", far_thread, &digests);
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

/* What was read here of the snapshot is what is there. */
static gboolean check_is_then(const Copy *copy, GError **error)
{
    g_autoptr(GArray) runs = chunks_compare(&copy->near, &copy->distant, 0);

    return runs->len == 0 ||
           cst_fail(error, CST_ERROR_MISMATCH,
                    _("'%s' at '%s' is not what snapshot '%s' holds: it differs at byte %" PRIu64
                      "; it was changed there, or is a copy of something else; --update makes it "
                      "the same whatever it holds"),
                    copy->new_name, copy->to, copy->since, g_array_index(runs, CstRange, 0).offset);
}

/* --- sending ---------------------------------------------------------------------------------- */

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

/* The digests are computed of what passes, so that it is read once. */
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

static gboolean run_compare(CstTask *task, gpointer data, GError **error)
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
                      ": one of them was changed meanwhile, or the far side does not keep what it "
                      "gets; the original was left as it is"),
                    copy->to, copy->name, g_array_index(runs, CstRange, 0).offset);
}

/* The far side tells what it has, and it is what was read here. */
static gboolean run_verify(CstTask *task, gpointer data, GError **error)
{
    Copy *copy = data;

    cst_task_set_total(task, digests_total(copy));
    return digest_far(copy, task, error) && same_size(copy, error) &&
           copy_check_is_there(copy, error) && run_check_tail(task, copy, error);
}

/* --- since a snapshot ------------------------------------------------------------------------- */

/* What has changed since the snapshot; what somebody writes to meanwhile can't be told. */
static gboolean ask(const Copy *copy, CstTask *task, CliChanged *ret, GError **error)
{
    if (copy->what.flags && !copy->what.snapshot)
        return TRUE;
    return cli_changed_ask(copy->conn, copy->vol, copy->since, copy->what.snapshot, CHUNK,
                           copy->capacity, task, ret, error);
}

/* Which snapshot this is; "": not known. Free it. */
static char *identify(const Copy *copy, const char *snapshot)
{
    char *identity = NULL;
    uint64_t capacity;

    return snapshot && cli_snapshot_identify(copy->conn, copy->vol, snapshot, &identity, &capacity,
                                             NULL)
               ? identity
               : g_strdup("");
}

/* Keeps the digests of a snapshot that was read, if it was the same one from then until now. */
static void keep(const Copy *copy, const char *snapshot, const char *identity)
{
    g_autofree char *now = identify(copy, snapshot);

    if (strcmp(now, identity) == 0)
        known_save(copy->vol, identity, &copy->near);
}

/*
 * Both sides' digests of what the snapshot holds: the near one's from the cache, or read. *ret_read
 * says so.
 */
static gboolean digest_then(Copy *copy, const char *identity, CstTask *task, gboolean *ret_read,
                            GError **error)
{
    const CstVolSend then = {.snapshot = copy->since, .flags = copy->what.flags};

    *ret_read = !known_load(copy->vol, identity, copy->capacity, CHUNK, &copy->near);
    if (*ret_read)
        return digest_both(copy, &then, task, error);
    cst_task_set_total(task, digests_total(copy));
    return digest_far(copy, task, error);
}

/* Something that is not the copy made then must not be written over. */
static gboolean run_check_since(CstTask *task, gpointer data, GError **error)
{
    Copy *copy = data;
    gboolean read;

    if (!ask(copy, task, &copy->changed, error) ||
        !digest_then(copy, copy->changed.dirty ? copy->changed.identity : "", task, &read, error) ||
        !same_size(copy, error) || !check_is_then(copy, error))
        return FALSE;
    if (read && copy->changed.dirty)
        keep(copy, copy->since, copy->changed.identity);
    return TRUE;
}

/* Puts the digests of a part, as they are @now, into @all of the volume @name. */
static gboolean renew(CstVolDigests *all, const CstVolDigests *now, const char *name,
                      GError **error)
{
    if (!cli_check_size(name, all->capacity, now->capacity, error))
        return FALSE;
    memcpy(all->digests->data + now->offset / CHUNK * CST_VOL_DIGEST_SIZE, now->digests->data,
           now->digests->len);
    return TRUE;
}

static gboolean renew_near(Copy *copy, const CstRange *run, CstTask *task, GError **error)
{
    const CstVolSend part = {copy->what.snapshot, run->offset, run->length, copy->what.flags};
    g_auto(CstVolDigests) now = {0};

    return cst_conn_vol_digests(copy->conn, copy->vol, &part, CHUNK, task, &now, error) &&
           renew(&copy->near, &now, copy->vol->name, error);
}

static gboolean renew_far(Copy *copy, const CstRange *run, GError **error)
{
    const CstVolSend part = {.offset = run->offset, .length = run->length};
    g_auto(CstVolDigests) now = {0};

    return ask_far(copy, &part, NULL, &now, error) &&
           renew(&copy->distant, &now, copy->there->name, error);
}

/* What has changed is read; what has not is what the snapshot holds. */
static gboolean run_compare_told(CstTask *task, gpointer data, GError **error)
{
    Copy *copy = data;
    g_autoptr(GArray) runs = cli_changed_runs(&copy->changed, GAP_TOLD);

    copy->read = cli_runs_total(runs);
    cst_task_set_total(task, copy->read / CHUNK * CST_VOL_DIGEST_SIZE);
    for (guint i = 0; i < runs->len; i++)
        if (!renew_near(copy, &g_array_index(runs, CstRange, i), task, error))
            return FALSE;
    return TRUE;
}

/* Whoever has written to the volume since it was asked has made another answer of it, or is found
 * by what was read. */
static gboolean check_told_again(const Copy *copy, CstTask *task, GError **error)
{
    g_auto(CliChanged) again = {0};

    if (!ask(copy, task, &again, error))
        return FALSE;
    return cli_changed_equal(&again, &copy->changed) ||
           cst_fail(error, CST_ERROR_BUSY,
                    _("vol %s or its snapshot '%s' was changed meanwhile; --update makes the copy "
                      "the same"),
                    copy->name, copy->since);
}

/* Sends what differs, and proves that it is there. */
static gboolean run_send_told(CstTask *task, gpointer data, GError **error)
{
    Copy *copy = data;
    g_autoptr(GArray) runs = chunks_compare(&copy->near, &copy->distant, GAP_TOLD);

    if (!send_runs(copy, runs, task, error) || !check_told_again(copy, task, error))
        return FALSE;
    for (guint i = 0; i < runs->len; i++)
        if (!renew_far(copy, &g_array_index(runs, CstRange, i), error))
            return FALSE;
    return copy_check_is_there(copy, error);
}

static gboolean send_told(Copy *copy, GError **error)
{
    CliCtl *ctl = copy->ctl;
    g_autofree char *all = cli_size_text(ctl, copy->capacity);
    g_autofree char *read = NULL;

    if (!cli_run_task(ctl, _("Comparing"), run_compare_told, copy, error))
        return FALSE;
    read = cli_size_text(ctl, copy->read);
    if (!ctl->settings.quiet)
        cli_warn(ctl, _("The storage tells what has changed since '%s': %s of %s are read\n"),
                 copy->since, read, all);
    return cli_run_task(ctl, _("Copying"), run_send_told, copy, error);
}

/* --- all of it -------------------------------------------------------------------------------- */

static gboolean send_whole(Copy *copy, GError **error)
{
    CliCtl *ctl = copy->ctl;
    /* A near side that computes no digests can't be compared with what is there. */
    gboolean done = copy->fresh || !copy->near_can.digests
                        ? cli_run_task(ctl, _("Copying"), run_send_all, copy, error)
                        : cli_run_task(ctl, _("Comparing"), run_compare, copy, error) &&
                              cli_run_task(ctl, _("Copying"), run_send_differences, copy, error);

    return done && clear_tail(copy, error) &&
           cli_run_task(ctl, _("Verifying"), run_verify, copy, error);
}

gboolean copy_content(Copy *copy, GError **error)
{
    g_autofree char *identity = identify(copy, copy->what.snapshot);

    /* What is to be brought up to date is a copy of this volume, or another's disk. */
    if ((copy->update || copy->since) && copy->there_bytes > copy->capacity &&
        !cli_run_task(copy->ctl, _("Comparing"), run_check_tail, copy, error))
        return FALSE;
    if (copy->since && !cli_run_task(copy->ctl, _("Comparing"), run_check_since, copy, error))
        return FALSE;
    if (copy->changed.dirty ? !send_told(copy, error) : !send_whole(copy, error))
        return FALSE;
    if (copy->what.snapshot)
        keep(copy, copy->what.snapshot, identity);
    return TRUE;
}
