/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "store.h"

#include <base/error.h>

/* Calls that fail or wait because a test wants it so. One of each at a time. */

static GMutex faults_lock;
static GCond released;
static char *failing;   /* the callback to fail; NULL: none */
static guint countdown; /* calls until it does */
static char *hanging;   /* the callback to wait in; NULL: none */
static guint waiting;   /* calls that do */

static void let_go(void)
{
    g_clear_pointer(&failing, g_free);
    g_clear_pointer(&hanging, g_free);
    g_cond_broadcast(&released);
}

void cst_memory_fault(const char *callback, guint nth)
{
    g_mutex_lock(&faults_lock);
    g_free(failing);
    failing = g_strdup(callback);
    countdown = nth;
    g_mutex_unlock(&faults_lock);
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
    let_go();
    g_mutex_unlock(&faults_lock);
}

gboolean memory_enter(const char *callback, GError **error)
{
    gboolean fails;

    g_mutex_lock(&faults_lock);
    waiting++;
    while (g_strcmp0(hanging, callback) == 0)
        g_cond_wait(&released, &faults_lock);
    waiting--;
    fails = g_strcmp0(failing, callback) == 0 && --countdown == 0;
    if (fails)
        g_clear_pointer(&failing, g_free);
    g_mutex_unlock(&faults_lock);
    return !fails || cst_fail(error, CST_ERROR_IO, "%s was told to fail", callback);
}
