/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The messages of a block job (see the header). All received values are checked. */
#include "block_protocol.h"

#include <string.h>
#include <sys/socket.h>

#include <base/dry_run.h>

#define REQUEST        "(" PAUSE_REQUEST "ubbbbbbsssssst)"
#define ANSWER         "(uusssuttubbbbus)"
#define TEXT_MAX_BYTES 4096 /* of a text in an answer */
#define MS             1000

unsigned hypervisor_block_limits[BLOCK_LIMIT_LAST] = {
    [BLOCK_LIMIT_CHECK] = 10 * MS,     [BLOCK_LIMIT_BEGIN] = 40 * MS,
    [BLOCK_LIMIT_LOOK] = 40 * MS,      [BLOCK_LIMIT_SWITCH] = 60 * MS,
    [BLOCK_LIMIT_TRUTH] = 50 * MS,     [BLOCK_LIMIT_LOST] = 120 * MS,
    [BLOCK_LIMIT_CLOSE] = 60 * MS,     [BLOCK_LIMIT_LATE] = CST_HYPERVISOR_LATE_S * MS,
    [BLOCK_LIMIT_TICK] = 1 * MS,       [BLOCK_LIMIT_RETRY] = 1 * MS,
    [BLOCK_LIMIT_RETRY_MAX] = 30 * MS, [BLOCK_LIMIT_END] = 5 * MS,
};

/* --- commands --------------------------------------------------------------------------------- */

/* Both sides are the same program. */
typedef struct {
    guint64 rate;
    guint8 command;
} CommandPacket;

gboolean block_command_send(int fd, BlockCommand command, uint64_t rate)
{
    CommandPacket packet;

    memset(&packet, 0, sizeof(packet));
    packet.command = (guint8)command;
    packet.rate = rate;
    return send(fd, &packet, sizeof(packet), MSG_NOSIGNAL) == (ssize_t)sizeof(packet);
}

gboolean block_command_decode(const void *data, size_t len, BlockCommand *ret_command,
                              uint64_t *ret_rate)
{
    CommandPacket packet;

    if (len != sizeof(packet))
        return FALSE;
    memcpy(&packet, data, sizeof(packet));
    *ret_command = (BlockCommand)packet.command;
    *ret_rate = packet.rate;
    return packet.command < BLOCK_COMMAND_LAST;
}

/* --- requests --------------------------------------------------------------------------------- */

void block_request_clear(BlockRequest *request)
{
    pause_request_clear(&request->domain);
    g_clear_pointer(&request->destination, g_free);
    g_clear_pointer(&request->format, g_free);
    g_clear_pointer(&request->pool, g_free);
    g_clear_pointer(&request->pool_volume, g_free);
    g_clear_pointer(&request->old_pool, g_free);
    g_clear_pointer(&request->old_volume, g_free);
}

static char *request_text(const char *text)
{
    return (char *)(text ? text : "");
}

void block_request_set(const CstHypervisorJobRequest *request, const char *uuid,
                       CstHypervisorVolume *volumes, BlockRequest *ret_request)
{
    gboolean has_base = request->kind == CST_HYPERVISOR_JOB_COMMIT && request->base;
    guint count = 0;

    volumes[count++] = *request->volume;
    if (request->top)
        volumes[count++] = *request->top;
    if (request->base)
        volumes[count++] = *request->base;
    *ret_request = (BlockRequest){
        .domain = {.uri = (char *)request->uri,
                   .uuid = (char *)uuid,
                   .volumes = volumes,
                   .n_volumes = count},
        .kind = request->kind,
        .has_top = request->top != NULL,
        .has_base = request->base != NULL,
        .is_device = request->is_device,
        .shallow = request->shallow,
        .transient = request->transient,
        .dry_run = cst_dry_run(),
        .destination = request_text(request->destination),
        .format = request_text(request->destination_format),
        .pool = request_text(has_base ? request->base->pool : request->pool),
        .pool_volume = request_text(has_base ? request->base->volume : request->pool_volume),
        .old_pool = request_text(request->volume->pool),
        .old_volume = request_text(request->volume->volume),
        .rate = request->rate};
}

