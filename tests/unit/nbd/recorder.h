/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <blob/blob.h>

#include "proto.h"

#define RECORDER_SIZE (UINT64_C(128) << 20)
/** Seconds after which a client's wait for bytes fails the test. */
#define NBD_LIMIT_S 120

/**
 * A blob without content that records the calls that reach it, holds them, and makes them fail. The
 * lock guards all fields.
 */
typedef struct {
    CstBlob base;
    GMutex lock;
    GCond changed;
    GString *log;        /**< "write ", "flush ", … in the order in which the calls came in */
    guint entered;       /**< calls so far */
    guint allowed;       /**< the call with this number is the last one that may return */
    uint64_t reading;    /**< bytes of the reads that have not returned */
    uint64_t most;       /**< the highest value of @reading */
    const char *failing; /**< operation that fails, "flush"; NULL: each one succeeds */
    int code;            /**< CST_ERROR_… of the failure */
    int client;          /**< client's socket that must have no reply during a call, or -1 */
    gboolean early;      /**< it had one */
} Recorder;

/** Makes a recorder that holds no call. */
Recorder *recorder_new(void);
/** Frees @recorder; no one may have a reference. */
void recorder_free(Recorder *recorder);
/** Holds all calls that come from now on. */
void recorder_hold(Recorder *recorder);
/** Lets the next @count held calls return. */
void recorder_let(Recorder *recorder, guint count);
/** Lets all calls return, also later ones. */
void recorder_let_all(Recorder *recorder);
/** Waits until @count calls have come in. */
void recorder_await(Recorder *recorder, guint count);
/** Asserts that the log is @expected and that no reply was early, and empties the log. */
void recorder_expect(Recorder *recorder, const char *expected);
/** Returns the most bytes that reads had under way at a time. */
uint64_t recorder_most_bytes(Recorder *recorder);
/** Has @operation fail with @code (CST_ERROR_…); NULL: no operation. */
void recorder_fail(Recorder *recorder, const char *operation, int code);

/** Limits each wait for bytes at the client's socket @fd to NBD_LIMIT_S. */
void nbd_client_init(int fd);
/** Sends a request. @data: of a write. */
void nbd_client_ask(int fd, uint16_t type, uint16_t flags, uint64_t handle, uint64_t from,
                    uint32_t len, const void *data);
/** Reads @len bytes, which must come. */
void nbd_client_take(int fd, void *data, size_t len);
/** Reads a simple reply with @payload bytes; returns its error, and the handle if asked for. */
uint32_t nbd_client_reply(int fd, size_t payload, uint64_t *ret_handle);
/** Whether the server has ended the connection; waits for a byte or the end. */
gboolean nbd_client_is_over(int fd);
/** Whether a byte or the end of the connection can be read now. */
gboolean nbd_client_has_bytes(int fd);
