/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The differences between qemu-img's drivers that are visible in its answers. They are properties
 * of that program, and not of the formats, so the image engine does not know them.
 */
#include "formats.h"

#include <string.h>

#include <base/units.h>

#define CHECKS_ALL (CLI_QEMU_CHECKS | CLI_QEMU_CHECK_COUNTS | CLI_QEMU_CHECK_END)

static const struct {
    const char *name;
    unsigned traits;
    const char *not_this; /**< message for a file that is no image of the format */
} formats[] = {
    {"raw", CLI_QEMU_MEASURES | CLI_QEMU_PLAIN, NULL},
    {"qcow2", CHECKS_ALL | CLI_QEMU_MEASURES | CLI_QEMU_BITMAPS, "Image is not in qcow2 format"},
    {"qed", CLI_QEMU_CHECKS | CLI_QEMU_CHECK_COUNTS, "Image not in QED format"},
    {"qcow", 0, "Image not in qcow format"},
    {"vdi", CLI_QEMU_CHECKS, NULL},
    {"vmdk", CLI_QEMU_CHECKS, "invalid VMDK image descriptor"},
    {"vpc", CLI_QEMU_ROUNDS, "invalid VPC image"},
    {"vhdx", CLI_QEMU_CHECKS, NULL},
    {"parallels", CHECKS_ALL, "Image not in Parallels format"},
    {"luks", 0, "Volume is not in LUKS format"},
    {"bochs", 0, "Image not in Bochs format"},
};

unsigned cli_qemu_traits(const CstImageFormat *format)
{
    for (size_t i = 0; i < G_N_ELEMENTS(formats); i++)
        if (strcmp(formats[i].name, cst_image_format_name(format)) == 0)
            return formats[i].traits;
    return 0;
}

const char *cli_qemu_not_this_format(const CstImageFormat *format)
{
    for (size_t i = 0; i < G_N_ELEMENTS(formats); i++)
        if (strcmp(formats[i].name, cst_image_format_name(format)) == 0)
            return formats[i].not_this;
    return NULL;
}

uint64_t cli_qemu_disk_size(const CstImageFormat *format, uint64_t capacity)
{
    return cli_qemu_traits(format) & CLI_QEMU_PLAIN ? cst_round_up(capacity, CST_SECTOR_SIZE)
                                                    : capacity;
}
