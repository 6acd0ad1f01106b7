/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <pool/backend.h>
#include <service/secrets.h>
#include <service/service.h>

/**
 * Enters a change of secrets: a change of definitions under the lock of libvirt's secret driver
 * too. BUSY names the program that manages the secrets. Nests.
 */
gboolean secrets_enter(CstService *service, GError **error);
/** The last one to leave lets go of the driver's lock, unless this process manages the secrets. */
void secrets_leave(CstService *service);
/** Before secrets are looked up: brings memory up to date with the files if others change them. */
gboolean secrets_sync(CstService *service, GError **error);
/**
 * The same for callers that may hold locks: in a daemon only, and never waits for a change of
 * definitions.
 */
void secrets_refresh(CstService *service);
/** Reads the secrets' files and brings the table in line with them. */
void secrets_load(CstService *service);

/** CstPoolHost.secret: the value of a pool's secret, private or not; @data is the service. */
gboolean secret_for_pool(const CstAuth *auth, uint8_t **ret_value, size_t *ret_len, gpointer data,
                         GError **error);
