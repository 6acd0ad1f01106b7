/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>
#include <stdint.h>

#define CST_UUID_LEN      16
#define CST_UUID_TEXT_LEN 37 /* with the final NUL */

typedef struct {
    uint8_t bytes[CST_UUID_LEN];
} CstUuid;

/** Makes a random (version 4) UUID. */
void cst_uuid_generate(CstUuid *ret_uuid);

/**
 * Parses a UUID in the forms that libvirt accepts: 32 hexadecimal digits, with optional dashes
 * between bytes and surrounding space. Returns FALSE for any other text; *@ret_uuid is then
 * unchanged.
 */
gboolean cst_uuid_parse(const char *text, CstUuid *ret_uuid);

/** Writes the lower-case form 8-4-4-4-12 to @ret_text, which it also returns. */
const char *cst_uuid_format(const CstUuid *uuid, char ret_text[CST_UUID_TEXT_LEN]);

/** Whether the two are equal. */
gboolean cst_uuid_equal(const CstUuid *a, const CstUuid *b);
/** Whether all bytes are zero. */
gboolean cst_uuid_is_zero(const CstUuid *uuid);

/** Hashes a const CstUuid *, for a GHashTable. */
guint cst_uuid_hash(gconstpointer uuid);
/** cst_uuid_equal() with GHashTable's types. */
gboolean cst_uuid_hash_equal(gconstpointer a, gconstpointer b);
