/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <image/image.h>
#include <image/map.h>
#include <image/measure.h>

#include "core/ctl.h"
#include "output/qdict.h"

/*
 * The JSON of qemu-img, for --output=json of the image-* commands and for cistern-qemu-img. --json
 * is the program's own.
 */

/** Gets --output. Fails with USAGE if it is neither human nor json, or given with --json. */
gboolean cli_image_output(CliCtl *ctl, const CliArgs *args, gboolean *ret_qemu_json,
                          GError **error);

/** Prints @value and a newline on @stream. */
void cli_qemu_json_print(FILE *stream, const CliQdict *value);
/** Prints the result of a check of the image at @path. */
void cli_qemu_json_check(FILE *stream, const char *path, const CstImageFormat *format,
                         const CstImageCheck *result);
/** Prints the result of measuring. */
void cli_qemu_json_measure(FILE *stream, const CstImageMeasure *measure);

/** The runs of a map that have been printed. Zero it, and clear @stream last. */
typedef struct {
    FILE *stream;
    CstMapRun last;   /**< not printed yet; length 0: no run */
    gboolean follows; /**< a run was printed */
} CliQemuJsonMap;

/** Adds a run. The first call prints the bracket before the list. */
void cli_qemu_json_map_add(CliQemuJsonMap *map, const CstMapRun *run);
/** Prints the last run, and ends the list. */
void cli_qemu_json_map_end(CliQemuJsonMap *map);
