/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <base/secret_bytes.h>
#include <base/task.h>
#include <model/flags.h>
#include <model/secret_def.h>
#include <model/secret_use.h>
#include <service/service.h>
#include <store/secret_values.h>

/** A secret as lists and lookups name it. */
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
/** Returns the row of the secret, which the caller frees; NULL with NO_SECRET. */
CstSecretRow *cst_service_secret_by_uuid(CstService *service, const CstUuid *uuid, GError **error);
/** Finds a secret by usage and identifier. @usage: CstSecretUsage; "none" never matches. */
CstSecretRow *cst_service_secret_by_usage(CstService *service, int usage, const char *usage_id,
                                          GError **error);
/**
 * Defines or changes a secret; a value that it has stays. Returns its row. EXISTS when another
 * secret has the usage, or the usage differs; STATE when a private one is to become public, or an
 * embedded process is to hold an ephemeral one. @flags: CST_SECRET_DEFINE_VALIDATE.
 */
CstSecretRow *cst_service_secret_define(CstService *service, const char *xml, unsigned flags,
                                        GError **error);
/** Removes the secret with its value. NO_SECRET. */
gboolean cst_service_secret_undefine(CstService *service, const CstUuid *uuid, GError **error);
/** Returns the definition as XML, without the value. The caller frees it. */
char *cst_service_secret_get_xml(CstService *service, const CstUuid *uuid, unsigned flags,
                                 GError **error);
/**
 * Sets the value, which is copied: 1 to CST_SECRET_VALUE_MAX bytes. It is on the disk when the call
 * returns, unless the secret is ephemeral.
 */
gboolean cst_service_secret_set_value(CstService *service, const CstUuid *uuid,
                                      const uint8_t *value, size_t len, unsigned flags,
                                      GError **error);

typedef enum {
    CST_SECRET_VALUE_INTERNAL = 1 << 0 /**< for use in this process, so also of a private secret */
} CstSecretValueFlags;

/**
 * Reads the value. @flags: CstSecretValueFlags. INVALID_SECRET for a private secret ("secret is
 * private") unless the use is internal, or @token is the host's system token
 * (store/system_token.h), by which libvirt's daemons prove themselves to each other (NULL: none),
 * and for a value that is sealed with a key that is not here. NO_SECRET when the secret has no
 * value.
 */
gboolean cst_service_secret_get_value(CstService *service, const CstUuid *uuid, unsigned flags,
                                      const char *token, CstSecretBytes *ret_value, GError **error);

/* --- values at rest --------------------------------------------------------------------------- */

/** What the configuration says of values. */
typedef struct {
    CstSealPolicy seal; /**< how new ones are kept */
    guint max_age_days; /**< older ones are warned of; 0: none */
} CstSecretPolicy;

/** Call it before cst_service_start(). Without it values are sealed as CST_SEAL_AUTO says. */
void cst_service_set_secret_policy(CstService *service, const CstSecretPolicy *policy);

typedef enum {
    CST_SECRET_SEAL_ALL = 1 << 0,  /**< all secrets with files, and not those that are named */
    CST_SECRET_SEAL_REKEY = 1 << 1 /**< seal what is sealed with a new key */
} CstSecretSealFlags;

typedef struct {
    const CstUuid *uuids; /**< of secrets; none with a flag */
    guint n_uuids;
    unsigned flags; /**< CstSecretSealFlags */
} CstSecretSealArgs;

/**
 * Seals values, or seals them anew. Makes the first key; from then on new values are sealed.
 * *ret_count: how many were changed, also when it fails midway: each value can be read then, in its
 * old form or the new one. INVALID_SECRET, and nothing is changed, when one can't be read.
 */
gboolean cst_service_secrets_seal(CstService *service, const CstSecretSealArgs *args,
                                  guint *ret_count, GError **error);
/**
 * Makes sealed values plain, for libvirt to read. With CST_SECRET_SEAL_ALL the key files go as
 * well, and new values are plain again unless a policy or a credential has them sealed.
 */
gboolean cst_service_secrets_unseal(CstService *service, const CstSecretSealArgs *args,
                                    guint *ret_count, GError **error);

/* --- rotation --------------------------------------------------------------------------------- */

typedef enum {
    CST_SECRET_ROTATE_ACTIVE = 1 << 0 /**< the value is proved on active pools only */
} CstSecretRotateFlags;

typedef struct {
    CstUuid uuid;
    const CstSecretBytes *value; /**< the new value */
    unsigned flags;              /**< CstSecretRotateFlags */
    guint wait_s; /**< so long refused logins are tried again: the server is told meanwhile */
    const char *admin_user;          /**< who changes the value on the server, too; NULL: nobody */
    const CstSecretBytes *admin_key; /**< what that user logs in with */
} CstSecretRotate;

/**
 * Replaces a value that pools log in with. The new value is kept beside the old one, changed on the
 * server (with an administrator), proved by a login on every pool that uses the secret, and takes
 * the old one's place then; pools that are active log in with it from then on, and what is under
 * way goes on. Finally, with an administrator, a login with the old value has to be refused.
 *
 * A failure before the switch leaves the old value, in the store and on the server, and names each
 * pool with the reason. UNSUPPORTED: not a credential of a pool; STATE: no pool uses it; BUSY:
 * somebody rotates it, or manages the secrets. A dry run proves the present value and changes
 * nothing. *ret_pools: the names of the pools that the value was proved on; freed with the array.
 */
gboolean cst_service_secret_rotate(CstService *service, const CstSecretRotate *args, CstTask *task,
                                   GPtrArray **ret_pools, GError **error);

/** All secrets with their users and the state of their values: CstSecretUse *, by UUID. */
GPtrArray *cst_service_secret_uses(CstService *service, GError **error);

/* ---------------------------------------------------------------------------------------------- */

/**
 * Manages the secrets from now on in libvirt's place: keeps libvirt's lock of them, as virtsecretd
 * would. FALSE with BUSY, naming the program, while another one has it; it is acquired as soon as
 * possible then, and until that moment the files are read anew for each answer and changes are
 * refused.
 */
gboolean cst_service_manage_secrets(CstService *service, GError **error);
/** Stops managing the secrets: the lock is held during changes only. */
void cst_service_leave_secrets(CstService *service);
