/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>
#include <stdint.h>
#include <string.h>
#include <sys/types.h>

#include <base/task.h>

/**
 * What a thread works on, for the log: all its messages have this in their fields, so that a
 * request can be followed from its client through workers, external tools and jobs.
 *
 * Code that does something on behalf of others fills in a context, pushes it before and pops it
 * afterwards. Code that hands work to another thread gives it a copy to push.
 */
#define CST_LOG_NAME_SIZE 256 /* longer names are cut; those of files never are */

typedef struct CstLogContext CstLogContext;
struct CstLogContext {
    uint64_t connection;   /**< number of the client's connection; 0: not a client's request */
    uint32_t serial;       /**< of the call on it; both are the request's id: "12.7" */
    pid_t pid;             /**< the client's */
    uid_t uid;             /**< the same */
    const char *procedure; /**< static; NULL: none */
    CstTask *task;         /**< the job's number is taken from it; NULL: none */
    CstLogContext *outer;  /**< while pushed: the thread's context before */
    char pool[CST_LOG_NAME_SIZE]; /**< "": none; so with the next one */
    char volume[CST_LOG_NAME_SIZE];
};

/**
 * Empties @context. Names are terminated and not zeroed: this happens for each call, and zeroing
 * them would be most of its cost.
 */
static inline void cst_log_context_init(CstLogContext *context)
{
    memset(context, 0, G_STRUCT_OFFSET(CstLogContext, pool));
    context->pool[0] = context->volume[0] = '\0';
}

/** Makes @context, which is borrowed until it is popped, this thread's context. */
void cst_log_push(CstLogContext *context);
/** Restores the context that was this thread's before @context; the reverse order of pushing. */
void cst_log_pop(CstLogContext *context);

/** Returns this thread's context; NULL: none. */
const CstLogContext *cst_log_context(void);
/**
 * Copies this thread's context for another thread, with a reference of its own on the task; all
 * zero when there is none. Free with cst_log_context_clear().
 */
void cst_log_context_copy(CstLogContext *ret_context);
/** Drops a copy's reference on the task. */
void cst_log_context_clear(CstLogContext *context);

/**
 * Sets the pool (NULL: none) that this thread's context is about; does nothing without a context.
 */
void cst_log_set_pool(const char *pool);
/** Sets the volume, as cst_log_set_pool() sets the pool. */
void cst_log_set_volume(const char *volume);
