/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Encoding and decoding of packets (see the header). Bounds: cst_wire_packet_length() checks a
 * packet's length before memory is allocated for it. The generated XDR functions check all lengths
 * inside a payload against the limits in cistern_remote.x.
 */
#include <wire/codec.h>

#include <string.h>

#include <base/error.h>
#include <base/i18n.h>

/* Uses memcpy(), because packets in a buffer are not aligned. */
static uint32_t get_word(const uint8_t *p)
{
    uint32_t word;

    memcpy(&word, p, sizeof(word));
    return GUINT32_FROM_BE(word);
}

static void put_word(uint8_t *p, uint32_t value)
{
    value = GUINT32_TO_BE(value);
    memcpy(p, &value, sizeof(value));
}

gboolean cst_wire_packet_length(const uint8_t word[4], size_t *ret_len, GError **error)
{
    uint32_t len = get_word(word);

    if (len < CST_WIRE_HEADER_LEN || len > CST_WIRE_PACKET_MAX)
        return cst_fail(error, CST_ERROR_RPC, _("packet length %u is outside %u…%u"), len,
                        CST_WIRE_HEADER_LEN, CST_WIRE_PACKET_MAX);
    *ret_len = len;
    return TRUE;
}

void cst_wire_header_read(const uint8_t *packet, CstWireHeader *ret_header)
{
    ret_header->program = get_word(packet + 4);
    ret_header->version = get_word(packet + 8);
    ret_header->procedure = (int32_t)get_word(packet + 12);
    ret_header->type = get_word(packet + 16);
    ret_header->serial = get_word(packet + 20);
    ret_header->status = get_word(packet + 24);
}

void cst_wire_header_write(uint8_t *ret_packet, const CstWireHeader *header, size_t payload_len)
{
    put_word(ret_packet, CST_WIRE_HEADER_LEN + (uint32_t)payload_len);
    put_word(ret_packet + 4, header->program);
    put_word(ret_packet + 8, header->version);
    put_word(ret_packet + 12, (uint32_t)header->procedure);
    put_word(ret_packet + 16, header->type);
    put_word(ret_packet + 20, header->serial);
    put_word(ret_packet + 24, header->status);
}

gboolean cst_wire_payload_decode(const uint8_t *packet, size_t len, xdrproc_t func, void *ret_args,
                                 GError **error)
{
    XDR xdr;

    if (len < CST_WIRE_HEADER_LEN || len > CST_WIRE_PACKET_MAX)
        return cst_fail(error, CST_ERROR_RPC, _("Unable to decode message payload"));
    xdr = (XDR){.x_op = XDR_DECODE,
                .at = (uint8_t *)packet + CST_WIRE_HEADER_LEN,
                .end = (uint8_t *)packet + len};
    if (!func(&xdr, ret_args))
        return cst_fail(error, CST_ERROR_RPC, _("Unable to decode message payload"));
    return TRUE;
}

/*
 * XDR does not report the encoded size in advance, so the buffer is doubled until the arguments
 * fit.
 */
gboolean cst_wire_append(GByteArray *buf, const CstWireHeader *header, xdrproc_t func,
                         const void *args, GError **error)
{
    guint start = buf->len;
    /* Large enough for most calls and replies. */
    size_t room = 480;

    if (!func) {
        cst_wire_append_raw(buf, header, NULL, 0);
        return TRUE;
    }
    for (;;) {
        XDR xdr = {.x_op = XDR_ENCODE};

        g_byte_array_set_size(buf, start + CST_WIRE_HEADER_LEN + room);
        xdr.at = buf->data + start + CST_WIRE_HEADER_LEN;
        xdr.end = xdr.at + room;
        if (func(&xdr, (void *)args)) {
            size_t used = (size_t)(xdr.at - buf->data) - start - CST_WIRE_HEADER_LEN;

            g_byte_array_set_size(buf, start + CST_WIRE_HEADER_LEN + used);
            cst_wire_header_write(buf->data + start, header, used);
            return TRUE;
        }
        if (room == CST_WIRE_PAYLOAD_MAX) {
            g_byte_array_set_size(buf, start);
            return cst_fail(error, CST_ERROR_RPC, _("Unable to encode message payload"));
        }
        room = MIN(room * 2, CST_WIRE_PAYLOAD_MAX);
    }
}

void cst_wire_append_raw(GByteArray *buf, const CstWireHeader *header, const void *payload,
                         size_t len)
{
    guint start = buf->len;

    g_assert(len <= CST_WIRE_PAYLOAD_MAX);
    g_byte_array_set_size(buf, start + CST_WIRE_HEADER_LEN + len);
    cst_wire_header_write(buf->data + start, header, len);
    if (len > 0)
        memcpy(buf->data + start + CST_WIRE_HEADER_LEN, payload, len);
}
