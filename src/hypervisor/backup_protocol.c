/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The messages of a backup session (see the header). All received values are checked. */
#include "backup_protocol.h"

#include <string.h>

#define REQUEST        "(" PAUSE_REQUEST "ssst)"
#define ANSWER         "(ussbtas)"
#define TEXT_MAX_BYTES 4096 /* of a text in an answer */
#define MS             1000

unsigned hypervisor_backup_limits[BACKUP_LIMIT_LAST] = {
    [BACKUP_LIMIT_CHECK] = 10 * MS, [BACKUP_LIMIT_BEGIN] = 20 * MS,
    [BACKUP_LIMIT_LOOK] = 10 * MS,  [BACKUP_LIMIT_CLOSE] = 30 * MS,
    [BACKUP_LIMIT_LATE] = 40 * MS,  [BACKUP_LIMIT_TICK] = 200,
    [BACKUP_LIMIT_RETRY] = 1 * MS,  [BACKUP_LIMIT_RETRY_MAX] = 30 * MS,
    [BACKUP_LIMIT_END] = 5 * MS,
};

void backup_request_clear(BackupRequest *request)
{
    pause_request_clear(&request->domain);
    g_clear_pointer(&request->session, g_free);
    g_clear_pointer(&request->directory, g_free);
    g_clear_pointer(&request->scratch, g_free);
}

GBytes *backup_request_encode(const BackupRequest *request)
{
    g_autoptr(GVariant) variant = g_variant_ref_sink(g_variant_new(
        "(@" PAUSE_REQUEST "ssst)", pause_request_variant(&request->domain), request->session,
        request->directory, request->scratch, (guint64)request->reserve));

    return g_variant_get_data_as_bytes(variant);
}

gboolean backup_request_decode(const void *data, size_t len, BackupRequest *ret_request)
{
    g_autoptr(GVariant) variant = pause_packet_parse(REQUEST, data, len);
    g_autoptr(GVariant) domain = NULL;
    guint64 reserve;

    if (!variant)
        return FALSE;
    g_variant_get(variant, "(@" PAUSE_REQUEST "ssst)", &domain, &ret_request->session,
                  &ret_request->directory, &ret_request->scratch, &reserve);
    ret_request->reserve = reserve;
    return pause_request_from_variant(domain, &ret_request->domain);
}

void backup_answer_clear(BackupAnswer *answer)
{
    g_clear_pointer(&answer->message, g_free);
    g_clear_pointer(&answer->name, g_free);
    g_clear_pointer(&answer->targets, g_strfreev);
}

GBytes *backup_answer_encode(const BackupAnswer *answer)
{
    static const char *const none[] = {NULL};
    const char *const *targets = answer->targets ? (const char *const *)answer->targets : none;
    g_autoptr(GVariant) variant = g_variant_ref_sink(g_variant_new(
        "(ussbt^as)", (guint32)answer->outcome, answer->message ? answer->message : "",
        answer->name ? answer->name : "", answer->closed, (guint64)answer->free, targets));

    return g_variant_get_data_as_bytes(variant);
}

static char *backup_text_adopt(const char *text, gboolean *valid)
{
    *valid = *valid && strlen(text) <= TEXT_MAX_BYTES;
    return *text ? g_strdup(text) : NULL;
}

gboolean backup_answer_decode(const void *data, size_t len, BackupAnswer *ret_answer)
{
    g_autoptr(GVariant) variant = pause_packet_parse(ANSWER, data, len);
    const char *message, *name;
    gboolean valid = TRUE;
    guint32 outcome;
    guint64 free_bytes;

    if (!variant)
        return FALSE;
    g_variant_get(variant, "(u&s&sbt^as)", &outcome, &message, &name, &ret_answer->closed,
                  &free_bytes, &ret_answer->targets);
    ret_answer->outcome = (PauseOutcome)outcome;
    ret_answer->free = free_bytes;
    ret_answer->message = backup_text_adopt(message, &valid);
    ret_answer->name = backup_text_adopt(name, &valid);
    return valid && outcome < PAUSE_OUTCOME_LAST &&
           g_strv_length(ret_answer->targets) <= PAUSE_VOLUMES_MAX;
}
