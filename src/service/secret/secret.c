/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Secrets: definitions and values. The tables' lock guards the table of them; sync.c keeps it in
 * line with the files. A change is on the disk before it is in the table, so a crash in between
 * shows it after the restart and never takes back what a client was told. Ephemeral secrets are in
 * the table only.
 *
 * Values are never logged. Memory that held a value is wiped where this file frees it; what it
 * hands out is the caller's to wipe.
 */
#include "secret.h"

#include <string.h>

#include <base/dry_run.h>
#include <base/error.h>
#include <base/flags.h>
#include <base/i18n.h>
#include <store/system_token.h>

#include "core/events.h"
#include "core/registry.h"
#include "core/service.h"

void cst_secret_row_free(CstSecretRow *row)
{
    g_free(row->usage_id);
    g_free(row);
}

/* Lists and look-ups return copies, so that no lock is held while they are used. */
static CstSecretRow *row_new(const CstSecretDef *def)
{
    CstSecretRow *row = g_new0(CstSecretRow, 1);

    row->uuid = def->uuid;
    row->usage = def->usage;
    row->usage_id = g_strdup(def->usage_id ? def->usage_id : "");
    return row;
}

/* Emits an event about the secret @row; without a lock held. */
static void emit(CstService *service, const CstSecretRow *row, CstEventType type, int kind)
{
    CstEvent event = {.type = type,
                      .kind = kind,
                      .uuid = row->uuid,
                      .usage_type = row->usage,
                      .usage_id = row->usage_id};

    event_emit(service, &event);
}

/* With the tables locked. */
static CstSecretFile *find(CstService *service, const CstUuid *uuid, GError **error)
{
    CstSecretFile *secret = g_hash_table_lookup(service->secrets, uuid);
    char text[CST_UUID_TEXT_LEN];

    if (!secret)
        cst_fail(error, CST_ERROR_NO_SECRET, _("no secret with matching uuid '%s'"),
                 cst_uuid_format(uuid, text));
    return secret;
}

/* With the tables locked. A secret of usage "none" matches no usage. */
static CstSecretFile *find_usage(CstService *service, CstSecretUsage usage, const char *usage_id)
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

/* --- finding ---------------------------------------------------------------------------------- */

static int compare_rows(gconstpointer a, gconstpointer b)
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
            g_ptr_array_add(rows, row_new(def));
    }
    g_mutex_unlock(&service->tables);
    g_ptr_array_sort(rows, compare_rows);
    return rows;
}

CstSecretRow *cst_service_secret_by_uuid(CstService *service, const CstUuid *uuid, GError **error)
{
    CstSecretFile *secret;
    CstSecretRow *row;

    if (!secrets_sync(service, error))
        return NULL;
    g_mutex_lock(&service->tables);
    secret = find(service, uuid, error);
    row = secret ? row_new(secret->def) : NULL;
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
    secret = find_usage(service, usage, usage_id);
    row = secret ? row_new(secret->def) : NULL;
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
    secret = find(service, uuid, error);
    xml = secret ? cst_secret_def_format(secret->def) : NULL;
    g_mutex_unlock(&service->tables);
    return xml;
}

/* --- define, undefine ------------------------------------------------------------------------- */

/*
 * With the tables locked: refuses what libvirt refuses in a new or changed definition.
 * *ret_was_stored: the definition that it replaces has a file.
 */
