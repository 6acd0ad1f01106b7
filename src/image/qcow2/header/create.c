/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Creates images. An empty image is four contiguous areas: header, refcount table, refcount blocks,
 * L1 table. The refcount blocks count exactly the clusters of these areas. Only bytes other than
 * zero are written. Preallocation opens the empty image, which is valid, and preallocates as in any
 * other image.
 */
#include <inttypes.h>
#include <string.h>

#include <base/alloc.h>
#include <base/error.h>
#include <base/i18n.h>
#include <base/units.h>

#include "bytes.h"
#include "head.h"
#include "qcow2/qcow2.h"
#include "qcow2/refcount/refcount.h"
#include "space.h"

#define MAX_HEAD 4096u /* limit in bytes of header, extensions and names */

/* Clusters of each area. */
typedef struct {
    uint64_t reftable_clusters;
    uint64_t block_clusters;
    uint64_t l1_clusters;
    uint64_t total;
} Layout;

gboolean qcow2_parse_compat(const char *compat, uint32_t *ret_version, GError **error)
{
    if (strcmp(compat, "1.1") == 0 || strcmp(compat, "v3") == 0)
        *ret_version = 3;
    else if (strcmp(compat, "0.10") == 0 || strcmp(compat, "v2") == 0)
        *ret_version = 2;
    else
        return cst_fail(error, CST_ERROR_INVALID, _("unknown qcow2 compatibility level '%s'"),
                        compat);
    return TRUE;
}

gboolean qcow2_parse_refcount_bits(unsigned bits, uint32_t *ret_order, GError **error)
{
    if (!cst_is_power_of_two(bits, 1, 64))
        return cst_fail(error, CST_ERROR_INVALID,
                        _("the refcount width must be a power of two of at most 64 bits"));
    *ret_order = (uint32_t)__builtin_ctz(bits);
    return TRUE;
}

static gboolean parse_version(const CstImageCreate *options, Qcow2Header *header, GError **error)
{
    if (!qcow2_parse_compat(options->compat ? options->compat : "1.1", &header->version, error))
        return FALSE;
    if (header->version == 2 && (options->lazy_refcounts || options->extended_l2 ||
                                 (options->refcount_bits && options->refcount_bits != 16) ||
                                 g_strcmp0(options->compression, "zstd") == 0))
        return cst_fail(error, CST_ERROR_INVALID,
                        _("lazy refcounts, extended L2 entries, zstd compression and refcounts of "
                          "other than 16 bits need compatibility level 1.1"));
    return TRUE;
}

static gboolean parse_cluster_size(const CstImageCreate *options, Qcow2Header *header,
                                   GError **error)
{
    uint64_t size = options->cluster_size ? options->cluster_size : 64 * CST_KIB;
    unsigned least = options->extended_l2 ? QCOW2_MIN_EXT_CLUSTER_BITS : QCOW2_MIN_CLUSTER_BITS;

    if (!cst_is_power_of_two(size, UINT64_C(1) << least, UINT64_C(1) << QCOW2_MAX_CLUSTER_BITS))
        return cst_fail(error, CST_ERROR_INVALID,
                        _("a cluster size of %" PRIu64 " bytes: it must be a power of two "
                          "between %u bytes and %u KiB"),
                        size, 1u << least, 1u << QCOW2_MAX_CLUSTER_BITS >> 10);
    header->cluster_bits = (uint32_t)__builtin_ctzll(size);
    return TRUE;
}

static gboolean parse_features(const CstImageCreate *options, Qcow2Header *header, GError **error)
{
    if (!qcow2_parse_refcount_bits(options->refcount_bits ? options->refcount_bits : 16,
                                   &header->refcount_order, error))
        return FALSE;
    if (options->compression && strcmp(options->compression, "zstd") == 0) {
        header->compression = QCOW2_ZSTD;
        header->incompatible |= QCOW2_INCOMPAT_COMPRESSION;
    } else if (options->compression && strcmp(options->compression, "zlib") != 0) {
        return cst_fail(error, CST_ERROR_INVALID, _("unknown compression type '%s'"),
                        options->compression);
    }
    if (options->lazy_refcounts)
        header->compatible |= QCOW2_COMPAT_LAZY_REFCOUNTS;
    if (options->extended_l2)
        header->incompatible |= QCOW2_INCOMPAT_EXTENDED_L2;
    if (options->backing && options->preallocation != CST_PREALLOC_OFF && !options->extended_l2)
        return cst_fail(error, CST_ERROR_INVALID,
                        _("an image with a backing image can't be preallocated, as the backing "
                          "image would be hidden"));
    return TRUE;
}

