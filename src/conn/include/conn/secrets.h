/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <base/secret_bytes.h>
#include <model/secret_def.h>
#include <model/secret_use.h>

#include "conn.h"

/* Calls for secrets, in addition to the calls for pools and volumes in conn.h. */

/** A reference to a secret. */
typedef struct {
    CstUuid uuid;
    int usage; /**< CstSecretUsage */
    char *usage_id;
} CstConnSecret;

/** NULL is accepted. */
void cst_conn_secret_free(CstConnSecret *secret);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(CstConnSecret, cst_conn_secret_free)

/** Lists secrets. Elements CstConnSecret *. @filter: CstListSecretsFlags. */
GPtrArray *cst_conn_secret_list(CstConn *conn, unsigned filter, GError **error);
/** Looks up a secret by UUID. Fails with NO_SECRET if it does not exist. */
CstConnSecret *cst_conn_secret_by_uuid(CstConn *conn, const CstUuid *uuid, GError **error);
/**
 * Looks up a secret by its usage (CstSecretUsage) and usage ID. Fails with NO_SECRET if it does not
 * exist.
 */
CstConnSecret *cst_conn_secret_by_usage(CstConn *conn, int usage, const char *usage_id,
                                        GError **error);
/** Defines a secret, or changes its definition. @flags: CstSecretDefineFlags. */
CstConnSecret *cst_conn_secret_define(CstConn *conn, const char *xml, unsigned flags,
                                      GError **error);
/** Removes a secret and its value. */
gboolean cst_conn_secret_undefine(CstConn *conn, const CstConnSecret *secret, GError **error);
/** Returns the secret's XML document, which never contains the value. */
char *cst_conn_secret_xml(CstConn *conn, const CstConnSecret *secret, GError **error);
/** Sets the value, @len bytes, at most CST_SECRET_VALUE_MAX. */
gboolean cst_conn_secret_set_value(CstConn *conn, const CstConnSecret *secret, const uint8_t *value,
                                   size_t len, GError **error);
/** Returns the value. */
gboolean cst_conn_secret_get_value(CstConn *conn, const CstConnSecret *secret,
                                   CstSecretBytes *ret_value, GError **error);
/**
 * Returns the value for use in this process, not for display. If the service runs in this process,
 * also returns the value of a private secret. Fails with INVALID_SECRET for a private secret of a
 * daemon.
 */
gboolean cst_conn_secret_use_value(CstConn *conn, const CstConnSecret *secret,
                                   CstSecretBytes *ret_value, GError **error);

typedef enum {
    CST_CONN_SEAL_ALL = 1 << 0,  /**< all secrets, not a given list */
    CST_CONN_SEAL_REKEY = 1 << 1 /**< seal the sealed values with a new key */
} CstConnSealFlags;

/**
 * Seals the values of @secrets (of CstConnSecret *; NULL with a flag). *ret_count: number of values
 * with a changed form or key. NO_SUPPORT by a stock server; this also applies to the functions
 * below.
 */
gboolean cst_conn_secrets_seal(CstConn *conn, const GPtrArray *secrets, unsigned flags,
                               guint *ret_count, GError **error);
/** Unseals values. @flags: 0 or CST_CONN_SEAL_ALL. */
gboolean cst_conn_secrets_unseal(CstConn *conn, const GPtrArray *secrets, unsigned flags,
                                 guint *ret_count, GError **error);
typedef enum {
    CST_CONN_ROTATE_ACTIVE = 1 << 0 /**< verify the value on active pools only */
} CstConnRotateFlags;

/** Options of a rotation; see cst_service_secret_rotate(). All members are borrowed. */
typedef struct {
    const CstSecretBytes *value;
    unsigned flags;
    guint wait_s;
    const char *admin_user; /**< NULL: no administrator */
    const CstSecretBytes *admin_key;
} CstConnRotate;

/**
 * Replaces a value with which pools log in. Returns the names of the pools on which it was
 * verified, freed with the array.
 */
GPtrArray *cst_conn_secret_rotate(CstConn *conn, const CstConnSecret *secret,
                                  const CstConnRotate *how, CstTask *task, GError **error);
/** Returns CstSecretUse * of all secrets, by UUID. */
GPtrArray *cst_conn_secret_uses(CstConn *conn, GError **error);
