/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The handshake ("fixed newstyle"). The client sends options in sequence, and each gets its
 * replies. The last option names the export. A protocol violation without an error reply of its own
 * ends the connection. The server also ends it after a time limit, and after OPTIONS_MAX options.
 */
#include "connection.h"

#define OPTIONS_MAX 1000
#define ALLOCATION  "base:allocation"
#define BITMAP      "qemu:dirty-bitmap:"
#define PREFERRED   65536 /* block size: the cluster size of our formats */

/* The current option. */
typedef struct {
    NbdConnection *connection;
    uint32_t number;
    const uint8_t *at; /* the unread part of its data */
    size_t left;
} Option;

typedef enum { NEXT, TRANSMIT, CLOSE } Verdict;

/* --- replies ---------------------------------------------------------------------------------- */

static gboolean option_reply(const Option *option, uint32_t type, const void *data, size_t len)
{
    uint8_t head[20];
    uint8_t *at = nbd_put64(head, NBD_OPT_REPLY_MAGIC);

    at = nbd_put32(at, option->number);
    at = nbd_put32(at, type);
    nbd_put32(at, (uint32_t)len);
    return nbd_send(option->connection, head, sizeof(head), data, len);
}

/* Sends an error reply. The text is for users of the client, so it is not translated. */
static Verdict option_refuse(const Option *option, uint32_t type, const char *why)
{
    return option_reply(option, type, why, strlen(why)) ? NEXT : CLOSE;
}

static Verdict option_acknowledge(const Option *option)
{
    return option_reply(option, NBD_REP_ACK, NULL, 0) ? NEXT : CLOSE;
}

uint16_t nbd_transmission_flags(const NbdConnection *connection)
{
    uint16_t flags = NBD_FLAG_HAS_FLAGS | NBD_FLAG_CAN_MULTI_CONN | NBD_FLAG_SEND_FLUSH;

    if (connection->structured)
        flags |= NBD_FLAG_SEND_DF;
    if (!connection->export->writable)
        return flags | NBD_FLAG_READ_ONLY;
    return flags | NBD_FLAG_SEND_FUA | NBD_FLAG_SEND_TRIM | NBD_FLAG_SEND_WRITE_ZEROES |
           NBD_FLAG_SEND_FAST_ZERO;
}

/* --- reading an option's data ----------------------------------------------------------------- */

static gboolean take16(Option *option, uint16_t *ret_value)
{
    if (option->left < 2)
        return FALSE;
    *ret_value = nbd_get16(option->at);
    option->at += 2;
    option->left -= 2;
    return TRUE;
}

static gboolean take32(Option *option, uint32_t *ret_value)
{
    if (option->left < 4)
        return FALSE;
    *ret_value = nbd_get32(option->at);
    option->at += 4;
    option->left -= 4;
    return TRUE;
}

/*
 * Parses a string with a length prefix; the caller frees it. Returns NULL if it is truncated or too
 * long.
 */
static char *take_string(Option *option)
{
    uint32_t len;
    char *text;

    if (!take32(option, &len) || len > NBD_STRING_MAX || len > option->left)
        return NULL;
    text = g_strndup((const char *)option->at, len);
    option->at += len;
    option->left -= len;
    return text;
}

static gboolean is_export(const Option *option, const char *name)
{
    return !*name || strcmp(name, option->connection->export->name) == 0;
}

/* --- options ---------------------------------------------------------------------------------- */

static gboolean connection_prove(NbdConnection *connection)
{
    return !connection->prove || connection->prove(connection->client);
}

/*
 * Makes the client a proven one before the reply, so that a client that receives the reply has its
 * place. A client with a TLS session is already proven.
 */
static gboolean may_transmit(NbdConnection *connection)
{
    return connection->session || connection_prove(connection);
}

/* The only option without an option reply: its data is the name. */
static Verdict export_name(Option *option)
{
    NbdConnection *connection = option->connection;
    g_autofree char *name = g_strndup((const char *)option->at, option->left);
    uint8_t answer[10 + 124] = {0};

    if (!is_export(option, name) || !may_transmit(connection))
        return CLOSE;
    nbd_put16(nbd_put64(answer, connection->size), nbd_transmission_flags(connection));
    return nbd_send(connection, answer, connection->zeroes ? sizeof(answer) : 10, NULL, 0)
               ? TRANSMIT
               : CLOSE;
}

static Verdict option_list(Option *option)
{
    const char *name = option->connection->export->name;
    size_t len = strlen(name);
    g_autofree uint8_t *data = g_malloc(4 + len);

    if (option->left > 0)
        return option_refuse(option, NBD_REP_ERR_INVALID, "the list of exports takes no data");
    memcpy(nbd_put32(data, (uint32_t)len), name, len);
    return option_reply(option, NBD_REP_SERVER, data, 4 + len) ? option_acknowledge(option) : CLOSE;
}

static gboolean tell_text(const Option *option, uint16_t type, const char *text)
{
    size_t len = strlen(text);
    g_autofree uint8_t *data = g_malloc(2 + len);

    memcpy(nbd_put16(data, type), text, len);
    return option_reply(option, NBD_REP_INFO, data, 2 + len);
}

