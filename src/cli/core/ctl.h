/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <stdint.h>
#include <stdio.h>

#include <base/error_class.h>
#include <base/task.h>
#include <conn/conn.h>

#include "args.h"
#include "config.h"

/** The program's own options, before the command. Strings are borrowed from argv. */
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
    gboolean no_config; /**< do not read client.conf */
    gboolean has_color; /**< --color was given */
    CliColor color;
} CliSettings;

/** Failures that are mistakes in the command line, although the server detects them. */
typedef enum {
    CLI_BLAME_DOCUMENT = 1 << 0, /**< XML errors, because the command built the document */
    CLI_BLAME_ALL = 1 << 1       /**< all errors: a given value is not valid for any object */
} CliBlame;

typedef struct CliJob CliJob;

/** The context of one run of the program. Handlers print through it only. */
struct CliCtl {
    CliSettings settings;
    const CliGroup *groups; /**< the table of commands */
    CliConfig config;       /**< defaults for omitted words; may be empty */
    FILE *out;
    FILE *err;
    CstConn *conn;           /**< NULL until cli_conn() */
    char *connected_uri;     /**< from -c or `connect`; NULL: default */
    gboolean in_shell;       /**< commands are read from stdin */
    gboolean leave;          /**< quit was called */
    const CliArgs *current;  /**< command that is running */
    char *headline;          /**< set by cli_failed() */
    char *hint;              /**< next step after the failure; NULL: that of the error class */
    char *next_step;         /**< like hint, but shown only on a terminal and in JSON */
    char *plan;              /**< plan of a dry run, until it is printed; NULL: not set */
    unsigned blame;          /**< CliBlame flags of the running command */
    gint64 started_us;       /**< monotonic start time of the command */
    gboolean reported;       /**< the command has already reported its failure as text */
    uint64_t detached;       /**< job that continues without the command (no failure); 0: no job */
    CliJob *job;             /**< job of the running command; NULL: not listed (output/job.h) */
    int background;          /**< pipe for the job number (core/background.h); -1: not in
                                  background */
    gboolean one_of_several; /**< the command runs for one of several objects now */
    const char *typed;       /**< while completing: the typed part of the word; else NULL */
    gboolean out_is_data;    /**< stdout carries data, so no text is printed there */
    gboolean silent;         /**< print no text after the command's output, not even on failure */
    /** Shows the progress of a task instead of the usual display; NULL: the usual display. */
    void (*show_progress)(CliCtl *ctl, CstProgress progress);
};

/**
 * Initializes @ctl with an empty configuration. @groups is the table of commands and must outlive
 * @ctl.
 */
void cli_ctl_init(CliCtl *ctl, const CliSettings *settings, const CliGroup *groups);
/** Closes the connection and frees the members of the context. */
void cli_ctl_clear(CliCtl *ctl);

/**
 * Returns the connection, borrowed. Opens it on the first call. In a dry run, the connection is set
 * to that mode. A root that does not exist is an error, unless the command may create it. Returns
 * NULL with an error on failure; if the connection cannot be opened, also sets a headline.
 */
CstConn *cli_conn(CliCtl *ctl, GError **error);
/**
 * Closes the connection and opens @uri instead, for this command and all later commands. @uri NULL
 * or "": the default.
 */
gboolean cli_reconnect(CliCtl *ctl, const char *uri, gboolean read_only, GError **error);

/**
 * Sets a headline ("Failed to start pool x"), which is printed before the error. The last call
 * takes effect. Always returns FALSE, so that a handler can `return cli_failed(ctl, …)`.
 */
gboolean cli_failed(CliCtl *ctl, const char *format, ...) G_GNUC_PRINTF(2, 3);
#define cli_failed(...) CST_GIVES_FALSE(cli_failed(__VA_ARGS__))

/**
 * Formats a message. Arguments are escaped, except with --json, because the JSON writer escapes.
 * The caller frees the result.
 */
char *cli_format(const CliCtl *ctl, const char *format, va_list args) G_GNUC_PRINTF(2, 0);

/**
 * Sets the hint for a failure, which replaces the hint of the error's class. The last call takes
 * effect.
 */
void cli_hint(CliCtl *ctl, const char *format, ...) G_GNUC_PRINTF(2, 3);

/**
 * Like cli_hint(), but the hint is shown only on a terminal and in JSON, and only if cli_hint() was
 * not called. The last call takes effect.
 */
void cli_next_step(CliCtl *ctl, const char *format, ...) G_GNUC_PRINTF(2, 3);

/**
 * Makes the failure a mistake in the command line if @name is not a valid name for any object. The
 * server reports such a name with libvirt's error numbers, which other failures share.
 */
void cli_blame_name(CliCtl *ctl, const char *name);

/**
 * Returns the exit status for @error. ctl->blame may turn it into that of a mistake in the command
 * line.
 */
CstExitStatus cli_exit_status(const CliCtl *ctl, const GError *error);

/**
 * Sets the plan of a dry run, which is the action that the command is about to do ("Would start
 * pool x"). With --dry-run, the command then continues through all its checks to the call that
 * would do it. If that call ends with DRY_RUN or success, the plan is printed. Has no effect
 * without --dry-run.
 */
void cli_plan(CliCtl *ctl, const char *format, ...) G_GNUC_PRINTF(2, 3);
/** Like cli_plan(), for a text with several lines. */
void cli_plan_lines(CliCtl *ctl, const char *text);
