/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "core/ctl.h"

/** Appends the names of all commands that `help` lists, with their summaries: a CliCompleter. */
void cli_complete_commands(CliCtl *ctl, const CliArgs *args, GPtrArray *words);

/**
 * Returns all candidates for the last of @argc words of an unfinished command: command names,
 * options, values. Words that don't begin like the last one are left out. With @describe a word may
 * be followed by a tab and a description. *ret_files: the word may be the name of a file as well.
 * Freed with the array.
 */
GPtrArray *cli_complete_line(CliCtl *ctl, int argc, char **argv, gboolean describe,
                             gboolean *ret_files);

/**
 * Does the same for all words after the program's name, its own options (--connect URI, --root DIR)
 * among them, which then say where to ask for names.
 */
GPtrArray *cli_complete_program(CliCtl *ctl, int argc, char **argv, gboolean describe,
                                gboolean *ret_files);
