/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * SCSI commands and answers. All integers of SCSI are big-endian. A field of an answer is read only
 * if the answer is long enough. Its value is checked against sane limits.
 */
#include <blob/scsi.h>

#include <inttypes.h>
#include <stdarg.h>
#include <string.h>

#include <base/error.h>
#include <base/i18n.h>

/* Opcodes and service actions (SPC-4, SBC-3). */
enum {
    OP_TEST_UNIT_READY = 0x00,
    OP_INQUIRY = 0x12,
    OP_READ_CAPACITY10 = 0x25,
    OP_UNMAP = 0x42,
    OP_READ16 = 0x88,
    OP_WRITE16 = 0x8a,
    OP_SYNCHRONIZE_CACHE16 = 0x91,
    OP_WRITE_SAME16 = 0x93,
    OP_SERVICE_ACTION_IN16 = 0x9e,
    OP_REPORT_LUNS = 0xa0,
    ACTION_READ_CAPACITY16 = 0x10,
    ACTION_GET_LBA_STATUS = 0x12
};

/* Additional sense codes with their qualifiers (SPC-4, annex D). */
enum { ASCQ_NO_UNIT = 0x2500, ASCQ_SPACE_ALLOCATION_FAILED = 0x2707, ASC_WRITE_PROTECTED = 0x27 };

static void put16(uint8_t *at, uint16_t value)
{
    at[0] = (uint8_t)(value >> 8);
    at[1] = (uint8_t)value;
}

static void put32(uint8_t *at, uint32_t value)
{
    put16(at, (uint16_t)(value >> 16));
    put16(at + 2, (uint16_t)value);
}

static void put64(uint8_t *at, uint64_t value)
{
    put32(at, (uint32_t)(value >> 32));
    put32(at + 4, (uint32_t)value);
}

static uint16_t get16(const uint8_t *at)
{
    return (uint16_t)(at[0] << 8 | at[1]);
}

static uint32_t get32(const uint8_t *at)
{
    return (uint32_t)get16(at) << 16 | get16(at + 2);
}

static uint64_t get64(const uint8_t *at)
{
    return (uint64_t)get32(at) << 32 | get32(at + 4);
}

/* --- errors ----------------------------------------------------------------------------------- */

gboolean cst_scsi_good(const CstScsiSense *sense)
{
    return sense->status == CST_SCSI_GOOD || sense->status == CST_SCSI_CONDITION_MET ||
           (sense->status == CST_SCSI_CHECK_CONDITION && sense->key == CST_SENSE_RECOVERED);
}

gboolean cst_scsi_no_unit(const CstScsiSense *sense)
{
    return sense->status == CST_SCSI_CHECK_CONDITION && sense->key == CST_SENSE_ILLEGAL_REQUEST &&
           sense->ascq == ASCQ_NO_UNIT;
}

gboolean cst_scsi_unknown(const CstScsiSense *sense)
{
    return sense->status == CST_SCSI_CHECK_CONDITION && sense->key == CST_SENSE_ILLEGAL_REQUEST &&
           sense->ascq != ASCQ_NO_UNIT;
}

static const char *key_text(uint8_t key)
{
    static const char *const texts[] = {
        [CST_SENSE_NOT_READY] = N_("it is not ready"),
        [CST_SENSE_MEDIUM_ERROR] = N_("an error of its medium"),
        [CST_SENSE_HARDWARE_ERROR] = N_("an error of its hardware"),
        [CST_SENSE_ILLEGAL_REQUEST] = N_("it does not know the request"),
        [CST_SENSE_UNIT_ATTENTION] = N_("it has changed"),
        [CST_SENSE_DATA_PROTECT] = N_("it is protected"),
        [CST_SENSE_ABORTED_COMMAND] = N_("it has given the command up"),
    };
    const char *text = key < G_N_ELEMENTS(texts) ? texts[key] : NULL;

    return _(text ? text : N_("an error"));
}

