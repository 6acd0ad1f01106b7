/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>

#include <base/uuid.h>
#include <model/limits.h>

/**
 * Secret definitions (libvirt docs/formatsecret.rst). They describe a secret's use and never
 * contain its value. The functions access no files; any thread.
 */

/** The values are libvirt's virSecretUsageType. */
typedef enum {
    CST_SECRET_NONE = 0,
    CST_SECRET_VOLUME = 1,
    CST_SECRET_CEPH = 2,
    CST_SECRET_ISCSI = 3,
    CST_SECRET_TLS = 4,
    CST_SECRET_VTPM = 5
} CstSecretUsage;

/** Returns the name of a usage type ("ceph"); static; NULL outside the enum. */
const char *cst_secret_usage_name(CstSecretUsage usage);
/** Returns FALSE for an unknown name. */
gboolean cst_secret_usage_parse(const char *name, CstSecretUsage *ret_usage);

typedef struct {
    CstUuid uuid;
    gboolean ephemeral;
    gboolean is_private;
    char *description;
    CstSecretUsage usage;
    char *usage_id; /**< volume path; ceph, tls or vtpm name; iscsi target; NULL if usage is
                       CST_SECRET_NONE */
} CstSecretDef;

/**
 * Parses a <secret> document. Generates the uuid if it is absent. @flags: CstParseFlags. Errors:
 * XML_SYNTAX, XML, CONFIG (unknown usage type), XML_SCHEMA.
 */
CstSecretDef *cst_secret_def_parse(const char *xml, unsigned flags, GError **error);
/** Formats the <secret> document, newline-terminated. Definition files have the same content. */
char *cst_secret_def_format(const CstSecretDef *def);
/** Makes an empty definition. */
CstSecretDef *cst_secret_def_new(void);
/** A deep copy, owned by the caller. */
CstSecretDef *cst_secret_def_copy(const CstSecretDef *def);
/** NULL is accepted. */
void cst_secret_def_free(CstSecretDef *def);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(CstSecretDef, cst_secret_def_free)
