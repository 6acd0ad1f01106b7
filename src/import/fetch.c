/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Small files from servers: lists of checksums and their signatures. */
#include "fetch.h"

#include <base/i18n.h>

#include "http.h"

typedef struct {
    GByteArray *bytes;
    const char *name;
    size_t limit;
} Fetch;

static gboolean fetch_append_bytes(const void *buf, size_t len, gpointer data, GError **error)
{
    const Fetch *fetch = data;

    if (len > fetch->limit - fetch->bytes->len)
        return cst_fail(error, CST_ERROR_LIMIT, _("'%s' is larger than %zu bytes"), fetch->name,
                        fetch->limit);
    g_byte_array_append(fetch->bytes, buf, (guint)len);
    return TRUE;
}

char *import_fetch(const ImportContext *context, const char *url, size_t limit, size_t *ret_len,
                   GError **error)
{
    /* The user's size limit is for images only. */
    ImportContext any_size = *context;
    g_autoptr(ImportHttp) http = NULL;
    g_autoptr(GByteArray) bytes = g_byte_array_new();
    Fetch fetch = {.bytes = bytes, .limit = limit};

    any_size.max_size = CST_IMPORT_MAX_SIZE;
    http = import_http_open(&any_size, url, error);
    if (!http)
        return NULL;
    fetch.name = import_http_name(http);
    if (!import_http_get(http, 0, IMPORT_UNKNOWN, fetch_append_bytes, &fetch, error))
        return NULL;
    *ret_len = bytes->len;
    g_byte_array_append(bytes, (const guint8 *)"", 1);
    return (char *)g_byte_array_free(g_steal_pointer(&bytes), FALSE);
}
