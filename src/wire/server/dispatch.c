/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <string.h>

#include "procedures.h"
#include "server.h"
#include "stream.h"

static CstWireHeader reply_to(const CstWireHeader *call)
{
    CstWireHeader reply = *call;

    reply.type = WIRE_REPLY;
    reply.status = WIRE_OK;
    return reply;
}

static void refuse(Client *client, const CstWireHeader *call, CstWireDomain domain,
                   const GError *error)
{
    CstWireHeader reply = reply_to(call);

    client_send_error(client, &reply, domain, error);
}

/* --- which procedure ------------------------------------------------------------------------- */

static const Procedure *lookup(const Procedure *const *index, int last, int number)
{
    return number >= 0 && number <= last ? index[number] : NULL;
}

static const Procedure *find_procedure(const CstWireServer *server, const CstWireHeader *header,
                                       GError **error)
{
    const Procedure *found = NULL;

    if (header->version != WIRE_VERSION ||
        (header->program != WIRE_REMOTE_PROGRAM && header->program != WIRE_CISTERN_PROGRAM)) {
        cst_fail(error, CST_ERROR_RPC, _("Cannot find program %u version %u"), header->program,
                 header->version);
        return NULL;
    }
    if (header->status != WIRE_OK) {
        cst_fail(error, CST_ERROR_RPC, _("Unexpected message status %u"), header->status);
        return NULL;
    }
    if (header->program == WIRE_CISTERN_PROGRAM)
        found = lookup(server->cistern, WIRE_CISTERN_LAST, header->procedure);
    else
        found = lookup(server->remote, WIRE_PROC_LAST, header->procedure);
    if (found)
        return found;
    /* libvirt has calls for domains, networks and more under the other numbers up to its last. */
    if (header->program == WIRE_REMOTE_PROGRAM && header->procedure > 0 &&
        header->procedure <= WIRE_PROC_LAST)
        cst_fail(error, CST_ERROR_NO_SUPPORT, _("procedure %d (this server manages storage only)"),
                 header->procedure);
    else
        cst_fail(error, CST_ERROR_RPC, _("unknown procedure: %d"), header->procedure);
    return NULL;
}

static gboolean check_access(const Client *client, const Procedure *procedure, GError **error)
{
    if (procedure->needs == NEEDS_NOTHING)
        return TRUE;
    if (!client->allowed)
        return cst_fail(error, CST_ERROR_AUTH,
                        _("user %u may not use this socket; it is for root and for members of the "
                          "configured group, the read-only socket (-r) is open to all"),
                        (unsigned)client->uid);
    if (client->state != CLIENT_OPEN && procedure->number != WIRE_PROC_CONNECT_OPEN)
        return cst_fail(error, CST_ERROR_INTERNAL, _("connection not open"));
    return TRUE;
}

static gboolean check_write(const Client *client, const Procedure *procedure, GError **error)
{
    if (procedure->needs == NEEDS_WRITE && client->read_only)
        return cst_fail(error, CST_ERROR_READ_ONLY, _("read only access prevents %s"),
                        procedure->api);
    return TRUE;
}

/* --- running --------------------------------------------------------------------------------- */

void call_free(Call *call)
{
    if (call->procedure->args_func)
        xdr_free(call->procedure->args_func, (char *)call->args);
    if (call->reply)
        g_byte_array_unref(call->reply);
    cst_task_unref(call->task);
    client_unref(call->client);
    g_free(call);
}

static void clear_args(Call *call)
{
    if (call->procedure->args_func)
        xdr_free(call->procedure->args_func, (char *)call->args);
}

/* Runs the handler and appends the reply, whichever it is, to @buf. */
static void answer(Call *call, GByteArray *buf)
{
    const Procedure *procedure = call->procedure;
    uint64_t ret[ARGS_MAX / sizeof(uint64_t)];
    g_autoptr(GError) error = NULL;
    gboolean ok;

    memset(ret, 0, procedure->ret_size);
    ok = procedure->handler(call, call->args, ret, &error) &&
         cst_wire_append(buf, &call->header, procedure->ret_func, ret, &error);
    if (!ok)
        cst_wire_append_error(buf, &call->header, procedure->domain, error);
    if (procedure->wipe)
        procedure->wipe(ret);
    if (procedure->ret_func)
        xdr_free(procedure->ret_func, (char *)ret);
}

static void run_inline(Call *call)
{
    Client *client = call->client;
    guint before;
    GByteArray *buf = out_begin(&client->out, FALSE, &before);

    answer(call, buf);
    out_appended(&client->out, before);
    client_sends(client);
}

static void forget_task(Call *call)
{
    Client *client = call->client;

    if (!call->task)
        return;
    g_hash_table_remove(client->loop->tasks, call->task);
    if (client->tasks &&
        g_hash_table_lookup(client->tasks, GUINT_TO_POINTER(call->header.serial)) == call->task)
        g_hash_table_remove(client->tasks, GUINT_TO_POINTER(call->header.serial));
}