static gboolean parse_data_file(const CstImageCreate *options, Qcow2Header *header, GError **error)
{
    if (!options->data_file && !options->data_file_raw)
        return TRUE;
    if (!options->data_file)
        return cst_fail(error, CST_ERROR_INVALID, _("data_file_raw needs a data_file"));
    if (header->version == 2)
        return cst_fail(error, CST_ERROR_INVALID, _("a data file needs compatibility level 1.1"));
    if (options->data_file_raw && options->backing)
        return cst_fail(error, CST_ERROR_INVALID,
                        _("a data file that is a raw image of its own can't have a backing image"));
    header->incompatible |= QCOW2_INCOMPAT_DATA_FILE;
    if (options->data_file_raw)
        header->autoclear |= QCOW2_AUTOCLEAR_RAW_DATA;
    return TRUE;
}

static gboolean layout_plan(Qcow2Header *header, uint64_t capacity, Layout *ret_layout,
                            GError **error)
{
    uint64_t cluster_size = UINT64_C(1) << header->cluster_bits;
    uint64_t entries = (cluster_size * 8) >> header->refcount_order;
    uint64_t l1_size = MAX(cst_div_up(capacity, qcow2_l1_span(header)), 1);
    Layout layout = {1, 1, cst_div_up(l1_size * 8, cluster_size), 0};
    uint64_t before = 0;

    if (l1_size > QCOW2_MAX_L1_BYTES / 8)
        return cst_fail(
            error, CST_ERROR_INVALID,
            _("a qcow2 image of clusters of %" PRIu64 " bytes can have at most %" PRIu64 " bytes"),
            cluster_size, QCOW2_MAX_L1_BYTES / 8 * qcow2_l1_span(header));
    while (layout.total != before || before == 0) {
        before = layout.total;
        layout.total = 1 + layout.reftable_clusters + layout.block_clusters + layout.l1_clusters;
        layout.block_clusters = cst_div_up(layout.total, entries);
        layout.reftable_clusters = cst_div_up(layout.block_clusters * 8, cluster_size);
    }
    header->size = capacity;
    header->l1_size = (uint32_t)l1_size;
    header->reftable_offset = cluster_size;
    header->reftable_clusters = (uint32_t)layout.reftable_clusters;
    header->l1_offset = (1 + layout.reftable_clusters + layout.block_clusters) * cluster_size;
    *ret_layout = layout;
    return TRUE;
}

static gboolean plan_image(const CstImageCreate *options, Qcow2Header *header, Layout *ret_layout,
                           GError **error)
{
    return parse_version(options, header, error) && parse_cluster_size(options, header, error) &&
           parse_features(options, header, error) && parse_data_file(options, header, error) &&
           layout_plan(header, options->capacity, ret_layout, error);
}

gboolean qcow2_plan(const CstImageCreate *options, Qcow2Header *ret_header, GError **error)
{
    Layout layout;

    return plan_image(options, ret_header, &layout, error);
}

static gboolean write_refcounts(CstBlob *blob, const Qcow2Header *header, const Layout *layout,
                                GError **error)
{
    uint64_t cluster_size = UINT64_C(1) << header->cluster_bits;
    uint64_t blocks_at = (1 + layout->reftable_clusters) * cluster_size;
    size_t table_bytes = layout->block_clusters * 8;
    size_t count_bytes = cst_div_up(layout->total << header->refcount_order, 8);
    g_autofree uint8_t *table = cst_alloc0(table_bytes, 1, blob->name, error);
    g_autofree uint8_t *counts = table ? cst_alloc0(count_bytes, 1, blob->name, error) : NULL;

    if (!counts)
        return FALSE;
    for (uint64_t i = 0; i < layout->block_clusters; i++)
        cst_put_be64(table + i * 8, blocks_at + i * cluster_size);
    /* the blocks are contiguous, so they are one array */
    for (uint64_t i = 0; i < layout->total; i++)
        qcow2_refcount_set(counts, header->refcount_order, i, 1);
    return cst_blob_pwrite(blob, table, table_bytes, header->reftable_offset, error) &&
           cst_blob_pwrite(blob, counts, count_bytes, blocks_at, error);
}

