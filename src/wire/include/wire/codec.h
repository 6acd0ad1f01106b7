/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>
#include <stdint.h>

#include <cistern_remote.h>

/**
 * Packets of libvirt's RPC (virnetprotocol.x), for both ends: a length word that counts the whole
 * packet, a header of six words, a payload. All big-endian. See docs/protocol.md.
 *
 * Nothing here reads or writes a socket. Decoding trusts no byte: every length is checked against
 * the limits below and against the bytes that are there.
 */

#define CST_WIRE_HEADER_LEN  28u              /**< length word + header: the smallest packet */
#define CST_WIRE_PACKET_MAX  (33554432u + 4u) /**< bytes, length word included */
#define CST_WIRE_PAYLOAD_MAX (CST_WIRE_PACKET_MAX - CST_WIRE_HEADER_LEN)
#define CST_WIRE_CHUNK       262120u /**< stream payload that every peer accepts and sends */

typedef struct {
    uint32_t program;
    uint32_t version;
    int32_t procedure;
    uint32_t type; /**< wire_type */
    uint32_t serial;
    uint32_t status; /**< wire_status */
} CstWireHeader;

/** virErrorDomain: who an error on the wire speaks for. */
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
 * Length of the packet that starts with the 4 bytes @word; FALSE with RPC when it is below
 * CST_WIRE_HEADER_LEN or above CST_WIRE_PACKET_MAX: such a stream can't be read any further.
 */
gboolean cst_wire_packet_length(const uint8_t word[4], size_t *ret_len, GError **error);

/** @packet: at least CST_WIRE_HEADER_LEN bytes. */
void cst_wire_header_read(const uint8_t *packet, CstWireHeader *ret_header);

/**
 * Decodes the payload of the whole packet @packet of @len bytes with the generated @func into
 * @ret_args, which the caller has zeroed and frees with xdr_free(@func, @ret_args) in either case.
 * Bytes after the arguments are ignored, as libvirt does. Fails with RPC.
 */
gboolean cst_wire_payload_decode(const uint8_t *packet, size_t len, xdrproc_t func, void *ret_args,
                                 GError **error);

/**
 * Sets @error from the error struct in the payload of @packet (status ERROR). The code is ours
 * again: exactly the one the server had when that is cisternd, the nearest one otherwise; the
 * message is the detail, so that cst_error_text() gives the server's sentence back. Always FALSE.
 */
gboolean cst_wire_error_decode(const uint8_t *packet, size_t len, GError **error);

/* --- writing --------------------------------------------------------------------------------- */

/** Writes the 28 bytes before a payload of @payload_len bytes. */
void cst_wire_header_write(uint8_t *ret_packet, const CstWireHeader *header, size_t payload_len);

/**
 * Appends one packet to @buf: @header and @args encoded with the generated @func (NULL: no
 * payload). Strings that aren't optional must not be NULL. On failure (RPC: beyond a limit) @buf is
 * as before.
 */
gboolean cst_wire_append(GByteArray *buf, const CstWireHeader *header, xdrproc_t func,
                         const void *args, GError **error);

/** Appends one packet whose payload is @len plain bytes (stream data). */
void cst_wire_append_raw(GByteArray *buf, const CstWireHeader *header, const void *payload,
                         size_t len);

/**
 * Appends the packet that carries @error; the header's status becomes ERROR. @domain is used
 * unless the error is about the protocol itself (then CST_WIRE_FROM_RPC).
 */
void cst_wire_append_error(GByteArray *buf, const CstWireHeader *header, CstWireDomain domain,
                           const GError *error);
