/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The checked dispatcher of image formats. It checks state, range and capability, turns a missing
 * callback into one clear error, calls the format, and verifies its contract (dispatch.h).
 * Callbacks that inspect report through a CstInspection and return no error.
 */
#include <image/image.h>

#include <inttypes.h>
#include <string.h>

#include <base/error.h>
#include <base/i18n.h>
#include <base/test_point.h>

#include "dispatch.h"

gboolean image_may_change(const CstImage *image, GError **error)
{
    return image->writable || cst_fail(error, CST_ERROR_READ_ONLY,
                                       _("'%s' is open for reading only"), image->blob->name);
}

/* --- formats ------------------------------------------------------------------------------- */

const char *cst_image_format_name(const CstImageFormat *format)
{
    return format->name;
}

const char *cst_image_format_xml_name(const CstImageFormat *format)
{
    return format->xml_name ? format->xml_name : format->name;
}

gboolean cst_image_format_is_plain(const CstImageFormat *format)
{
    return format->is_plain;
}

gboolean cst_image_format_is_raw(const CstImageFormat *format)
{
    return format->is_raw;
}

gboolean cst_image_format_is_container(const CstImageFormat *format)
{
    return format->is_container;
}

gboolean cst_image_format_has_sector_size(const CstImageFormat *format)
{
    return (format->create_options & CST_CREATE_SECTOR_SIZE) != 0;
}

gboolean cst_image_format_can_create(const CstImageFormat *format)
{
    return format->create != NULL;
}

gboolean cst_image_format_can_open(const CstImageFormat *format)
{
    return format->open != NULL;
}

/* --- inspecting ---------------------------------------------------------------------------- */

gboolean cst_inspection_run(CstInspection *inspection, const CstImageFormat *format, GError **error)
{
    inspection->info->format = format;
    if (!inspection->error)
        format->inspect(inspection);
    return cst_inspection_ok(inspection, error);
}

static gboolean check_info(const CstBlob *blob, const CstImageInfo *info, const CstImageOpen *how,
                           GError **error)
{
    gboolean may_back = info->backing || (how->flags & CST_IMAGE_SAME_CONTENT);

    if (info->encryption)
        return cst_fail(error, CST_ERROR_UNSUPPORTED,
                        _("'%s' is encrypted (%s): its content can't be read here; 'qemu-img "
                          "convert' with a secret object can decrypt it"),
                        blob->name, info->encryption);
    if (how->backing && !may_back)
        return cst_fail(error, CST_ERROR_INVALID, _("'%s' has no backing image"), blob->name);
    return TRUE;
}

gboolean cst_image_inspect_for_open(CstBlob *blob, const CstImageFormat *format,
                                    const CstImageOpen *how, CstImageInfo *ret_info, GError **error)
{
    uint8_t head[CST_IMAGE_PROBE_LEN];
    g_auto(CstImageInfo) info = {0};
    CstInspection inspection;

    if (!cst_inspection_init(&inspection, blob, head, &info, error) ||
        !cst_inspection_run(&inspection, format, error) ||
        !cst_inspection_is_sound(&inspection, error) || !check_info(blob, &info, how, error))
        return FALSE;
    *ret_info = info;
    memset(&info, 0, sizeof(info));
    return TRUE;
}

GPtrArray *cst_image_inspect_parts(CstBlob *blob, const CstImageFormat *format, GError **error)
{
    uint8_t head[CST_IMAGE_PROBE_LEN];
    g_auto(CstImageInfo) info = {0};
    g_autoptr(GPtrArray) parts = NULL;
    CstInspection inspection;

    if (!format->inspect_parts)
        return NULL;
    if (!cst_inspection_init(&inspection, blob, head, &info, error))
        return NULL;
    parts = g_ptr_array_new_with_free_func((GDestroyNotify)cst_image_part_free);
    info.format = format;
    format->inspect_parts(&inspection, parts);
    if (!cst_inspection_ok(&inspection, error))
        return NULL;
    return g_steal_pointer(&parts);
}

