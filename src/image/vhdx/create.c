/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Creates an image. Header section, log, metadata region and block allocation table are
 * consecutive, each at a MiB boundary; the blocks of a fixed or preallocated image follow.
 *
 * Everything is written without barriers into a file of zeroes. The file identifier is written
 * last, because it makes the file recognisable as an image.
 */
#include <string.h>

#include <base/error.h>
#include <base/i18n.h>
#include <base/units.h>
#include <base/uuid.h>
#include <blob/steps.h>

#include "bytes.h"
#include "format.h"
#include "space.h"
#include "state.h"
#include "vhdx.h"

#define LOG_AT      (1 * CST_MIB)
#define LOG_DEFAULT CST_MIB
#define LOG_MAX     (4 * CST_GIB - CST_MIB) /* its length has 32 bits */
#define MAX_BAT     (CST_GIB - CST_MIB)

typedef struct {
    uint64_t capacity;
    uint32_t block_size;
    uint32_t sector_size;
    uint32_t flags;
    gboolean allocated; /* all blocks are allocated */
    uint64_t blocks;
    uint64_t bat_length;
    uint64_t log_length;
    uint64_t metadata_at, bat_at; /* after the log */
    const char *parent;
} Plan;

/* The same choice as QEMU's, so that equal disks get equal block sizes. */
static uint32_t default_block_size(uint64_t capacity)
{
    if (capacity > 32 * CST_TIB)
        return 64 * CST_MIB;
    if (capacity > 100 * CST_GIB)
        return 32 * CST_MIB;
    return capacity > CST_GIB ? 16 * CST_MIB : 8 * CST_MIB;
}

static gboolean plan_subformat(const CstImageCreate *options, Plan *plan, GError **error)
{
    const char *wanted = options->subformat;

    if (!wanted)
        wanted = options->backing ? "differencing" : "dynamic";
    if (strcmp(wanted, "fixed") == 0)
        plan->flags = VHDX_FLAG_FIXED;
    else if (strcmp(wanted, "differencing") == 0)
        plan->flags = VHDX_FLAG_PARENT;
    else if (strcmp(wanted, "dynamic") != 0)
        return cst_fail(error, CST_ERROR_INVALID, _("unknown VHDX subformat '%s'"), wanted);
    if ((options->backing != NULL) != (plan->flags == VHDX_FLAG_PARENT))
        return cst_fail(error, CST_ERROR_INVALID,
                        _("a differencing VHDX image needs a backing image, and no other has one"));
    if (options->backing && strcmp(options->backing_format, "vhdx") != 0)
        return cst_fail(error, CST_ERROR_INVALID,
                        _("the backing image of a VHDX image must be a VHDX image"));
    plan->parent = options->backing;
    plan->allocated = plan->flags == VHDX_FLAG_FIXED || options->preallocation != CST_PREALLOC_OFF;
    if (plan->parent && plan->allocated)
        return cst_fail(error, CST_ERROR_INVALID,
                        _("an image with a backing image can't be preallocated, as the backing "
                          "image would be hidden"));
    return TRUE;
}

static gboolean plan_log(const CstImageCreate *options, Plan *plan, GError **error)
{
    if (options->log_size > LOG_MAX)
        return cst_fail(error, CST_ERROR_INVALID, _("the log of a VHDX image is below 4 GiB"));
    plan->log_length = MAX(cst_round_up(options->log_size, CST_MIB), LOG_DEFAULT);
    plan->metadata_at = LOG_AT + plan->log_length;
    plan->bat_at = plan->metadata_at + CST_MIB;
    return TRUE;
}

static gboolean make_plan(const CstImageCreate *options, Plan *plan, GError **error)
{
    uint64_t block_size = options->block_size;

    if (!plan_subformat(options, plan, error) || !plan_log(options, plan, error))
        return FALSE;
    plan->sector_size = options->sector_size ? options->sector_size : 512;
    if (plan->sector_size != 512 && plan->sector_size != 4096)
        return cst_fail(error, CST_ERROR_INVALID, _("a VHDX sector has 512 or 4096 bytes"));
    plan->capacity = cst_round_up(options->capacity, plan->sector_size);
    if (plan->capacity > VHDX_MAX_CAPACITY)
        return cst_fail(error, CST_ERROR_INVALID, _("a VHDX image can have at most 64 TiB"));
    if (block_size == 0)
        block_size = default_block_size(plan->capacity);
    if (!cst_is_power_of_two(block_size, VHDX_MIN_BLOCK, VHDX_MAX_BLOCK))
        return cst_fail(error, CST_ERROR_INVALID,
                        _("the VHDX block size must be a power of two between 1 and 256 MiB"));
    plan->block_size = (uint32_t)block_size;
    plan->blocks = cst_div_up(plan->capacity, block_size);
    plan->bat_length = cst_round_up(vhdx_bat_entries(plan->capacity, plan->block_size,
                                                     plan->sector_size, plan->parent != NULL) *
                                        8,
                                    CST_MIB);
    plan->bat_length = MAX(plan->bat_length, CST_MIB);
    return TRUE;
}

