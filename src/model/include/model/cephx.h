/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <base/secret_bytes.h>

/**
 * Keys of cephx, and keyring files. A key consists of a type, its creation time and the secret
 * itself (CryptoKey in Ceph's src/auth/Crypto.h). Its text form is base64. A keyring is text with a
 * section for each user:
 *
 *     [client.libvirt]
 *         key = AQC…==
 *         caps mon = "profile rbd"
 *
 * The functions access no files. All input is untrusted.
 */

/** The largest accepted keyring, in bytes. */
#define CST_CEPHX_KEYRING_MAX (64u * 1024)

/** Makes a key (AES, 128 bits) from the kernel's random numbers. */
gboolean cst_cephx_key_new(CstSecretBytes *ret_key, GError **error);
/** Fails with INVALID unless @key has the form of a key. */
gboolean cst_cephx_key_check(const CstSecretBytes *key, GError **error);
/** Decodes a key in the form that "ceph auth print-key" prints. Fails with INVALID. */
gboolean cst_cephx_key_from_base64(const CstSecretBytes *text, CstSecretBytes *ret_key,
                                   GError **error);

/** Finds the key of @user ("client.admin") in a keyring. Fails with NOT_FOUND, INVALID or LIMIT. */
gboolean cst_cephx_keyring_find(const CstSecretBytes *keyring, const char *user,
                                CstSecretBytes *ret_key, GError **error);
/**
 * Makes a keyring that has only @user, with @key and the user's capabilities in @keyring. Fails
 * with NOT_FOUND if @keyring does not have the user.
 */
gboolean cst_cephx_keyring_with(const CstSecretBytes *keyring, const char *user,
                                const CstSecretBytes *key, CstSecretBytes *ret_keyring,
                                GError **error);
