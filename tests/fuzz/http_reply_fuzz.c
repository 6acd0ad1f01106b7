/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Headers of a server: a range is within its file, a version is one that can be asked for. */
#include <stdlib.h>
#include <string.h>

#include "fuzz.h"
#include "http_reply.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const char *at = (const char *)data, *end = at + size;
    ImportReply reply = {0};

    while (at < end) {
        const char *newline = memchr(at, '\n', (size_t)(end - at));
        size_t len = newline ? (size_t)(newline + 1 - at) : (size_t)(end - at);
        g_autofree char *validator = NULL;

        if (!import_reply_header(&reply, at, len))
            break;
        validator = import_reply_validator(&reply);
        if ((reply.has_range && reply.start >= reply.total) || reply.status > 999 ||
            (validator && (!*validator || strpbrk(validator, "\r\n"))))
            abort();
        at += len;
    }
    return 0;
}
