/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <pool/backend.h>
#include <service/secrets.h>
#include <service/service.h>

/**
 * Begins a change of secrets: enters the definitions, acquires the lock of libvirt's secret driver,
 * and rereads the files. BUSY names the program that manages the secrets. Nests; call
 * secrets_leave() after each success.
 */
gboolean secrets_enter(CstService *service, GError **error);
/**
 * Ends a change. The outermost call releases the driver's lock, unless this process manages the
 * secrets.
 */
void secrets_leave(CstService *service);
/** Updates memory from the files before a lookup, if another process may have changed them. */
gboolean secrets_sync(CstService *service, GError **error);
/**
 * Like secrets_sync(), for callers that may hold locks: only in a daemon, and without waiting for a
 * change of definitions.
 */
gboolean secrets_refresh(CstService *service, GError **error);
/**
 * Reads the secrets' files and updates the table. Ephemeral secrets stay. On failure the table is
 * unchanged.
 */
gboolean secrets_load(CstService *service, GError **error);

/** Creates the key of a daemon that has to seal all values. Logs a failure. */
void secret_key_at_start(CstService *service);

/**
 * Fails with BUSY while the secret is being rotated. Called inside secrets_enter(), so that no
 * rotation can begin.
 */
gboolean secret_refuse_rotating(const CstService *service, const CstUuid *uuid, GError **error);
/** Reads the present value, private or not. NO_SECRET. Does not reload definitions. */
gboolean secret_value_of(CstService *service, const CstUuid *uuid, CstSecretBytes *ret_value,
                         GError **error);
/**
 * Replaces the present value by the new value of a rotation (store/secret_values.h). Returns TRUE
 * if the new value is in force. A power failure may still restore both, which is logged. Returns
 * FALSE if the old value is in force.
 */
gboolean secret_promote_next(const CstService *service, const CstUuid *uuid, GError **error);
/** Sets the value of an ephemeral secret. */
gboolean secret_keep_in_memory(CstService *service, const CstUuid *uuid,
                               const CstSecretBytes *value, GError **error);
/**
 * Makes the active pools that use the secret log in again with its value (CstBackend.renew). On
 * failure the error contains the failures of all pools.
 */
gboolean secret_value_changed(CstService *service, const CstUuid *uuid, GError **error);

/**
 * Implements CstPoolHost.secret: the value of a pool's secret, private or not. @data is the
 * service.
 */
gboolean secret_for_pool(const CstAuth *auth, CstSecretBytes *ret_value, gpointer data,
                         GError **error);