/* Sends size and flags, and the names only on request. */
static gboolean tell_export(const Option *option, gboolean named, gboolean described)
{
    const NbdConnection *connection = option->connection;
    const CstNbdExport *export = connection->export;
    uint8_t data[14];
    uint8_t *at = nbd_put16(data, NBD_INFO_EXPORT);

    at = nbd_put64(at, connection->size);
    nbd_put16(at, nbd_transmission_flags(connection));
    if (!option_reply(option, NBD_REP_INFO, data, 12))
        return FALSE;
    at = nbd_put16(data, NBD_INFO_BLOCK_SIZE);
    at = nbd_put32(at, 1);
    at = nbd_put32(at, PREFERRED);
    nbd_put32(at, NBD_PAYLOAD_MAX);
    if (!option_reply(option, NBD_REP_INFO, data, 14))
        return FALSE;
    return (!named || tell_text(option, NBD_INFO_NAME, export->name)) &&
           (!described || !export->description ||
            tell_text(option, NBD_INFO_DESCRIPTION, export->description));
}

static Verdict info_or_go(Option *option)
{
    g_autofree char *name = take_string(option);
    gboolean go = option->number == NBD_OPT_GO;
    gboolean named = FALSE, described = FALSE;
    uint16_t count = 0;

    if (!name || !take16(option, &count) || option->left != 2 * (size_t)count)
        return option_refuse(option, NBD_REP_ERR_INVALID, "the lengths in the option do not fit");
    if (!is_export(option, name))
        return option_refuse(option, NBD_REP_ERR_UNKNOWN, "there is no such export");
    for (uint16_t i = 0; i < count; i++) {
        uint16_t type = 0;

        take16(option, &type);
        named |= type == NBD_INFO_NAME;
        described |= type == NBD_INFO_DESCRIPTION;
    }
    if ((go && !may_transmit(option->connection)) || !tell_export(option, named, described) ||
        option_acknowledge(option) == CLOSE)
        return CLOSE;
    return go ? TRANSMIT : NEXT;
}

/* Starts TLS. Settings negotiated before TLS are reset. */
static Verdict start_tls(Option *option)
{
    NbdConnection *connection = option->connection;

    if (option->left > 0 || connection->session)
        return option_refuse(option, NBD_REP_ERR_INVALID, "TLS takes no data, and begins once");
    if (!connection->tls)
        return option_refuse(option, NBD_REP_ERR_UNSUP, "there is no TLS here");
    connection->structured = FALSE;
    connection->contexts = 0;
    if (option_acknowledge(option) == CLOSE)
        return CLOSE;
    connection->session = nbd_session_new(connection->tls, connection->fd, &connection->failure);
    return connection->session && connection_prove(connection) ? NEXT : CLOSE;
}

static Verdict structured_reply(Option *option)
{
    if (option->left > 0)
        return option_refuse(option, NBD_REP_ERR_INVALID, "structured replies take no data");
    option->connection->structured = TRUE;
    return option_acknowledge(option);
}

/* --- contexts of block status ----------------------------------------------------------------- */

guint nbd_context_count(const CstNbdExport *export)
{
    return 1 + (export->bitmaps ? export->bitmaps->len : 0);
}

static const char *bitmap_name(const CstNbdExport *export, guint index)
{
    return ((const CstNbdBitmap *)g_ptr_array_index(export->bitmaps, index - 1))->name;
}

static gboolean is_context(const CstNbdExport *export, guint index, const char *query)
{
    if (index == 0)
        return strcmp(query, ALLOCATION) == 0;
    return g_str_has_prefix(query, BITMAP) &&
           strcmp(query + strlen(BITMAP), bitmap_name(export, index)) == 0;
}

/* Returns whether the query of a list requests all contexts of the kind of @index. */
static gboolean asks_for_all(guint index, const char *query)
{
    return index == 0 ? strcmp(query, "base:") == 0
                      : strcmp(query, "qemu:") == 0 || strcmp(query, BITMAP) == 0;
}

/* Returns the bits of the contexts that match the query. */
static uint64_t contexts_of(const Option *option, const char *query)
{
    const CstNbdExport *export = option->connection->export;
    gboolean list = option->number == NBD_OPT_LIST_META_CONTEXT;
    uint64_t found = 0;

    for (guint i = 0; i < nbd_context_count(export); i++)
        if (is_context(export, i, query) || (list && asks_for_all(i, query)))
            found |= UINT64_C(1) << i;
    return found;
}

static gboolean tell_context(const Option *option, guint index)
{
    const CstNbdExport *export = option->connection->export;
    g_autofree char *name =
        index == 0 ? g_strdup(ALLOCATION) : g_strconcat(BITMAP, bitmap_name(export, index), NULL);
    size_t len = strlen(name);
    g_autofree uint8_t *data = g_malloc(4 + len);
    gboolean set = option->number == NBD_OPT_SET_META_CONTEXT;

    memcpy(nbd_put32(data, set ? nbd_context_id(index) : 0), name, len);
    return option_reply(option, NBD_REP_META_CONTEXT, data, 4 + len);
}