static gboolean fail_status(GError **error, const CstScsiSense *sense, const char *text)
{
    if (sense->status == CST_SCSI_RESERVATION_CONFLICT)
        return cst_fail(error, CST_ERROR_BUSY, _("%s: another host has reserved the LUN"), text);
    if (sense->status == CST_SCSI_BUSY || sense->status == CST_SCSI_TASK_SET_FULL)
        return cst_fail(error, CST_ERROR_BUSY, _("%s: the target is busy"), text);
    return cst_fail(error, CST_ERROR_IO, _("%s: the target answers with status 0x%02x"), text,
                    sense->status);
}

gboolean cst_scsi_fail(GError **error, const CstScsiSense *sense, const char *format, ...)
{
    g_autofree char *text = NULL;
    va_list args;

    va_start(args, format);
    text = g_strdup_vprintf(format, args);
    va_end(args);
    if (sense->status != CST_SCSI_CHECK_CONDITION)
        return fail_status(error, sense, text);
    if (cst_scsi_no_unit(sense))
        return cst_fail(error, CST_ERROR_NOT_FOUND, _("%s: the target has no such LUN"), text);
    if (sense->ascq == ASCQ_SPACE_ALLOCATION_FAILED)
        return cst_fail(error, CST_ERROR_NO_SPACE, _("%s: the LUN's target has no more space"),
                        text);
    if (sense->key == CST_SENSE_DATA_PROTECT || sense->ascq >> 8 == ASC_WRITE_PROTECTED)
        return cst_fail(error, CST_ERROR_READ_ONLY, _("%s: the LUN is write-protected"), text);
    return cst_fail(error, CST_ERROR_IO, _("%s: the LUN reports %s (sense %x/%02x/%02x)"), text,
                    key_text(sense->key), sense->key, sense->ascq >> 8, sense->ascq & 0xff);
}

/* --- commands --------------------------------------------------------------------------------- */

static CstScsiCommand scsi_command(uint8_t opcode, uint8_t len, CstScsiDirection direction,
                                   uint32_t length)
{
    CstScsiCommand made = {.cdb_len = len, .direction = direction, .length = length};

    made.cdb[0] = opcode;
    return made;
}

CstScsiCommand cst_scsi_test_ready(void)
{
    return scsi_command(OP_TEST_UNIT_READY, 6, CST_SCSI_NONE, 0);
}

CstScsiCommand cst_scsi_report_luns(uint32_t length)
{
    CstScsiCommand made = scsi_command(OP_REPORT_LUNS, 12, CST_SCSI_READ, length);

    put32(made.cdb + 6, length);
    return made;
}

CstScsiCommand cst_scsi_inquiry(uint16_t length)
{
    CstScsiCommand made = scsi_command(OP_INQUIRY, 6, CST_SCSI_READ, length);

    put16(made.cdb + 3, length);
    return made;
}

CstScsiCommand cst_scsi_inquiry_page(uint8_t page, uint16_t length)
{
    CstScsiCommand made = cst_scsi_inquiry(length);

    made.cdb[1] = 1; /* EVPD */
    made.cdb[2] = page;
    return made;
}

#define CAPACITY16_LENGTH 32
#define CAPACITY10_LENGTH 8

CstScsiCommand cst_scsi_read_capacity16(void)
{
    CstScsiCommand made =
        scsi_command(OP_SERVICE_ACTION_IN16, 16, CST_SCSI_READ, CAPACITY16_LENGTH);

    made.cdb[1] = ACTION_READ_CAPACITY16;
    put32(made.cdb + 10, CAPACITY16_LENGTH);
    return made;
}

CstScsiCommand cst_scsi_read_capacity10(void)
{
    return scsi_command(OP_READ_CAPACITY10, 10, CST_SCSI_READ, CAPACITY10_LENGTH);
}

CstScsiCommand cst_scsi_transfer(CstScsiDirection direction, uint64_t block, uint32_t blocks,
                                 uint32_t block_size)
{
    CstScsiCommand made = scsi_command(direction == CST_SCSI_WRITE ? OP_WRITE16 : OP_READ16, 16,
                                       direction, blocks * block_size);

    put64(made.cdb + 2, block);
    put32(made.cdb + 10, blocks);
    return made;
}

