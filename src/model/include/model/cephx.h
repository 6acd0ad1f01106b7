/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <base/secret_bytes.h>

/**
 * Keys of cephx, and the files that they are kept in. A key is a type, the time at which it was
 * made, and the secret itself (CryptoKey in Ceph's src/auth/Crypto.h); people see it as base64. A
 * keyring is text with a section for each user:
 *
 *     [client.libvirt]
 *         key = AQC…==
 *         caps mon = "profile rbd"
 *
 * Pure; all of it untrusted.
 */

/** A keyring is not larger than this. */
#define CST_CEPHX_KEYRING_MAX (64u * 1024)

/** Makes a key (AES, 128 bits) from the kernel's random numbers. */
gboolean cst_cephx_key_new(CstSecretBytes *ret_key, GError **error);
/** INVALID unless @key has the form of a key. */
gboolean cst_cephx_key_check(const CstSecretBytes *key, GError **error);
/** Reads a key as "ceph auth print-key" prints it. INVALID. */
gboolean cst_cephx_key_from_base64(const CstSecretBytes *text, CstSecretBytes *ret_key,
                                   GError **error);

/** Finds the key of @user ("client.admin") in a keyring. NOT_FOUND, INVALID. */
gboolean cst_cephx_keyring_find(const CstSecretBytes *keyring, const char *user,
                                CstSecretBytes *ret_key, GError **error);
/**
 * Makes a keyring of @user alone, with @key and what the user may do by @keyring. NOT_FOUND when
 * that does not have the user.
 */
gboolean cst_cephx_keyring_with(const CstSecretBytes *keyring, const char *user,
                                const CstSecretBytes *key, CstSecretBytes *ret_keyring,
                                GError **error);
