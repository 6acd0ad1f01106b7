/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>
#include <stdint.h>

#include "proto.h"

/** A connection of a fake server, in the thread that serves it. */
typedef struct {
    struct FakeNbd *fake;
    int fd;
    guint number; /**< of the connection, from 0 */
} FakeClient;

/** A request in the form of its header. */
typedef struct {
    uint16_t type;
    uint64_t cookie, offset;
    uint32_t length;
} FakeRequest;

/** How far a fake server gets before it stops to answer, or ends the connection. */
typedef enum { FAKE_SERVES, FAKE_NO_GREETING, FAKE_NO_OPTION, FAKE_ENDS, FAKE_LEAVES } FakeStage;

/**
 * An NBD server of one export for one test. It negotiates properly and lets the test answer. The
 * content is fake_byte().
 */
typedef struct FakeNbd {
    /* Set before the first connection. */
    uint64_t size;
    uint32_t minimum, maximum; /**< block sizes; 0: not sent */
    uint16_t flags;            /**< NBD_FLAG_… */
    gboolean no_status;        /**< has no context base:allocation */
    const char *bitmap;        /**< the context in place of base:allocation; NULL: that */
    uint32_t refusal; /**< reply to the choice of the export, NBD_REP_ERR_…; 0: accepted */
    FakeStage stage, further; /**< of the first connection, and of later ones */
    uint64_t further_size;    /**< size for later connections; 0: @size */
    /** Answers reads and block status requests. FALSE: end the connection. */
    gboolean (*answer)(const FakeClient *client, const FakeRequest *request);

    char *dir, *socket;
    gint connections, reads, statuses; /**< atomic: counters */
    gint ended;                        /**< atomic: connections that the server has ended */
    gint stopping;                     /**< atomic */

    /* Private. */
    int listener;
    GThread *thread;
    GMutex lock;
    GArray *fds;        /* of int, of clients; guarded by the lock */
    GPtrArray *threads; /* of GThread *; of the listening thread */
} FakeNbd;

/** Makes a server of 1 MiB that announces several connections. Start it with fake_nbd_start(). */
FakeNbd *fake_nbd_new(void);
void fake_nbd_start(FakeNbd *fake);
/** Ends all connections and frees the server. */
void fake_nbd_free(FakeNbd *fake);

/** Returns the byte of the content at @offset. */
uint8_t fake_byte(uint64_t offset);
/** Sends a chunk of a structured reply. FALSE: the connection has ended. */
gboolean fake_chunk(const FakeClient *client, const FakeRequest *request, uint16_t flags,
                    uint16_t type, const void *payload, size_t len);
/** Sends the data of @len bytes at @offset as a chunk. */
gboolean fake_data(const FakeClient *client, const FakeRequest *request, uint16_t flags,
                   uint64_t offset, uint32_t len);
/** Sends a block status chunk with @count pairs of a length and flags. */
gboolean fake_status(const FakeClient *client, const FakeRequest *request, uint16_t flags,
                     const uint32_t *pairs, size_t count);
/** The answer of a proper server whose export is one run of data. */
gboolean fake_answer(const FakeClient *client, const FakeRequest *request);
