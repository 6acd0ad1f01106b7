/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <json-glib/json-glib.h>
#include <stdint.h>
#include <stdio.h>

#include <base/error_class.h>
#include <base/task.h>
#include <conn/conn.h>

#include "args.h"

/** "schema" of every JSON object this program prints; it goes up when a member changes meaning. */
#define CLI_JSON_SCHEMA 1

/** Definition files larger than this are refused, as virsh does. */
#define CLI_XML_MAX (10 * 1024 * 1024)

typedef enum { CLI_COLOR_AUTO, CLI_COLOR_ALWAYS, CLI_COLOR_NEVER } CliColor;

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
    CliColor color;
} CliSettings;

/** Which failures are mistakes in the command line, though the server finds them. */
typedef enum {
    CLI_BLAME_DOCUMENT = 1 << 0, /**< errors in the document: the command made it of its words */
    CLI_BLAME_ALL = 1 << 1       /**< any: a value was given that nothing can have */
} CliBlame;

/** One run of the program. Handlers print through it only. */
struct CliCtl {
    CliSettings settings;
    const CliGroup *groups; /**< the table of commands */
    FILE *out;
    FILE *err;
    CstConn *conn;          /**< NULL until cli_conn() */
    char *connected_uri;    /**< -c, or what `connect` set; NULL: default */
    gboolean in_shell;      /**< reading commands from stdin */
    gboolean leave;         /**< quit was asked for */
    const CliArgs *current; /**< command being run */
    char *headline;         /**< set by cli_failed() */
    char *hint;             /**< what to do next about the failure; NULL: what its class tells */
    char *plan;             /**< of a dry run, set by cli_plan(); NULL: none, or printed */
    unsigned blame;         /**< CliBlame, of the command being run */
    gboolean told;          /**< the command has told people of its failure already */
    uint64_t detached;      /**< job that goes on without the command, which is no failure */
    const char *typed;      /**< while completing: what stands of the word; else NULL */
    gboolean out_is_data;   /**< stdout carries data: no text of ours goes with it */
    gboolean silent;        /**< nothing follows the command's output, not even on failure */
};

/** @groups: the table of commands; it outlives @ctl. */
void cli_ctl_init(CliCtl *ctl, const CliSettings *settings, const CliGroup *groups);
void cli_ctl_clear(CliCtl *ctl);

/** The connection, opened when first asked for. */
CstConn *cli_conn(CliCtl *ctl, GError **error);
/** Closes the connection that is open and opens @uri (NULL: the default) in its place. */
gboolean cli_reconnect(CliCtl *ctl, const char *uri, gboolean read_only, GError **error);

/* --- text ------------------------------------------------------------------------------------ */

/** Text for people on stdout; nothing with --json. */
void cli_print(CliCtl *ctl, const char *format, ...) G_GNUC_PRINTF(2, 3);
/** The same, left out with --quiet: headers, blank lines, that something was done. */
void cli_extra(CliCtl *ctl, const char *format, ...) G_GNUC_PRINTF(2, 3);
/** A line "error: …" on stderr that does not end the command. */
void cli_complain(CliCtl *ctl, const char *format, ...) G_GNUC_PRINTF(2, 3);

/**
 * Puts a headline ("Failed to start pool x") in front of the error that is set. Always FALSE, so
 * that `return cli_failed(ctl, …)` reads well.
 */
gboolean cli_failed(CliCtl *ctl, const char *format, ...) G_GNUC_PRINTF(2, 3);
#define cli_failed(...) CST_GIVES_FALSE(cli_failed(__VA_ARGS__))
/** Reports @error with the headline, as text or as JSON, and forgets the headline. */
void cli_report(CliCtl *ctl, const GError *error);

/** Exit status for @error, with regard to ctl->blame. */
CstExitStatus cli_exit_status(const CliCtl *ctl, const GError *error);

gboolean cli_use_color(const CliCtl *ctl, FILE *stream);

/* --- results, as text or with --json as one object ------------------------------------------- */

/**
 * A command that did something: the sentence, unless --quiet, and, in JSON, @key with @value (NULL:
 * none), the command's name and the sentence as "message".
 */
void cli_done(CliCtl *ctl, const char *key, const char *value, const char *format, ...)
    G_GNUC_PRINTF(4, 5);
/** One value on a line. */
void cli_value(CliCtl *ctl, const char *key, const char *value);
/** A document that brings its own newlines. */
void cli_document(CliCtl *ctl, const char *key, const char *text);

/** Starts an object with "schema"; cli_json_end() closes it, prints it on a line and frees it. */
JsonBuilder *cli_json_begin(void);
void cli_json_end(FILE *stream, JsonBuilder *builder);
/**
 * The name of a member for @key. Names have underscores everywhere; keys that are qemu-img's may be
 * spelt as it has them. The caller frees it.
 */
char *cli_json_key(const char *key);
/** The value of this member is added next. */
void cli_json_add_member(JsonBuilder *builder, const char *key);
void cli_json_add_string(JsonBuilder *builder, const char *key, const char *value);
void cli_json_add_bool(JsonBuilder *builder, const char *key, gboolean value);
/** JSON has no number above 2⁶³-1; such sizes are cut to it. */
void cli_json_add_size(JsonBuilder *builder, const char *key, uint64_t value);

/** A time in seconds since 1970 as ISO 8601 in UTC: "2026-11-21T02:44:39Z". */
char *cli_json_time(int64_t seconds);

/* --- before something is changed ------------------------------------------------------------- */

/**
 * Says what the command is about to do ("Would start pool x"). With --dry-run the command then goes
 * on through all of its checks to the call that would do it; when that ends as a dry run does, the
 * plan is what is printed. Without, it is nothing.
 */
void cli_plan(CliCtl *ctl, const char *format, ...) G_GNUC_PRINTF(2, 3);
/** A dry run has passed: prints the plan. */
void cli_tell_plan(CliCtl *ctl);

/**
 * Asks before data is destroyed: TRUE with --yes or --dry-run, or when a person at the terminal
 * says yes. Without a terminal, virsh's own commands go on as they do in virsh, so that scripts
 * keep working, and commands that are CLI_CMD_OURS fail and name --yes.
 */
gboolean cli_confirm(CliCtl *ctl, GError **error, const char *format, ...) G_GNUC_PRINTF(3, 4);

/* --- sizes, files ---------------------------------------------------------------------------- */

/** "251.97 GiB" in the locale's digits, or plain bytes with --bytes. */
char *cli_size_text(const CliCtl *ctl, uint64_t bytes);
/** A time in seconds since 1970, in the local zone and with it: "2026-11-21 03:44:39+0100". */
char *cli_time_text(int64_t seconds);
/** Reads a definition; the error is worded as virsh's. */
gboolean cli_read_xml(const char *path, char **ret_xml, GError **error);

/* --- long work ------------------------------------------------------------------------------- */

typedef gboolean (*CliTaskFunc)(CstTask *task, gpointer data, GError **error);

/**
 * Runs @func in a thread while this one draws its progress on stderr: a bar on a terminal, a line
 * every ten seconds elsewhere, one JSON object a second with --json. The first SIGINT or SIGTERM
 * cancels the task, a second ends the program. Returns what @func returned.
 *
 * --rate-limit and --detach of the command are seen to here; a command that is detached ends as if
 * it had failed, and run.c says which job goes on.
 */
gboolean cli_run_task(CliCtl *ctl, const char *label, CliTaskFunc func, gpointer data,
                      GError **error);