/* What the call started goes on only when there is still somebody, with a free serial. */
static void settle_stream(Call *call)
{
    Client *client = call->client;
    g_autoptr(GError) error = NULL;

    if (!call->stream)
        return;
    if (client->state == CLIENT_OPEN && stream_can_start(client, call->header.serial, &error))
        return;
    stream_discard(client->loop, g_steal_pointer(&call->stream));
    if (!error)
        return;
    g_byte_array_set_size(call->reply, 0);
    cst_wire_append_error(call->reply, &call->header, call->procedure->domain, error);
}

static void call_done(Loop *loop, Message *message)
{
    Call *call = (Call *)message;
    Client *client = call->client;

    loop->jobs--;
    client->in_flight--;
    client->running--;
    forget_task(call);
    settle_stream(call);
    if (client->state != CLIENT_DEAD) {
        out_take(&client->out, g_steal_pointer(&call->reply), call->procedure->wipe != NULL);
        client_sends(client);
        if (call->stream)
            stream_start(client, g_steal_pointer(&call->stream), &call->header);
        dispatch_waiting(client);
        client_resume(client);
    }
    call_free(call);
}

void dispatch_work(gpointer data, gpointer server)
{
    Call *call = data;

    call->reply = g_byte_array_new();
    answer(call, call->reply);
    loop_post(call->client->loop, &call->message);
}

static void submit(Call *call)
{
    Client *client = call->client;
    CstWireServer *server = client->loop->server;

    client->running++;
    client->loop->jobs++;
    if (call->procedure->run == RUN_LONG) {
        call->task = cst_task_new();
        cst_task_set_owner(call->task, client->uid, client->pid);
        cst_task_set_rate(call->task, call->rate);
        g_hash_table_add(client->loop->tasks, call->task);
        if (!client->tasks)
            client->tasks = g_hash_table_new_full(NULL, NULL, NULL, (GDestroyNotify)cst_task_unref);
        g_hash_table_insert(client->tasks, GUINT_TO_POINTER(call->header.serial),
                            cst_task_ref(call->task));
    }
    /* Fails only when no thread could be made; the call then runs when another one ends. */
    g_thread_pool_push(call->procedure->run == RUN_LONG ? server->slow : server->quick, call, NULL);
}

void dispatch_waiting(Client *client)
{
    while (client->running < client->loop->server->options.max_running &&
           !g_queue_is_empty(&client->waiting))
        submit(g_queue_pop_head(&client->waiting));
}

static void dispatch_call(Client *client, const CstWireHeader *header, const uint8_t *packet,
                          size_t len)
{
    g_autoptr(GError) error = NULL;
    const Procedure *procedure = find_procedure(client->loop->server, header, &error);
    Call *kept, call = {0};

    if (!procedure || !check_access(client, procedure, &error)) {
        refuse(client, header,
               procedure || error->code != CST_ERROR_NO_SUPPORT ? CST_WIRE_FROM_RPC
                                                                : CST_WIRE_FROM_DRIVER,
               error);
        return;
    }
    call.client = client;
    call.service = client->loop->server->service;
    call.procedure = procedure;
    call.header = reply_to(header);
    if ((procedure->args_func &&
         !cst_wire_payload_decode(packet, len, procedure->args_func, call.args, &error)) ||
        !check_write(client, procedure, &error)) {
        refuse(client, header, procedure->domain, error);
        clear_args(&call);
        return;
    }
    if (procedure->run == RUN_INLINE) {
        run_inline(&call);
        clear_args(&call);
        return;
    }
    kept = g_memdup2(&call, sizeof(call));
    kept->message.func = call_done;
    if (procedure->run == RUN_LONG) {
        kept->rate = client->next_rate;
        client->next_rate = 0;
    }
    client_ref(client);
    client->in_flight++;
    g_queue_push_tail(&client->waiting, kept);
    dispatch_waiting(client);
}

/* --- packets --------------------------------------------------------------------------------- */

static void answer_ping(Client *client, const CstWireHeader *header)
{
    CstWireHeader pong = *header;

    if (header->procedure != WIRE_KEEPALIVE_PING || header->version != WIRE_VERSION)
        return;
    pong.procedure = WIRE_KEEPALIVE_PONG;
    pong.serial = 0;
    pong.status = WIRE_OK;
    client_send(client, &pong, NULL, NULL);
}

gboolean dispatch_packet(Client *client, const uint8_t *packet, size_t len)
{
    g_autoptr(GError) error = NULL;
    CstWireHeader header;

    cst_wire_header_read(packet, &header);
    switch (header.type) {
    case WIRE_CALL: dispatch_call(client, &header, packet, len); return TRUE;
    case WIRE_MESSAGE:
        if (header.program == WIRE_KEEPALIVE_PROGRAM)
            answer_ping(client, &header);
        return TRUE;
    case WIRE_STREAM:
    case WIRE_STREAM_HOLE: return stream_packet(client, &header, packet, len);
    case WIRE_CALL_WITH_FDS:
    case WIRE_REPLY_WITH_FDS:
        /* Descriptors would follow as bytes between the packets; feature 8 says we take none. */
        return FALSE;
    default:
        cst_fail(&error, CST_ERROR_RPC, _("Unexpected message type %u"), header.type);
        refuse(client, &header, CST_WIRE_FROM_RPC, error);
        return TRUE;
    }
}
