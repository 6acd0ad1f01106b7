/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Values of secrets. The value of an ephemeral secret is in the table, in locked memory. Any other
 * value is read from its file for each use. So memory contains no copy of it between uses, and
 * changes of the file by another program or the administrator take effect.
 *
 * The file is read without a lock. store/secret_values.h describes the guarantees while another
 * process changes it.
 */
#include <string.h>

#include <base/dry_run.h>
#include <base/error.h>
#include <base/flags.h>
#include <base/i18n.h>
#include <base/log.h>
#include <store/secret_values.h>
#include <store/system_token.h>

#include "core/events.h"
#include "core/service.h"
#include "secret.h"
#include "table.h"

void cst_service_set_secret_policy(CstService *service, const CstSecretPolicy *policy)
{
    service->secret_policy = *policy;
}

/* --- reading ---------------------------------------------------------------------------------- */

/* Result of a lookup under the tables' lock. */
typedef struct {
    CstUuid uuid;
    gboolean ephemeral;
    CstSecretBytes value; /* only of an ephemeral secret */
} Found;

static void found_clear(Found *found)
{
    cst_secret_bytes_clear(&found->value);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Found, found_clear)

/*
 * Copies the result of a lookup. @secret NULL: the lookup has failed and set its error. Requires
 * the tables' lock.
 */
static gboolean found_copy(const CstSecretFile *secret, Found *ret_found, GError **error)
{
    if (!secret)
        return FALSE;
    ret_found->uuid = secret->def->uuid;
    ret_found->ephemeral = secret->def->ephemeral;
    return !secret->value.data ||
           cst_secret_bytes_copy(&ret_found->value, secret->value.data, secret->value.len, error);
}

/* Fails with NO_SECRET if the secret has no value, as in libvirt. */
static gboolean secret_read_value(const CstService *service, Found *found,
                                  CstSecretBytes *ret_value, GError **error)
{
    char text[CST_UUID_TEXT_LEN];

    if (!found->ephemeral &&
        !cst_secret_value_load(service->paths, &found->uuid, &found->value, error))
        return FALSE;
    if (!found->value.data)
        return cst_fail(error, CST_ERROR_NO_SECRET, _("secret '%s' does not have a value"),
                        cst_uuid_format(&found->uuid, text));
    *ret_value = found->value;
    found->value = (CstSecretBytes){0};
    return TRUE;
}

/*
 * libvirt's daemons authenticate to each other by the host's system token. With it they can also
 * read private secrets.
 */
gboolean cst_service_secret_get_value(CstService *service, const CstUuid *uuid, unsigned flags,
                                      const char *token, CstSecretBytes *ret_value, GError **error)
{
    gboolean elevated = (flags & CST_SECRET_VALUE_INTERNAL) ||
                        (token && cst_system_token_matches(service->paths, token));
    g_auto(Found) it = {0};
    CstSecretFile *secret;
    gboolean done = FALSE;

    if (!cst_flags_check(flags, CST_SECRET_VALUE_INTERNAL, "secretGetValue", error) ||
        !secrets_sync(service, error))
        return FALSE;
    g_mutex_lock(&service->tables);
    secret = secret_find(service, uuid, error);
    if (secret && secret->def->is_private && !elevated)
        cst_fail(error, CST_ERROR_INVALID_SECRET, _("secret is private"));
    else
        done = found_copy(secret, &it, error);
    g_mutex_unlock(&service->tables);
    return done && secret_read_value(service, &it, ret_value, error);
}

/*
 * secrets_sync() is not possible here, because the caller may hold locks that come after the
 * definitions. A pool may use a private secret, as in libvirt.
 */
