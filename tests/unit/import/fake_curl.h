/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>
#include <stdint.h>

/**
 * An HTTP server that replaces libcurl: the linker redirects cst_curl() to it (see
 * meson.build). It has one file, whose bytes depend on their offset and on the file's version. A
 * test scripts its answers.
 *
 * Time is simulated: g_usleep() returns at once and advances g_get_monotonic_time().
 */
#define FAKE_REQUESTS 64

/** The script of one request. */
typedef struct {
    int break_at;    /**< the connection breaks after so many bytes of the body, plus 1; 0: never */
    gboolean ends;   /**< and the server says that this was all */
    long status;     /**< instead of the file; 0: the file */
    int shift;       /**< the part begins so many bytes later than asked */
    char version;    /**< from this request on; 0: as before */
    uint64_t size;   /**< from this request on; 0: as before */
    gboolean whole;  /**< the whole file for any requested range */
    gboolean silent; /**< no answer at all: CURLE_OPERATION_TIMEDOUT */
} FakeRequest;

typedef struct {
    uint64_t size;
    char version;                      /**< the file's content, and its ETag */
    gboolean no_ranges;                /**< the whole file for any requested range */
    gboolean no_condition;             /**< If-Range is ignored: parts of any version */
    gboolean no_length;                /**< neither a length nor a total */
    FakeRequest script[FAKE_REQUESTS]; /**< of the requests to come; 0 is the first one */
    guint requests;                    /**< number of requests so far */
    char asked[FAKE_REQUESTS][64];     /**< "0-99" or "", and "if V" where that was a condition */
    void (*on_sleep)(void);            /**< called in g_usleep(); NULL: not called */
    gint64 slept_us;
} FakeServer;

extern FakeServer fake_server;

/** A server with @size bytes of version 'a', which does ranges, and no faults. */
void fake_server_reset(uint64_t size);
/** Forgets the requests and their script; the file stays. */
void fake_server_clear_script(void);
/** The byte at @offset of a version. */
uint8_t fake_server_byte(char version, uint64_t offset);
