/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <base/secret_bytes.h>
#include <model/secret_def.h>
#include <model/secret_use.h>

#include "conn.h"

/* Secrets, as conn.h has pools and volumes. */

/** Names a secret. */
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
/** Looks up a secret by UUID; NO_SECRET when there is none. */
CstConnSecret *cst_conn_secret_by_uuid(CstConn *conn, const CstUuid *uuid, GError **error);
/**
 * Looks up a secret by its usage (CstSecretUsage) and the ID of that; NO_SECRET when there is none.
 */
CstConnSecret *cst_conn_secret_by_usage(CstConn *conn, int usage, const char *usage_id,
                                        GError **error);
/** Defines a secret, or changes its definition. @flags: CstSecretDefineFlags. */
CstConnSecret *cst_conn_secret_define(CstConn *conn, const char *xml, unsigned flags,
                                      GError **error);
/** Removes a secret and its value. */
gboolean cst_conn_secret_undefine(CstConn *conn, const CstConnSecret *secret, GError **error);
/** The secret's XML document, which never contains the value. */
char *cst_conn_secret_xml(CstConn *conn, const CstConnSecret *secret, GError **error);
/** Sets the value, @len bytes, at most CST_SECRET_VALUE_MAX. */
gboolean cst_conn_secret_set_value(CstConn *conn, const CstConnSecret *secret, const uint8_t *value,
                                   size_t len, GError **error);
/** Reads the value. */
gboolean cst_conn_secret_get_value(CstConn *conn, const CstConnSecret *secret,
                                   CstSecretBytes *ret_value, GError **error);
/**
 * Reads the value for use in this process, not to show it: of a private secret, too, if the service
 * runs in this process. INVALID_SECRET for a private secret of a daemon.
 */
gboolean cst_conn_secret_use_value(CstConn *conn, const CstConnSecret *secret,
                                   CstSecretBytes *ret_value, GError **error);

typedef enum {
    CST_CONN_SEAL_ALL = 1 << 0,  /**< all secrets, and not those that are given */
    CST_CONN_SEAL_REKEY = 1 << 1 /**< seal what is sealed with a new key */
} CstConnSealFlags;

/**
 * Seals the values of @secrets (of CstConnSecret *; NULL with a flag). *ret_count: how many were
 * not sealed so already. NO_SUPPORT by a stock server, here and below.
 */
gboolean cst_conn_secrets_seal(CstConn *conn, const GPtrArray *secrets, unsigned flags,
                               guint *ret_count, GError **error);
/** Makes sealed values plain ones. @flags: 0 or CST_CONN_SEAL_ALL. */
gboolean cst_conn_secrets_unseal(CstConn *conn, const GPtrArray *secrets, unsigned flags,
                                 guint *ret_count, GError **error);
typedef enum {
    CST_CONN_ROTATE_ACTIVE = 1 << 0 /**< the value is proved on active pools only */
} CstConnRotateFlags;

/** How to rotate a secret; see cst_service_secret_rotate(). All of it is borrowed. */
typedef struct {
    const CstSecretBytes *value;
    unsigned flags;
    guint wait_s;
    const char *admin_user; /**< NULL: nobody */
    const CstSecretBytes *admin_key;
} CstConnRotate;

/**
 * Replaces a value that pools log in with. Returns the names of the pools that it was proved on,
 * freed with the array.
 */
GPtrArray *cst_conn_secret_rotate(CstConn *conn, const CstConnSecret *secret,
                                  const CstConnRotate *how, CstTask *task, GError **error);
/** Returns CstSecretUse * of all secrets, by UUID. */
GPtrArray *cst_conn_secret_uses(CstConn *conn, GError **error);