GBytes *block_request_encode(const BlockRequest *request)
{
    g_autoptr(GVariant) variant = g_variant_ref_sink(
        g_variant_new("(@" PAUSE_REQUEST "ubbbbbbsssssst)", pause_request_variant(&request->domain),
                      (guint32)request->kind, request->has_top, request->has_base,
                      request->is_device, request->shallow, request->transient, request->dry_run,
                      request->destination, request->format, request->pool, request->pool_volume,
                      request->old_pool, request->old_volume, (guint64)request->rate));

    return g_variant_get_data_as_bytes(variant);
}

gboolean block_request_decode(const void *data, size_t len, BlockRequest *ret_request)
{
    g_autoptr(GVariant) variant = pause_packet_parse(REQUEST, data, len);
    g_autoptr(GVariant) domain = NULL;
    guint32 kind;
    guint64 rate;

    if (!variant)
        return FALSE;
    g_variant_get(variant, "(@" PAUSE_REQUEST "ubbbbbbsssssst)", &domain, &kind,
                  &ret_request->has_top, &ret_request->has_base, &ret_request->is_device,
                  &ret_request->shallow, &ret_request->transient, &ret_request->dry_run,
                  &ret_request->destination, &ret_request->format, &ret_request->pool,
                  &ret_request->pool_volume, &ret_request->old_pool, &ret_request->old_volume,
                  &rate);
    ret_request->kind = (CstHypervisorJobKind)kind;
    ret_request->rate = rate;
    return pause_request_from_variant(domain, &ret_request->domain) &&
           ret_request->domain.n_volumes ==
               1U + (guint)ret_request->has_top + (guint)ret_request->has_base &&
           ret_request->domain.n_volumes <= BLOCK_VOLUMES_MAX &&
           kind < CST_HYPERVISOR_JOB_KIND_LAST;
}

/* --- answers ---------------------------------------------------------------------------------- */

void block_answer_clear(BlockAnswer *answer)
{
    g_clear_pointer(&answer->message, g_free);
    g_clear_pointer(&answer->name, g_free);
    g_clear_pointer(&answer->target, g_free);
    g_clear_pointer(&answer->naming_message, g_free);
}

GBytes *block_answer_encode(const BlockAnswer *answer)
{
    g_autoptr(GVariant) variant = g_variant_ref_sink(g_variant_new(
        ANSWER, (guint32)answer->type, (guint32)answer->outcome,
        answer->message ? answer->message : "", answer->name ? answer->name : "",
        answer->target ? answer->target : "", (guint32)answer->state, (guint64)answer->done,
        (guint64)answer->total, (guint32)answer->pivot, answer->live, answer->persistent,
        answer->persistent_unknown, answer->named, (guint32)answer->naming,
        answer->naming_message ? answer->naming_message : ""));

    return g_variant_get_data_as_bytes(variant);
}

static char *block_text_adopt(const char *text, gboolean *valid)
{
    *valid = *valid && strlen(text) <= TEXT_MAX_BYTES;
    return *text ? g_strdup(text) : NULL;
}

gboolean block_answer_decode(const void *data, size_t len, BlockAnswer *ret_answer)
{
    g_autoptr(GVariant) variant = pause_packet_parse(ANSWER, data, len);
    const char *message, *name, *target, *naming_message;
    guint32 type, outcome, state, pivot, naming;
    guint64 done, total;
    gboolean valid = TRUE;

    if (!variant)
        return FALSE;
    g_variant_get(variant, "(uu&s&s&suttubbbbu&s)", &type, &outcome, &message, &name, &target,
                  &state, &done, &total, &pivot, &ret_answer->live, &ret_answer->persistent,
                  &ret_answer->persistent_unknown, &ret_answer->named, &naming, &naming_message);
    ret_answer->type = (BlockMessage)type;
    ret_answer->outcome = (PauseOutcome)outcome;
    ret_answer->state = (BlockState)state;
    ret_answer->pivot = (CstHypervisorPivot)pivot;
    ret_answer->naming = (PauseOutcome)naming;
    ret_answer->done = done;
    ret_answer->total = total;
    ret_answer->message = block_text_adopt(message, &valid);
    ret_answer->name = block_text_adopt(name, &valid);
    ret_answer->target = block_text_adopt(target, &valid);
    ret_answer->naming_message = block_text_adopt(naming_message, &valid);
    return valid && type < BLOCK_MESSAGE_LAST && outcome < PAUSE_OUTCOME_LAST &&
           state < BLOCK_STATE_LAST && pivot < CST_HYPERVISOR_PIVOT_LAST &&
           naming < PAUSE_OUTCOME_LAST;
}
