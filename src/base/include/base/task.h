/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>
#include <stdint.h>

/**
 * Progress and cancellation of one piece of long work. Safe from any thread; NULL is accepted
 * everywhere and means "nobody watches, nobody cancels".
 */
typedef struct CstTask CstTask;

typedef struct {
    uint64_t done;  /**< bytes */
    uint64_t total; /**< bytes; 0 while unknown */
} CstProgress;

CstTask *cst_task_new(void);
CstTask *cst_task_ref(CstTask *task);
void cst_task_unref(CstTask *task);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(CstTask, cst_task_unref)

void cst_task_set_total(CstTask *task, uint64_t total);
void cst_task_add_total(CstTask *task, uint64_t more);
void cst_task_advance(CstTask *task, uint64_t bytes);
CstProgress cst_task_progress(CstTask *task);

/** Asks the work to stop at its next check. Async-signal-safe. */
void cst_task_cancel(CstTask *task);

/** FALSE with CST_ERROR_CANCELLED once cancelled; workers call it at least every few MiB. */
gboolean cst_task_check(CstTask *task, GError **error);
