/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <base/secret_bytes.h>
#include <base/task.h>
#include <model/flags.h>
#include <model/secret_def.h>
#include <model/secret_use.h>
#include <service/service.h>
#include <store/secret_values.h>

/** Identification of a secret, for lists and lookups. */
typedef struct {
    CstUuid uuid;
    CstSecretUsage usage;
    char *usage_id; /**< "" for usage none */
} CstSecretRow;

/** Frees a row. */
void cst_secret_row_free(CstSecretRow *row);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(CstSecretRow, cst_secret_row_free)

/**
 * Returns the secrets that match @filter (CstListSecretsFlags, 0: all) as CstSecretRow *, freed
 * with the array.
 */
GPtrArray *cst_service_secrets(CstService *service, unsigned filter, GError **error);
/**
 * Returns the row of the secret, which the caller frees. Returns NULL with NO_SECRET if it does not
 * exist.
 */
CstSecretRow *cst_service_secret_by_uuid(CstService *service, const CstUuid *uuid, GError **error);
/** Finds a secret by usage and identifier. @usage: CstSecretUsage; "none" matches no secret. */
CstSecretRow *cst_service_secret_by_usage(CstService *service, int usage, const char *usage_id,
                                          GError **error);
/**
 * Defines or changes a secret; an existing value is kept. @flags: CST_SECRET_DEFINE_VALIDATE.
 * Returns its row. Errors: EXISTS when another secret has the usage, or when the usage would
 * change; STATE when a private secret would become public, or when an embedded process defines an
 * ephemeral secret.
 */
CstSecretRow *cst_service_secret_define(CstService *service, const char *xml, unsigned flags,
                                        GError **error);
/** Removes the secret and its value. NO_SECRET if it does not exist. */
gboolean cst_service_secret_undefine(CstService *service, const CstUuid *uuid, GError **error);
/** Returns the definition as XML, without the value. The caller frees it. */
char *cst_service_secret_get_xml(CstService *service, const CstUuid *uuid, unsigned flags,
                                 GError **error);
/**
 * Sets the value, which is copied. Its length is 1 to CST_SECRET_VALUE_MAX bytes. The value is
 * durable when the call returns, unless the secret is ephemeral.
 */
gboolean cst_service_secret_set_value(CstService *service, const CstUuid *uuid,
                                      const uint8_t *value, size_t len, unsigned flags,
                                      GError **error);

typedef enum {
    CST_SECRET_VALUE_INTERNAL = 1 << 0 /**< use in this process: reads private secrets too */
} CstSecretValueFlags;

/**
 * Reads the value. @flags: CstSecretValueFlags. @token: the host's system token
 * (store/system_token.h), by which libvirt's daemons authenticate to each other; NULL: no token.
 *
 * INVALID_SECRET ("secret is private") for a private secret, unless the use is internal or @token
 * is the system token. INVALID_SECRET also for a value that is sealed with an unavailable key.
 * NO_SECRET when the secret has no value.
 */
gboolean cst_service_secret_get_value(CstService *service, const CstUuid *uuid, unsigned flags,
                                      const char *token, CstSecretBytes *ret_value, GError **error);

/* --- values at rest --------------------------------------------------------------------------- */

/** The configuration of secret values. */
typedef struct {
    CstSealPolicy seal; /**< how new values are stored */
    guint max_age_days; /**< a warning is logged for older values; 0: never */
} CstSecretPolicy;

/** Sets the policy. Call it before cst_service_start(). The default is CST_SEAL_AUTO. */
void cst_service_set_secret_policy(CstService *service, const CstSecretPolicy *policy);

typedef enum {
    CST_SECRET_SEAL_ALL = 1 << 0,  /**< all secrets with files; no secrets are named */
    CST_SECRET_SEAL_REKEY = 1 << 1 /**< reseal the sealed values with a new key */
} CstSecretSealFlags;

typedef struct {
    const CstUuid *uuids; /**< secrets to change; empty if a flag is set */
    guint n_uuids;
    unsigned flags; /**< CstSecretSealFlags */
} CstSecretSealArgs;

/**
 * Seals values, or reseals them with a new key. The first call creates the key; from then on new
 * values are sealed. *ret_count: number of changed values, also on failure. After a failure each
 * value is readable, in its old or its new form. Fails with INVALID_SECRET, without any change, if
 * a value cannot be read.
 */
gboolean cst_service_secrets_seal(CstService *service, const CstSecretSealArgs *args,
                                  guint *ret_count, GError **error);
/**
 * Makes sealed values plain, so that libvirt can read them. CST_SECRET_SEAL_ALL also removes the
 * key files. New values are then plain again, unless a policy or a credential requires sealing.
 */
gboolean cst_service_secrets_unseal(CstService *service, const CstSecretSealArgs *args,
                                    guint *ret_count, GError **error);

/* --- rotation --------------------------------------------------------------------------------- */

typedef enum {
    CST_SECRET_ROTATE_ACTIVE = 1 << 0 /**< verify the value on active pools only */
} CstSecretRotateFlags;

typedef struct {
    CstUuid uuid;
    const CstSecretBytes *value;     /**< the new value */
    unsigned flags;                  /**< CstSecretRotateFlags */
    guint wait_s;                    /**< retry refused logins so long, for changes on the server */
    const char *admin_user;          /**< changes the value on the server; NULL: no server change */
    const CstSecretBytes *admin_key; /**< password or key of that user */
} CstSecretRotate;

/**
 * Replaces a value that pools use to log in.
 *
 * The new value is stored next to the old one, and changed on the server if an administrator is
 * given. A login on every pool that uses the secret verifies it. Then it replaces the old value.
 * Active pools log in with the new value from then on; running operations continue. Finally, if an
 * administrator is given, a login with the old value must be refused.
 *
 * A failure before the switch keeps the old value in the store and on the server, and names each
 * pool with the reason. Errors: UNSUPPORTED if the secret is not a credential of a pool, STATE if
 * no pool uses it, BUSY if another process rotates it or manages the secrets. A dry run verifies
 * the current value and changes nothing at all.
 *
 * *ret_pools: names of the pools on which the value was verified; the array owns them.
 */
gboolean cst_service_secret_rotate(CstService *service, const CstSecretRotate *args, CstTask *task,
                                   GPtrArray **ret_pools, GError **error);

/**
 * Returns all secrets with their users and the states of their values, as CstSecretUse *, ordered
 * by UUID.
 */
GPtrArray *cst_service_secret_uses(CstService *service, GError **error);

/* ---------------------------------------------------------------------------------------------- */

/**
 * Manages the secrets in place of libvirt from now on: holds libvirt's secret driver lock, as
 * virtsecretd does. Returns FALSE with BUSY, naming the program, while another program holds the
 * lock. The service then acquires it as soon as possible. Until then it rereads the files for each
 * answer and refuses changes.
 */
gboolean cst_service_manage_secrets(CstService *service, GError **error);
/** Stops managing the secrets: from now on the lock is held only during changes. */
void cst_service_leave_secrets(CstService *service);
