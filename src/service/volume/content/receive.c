/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Creates a volume and receives its guest-visible content in a stream. It is a transaction
 * (transaction.c): the volume appears when the sender has finished, and no volume is left if the
 * sender disconnects. The image has the format and properties of the document, and no backing file.
 */
#include <inttypes.h>

#include <base/dry_run.h>
#include <base/error.h>
#include <base/flags.h>
#include <base/i18n.h>
#include <blob/steps.h>

#include "core/pool.h"
#include "stream.h"
#include "volume/create/plan.h"
#include "volume/create/transaction.h"

typedef struct {
    CstUpload base;
    VolumeTxn txn;
    CstVolDef *def;
    VolumePlan plan;
    CstBlob *guest;  /* guest-visible content */
    gboolean zeroed; /* unwritten parts read as zeroes */
    uint64_t offset;
} Receive;

/* --- the new volume --------------------------------------------------------------------------- */

/* NO_BARRIERS: no other volume depends on a draft, and the commit syncs it. */
static gboolean receive_make_image(Receive *receive, GError **error)
{
    const CstVolDraft *draft = &receive->txn.draft;
    const VolumePlan *plan = &receive->plan;
    CstImage *image;

    if (!cst_image_create(draft->blob, plan->format, &plan->options, receive->base.task, error))
        return FALSE;
    image = cst_image_open(draft->blob, plan->format, CST_IMAGE_WRITE | CST_IMAGE_NO_BARRIERS, NULL,
                           error);
    if (!image)
        return FALSE;
    receive->guest = cst_image_guest_blob(image);
    /* A new image reads as zeroes. Raw bytes on a device have their former content. */
    receive->zeroed = draft->zeroed || !cst_image_format_is_plain(plan->format);
    return TRUE;
}

static gboolean receive_check_def(const CstVolDef *def, unsigned flags, GError **error)
{
    if (def->backing)
        return cst_fail(error, CST_ERROR_CONFIG,
                        _("volume '%s' gets all of its content and can't be based on another one"),
                        def->name);
    return def->type != CST_VOL_DIR
               ? volume_flags_fit(def, flags, error)
               : cst_fail(error, CST_ERROR_CONFIG, _("a directory has no content to receive"));
}

static gboolean open_receive(Receive *receive, CstPool *pool, unsigned flags, GError **error)
{
    receive->txn = (VolumeTxn){.claim.task = receive->base.task,
                               .claim.stream = TRUE,
                               .copies = TRUE,
                               .overwrite = (flags & CST_VOL_CREATE_OVERWRITE) != 0};
    if (!receive_check_def(receive->def, flags, error) ||
        !volume_plan(receive->def, flags, &receive->plan, error))
        return FALSE;
    receive->txn.copy = (SpaceCopy){.whole = image_takes_all_space(&receive->plan.options),
                                    .capacity = receive->def->capacity};
    if (!volume_txn_begin(&receive->txn, pool, receive->def, "receive", error) ||
        !receive_make_image(receive, error))
        return FALSE;
    if (cst_task_progress(receive->base.task).total == 0)
        cst_task_set_total(receive->base.task, receive->def->capacity);
    return cst_may_change(error);
}

/* --- writes ----------------------------------------------------------------------------------- */

static gboolean receive_check_fits(const Receive *receive, uint64_t length, GError **error)
{
    if (length <= receive->def->capacity - receive->offset)
        return cst_task_check(receive->base.task, error);
    return cst_fail(error, CST_ERROR_NO_SPACE,
                    _("more is sent than the %" PRIu64 " bytes of volume '%s'"),
                    receive->def->capacity, receive->def->name);
}

static gboolean make_zero(Receive *receive, uint64_t length, GError **error)
{
    return receive->zeroed || cst_blob_zero_steps(receive->guest, receive->offset, length,
                                                  CST_ZERO_MAY_UNMAP, receive->base.task, error);
}

/* Zeroes are not allocated, even if the sender sends them as data. */
static gboolean receive_write(CstUpload *base, const void *data, size_t len, GError **error)
{
    Receive *receive = (Receive *)base;

    if (!receive_check_fits(receive, len, error) ||
        !(cst_bytes_are_zero(data, len)
              ? make_zero(receive, len, error)
              : cst_blob_pwrite(receive->guest, data, len, receive->offset, error)))
        return FALSE;
    receive->offset += len;
    cst_task_advance(base->task, len);
    return TRUE;
}

static gboolean receive_write_hole(CstUpload *base, uint64_t length, GError **error)
{
    Receive *receive = (Receive *)base;

    if (!receive_check_fits(receive, length, error) || !make_zero(receive, length, error))
        return FALSE;
    receive->offset += length;
    cst_task_skip(base->task, length);
    return TRUE;
}

static gboolean receive_finish(CstUpload *base, GError **error)
{
    Receive *receive = (Receive *)base;

    return make_zero(receive, receive->def->capacity - receive->offset, error) &&
           cst_blob_flush(receive->guest, error) &&
           volume_txn_commit(&receive->txn, receive->def, error);
}

static void receive_ends(CstUpload *base)
{
    volume_stream_ends(&((Receive *)base)->txn.claim);
}

static void receive_close(CstUpload *base)
{
    Receive *receive = (Receive *)base;

    g_clear_pointer(&receive->guest, cst_blob_unref);
    volume_txn_end(&receive->txn);
    cst_vol_def_free(receive->def);
}

static const UploadClass receive_class = {receive_write, receive_write_hole, receive_finish,
                                          receive_ends, receive_close};

CstUpload *cst_vol_receive(CstPool *pool, const char *xml, unsigned flags, CstTask *task,
                           char **ret_name, GError **error)
{
    g_autoptr(CstPoolState) state = NULL;
    g_autofree char *name = NULL;
    CstUpload *upload;
    CstVolDef *def;
    Receive *receive;

    if (!cst_flags_check(flags, CST_VOL_CREATE_PREALLOC_FLAGS | CST_VOL_CREATE_OVERWRITE,
                         "cisternVolReceive", error))
        return NULL;
    state = pool_state_get(pool, error);
    def = state ? volume_parse(xml, state, flags, 0, error) : NULL;
    if (!def)
        return NULL;
    name = g_strdup(def->name);
    receive = g_new0(Receive, 1);
    receive->def = def;
    upload_begin(&receive->base, &receive_class, pool, "receive", name, task);
    upload = upload_opened(&receive->base, open_receive(receive, pool, flags, error), error);
    if (upload)
        *ret_name = g_steal_pointer(&name);
    return upload;
}
