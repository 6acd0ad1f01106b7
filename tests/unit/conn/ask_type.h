/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The short call GET_TYPE from both ends, for the tests of the client and of its streams. */

#include <base/error.h>
#include <wire/client.h>

#include "fake_server.h"

static const CstWireProc get_type = {WIRE_REMOTE_PROGRAM, WIRE_PROC_CONNECT_GET_TYPE, NULL,
                                     (xdrproc_t)xdr_wire_text};

#define STORAGE "storage"

static inline void assert_fails_with(const GError *error, int code, const char *part)
{
    g_autofree char *text = error ? cst_error_text(error) : NULL;

    assert_non_null(error);
    if (error->code != code || !strstr(text, part))
        fail_msg("error %d \"%s\" instead of %d \"…%s…\"", error->code, text, code, part);
}

/** Calls GET_TYPE. Returns its answer, or NULL with *ret_error. */
static inline char *ask_type(CstWireClient *client, GError **ret_error)
{
    wire_text ret = {0};

    return cst_wire_client_call(client, &get_type, NULL, &ret, ret_error) ? ret.value : NULL;
}

static inline void reply_type(int fd, CstWireHeader call)
{
    wire_text ret = {(char *)STORAGE};

    fake_reply(fd, call, xdr_wire_text, &ret);
}

static inline void serve_one_type(int fd, gpointer data)
{
    reply_type(fd, fake_expect(fd, WIRE_PROC_CONNECT_GET_TYPE));
}
