/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "format.h"

/* In probing order: of two equally sure formats the first one wins. Raw, sure of nothing, is
 * last. */
const CstImageFormat *const cst_image_registry[] = {
    &cst_format_qcow2, &cst_format_qcow, &cst_format_qed,  &cst_format_vmdk,
    &cst_format_vdi,   &cst_format_vpc,  &cst_format_vhdx, &cst_format_parallels,
    &cst_format_cow,   &cst_format_luks, &cst_format_iso,  &cst_format_bochs,
    &cst_format_cloop, &cst_format_dmg,  &cst_format_raw,  NULL,
};
