/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>

#include <base/child.h>
#include <base/error.h>
#include <base/task.h>

/**
 * Programs of the host that backends work with: LVM's, mount, mkfs and the like, run as
 * base/child.h does, and what they complain of.
 */

/** Words of a complaint and the class of error that they mean. */
typedef struct {
    const char *words; /**< a part of the message; NULL ends a list */
    CstErrorCode code;
} CstToolMeaning;

/** An exit status that is part of a tool's interface, and what it means. */
typedef struct {
    int status; /**< 0 ends a list */
    CstErrorCode code;
    const char *hint; /**< what to do, marked by N_(); NULL: the complaint says enough */
} CstToolStatus;

typedef struct {
    const char *const *argv;        /**< argv[0] is the tool's name */
    const char *package;            /**< of Debian's that has the tool, for a message */
    const CstToolMeaning *meanings; /**< the first one that fits counts; NULL: none is known */
    const CstToolStatus *statuses;  /**< these count before words; NULL: all mean the same */
    int accepted;                   /**< a status that is success as 0 is */
    unsigned timeout_s;             /**< 0: none */
    size_t output_limit;            /**< bytes of stdout; 0: as CstChild has it */
    const void *input;              /**< what it reads from its stdin; NULL: nothing */
    size_t input_len;
    const CstChildStream *stream; /**< takes stdout as it comes; NULL: it is kept */
    const char *search_path;      /**< where it finds programs of its own; NULL: our PATH */
} CstTool;

/**
 * Runs @tool. *ret_out (NULL: of no interest) is its stdout, which the caller frees; it is set
 * whenever the tool ran to its end, a failure's too. Only the exit status decides. UNSUPPORTED when
 * the tool is not installed; TIMEOUT, CANCELLED, LIMIT; else the class that its status or its
 * message means, FAILED when they mean none. @task may be NULL.
 */
gboolean cst_tool_run(const CstTool *tool, CstTask *task, char **ret_out, GError **error);

/** FALSE with INVALID when @host can't be a host's name, or would be an option of a tool. */
gboolean cst_host_check(const char *host, GError **error);
/** Whether a name that a tool has printed can stand in a document: a server may send anything. */
gboolean cst_tool_is_text(const char *name, gsize len);
/** Whether the tool called @name is on this host. */
gboolean cst_tool_exists(const char *name);
/** UNSUPPORTED, with what to install, where the tool called @name, of @package, is not. */
gboolean cst_tool_require(const char *name, const char *package, GError **error);