static Verdict tell_contexts(Option *option, uint64_t wanted)
{
    for (guint i = 0; i < nbd_context_count(option->connection->export); i++)
        if ((wanted & UINT64_C(1) << i) && !tell_context(option, i))
            return CLOSE;
    return option_acknowledge(option);
}

static Verdict meta_context(Option *option)
{
    NbdConnection *connection = option->connection;
    gboolean set = option->number == NBD_OPT_SET_META_CONTEXT;
    g_autofree char *name = take_string(option);
    uint64_t wanted;
    uint32_t count;

    if (set)
        connection->contexts = 0;
    if (!name || !take32(option, &count))
        return option_refuse(option, NBD_REP_ERR_INVALID, "the lengths in the option do not fit");
    if (set && !connection->structured)
        return option_refuse(option, NBD_REP_ERR_INVALID, "contexts need structured replies");
    if (!is_export(option, name))
        return option_refuse(option, NBD_REP_ERR_UNKNOWN, "there is no such export");
    wanted = !set && count == 0 ? UINT64_MAX : 0;
    for (uint32_t i = 0; i < count; i++) {
        g_autofree char *query = take_string(option);

        if (!query)
            return option_refuse(option, NBD_REP_ERR_INVALID,
                                 "the lengths in the option do not fit");
        wanted |= contexts_of(option, query);
    }
    if (option->left > 0)
        return option_refuse(option, NBD_REP_ERR_INVALID, "the lengths in the option do not fit");
    if (set)
        connection->contexts = wanted;
    return tell_contexts(option, wanted);
}

/* Serves an option before TLS if TLS is required: reveals no information. */
static Verdict serve_closed(Option *option)
{
    switch (option->number) {
    case NBD_OPT_EXPORT_NAME: return CLOSE;
    case NBD_OPT_ABORT: option_acknowledge(option); return CLOSE;
    case NBD_OPT_STARTTLS: return start_tls(option);
    default: return option_refuse(option, NBD_REP_ERR_TLS_REQD, "TLS is needed here");
    }
}

static Verdict serve_option(Option *option)
{
    if (option->connection->tls && !option->connection->session)
        return serve_closed(option);
    switch (option->number) {
    case NBD_OPT_EXPORT_NAME: return export_name(option);
    case NBD_OPT_ABORT: option_acknowledge(option); return CLOSE;
    case NBD_OPT_LIST: return option_list(option);
    case NBD_OPT_STARTTLS: return start_tls(option);
    case NBD_OPT_INFO:
    case NBD_OPT_GO: return info_or_go(option);
    case NBD_OPT_STRUCTURED_REPLY: return structured_reply(option);
    case NBD_OPT_LIST_META_CONTEXT:
    case NBD_OPT_SET_META_CONTEXT: return meta_context(option);
    default: return option_refuse(option, NBD_REP_ERR_UNSUP, "unknown option");
    }
}

/* --- the handshake ---------------------------------------------------------------------------- */

static gboolean connection_greet(NbdConnection *connection)
{
    uint8_t greeting[18];
    uint8_t answer[4];
    uint8_t *at = nbd_put64(greeting, NBD_INIT_MAGIC);
    uint32_t flags;

    at = nbd_put64(at, NBD_OPTION_MAGIC);
    nbd_put16(at, NBD_FIXED_NEWSTYLE | NBD_NO_ZEROES);
    if (!nbd_send(connection, greeting, sizeof(greeting), NULL, 0) ||
        !nbd_receive(connection, answer, sizeof(answer)))
        return FALSE;
    flags = nbd_get32(answer);
    connection->zeroes = !(flags & NBD_NO_ZEROES);
    return (flags & NBD_FIXED_NEWSTYLE) &&
           !(flags & ~(uint32_t)(NBD_FIXED_NEWSTYLE | NBD_NO_ZEROES));
}

static Verdict next_option(NbdConnection *connection)
{
    g_autofree uint8_t *data = NULL;
    Option option = {.connection = connection};
    uint8_t head[16];
    uint32_t len;

    if (!nbd_receive(connection, head, sizeof(head)) || nbd_get64(head) != NBD_OPTION_MAGIC)
        return CLOSE;
    option.number = nbd_get32(head + 8);
    len = nbd_get32(head + 12);
    if (len > NBD_OPTION_MAX)
        return CLOSE;
    data = g_malloc(len + 1);
    if (!nbd_receive(connection, data, len))
        return CLOSE;
    option.at = data;
    option.left = len;
    return serve_option(&option);
}

gboolean nbd_negotiate(NbdConnection *connection)
{
    Verdict verdict = connection_greet(connection) ? NEXT : CLOSE;

    for (guint i = 0; i < OPTIONS_MAX && verdict == NEXT; i++)
        verdict = next_option(connection);
    return verdict == TRANSMIT;
}
