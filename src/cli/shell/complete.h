/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "core/ctl.h"

/** Candidates for an option whose value is a command: all that `help` lists. */
void cli_complete_commands(CliCtl *ctl, const CliArgs *args, GPtrArray *words);

/**
 * All candidates for the last of @argc words of an unfinished command: command names, options,
 * values. Words that don't begin like the last one are left out. With @describe a word may be
 * followed by a tab and what it is. *ret_files: the word may be the name of a file as well.
 */
GPtrArray *cli_complete_line(CliCtl *ctl, int argc, char **argv, gboolean describe,
                             gboolean *ret_files);

/**
 * The same for all words after the program's name, its own options (--connect URI, --root DIR)
 * among them, which then say where to ask for names.
 */
GPtrArray *cli_complete_program(CliCtl *ctl, int argc, char **argv, gboolean describe,
                                gboolean *ret_files);
