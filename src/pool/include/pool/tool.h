/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>

#include <base/child.h>
#include <base/error.h>
#include <base/task.h>

/**
 * Runs programs of the host for the backends: LVM's tools, mount, mkfs and the like. Uses
 * base/child.h, and maps the error messages of the tools to error classes.
 */

/** A part of an error message and the error class that it means. */
typedef struct {
    const char *words; /**< a part of the message; NULL ends a list */
    CstErrorCode code;
} CstToolMeaning;

/** A documented exit status of a tool and its meaning. */
typedef struct {
    int status; /**< 0 ends a list */
    CstErrorCode code;
    const char *hint; /**< advice, marked by N_(); NULL: the message of the tool is sufficient */
} CstToolStatus;

typedef struct {
    const char *const *argv;        /**< argv[0] is the tool's name */
    const char *package;            /**< Debian package of the tool, for a message */
    const CstToolMeaning *meanings; /**< the first match is used; NULL: no messages are known */
    const CstToolStatus *statuses;  /**< matched before messages; NULL: the status has no meaning */
    int accepted;                   /**< a further status that means success */
    unsigned timeout_s;             /**< 0: no limit */
    size_t output_limit;            /**< limit of stdout in bytes; 0: default of CstChild */
    const void *input;              /**< data for stdin; NULL: empty */
    size_t input_len;
    const CstChildStream *stream; /**< receives stdout while the tool runs; NULL: it is buffered */
    const char *search_path;      /**< PATH of the tool; NULL: our PATH */
} CstTool;

/**
 * Runs @tool. *ret_out (may be NULL) is set to its stdout, which the caller frees, whenever the
 * tool ran to its end, also if it failed. Only the exit status decides about success. UNSUPPORTED
 * if the tool is not installed; TIMEOUT, CANCELLED, LIMIT. Otherwise fails with the class of its
 * status or message, or with FAILED if neither is known. @task may be NULL.
 */
gboolean cst_tool_run(const CstTool *tool, CstTask *task, char **ret_out, GError **error);

/** Fails with INVALID if @host is not a valid host name, or would be an option of a tool. */
gboolean cst_host_check(const char *host, GError **error);
/** Whether a name printed by a tool is valid text for a document. Servers are untrusted. */
gboolean cst_tool_is_text(const char *name, gsize len);
/** Whether the tool called @name is installed on this host. */
gboolean cst_tool_exists(const char *name);
/** Fails with UNSUPPORTED, naming @package, if the tool called @name is not installed. */
gboolean cst_tool_require(const char *name, const char *package, GError **error);
