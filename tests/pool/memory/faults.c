/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Makes callbacks fail or hang for tests; see pool/memory.h. One lock guards all data of this file;
 * it is released while a call hangs.
 */
#include "store.h"

#include <base/error.h>

static GMutex faults_lock;
static GCond released;
static GHashTable *failing; /* callback to calls until it fails; NULL: no faults */
static CstErrorCode failing_with;
static gboolean struck;
static char *hanging; /* the callback that hangs; NULL: no callback */
static guint waiting; /* calls in memory_enter() */

void cst_memory_fault(const char *callback, guint nth)
{
    cst_memory_fault_as(callback, nth, CST_ERROR_IO);
}

void cst_memory_fault_as(const char *callback, guint nth, CstErrorCode code)
{
    g_mutex_lock(&faults_lock);
    if (!failing)
        failing = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    g_hash_table_insert(failing, g_strdup(callback), GUINT_TO_POINTER(nth));
    failing_with = code;
    struck = FALSE;
    g_mutex_unlock(&faults_lock);
}

gboolean cst_memory_struck(void)
{
    gboolean result;

    g_mutex_lock(&faults_lock);
    result = struck;
    g_mutex_unlock(&faults_lock);
    return result;
}

void cst_memory_hang(const char *callback)
{
    g_mutex_lock(&faults_lock);
    g_free(hanging);
    hanging = g_strdup(callback);
    g_mutex_unlock(&faults_lock);
}

gboolean cst_memory_hangs(const char *callback)
{
    gboolean any;

    g_mutex_lock(&faults_lock);
    any = g_strcmp0(hanging, callback) == 0 && waiting > 0;
    g_mutex_unlock(&faults_lock);
    return any;
}

void cst_memory_release(void)
{
    g_mutex_lock(&faults_lock);
    g_clear_pointer(&failing, g_hash_table_unref);
    g_clear_pointer(&hanging, g_free);
    g_cond_broadcast(&released);
    g_mutex_unlock(&faults_lock);
}

/* Counts the call. Returns TRUE if this call must fail. The caller holds the lock. */
static gboolean fault_fires(const char *callback)
{
    guint left = failing ? GPOINTER_TO_UINT(g_hash_table_lookup(failing, callback)) : 0;

    if (left == 0)
        return FALSE;
    g_hash_table_insert(failing, g_strdup(callback), GUINT_TO_POINTER(left - 1));
    struck = struck || left == 1;
    return left == 1;
}

/* Hangs first, then fails, so that a test may make a released call fail. */
gboolean memory_enter(const char *callback, GError **error)
{
    CstErrorCode code;
    gboolean fails;

    g_mutex_lock(&faults_lock);
    waiting++;
    while (g_strcmp0(hanging, callback) == 0)
        g_cond_wait(&released, &faults_lock);
    waiting--;
    fails = fault_fires(callback);
    code = failing_with;
    g_mutex_unlock(&faults_lock);
    return !fails || cst_fail(error, code, "%s was told to fail", callback);
}