gboolean cst_image_inspect_luks(CstBlob *blob, const CstImageFormat *format, CstImageLuks *ret_luks,
                                GError **error)
{
    uint8_t head[CST_IMAGE_PROBE_LEN];
    g_auto(CstImageInfo) info = {0};
    g_auto(CstImageLuks) luks = {0};
    CstInspection inspection;

    if (!cst_inspection_init(&inspection, blob, head, &info, error))
        return FALSE;
    info.format = format;
    if (format->inspect_luks)
        format->inspect_luks(&inspection, &luks);
    if (!cst_inspection_ok(&inspection, error))
        return FALSE;
    *ret_luks = luks;
    memset(&luks, 0, sizeof(luks));
    return TRUE;
}

/* --- creating ------------------------------------------------------------------------------ */

gboolean cst_image_check_create(const CstImageFormat *format, const CstImageCreate *options,
                                GError **error)
{
    const struct {
        CstCreateOptions bit;
        gboolean used;
        const char *name;
    } table[] = {
        {CST_CREATE_BACKING, options->backing || options->backing_format, "backing_file"},
        {CST_CREATE_COMPAT, options->compat != NULL, "compat"},
        {CST_CREATE_CLUSTER_SIZE, options->cluster_size != 0, "cluster_size"},
        {CST_CREATE_LAZY_REFCOUNTS, options->lazy_refcounts, "lazy_refcounts"},
        {CST_CREATE_EXTENDED_L2, options->extended_l2, "extended_l2"},
        {CST_CREATE_COMPRESSION, options->compression != NULL, "compression_type"},
        {CST_CREATE_REFCOUNT_BITS, options->refcount_bits != 0, "refcount_bits"},
        {CST_CREATE_SUBFORMAT, options->subformat != NULL, "subformat"},
        {CST_CREATE_BLOCK_SIZE, options->block_size != 0, "block_size"},
        {CST_CREATE_SECTOR_SIZE, options->sector_size != 0, "logical_sector_size"},
        {CST_CREATE_FORCE_SIZE, options->round_size, "force_size"},
        {CST_CREATE_ADAPTER_TYPE, options->adapter_type != NULL, "adapter_type"},
        {CST_CREATE_DATA_FILE, options->data_file || options->data_file_raw, "data_file"},
        {CST_CREATE_HW_VERSION, options->hw_version != NULL, "hwversion"},
        {CST_CREATE_ZEROED_GRAIN, options->zeroed_grain, "zeroed_grain"},
        {CST_CREATE_LOG_SIZE, options->log_size != 0, "log_size"},
        {CST_CREATE_TABLE_SIZE, options->table_size != 0, "table_size"},
        {CST_CREATE_METADATA, options->preallocation == CST_PREALLOC_METADATA,
         "preallocation=metadata"},
    };

    for (size_t i = 0; i < G_N_ELEMENTS(table); i++)
        if (table[i].used && !(format->create_options & table[i].bit))
            return cst_fail(error, CST_ERROR_ARGUMENT_UNSUPPORTED,
                            _("image format '%s' has no option '%s'"), format->name, table[i].name);
    if ((options->backing != NULL) != (options->backing_format != NULL))
        return cst_fail(error, CST_ERROR_INVALID,
                        _("a backing image must come with its format, and a format with an image"));
    return TRUE;
}

gboolean cst_image_create(CstBlob *blob, const CstImageFormat *format,
                          const CstImageCreate *options, CstTask *task, GError **error)
{
    CstImageCreate rounded = *options;
    CstCall call;
    gboolean done;

    if (!format->create)
        return cst_fail(error, CST_ERROR_UNSUPPORTED, _("images of format '%s' can't be created"),
                        format->name);
    if (!cst_image_check_create(format, options, error))
        return FALSE;
    if (options->capacity > G_MAXINT64 - 511)
        return cst_fail(error, CST_ERROR_INVALID, _("the capacity is out of range"));
    if (!format->is_plain)
        rounded.capacity = (options->capacity + 511) / 512 * 512;
    if (!blob->writable)
        return cst_fail(error, CST_ERROR_READ_ONLY, _("'%s' is open for reading only"), blob->name);
    call = image_call_begin(format, "create", blob->name);
    done = format->create(format, blob, &rounded, task, &call.why) &&
           (format->is_plain || cst_blob_pad_image(blob, &call.why));
    return cst_call_end(&call, done, error);
}

/* --- opening ------------------------------------------------------------------------------- */

CstImage *cst_image_open(CstBlob *blob, const CstImageFormat *format, unsigned flags,
                         CstBlob *backing, GError **error)
{
    const CstImageOpen how = {.flags = flags, .backing = backing};

    return cst_image_open_as(blob, format, &how, error);
}

