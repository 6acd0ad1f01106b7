/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Copies a volume with its snapshots. A draft gets the oldest content, and a snapshot of the draft
 * is created. Then the differences to the next content are written, and so on up to the present
 * content. So source and destination may keep their snapshots by different technologies or images.
 *
 * If the source can report the changes between two contents, only these ranges are read. They are
 * compared with the content of the draft, because superfluous writes would take space in the new
 * snapshots.
 */
#include "history.h"

#include <string.h>

#include <base/crash.h>
#include <base/error.h>
#include <base/file.h>
#include <base/i18n.h>
#include <blob/steps.h>
#include <image/convert.h>
#include <image/snapshot.h>

#include "clone.h"
#include "volume/image/changed.h"

#define NAMED_AT_MOST 20    /* snapshots named in a message */
#define RANGES_MAX    16384 /* maximal number of ranges that a source reports at once: 256 KiB */

void volume_history_clear(VolumeHistory *history)
{
    g_clear_pointer(&history->snapshots, g_ptr_array_unref);
}

/* --- list of snapshots ------------------------------------------------------------------------ */

/* Copies the list of the image. The allocation of a snapshot inside an image is unknown. */
GPtrArray *volume_snapshots_inside(CstImage *image, const char *format, GError **error)
{
    g_autoptr(GPtrArray) found = cst_image_snapshot_list(image, error);
    GPtrArray *list;

    if (!found)
        return NULL;
    list = g_ptr_array_new_with_free_func((GDestroyNotify)cst_snapshot_free);
    for (guint i = 0; i < found->len; i++) {
        const CstImageSnapshot *from = g_ptr_array_index(found, i);
        CstSnapshot *to = g_new0(CstSnapshot, 1);

        to->name = g_strdup(from->name);
        to->kept_by = g_strdup(format);
        to->created = (int64_t)from->seconds;
        to->capacity = from->capacity;
        to->allocation = CST_SNAPSHOT_UNKNOWN;
        to->machine_state = from->state_size;
        g_ptr_array_add(list, to);
    }
    return list;
}

static const CstSnapshot *snapshot_at(const VolumeHistory *history, guint index)
{
    return g_ptr_array_index(history->snapshots, index);
}

static const ImageLink *history_first_link(const VolumeHistory *history)
{
    return image_chain_link(history->chain, 0);
}

/*
 * Lists the image's own snapshots. If the pool still keeps snapshots from before the volume was an
 * image, lists these instead.
 */
gboolean volume_history_read(VolumeHistory *history, ImageChain *chain, GError **error)
{
    const ImageLink *link = image_chain_link(chain, 0);
    g_autoptr(GPtrArray) outside = NULL;

    history->chain = chain;
    if (cst_pool_state_has_snapshots(link->claim.state)) {
        outside = cst_pool_state_snapshots(link->claim.state, link->volume->name, error);
        if (!outside)
            return FALSE;
    }
    history->inside = volume_keeps_snapshots(link->volume) && (!outside || outside->len == 0);
    if (history->inside)
        history->snapshots =
            volume_snapshots_inside(cst_chain_image(chain->chain), link->volume->format, error);
    else
        history->snapshots =
            outside ? g_steal_pointer(&outside)
                    : g_ptr_array_new_with_free_func((GDestroyNotify)cst_snapshot_free);
    return history->snapshots != NULL;
}

/* --- checks ----------------------------------------------------------------------------------- */

/*
 * Returns the reason why a raw copy cannot have snapshots, if the pool's technology has to keep
 * them. Returns NULL if it can.
 */
static const char *history_raw_problem(CstPoolState *to, GError **error)
{
    gboolean can;

    if (!cst_pool_state_snapshots_of_drafts(to, &can, error) || can)
        return NULL;
    return cst_pool_volume_format_ok(to->def->type, "qcow2")
               ? _("a raw volume there cannot receive snapshots; a volume of format 'qcow2' can")
               : _("its type of pool cannot receive snapshots");
}

/*
 * Returns the reason why the destination cannot have any of the snapshots. Returns NULL without an
 * error if it can. The caller frees it.
 */
