/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Definitions of secrets. The tables' lock guards their table; sync.c keeps it consistent with the
 * files. A change is durable before it enters the table. So a crash in between never reverts a
 * change that was reported to a client. Ephemeral secrets are only in the table.
 */
#include "secret.h"

#include <string.h>

#include <base/dry_run.h>
#include <base/error.h>
#include <base/flags.h>
#include <base/i18n.h>
#include <base/test_point.h>
#include <store/secret_values.h>

#include "core/registry.h"
#include "core/service.h"
#include "table.h"

/* --- finding ---------------------------------------------------------------------------------- */

static int compare_secret_rows(gconstpointer a, gconstpointer b)
{
    const CstSecretRow *const *left = a, *const *right = b;

    return memcmp(&(*left)->uuid, &(*right)->uuid, sizeof(CstUuid));
}

GPtrArray *cst_service_secrets(CstService *service, unsigned filter, GError **error)
{
    GPtrArray *rows;
    GHashTableIter iter;
    gpointer value;

    if (!cst_flags_check(filter, CST_LIST_SECRETS_ALL_FLAGS, "secretConnectListAllSecrets",
                         error) ||
        !secrets_sync(service, error))
        return NULL;
    rows = g_ptr_array_new_with_free_func((GDestroyNotify)cst_secret_row_free);
    g_mutex_lock(&service->tables);
    g_hash_table_iter_init(&iter, service->secrets);
    while (g_hash_table_iter_next(&iter, NULL, &value)) {
        const CstSecretDef *def = ((CstSecretFile *)value)->def;

        if (registry_filter_passes(filter, CST_LIST_SECRETS_EPHEMERAL,
                                   CST_LIST_SECRETS_NO_EPHEMERAL, def->ephemeral) &&
            registry_filter_passes(filter, CST_LIST_SECRETS_PRIVATE, CST_LIST_SECRETS_NO_PRIVATE,
                                   def->is_private))
            g_ptr_array_add(rows, secret_row_new(def));
    }
    g_mutex_unlock(&service->tables);
    g_ptr_array_sort(rows, compare_secret_rows);
    return rows;
}

CstSecretRow *cst_service_secret_by_uuid(CstService *service, const CstUuid *uuid, GError **error)
{
    CstSecretFile *secret;
    CstSecretRow *row;

    if (!secrets_sync(service, error))
        return NULL;
    g_mutex_lock(&service->tables);
    secret = secret_find(service, uuid, error);
    row = secret ? secret_row_new(secret->def) : NULL;
    g_mutex_unlock(&service->tables);
    return row;
}

CstSecretRow *cst_service_secret_by_usage(CstService *service, int usage, const char *usage_id,
                                          GError **error)
{
    CstSecretFile *secret;
    CstSecretRow *row;

    if (!secrets_sync(service, error))
        return NULL;
    g_mutex_lock(&service->tables);
    secret = secret_find_usage(service, usage, usage_id);
    row = secret ? secret_row_new(secret->def) : NULL;
    g_mutex_unlock(&service->tables);
    if (!row)
        cst_fail(error, CST_ERROR_NO_SECRET, _("no secret with matching usage '%s'"), usage_id);
    return row;
}

char *cst_service_secret_get_xml(CstService *service, const CstUuid *uuid, unsigned flags,
                                 GError **error)
{
    CstSecretFile *secret;
    char *xml;

    if (!cst_flags_check(flags, 0, "secretGetXMLDesc", error) || !secrets_sync(service, error))
        return NULL;
    g_mutex_lock(&service->tables);
    secret = secret_find(service, uuid, error);
    xml = secret ? cst_secret_def_format(secret->def) : NULL;
    g_mutex_unlock(&service->tables);
    return xml;
}

/* --- define, undefine ------------------------------------------------------------------------- */

/*
 * Checks a new or changed definition by libvirt's rules. *ret_was_stored: the replaced definition
 * has a file. Requires the tables' lock.
 */
static gboolean secret_check_definition(CstService *service, const CstSecretDef *def,
                                        gboolean *ret_was_stored, GError **error)
{
    CstSecretFile *old = g_hash_table_lookup(service->secrets, &def->uuid);
    CstSecretFile *rival = secret_find_usage(service, def->usage, def->usage_id);
    char text[CST_UUID_TEXT_LEN];

    *ret_was_stored = old && !old->def->ephemeral;
    if (rival && rival != old)
        return cst_fail(error, CST_ERROR_EXISTS,
                        _("a secret with UUID %s already defined for use with %s"),
                        cst_uuid_format(&rival->def->uuid, text), rival->def->usage_id);
    if (old && (old->def->usage != def->usage || g_strcmp0(old->def->usage_id, def->usage_id) != 0))
        return cst_fail(error, CST_ERROR_EXISTS,
                        _("a secret with UUID %s is already defined for use with %s"),
                        cst_uuid_format(&def->uuid, text), old->def->usage_id);
    if (old && old->def->is_private && !def->is_private)
        return cst_fail(error, CST_ERROR_STATE, _("cannot change private flag on existing secret"));
    return TRUE;
}