static gboolean check_snapshot(const CstBlob *blob, const CstImageFormat *format,
                               const CstImageOpen *how, GError **error)
{
    if (how->snapshot && !format->snapshots)
        return cst_fail(error, CST_ERROR_UNSUPPORTED, _("images of format '%s' have no snapshots"),
                        format->name);
    return !how->snapshot || !(how->flags & CST_IMAGE_WRITE) ||
           cst_fail(error, CST_ERROR_READ_ONLY, _("a snapshot of '%s' can only be read"),
                    blob->name);
}

static gboolean check_can_open(const CstBlob *blob, const CstImageFormat *format,
                               const CstImageOpen *how, GError **error)
{
    gboolean writable = (how->flags & CST_IMAGE_WRITE) != 0;

    if (!format->open)
        return cst_fail(error, CST_ERROR_UNSUPPORTED, _("'%s' can't be opened as '%s': %s"),
                        blob->name, format->name, _(format->instead));
    if (writable && !format->is_plain && !format->pwrite)
        return cst_fail(error, CST_ERROR_UNSUPPORTED,
                        _("'%s' can only be read, as images of format '%s' can: convert it to "
                          "another one"),
                        blob->name, format->name);
    if (writable && !blob->writable)
        return cst_fail(error, CST_ERROR_READ_ONLY, _("'%s' is open for reading only"), blob->name);
    return check_snapshot(blob, format, how, error);
}

CstImage *cst_image_open_as(CstBlob *blob, const CstImageFormat *format, const CstImageOpen *how,
                            GError **error)
{
    CstImage *image;
    CstCall call;

    if (!check_can_open(blob, format, how, error))
        return NULL;
    call = image_call_begin(format, "open", blob->name);
    image = format->open(format, blob, how, &call.why);
    if (image) {
        image->format = format;
        image->blob = cst_blob_ref(blob);
        image->backing = how->backing ? cst_blob_ref(how->backing) : NULL;
        image->writable = (how->flags & CST_IMAGE_WRITE) != 0;
    }
    if (!cst_call_end(&call, image != NULL, error))
        g_clear_pointer(&image, cst_image_free);
    return image;
}

void cst_image_free(CstImage *image)
{
    CstBlob *blob, *backing;
    gboolean padded;
    CstCall call;

    if (!image)
        return;
    blob = image->blob;
    padded = image->writable && !image->format->is_plain;
    backing = image->backing;
    call = image_call_begin(image->format, "close", blob->name);
    image->format->close(image);
    cst_call_trace(&call, TRUE);
    /*
     * The image is valid without the padding. A program that cannot read an unpadded file reports
     * its own error.
     */
    if (padded)
        cst_blob_pad_image(blob, NULL);
    cst_blob_unref(blob);
    cst_blob_unref(backing);
}

uint64_t cst_image_capacity(CstImage *image)
{
    return image->capacity;
}

unsigned cst_image_sector_size(CstImage *image)
{
    return image->sector_size ? image->sector_size : CST_SECTOR_SIZE;
}

gboolean cst_image_flush(CstImage *image, GError **error)
{
    if (!image->writable || !image->format->flush)
        return TRUE;
    return IMAGE_CALL(image, flush, error);
}

gboolean cst_format_measure(const CstMeasuring *measuring, CstImageMeasure *ret_measure,
                            GError **error)
{
    CstCall call = image_call_begin(measuring->format, "measure", NULL);
    gboolean done = measuring->format->measure(measuring, ret_measure, &call.why);

    return cst_call_end(&call, done, error);
}

uint64_t cst_image_zero_unit(CstImage *image)
{
    return image->format->zero_unit ? image->format->zero_unit(image) : 0;
}

uint64_t cst_image_compression_unit(CstImage *image)
{
    return image->format->packed_unit ? image->format->packed_unit(image) : 0;
}

