/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "core/ctl.h"

/* Candidates for option values. They keep silent when the server cannot be asked. */
void cli_complete_pools(CliCtl *ctl, const CliArgs *args, GPtrArray *words);
void cli_complete_active_pools(CliCtl *ctl, const CliArgs *args, GPtrArray *words);
void cli_complete_inactive_pools(CliCtl *ctl, const CliArgs *args, GPtrArray *words);
void cli_complete_pool_types(CliCtl *ctl, const CliArgs *args, GPtrArray *words);
void cli_complete_pool_events(CliCtl *ctl, const CliArgs *args, GPtrArray *words);
void cli_complete_commands(CliCtl *ctl, const CliArgs *args, GPtrArray *words);

/** Appends copies of a NULL-terminated list of words. */
void cli_complete_add(GPtrArray *words, const char *const *list);

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
