/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <image/image.h>

#include <inttypes.h>
#include <string.h>

#include <base/error.h>
#include <base/i18n.h>

#include "format.h"

/*
 * The checked dispatch: the only place, with snapshot.c and bitmap.c, that calls through a
 * CstImageFormat.
 */

/* A failure without an error would crash far away, in whoever reads error->message. */
static gboolean result(gboolean ok, GError **error)
{
    g_assert(ok || !error || *error);
    return ok;
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

const CstImageFormat *cst_image_format_find(const char *name, GError **error)
{
    for (size_t i = 0; cst_image_registry[i]; i++) {
        const CstImageFormat *format = cst_image_registry[i];

        if (strcmp(format->name, name) == 0 || g_strcmp0(format->alias, name) == 0)
            return format;
    }
    cst_fail(error, CST_ERROR_INVALID, _("unknown image format '%s'"), name);
    return NULL;
}

const CstImageFormat *const *cst_image_formats(void)
{
    return cst_image_registry;
}

gboolean cst_image_format_can_create(const CstImageFormat *format)
{
    return format->create != NULL;
}

gboolean cst_image_format_can_open(const CstImageFormat *format)
{
    return format->open != NULL;
}

/* --- looking ------------------------------------------------------------------------------- */

void cst_image_info_clear(CstImageInfo *info)
{
    g_free(info->problem);
    g_free(info->backing);
    g_free(info->backing_format);
    g_free(info->data_file);
    g_free(info->encryption);
    g_free(info->compat);
    g_free(info->compression);
    g_free(info->subformat);
    memset(info, 0, sizeof(*info));
}

static gboolean has_magic(const CstImageFormat *format, const uint8_t *head, size_t len)
{
    for (size_t i = 0; i < G_N_ELEMENTS(format->magic); i++) {
        const CstImageMagic *magic = &format->magic[i];

        if (magic->len > 0 && len >= magic->offset + magic->len &&
            memcmp(head + magic->offset, magic->bytes, magic->len) == 0)
            return TRUE;
    }
    return FALSE;
}

/* The format that the magic number alone tells; raw: none. */
static const CstImageFormat *format_of_magic(const uint8_t *head, size_t len)
{
    for (size_t i = 0; cst_image_registry[i]; i++)
        if (has_magic(cst_image_registry[i], head, len))
            return cst_image_registry[i];
    return &cst_format_raw;
}

const CstImageFormat *cst_image_probe(const uint8_t *head, size_t len, uint64_t size)
{
    const CstImageFormat *best = &cst_format_raw;
    int best_score = 0;

    for (size_t i = 0; cst_image_registry[i]; i++) {
        const CstImageFormat *format = cst_image_registry[i];
        int score = format->probe ? format->probe(head, len, size) : 0;

        if (score > best_score) {
            best = format;
            best_score = score;
        }
    }
    return best_score > 0 ? best : format_of_magic(head, len);
}

/* What follows the magic number is no header that this format has. */
static void note_damaged_header(CstImageLook *look)
{
    CstImageInfo *info = look->info;
    const CstImageFormat *format = info->format;
    g_autofree char *why = NULL;

    if (!info->problem || !format->probe || !has_magic(format, look->head, look->head_len) ||
        format->probe(look->head, look->head_len, look->size) > 0)
        return;
    why = g_steal_pointer(&info->problem);
    info->problem = g_strdup_printf(_("the %s header is damaged: %s"), format->name, why);
}

gboolean cst_image_inspect(CstBlob *blob, const CstImageFormat *format, CstImageInfo *ret_info,
                           GError **error)
{
    uint8_t head[CST_IMAGE_PROBE_LEN];
    g_auto(CstImageInfo) info = {0};
    CstImageLook look;

    if (!cst_look_init(&look, blob, head, &info, error))
        return FALSE;
    info.format = format ? format : cst_image_probe(head, look.head_len, look.size);
    if (!format && info.format == &cst_format_raw && cst_look_is_iso(&look))
        info.format = &cst_format_iso;
    if (!look.error)
        info.format->inspect(&look);
    if (!cst_look_ok(&look, error))
        return FALSE;
    if (!format)
        note_damaged_header(&look);
    *ret_info = info;
    memset(&info, 0, sizeof(info));
    return TRUE;
}

void cst_image_part_free(CstImagePart *part)
{
    if (!part)
        return;
    g_free(part->file);
    g_free(part);
}

GPtrArray *cst_image_inspect_parts(CstBlob *blob, const CstImageFormat *format, GError **error)
{
    uint8_t head[CST_IMAGE_PROBE_LEN];
    g_auto(CstImageInfo) info = {0};
    g_autoptr(GPtrArray) parts = NULL;
    CstImageLook look;

    if (!format->inspect_parts)
        return NULL;
    if (!cst_look_init(&look, blob, head, &info, error))
        return NULL;
    parts = g_ptr_array_new_with_free_func((GDestroyNotify)cst_image_part_free);
    info.format = format;
    format->inspect_parts(&look, parts);
    if (!cst_look_ok(&look, error))
        return NULL;
    return g_steal_pointer(&parts);
}

/* --- making -------------------------------------------------------------------------------- */

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
        {CST_CREATE_FORCE_SIZE, options->force_size, "force_size"},
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
    return result(format->create(blob, &rounded, task, error), error);
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

    if (!check_can_open(blob, format, how, error))
        return NULL;
    image = format->open(blob, how, error);
    (void)result(image != NULL, error);
    if (!image)
        return NULL;
    image->format = format;
    image->blob = cst_blob_ref(blob);
    image->backing = how->backing ? cst_blob_ref(how->backing) : NULL;
    image->writable = (how->flags & CST_IMAGE_WRITE) != 0;
    return image;
}

