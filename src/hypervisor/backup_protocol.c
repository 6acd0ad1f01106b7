/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The messages of a backup session (see the header). All received values are checked. */
#include "backup_protocol.h"

#include <string.h>

#include <model/domain_backup.h>

#define REQUEST               \
    "(" PAUSE_REQUEST "sssts" \
    "as)"
#define EXPORTS        "a(sbuxs)"
#define ANSWER         "(ussbtsx" EXPORTS ")"
#define TEXT_MAX_BYTES 4096 /* of a text in an answer */
#define MS             1000

unsigned hypervisor_backup_limits[BACKUP_LIMIT_LAST] = {
    [BACKUP_LIMIT_CHECK] = 10 * MS,     [BACKUP_LIMIT_BEGIN] = 20 * MS,
    [BACKUP_LIMIT_LOOK] = 10 * MS,      [BACKUP_LIMIT_CLOSE] = 30 * MS,
    [BACKUP_LIMIT_LATE] = 40 * MS,      [BACKUP_LIMIT_TICK] = 200,
    [BACKUP_LIMIT_RETRY] = 1 * MS,      [BACKUP_LIMIT_RETRY_MAX] = 30 * MS,
    [BACKUP_LIMIT_RECONNECT] = 60 * MS, [BACKUP_LIMIT_END] = 5 * MS,
};

void backup_request_clear(BackupRequest *request)
{
    for (guint i = 0; request->bases && i < request->domain.n_volumes; i++) {
        g_free(request->bases[i].name);
    }
    g_clear_pointer(&request->bases, g_free);
    g_clear_pointer(&request->checkpoint, g_free);
    pause_request_clear(&request->domain);
    g_clear_pointer(&request->session, g_free);
    g_clear_pointer(&request->directory, g_free);
    g_clear_pointer(&request->scratch, g_free);
}

GBytes *backup_request_encode(const BackupRequest *request)
{
    const char *checkpoint = request->checkpoint ? request->checkpoint : "";
    g_autoptr(GVariant) variant = NULL;
    GVariantBuilder bases;

    g_variant_builder_init(&bases, G_VARIANT_TYPE_STRING_ARRAY);
    for (guint i = 0; i < request->domain.n_volumes; i++) {
        const char *name = request->bases ? request->bases[i].name : NULL;

        g_variant_builder_add(&bases, "s", name ? name : "");
    }
    variant = g_variant_ref_sink(g_variant_new(
        "(@" PAUSE_REQUEST "ssstsas)", pause_request_variant(&request->domain), request->session,
        request->directory, request->scratch, (guint64)request->reserve, checkpoint, &bases));
    return g_variant_get_data_as_bytes(variant);
}

/* Returns FALSE if @name is neither empty nor the name of a checkpoint. */
static gboolean checkpoint_adopt(const char *name, char **ret_name)
{
    *ret_name = *name ? g_strdup(name) : NULL;
    return !*name || cst_checkpoint_name_is_valid(name);
}

static gboolean backup_bases_adopt(const char *const *names, BackupRequest *request)
{
    gboolean valid = TRUE;

    if (g_strv_length((GStrv)names) != request->domain.n_volumes)
        return FALSE;
    request->bases = g_new0(BackupBase, request->domain.n_volumes);
    for (guint i = 0; i < request->domain.n_volumes; i++)
        valid = checkpoint_adopt(names[i], &request->bases[i].name) && valid;
    return valid;
}

gboolean backup_request_decode(const void *data, size_t len, BackupRequest *ret_request)
{
    g_autoptr(GVariant) variant = pause_packet_parse(REQUEST, data, len);
    g_autoptr(GVariant) domain = NULL;
    g_autofree const char **bases = NULL;
    const char *checkpoint;
    guint64 reserve;

    if (!variant)
        return FALSE;
    g_variant_get(variant, "(@" PAUSE_REQUEST "ssst&s^a&s)", &domain, &ret_request->session,
                  &ret_request->directory, &ret_request->scratch, &reserve, &checkpoint, &bases);
    ret_request->reserve = reserve;
    return pause_request_from_variant(domain, &ret_request->domain) &&
           checkpoint_adopt(checkpoint, &ret_request->checkpoint) &&
           backup_bases_adopt(bases, ret_request);
}

