/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>
#include <stdint.h>

/**
 * SCSI commands and answers (SPC-4, SBC-3). Pure functions. Targets are untrusted: each length in
 * an answer is checked against the number of received bytes.
 */

typedef enum { CST_SCSI_NONE, CST_SCSI_READ, CST_SCSI_WRITE } CstScsiDirection;

typedef struct {
    uint8_t cdb[16];
    uint8_t cdb_len;
    CstScsiDirection direction;
    uint32_t length; /**< bytes of data */
} CstScsiCommand;

/** Statuses (SAM-5) that are handled. */
enum {
    CST_SCSI_GOOD = 0,
    CST_SCSI_CHECK_CONDITION = 2,
    CST_SCSI_CONDITION_MET = 4,
    CST_SCSI_BUSY = 8,
    CST_SCSI_RESERVATION_CONFLICT = 0x18,
    CST_SCSI_TASK_SET_FULL = 0x28,
    CST_SCSI_ACA_ACTIVE = 0x30,
    CST_SCSI_TASK_ABORTED = 0x40
};

/** Sense keys (SPC-4, table 48). */
enum {
    CST_SENSE_NONE = 0,
    CST_SENSE_RECOVERED = 1,
    CST_SENSE_NOT_READY = 2,
    CST_SENSE_MEDIUM_ERROR = 3,
    CST_SENSE_HARDWARE_ERROR = 4,
    CST_SENSE_ILLEGAL_REQUEST = 5,
    CST_SENSE_UNIT_ATTENTION = 6,
    CST_SENSE_DATA_PROTECT = 7,
    CST_SENSE_ABORTED_COMMAND = 0xb
};

typedef struct {
    uint8_t status;
    uint8_t key;
    uint16_t ascq; /**< additional sense code and its qualifier */
} CstScsiSense;

/** Return whether the answer is a success. */
gboolean cst_scsi_good(const CstScsiSense *sense);
/** Return whether the LUN has no unit. */
gboolean cst_scsi_no_unit(const CstScsiSense *sense);
/** Return whether the unit does not support the command or a requested parameter. */
gboolean cst_scsi_unknown(const CstScsiSense *sense);
/**
 * Fail with the target's error for the formatted subject. NO_SPACE: the unit has no free space;
 * READ_ONLY: it is protected; NOT_FOUND: the LUN has no unit; BUSY: another host has reserved it;
 * IO: all other errors. Always returns FALSE.
 */
gboolean cst_scsi_fail(GError **error, const CstScsiSense *sense, const char *format, ...)
    G_GNUC_PRINTF(3, 4);

/* --- commands --------------------------------------------------------------------------------- */

/** No operation; lets the target report a unit attention. */
CstScsiCommand cst_scsi_test_ready(void);
CstScsiCommand cst_scsi_report_luns(uint32_t length);
CstScsiCommand cst_scsi_inquiry(uint16_t length);
/** Read a page of vital product data. */
CstScsiCommand cst_scsi_inquiry_page(uint8_t page, uint16_t length);
CstScsiCommand cst_scsi_read_capacity16(void);
CstScsiCommand cst_scsi_read_capacity10(void);
/** READ(16) or WRITE(16) of @blocks blocks of @block_size bytes. */
CstScsiCommand cst_scsi_transfer(CstScsiDirection direction, uint64_t block, uint32_t blocks,
                                 uint32_t block_size);
/** WRITE SAME(16) of one block of data; @unmap: the target may release the space. */
CstScsiCommand cst_scsi_write_same(uint64_t block, uint32_t blocks, uint32_t block_size,
                                   gboolean unmap);
#define CST_SCSI_UNMAP_LENGTH 24
/** UNMAP of one range. Fills @list, which is the command's data. */
CstScsiCommand cst_scsi_unmap(uint64_t block, uint32_t blocks, uint8_t list[CST_SCSI_UNMAP_LENGTH]);
/** SYNCHRONIZE CACHE(16) of all blocks. */
CstScsiCommand cst_scsi_sync(void);
CstScsiCommand cst_scsi_lba_status(uint64_t block, uint32_t length);

/* --- answers ---------------------------------------------------------------------------------- */

/**
 * Append the numbers (uint16_t) of the LUNs that REPORT LUNS lists; other kinds of addresses are
 * skipped. Return: the length of the whole list, in bytes with its header: more than @len if the
 * answer is truncated; 0: not a list.
 */
uint64_t cst_scsi_parse_luns(const uint8_t *buf, size_t len, GArray *numbers);

/** Peripheral device types. */
enum { CST_SCSI_DISK = 0, CST_SCSI_OPTICAL = 5 };
#define CST_SCSI_BLOCK_MIN 512
#define CST_SCSI_BLOCK_MAX (64 * 1024)

/** Properties that a logical unit reports. */
typedef struct {
    uint8_t type;
    gboolean connected; /**< the number has a device */
    uint64_t blocks;
    uint32_t block_size;     /**< a power of two within the limits above */
    gboolean thin;           /**< its space is allocated on write (LBPME) */
    gboolean unmapped_zero;  /**< released space reads as zeroes (LBPRZ) */
    gboolean can_unmap;      /**< UNMAP (LBPU) */
    gboolean can_same_unmap; /**< WRITE SAME(16) with UNMAP (LBPWS) */
    uint32_t max_transfer;   /**< blocks per command; 0: unlimited */
    uint32_t max_unmap;      /**< blocks per command; 0: unlimited */
    uint64_t max_same;       /**< blocks per command; 0: unlimited */
    char id[33];             /**< digest of its designators, in hex; "": no designator */
} CstScsiUnit;

/** Parse standard INQUIRY data: type and connected. Return: FALSE if it is too short. */
gboolean cst_scsi_parse_inquiry(const uint8_t *buf, size_t len, CstScsiUnit *unit);
/** Parse READ CAPACITY(16). CORRUPT for impossible sizes. */
gboolean cst_scsi_parse_capacity16(const uint8_t *buf, size_t len, CstScsiUnit *unit,
                                   GError **error);
/** Parse READ CAPACITY(10). CORRUPT for impossible sizes. */
gboolean cst_scsi_parse_capacity10(const uint8_t *buf, size_t len, CstScsiUnit *unit,
                                   GError **error);
/**
 * Parse page 0x83: id, from the designators of the logical unit. Ignores a buffer that is not this
 * page.
 */
void cst_scsi_parse_designators(const uint8_t *buf, size_t len, CstScsiUnit *unit);
/** Parse page 0xb0: the limits. Ignores a buffer that is not this page. */
void cst_scsi_parse_limits(const uint8_t *buf, size_t len, CstScsiUnit *unit);
/**
 * Parse page 0xb2: can_unmap, can_same_unmap, unmapped_zero. Ignores a buffer that is not this
 * page.
 */
void cst_scsi_parse_provisioning(const uint8_t *buf, size_t len, CstScsiUnit *unit);

/** Requested length of an answer to GET LBA STATUS: 255 runs. */
#define CST_SCSI_STATUS_LENGTH 4096

/** A run of blocks in one state. */
typedef struct {
    uint64_t block, end;
    gboolean mapped;
} CstScsiRun;

/**
 * Append the runs that GET LBA STATUS reports from block @first on, up to @end, to @runs
 * (CstScsiRun). The runs have no gaps or overlaps, and the first one begins at @first. CORRUPT for
 * any other answer.
 */
gboolean cst_scsi_parse_lba_status(const uint8_t *buf, size_t len, uint64_t first, uint64_t end,
                                   GArray *runs, GError **error);
