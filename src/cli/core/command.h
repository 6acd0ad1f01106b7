/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>

/**
 * The command table: one description per command that drives parsing, `help`, completion, the man
 * page and the check of what --json, --dry-run and --yes mean for it.
 *
 * The kinds of options and what they may be given as follow virsh (docs/manpages/virsh.rst):
 * every option with a value may be written --NAME VALUE or --NAME=VALUE, and those that are not
 * CLI_OPT_NAMED also positionally, in table order; required ones come first. Options of our own
 * commands may have a letter as well: -f VALUE or -fVALUE.
 */
typedef struct CliCtl CliCtl;
typedef struct CliArgs CliArgs;

typedef enum {
    CLI_OPT_BOOL,
    CLI_OPT_STRING,
    CLI_OPT_INT, /**< shown as <number> */
    CLI_OPT_ARGV /**< everything that is left; last in the table */
} CliOptionKind;

typedef enum {
    CLI_OPT_REQUIRED = 1 << 0,
    CLI_OPT_EMPTY_OK = 1 << 1,   /**< "" is a value */
    CLI_OPT_NAMED = 1 << 2,      /**< never positional */
    CLI_OPT_FILE = 1 << 3,       /**< the value names a file: completed as such */
    CLI_OPT_HELP_LISTS = 1 << 4, /**< "%s" in help: what complete offers, with commas */
    CLI_OPT_LIST = 1 << 5,       /**< a list with commas; may be given again, which adds to it */
    CLI_OPT_OFFERED = 1 << 6,    /**< completed as a plain word, though it is not required */
    CLI_OPT_POOL = 1 << 7,       /**< the configuration's pool stands for it when it is left out */
    CLI_OPT_NO_SLASH = 1 << 8    /**< a plain word with '/' is not for it, but for CLI_OPT_ARGV;
                                      nor is any where the command was called by its alias */
} CliOptionFlags;

/**
 * Appends candidates (owned strings) for a value; "WORD\tDESCRIPTION" is possible. The caller drops
 * those that don't begin like what was typed. @ctl and @args may be NULL where the candidates don't
 * depend on them (CLI_OPT_HELP_LISTS).
 */
typedef void (*CliCompleter)(CliCtl *ctl, const CliArgs *args, GPtrArray *words);

typedef struct {
    const char *name; /**< NULL ends a table */
    CliOptionKind kind;
    unsigned flags; /**< CliOptionFlags */
    const char *help;
    CliCompleter complete;     /**< NULL: nothing is offered but, with CLI_OPT_FILE, files */
    const char *unless;        /**< required, unless this other option is given */
    const char *names_pool;    /**< the value POOL/NAME stands for this other option as well */
    gboolean complete_by_list; /**< the value is a list with commas */
    char letter;               /**< "-f" means the same; 0: none */
    unsigned needs;            /**< of a common option: CliCommandFlags that it goes with; 0: all */
    unsigned excludes;         /**< of a common option: CliCommandFlags that it does not go with */
} CliOption;

typedef enum {
    CLI_CMD_MUTATES = 1 << 0,  /**< changes something: takes --dry-run */
    CLI_CMD_DESTROYS = 1 << 1, /**< may destroy data: asks (cli_confirm), takes --yes */
    CLI_CMD_OFFLINE = 1 << 2,  /**< needs no connection */
    CLI_CMD_HIDDEN = 1 << 3,   /**< not in help, nor in completion */
    CLI_CMD_OURS = 1 << 4,     /**< virsh has no such command: free to ask for --yes */
    CLI_CMD_CONNECTS = 1 << 5, /**< says itself what to connect to: takes no --connect, --root */
    CLI_CMD_WORKS = 1 << 7,    /**< does the work itself, and not the service: --detach has it go
                                     on in a process of its own (output/job.h) */
    CLI_CMD_HELP = 1 << 6      /**< what --help of any command runs, with the command's name; takes
                                    whatever words one throws at it, as virsh's `help` does */
} CliCommandFlags;

/**
 * Does the work. FALSE with @error set when it failed; cli_failed() may have put the headline
 * ("Failed to start pool x") in front.
 */
typedef gboolean (*CliHandler)(CliCtl *ctl, const CliArgs *args, GError **error);

typedef struct {
    const char *name;  /**< NULL ends a table */
    const char *alias; /**< a short name that does as well; NULL: none */
    const char *summary;
    const char *description;  /**< "": none */
    const CliOption *options; /**< NULL: none */
    CliHandler handler;
    unsigned flags; /**< CliCommandFlags */
} CliCommand;

typedef struct {
    const char *title;
    const char *keyword;               /**< help KEYWORD */
    const CliCommand *const *commands; /**< ended by NULL */
} CliGroup;

/* Look-ups in a table of groups, which ends with one without a title. NULL when there is none. */
const CliGroup *cli_group_find(const CliGroup *groups, const char *title_or_keyword);
/** @name may be an alias. */
const CliCommand *cli_command_find(const CliGroup *groups, const char *name);
/** Returns the first command that has one of the flags @flag. */
const CliCommand *cli_command_with(const CliGroup *groups, unsigned flag);
/** Returns the command called "FIRST-SECOND": `pool list` is `pool-list`. */
const CliCommand *cli_command_find_joined(const CliGroup *groups, const char *first,
                                          const char *second);

/**
 * Returns the options that go with every command (--json, --root) or with some (--dry-run, --yes).
 */
const CliOption *cli_common_options(void);
/**
 * Whether a common option goes with @command: by their flags, and unless the command has an option
 * of that name itself.
 */
gboolean cli_common_option_applies(const CliOption *option, const CliCommand *command);

/** Returns the command's own option called @name; NULL: it has none. */
const CliOption *cli_command_option(const CliCommand *command, const char *name);
/** Whether a plain word may fill @option. */
gboolean cli_option_is_positional(const CliOption *option);

/* Rows of option tables. Texts are marked with N_() by the caller. */
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
/** A value that is never taken from a plain word. */
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
