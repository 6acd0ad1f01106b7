/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>

/**
 * The command table has one description for each command. The description drives parsing, `help`,
 * completion and the man page. It also defines how --json, --dry-run and --yes apply to the
 * command.
 *
 * Kinds of options and their syntax follow virsh (docs/manpages/virsh.rst). Each option with a
 * value may be written --NAME VALUE or --NAME=VALUE. Options without CLI_OPT_NAMED are also
 * positional, in table order; required options come first. Options of commands that virsh does not
 * have may also have a letter: -f VALUE or -fVALUE.
 */
typedef struct CliCtl CliCtl;
typedef struct CliArgs CliArgs;

typedef enum {
    CLI_OPT_BOOL,
    CLI_OPT_STRING,
    CLI_OPT_INT, /**< shown as <number> */
    CLI_OPT_ARGV /**< all remaining words; last in the table */
} CliOptionKind;

typedef enum {
    CLI_OPT_REQUIRED = 1 << 0,
    CLI_OPT_EMPTY_OK = 1 << 1,   /**< "" is a valid value */
    CLI_OPT_NAMED = 1 << 2,      /**< never positional */
    CLI_OPT_FILE = 1 << 3,       /**< the value is a file name, and is completed as such */
    CLI_OPT_HELP_LISTS = 1 << 4, /**< "%s" in help is replaced by the candidates */
    CLI_OPT_LIST = 1 << 5,       /**< a list with commas; further occurrences are appended */
    CLI_OPT_OFFERED = 1 << 6,    /**< completed as a plain word, although it is not required */
    CLI_OPT_POOL = 1 << 7,       /**< the configured pool is the default */
    CLI_OPT_NO_SLASH = 1 << 8    /**< a plain word with '/' goes to CLI_OPT_ARGV instead, and so
                                      does each plain word if the command was called by its alias */
} CliOptionFlags;

/**
 * Appends candidates (owned strings) for a value to @words. A candidate may be "WORD\tDESCRIPTION".
 * The caller drops candidates that do not start with the typed text. @ctl and @args may be NULL if
 * the candidates do not depend on them (CLI_OPT_HELP_LISTS).
 */
typedef void (*CliCompleter)(CliCtl *ctl, const CliArgs *args, GPtrArray *words);

typedef struct {
    const char *name; /**< NULL ends a table */
    CliOptionKind kind;
    unsigned flags; /**< CliOptionFlags */
    const char *help;
    CliCompleter complete;     /**< NULL: no candidates, except files with CLI_OPT_FILE */
    const char *unless;        /**< required unless this other option is given, which replaces it */
    const char *names_pool;    /**< a value POOL/NAME also sets this option */
    gboolean complete_by_list; /**< the value is a list with commas */
    char letter;               /**< "-f" is the same option; 0: no letter */
    unsigned needs;            /**< common option: required CliCommandFlags; 0: no condition */
    unsigned excludes;         /**< common option: excluding CliCommandFlags */
} CliOption;

typedef enum {
    CLI_CMD_MUTATES = 1 << 0,  /**< changes state: accepts --dry-run */
    CLI_CMD_DESTROYS = 1 << 1, /**< may destroy data: asks (cli_confirm), accepts --yes */
    CLI_CMD_OFFLINE = 1 << 2,  /**< needs no connection */
    CLI_CMD_HIDDEN = 1 << 3,   /**< omitted from help and completion */
    CLI_CMD_OURS = 1 << 4,     /**< not a virsh command, so it may require --yes */
    CLI_CMD_CONNECTS = 1 << 5, /**< chooses its own server: accepts no --connect, --root */
    CLI_CMD_WORKS = 1 << 7,    /**< does the work itself instead of the service: --detach
                                    continues it in another process (output/job.h) */
    CLI_CMD_HELP = 1 << 6      /**< run for --help of any command, with the command's name;
                                    accepts any number of words, as virsh's `help` does */
} CliCommandFlags;

/**
 * Runs the command. Return: FALSE with @error set on failure. The handler may have set a headline
 * ("Failed to start pool x") with cli_failed().
 */
typedef gboolean (*CliHandler)(CliCtl *ctl, const CliArgs *args, GError **error);

typedef struct {
    const char *name;  /**< NULL ends a table */
    const char *alias; /**< a second, short name; NULL: no alias */
    const char *summary;
    const char *description;  /**< "": no description */
    const CliOption *options; /**< NULL: no options */
    CliHandler handler;
    unsigned flags; /**< CliCommandFlags */
} CliCommand;

typedef struct {
    const char *title;
    const char *keyword;               /**< KEYWORD of `help KEYWORD` */
    const CliCommand *const *commands; /**< NULL-terminated */
} CliGroup;

/*
 * Lookups in a table of groups. An element without a title ends the table. Return: NULL if not
 * found.
 */
const CliGroup *cli_group_find(const CliGroup *groups, const char *title_or_keyword);
/** @name may be an alias. */
const CliCommand *cli_command_find(const CliGroup *groups, const char *name);
/** Returns the first command that has one of the flags in @flag. */
const CliCommand *cli_command_with(const CliGroup *groups, unsigned flag);
/** Returns the command called "FIRST-SECOND": `pool list` is `pool-list`. */
const CliCommand *cli_command_find_joined(const CliGroup *groups, const char *first,
                                          const char *second);

/** Returns the options of all commands (--json, --root) and of some commands (--dry-run, --yes). */
const CliOption *cli_common_options(void);
/**
 * Return: TRUE if @command accepts the common option @option. The flags of both must match, and the
 * command must not have its own option of that name.
 */
gboolean cli_common_option_applies(const CliOption *option, const CliCommand *command);

/** Returns the command's own option @name, or NULL. */
const CliOption *cli_command_option(const CliCommand *command, const char *name);
/** Return: TRUE if a plain word may fill @option. */
gboolean cli_option_is_positional(const CliOption *option);

/* Rows of option tables. The caller marks texts with N_(). */
#define CLI_SWITCH(option, text)                           \
    {                                                      \
        .name = option, .kind = CLI_OPT_BOOL, .help = text \
    }
#define CLI_STRING(option, text)                             \
    {                                                        \
        .name = option, .kind = CLI_OPT_STRING, .help = text \
    }
#define CLI_NUMBER(option, text)                          \
    {                                                     \
        .name = option, .kind = CLI_OPT_INT, .help = text \
    }
/** A value that is never positional. */
#define CLI_NAMED(option, text)                                                      \
    {                                                                                \
        .name = option, .kind = CLI_OPT_STRING, .flags = CLI_OPT_NAMED, .help = text \
    }
#define CLI_FILE(option, how, text)                                                         \
    {                                                                                       \
        .name = option, .kind = CLI_OPT_STRING, .flags = CLI_OPT_FILE | (how), .help = text \
    }
/** Further members (.complete = …) may follow the text. */
#define CLI_REQUIRED(option, text, ...)                                                  \
    {                                                                                    \
        .name = option, .kind = CLI_OPT_STRING, .flags = CLI_OPT_REQUIRED, .help = text, \
        __VA_ARGS__                                                                      \
    }
