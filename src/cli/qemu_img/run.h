/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "core/ctl.h"
#include "file.h"
#include "line.h"

/**
 * One command of qemu-img, expressed as a command line of the image-* command that does the same.
 * The functions of commands/image read their options from it. They print no text and do not ask.
 */
typedef struct {
    CliCtl ctl;
    CliArgs *args;
} CliQemuRun;

/**
 * Initializes @run for @command. Files that images refer to are followed, and -U and -p of @line
 * are applied. Clear it in any case.
 */
void cli_qemu_run_init(CliQemuRun *run, const CliCommand *command, const CliQemuLine *line);
void cli_qemu_run_clear(CliQemuRun *run);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(CliQemuRun, cli_qemu_run_clear)

/** Sets the option @name of the image-* command. @value NULL: a switch. */
void cli_qemu_run_set(CliQemuRun *run, const char *name, const char *value);
void cli_qemu_run_set_number(CliQemuRun *run, const char *name, guint64 value);
/** Like cli_qemu_run_set(), but without an effect if @value is NULL. */
void cli_qemu_run_set_value(CliQemuRun *run, const char *name, const char *value);
/**
 * Sets the options for the image @file: the path as @name (NULL: not set), the format as @format,
 * and the external data files that may be opened.
 */
void cli_qemu_run_set_file(CliQemuRun *run, const char *name, const char *format,
                           const CliQemuFile *file);
/** Runs the image-* command. */
gboolean cli_qemu_run(CliQemuRun *run, GError **error);
