/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <sys/uio.h>

#include <wire/client.h>

typedef struct {
    CstWireHeader header; /**< as sent */
    gboolean forgotten;
    uint8_t *packet; /**< the answer, whole; NULL: not there yet */
    size_t len;
} CstWirePending;

struct CstWireClient {
    int fd;
    void (*handle_packet)(CstWireClient *client, const uint8_t *packet,
                          size_t len); /**< what comes in */
    gboolean opened;
    uint32_t next_serial;
    GError *broken;

    uint8_t *in; /**< bytes taken in: [in_start, in_end) of in_size */
    size_t in_start, in_end, in_size;
    GByteArray *out; /**< packets queued; the first out_sent bytes are gone */
    size_t out_sent;
    struct iovec direct[2];  /**< a packet sent from the caller's memory; lengths 0: none */
    gboolean direct_started; /**< partly gone: nothing else may go before its rest */

    GHashTable *pending; /**< serial → CstWirePending */
    GHashTable *streams; /**< serial → CstWireStream, not owned */
    CstWireMessageFunc message_func;
    gpointer message_data;

    int ping_interval_ms, ping_count;
    int pings; /**< sent since the last packet came */
    gint64 last_in, last_pump;
};

typedef enum { CST_STREAM_DATA, CST_STREAM_EOF, CST_STREAM_FINISHED, CST_STREAM_FAILED } CstState;

struct CstWireStream {
    CstWireClient *client;
    void (*handle_packet)(CstWireStream *stream, const CstWireHeader *header, const uint8_t *packet,
                          size_t len); /**< what comes in for it */
    CstWireHeader header;
    CstState state;
    GError *error;        /**< FAILED: why */
    gboolean server_done; /**< it knows nothing of this stream any more */
    CstWireStreamFunc func;
    gpointer data;
};

/** Marks the connection as unusable; the first reason stays. Takes @why. */
void cst_wire_client_break(CstWireClient *client, GError *why);
/** FALSE with a copy of the reason when the connection is broken. */
gboolean cst_wire_client_usable(const CstWireClient *client, GError **error);

/** Takes a whole packet that has come in. */
void cst_wire_client_handle_packet(CstWireClient *client, const uint8_t *packet, size_t len);
