/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>
#include <stdint.h>
#include <string.h>

/** Numbers of the NBD protocol. All integers on the wire are big-endian. */

#define NBD_INIT_MAGIC       UINT64_C(0x4e42444d41474943) /* "NBDMAGIC" */
#define NBD_OPTION_MAGIC     UINT64_C(0x49484156454f5054) /* "IHAVEOPT" */
#define NBD_OPT_REPLY_MAGIC  UINT64_C(0x0003e889045565a9)
#define NBD_REQUEST_MAGIC    UINT32_C(0x25609513)
#define NBD_SIMPLE_MAGIC     UINT32_C(0x67446698)
#define NBD_STRUCTURED_MAGIC UINT32_C(0x668e33ef)

/* Handshake flags of both sides. */
enum { NBD_FIXED_NEWSTYLE = 1 << 0, NBD_NO_ZEROES = 1 << 1 };

enum {
    NBD_OPT_EXPORT_NAME = 1,
    NBD_OPT_ABORT = 2,
    NBD_OPT_LIST = 3,
    NBD_OPT_STARTTLS = 5,
    NBD_OPT_INFO = 6,
    NBD_OPT_GO = 7,
    NBD_OPT_STRUCTURED_REPLY = 8,
    NBD_OPT_LIST_META_CONTEXT = 9,
    NBD_OPT_SET_META_CONTEXT = 10
};

#define NBD_REP_ACK          UINT32_C(1)
#define NBD_REP_SERVER       UINT32_C(2)
#define NBD_REP_INFO         UINT32_C(3)
#define NBD_REP_META_CONTEXT UINT32_C(4)
#define NBD_REP_ERR_UNSUP    (UINT32_C(1) << 31 | 1)
#define NBD_REP_ERR_INVALID  (UINT32_C(1) << 31 | 3)
#define NBD_REP_ERR_TLS_REQD (UINT32_C(1) << 31 | 5)
#define NBD_REP_ERR_UNKNOWN  (UINT32_C(1) << 31 | 6)

enum { NBD_INFO_EXPORT = 0, NBD_INFO_NAME = 1, NBD_INFO_DESCRIPTION = 2, NBD_INFO_BLOCK_SIZE = 3 };

/* Transmission flags. */
enum {
    NBD_FLAG_HAS_FLAGS = 1 << 0,
    NBD_FLAG_READ_ONLY = 1 << 1,
    NBD_FLAG_SEND_FLUSH = 1 << 2,
    NBD_FLAG_SEND_FUA = 1 << 3,
    NBD_FLAG_SEND_TRIM = 1 << 5,
    NBD_FLAG_SEND_WRITE_ZEROES = 1 << 6,
    NBD_FLAG_SEND_DF = 1 << 7,
    NBD_FLAG_CAN_MULTI_CONN = 1 << 8,
    NBD_FLAG_SEND_FAST_ZERO = 1 << 11
};

enum {
    NBD_CMD_READ = 0,
    NBD_CMD_WRITE = 1,
    NBD_CMD_DISC = 2,
    NBD_CMD_FLUSH = 3,
    NBD_CMD_TRIM = 4,
    NBD_CMD_WRITE_ZEROES = 6,
    NBD_CMD_BLOCK_STATUS = 7
};

/* Flags of a request. */
enum {
    NBD_CMD_FLAG_FUA = 1 << 0,
    NBD_CMD_FLAG_NO_HOLE = 1 << 1,
    NBD_CMD_FLAG_DF = 1 << 2,
    NBD_CMD_FLAG_REQ_ONE = 1 << 3,
    NBD_CMD_FLAG_FAST_ZERO = 1 << 4
};

enum { NBD_REPLY_FLAG_DONE = 1 << 0 };
enum {
    NBD_REPLY_NONE = 0,
    NBD_REPLY_OFFSET_DATA = 1,
    NBD_REPLY_OFFSET_HOLE = 2,
    NBD_REPLY_BLOCK_STATUS = 5,
    NBD_REPLY_ERROR = 1 << 15 | 1
};

/* States of "base:allocation". */
enum { NBD_STATE_HOLE = 1 << 0, NBD_STATE_ZERO = 1 << 1 };
/* States of "qemu:dirty-bitmap:…". */
enum { NBD_STATE_DIRTY = 1 << 0 };

enum {
    NBD_EPERM = 1,
    NBD_EIO = 5,
    NBD_ENOMEM = 12,
    NBD_EINVAL = 22,
    NBD_ENOSPC = 28,
    NBD_EOVERFLOW = 75,
    NBD_ENOTSUP = 95,
    NBD_ESHUTDOWN = 108
};

#define NBD_STRING_MAX  4096
#define NBD_OPTION_MAX  65536       /* bytes of an option's data; our limit */
#define NBD_PAYLOAD_MAX (32U << 20) /* bytes of a read or a write; all known clients respect it */
#define NBD_REQUEST_LEN 28

static inline uint16_t nbd_get16(const uint8_t *from)
{
    uint16_t value;

    memcpy(&value, from, sizeof(value));
    return GUINT16_FROM_BE(value);
}

static inline uint32_t nbd_get32(const uint8_t *from)
{
    uint32_t value;

    memcpy(&value, from, sizeof(value));
    return GUINT32_FROM_BE(value);
}

static inline uint64_t nbd_get64(const uint8_t *from)
{
    uint64_t value;

    memcpy(&value, from, sizeof(value));
    return GUINT64_FROM_BE(value);
}

/** Each function writes its value and returns the address after it. */
static inline uint8_t *nbd_put16(uint8_t *to, uint16_t value)
{
    value = GUINT16_TO_BE(value);
    memcpy(to, &value, sizeof(value));
    return to + sizeof(value);
}

static inline uint8_t *nbd_put32(uint8_t *to, uint32_t value)
{
    value = GUINT32_TO_BE(value);
    memcpy(to, &value, sizeof(value));
    return to + sizeof(value);
}

static inline uint8_t *nbd_put64(uint8_t *to, uint64_t value)
{
    value = GUINT64_TO_BE(value);
    memcpy(to, &value, sizeof(value));
    return to + sizeof(value);
}