static gboolean check_definition(CstService *service, const CstSecretDef *def,
                                 gboolean *ret_was_stored, GError **error)
{
    CstSecretFile *old = g_hash_table_lookup(service->secrets, &def->uuid);
    CstSecretFile *rival = find_usage(service, def->usage, def->usage_id);
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

/* With the tables locked: takes @def over. The value stays with the UUID. */
static void put_definition(CstService *service, CstSecretDef *def)
{
    CstSecretFile *old = g_hash_table_lookup(service->secrets, &def->uuid);
    CstSecretFile *secret = g_new0(CstSecretFile, 1);

    secret->def = def;
    if (old) {
        secret->value = g_steal_pointer(&old->value);
        secret->value_len = old->value_len;
    }
    g_hash_table_replace(service->secrets, &secret->def->uuid, secret);
}

/* An ephemeral secret is never on disk: one that becomes ephemeral leaves it. */
static gboolean store_definition(CstService *service, const CstSecretDef *def, gboolean was_stored,
                                 GError **error)
{
    if (!def->ephemeral)
        return cst_secret_file_save(service->paths, def, error);
    return !was_stored || cst_secret_file_remove(service->paths, &def->uuid, error);
}

/*
 * Takes @parsed over. The tables are not locked during the write; the definitions are entered, so
 * nobody else changes secrets meanwhile.
 */
static CstSecretRow *define_entered(CstService *service, CstSecretDef *parsed, GError **error)
{
    g_autoptr(CstSecretDef) def = parsed;
    CstSecretRow *row;
    gboolean fits, was_stored;

    g_mutex_lock(&service->tables);
    fits = check_definition(service, def, &was_stored, error);
    g_mutex_unlock(&service->tables);
    if (!fits || !cst_may_change(error) || !store_definition(service, def, was_stored, error))
        return NULL;
    row = row_new(def);
    g_mutex_lock(&service->tables);
    put_definition(service, g_steal_pointer(&def));
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
    row = define_entered(service, def, error);
    secrets_leave(service);
    if (row)
        emit(service, row, CST_EVENT_SECRET_LIFECYCLE, CST_SECRET_EVENT_DEFINED);
    return row;
}

/* The row that is returned is for the event. */
static CstSecretRow *undefine_entered(CstService *service, const CstUuid *uuid, GError **error)
{
    g_autoptr(CstSecretRow) row = cst_service_secret_by_uuid(service, uuid, error);

    if (!row || !cst_may_change(error) || !cst_secret_file_remove(service->paths, uuid, error))
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
        emit(service, row, CST_EVENT_SECRET_LIFECYCLE, CST_SECRET_EVENT_UNDEFINED);
    return row != NULL;
}

/* --- value ------------------------------------------------------------------------------------ */

/* Returns the row for the event. The table keeps a copy of the value. */
static CstSecretRow *set_value_entered(CstService *service, const CstUuid *uuid,
                                       const uint8_t *value, size_t len, GError **error)
{
    CstSecretFile *secret;
    CstSecretRow *row = NULL;
    gboolean ephemeral = FALSE;

    g_mutex_lock(&service->tables);
    secret = find(service, uuid, error);
    if (secret) {
        row = row_new(secret->def);
        ephemeral = secret->def->ephemeral;
    }
    g_mutex_unlock(&service->tables);
    if (!row)
        return NULL;
    if (!cst_may_change(error) ||
        (!ephemeral && !cst_secret_value_save(service->paths, uuid, value, len, error))) {
        cst_secret_row_free(row);
        return NULL;
    }
    g_mutex_lock(&service->tables);
    /* Looked up again, as the lock was released for the write. */
    secret = g_hash_table_lookup(service->secrets, uuid);
    if (secret) {
        if (secret->value)
            explicit_bzero(secret->value, secret->value_len);
        g_free(secret->value);
        secret->value = g_memdup2(value, len);
        secret->value_len = len;
    }
    g_mutex_unlock(&service->tables);
    return row;
}

gboolean cst_service_secret_set_value(CstService *service, const CstUuid *uuid,
                                      const uint8_t *value, size_t len, unsigned flags,
                                      GError **error)
{
    g_autoptr(CstSecretRow) row = NULL;

    if (!cst_flags_check(flags, 0, "secretSetValue", error))
        return FALSE;
    if (len == 0)
        return cst_fail(error, CST_ERROR_USAGE, _("value in %s must not be NULL"),
                        "virSecretSetValue");
    if (len > CST_SECRET_VALUE_MAX)
        return cst_fail(error, CST_ERROR_INVALID, _("a secret's value has at most %d bytes"),
                        CST_SECRET_VALUE_MAX);
    if (!secrets_enter(service, error))
        return FALSE;
    row = set_value_entered(service, uuid, value, len, error);
    secrets_leave(service);
    if (row)
        emit(service, row, CST_EVENT_SECRET_VALUE, 0);
    return row != NULL;
}

/* With the tables locked: copies the value. NO_SECRET when the secret has none, as in libvirt. */
static gboolean copy_value(const CstSecretFile *secret, uint8_t **ret_value, size_t *ret_len,
                           GError **error)
{
    char text[CST_UUID_TEXT_LEN];

    if (!secret->value)
        return cst_fail(error, CST_ERROR_NO_SECRET, _("secret '%s' does not have a value"),
                        cst_uuid_format(&secret->def->uuid, text));
    /* A zero byte follows the value; *ret_len does not count it. */
    *ret_value = g_malloc0(secret->value_len + 1);
    memcpy(*ret_value, secret->value, secret->value_len);
    *ret_len = secret->value_len;
    return TRUE;
}

/*
 * libvirt's daemons prove themselves to each other by the host's system token; with it they read
 * private secrets, too.
 */
gboolean cst_service_secret_get_value(CstService *service, const CstUuid *uuid, unsigned flags,
                                      const char *token, uint8_t **ret_value, size_t *ret_len,
                                      GError **error)
{
    gboolean elevated = token && cst_system_token_matches(service->paths, token);
    CstSecretFile *secret;
    gboolean done = FALSE;

    if (!cst_flags_check(flags, 0, "secretGetValue", error) || !secrets_sync(service, error))
        return FALSE;
    g_mutex_lock(&service->tables);
    secret = find(service, uuid, error);
    if (secret && secret->def->is_private && !elevated)
        cst_fail(error, CST_ERROR_INVALID_SECRET, _("secret is private"));
    else if (secret)
        done = copy_value(secret, ret_value, ret_len, error);
    g_mutex_unlock(&service->tables);
    return done;
}

/*
 * Not secrets_sync(): the caller may hold locks that come after the definitions. A pool may use a
 * private secret, as with libvirt.
 */
gboolean secret_for_pool(const CstAuth *auth, uint8_t **ret_value, size_t *ret_len, gpointer data,
                         GError **error)
{
    static const CstSecretUsage usages[] = {
        [CST_AUTH_NONE] = CST_SECRET_NONE,
        [CST_AUTH_CHAP] = CST_SECRET_ISCSI,
        [CST_AUTH_CEPH] = CST_SECRET_CEPH,
    };
    CstService *service = data;
    CstSecretFile *secret;
    gboolean done;

    secrets_refresh(service);
    g_mutex_lock(&service->tables);
    secret = auth->by_uuid ? find(service, &auth->secret_uuid, error)
                           : find_usage(service, usages[auth->type], auth->secret_usage);
    if (!secret && !auth->by_uuid)
        cst_fail(error, CST_ERROR_NO_SECRET, _("no secret with matching usage '%s'"),
                 auth->secret_usage);
    done = secret && copy_value(secret, ret_value, ret_len, error);
    g_mutex_unlock(&service->tables);
    return done;
}