static uint8_t *pack_head(const Qcow2Header *header, const CstImageCreate *options, size_t *ret_len,
                          GError **error)
{
    g_auto(Qcow2Head) head = {0};

    qcow2_head_init(&head, header, MIN(MAX_HEAD, UINT64_C(1) << header->cluster_bits));
    qcow2_head_name_features(&head);
    qcow2_head_set_text(&head, QCOW2_EXT_DATA_FILE, options->data_file);
    qcow2_head_set_text(&head, QCOW2_EXT_BACKING_FORMAT, options->backing_format);
    qcow2_head_set_backing(&head, options->backing);
    return qcow2_head_pack(&head, ret_len, error);
}

static gboolean write_empty(CstBlob *blob, const Qcow2Header *header, const CstImageCreate *options,
                            const Layout *layout, GError **error)
{
    uint64_t end = header->l1_offset + (uint64_t)header->l1_size * 8;
    size_t len = 0;
    g_autofree uint8_t *head = pack_head(header, options, &len, error);
    gboolean zeroed = FALSE;

    if (!head || !cst_space_reset(blob, end, &zeroed, error))
        return FALSE;
    if (!zeroed && !cst_blob_zero(blob, 0, end, CST_ZERO_MAY_UNMAP, error))
        return FALSE;
    return write_refcounts(blob, header, layout, error) &&
           cst_blob_pwrite(blob, head, len, 0, error);
}

static CstBlob *data_file_give(const char *name, gboolean writable, gpointer data, GError **error)
{
    return cst_blob_ref(data);
}

/* Creates a sparse data file of the disk's size. Unwritten bytes read as zeroes. */
static gboolean make_data_file(const CstImageCreate *options, CstBlob **ret_data, GError **error)
{
    const CstImageFiles *files = options->files;

    if (!options->data_file)
        return TRUE;
    if (!files || !files->create)
        return cst_fail(error, CST_ERROR_UNSUPPORTED,
                        _("an image with a data file is two files, which can't be made here"));
    *ret_data = files->create(options->data_file, files->data, error);
    return *ret_data && cst_blob_resize(*ret_data, options->capacity, error);
}

/* Preallocates all clusters. Opens the empty image for this, because it is valid. */
static gboolean qcow2_preallocate_new(const CstImageFormat *format, CstBlob *blob, CstBlob *data,
                                      CstPreallocation preallocation, CstTask *task, GError **error)
{
    const CstImageFiles files = {.open = data_file_give, .data = data};
    const CstImageOpen how = {.flags = CST_IMAGE_WRITE | CST_IMAGE_NO_BARRIERS, .files = &files};
    g_autoptr(CstImage) image = cst_image_open_as(blob, format, &how, error);

    return image &&
           qcow2_preallocate(qcow2_of(image), 0, image->capacity, preallocation, task, error) &&
           qcow2_write_back(qcow2_of(image), error);
}

gboolean qcow2_create(const CstImageFormat *format, CstBlob *blob, const CstImageCreate *options,
                      CstTask *task, GError **error)
{
    CstPreallocation preallocation = options->preallocation;
    g_autoptr(CstBlob) data = NULL;
    Qcow2Header header = {0};
    Layout layout;

    if (!plan_image(options, &header, &layout, error) || !make_data_file(options, &data, error) ||
        !write_empty(blob, &header, options, &layout, error))
        return FALSE;
    if (options->data_file_raw) /* a raw data file needs a table entry for each cluster */
        preallocation = MAX(preallocation, CST_PREALLOC_METADATA);
    return preallocation == CST_PREALLOC_OFF ||
           qcow2_preallocate_new(format, blob, data, preallocation, task, error);
}