static char *history_problem(const VolumeHistory *history, CstPoolState *to,
                             const CstImageFormat *format, GError **error)
{
    const CstVolume *volume = history_first_link(history)->volume;

    if (!history->inside && volume->format && !cst_image_name_is_plain(volume->format))
        return g_strdup_printf(_("they are outside of a %s image"), volume->format);
    if (cst_image_format_is_plain(format))
        return g_strdup(history_raw_problem(to, error));
    return cst_image_format_has_snapshots(format)
               ? NULL
               : g_strdup_printf(_("format '%s' cannot store snapshots"),
                                 cst_image_format_name(format));
}

/*
 * Returns the reason why this snapshot cannot be copied, or NULL. The caller frees it. @names: the
 * names of the previous snapshots, to which its name is added.
 */
static char *why_not(const CstSnapshot *snapshot, GHashTable *names, CstPoolState *to,
                     const CstImageFormat *format)
{
    g_autoptr(GError) why = NULL;

    if (snapshot->problem)
        return g_strdup_printf("'%s': %s", snapshot->name, snapshot->problem);
    if (snapshot->machine_state)
        return g_strdup_printf(_("'%s' has a machine's state with it"), snapshot->name);
    if (!g_hash_table_add(names, snapshot->name))
        return g_strdup_printf(_("two are called '%s'"), snapshot->name);
    if (cst_image_format_has_snapshots(format)
            ? !cst_name_check(snapshot->name, _("snapshot"), &why)
            : !cst_pool_state_name_check(to, snapshot->name, _("snapshot"), &why))
        return g_strdup(why->message);
    return NULL;
}

static gboolean history_refuse_copy(const VolumeHistory *history, const CstPool *pool,
                                    const char *why, GError **error)
{
    g_autoptr(GString) list = g_string_new(NULL);

    for (guint i = 0; i < history->snapshots->len && i < NAMED_AT_MOST; i++)
        g_string_append_printf(list, "\n  %s", snapshot_at(history, i)->name);
    if (history->snapshots->len > NAMED_AT_MOST)
        g_string_append(list, "\n  …");
    return cst_fail(error, CST_ERROR_BUSY,
                    _("snapshots of volume '%s' can't be taken along to pool '%s' (%s); delete "
                      "them, or make volumes of them (snap-clone), first:%s"),
                    history_first_link(history)->volume->name, cst_pool_name(pool), why, list->str);
}

gboolean volume_history_fits(const VolumeHistory *history, const CstPool *pool, CstPoolState *to,
                             const CstImageFormat *format, GError **error)
{
    g_autoptr(GHashTable) names = g_hash_table_new(g_str_hash, g_str_equal);
    g_autofree char *why = NULL;
    g_autoptr(GError) trouble = NULL;

    if (history->snapshots->len == 0)
        return TRUE;
    why = history_problem(history, to, format, &trouble);
    if (trouble) {
        g_propagate_error(error, g_steal_pointer(&trouble));
        return FALSE;
    }
    for (guint i = 0; !why && i < history->snapshots->len; i++)
        why = why_not(snapshot_at(history, i), names, to, format);
    return !why || history_refuse_copy(history, pool, why, error);
}

uint64_t volume_history_first_size(const VolumeHistory *history)
{
    return history->snapshots->len > 0 ? snapshot_at(history, 0)->capacity
                                       : history_first_link(history)->volume->capacity;
}

/* --- reading ---------------------------------------------------------------------------------- */

/* Returns the name of content @index. Returns NULL for the present content of the volume. */
static const char *name_at(const VolumeHistory *history, guint index)
{
    return index < history->snapshots->len ? snapshot_at(history, index)->name : NULL;
}

static CstBlob *history_open_content(const VolumeHistory *history, guint index, GError **error)
{
    const ImageLink *link = history_first_link(history);
    const char *name = name_at(history, index);

    if (name && !history->inside)
        return cst_pool_state_snapshot_open(link->claim.state, link->volume->name, name, error);
    return cst_chain_view(history->chain->chain, name, error);
}

