/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <base/secret_bytes.h>
#include <model/secret_def.h>

/**
 * The credential with which a pool logs in. Its kind depends on the usage of the secret: a cephx
 * key (ceph) or a CHAP password (iscsi). The text form is the one that the storage administrator
 * uses: base64 for the key, the password unchanged.
 */

/** iSCSI initiators and targets store passwords in 256 bytes. */
#define CST_CREDENTIAL_CHAP_MAX 255

/** Fails with UNSUPPORTED, naming the usage, unless secrets of @usage are credentials. */
gboolean cst_credential_usage_check(CstSecretUsage usage, GError **error);
/** Fails with INVALID unless @value can be a credential of that usage. */
gboolean cst_credential_check(CstSecretUsage usage, const CstSecretBytes *value, GError **error);
/** Makes a credential from random numbers. */
gboolean cst_credential_new(CstSecretUsage usage, CstSecretBytes *ret_value, GError **error);
/** Parses the text form, without a trailing line end. Fails with INVALID. */
gboolean cst_credential_from_text(CstSecretUsage usage, const CstSecretBytes *text,
                                  CstSecretBytes *ret_value, GError **error);
/** Returns the text form, without a line end. */
gboolean cst_credential_to_text(CstSecretUsage usage, const CstSecretBytes *value,
                                CstSecretBytes *ret_text, GError **error);
