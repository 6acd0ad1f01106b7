/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <base/secret_bytes.h>
#include <model/secret_def.h>

/**
 * What a pool logs in with, by the usage of its secret: a key of cephx (ceph), a password of CHAP
 * (iscsi). As text it is what the administrator of the storage gives and takes: the key in base64,
 * the password as it is.
 */

/** Initiators and targets of iSCSI keep passwords in 256 bytes. */
#define CST_CREDENTIAL_CHAP_MAX 255

/** UNSUPPORTED, naming the usage, unless its values are credentials. */
gboolean cst_credential_usage_check(CstSecretUsage usage, GError **error);
/** INVALID unless @value can be a credential of that usage. */
gboolean cst_credential_check(CstSecretUsage usage, const CstSecretBytes *value, GError **error);
/** Makes one of random numbers. */
gboolean cst_credential_new(CstSecretUsage usage, CstSecretBytes *ret_value, GError **error);
/** Reads the text, without the end of a line behind it. INVALID. */
gboolean cst_credential_from_text(CstSecretUsage usage, const CstSecretBytes *text,
                                  CstSecretBytes *ret_value, GError **error);
/** Makes the text, without the end of a line. */
gboolean cst_credential_to_text(CstSecretUsage usage, const CstSecretBytes *value,
                                CstSecretBytes *ret_text, GError **error);
