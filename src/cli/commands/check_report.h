/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <base/findings.h>
#include <base/i18n.h>

#include "output/sheet.h"

/** The output of image-check and vol-check. */

/** A number of a check's result. */
typedef struct {
    const char *label; /**< marked with N_() */
    const char *key;   /**< JSON member; qemu-img's name with underscores */
    uint64_t value;
    gboolean always; /**< shown even if it is 0 */
} CliCheckRow;

/** The first rows, errors and leaks, have findings. This is their number. */
#define CLI_CHECK_LISTED 2

/** The rows of @r, a pointer to a struct with the member names of CstCheckReport. */
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
 * Adds the result of a check to @sheet. @name is the file's name, "filename" in JSON. @findings are
 * the errors and leaks that the first rows count; NULL: a daemon reported only numbers. @problems
 * are further problems of a volume (char *), "problems" in JSON; NULL: the image is not a volume.
 */
void cli_check_add(CliSheet *sheet, const char *name, const char *format, const CliCheckRow *rows,
                   size_t count, const CstFindings *findings, const GPtrArray *problems);
/** Fails with MISMATCH if errors or leaks remain. */
gboolean cli_check_judge(const char *name, uint64_t errors, uint64_t leaks, GError **error);
/** Parses --repair as CstRepairFlags. *ret_flags is 0 if it was not given. */
gboolean cli_check_repair(const CliArgs *args, unsigned *ret_flags, GError **error);