gboolean cst_image_write_compressed(CstImage *image, const void *buf, size_t len, uint64_t offset,
                                    GError **error)
{
    uint64_t unit = cst_image_compression_unit(image);

    if (!image_may_change(image, error))
        return FALSE;
    if (unit == 0)
        return cst_fail(error, CST_ERROR_UNSUPPORTED, _("'%s' can't be compressed"),
                        image->blob->name);
    if (offset % unit != 0 || offset >= image->capacity ||
        len != MIN(unit, image->capacity - offset))
        return cst_fail(error, CST_ERROR_INVALID,
                        _("compressed data must be whole units of %" PRIu64 " bytes"), unit);
    return IMAGE_CALL(image, write_packed, error, buf, len, offset);
}

/*
 * Reverts a growth whose space could not be allocated. If that fails too, the prefix of @why has
 * the capacity of the image.
 */
static void undo_growth(CstImage *image, uint64_t old, GError **why)
{
    g_autoptr(GError) left = NULL;

    CST_TEST_POINT("image.resize.undo");
    if (!IMAGE_CALL(image, resize, &left, old, CST_PREALLOC_OFF, NULL))
        g_prefix_error(why,
                       _("'%s' has grown to %" PRIu64 " bytes, but its space is not "
                         "allocated: "),
                       image->blob->name, image->capacity);
}

gboolean cst_image_resize(CstImage *image, uint64_t capacity, CstPreallocation preallocation,
                          CstTask *task, GError **error)
{
    uint64_t old = image->capacity;

    if (!image_may_change(image, error))
        return FALSE;
    if (!image->format->resize)
        return cst_fail(error, CST_ERROR_UNSUPPORTED, _("images of format '%s' can't be resized"),
                        image->format->name);
    if (capacity > G_MAXINT64 - 511)
        return cst_fail(error, CST_ERROR_INVALID, _("the capacity is out of range"));
    if (!image->format->is_plain)
        capacity = (capacity + 511) / 512 * 512;
    if (IMAGE_CALL(image, resize, error, capacity, preallocation, task))
        return TRUE;
    if (image->capacity > old)
        undo_growth(image, old, error);
    return FALSE;
}

/* --- checking ------------------------------------------------------------------------------ */

static gboolean check_once(CstBlob *blob, const CstImageFormat *format, unsigned flags,
                           const CstImageFiles *files, CstFindings *findings,
                           CstImageCheck *ret_check, CstTask *task, GError **error)
{
    CstImageCheck check = {.findings = findings};
    CstCall call;
    gboolean done;

    if (!format->check)
        return cst_fail(error, CST_ERROR_UNSUPPORTED, _("images of format '%s' can't be checked"),
                        format->name);
    if (flags && !blob->writable)
        return cst_fail(error, CST_ERROR_READ_ONLY, _("'%s' is open for reading only"), blob->name);
    call = image_call_begin(format, "check", blob->name);
    done = format->check(format, blob, files, flags, &check, task, &call.why);
    if (!cst_call_end(&call, done, error))
        return FALSE;
    *ret_check = check;
    return TRUE;
}

gboolean cst_image_check(CstBlob *blob, const CstImageFormat *format, unsigned flags,
                         CstImageCheck *ret_check, CstTask *task, GError **error)
{
    return cst_image_check_as(blob, format, flags, NULL, ret_check, task, error);
}

gboolean cst_image_check_as(CstBlob *blob, const CstImageFormat *format, unsigned flags,
                            const CstImageFiles *files, CstImageCheck *ret_check, CstTask *task,
                            GError **error)
{
    return check_once(blob, format, flags, files, NULL, ret_check, task, error);
}

/* Only a check without repair lists its findings, because a repair may check several times and
 * changes the image between the checks. */
gboolean cst_image_check_list(CstBlob *blob, const CstImageFormat *format, unsigned flags,
                              const CstImageFiles *files, CstFindings *findings,
                              CstImageCheck *ret_check, CstTask *task, GError **error)
{
    CstImageCheck repaired = {0}, left = {0};

    if (flags && !check_once(blob, format, flags, files, NULL, &repaired, task, error))
        return FALSE;
    if (flags && repaired.errors + repaired.leaks == 0) {
        *ret_check = repaired;
        return TRUE;
    }
    if (repaired.errors_fixed + repaired.leaks_fixed > 0 && !cst_blob_flush(blob, error))
        return FALSE;
    if (!check_once(blob, format, 0, files, findings, &left, task, error))
        return FALSE;
    left.errors_fixed = repaired.errors_fixed;
    left.leaks_fixed = repaired.leaks_fixed;
    *ret_check = left;
    return TRUE;
}
