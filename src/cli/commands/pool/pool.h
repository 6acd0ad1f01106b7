/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <base/i18n.h>

#include "output/each.h"

/**
 * Finds the pool that option @option names, by UUID and then by name as virsh does; the caller
 * frees it. *ret_name (may be NULL) is what the user wrote. NULL with an error, a headline and
 * perhaps a hint.
 */
CstPoolRef *cli_pool(CliCtl *ctl, const CliArgs *args, const char *option, const char **ret_name,
                     GError **error);
/** Finds the pool @name likewise, which is that of option @option or one of several. */
CstPoolRef *cli_pool_named(CliCtl *ctl, const CliArgs *args, const char *option, const char *name,
                           GError **error);
/** A pool and the word that named it, both owned. */
typedef struct {
    CstPoolRef *pool;
    char *typed;
} CliPoolArg;
/**
 * Finds all pools that <pool> and the words behind it name (CLI_FURTHER), CliPoolArg *, each once,
 * and runs @each for them; cli_each().
 */
gboolean cli_pool_each(CliCtl *ctl, const CliArgs *args, const CliEach *each, gpointer data,
                       GError **error);
/** CliEach.name of a CliPoolArg. */
void cli_pool_arg_name(gconstpointer thing, const char **ret_pool, const char **ret_name);
/** Finds the pool by name only, or by UUID only. */
CstPoolRef *cli_pool_by_name(CliCtl *ctl, const CliArgs *args, const char *option, GError **error);
CstPoolRef *cli_pool_by_uuid(CliCtl *ctl, const CliArgs *args, const char *option, GError **error);

/** Returns "running", …, "unknown"; static, untranslated. */
const char *cli_pool_state_word(CstPoolRunState state);

/** A name that --type takes, and its bit in a list filter. */
typedef struct {
    const char *name;
    unsigned filter;
} CliPoolType;
/** Returns the types, ended by one without a name. */
const CliPoolType *cli_pool_types(void);

/**
 * Makes the <pool> of pool-define-as and pool-create-as, in virsh's layout, with each value
 * escaped and an absolute target. Free *ret_xml; *ret_name is borrowed.
 */
gboolean cli_pool_build_xml(CliCtl *ctl, const CliArgs *args, const char **ret_name, char **ret_xml,
                            GError **error);

/**
 * Refuses a --type that there is not, naming the one that was meant: a server would complain of an
 * attribute in XML that the user has not written.
 */
gboolean cli_pool_check_type(const CliArgs *args, GError **error);

/**
 * Reads --build, --overwrite and --no-overwrite as CstPoolCreateFlags; USAGE for both of the
 * latter.
 */
gboolean cli_pool_create_flags(const CliArgs *args, unsigned *ret_flags, GError **error);

/** Returns all pools that match @filter (CstPoolRef *), sorted by name without regard to case. */
GPtrArray *cli_pool_collect(CliCtl *ctl, unsigned filter, GError **error);
/** Returns the pool that --pool names, else all active ones, likewise. */
GPtrArray *cli_pools_asked(CliCtl *ctl, const CliArgs *args, GError **error);

/* Candidates for option values, as CliCompleter. They are silent when the server can't be asked. */
void cli_complete_pools(CliCtl *ctl, const CliArgs *args, GPtrArray *words);
void cli_complete_active_pools(CliCtl *ctl, const CliArgs *args, GPtrArray *words);
void cli_complete_inactive_pools(CliCtl *ctl, const CliArgs *args, GPtrArray *words);
void cli_complete_pool_types(CliCtl *ctl, const CliArgs *args, GPtrArray *words);
void cli_complete_pool_events(CliCtl *ctl, const CliArgs *args, GPtrArray *words);

/** The row for the pools behind the first one. */
#define CLI_FURTHER_POOLS(completer) CLI_FURTHER(N_("more pools"), completer)
/** The option <pool>. */
#define CLI_POOL_OPTION(completer)                                         \
    {                                                                      \
        .name = "pool", .kind = CLI_OPT_STRING, .flags = CLI_OPT_REQUIRED, \
        .help = N_("pool name or uuid"), .complete = completer             \
    }

/* The rows of commands, each beside its handler. */
extern const CliCommand cli_pool_autostart_command;
extern const CliCommand cli_pool_destroy_command;
extern const CliCommand cli_pool_edit_command;
extern const CliCommand cli_pool_info_command;
extern const CliCommand cli_pool_list_command;
extern const CliCommand cli_pool_refresh_command;
extern const CliCommand cli_pool_trash_command;
extern const CliCommand cli_pool_trust_command;
extern const CliCommand cli_pool_event_command;