/*
 * Enters @def, which it consumes. The value of the UUID is kept, in the table if the secret is
 * ephemeral. Requires the tables' lock.
 */
static void put_definition(CstService *service, CstSecretDef *def, CstSecretBytes *unstored)
{
    CstSecretFile *old = g_hash_table_lookup(service->secrets, &def->uuid);
    CstSecretFile *secret = g_new0(CstSecretFile, 1);

    secret->def = def;
    if (def->ephemeral) {
        CstSecretBytes *value = unstored->data || !old ? unstored : &old->value;

        secret->value = *value;
        secret->changed = old ? old->changed : 0;
        *value = (CstSecretBytes){0};
    }
    g_hash_table_replace(service->secrets, &secret->def->uuid, secret);
}

/*
 * Writes or removes the files of the definition. If the secret becomes ephemeral, its files are
 * removed, and its value is returned in *ret_value. If it ceases to be ephemeral, its @value is
 * written before the definition. A crash in between leaves an unused value, instead of a definition
 * without its value.
 */
static gboolean store_definition(CstService *service, const CstSecretDef *def, gboolean was_stored,
                                 const CstSecretBytes *value, CstSecretBytes *ret_value,
                                 GError **error)
{
    if (def->ephemeral)
        return !was_stored ||
               (cst_secret_value_load(service->paths, &def->uuid, ret_value, error) &&
                cst_secret_file_remove(service->paths, &def->uuid, error));
    if (value->data && !cst_secret_value_save(service->paths, &def->uuid, value,
                                              service->secret_policy.seal, error))
        return FALSE;
    return cst_secret_file_save(service->paths, def, error);
}

/*
 * Consumes @parsed. The tables are not locked during the write. Because the definitions are
 * entered, no other thread or process changes secrets.
 */
static CstSecretRow *secret_define_entered(CstService *service, CstSecretDef *parsed,
                                           GError **error)
{
    g_autoptr(CstSecretDef) def = parsed;
    g_auto(CstSecretBytes) kept = {0}, unstored = {0};
    const CstSecretFile *old;
    CstSecretRow *row;
    gboolean fits, was_stored;

    g_mutex_lock(&service->tables);
    fits = secret_check_definition(service, def, &was_stored, error);
    old = fits && !def->ephemeral ? g_hash_table_lookup(service->secrets, &def->uuid) : NULL;
    if (old && old->value.data)
        fits = cst_secret_bytes_copy(&kept, old->value.data, old->value.len, error);
    g_mutex_unlock(&service->tables);
    if (!fits || !secret_refuse_rotating(service, &def->uuid, error) || !cst_may_change(error) ||
        !store_definition(service, def, was_stored, &kept, &unstored, error))
        return NULL;
    CST_TEST_POINT("secret.define.stored");
    row = secret_row_new(def);
    g_mutex_lock(&service->tables);
    put_definition(service, g_steal_pointer(&def), &unstored);
    g_mutex_unlock(&service->tables);
    return row;
}

CstSecretRow *cst_service_secret_define(CstService *service, const char *xml, unsigned flags,
                                        GError **error)
{
    CstSecretDef *def;
    CstSecretRow *row;

    if (!cst_flags_check(flags, CST_SECRET_DEFINE_VALIDATE, "secretDefineXML", error))
        return NULL;
    def = cst_secret_def_parse(xml, flags, error);
    if (!def)
        return NULL;
    if (def->ephemeral && service->mode == CST_SERVICE_EMBEDDED) {
        cst_secret_def_free(def);
        cst_fail(error, CST_ERROR_STATE,
                 _("an ephemeral secret is gone with the process that holds it, and no daemon "
                   "runs here; start cisternd, or define it with ephemeral='no'"));
        return NULL;
    }
    if (!secrets_enter(service, error)) {
        cst_secret_def_free(def);
        return NULL;
    }
    row = secret_define_entered(service, def, error);
    secrets_leave(service);
    if (row)
        secret_emit(service, row, CST_EVENT_SECRET_LIFECYCLE, CST_SECRET_EVENT_DEFINED);
    return row;
}

/* Returns the row for the event. */
static CstSecretRow *undefine_entered(CstService *service, const CstUuid *uuid, GError **error)
{
    g_autoptr(CstSecretRow) row = cst_service_secret_by_uuid(service, uuid, error);

    if (!row || !secret_refuse_rotating(service, uuid, error) || !cst_may_change(error) ||
        !cst_secret_file_remove(service->paths, uuid, error))
        return NULL;
    g_mutex_lock(&service->tables);
    g_hash_table_remove(service->secrets, uuid);
    g_mutex_unlock(&service->tables);
    return g_steal_pointer(&row);
}

gboolean cst_service_secret_undefine(CstService *service, const CstUuid *uuid, GError **error)
{
    g_autoptr(CstSecretRow) row = NULL;

    if (!secrets_enter(service, error))
        return FALSE;
    row = undefine_entered(service, uuid, error);
    secrets_leave(service);
    if (row)
        secret_emit(service, row, CST_EVENT_SECRET_LIFECYCLE, CST_SECRET_EVENT_UNDEFINED);
    return row != NULL;
}
