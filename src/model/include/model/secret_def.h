/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>

#include <base/uuid.h>
#include <model/limits.h>

/**
 * Secret definitions (libvirt docs/formatsecret.rst): what a secret is for, never its value.
 */

/** Values are libvirt's virSecretUsageType. */
typedef enum {
    CST_SECRET_NONE = 0,
    CST_SECRET_VOLUME = 1,
    CST_SECRET_CEPH = 2,
    CST_SECRET_ISCSI = 3,
    CST_SECRET_TLS = 4,
    CST_SECRET_VTPM = 5
} CstSecretUsage;

const char *cst_secret_usage_name(CstSecretUsage usage);
gboolean cst_secret_usage_parse(const char *name, CstSecretUsage *ret_usage);

typedef struct {
    CstUuid uuid;
    gboolean ephemeral;
    gboolean is_private;
    char *description;
    CstSecretUsage usage;
    char *usage_id; /**< volume path; ceph, tls or vtpm name; iscsi target; NULL with usage none */
} CstSecretDef;

/**
 * Parses one <secret> document; @flags of CstParseFlags. A uuid is made up when absent. Errors:
 * XML_SYNTAX, XML, CONFIG (unknown usage type), XML_SCHEMA.
 */
CstSecretDef *cst_secret_def_parse(const char *xml, unsigned flags, GError **error);
/** The <secret> document, newline-terminated; also the content of its definition file. */
char *cst_secret_def_format(const CstSecretDef *def);
CstSecretDef *cst_secret_def_new(void);
CstSecretDef *cst_secret_def_copy(const CstSecretDef *def);
void cst_secret_def_free(CstSecretDef *def);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(CstSecretDef, cst_secret_def_free)
