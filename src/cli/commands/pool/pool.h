/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <base/i18n.h>

#include "output/each.h"

/**
 * Finds the pool of option @option, by UUID and then by name, as virsh does. The caller frees it.
 * *ret_name is the word in the command line; it may be NULL. Returns NULL with an error and a
 * headline on failure, and possibly a hint.
 */
CstPoolRef *cli_pool(CliCtl *ctl, const CliArgs *args, const char *option, const char **ret_name,
                     GError **error);
/** Like cli_pool(), for the pool @name, which is the value of @option or one of several words. */
CstPoolRef *cli_pool_named(CliCtl *ctl, const CliArgs *args, const char *option, const char *name,
                           GError **error);
/** A pool and the word that names it, both owned. */
typedef struct {
    CstPoolRef *pool;
    char *typed;
} CliPoolArg;
/**
 * Finds all pools of <pool> and CLI_FURTHER without duplicates (CliPoolArg *), and runs @each for
 * them. See cli_each().
 */
gboolean cli_pool_each(CliCtl *ctl, const CliArgs *args, const CliEach *each, gpointer data,
                       GError **error);
/** CliEach.name of a CliPoolArg. */
void cli_pool_arg_name(gconstpointer thing, const char **ret_pool, const char **ret_name);
/** Finds the pool only by name, or only by UUID. */
CstPoolRef *cli_pool_by_name(CliCtl *ctl, const CliArgs *args, const char *option, GError **error);
CstPoolRef *cli_pool_by_uuid(CliCtl *ctl, const CliArgs *args, const char *option, GError **error);

/** Returns "running", …, "unknown"; static, untranslated. */
const char *cli_pool_state_word(CstPoolRunState state);

/** A name for --type, and its bit in a list filter. */
typedef struct {
    const char *name;
    unsigned filter;
} CliPoolType;
/** Returns the static table of types. An element without a name ends it. */
const CliPoolType *cli_pool_types(void);

/**
 * Builds the <pool> of pool-define-as and pool-create-as in virsh's layout, with escaped values and
 * an absolute target. The caller frees *ret_xml. *ret_name is borrowed.
 */
gboolean cli_pool_build_xml(CliCtl *ctl, const CliArgs *args, const char **ret_name, char **ret_xml,
                            GError **error);

/**
 * Refuses an unknown --type and suggests the nearest one. A server would report an error about an
 * XML attribute that the user has not written.
 */
gboolean cli_pool_check_type(const CliArgs *args, GError **error);

/**
 * Parses --build, --overwrite and --no-overwrite as CstPoolCreateFlags. Fails with USAGE if both
 * --overwrite and --no-overwrite are given.
 */
gboolean cli_pool_create_flags(const CliArgs *args, unsigned *ret_flags, GError **error);

/**
 * Returns the days until the first space of the pool is full. FALSE if that is unknown, also by an
 * older server.
 */
gboolean cli_pool_days_until_full(CliCtl *ctl, const CstPoolRef *pool, uint64_t *ret_days);

/**
 * Returns the inactive definition of a pool, because it may have been edited since the start of the
 * pool. The caller frees it.
 */
CstPoolDef *cli_pool_definition(CliCtl *ctl, const CstPoolRef *pool, GError **error);
/**
 * Defines a persistent pool with a changed setting of Cistern. Returns the definition that the
 * server has now, because another server may drop the setting. STATE: the pool is transient.
 */
CstPoolDef *cli_pool_define_setting(CliCtl *ctl, const CstPoolRef *pool, const CstPoolDef *def,
                                    GError **error);

/** The word that removes a part of a setting. */
#define CLI_SETTING_OFF "off"
/** Completes this word. */
void cli_complete_off(CliCtl *ctl, const CliArgs *args, GPtrArray *words);
/**
 * Reads a percentage from 1 to @max; "off" is 0 if @may_be_off. Leaves *ret_percent unchanged if
 * the option was not given. Fails with USAGE.
 */
gboolean cli_setting_percent(const CliArgs *args, const char *option, unsigned max,
                             gboolean may_be_off, uint8_t *ret_percent, GError **error);

/** Returns all pools that match @filter (CstPoolRef *), sorted by name without regard to case. */
GPtrArray *cli_pool_collect(CliCtl *ctl, unsigned filter, GError **error);
/** Returns the pool of --pool, else all active pools, as cli_pool_collect() does. */
GPtrArray *cli_pools_asked(CliCtl *ctl, const CliArgs *args, GError **error);

/*
 * Candidates for option values (CliCompleter). They report no error if the server cannot be
 * queried.
 */
void cli_complete_pools(CliCtl *ctl, const CliArgs *args, GPtrArray *words);
void cli_complete_active_pools(CliCtl *ctl, const CliArgs *args, GPtrArray *words);
void cli_complete_inactive_pools(CliCtl *ctl, const CliArgs *args, GPtrArray *words);
void cli_complete_pool_types(CliCtl *ctl, const CliArgs *args, GPtrArray *words);
void cli_complete_pool_events(CliCtl *ctl, const CliArgs *args, GPtrArray *words);

/** The row for further pools after the first one. */
#define CLI_FURTHER_POOLS(completer) CLI_FURTHER(N_("more pools"), completer)
/** The option <pool>. */
#define CLI_POOL_OPTION(completer)                                         \
    {                                                                      \
        .name = "pool", .kind = CLI_OPT_STRING, .flags = CLI_OPT_REQUIRED, \
        .help = N_("pool name or uuid"), .complete = completer             \
    }

/* The rows of commands. Each is defined in the file of its handler. */
extern const CliCommand cli_pool_autostart_command;
extern const CliCommand cli_pool_destroy_command;
extern const CliCommand cli_pool_edit_command;
extern const CliCommand cli_pool_info_command;
extern const CliCommand cli_pool_limits_command;
extern const CliCommand cli_pool_list_command;
extern const CliCommand cli_pool_refresh_command;
extern const CliCommand cli_pool_thresholds_command;
extern const CliCommand cli_pool_autoextend_command;
extern const CliCommand cli_pool_chains_command;
extern const CliCommand cli_pool_trash_command;
extern const CliCommand cli_pool_trust_command;
extern const CliCommand cli_pool_usage_command;
extern const CliCommand cli_pool_usage_sample_command;
extern const CliCommand cli_pool_event_command;
