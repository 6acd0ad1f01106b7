/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>
#include <stdint.h>
#include <string.h>
#include <sys/types.h>

#include <base/task.h>

/**
 * The request that a thread works on, for the log. All messages of the thread have it in their
 * fields, so that a request can be followed from its client through workers, external tools and
 * jobs.
 *
 * Code that acts for a client fills in a context, pushes it before and pops it afterwards. Code
 * that hands work to another thread gives that thread a copy to push.
 */
#define CST_LOG_NAME_SIZE 256 /* longer names are cut; file names never are */

typedef struct CstLogContext CstLogContext;
struct CstLogContext {
    uint64_t connection; /**< number of the client's connection; 0: no client's request */
    uint32_t serial; /**< serial of the call; connection and serial are the request's id: "12.7" */
    pid_t pid;       /**< pid of the client */
    uid_t uid;       /**< uid of the client */
    const char *procedure;        /**< static; NULL: unknown */
    CstTask *task;                /**< the source of the job's number; NULL: no task */
    gboolean in_job;              /**< the work of a job has begun; @volume is that of the job */
    CstLogContext *outer;         /**< while pushed: the thread's previous context */
    char pool[CST_LOG_NAME_SIZE]; /**< pool and volume; "": not set */
    char volume[CST_LOG_NAME_SIZE];
};

/**
 * Empties @context. The names are terminated and not zeroed, because this runs for each call and
 * zeroing them would be most of its cost.
 */
static inline void cst_log_context_init(CstLogContext *context)
{
    memset(context, 0, G_STRUCT_OFFSET(CstLogContext, pool));
    context->pool[0] = context->volume[0] = '\0';
}

/** Makes @context this thread's context. It is borrowed until it is popped. */
void cst_log_push(CstLogContext *context);
/** Restores the context that was this thread's before @context. Pop in reverse order of pushing. */
void cst_log_pop(CstLogContext *context);

/** Returns this thread's context, or NULL. */
const CstLogContext *cst_log_context(void);
/**
 * Copies this thread's context for another thread, with its own reference on the task. The copy is
 * empty if this thread has no context. Free with cst_log_context_clear().
 */
void cst_log_context_copy(CstLogContext *ret_context);
/** Drops a copy's reference on the task. */
void cst_log_context_clear(CstLogContext *context);

/** Sets the pool of this thread's context; NULL: no pool. No effect without a context. */
void cst_log_set_pool(const char *pool);
/** Sets the volume, as cst_log_set_pool() sets the pool. */
void cst_log_set_volume(const char *volume);
/** Records in this thread's context that a job has begun. No effect without a context. */
void cst_log_set_in_job(void);
