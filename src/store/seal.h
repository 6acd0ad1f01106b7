/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <base/secret_bytes.h>
#include <base/uuid.h>
#include <model/flags.h>

/**
 * The sealed form of a secret's value: encrypted and authenticated with AES-256-GCM. All numbers
 * are big-endian:
 *
 *      0   8  "CSTSEAL\n"
 *      8   4  version: 1
 *     12   8  id of the key
 *     20   8  time at which the value was set, seconds since 1970
 *     28  12  nonce, random
 *     40   n  the value, encrypted; 1 to CST_SECRET_VALUE_MAX bytes
 *   40+n  16  tag
 *
 * The tag authenticates the value, the first 40 bytes and the secret's UUID. So a file that was
 * renamed to another secret's name is rejected, and so is a file with a changed date.
 */

#define SEAL_KEY_BYTES 32
#define SEAL_ID_BYTES  8
#define SEAL_ID_TEXT   (2 * SEAL_ID_BYTES + 1)
#define SEAL_HEAD      40
#define SEAL_TAG       16
#define SEAL_MAX       (SEAL_HEAD + CST_SECRET_VALUE_MAX + SEAL_TAG)

/**
 * The members that can be read without the key. They are not verified until seal_open() succeeds.
 */
typedef struct {
    char key_id[SEAL_ID_TEXT]; /**< hexadecimal */
    gint64 changed;            /**< time at which the value was set, seconds since 1970 */
} SealHead;

/** Computes the id of a key: the first bytes of its SHA-256, which do not reveal the key. */
void seal_key_id(const CstSecretBytes *key, char ret_id[SEAL_ID_TEXT]);

/** Parses the head. Fails with INVALID_SECRET, naming @path, if the file cannot have this form. */
gboolean seal_read_head(const uint8_t *file, size_t len, const char *path, SealHead *ret_head,
                        GError **error);

/** Seals @value. The caller frees *ret_file, which need not be wiped. */
gboolean seal_close(const CstSecretBytes *key, const CstUuid *uuid, gint64 changed,
                    const CstSecretBytes *value, uint8_t **ret_file, size_t *ret_len,
                    GError **error);

/**
 * Opens a sealed file. Fails with INVALID_SECRET, naming @path, if the head is damaged, or if the
 * tag does not match @key, @uuid and the content.
 */
gboolean seal_open(const CstSecretBytes *key, const CstUuid *uuid, const uint8_t *file, size_t len,
                   const char *path, CstSecretBytes *ret_value, GError **error);
