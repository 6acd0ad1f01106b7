/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <conn/conn.h>
#include <conn/secrets.h>

/** The secrets of the connection in memory. The list is empty until a test adds a secret. */
typedef struct {
    CstConnSecret secret;
    GBytes *value; /**< NULL: no value */
} FakeSecret;

typedef struct {
    GPtrArray *secrets; /**< of FakeSecret; NULL: empty */
    guint changes;
    unsigned last_flags;
    char *last_xml;
    guint last_wait;
    char *last_admin; /**< "USER BYTES-OF-KEY" of a rotation; NULL: not given */
    gboolean fail;    /**< changes fail */
} FakeSecrets;

extern FakeSecrets fake_secrets;

FakeSecret *fake_secrets_add(const char *uuid, CstSecretUsage usage, const char *usage_id);
void fake_secrets_clear(void);
