/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <model/pool_def.h>
#include <service/secrets.h>
#include <store/secret_files.h>

/** Look-ups in the table of secrets: with the tables locked, the result is the table's. */
CstSecretFile *secret_find(CstService *service, const CstUuid *uuid, GError **error);
/** A secret of usage "none" matches no usage. NULL: there is none; sets no error. */
CstSecretFile *secret_find_usage(CstService *service, CstSecretUsage usage, const char *usage_id);
/** The secret that @auth names, by UUID or by the usage that goes with its type. */
CstSecretFile *secret_find_auth(CstService *service, const CstAuth *auth, GError **error);

/**
 * With the tables locked: calls @each with every secret that a pool's definition names (its <auth>,
 * and the options that its backend says name secrets), as far as it is defined.
 */
void secret_def_each(CstService *service, const CstPoolDef *def,
                     void (*each)(CstSecretFile *secret, gpointer data), gpointer data);

/** A copy of what a definition is looked up by, so that no lock is held while it is used. */
CstSecretRow *secret_row_new(const CstSecretDef *def);

/** Emits an event about the secret @row; without a lock held. */
void secret_emit(CstService *service, const CstSecretRow *row, CstEventType type, int kind);
