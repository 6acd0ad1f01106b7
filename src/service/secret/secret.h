/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <pool/backend.h>
#include <service/secrets.h>
#include <service/service.h>

/**
 * Enters a change of secrets: enters the definitions, acquires the lock of libvirt's secret driver,
 * and reads the files anew. BUSY names the program that manages the secrets. Nests; call
 * secrets_leave() after each success.
 */
gboolean secrets_enter(CstService *service, GError **error);
/**
 * Leaves a change; the outermost one releases the driver's lock unless this process manages the
 * secrets.
 */
void secrets_leave(CstService *service);
/** Brings memory up to date with the files before a look-up, if others may have changed them. */
gboolean secrets_sync(CstService *service, GError **error);
/**
 * Does the same for callers that may hold locks: only in a daemon, and without waiting for a change
 * of definitions.
 */
void secrets_refresh(CstService *service);
/** Reads the secrets' files and updates the table; ephemeral secrets stay. */
void secrets_load(CstService *service);

/** Makes the key of a daemon that is to seal all values; a failure is logged. */
void secret_key_at_start(CstService *service);

/**
 * Fails with BUSY while the secret is being rotated. Call it with secrets entered: no rotation
 * begins then.
 */
gboolean secret_refuse_rotating(const CstService *service, const CstUuid *uuid, GError **error);
/** The present value, private or not; NO_SECRET. Does not read definitions anew. */
gboolean secret_value_of(CstService *service, const CstUuid *uuid, CstSecretBytes *ret_value,
                         GError **error);
/**
 * Makes the new value of a rotation the present one (store/secret_values.h). TRUE: the new value
 * counts, even if a power cut may bring both back, which is logged. FALSE: the old value counts.
 */
gboolean secret_promote_next(const CstService *service, const CstUuid *uuid, GError **error);
/** Sets the value of an ephemeral secret. */
gboolean secret_keep_in_memory(CstService *service, const CstUuid *uuid,
                               const CstSecretBytes *value, GError **error);
/**
 * Has the active pools that use the secret log in with its value anew (CstBackend.renew). FALSE
 * with the failures of all.
 */
gboolean secret_value_changed(CstService *service, const CstUuid *uuid, GError **error);

/** CstPoolHost.secret: the value of a pool's secret, private or not; @data is the service. */
gboolean secret_for_pool(const CstAuth *auth, CstSecretBytes *ret_value, gpointer data,
                         GError **error);