/* --- metadata --------------------------------------------------------------------------------- */

typedef struct {
    uint8_t *raw; /* the table of VHDX_METADATA_LEN bytes, then the items */
    uint32_t used;
    uint16_t count;
} Metadata;

enum { ITEM_FOR_USER = 1, ITEM_FOR_DISK = 2, ITEM_REQUIRED = 4 };

static void add_item(Metadata *metadata, const uint8_t *guid, const void *data, uint32_t len,
                     uint32_t flags)
{
    uint8_t *entry = metadata->raw + 32 + metadata->count * 32;

    memcpy(entry, guid, 16);
    cst_put_le32(entry + 16, metadata->used);
    cst_put_le32(entry + 20, len);
    cst_put_le32(entry + 24, flags | ITEM_REQUIRED);
    memcpy(metadata->raw + metadata->used, data, len);
    metadata->used += (uint32_t)cst_round_up(len, 8);
    cst_put_le16(metadata->raw + 10, ++metadata->count);
}

/*
 * The parent's DataWriteGuid shows later whether the parent has changed. Without access to the
 * parent, a zero GUID is stored, which means unknown.
 */
static gboolean read_linkage(const CstImageFormat *format, const CstImageCreate *options,
                             CstUuid *ret_guid, GError **error)
{
    CstBlob *guest = options->backing_guest;
    CstImage *parent = cst_guest_image_of(guest, format);

    memset(ret_guid, 0, sizeof(*ret_guid));
    if (!guest)
        return TRUE;
    if (!parent)
        return cst_fail(error, CST_ERROR_INVALID,
                        _("the backing image of a VHDX image must be a VHDX image"));
    memcpy(ret_guid->bytes, vhdx_of(parent)->header.data_write, 16);
    return TRUE;
}

static gboolean add_parent(Metadata *metadata, const CstImageFormat *format,
                           const CstImageCreate *options, GError **error)
{
    g_autofree uint8_t *raw = NULL;
    VhdxParent parent = {0};
    uint32_t len = 0;

    vhdx_parent_name(&parent, options->backing);
    if (!read_linkage(format, options, &parent.linkage, error))
        return FALSE;
    raw = vhdx_locator_encode(&parent, &len, error);
    if (!raw)
        return FALSE;
    add_item(metadata, vhdx_guid_parent, raw, len, 0);
    return TRUE;
}

static gboolean write_metadata(const CstImageFormat *format, CstBlob *blob, const Plan *plan,
                               const CstImageCreate *options, GError **error)
{
    g_autofree uint8_t *raw = g_malloc0(2 * VHDX_METADATA_LEN);
    Metadata metadata = {raw, VHDX_METADATA_LEN, 0};
    uint8_t value[8];
    CstUuid id;

    vhdx_put_signature(raw, "metadata");
    cst_put_le32(value, plan->block_size);
    cst_put_le32(value + 4, plan->flags);
    add_item(&metadata, vhdx_guid_file_parameters, value, 8, 0);
    cst_put_le64(value, plan->capacity);
    add_item(&metadata, vhdx_guid_disk_size, value, 8, ITEM_FOR_DISK);
    cst_uuid_generate(&id);
    add_item(&metadata, vhdx_guid_disk_id, id.bytes, 16, ITEM_FOR_DISK);
    cst_put_le32(value, plan->sector_size);
    add_item(&metadata, vhdx_guid_logical_sector, value, 4, ITEM_FOR_DISK);
    cst_put_le32(value, 4096);
    add_item(&metadata, vhdx_guid_physical_sector, value, 4, ITEM_FOR_DISK);
    if (plan->parent && !add_parent(&metadata, format, options, error))
        return FALSE;
    return cst_blob_pwrite(blob, raw, metadata.used, plan->metadata_at, error);
}

/* --- the rest --------------------------------------------------------------------------------- */

static gboolean write_identifier(CstBlob *blob, GError **error)
{
    g_autofree gunichar2 *creator = g_utf8_to_utf16("Cistern", -1, NULL, NULL, NULL);
    uint8_t raw[8 + 512] = "vhdxfile";

    memcpy(raw + 8, creator, 7 * sizeof(*creator));
    return cst_blob_pwrite(blob, raw, sizeof(raw), 0, error);
}

static gboolean write_headers(CstBlob *blob, const Plan *plan, GError **error)
{
    VhdxHeader header = {.slot = 2, .log_length = (uint32_t)plan->log_length, .log_offset = LOG_AT};
    CstUuid guid;

    cst_uuid_generate(&guid);
    memcpy(header.file_write, guid.bytes, 16);
    cst_uuid_generate(&guid);
    memcpy(header.data_write, guid.bytes, 16);
    return vhdx_header_store(blob, &header, FALSE, error) &&
           vhdx_header_store(blob, &header, FALSE, error);
}

