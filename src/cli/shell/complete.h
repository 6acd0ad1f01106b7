/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "core/ctl.h"

/** Appends the names and summaries of all commands that `help` lists. A CliCompleter. */
void cli_complete_commands(CliCtl *ctl, const CliArgs *args, GPtrArray *words);

/**
 * Returns all candidates for the last of @argc words of an unfinished command: command names,
 * options and values. Words that do not start like the last one are omitted. With @describe, a tab
 * and a description may follow a word. *ret_files is TRUE if the word may also be a file name. The
 * array frees its elements.
 */
GPtrArray *cli_complete_line(CliCtl *ctl, int argc, char **argv, gboolean describe,
                             gboolean *ret_files);

/**
 * Like cli_complete_line(), for all words after the program's name. These include the program's own
 * options (--connect URI, --root DIR), which select the server that is asked for names.
 */
GPtrArray *cli_complete_program(CliCtl *ctl, int argc, char **argv, gboolean describe,
                                gboolean *ret_files);
