/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Sealing of stored values, unsealing for libvirt, and key changes. These operations change only
 * files, one secret after another, under the secrets' driver lock. Values in memory are not
 * affected.
 *
 * Each call verifies that all selected values are readable before it changes the first one. An
 * interruption leaves each value in one of both forms (store/secret_values.h), and a repetition
 * continues.
 */
#include <base/dry_run.h>
#include <base/error.h>
#include <base/flags.h>
#include <base/i18n.h>
#include <base/log.h>
#include <store/secret_values.h>

#include "core/service.h"
#include "secret.h"
#include "table.h"

#define SEAL_FLAGS (CST_SECRET_SEAL_ALL | CST_SECRET_SEAL_REKEY)

/* Returns the secrets with files, as CstUuid in an array. */
static GArray *all_stored(CstService *service)
{
    GArray *uuids = g_array_new(FALSE, FALSE, sizeof(CstUuid));
    GHashTableIter iter;
    gpointer value;

    g_mutex_lock(&service->tables);
    g_hash_table_iter_init(&iter, service->secrets);
    while (g_hash_table_iter_next(&iter, NULL, &value)) {
        const CstSecretDef *def = ((const CstSecretFile *)value)->def;

        if (!def->ephemeral)
            g_array_append_val(uuids, def->uuid);
    }
    g_mutex_unlock(&service->tables);
    return uuids;
}

static gboolean check_named(CstService *service, const CstUuid *uuid, GError **error)
{
    char text[CST_UUID_TEXT_LEN];
    CstSecretFile *secret;
    gboolean ephemeral;

    g_mutex_lock(&service->tables);
    secret = secret_find(service, uuid, error);
    ephemeral = secret && secret->def->ephemeral;
    g_mutex_unlock(&service->tables);
    if (ephemeral)
        return cst_fail(error, CST_ERROR_STATE,
                        _("secret '%s' is ephemeral: its value is never on the disk"),
                        cst_uuid_format(uuid, text));
    return secret != NULL;
}

/*
 * Returns the secrets to change. Returns NULL if a secret in @args does not exist. Called inside
 * secrets_enter().
 */
static GArray *select_secrets(CstService *service, const CstSecretSealArgs *args, GError **error)
{
    GArray *uuids;

    if (args->flags & SEAL_FLAGS)
        return all_stored(service);
    for (guint i = 0; i < args->n_uuids; i++)
        if (!check_named(service, &args->uuids[i], error))
            return NULL;
    uuids = g_array_new(FALSE, FALSE, sizeof(CstUuid));
    g_array_append_vals(uuids, args->uuids, args->n_uuids);
    return uuids;
}

static gboolean seal_check_readable(const CstService *service, const GArray *uuids, GError **error)
{
    for (guint i = 0; i < uuids->len; i++) {
        g_auto(CstSecretBytes) value = {0};

        if (!cst_secret_value_load(service->paths, &g_array_index(uuids, CstUuid, i), &value,
                                   error))
            return FALSE;
    }
    return TRUE;
}

static gboolean change_forms(const CstService *service, const GArray *uuids, gboolean seal,
                             guint *ret_count, GError **error)
{
    for (guint i = 0; i < uuids->len; i++) {
        const CstUuid *uuid = &g_array_index(uuids, CstUuid, i);
        gboolean changed;

        if (seal ? !cst_secret_value_seal(service->paths, uuid, &changed, error)
                 : !cst_secret_value_unseal(service->paths, uuid, &changed, error))
            return FALSE;
        *ret_count += changed ? 1 : 0;
    }
    return TRUE;
}

static gboolean seal_entered(CstService *service, const CstSecretSealArgs *args, guint *ret_count,
                             GError **error)
{
    g_autoptr(GArray) uuids = select_secrets(service, args, error);

    if (!uuids || !seal_check_readable(service, uuids, error) || !cst_may_change(error))
        return FALSE;
    if (args->flags & CST_SECRET_SEAL_REKEY)
        return cst_secret_values_rekey(service->paths, ret_count, error);
    /* Create the key even if no secret exists yet: from now on new values are sealed. */
    return cst_secret_key_ensure(service->paths, error) &&
           change_forms(service, uuids, TRUE, ret_count, error) &&
           (!(args->flags & CST_SECRET_SEAL_ALL) ||
            cst_secret_keys_drop_unused(service->paths, FALSE, error));
}

static gboolean unseal_entered(CstService *service, const CstSecretSealArgs *args, guint *ret_count,
                               GError **error)
{
    g_autoptr(GArray) uuids = select_secrets(service, args, error);

    return uuids && seal_check_readable(service, uuids, error) && cst_may_change(error) &&
           change_forms(service, uuids, FALSE, ret_count, error) &&
           (!(args->flags & CST_SECRET_SEAL_ALL) ||
            cst_secret_keys_drop_unused(service->paths, TRUE, error));
}

static gboolean seal_check_args(const CstSecretSealArgs *args, unsigned allowed, const char *name,
                                GError **error)
{
    if (!cst_flags_check(args->flags, allowed, name, error))
        return FALSE;
    return (args->flags != 0) != (args->n_uuids > 0) ||
           cst_fail(error, CST_ERROR_USAGE, _("name secrets, or ask for all of them"));
}

gboolean cst_service_secrets_seal(CstService *service, const CstSecretSealArgs *args,
                                  guint *ret_count, GError **error)
{
    guint count = 0;
    gboolean done;

    if (!seal_check_args(args, SEAL_FLAGS, "secretSeal", error) || !secrets_enter(service, error))
        return FALSE;
    done = seal_entered(service, args, &count, error);
    secrets_leave(service);
    *ret_count = count;
    return done;
}

void secret_key_at_start(CstService *service)
{
    g_autoptr(GError) error = NULL;

    if (service->mode != CST_SERVICE_DAEMON || service->secret_policy.seal != CST_SEAL_ALWAYS)
        return;
    if (secrets_enter(service, &error)) {
        cst_secret_key_ensure(service->paths, &error);
        secrets_leave(service);
    }
    if (error)
        cst_log(CST_LOG_WARNING, _("values of secrets can't be sealed for now: %s"),
                error->message);
}

gboolean cst_service_secrets_unseal(CstService *service, const CstSecretSealArgs *args,
                                    guint *ret_count, GError **error)
{
    guint count = 0;
    gboolean done;

    if (!seal_check_args(args, CST_SECRET_SEAL_ALL, "secretUnseal", error) ||
        !secrets_enter(service, error))
        return FALSE;
    done = unseal_entered(service, args, &count, error);
    secrets_leave(service);
    *ret_count = count;
    return done;
}
