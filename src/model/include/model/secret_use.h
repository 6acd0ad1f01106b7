/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>

#include <base/uuid.h>
#include <model/secret_def.h>

/** How a secret's value is kept and who uses it; never the value. */
typedef struct {
    CstUuid uuid;
    CstSecretUsage usage;
    char *usage_id; /**< "" for usage none */
    gboolean ephemeral;
    gboolean is_private;
    gboolean has_value;
    gboolean sealed;
    gboolean overdue;   /**< the value is older than secret_max_age allows */
    char *key_id;       /**< of the key that it is sealed with; NULL: not sealed */
    gint64 changed;     /**< when the value was set, seconds since 1970; 0: unknown */
    char *problem;      /**< why the value can't be read; NULL: it can */
    GPtrArray *pools;   /**< of char *: names of the pools whose definitions name it, sorted */
    GPtrArray *volumes; /**< of char *: "pool/volume" of those that its usage names, by pool */
} CstSecretUse;

/** Makes an empty one. */
CstSecretUse *cst_secret_use_new(void);
/** NULL is accepted. */
void cst_secret_use_free(CstSecretUse *use);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(CstSecretUse, cst_secret_use_free)