void backup_export_free(gpointer data)
{
    BackupExport *export = data;

    g_free(export->target);
    g_free(export->chain);
    g_free(export);
}

void backup_answer_clear(BackupAnswer *answer)
{
    g_clear_pointer(&answer->message, g_free);
    g_clear_pointer(&answer->name, g_free);
    g_clear_pointer(&answer->refusal, g_free);
    g_clear_pointer(&answer->exports, g_ptr_array_unref);
}

GBytes *backup_answer_encode(const BackupAnswer *answer)
{
    g_autoptr(GVariant) variant = NULL;
    GVariantBuilder exports;

    g_variant_builder_init(&exports, G_VARIANT_TYPE(EXPORTS));
    for (guint i = 0; answer->exports && i < answer->exports->len; i++) {
        const BackupExport *export = answer->exports->pdata[i];

        g_variant_builder_add(&exports, "(sbuxs)", export->target, export->tracked,
                              (guint32) export->loss, export->created,
                              export->chain ? export->chain : "");
    }
    variant = g_variant_ref_sink(g_variant_new(
        "(ussbtsx" EXPORTS ")", (guint32)answer->outcome, answer->message ? answer->message : "",
        answer->name ? answer->name : "", answer->closed, (guint64)answer->free,
        answer->refusal ? answer->refusal : "", answer->created, &exports));
    return g_variant_get_data_as_bytes(variant);
}

static char *backup_text_adopt(const char *text, gboolean *valid)
{
    *valid = *valid && strlen(text) <= TEXT_MAX_BYTES;
    return *text ? g_strdup(text) : NULL;
}

/* Returns the exports of the answer. *valid: set to FALSE if one is malformed. */
static GPtrArray *backup_exports_read(GVariantIter *iter, gboolean *valid)
{
    GPtrArray *exports = g_ptr_array_new_with_free_func(backup_export_free);
    const char *target, *chain;
    gboolean tracked;
    gint64 created;
    guint32 loss;

    while (g_variant_iter_next(iter, "(&sbux&s)", &target, &tracked, &loss, &created, &chain)) {
        BackupExport *export = g_new0(BackupExport, 1);

        *valid = *valid && loss < BACKUP_LOSS_LAST && strlen(chain) <= BACKUP_CHAIN_LEN;
        export->target = g_strdup(target);
        export->tracked = tracked;
        export->loss = (BackupLoss)loss;
        export->created = created;
        export->chain = g_strdup(chain);
        g_ptr_array_add(exports, export);
    }
    return exports;
}

gboolean backup_answer_decode(const void *data, size_t len, BackupAnswer *ret_answer)
{
    g_autoptr(GVariant) variant = pause_packet_parse(ANSWER, data, len);
    g_autoptr(GVariantIter) exports = NULL;
    const char *message, *name, *refusal;
    gboolean valid = TRUE;
    guint32 outcome;
    guint64 free_bytes;

    if (!variant)
        return FALSE;
    g_variant_get(variant, "(u&s&sbt&sx" EXPORTS ")", &outcome, &message, &name,
                  &ret_answer->closed, &free_bytes, &refusal, &ret_answer->created, &exports);
    ret_answer->outcome = (PauseOutcome)outcome;
    ret_answer->free = free_bytes;
    ret_answer->message = backup_text_adopt(message, &valid);
    ret_answer->name = backup_text_adopt(name, &valid);
    ret_answer->refusal = backup_text_adopt(refusal, &valid);
    ret_answer->exports = backup_exports_read(exports, &valid);
    return valid && outcome < PAUSE_OUTCOME_LAST && ret_answer->exports->len <= PAUSE_VOLUMES_MAX;
}
