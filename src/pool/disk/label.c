/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The implementation for each type of partition table. */
#include "label.h"

#include <string.h>

#include <base/error.h>
#include <base/i18n.h>

static const struct {
    const char *label;
    const DiskLabelOps *ops;
} rows[] = {
    {"gpt", &disk_fdisk},  {"dos", &disk_fdisk},   {"bsd", &disk_parted}, {"dvh", &disk_parted},
    {"mac", &disk_parted}, {"pc98", &disk_parted}, {"sun", &disk_parted},
};

const DiskLabelOps *disk_label_ops(const char *label, GError **error)
{
    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++)
        if (strcmp(rows[i].label, label) == 0)
            return rows[i].ops;
    cst_fail(error, CST_ERROR_UNSUPPORTED,
             _("no program makes partition tables of type '%s'; use 'gpt' or 'dos', or a pool of "
               "type 'logical' for a volume group"),
             label);
    return NULL;
}