gboolean secret_for_pool(const CstAuth *auth, CstSecretBytes *ret_value, gpointer data,
                         GError **error)
{
    CstService *service = data;
    g_auto(Found) it = {0};
    gboolean done;

    if (!secrets_refresh(service, error))
        return FALSE;
    g_mutex_lock(&service->tables);
    done = found_copy(secret_find_auth(service, auth, error), &it, error);
    g_mutex_unlock(&service->tables);
    return done && secret_read_value(service, &it, ret_value, error);
}

gboolean secret_value_of(CstService *service, const CstUuid *uuid, CstSecretBytes *ret_value,
                         GError **error)
{
    g_auto(Found) it = {0};
    gboolean done;

    g_mutex_lock(&service->tables);
    done = found_copy(secret_find(service, uuid, error), &it, error);
    g_mutex_unlock(&service->tables);
    return done && secret_read_value(service, &it, ret_value, error);
}

/* --- setting ---------------------------------------------------------------------------------- */

gboolean secret_keep_in_memory(CstService *service, const CstUuid *uuid,
                               const CstSecretBytes *value, GError **error)
{
    g_auto(CstSecretBytes) copy = {0};
    CstSecretFile *secret;

    if (!cst_secret_bytes_copy(&copy, value->data, value->len, error))
        return FALSE;
    g_mutex_lock(&service->tables);
    /* Look the secret up again, because the lock was released. */
    secret = g_hash_table_lookup(service->secrets, uuid);
    if (secret) {
        cst_secret_bytes_clear(&secret->value);
        secret->value = copy;
        secret->changed = g_get_real_time() / G_USEC_PER_SEC;
        copy = (CstSecretBytes){0};
    }
    g_mutex_unlock(&service->tables);
    return TRUE;
}

gboolean secret_promote_next(const CstService *service, const CstUuid *uuid, GError **error)
{
    g_autoptr(GError) why = NULL;
    char text[CST_UUID_TEXT_LEN];

    if (cst_secret_next_promote(service->paths, uuid, &why))
        return TRUE;
    if (cst_secret_next_exists(service->paths, uuid) ||
        g_error_matches(why, CST_ERROR, CST_ERROR_STATE)) {
        g_propagate_error(error, g_steal_pointer(&why));
        return FALSE;
    }
    cst_log(CST_LOG_WARNING,
            _("secret %s: the new value counts, and a power cut may bring the old one back: %s"),
            cst_uuid_format(uuid, text), why->message);
    return TRUE;
}

/* Returns the row for the event. */
static CstSecretRow *set_value_entered(CstService *service, const CstUuid *uuid,
                                       const CstSecretBytes *value, GError **error)
{
    g_autoptr(CstSecretRow) row = NULL;
    CstSecretFile *secret;
    gboolean ephemeral = FALSE, done;

    g_mutex_lock(&service->tables);
    secret = secret_find(service, uuid, error);
    if (secret) {
        row = secret_row_new(secret->def);
        ephemeral = secret->def->ephemeral;
    }
    g_mutex_unlock(&service->tables);
    if (!row || !secret_refuse_rotating(service, uuid, error) || !cst_may_change(error))
        return NULL;
    done = ephemeral ? secret_keep_in_memory(service, uuid, value, error)
                     : cst_secret_value_save(service->paths, uuid, value,
                                             service->secret_policy.seal, error) &&
                           /*
                            * Drops the new value of an interrupted rotation, because the value set
                            * now replaces it.
                            */
                           cst_secret_next_remove(service->paths, uuid, error);
    return done ? g_steal_pointer(&row) : NULL;
}

gboolean cst_service_secret_set_value(CstService *service, const CstUuid *uuid,
                                      const uint8_t *value, size_t len, unsigned flags,
                                      GError **error)
{
    /* The bytes belong to the caller, which wipes them. */
    const CstSecretBytes bytes = {(uint8_t *)value, len};
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
    row = set_value_entered(service, uuid, &bytes, error);
    secrets_leave(service);
    if (row)
        secret_emit(service, row, CST_EVENT_SECRET_VALUE, 0);
    return row != NULL;
}
