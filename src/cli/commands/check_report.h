/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <base/findings.h>
#include <base/i18n.h>

#include "output/sheet.h"

/** What image-check and vol-check print. */

/** A number that a check found. */
typedef struct {
    const char *label; /**< marked with N_() */
    const char *key;   /**< in JSON, as qemu-img has it but for underscores */
    uint64_t value;
    gboolean always; /**< shown when it is 0, too */
} CliCheckRow;

/** How many rows come first of which findings are listed: errors and leaks. */
#define CLI_CHECK_LISTED 2

/** Rows of @r, a pointer to any struct whose members are named like CstCheckReport's. */
#define CLI_CHECK_ROWS(r)                                                                        \
    {                                                                                            \
        {N_("errors"), "corruptions", (r)->errors, TRUE},                                        \
            {N_("leaked clusters"), "leaks", (r)->leaks, TRUE},                                  \
            {N_("errors repaired"), "corruptions-fixed", (r)->errors_fixed, FALSE},              \
            {N_("leaked clusters given back"), "leaks-fixed", (r)->leaks_fixed, FALSE},          \
            {N_("clusters"), "total-clusters", (r)->total_clusters, TRUE},                       \
            {N_("allocated clusters"), "allocated-clusters", (r)->allocated_clusters, TRUE},     \
            {N_("fragmented clusters"), "fragmented-clusters", (r)->fragmented_clusters, FALSE}, \
            {N_("compressed clusters"), "compressed-clusters", (r)->compressed_clusters, FALSE}, \
            {N_("end of the image in the file"), "image-end-offset", (r)->image_end, TRUE},      \
    }

/**
 * Adds a check's result to @sheet. @name: of the file, as JSON's "filename". @findings: the errors
 * and leaks that the first rows count; NULL: not known, from a daemon that only counts. @problems:
 * elements char *, what else is wrong with a volume, as JSON's "problems"; NULL: the image is no
 * volume.
 */
void cli_check_add(CliSheet *sheet, const char *name, const char *format, const CliCheckRow *rows,
                   size_t count, const CstFindings *findings, const GPtrArray *problems);
/** Fails with MISMATCH when errors or leaks are left. */
gboolean cli_check_judge(const char *name, uint64_t errors, uint64_t leaks, GError **error);
/** Reads --repair as CstRepairFlags; 0 when it was not given. */
gboolean cli_check_repair(const CliArgs *args, unsigned *ret_flags, GError **error);
