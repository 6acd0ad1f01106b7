/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The messages of a pause (see the header). All received values are checked. */
#include "pause_protocol.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>

#include <hypervisor/pause.h>

#include "detached.h"

#define REQUEST_VOLUMES "a(btt)"
#define ANSWER          "(uussiubusuutt)"
#define TEXT_MAX_BYTES  4096 /* of a text in an answer */
#define MS              1000

unsigned hypervisor_pause_limits[PAUSE_LIMIT_LAST] = {
    [PAUSE_LIMIT_CHECK] = 10 * MS,
    [PAUSE_LIMIT_ATTACH] = 15 * MS,
    [PAUSE_LIMIT_CALL] = 5 * MS,
    [PAUSE_LIMIT_RESUME] = 2 * MS,
    [PAUSE_LIMIT_EVENT] = 2 * MS,
    [PAUSE_LIMIT_REPLY] = 5 * MS,
    [PAUSE_LIMIT_AGENT] = 8 * MS,
    [PAUSE_LIMIT_THAW] = 8 * MS,
    [PAUSE_LIMIT_PAUSED] = CST_HYPERVISOR_PAUSE_S * MS,
    [PAUSE_LIMIT_FROZEN] = CST_HYPERVISOR_FREEZE_S * MS,
    [PAUSE_LIMIT_LATE] = CST_HYPERVISOR_LATE_S * MS,
    [PAUSE_LIMIT_RETRY] = 1 * MS,
    [PAUSE_LIMIT_RETRY_MAX] = 30 * MS,
};

const PauseLimit pause_step_limits[PAUSE_STEP_LAST] = {
    [PAUSE_STEP_CHECK] = PAUSE_LIMIT_CHECK,   [PAUSE_STEP_ATTACH] = PAUSE_LIMIT_ATTACH,
    [PAUSE_STEP_PING] = PAUSE_LIMIT_AGENT,    [PAUSE_STEP_FREEZE] = PAUSE_LIMIT_AGENT,
    [PAUSE_STEP_SUSPEND] = PAUSE_LIMIT_CALL,  [PAUSE_STEP_HOLDS] = PAUSE_LIMIT_CALL,
    [PAUSE_STEP_RESUME] = PAUSE_LIMIT_RESUME, [PAUSE_STEP_VERIFY] = PAUSE_LIMIT_CALL,
    [PAUSE_STEP_THAW] = PAUSE_LIMIT_THAW,
};

char *pause_limits_format(const unsigned limits[PAUSE_LIMIT_LAST])
{
    return detached_limits_format(limits, PAUSE_LIMIT_LAST);
}

gboolean pause_limits_parse(const char *text, unsigned ret_limits[PAUSE_LIMIT_LAST])
{
    return detached_limits_parse(text, ret_limits, PAUSE_LIMIT_LAST);
}

/* --- requests --------------------------------------------------------------------------------- */

void pause_request_clear(PauseRequest *request)
{
    g_clear_pointer(&request->uri, g_free);
    g_clear_pointer(&request->uuid, g_free);
    g_clear_pointer(&request->volumes, g_free);
    request->n_volumes = 0;
}

GVariant *pause_request_variant(const PauseRequest *request)
{
    GVariantBuilder volumes;

    g_variant_builder_init(&volumes, G_VARIANT_TYPE(REQUEST_VOLUMES));
    for (guint i = 0; i < request->n_volumes; i++) {
        const CstHypervisorVolume *volume = &request->volumes[i];

        g_variant_builder_add(&volumes, "(btt)", volume->is_device, (guint64)volume->device,
                              (guint64)volume->inode);
    }
    return g_variant_new(PAUSE_REQUEST, request->uri, request->uuid, request->freeze,
                         request->keep_running, &volumes);
}

GBytes *pause_request_encode(const PauseRequest *request)
{
    g_autoptr(GVariant) variant = g_variant_ref_sink(pause_request_variant(request));

    return g_variant_get_data_as_bytes(variant);
}

/* Returns FALSE if the list is empty or too long. */
static gboolean request_volumes_decode(GVariant *list, PauseRequest *ret_request)
{
    gsize count = g_variant_n_children(list);

    if (count == 0 || count > PAUSE_VOLUMES_MAX)
        return FALSE;
    ret_request->volumes = g_new0(CstHypervisorVolume, count);
    ret_request->n_volumes = (guint)count;
    for (gsize i = 0; i < count; i++) {
        CstHypervisorVolume *volume = &ret_request->volumes[i];
        guint64 device, inode;

        g_variant_get_child(list, i, "(btt)", &volume->is_device, &device, &inode);
        volume->has_file = TRUE;
        volume->device = device;
        volume->inode = inode;
    }
    return TRUE;
}

GVariant *pause_packet_parse(const char *type, const void *data, size_t len)
{
    g_autoptr(GBytes) bytes = g_bytes_new(data, len);
    g_autoptr(GVariant) variant =
        g_variant_ref_sink(g_variant_new_from_bytes(G_VARIANT_TYPE(type), bytes, FALSE));

    return g_variant_is_normal_form(variant) ? g_steal_pointer(&variant) : NULL;
}