static gboolean ask_changed(const VolumeHistory *history, guint index, CstTask *task,
                            CstChanged *changed, GError **error)
{
    const ImageLink *link = history_first_link(history);
    const char *since = name_at(history, index - 1), *until = name_at(history, index);

    return history->inside ? cst_image_changed(cst_chain_image(history->chain->chain), since, until,
                                               task, changed, error)
                           : volume_changed_outside(&link->claim, link->volume, since, until, task,
                                                    changed, error);
}

/*
 * Reports the ranges in which content @index may differ from the previous one, from changed->offset
 * on. If the source cannot report ranges, the whole content is one range.
 */
static gboolean where_changed(const VolumeHistory *history, guint index, uint64_t size,
                              CstTask *task, CstChanged *changed, GError **error)
{
    g_autoptr(GError) why = NULL;

    if (ask_changed(history, index, task, changed, &why))
        return TRUE;
    if (!g_error_matches(why, CST_ERROR, CST_ERROR_UNSUPPORTED)) {
        g_propagate_error(error, g_steal_pointer(&why));
        return FALSE;
    }
    cst_changed_begin(changed, size, NULL);
    cst_changed_add(changed, 0, size);
    cst_changed_end(changed, size);
    return TRUE;
}

/* --- writing ---------------------------------------------------------------------------------- */

typedef struct {
    const VolumeHistory *history;
    VolumeTxn *txn;
    const CstImageFormat *format;
    const CstImageCreate *options;
    CstTask *task;
    CstBlob *guest;   /* guest-visible content of the draft; NULL: not open */
    int64_t taken_us; /* time of the last snapshot, as passed to the draft's storage */
} Writer;

static void writer_clear(Writer *writer)
{
    g_clear_pointer(&writer->guest, cst_blob_unref);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Writer, writer_clear)

static gboolean is_image(const Writer *writer)
{
    return !cst_image_format_is_plain(writer->format);
}

/* NO_BARRIERS: no other volume depends on a draft, and the commit syncs it. */
static CstImage *writer_open_image(const Writer *writer, GError **error)
{
    return cst_image_open(writer->txn->draft.blob, writer->format,
                          CST_IMAGE_WRITE | CST_IMAGE_NO_BARRIERS, NULL, error);
}

static gboolean writer_open_guest(Writer *writer, GError **error)
{
    CstImage *image;

    if (writer->guest)
        return TRUE;
    image = writer_open_image(writer, error);
    writer->guest = image ? cst_image_guest_blob(image) : NULL;
    return writer->guest != NULL;
}

/*
 * Closes the draft, because snapshots and the size must not be changed while it is open for
 * writing. An image is opened for such a change separately.
 */
static gboolean close_guest(Writer *writer, GError **error)
{
    gboolean flushed = !writer->guest || cst_blob_flush(writer->guest, error);

    g_clear_pointer(&writer->guest, cst_blob_unref);
    return flushed;
}

static gboolean writer_resize_image(const Writer *writer, uint64_t size, GError **error)
{
    g_autoptr(CstImage) image = writer_open_image(writer, error);

    return image && (cst_image_capacity(image) == size ||
                     (cst_image_resize(image, size, CST_PREALLOC_OFF, writer->task, error) &&
                      cst_image_flush(image, error)));
}

/* For a draft that is not a file. An open blob may keep the previous size, so it is reopened. */
static gboolean resize_draft(const Writer *writer, uint64_t size, GError **error)
{
    CstPoolState *state = writer->txn->claim.state;
    CstVolDraft *draft = &writer->txn->draft;
    uint64_t has;

    if (!cst_blob_get_size(draft->blob, &has, error))
        return FALSE;
    if (has == size)
        return TRUE;
    g_clear_pointer(&draft->blob, cst_blob_unref);
    if (!cst_pool_state_vol_resize(state, draft->name, size, writer->task, error))
        return FALSE;
    draft->blob = cst_pool_state_vol_open(state, draft->name, TRUE, error);
    return draft->blob != NULL;
}

static gboolean writer_set_size(Writer *writer, uint64_t size, GError **error)
{
    gboolean by_pool = !is_image(writer) && cst_pool_state_can_resize(writer->txn->claim.state);

    return close_guest(writer, error) &&
           (by_pool ? resize_draft(writer, size, error) : writer_resize_image(writer, size, error));
}

