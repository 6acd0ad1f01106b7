/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>

#include <base/uuid.h>
#include <model/secret_def.h>

/** The storage and the users of a secret's value; never the value. */
typedef struct {
    CstUuid uuid;
    CstSecretUsage usage;
    char *usage_id; /**< "" if usage is CST_SECRET_NONE */
    gboolean ephemeral;
    gboolean is_private;
    gboolean has_value;
    gboolean sealed;
    gboolean overdue;   /**< the value is older than secret_max_age allows */
    char *key_id;       /**< of the key that seals it; NULL: not sealed */
    gint64 changed;     /**< time at which the value was set, seconds since 1970; 0: unknown */
    char *problem;      /**< why the value cannot be read; NULL: it can */
    GPtrArray *pools;   /**< of char *: names of the pools that refer to it, sorted */
    GPtrArray *volumes; /**< of char *: "pool/volume", by pool, as its usage names */
} CstSecretUse;

/** Makes an empty struct. */
CstSecretUse *cst_secret_use_new(void);
/** NULL is accepted. */
void cst_secret_use_free(CstSecretUse *use);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(CstSecretUse, cst_secret_use_free)
