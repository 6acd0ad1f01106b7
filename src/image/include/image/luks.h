/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <image/image.h>

/**
 * What a LUKS header says of how an image is encrypted ("LUKS1 On-Disk Format Specification 1.2.3";
 * "LUKS2 On-Disk Format Specification 1.1.1"). Nothing of it is secret, and nothing is decrypted.
 */
#define CST_LUKS_SLOTS 32 /**< that version 2 can have; version 1 always has 8 */

typedef struct {
    gboolean active;
    uint64_t offset;     /**< of the key material, from the header's start, bytes */
    uint32_t iterations; /**< version 1 and active: of the key's derivation */
    uint32_t stripes;    /**< active: of the key material */
} CstLuksSlot;

/** Strings come from the image verbatim, as those of CstImageInfo; NULL: not in the header. */
typedef struct {
    unsigned version; /**< 1 or 2 */
    char *cipher;     /**< "aes" */
    /** Key size of the cipher: half of the stored key if the mode has two (xts); 0: unknown. */
    unsigned key_bits;
    char *mode;       /**< "xts" */
    char *ivgen;      /**< "plain64" */
    char *ivgen_hash; /**< of "essiv" */
    char *hash;       /**< "sha256" */
    char *uuid;
    char *label;             /**< version 2 */
    uint64_t payload_offset; /**< bytes, from the header's start */
    uint32_t iterations;     /**< version 1: of the master key's digest */
    unsigned slot_count;     /**< of slots */
    unsigned active_slots;
    CstLuksSlot slots[CST_LUKS_SLOTS]; /**< version 2: only slots that exist */
    char *problem; /**< the header is damaged, and this is how; NULL: no problem */
} CstImageLuks;

/** Frees what is in @luks, not @luks itself. */
void cst_image_luks_clear(CstImageLuks *luks);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(CstImageLuks, cst_image_luks_clear)

/**
 * Reads the LUKS header of an untrusted image, either a LUKS container or qcow2. Sets
 * ret_luks->version to 0 when there is none. Reads only @blob, at most 4 MiB. A damaged header is
 * not an error; ret_luks->problem describes it. FALSE only when the blob can't be read. The caller
 * clears *ret_luks.
 */
gboolean cst_image_inspect_luks(CstBlob *blob, const CstImageFormat *format, CstImageLuks *ret_luks,
                                GError **error);