static gboolean snapshot_image(const Writer *writer, const char *name, GError **error)
{
    g_autoptr(CstImage) image = writer_open_image(writer, error);

    return image && cst_image_snapshot_create(image, name, writer->task, error) &&
           cst_image_flush(image, error);
}

/*
 * Returns the time of the next snapshot. Several snapshots may have the same second, or a clock may
 * have been set back. The times are increasing, so that the order is kept.
 */
static int64_t writer_next_created_us(Writer *writer, const CstSnapshot *snapshot)
{
    int64_t told = MIN(snapshot->created, G_MAXUINT32) * G_USEC_PER_SEC;

    writer->taken_us = MAX(told > 0 ? told : g_get_real_time(), writer->taken_us + 1);
    return writer->taken_us;
}

/*
 * The room is the whole volume, which is the maximum that can be overwritten. So there is always
 * enough.
 */
static gboolean snapshot_draft(Writer *writer, guint index, GError **error)
{
    const CstSnapshot *snapshot = snapshot_at(writer->history, index);
    const CstSnapshotCreate how = {
        .room = snapshot->limit ? snapshot->limit : snapshot->capacity,
        .taken_us = writer_next_created_us(writer, snapshot),
        .consistency = snapshot->consistency,
        .consistency_reason = snapshot->consistency_reason,
    };

    return cst_pool_state_snapshot_create(writer->txn->claim.state, writer->txn->draft.name,
                                          snapshot->name, &how, writer->task, error);
}

static gboolean writer_make_snapshot(Writer *writer, guint index, GError **error)
{
    if (!close_guest(writer, error) ||
        !(is_image(writer) ? snapshot_image(writer, name_at(writer->history, index), error)
                           : snapshot_draft(writer, index, error)))
        return FALSE;
    CST_CRASH_POINT("vol.history.snapshot");
    return TRUE;
}

/* Writes the oldest content. */
static gboolean write_first(Writer *writer, CstBlob *content, GError **error)
{
    VolumeTxn *txn = writer->txn;
    unsigned flags = txn->draft.zeroed ? CST_CONVERT_TARGET_ZERO : 0;
    uint64_t size;

    return cst_blob_get_size(content, &size, error) &&
           cst_image_convert(content, txn->draft.blob, writer->format, writer->options, flags,
                             writer->task, error) &&
           (is_image(writer) || volume_txn_clear_behind(txn, size, error));
}

/*
 * Writes the changes from @offset on that the source reports at once. *ret_next: begin of the
 * remaining part.
 */
static gboolean writer_write_part(const Writer *writer, guint index, CstBlob *content,
                                  uint64_t offset, uint64_t *ret_next, GError **error)
{
    g_auto(CstChanged) changed = {.offset = offset, .max = RANGES_MAX};
    uint64_t size;

    if (!cst_blob_get_size(content, &size, error) ||
        !where_changed(writer->history, index, size, writer->task, &changed, error))
        return FALSE;
    for (guint i = 0; i < changed.ranges->len; i++)
        cst_task_add_total(writer->task, g_array_index(changed.ranges, CstRange, i).length);
    *ret_next = changed.next < changed.capacity ? changed.next : UINT64_MAX;
    return cst_image_patch(content, writer->guest, changed.ranges, writer->task, error);
}

static gboolean write_changes(const Writer *writer, guint index, CstBlob *content, GError **error)
{
    uint64_t offset = 0;

    while (offset < UINT64_MAX)
        if (!writer_write_part(writer, index, content, offset, &offset, error))
            return FALSE;
    return TRUE;
}

/* Writes content @index over the previous one. */
static gboolean write_next(Writer *writer, guint index, CstBlob *content, GError **error)
{
    uint64_t size;

    return cst_blob_get_size(content, &size, error) && writer_set_size(writer, size, error) &&
           writer_open_guest(writer, error) && write_changes(writer, index, content, error);
}