static gboolean write_regions(CstBlob *blob, const Plan *plan, GError **error)
{
    g_autofree uint8_t *raw = g_malloc0(VHDX_REGIONS_LEN);

    vhdx_put_signature(raw, "regi");
    cst_put_le32(raw + 8, 2);
    memcpy(raw + 16, vhdx_guid_bat, 16);
    cst_put_le64(raw + 32, plan->bat_at);
    cst_put_le32(raw + 40, (uint32_t)plan->bat_length);
    cst_put_le32(raw + 44, 1);
    memcpy(raw + 48, vhdx_guid_metadata, 16);
    cst_put_le64(raw + 64, plan->metadata_at);
    cst_put_le32(raw + 72, (uint32_t)CST_MIB);
    cst_put_le32(raw + 76, 1);
    vhdx_checksum_set(raw, VHDX_REGIONS_LEN);
    return cst_blob_pwrite(blob, raw, VHDX_REGIONS_LEN, VHDX_AT_REGIONS, error) &&
           cst_blob_pwrite(blob, raw, VHDX_REGIONS_LEN, VHDX_AT_REGIONS + VHDX_REGIONS_LEN, error);
}

/* Places the blocks in order after the table; the sector bitmaps' entries stay zero. */
static gboolean write_bat(CstBlob *blob, const Plan *plan, CstTask *task, GError **error)
{
    enum { CHUNK = 64 * 1024 };
    uint64_t group = vhdx_chunk_ratio(plan->block_size, plan->sector_size) + 1;
    uint64_t entries = vhdx_bat_entries(plan->capacity, plan->block_size, plan->sector_size, FALSE);
    uint64_t place = (plan->bat_at + plan->bat_length) / CST_MIB;
    g_autofree uint8_t *raw = g_malloc(CHUNK);

    for (uint64_t first = 0; first < entries; first += CHUNK / 8) {
        uint64_t count = MIN(CHUNK / 8, entries - first);

        if (!cst_task_check(task, error))
            return FALSE;
        for (uint64_t i = 0; i < count; i++) {
            gboolean is_bitmap = (first + i) % group == group - 1;

            cst_put_le64(raw + i * 8, is_bitmap ? 0 : vhdx_entry(VHDX_PRESENT, place));
            place += is_bitmap ? 0 : plan->block_size / CST_MIB;
        }
        if (!cst_blob_pwrite(blob, raw, count * 8, plan->bat_at + first * 8, error))
            return FALSE;
    }
    return TRUE;
}

/*
 * Returns the number of sector bitmap blocks of a differencing image: one for each chunk with
 * blocks.
 */
static uint64_t bitmap_blocks(const Plan *plan, uint64_t used)
{
    uint64_t groups =
        cst_div_up(plan->blocks, vhdx_chunk_ratio(plan->block_size, plan->sector_size));

    return plan->parent ? MIN(used, groups) : 0;
}

gboolean vhdx_measure(const CstMeasuring *measuring, CstImageMeasure *ret_measure, GError **error)
{
    uint64_t used = 0, tables;
    Plan plan = {0};

    if (!make_plan(measuring->options, &plan, error) ||
        !cst_measuring_count(measuring, plan.block_size, &used, error))
        return FALSE;
    tables = plan.bat_at + plan.bat_length;
    if (plan.allocated)
        used = plan.blocks;
    *ret_measure = cst_measure_of(tables, used, plan.blocks, plan.block_size);
    ret_measure->required += bitmap_blocks(&plan, used) * CST_MIB;
    ret_measure->fully_allocated += bitmap_blocks(&plan, plan.blocks) * CST_MIB;
    return TRUE;
}

gboolean vhdx_create(const CstImageFormat *format, CstBlob *blob, const CstImageCreate *options,
                     CstTask *task, GError **error)
{
    Plan plan = {0};
    gboolean zeroed = FALSE;
    uint64_t tables, size;

    if (!make_plan(options, &plan, error))
        return FALSE;
    tables = plan.bat_at + plan.bat_length;
    size = tables + (plan.allocated ? plan.blocks * plan.block_size : 0);
    if (!cst_space_reset(blob, size, &zeroed, error) ||
        (!zeroed && !cst_blob_zero_steps(blob, 0, size, CST_ZERO_MAY_UNMAP, task, error)))
        return FALSE;
    if (plan.allocated &&
        (!write_bat(blob, &plan, task, error) ||
         !cst_space_preallocate(blob, tables, plan.capacity, options->preallocation, task, error)))
        return FALSE;
    /* the identifier, which makes the file an image, comes last */
    return write_metadata(format, blob, &plan, options, error) &&
           write_regions(blob, &plan, error) && write_headers(blob, &plan, error) &&
           write_identifier(blob, error);
}
