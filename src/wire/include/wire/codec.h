/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>
#include <stdint.h>

#include <wire/xdr.h>

#include <cistern_remote.h>

/**
 * The packets of libvirt's RPC (virnetprotocol.x), for client and server: a length word that counts
 * the whole packet, a header of six words, a payload. All numbers are big-endian. See
 * docs/protocol.md.
 *
 * The functions work on memory only; any thread. Decoding trusts no input: every length is checked
 * against the limits below and against the number of bytes present.
 */

#define CST_WIRE_HEADER_LEN  28u              /**< length word + header: the smallest packet */
#define CST_WIRE_PACKET_MAX  (33554432u + 4u) /**< bytes, length word included */
#define CST_WIRE_PAYLOAD_MAX (CST_WIRE_PACKET_MAX - CST_WIRE_HEADER_LEN)
#define CST_WIRE_CHUNK       262120u /**< bytes of stream payload that every peer accepts */

typedef struct {
    uint32_t program;
    uint32_t version;
    int32_t procedure;
    uint32_t type; /**< wire_type */
    uint32_t serial;
    uint32_t status; /**< wire_status */
} CstWireHeader;

/** virErrorDomain: the part of libvirt that an error comes from. */
typedef enum {
    CST_WIRE_FROM_NONE = 0,
    CST_WIRE_FROM_RPC = 7,
    CST_WIRE_FROM_STORAGE = 18,
    CST_WIRE_FROM_DRIVER = 20,
    CST_WIRE_FROM_SECRET = 30,
    CST_WIRE_FROM_STREAMS = 38
} CstWireDomain;

/* --- reading --------------------------------------------------------------------------------- */

/**
 * Decodes the length of the packet that begins with the 4 bytes @word. Fails with RPC if it is
 * below CST_WIRE_HEADER_LEN or above CST_WIRE_PACKET_MAX. The rest of the connection is then
 * unreadable.
 */
gboolean cst_wire_packet_length(const uint8_t word[4], size_t *ret_len, GError **error);

/** Decodes the header of @packet, which has at least CST_WIRE_HEADER_LEN bytes. */
void cst_wire_header_read(const uint8_t *packet, CstWireHeader *ret_header);

/**
 * Decodes the payload of a whole packet of @len bytes with the generated @func into @ret_args. The
 * caller zeroes @ret_args before, and frees its content with xdr_free(@func, @ret_args) afterwards,
 * also on failure (RPC). As in libvirt, bytes after the arguments are ignored.
 */
gboolean cst_wire_payload_decode(const uint8_t *packet, size_t len, xdrproc_t func, void *ret_args,
                                 GError **error);

/**
 * Sets @error from the error in the payload of @packet, which must have status ERROR. The code is
 * exactly the server's if the server is cisternd, otherwise the nearest one. The message is the
 * detail, so that cst_error_text() restores the server's sentence. Always returns FALSE.
 */
gboolean cst_wire_error_decode(const uint8_t *packet, size_t len, GError **error);

/* --- writing --------------------------------------------------------------------------------- */

/** Encodes the length word and the header of a packet with @payload_len bytes of payload. */
void cst_wire_header_write(uint8_t *ret_packet, const CstWireHeader *header, size_t payload_len);

/**
 * Appends a packet to @buf: @header, and @args encoded with the generated @func (NULL: no payload).
 * Strings that are not optional must not be NULL. Fails with RPC if a limit is exceeded; @buf is
 * then unchanged.
 */
gboolean cst_wire_append(GByteArray *buf, const CstWireHeader *header, xdrproc_t func,
                         const void *args, GError **error);

/**
 * Appends a packet with @len bytes as its payload, without encoding (stream data), at most
 * CST_WIRE_PAYLOAD_MAX.
 */
void cst_wire_append_raw(GByteArray *buf, const CstWireHeader *header, const void *payload,
                         size_t len);

/**
 * Appends a packet with @error, @header and status ERROR. @domain applies unless the error is one
 * of the protocol itself (CST_WIRE_FROM_RPC). Texts over 64 KiB are truncated.
 */
void cst_wire_append_error(GByteArray *buf, const CstWireHeader *header, CstWireDomain domain,
                           const GError *error);
