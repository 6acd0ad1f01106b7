/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <stdint.h>
#include <stdio.h>

#include <base/error_class.h>
#include <base/task.h>
#include <conn/conn.h>

#include "args.h"
#include "config.h"

/** What the command line of the program itself asked for. Strings are borrowed from argv. */
typedef struct {
    const char *uri;
    const char *root;
    gboolean read_only;
    gboolean embedded;
    gboolean quiet;
    gboolean timing;
    gboolean json;
    gboolean bytes;
    gboolean dry_run;
    gboolean yes;
    gboolean no_input;
    gboolean no_config; /**< the user's configuration is not read */
    gboolean has_color; /**< --color was given */
    CliColor color;
} CliSettings;

/** Which failures are mistakes in the command line, though the server finds them. */
typedef enum {
    CLI_BLAME_DOCUMENT = 1 << 0, /**< errors in the document: the command made it of its words */
    CLI_BLAME_ALL = 1 << 1       /**< any: a value was given that nothing can have */
} CliBlame;

typedef struct CliJob CliJob;

/** One run of the program. Handlers print through it only. */
struct CliCtl {
    CliSettings settings;
    const CliGroup *groups; /**< the table of commands */
    CliConfig config;       /**< what stands for words that are left out; empty: nothing does */
    FILE *out;
    FILE *err;
    CstConn *conn;          /**< NULL until cli_conn() */
    char *connected_uri;    /**< -c, or what `connect` set; NULL: default */
    gboolean in_shell;      /**< reading commands from stdin */
    gboolean leave;         /**< quit was asked for */
    const CliArgs *current; /**< command being run */
    char *headline;         /**< set by cli_failed() */
    char *hint;             /**< what to do next about the failure; NULL: what its class tells */
    char *next_step;        /**< like hint, for a terminal and JSON only */
    char *plan;             /**< of a dry run, set by cli_plan(); NULL: none, or printed */
    unsigned blame;         /**< CliBlame, of the command being run */
    gint64 started_us;      /**< monotonic time at which the command began */
    gboolean reported;      /**< the command has reported its failure to people already */
    uint64_t detached;      /**< job that goes on without the command, which is no failure */
    CliJob *job;            /**< as which the command is listed; NULL: none (output/job.h) */
    int background;         /**< this process is to go on alone (core/background.h); -1: it isn't */
    gboolean one_of_several; /**< the command is done to several things, and to one of them now */
    const char *typed;       /**< while completing: what stands of the word; else NULL */
    gboolean out_is_data;    /**< stdout carries data: no text of ours goes with it */
    gboolean silent;         /**< nothing follows the command's output, not even on failure */
};

/** @groups: the table of commands; it outlives @ctl. The configuration is empty. */
void cli_ctl_init(CliCtl *ctl, const CliSettings *settings, const CliGroup *groups);
/** Closes the connection and frees what the context holds. */
void cli_ctl_clear(CliCtl *ctl);

/**
 * Returns the connection, opened when first asked for and borrowed; NULL with an error and a
 * headline. In a dry run the connection is set to that mode; a root that does not exist is an error
 * unless the command may make it.
 */
CstConn *cli_conn(CliCtl *ctl, GError **error);
/**
 * Closes the connection and opens @uri (NULL or "": the default) in its place, for this command and
 * those after it.
 */
gboolean cli_reconnect(CliCtl *ctl, const char *uri, gboolean read_only, GError **error);

/**
 * Puts a headline ("Failed to start pool x") in front of the error that is set; the last call wins.
 * Always returns FALSE, so that `return cli_failed(ctl, …)` reads well.
 */
gboolean cli_failed(CliCtl *ctl, const char *format, ...) G_GNUC_PRINTF(2, 3);
#define cli_failed(...) CST_GIVES_FALSE(cli_failed(__VA_ARGS__))

/**
 * Formats a message with escaped arguments, or with exact ones for --json, whose writer escapes.
 * Free it.
 */
char *cli_format(const CliCtl *ctl, const char *format, va_list args) G_GNUC_PRINTF(2, 0);

/** Says what to do about a failure, instead of what its class tells; the last call wins. */
void cli_hint(CliCtl *ctl, const char *format, ...) G_GNUC_PRINTF(2, 3);

/**
 * As cli_hint() for a hint that scripts do not get: a terminal and JSON show it, unless there is a
 * hint. The last call wins.
 */
void cli_next_step(CliCtl *ctl, const char *format, ...) G_GNUC_PRINTF(2, 3);

/**
 * Makes the failure of the command a mistake in the command line if no object can be called @name.
 * The server reports such a name with libvirt's numbers, which are those of other failures.
 */
void cli_blame_name(CliCtl *ctl, const char *name);

/**
 * Returns the exit status for @error; ctl->blame may make it that of a mistake in the command line.
 */
CstExitStatus cli_exit_status(const CliCtl *ctl, const GError *error);

/**
 * Sets the plan of a dry run: what the command is about to do ("Would start pool x"). With
 * --dry-run the command then goes on through all of its checks to the call that would do it; when
 * that ends as a dry run does, the plan is printed. Does nothing without --dry-run.
 */
void cli_plan(CliCtl *ctl, const char *format, ...) G_GNUC_PRINTF(2, 3);
/** Likewise, with a text that has lines of its own. */
void cli_plan_lines(CliCtl *ctl, const char *text);
