/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <sys/uio.h>

#include <wire/client.h>

/** A call with a reply that has not been collected. */
typedef struct {
    CstWireHeader header; /**< as sent */
    gboolean forgotten;   /**< drop the reply when it arrives */
    uint8_t *packet;      /**< the whole reply; NULL: not arrived yet */
    size_t len;
} CstWirePending;

struct CstWireClient {
    int fd;
    void (*handle_packet)(
        CstWireClient *client, const uint8_t *packet,
        size_t len); /**< cst_wire_client_handle_packet(), in a file above client_socket.c */
    gboolean opened;
    uint32_t next_serial;
    GError *broken; /**< the failure of the connection; NULL: connected */

    uint8_t *in; /**< received bytes: [in_start, in_end) of in_size */
    size_t in_start, in_end, in_size;
    GByteArray *out; /**< queued packets; the first out_sent bytes are sent */
    size_t out_sent;
    struct iovec direct[2];  /**< unsent rest of a packet in the caller's memory */
    gboolean direct_started; /**< partly sent, so the rest precedes the queue */

    GHashTable *pending; /**< serial to CstWirePending */
    GHashTable *streams; /**< serial to CstWireStream, borrowed */
    CstWireMessageFunc message_func;
    gpointer message_data;

    int ping_interval_ms, ping_count;
    int pings;                 /**< sent since the last packet arrived */
    gint64 last_in, last_pump; /**< last packet, last return of the pump; monotonic µs */
};

/**
 * State of a stream: DATA until the server ends the data (EOF), FINISHED once it has confirmed the
 * end, FAILED after the first failure on either side.
 */
typedef enum { CST_STREAM_DATA, CST_STREAM_EOF, CST_STREAM_FINISHED, CST_STREAM_FAILED } CstState;

struct CstWireStream {
    CstWireClient *client;
    /**
     * Handles a packet of this stream. A pointer, because client_call.c is below client_stream.c.
     */
    void (*handle_packet)(CstWireStream *stream, const CstWireHeader *header, const uint8_t *packet,
                          size_t len);
    CstWireHeader header;
    CstState state;
    GError *error;        /**< in state FAILED: the failure */
    gboolean server_done; /**< the server has ended the stream, with success or failure */
    CstWireStreamFunc func;
    gpointer data;
};

/** Fails the connection with @why. Takes ownership of @why. An earlier failure is kept. */
void cst_wire_client_break(CstWireClient *client, GError *why);
/** Whether the connection works. On FALSE sets @error to a copy of the connection's failure. */
gboolean cst_wire_client_usable(const CstWireClient *client, GError **error);

/**
 * Dispatches one whole packet: a reply, a message, or a packet of a stream. @packet is borrowed. A
 * violation of the protocol fails the connection.
 */
void cst_wire_client_handle_packet(CstWireClient *client, const uint8_t *packet, size_t len);