gboolean pause_request_from_variant(GVariant *variant, PauseRequest *ret_request)
{
    g_autoptr(GVariant) volumes = NULL;

    g_variant_get(variant, "(ssbb@" REQUEST_VOLUMES ")", &ret_request->uri, &ret_request->uuid,
                  &ret_request->freeze, &ret_request->keep_running, &volumes);
    return request_volumes_decode(volumes, ret_request);
}

gboolean pause_request_decode(const void *data, size_t len, PauseRequest *ret_request)
{
    g_autoptr(GVariant) variant = pause_packet_parse(PAUSE_REQUEST, data, len);

    return variant && pause_request_from_variant(variant, ret_request);
}

/* --- answers ---------------------------------------------------------------------------------- */

void pause_answer_clear(PauseAnswer *answer)
{
    g_clear_pointer(&answer->message, g_free);
    g_clear_pointer(&answer->name, g_free);
    g_clear_pointer(&answer->gap_message, g_free);
}

void pause_answer_set(PauseAnswer *answer, PauseOutcome outcome, const char *message)
{
    char *copy = g_strdup(message);

    answer->outcome = outcome;
    answer->monitor = QMP_DONE;
    g_free(answer->message);
    answer->message = copy;
}

void pause_answer_set_gap(PauseAnswer *answer, PauseGap gap, const char *message)
{
    char *copy = g_strdup(message);

    answer->gap = gap;
    g_free(answer->gap_message);
    answer->gap_message = copy;
}

gboolean pause_answer_send(int fd, const PauseAnswer *answer)
{
    const char *message = answer->message ? answer->message : "";
    const char *name = answer->name ? answer->name : "";
    const char *gap_message = answer->gap_message ? answer->gap_message : "";
    g_autoptr(GVariant) variant = g_variant_ref_sink(
        g_variant_new(ANSWER, (guint32)answer->outcome, (guint32)answer->monitor, message, name,
                      answer->id, (guint32)answer->agent, answer->stood, (guint32)answer->gap,
                      gap_message, (guint32)answer->frozen, (guint32)answer->thawed,
                      (guint64)answer->paused_us, (guint64)answer->frozen_us));
    size_t len = g_variant_get_size(variant);

    return send(fd, g_variant_get_data(variant), len, MSG_NOSIGNAL) == (ssize_t)len;
}

static char *answer_take_text(const char *text, gboolean *valid)
{
    *valid = *valid && strlen(text) <= TEXT_MAX_BYTES;
    return *text ? g_strdup(text) : NULL;
}

gboolean pause_answer_decode(const void *data, size_t len, PauseAnswer *ret_answer)
{
    g_autoptr(GVariant) variant = pause_packet_parse(ANSWER, data, len);
    guint32 outcome, monitor, agent, gap, frozen, thawed;
    const char *message, *name, *gap_message;
    guint64 paused_us, frozen_us;
    gboolean valid = TRUE;

    if (!variant)
        return FALSE;
    g_variant_get(variant, "(uu&s&siubu&suutt)", &outcome, &monitor, &message, &name,
                  &ret_answer->id, &agent, &ret_answer->stood, &gap, &gap_message, &frozen, &thawed,
                  &paused_us, &frozen_us);
    ret_answer->outcome = (PauseOutcome)outcome;
    ret_answer->monitor = (QmpOutcome)monitor;
    ret_answer->agent = (CstDomainAgent)agent;
    ret_answer->gap = (PauseGap)gap;
    ret_answer->frozen = frozen;
    ret_answer->thawed = thawed;
    ret_answer->paused_us = paused_us;
    ret_answer->frozen_us = frozen_us;
    ret_answer->message = answer_take_text(message, &valid);
    ret_answer->name = answer_take_text(name, &valid);
    ret_answer->gap_message = answer_take_text(gap_message, &valid);
    return valid && outcome < PAUSE_OUTCOME_LAST && monitor < QMP_OUTCOME_LAST &&
           agent < CST_DOMAIN_AGENT_LAST && gap < PAUSE_GAP_LAST && paused_us <= G_MAXINT64 &&
           frozen_us <= G_MAXINT64;
}

/* --- packets ---------------------------------------------------------------------------------- */

/*
 * If the other side has ended without reading all packets, the first call fails with ECONNRESET.
 * Its own packets follow.
 */
size_t pause_packet_receive(int fd, void *buffer)
{
    ssize_t len = TEMP_FAILURE_RETRY(recv(fd, buffer, PAUSE_PACKET_MAX, MSG_TRUNC));

    if (len < 0 && errno == ECONNRESET)
        len = TEMP_FAILURE_RETRY(recv(fd, buffer, PAUSE_PACKET_MAX, MSG_TRUNC));
    return len > 0 && len <= PAUSE_PACKET_MAX ? (size_t)len : 0;
}

gboolean pause_byte_send(int fd, unsigned byte)
{
    const unsigned char packet = (unsigned char)byte;

    return send(fd, &packet, 1, MSG_NOSIGNAL) == 1;
}