/* A snapshot is lost if more data were overwritten than it has room for. */
static gboolean writer_check_snapshots(const Writer *writer, GError **error)
{
    g_autoptr(GPtrArray) made = NULL;

    if (is_image(writer))
        return TRUE;
    made = cst_pool_state_snapshots(writer->txn->claim.state, writer->txn->draft.name, error);
    for (guint i = 0; made && i < made->len; i++) {
        const CstSnapshot *snapshot = g_ptr_array_index(made, i);

        if (snapshot->problem)
            return cst_fail(error, CST_ERROR_FAILED, _("snapshot '%s' of the copy: %s"),
                            snapshot->name, snapshot->problem);
    }
    return made != NULL;
}

static gboolean write_content(Writer *writer, guint index, GError **error)
{
    g_autoptr(CstBlob) content = cst_task_check(writer->task, error)
                                     ? history_open_content(writer->history, index, error)
                                     : NULL;

    if (!content || !(index == 0 ? write_first(writer, content, error)
                                 : write_next(writer, index, content, error)))
        return FALSE;
    return index == writer->history->snapshots->len || writer_make_snapshot(writer, index, error);
}

gboolean volume_history_write(const VolumeHistory *history, VolumeTxn *txn,
                              const CstImageFormat *format, const CstImageCreate *options,
                              CstTask *task, GError **error)
{
    g_auto(Writer) writer = {
        .history = history, .txn = txn, .format = format, .options = options, .task = task};

    if (cst_image_format_is_plain(format) && !txn->draft.name)
        return cst_fail(error, CST_ERROR_UNSUPPORTED,
                        _("the draft in pool '%s' cannot have snapshots yet"),
                        cst_pool_name(txn->claim.pool));
    for (guint i = 0; i <= history->snapshots->len; i++)
        if (!write_content(&writer, i, error))
            return FALSE;
    return close_guest(&writer, error) && writer_check_snapshots(&writer, error);
}

/* --- after the copy --------------------------------------------------------------------------- */

char *volume_history_names(const VolumeHistory *history)
{
    g_autoptr(GString) names = g_string_new(NULL);

    for (guint i = 0; !history->inside && i < history->snapshots->len; i++) {
        g_autofree char *word = g_uri_escape_string(snapshot_at(history, i)->name, NULL, FALSE);

        g_string_append_printf(names, "%s%s", i > 0 ? "," : "", word);
    }
    return g_string_free(g_steal_pointer(&names), FALSE);
}

static gboolean history_has_name(char *const *words, const char *name)
{
    g_autofree char *word = g_uri_escape_string(name, NULL, FALSE);

    return g_strv_contains((const char *const *)words, word);
}

gboolean volume_history_is_whole(CstPoolState *state, const char *name, const char *names)
{
    g_auto(GStrv) words = g_strsplit(names, ",", -1);
    g_autoptr(GPtrArray) present =
        cst_pool_state_has_snapshots(state) ? cst_pool_state_snapshots(state, name, NULL) : NULL;
    guint found = 0;

    for (guint i = 0; present && i < present->len; i++)
        found += history_has_name(words, ((const CstSnapshot *)present->pdata[i])->name);
    return found == g_strv_length(words);
}

gboolean volume_history_remove(CstPoolState *state, const char *name, const char *names,
                               CstTask *task, GError **error)
{
    g_auto(GStrv) words = g_strsplit(names, ",", -1);
    g_autoptr(GPtrArray) present = NULL;

    if (!cst_pool_state_has_snapshots(state))
        return TRUE;
    present = cst_pool_state_snapshots(state, name, error);
    for (guint i = 0; present && i < present->len; i++) {
        const CstSnapshot *snapshot = g_ptr_array_index(present, i);

        if (!history_has_name(words, snapshot->name))
            return cst_fail(error, CST_ERROR_STATE,
                            _("snapshot '%s' of volume '%s' was created in the meantime"),
                            snapshot->name, name);
    }
    for (guint i = present ? present->len : 0; i-- > 0;) {
        const CstSnapshot *snapshot = g_ptr_array_index(present, i);

        if (!cst_pool_state_snapshot_remove(state, name, snapshot->name, task, error))
            return FALSE;
        CST_CRASH_POINT("vol.history.removed");
    }
    return present != NULL;
}
