/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * From packets to calls, and from calls to replies.
 *
 * The loop's thread decodes and checks a call. It runs INLINE procedures, and procedures that the
 * service can answer from memory, at once. Every other procedure becomes a Call on the heap.
 * call_submit() passes it to the workers of its class, one of them runs it (dispatch_run()), and it
 * returns through the loop's inbox (call_done()). While a worker has it, the loop uses only its
 * client and its task. The Call holds a reference of its client, so that the client outlives it
 * even if it is dropped.
 *
 * A call that hangs in storage is answered while its thread is still in the kernel
 * (call_on_stuck()). Its turn at the workers and its place on the connection become free. Its later
 * result is dropped.
 *
 * A LONG call has a task for cancellation and progress. The loop finds it under the call's serial;
 * Loop.calls has all calls with a task. When the client disconnects, calls that have not begun are
 * dropped, and the tasks of running calls are abandoned (dispatch_abandon()). A detached job
 * continues.
 */
#include <string.h>

#include <base/dry_run.h>
#include <base/log.h>
#include <base/log_context.h>
#include <base/test_point.h>

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

static void call_refuse(Client *client, const CstWireHeader *call, CstWireDomain domain,
                        const GError *error)
{
    CstWireHeader reply = reply_to(call);

    cst_log(CST_LOG_DEBUG, "the call of procedure %d is refused: %s", call->procedure,
            error->message);
    client_send_error(client, &reply, domain, error);
}

/* Initializes @log and makes it this thread's context. The caller pops it. */
static void push_log(CstLogContext *log, const Client *client, const CstWireHeader *header)
{
    cst_log_context_init(log);
    log->connection = client->number;
    log->serial = header->serial;
    log->pid = client->pid;
    log->uid = client->uid;
    cst_log_push(log);
}

/* --- which procedure ------------------------------------------------------------------------- */

void dispatch_index(CstProcedureIndex *ret_index)
{
    cst_procedure_index_init(ret_index);
    cst_procedure_index_add(ret_index, procedures_session);
    cst_procedure_index_add(ret_index, procedures_identity);
    cst_procedure_index_add(ret_index, procedures_event);
    cst_procedure_index_add(ret_index, procedures_call);
}

static const CstProcedure *find_call_procedure(const CstWireServer *server,
                                               const CstWireHeader *header, GError **error)
{
    const CstProcedure *found;

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
    found = cst_procedure_index_find(&server->procedures, header->program, header->procedure);
    if (found)
        return found;
    /* libvirt uses the other numbers up to WIRE_PROC_LAST for domains, networks and more. */
    if (header->program == WIRE_REMOTE_PROGRAM && header->procedure > 0 &&
        header->procedure <= WIRE_PROC_LAST)
        cst_fail(error, CST_ERROR_NO_SUPPORT, _("procedure %d (this server manages storage only)"),
                 header->procedure);
    else
        cst_fail(error, CST_ERROR_RPC, _("unknown procedure: %d"), header->procedure);
    return NULL;
}

/*
 * Checks the conditions that do not depend on the arguments: the user may use the socket, and the
 * connection is open.
 */