void cst_image_free(CstImage *image)
{
    CstBlob *blob, *backing;

    if (!image)
        return;
    blob = image->blob;
    backing = image->backing;
    image->format->close(image);
    cst_blob_unref(blob);
    cst_blob_unref(backing);
}

uint64_t cst_image_capacity(CstImage *image)
{
    return image->capacity;
}

gboolean cst_image_flush(CstImage *image, GError **error)
{
    if (!image->writable || !image->format->flush)
        return TRUE;
    return result(image->format->flush(image, error), error);
}

uint64_t cst_image_compression_unit(CstImage *image)
{
    return image->format->packed_unit ? image->format->packed_unit(image) : 0;
}

gboolean cst_image_write_compressed(CstImage *image, const void *buf, size_t len, uint64_t offset,
                                    GError **error)
{
    uint64_t unit = cst_image_compression_unit(image);

    if (!image->writable)
        return cst_fail(error, CST_ERROR_READ_ONLY, _("'%s' is open for reading only"),
                        image->blob->name);
    if (unit == 0)
        return cst_fail(error, CST_ERROR_UNSUPPORTED, _("'%s' can't be compressed"),
                        image->blob->name);
    if (offset % unit != 0 || offset >= image->capacity ||
        len != MIN(unit, image->capacity - offset))
        return cst_fail(error, CST_ERROR_INVALID,
                        _("compressed data must be whole units of %" PRIu64 " bytes"), unit);
    return result(image->format->write_packed(image, buf, len, offset, error), error);
}

gboolean cst_image_resize(CstImage *image, uint64_t capacity, CstPreallocation preallocation,
                          CstTask *task, GError **error)
{
    if (!image->writable)
        return cst_fail(error, CST_ERROR_READ_ONLY, _("'%s' is open for reading only"),
                        image->blob->name);
    if (!image->format->resize)
        return cst_fail(error, CST_ERROR_UNSUPPORTED, _("images of format '%s' can't be resized"),
                        image->format->name);
    if (capacity > G_MAXINT64 - 511)
        return cst_fail(error, CST_ERROR_INVALID, _("the capacity is out of range"));
    if (!image->format->is_plain)
        capacity = (capacity + 511) / 512 * 512;
    return result(image->format->resize(image, capacity, preallocation, task, error), error);
}

/* --- checking ------------------------------------------------------------------------------ */

static gboolean check_once(CstBlob *blob, const CstImageFormat *format, unsigned flags,
                           const CstImageFiles *files, CstFindings *findings,
                           CstImageCheck *ret_check, CstTask *task, GError **error)
{
    CstImageCheck check = {.findings = findings};

    if (!format->check)
        return cst_fail(error, CST_ERROR_UNSUPPORTED, _("images of format '%s' can't be checked"),
                        format->name);
    if (flags && !blob->writable)
        return cst_fail(error, CST_ERROR_READ_ONLY, _("'%s' is open for reading only"), blob->name);
    if (!result(format->check(blob, files, flags, &check, task, error), error))
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

/* Only looks list what they find: a repair may look several times, and changes what it has found.
 */
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

void cst_check_errors(CstImageCheck *check, uint64_t count, const char *format, ...)
{
    va_list args;

    check->errors += count;
    va_start(args, format);
    cst_findings_add_v(check->findings, CST_FINDING_ERROR, count, format, args);
    va_end(args);
}

void cst_check_leaks(CstImageCheck *check, uint64_t count, const char *format, ...)
{
    va_list args;

    check->leaks += count;
    va_start(args, format);
    cst_findings_add_v(check->findings, CST_FINDING_LEAK, count, format, args);
    va_end(args);
}

void cst_check_run_end(CstCheckRun *run)
{
    uint64_t first = run->first * run->unit;

    if (run->count > 0)
        cst_findings_add(run->findings, run->kind, run->count,
                         _("bytes %" PRIu64 " to %" PRIu64 " of the file: %s"), first,
                         first + run->count * run->unit - 1, _(run->what));
    run->count = 0;
}

void cst_check_run_add(CstCheckRun *run, CstFindingKind kind, uint64_t number, const char *what)
{
    if (run->what != what || number != run->first + run->count)
        cst_check_run_end(run);
    if (run->count++ > 0)
        return;
    run->first = number;
    run->what = what;
    run->kind = kind;
}
