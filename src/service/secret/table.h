/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <model/pool_def.h>
#include <service/secrets.h>
#include <store/secret_files.h>

/** Find a secret in the table. Require the tables' lock. The result is owned by the table. */
CstSecretFile *secret_find(CstService *service, const CstUuid *uuid, GError **error);
/** Usage "none" matches no secret. Returns NULL, without setting an error, if no secret matches. */
CstSecretFile *secret_find_usage(CstService *service, CstSecretUsage usage, const char *usage_id);
/** Finds the secret of @auth, by UUID or by the usage for its type. */
CstSecretFile *secret_find_auth(CstService *service, const CstAuth *auth, GError **error);

/**
 * Calls @each with every existing secret that a pool's definition references: in its <auth>, and in
 * the backend's secret options. Requires the tables' lock.
 */
void secret_def_each(CstService *service, const CstPoolDef *def,
                     void (*each)(CstSecretFile *secret, gpointer data), gpointer data);

/** Returns a copy of the identification of a definition, so that it can be used without a lock. */
CstSecretRow *secret_row_new(const CstSecretDef *def);

/** Emits an event about the secret @row. Must be called without locks. */
void secret_emit(CstService *service, const CstSecretRow *row, CstEventType type, int kind);