CstScsiCommand cst_scsi_write_same(uint64_t block, uint32_t blocks, uint32_t block_size,
                                   gboolean unmap)
{
    CstScsiCommand made = scsi_command(OP_WRITE_SAME16, 16, CST_SCSI_WRITE, block_size);

    made.cdb[1] = unmap ? 1 << 3 : 0;
    put64(made.cdb + 2, block);
    put32(made.cdb + 10, blocks);
    return made;
}

CstScsiCommand cst_scsi_unmap(uint64_t block, uint32_t blocks, uint8_t list[CST_SCSI_UNMAP_LENGTH])
{
    CstScsiCommand made = scsi_command(OP_UNMAP, 10, CST_SCSI_WRITE, CST_SCSI_UNMAP_LENGTH);

    put16(made.cdb + 7, CST_SCSI_UNMAP_LENGTH);
    memset(list, 0, CST_SCSI_UNMAP_LENGTH);
    put16(list, CST_SCSI_UNMAP_LENGTH - 2);
    put16(list + 2, CST_SCSI_UNMAP_LENGTH - 8);
    put64(list + 8, block);
    put32(list + 16, blocks);
    return made;
}

/* An empty range means all blocks. */
CstScsiCommand cst_scsi_sync(void)
{
    return scsi_command(OP_SYNCHRONIZE_CACHE16, 16, CST_SCSI_NONE, 0);
}

CstScsiCommand cst_scsi_lba_status(uint64_t block, uint32_t length)
{
    CstScsiCommand made = scsi_command(OP_SERVICE_ACTION_IN16, 16, CST_SCSI_READ, length);

    made.cdb[1] = ACTION_GET_LBA_STATUS;
    put64(made.cdb + 2, block);
    put32(made.cdb + 10, length);
    return made;
}

/* --- lists of LUNs ---------------------------------------------------------------------------- */

/*
 * Formats of a LUN's number (SAM-5, 4.7): the first two bytes have the number, and the other bytes
 * must be 0.
 */
static gboolean lun_number(const uint8_t *at, uint16_t *ret_number)
{
    uint16_t first = get16(at);

    if (get16(at + 2) || get32(at + 4) || first >> 14 > 1 || (first >> 14 == 0 && first > 0xff))
        return FALSE;
    *ret_number = first & 0x3fff;
    return TRUE;
}

uint64_t cst_scsi_parse_luns(const uint8_t *buf, size_t len, GArray *numbers)
{
    uint64_t whole;

    if (len < 8)
        return 0;
    whole = (uint64_t)get32(buf) + 8;
    for (size_t at = 8; at + 8 <= MIN(len, whole); at += 8) {
        uint16_t number;

        if (lun_number(buf + at, &number))
            g_array_append_val(numbers, number);
    }
    return whole;
}

/* --- properties of a unit --------------------------------------------------------------------- */

gboolean cst_scsi_parse_inquiry(const uint8_t *buf, size_t len, CstScsiUnit *unit)
{
    if (len < 5)
        return FALSE;
    unit->type = buf[0] & 0x1f;
    unit->connected = buf[0] >> 5 == 0;
    return TRUE;
}

static gboolean take_capacity(uint64_t last, uint32_t block_size, CstScsiUnit *unit, GError **error)
{
    if (block_size < CST_SCSI_BLOCK_MIN || block_size > CST_SCSI_BLOCK_MAX ||
        (block_size & (block_size - 1)))
        return cst_fail(error, CST_ERROR_CORRUPT,
                        _("the target says that a block has %u bytes, which can't be"), block_size);
    if (last >= (uint64_t)INT64_MAX / block_size)
        return cst_fail(error, CST_ERROR_CORRUPT,
                        _("the target says that the last block is %" PRIu64 ", which can't be"),
                        last);
    unit->blocks = last + 1;
    unit->block_size = block_size;
    return TRUE;
}

static gboolean fail_short(GError **error)
{
    return cst_fail(error, CST_ERROR_CORRUPT, _("the target's answer about a size is too short"));
}

