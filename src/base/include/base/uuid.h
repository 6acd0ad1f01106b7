/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>
#include <stdint.h>

#define CST_UUID_LEN      16
#define CST_UUID_TEXT_LEN 37 /* with the final NUL */

typedef struct {
    uint8_t bytes[CST_UUID_LEN];
} CstUuid;

/** A random (version 4) uuid. */
void cst_uuid_generate(CstUuid *ret_uuid);

/** Accepts what libvirt accepts: 32 hex digits, dashes and surrounding space anywhere between. */
gboolean cst_uuid_parse(const char *text, CstUuid *ret_uuid);

/** Lower case 8-4-4-4-12 into @ret_text, which it also returns. */
const char *cst_uuid_format(const CstUuid *uuid, char ret_text[CST_UUID_TEXT_LEN]);

gboolean cst_uuid_equal(const CstUuid *a, const CstUuid *b);
gboolean cst_uuid_is_zero(const CstUuid *uuid);

/** For GHashTable keyed by const CstUuid *. */
guint cst_uuid_hash(gconstpointer uuid);
gboolean cst_uuid_hash_equal(gconstpointer a, gconstpointer b);
