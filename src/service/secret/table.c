/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The table of secrets: lookups, rows, events. The tables' lock guards it.
 */
#include "table.h"

#include <base/error.h>
#include <base/i18n.h>
#include <pool/registry.h>

#include "core/events.h"
#include "core/service.h"

void cst_secret_row_free(CstSecretRow *row)
{
    g_free(row->usage_id);
    g_free(row);
}

CstSecretRow *secret_row_new(const CstSecretDef *def)
{
    CstSecretRow *row = g_new0(CstSecretRow, 1);

    row->uuid = def->uuid;
    row->usage = def->usage;
    row->usage_id = g_strdup(def->usage_id ? def->usage_id : "");
    return row;
}

void secret_emit(CstService *service, const CstSecretRow *row, CstEventType type, int kind)
{
    CstEvent event = {.type = type,
                      .kind = kind,
                      .uuid = row->uuid,
                      .usage_type = row->usage,
                      .usage_id = row->usage_id};
    char uuid[CST_UUID_TEXT_LEN];

    cst_uuid_format(&row->uuid, uuid);
    if (type == CST_EVENT_SECRET_VALUE)
        event_log_add_end(service->events, CST_EVENT_SECRET_DUE, "secret", uuid,
                          _("the secret has a new value"));
    event_emit(service, &event);
}

CstSecretFile *secret_find(CstService *service, const CstUuid *uuid, GError **error)
{
    CstSecretFile *secret = g_hash_table_lookup(service->secrets, uuid);
    char text[CST_UUID_TEXT_LEN];

    if (!secret)
        cst_fail(error, CST_ERROR_NO_SECRET, _("no secret with matching uuid '%s'"),
                 cst_uuid_format(uuid, text));
    return secret;
}

CstSecretFile *secret_find_usage(CstService *service, CstSecretUsage usage, const char *usage_id)
{
    GHashTableIter iter;
    gpointer value;

    if (usage == CST_SECRET_NONE)
        return NULL;
    g_hash_table_iter_init(&iter, service->secrets);
    while (g_hash_table_iter_next(&iter, NULL, &value)) {
        CstSecretFile *secret = value;

        if (secret->def->usage == usage && g_strcmp0(secret->def->usage_id, usage_id) == 0)
            return secret;
    }
    return NULL;
}

CstSecretFile *secret_find_auth(CstService *service, const CstAuth *auth, GError **error)
{
    static const CstSecretUsage usages[] = {
        [CST_AUTH_NONE] = CST_SECRET_NONE,
        [CST_AUTH_CHAP] = CST_SECRET_ISCSI,
        [CST_AUTH_CEPH] = CST_SECRET_CEPH,
    };
    CstSecretFile *secret;

    if (auth->by_uuid)
        return secret_find(service, &auth->secret_uuid, error);
    secret = secret_find_usage(service, usages[auth->type], auth->secret_usage);
    if (!secret)
        cst_fail(error, CST_ERROR_NO_SECRET, _("no secret with matching usage '%s'"),
                 auth->secret_usage);
    return secret;
}

/* An option identifies its secret by UUID, or by usage as in <auth>. */
static CstSecretFile *find_option(CstService *service, const CstPoolDef *def, const char *option)
{
    const char *text = cst_options_get(def->options, option);
    CstAuth auth = {.type = def->source.auth.type, .secret_usage = (char *)text};

    if (!text)
        return NULL;
    auth.by_uuid = cst_uuid_parse(text, &auth.secret_uuid);
    return secret_find_auth(service, &auth, NULL);
}

void secret_def_each(CstService *service, const CstPoolDef *def,
                     void (*each)(CstSecretFile *secret, gpointer data), gpointer data)
{
    const CstBackend *backend = cst_backend_for(def->type, NULL);
    const char *const *option = backend ? backend->secret_options : NULL;
    CstSecretFile *secret = def->source.auth.type != CST_AUTH_NONE
                                ? secret_find_auth(service, &def->source.auth, NULL)
                                : NULL;

    if (secret)
        each(secret, data);
    for (; option && *option; option++) {
        secret = find_option(service, def, *option);
        if (secret)
            each(secret, data);
    }
}