static gboolean check_call_access(const Client *client, const CstProcedure *procedure,
                                  GError **error)
{
    if (procedure->needs == CST_NEEDS_NOTHING)
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

static gboolean check_write(const Client *client, const CstProcedure *procedure, GError **error)
{
    if (procedure->needs == CST_NEEDS_WRITE && client->read_only)
        return cst_fail(error, CST_ERROR_READ_ONLY, _("read only access prevents %s"),
                        procedure->name);
    return TRUE;
}

/* --- running --------------------------------------------------------------------------------- */

/* Overwrites secrets in the arguments and frees the arguments, including partially decoded ones. */
static void clear_args(Call *call)
{
    if (call->api.procedure->wipe_args)
        call->api.procedure->wipe_args(call->args);
    xdr_free(call->api.procedure->args_func, (char *)call->args);
}

static void call_free(Call *call)
{
    clear_args(call);
    if (call->reply && call->api.procedure->wipe_ret)
        explicit_bzero(call->reply->data, call->reply->len);
    if (call->reply)
        g_byte_array_unref(call->reply);
    g_clear_error(&call->why_stuck);
    cst_task_unref(call->api.task);
    cst_api_identity_unref(call->api.identity);
    client_unref(call->client);
    g_free(call);
}

/* Runs the handler and appends its reply or its error to @buf. */
static void call_append_reply(Call *call, GByteArray *buf)
{
    const CstProcedure *procedure = call->api.procedure;
    uint64_t ret[CST_API_STRUCT_MAX / sizeof(uint64_t)];
    g_autoptr(GError) error = NULL;
    gboolean ok;

    memset(ret, 0, procedure->ret_size);
    /* Dry run is a property of the thread, which serves other calls next. */
    cst_dry_run_set(call->dry_run);
    ok = cst_api_run(&call->api, call->args, ret, &error) &&
         cst_wire_append(buf, &call->header, procedure->ret_func, ret, &error);
    cst_dry_run_set(FALSE);
    if (!ok)
        cst_wire_append_error(buf, &call->header, procedure->domain, error);
    if (procedure->wipe_ret)
        procedure->wipe_ret(ret);
    xdr_free(procedure->ret_func, (char *)ret);
}

static void run_inline(Call *call)
{
    Client *client = call->client;
    guint before;
    GByteArray *buf = out_begin(&client->out, FALSE, &before);

    call_append_reply(call, buf);
    out_appended(&client->out, before);
    client_sends(client);
}

/*
 * Answers a call without a worker if the service has the answer in memory. Returns FALSE if the
 * handler has to run; the handler also reports errors.
 */
static gboolean run_from_memory(Call *call)
{
    const CstProcedure *procedure = call->api.procedure;
    uint64_t ret[CST_API_STRUCT_MAX / sizeof(uint64_t)];

    memset(ret, 0, procedure->ret_size);
    if (!cst_api_run_from_memory(&call->api, call->args, ret))
        return FALSE;
    client_send(call->client, &call->header, procedure->ret_func, ret);
    xdr_free(procedure->ret_func, (char *)ret);
    return TRUE;
}

static void forget_task(Call *call)
{
    Client *client = call->client;

    if (!call->api.task)
        return;
    g_hash_table_remove(client->loop->calls, call);
    /* The serial may already belong to a later call, so remove only this call's own entry. */
    if (client->tasks &&
        g_hash_table_lookup(client->tasks, GUINT_TO_POINTER(call->header.serial)) == call->api.task)
        g_hash_table_remove(client->tasks, GUINT_TO_POINTER(call->header.serial));
}

/*
 * Discards the stream of the call if the client is disconnected, was already answered, or may have
 * no further stream. In the last case an error replaces the reply.
 */
static void call_drop_unusable_stream(Call *call)
{
    Client *client = call->client;
    g_autoptr(GError) error = NULL;

    if (!call->stream)
        return;
    if (client->state == CLIENT_OPEN && !call->answered &&
        stream_can_start(client, call->header.serial, &error))
        return;
    stream_discard(client->loop, g_steal_pointer(&call->stream));
    if (!error)
        return;
    g_byte_array_set_size(call->reply, 0);
    cst_wire_append_error(call->reply, &call->header, call->api.procedure->domain, error);
}

/* Ends the accounting of a call. The client has its answer or is disconnected. */
static void call_end_accounting(Call *call)
{
    Client *client = call->client;

    client->in_flight--;
    client->call_bytes -= call->size;
}

/* Runs before call_done(), because a loop handles messages in the order of posting. */
static void call_stuck(Loop *loop, Message *message)
{
    Call *call = (Call *)((char *)message - G_STRUCT_OFFSET(Call, stuck));
    Client *client = call->client;

    call->answered = TRUE;
    call_end_accounting(call);
    if (client->state == CLIENT_DEAD)
        return;
    call_refuse(client, &call->header, call->api.procedure->domain, call->why_stuck);
    client_resume(client);
}

static void call_done(Loop *loop, Message *message)
{
    Call *call = (Call *)message;
    Client *client = call->client;

    loop->jobs--;
    if (!call->answered)
        call_end_accounting(call);
    user_charge(loop->server, client->user, call->item.cost, 0);
    forget_task(call);
    call_drop_unusable_stream(call);
    if (client->state != CLIENT_DEAD && !call->answered) {
        /*
         * Queue the reply before the stream starts, so that it precedes the stream's first packet.
         */
        out_take(&client->out, g_steal_pointer(&call->reply),
                 call->api.procedure->wipe_ret != NULL);
        client_sends(client);
        if (call->stream)
            stream_start(client, g_steal_pointer(&call->stream), &call->header);
        client_resume(client);
    }
    call_free(call);
}

/* --- at the workers -------------------------------------------------------------------------- */

/* More than twice the longest value of a secret, because the encoder doubles the array. */
#define SECRET_REPLY (4u * 65536u)

static Call *call_from_item(WorkItem *item)
{
    return (Call *)((char *)item - G_STRUCT_OFFSET(Call, item));
}

/*
 * Makes the stream of the upload or download that the handler has opened. The stream starts after
 * the reply is queued (call_done()).
 */
static void call_make_stream(Call *call)
{
    CstApiCall *api = &call->api;

    if (api->upload)
        call->stream = stream_new_upload(g_steal_pointer(&api->upload), api->sparse);
    else if (api->download)
        call->stream = stream_new_download(g_steal_pointer(&api->download), api->sparse);
}

void dispatch_run(WorkItem *item)
{
    Call *call = call_from_item(item);
    CstLogContext log;

    push_log(&log, call->client, &call->header);
    log.procedure = call->api.procedure->name;
    log.task = call->api.task;
    /*
     * Allocate the full size first, because a growing array would leave a copy of the secret in
     * freed memory.
     */
    call->reply = g_byte_array_sized_new(call->api.procedure->wipe_ret ? SECRET_REPLY : 0);
    call_append_reply(call, call->reply);
    call_make_stream(call);
    cst_log_pop(&log);
    /* Remove the callbacks: the item is about to end, but a stream of the call keeps the task. */
    if (call->api.task) {
        cst_task_on_wait(call->api.task, NULL, NULL);
        cst_task_on_stuck(call->api.task, NULL, NULL);
    }
    if (call->why_stuck)
        workers_wait(call->client->loop->server->workers[WORK_LONG], &call->item, FALSE);
}

void dispatch_done(WorkItem *item)
{
    Call *call = call_from_item(item);

    loop_post(call->client->loop, &call->message);
}

/* Callback of the task, when the call begins or ends a wait. A waiting call gives its turn back. */
static void call_on_wait(gboolean waiting, gpointer data)
{
    Call *call = data;

    workers_wait(call->client->loop->server->workers[WORK_LONG], &call->item, waiting);
}

/*
 * Callback of the task, in another thread, when the call hangs in storage. The client is answered,
 * and the call gives its turn back, as in a wait. May be called more than once; only the first call
 * counts.
 */
static void call_on_stuck(const GError *why, gpointer data)
{
    Call *call = data;

    if (call->why_stuck)
        return;
    call->why_stuck = g_error_copy(why);
    call->stuck.func = call_stuck;
    workers_wait(call->client->loop->server->workers[WORK_LONG], &call->item, TRUE);
    loop_post(call->client->loop, &call->stuck);
}

static void add_task(Call *call)
{
    Client *client = call->client;
    guint seconds = client->loop->server->options.max_wait_seconds;

    call->api.task = cst_task_new();
    cst_task_set_owner(call->api.task, client->uid, client->pid);
    cst_task_set_rate(call->api.task, client->next_rate);
    cst_task_set_part_of(call->api.task, cst_client_jobs_group(client->session.jobs));
    cst_task_set_max_wait(call->api.task, seconds * G_TIME_SPAN_SECOND);
    cst_task_on_wait(call->api.task, call_on_wait, call);
    cst_task_on_stuck(call->api.task, call_on_stuck, call);
    /* A limit set by CALL_RATE applies to one call only. */
    client->next_rate = 0;
    g_hash_table_add(client->loop->calls, call);
    if (!client->tasks)
        client->tasks = g_hash_table_new_full(NULL, NULL, NULL, (GDestroyNotify)cst_task_unref);
    g_hash_table_insert(client->tasks, GUINT_TO_POINTER(call->header.serial),
                        cst_task_ref(call->api.task));
}

static void call_submit(const Call *from, size_t size)
{
    /* The call was on the stack until now. */
    Call *call = g_memdup2(from, sizeof(*from));
    Client *client = client_ref(call->client);
    WorkClass class = call->api.procedure->run == CST_RUN_LONG ? WORK_LONG : WORK_QUICK;

    call->message.func = call_done;
    call->size = size;
    cst_api_identity_ref(call->api.identity);
    call->item.lane = &client->lanes[class];
    call->item.cost = call_cost(call);
    if (class == WORK_LONG)
        add_task(call);
    client->in_flight++;
    client->call_bytes += size;
    client->loop->jobs++;
    workers_push(client->loop->server->workers[class], &call->item);
}

/* Frees calls that no worker has begun. A disconnected client gets no reply. */
static void drop_queued(Client *client, WorkClass class)
{
    Loop *loop = client->loop;
    GQueue items;
    WorkItem *item;

    workers_drain(loop->server->workers[class], &client->lanes[class], &items);
    while ((item = g_queue_pop_head(&items))) {
        Call *call = call_from_item(item);

        loop->jobs--;
        client->call_bytes -= call->size;
        forget_task(call);
        call_free(call);
    }
}

void dispatch_abandon(Client *client)
{
    GHashTableIter iter;
    gpointer call;

    CST_TEST_POINT("dispatch.abandon.begin");
    for (int class = 0; class < WORK_CLASSES; class ++)
        drop_queued(client, class);
    /* No further call of this client can begin, so the loop below finds all that have begun. */
    CST_TEST_POINT("dispatch.abandon.drained");
    g_hash_table_iter_init(&iter, client->loop->calls);
    while (g_hash_table_iter_next(&iter, &call, NULL))
        if (((Call *)call)->client == client)
            cst_task_abandon(((Call *)call)->api.task);
    g_clear_pointer(&client->tasks, g_hash_table_unref);
}

void dispatch_cancel(Loop *loop)
{
    GHashTableIter iter;
    gpointer call;

    g_hash_table_iter_init(&iter, loop->calls);
    while (g_hash_table_iter_next(&iter, &call, NULL))
        cst_task_cancel(((Call *)call)->api.task);
}

/*
 * Removes the limit that CALL_RATE has set for the next LONG call, because that call was answered
 * without a task.
 */
static void drop_next_rate(Client *client, const CstProcedure *procedure)
{
    if (!procedure || procedure->run == CST_RUN_LONG)
        client->next_rate = 0;
}

/* Handles one call. @log: the thread's context, whose procedure is set here. */
static void handle_call(Client *client, const CstWireHeader *header, const uint8_t *packet,
                        size_t len, CstLogContext *log)
{
    g_autoptr(GError) error = NULL;
    const CstProcedure *procedure = find_call_procedure(client->loop->server, header, &error);
    Call call = {0};

    if (!procedure || !check_call_access(client, procedure, &error)) {
        call_refuse(client, header,
                    procedure || error->code != CST_ERROR_NO_SUPPORT ? CST_WIRE_FROM_RPC
                                                                     : CST_WIRE_FROM_DRIVER,
                    error);
        drop_next_rate(client, procedure);
        return;
    }
    log->procedure = procedure->name;
    call.client = client;
    call.api.service = client->loop->server->service;
    call.api.session = &client->session;
    call.api.procedure = procedure;
    call.header = reply_to(header);
    call.api.identity = client->identity;
    call.dry_run = client->dry_run;
    memcpy(call.api.token, client->token, sizeof(call.api.token));
    /* As in libvirt, arguments are decoded before a read-only connection is refused. */
    if (!cst_wire_payload_decode(packet, len, procedure->args_func, call.args, &error) ||
        !check_write(client, procedure, &error)) {
        call_refuse(client, header, procedure->domain, error);
        drop_next_rate(client, procedure);
        clear_args(&call);
        return;
    }
    if (procedure->run == CST_RUN_INLINE) {
        run_inline(&call);
    } else if (!run_from_memory(&call)) {
        call_submit(&call, len);
        return;
    }
    drop_next_rate(client, procedure);
    clear_args(&call);
}

static void dispatch_call(Client *client, const CstWireHeader *header, const uint8_t *packet,
                          size_t len)
{
    CstLogContext log;

    push_log(&log, client, header);
    handle_call(client, header, packet, len, &log);
    cst_log_pop(&log);
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

void dispatch_pings_ahead(Client *client, uint8_t *packets, size_t len)
{
    CstWireHeader header;
    size_t need;

    for (;
         len >= CST_WIRE_HEADER_LEN && cst_wire_packet_length(packets, &need, NULL) && need <= len;
         packets += need, len -= need) {
        cst_wire_header_read(packets, &header);
        if (header.type != WIRE_MESSAGE || header.program != WIRE_KEEPALIVE_PROGRAM)
            continue;
        answer_ping(client, &header);
        header.procedure = WIRE_KEEPALIVE_PONG;
        cst_wire_header_write(packets, &header, need - CST_WIRE_HEADER_LEN);
    }
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
        /*
         * Descriptors would follow as bytes between the packets. The server does not report feature
         * 8 (passing of descriptors), so no client sends any.
         */
        return FALSE;
    default:
        cst_fail(&error, CST_ERROR_RPC, _("Unexpected message type %u"), header.type);
        call_refuse(client, &header, CST_WIRE_FROM_RPC, error);
        return TRUE;
    }
}
