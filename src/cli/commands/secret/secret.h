/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <base/i18n.h>
#include <conn/secrets.h>

#include "core/ctl.h"

/**
 * Finds the secret with the UUID in option <secret>. The caller frees it. *ret_name (may be NULL)
 * is the word in the command line.
 */
CstConnSecret *cli_secret(CliCtl *ctl, const CliArgs *args, const char **ret_name, GError **error);

/** Finds the secret with the UUID @name from the command line. The connection must be open. */
CstConnSecret *cli_secret_named(CliCtl *ctl, const char *name, GError **error);
/** Reads the complete file at @path, or stdin if @path is NULL. */
gboolean cli_secret_read_file(const char *path, CstSecretBytes *ret_text, GError **error);
/**
 * Reads the complete file at @path. Fails with DENIED for a regular file that another user may read
 * or write.
 */
gboolean cli_secret_read_private_file(const char *path, CstSecretBytes *ret_text, GError **error);
/** Reads a line from the terminal without echo; without a terminal, from stdin. */
gboolean cli_secret_read_prompt(CliCtl *ctl, CstSecretBytes *ret_text, GError **error);
/** Prints the list of secret-list --usage. */
gboolean cli_secret_list_usage(CliCtl *ctl, const CliArgs *args, GError **error);
/** Appends the column keys of this list. */
void cli_secret_complete_usage_columns(GPtrArray *words);

/** Candidates for <secret> and --event (CliCompleter). */
void cli_complete_secrets(CliCtl *ctl, const CliArgs *args, GPtrArray *words);
void cli_complete_secret_events(CliCtl *ctl, const CliArgs *args, GPtrArray *words);

/** The option <secret>. */
#define CLI_SECRET_OPTION \
    CLI_REQUIRED("secret", N_("secret UUID"), .complete = cli_complete_secrets)

/* The rows of commands. Each is defined in the file of its handler. */
extern const CliCommand cli_secret_event_command;
extern const CliCommand cli_secret_get_value_command;
extern const CliCommand cli_secret_rotate_command;
extern const CliCommand cli_secret_seal_command;
extern const CliCommand cli_secret_set_value_command;
extern const CliCommand cli_secret_unseal_command;
