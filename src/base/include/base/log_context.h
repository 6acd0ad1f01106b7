/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>
#include <stdint.h>
#include <string.h>
#include <sys/types.h>

#include <base/task.h>

/**
 * What a thread works on, for the log: everything that it logs has this in its fields, so that a
 * request can be followed from its client through workers, external tools and jobs.
 *
 * Whoever does something on behalf of others fills a context in, pushes it before and pops it
 * afterwards. Whoever hands work to another thread gives it a copy to push.
 */
#define CST_LOG_NAME_SIZE 256 /* longer names are cut; those of files never are */

typedef struct CstLogContext CstLogContext;
struct CstLogContext {
    uint64_t connection;   /**< number of the client's connection; 0: no client has asked for it */
    uint32_t serial;       /**< of the call on it; both are the request's id: "12.7" */
    pid_t pid;             /**< the client's */
    uid_t uid;             /**< the same */
    const char *procedure; /**< static; NULL: none */
    CstTask *task;         /**< has the number of the job; NULL: none */
    CstLogContext *outer;  /**< while pushed: what was this thread's before */
    char pool[CST_LOG_NAME_SIZE]; /**< "": none; so with the next one */
    char volume[CST_LOG_NAME_SIZE];
};

/**
 * Empties @context. It happens for each call, so names are ended and not overwritten: that would be
 * most of what a context costs.
 */
static inline void cst_log_context_init(CstLogContext *context)
{
    memset(context, 0, G_STRUCT_OFFSET(CstLogContext, pool));
    context->pool[0] = context->volume[0] = '\0';
}

/** Makes @context, which is borrowed until it is popped, the one of this thread. */
void cst_log_push(CstLogContext *context);
/** Ends that; contexts are popped in the reverse order. */
void cst_log_pop(CstLogContext *context);

/** This thread's; NULL: none. */
const CstLogContext *cst_log_context(void);
/** A copy of it for another thread, with a reference of its own on the task; zeroes for none. */
void cst_log_context_copy(CstLogContext *ret_context);
void cst_log_context_clear(CstLogContext *context);

/** Names the pool (NULL: none) that this thread's context, if there is one, is about from now on.
 */
void cst_log_set_pool(const char *pool);
/** The same for the volume. */
void cst_log_set_volume(const char *volume);
