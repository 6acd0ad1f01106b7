/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <image/image.h>

/**
 * The encryption parameters in a LUKS header ("LUKS1 On-Disk Format Specification 1.2.3"; "LUKS2
 * On-Disk Format Specification 1.1.1"). They contain no secrets, and no data is decrypted.
 */
#define CST_LUKS_SLOTS 32 /**< maximum of version 2; version 1 always has 8 */

typedef struct {
    gboolean active;
    uint64_t offset;     /**< offset of the key material in bytes from the header's start */
    uint32_t iterations; /**< version 1, active: iterations of the key's derivation */
    uint32_t stripes;    /**< active: stripes of the key material */
} CstLuksSlot;

/** Strings come from the image verbatim, like the strings of CstImageInfo; NULL: not in the
 * header. */
typedef struct {
    unsigned version; /**< 1 or 2 */
    char *cipher;     /**< "aes" */
    /** Key size of the cipher: half of the stored key if the mode has two (xts); 0: unknown. */
    unsigned key_bits;
    char *mode;       /**< "xts" */
    char *ivgen;      /**< "plain64" */
    char *ivgen_hash; /**< hash of "essiv" */
    char *hash;       /**< "sha256" */
    char *uuid;
    char *label;             /**< version 2 */
    uint64_t payload_offset; /**< bytes, from the header's start */
    uint32_t iterations;     /**< version 1: iterations of the master key's digest */
    unsigned slot_count;     /**< number of elements of slots */
    unsigned active_slots;
    CstLuksSlot slots[CST_LUKS_SLOTS]; /**< version 2: existing slots only */
    char *problem; /**< description of the damage of the header; NULL: no problem */
} CstImageLuks;

/** Frees the members of @luks, not @luks itself. */
void cst_image_luks_clear(CstImageLuks *luks);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(CstImageLuks, cst_image_luks_clear)

/**
 * Reads the LUKS header of an untrusted image, either a LUKS container or qcow2. Sets
 * ret_luks->version to 0 when the image has no header. Reads only @blob, at most 4 MiB. A damaged
 * header is not an error; ret_luks->problem describes it. FALSE only when the blob cannot be read.
 * The caller clears *ret_luks.
 */
gboolean cst_image_inspect_luks(CstBlob *blob, const CstImageFormat *format, CstImageLuks *ret_luks,
                                GError **error);