gboolean cst_scsi_parse_capacity16(const uint8_t *buf, size_t len, CstScsiUnit *unit,
                                   GError **error)
{
    if (len < 12)
        return fail_short(error);
    if (len >= 15) {
        unit->thin = (buf[14] & 0x80) != 0;
        unit->unmapped_zero = unit->thin && (buf[14] & 0x40) != 0;
    }
    return take_capacity(get64(buf), get32(buf + 8), unit, error);
}

gboolean cst_scsi_parse_capacity10(const uint8_t *buf, size_t len, CstScsiUnit *unit,
                                   GError **error)
{
    if (len < CAPACITY10_LENGTH)
        return fail_short(error);
    return take_capacity(get32(buf), get32(buf + 4), unit, error);
}

/*
 * Returns the number of bytes of page @page that were received and that its header counts; 0: not
 * this page.
 */
static size_t page_length(const uint8_t *buf, size_t len, uint8_t page)
{
    if (len < 4 || buf[1] != page)
        return 0;
    return MIN(len, (size_t)get16(buf + 2) + 4);
}

/*
 * Hashes the designators of the logical unit (association 0) of any kind. Together they identify
 * the unit; their bytes are only compared, never interpreted.
 */
void cst_scsi_parse_designators(const uint8_t *buf, size_t len, CstScsiUnit *unit)
{
    size_t end = page_length(buf, len, 0x83);
    g_autoptr(GChecksum) sum = g_checksum_new(G_CHECKSUM_SHA256);
    gboolean any = FALSE;

    for (size_t at = 4; at + 4 <= end;) {
        size_t next = at + 4 + buf[at + 3];

        if (next > end)
            break;
        if ((buf[at + 1] >> 4 & 3) == 0 && next > at + 4) {
            g_checksum_update(sum, buf + at, (gssize)(next - at));
            any = TRUE;
        }
        at = next;
    }
    if (any)
        g_strlcpy(unit->id, g_checksum_get_string(sum), sizeof(unit->id));
}

void cst_scsi_parse_limits(const uint8_t *buf, size_t len, CstScsiUnit *unit)
{
    size_t end = page_length(buf, len, 0xb0);

    if (end >= 12)
        unit->max_transfer = get32(buf + 8);
    if (end >= 28)
        unit->max_unmap = get32(buf + 20);
    if (end >= 44)
        unit->max_same = get64(buf + 36);
}

void cst_scsi_parse_provisioning(const uint8_t *buf, size_t len, CstScsiUnit *unit)
{
    if (page_length(buf, len, 0xb2) < 6)
        return;
    unit->can_unmap = (buf[5] & 0x80) != 0;
    unit->can_same_unmap = (buf[5] & 0x40) != 0;
    if (buf[5] & 0x04)
        unit->unmapped_zero = TRUE;
}

/* --- mapped blocks ---------------------------------------------------------------------------- */

enum { STATUS_MAPPED = 0, STATUS_HEADER = 8, STATUS_ENTRY = 16 };

gboolean cst_scsi_parse_lba_status(const uint8_t *buf, size_t len, uint64_t first, uint64_t end,
                                   GArray *runs, GError **error)
{
    size_t whole = len >= STATUS_HEADER ? MIN(len, (size_t)get32(buf) + 4) : 0;
    guint before = runs->len;
    uint64_t next = first;

    for (size_t at = STATUS_HEADER; at + STATUS_ENTRY <= whole && next < end; at += STATUS_ENTRY) {
        uint64_t block = get64(buf + at);
        uint32_t count = get32(buf + at + 8);
        CstScsiRun run = {next, end, (buf[at + 12] & 0xf) == STATUS_MAPPED};

        /* The first run may begin before the requested block. */
        if (count == 0 || block > next || (next != first && block != next) ||
            block > UINT64_MAX - count || block + count <= next)
            break;
        run.end = MIN(end, block + count);
        g_array_append_val(runs, run);
        next = run.end;
    }
    return runs->len > before ||
           cst_fail(error, CST_ERROR_CORRUPT,
                    _("the target's list of allocated blocks does not begin where it has to"));
}
