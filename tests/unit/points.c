/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The points of a test, by name. points_lock guards the table and every entry; it is released while
 * a test's function runs, so that the function may itself pass points.
 */
#include "points.h"

#include <stdio.h>
#include <stdlib.h>

#include <base/test_point.h>

typedef struct {
    char *name;
    guint passed;
    gboolean held; /* a thread that passes has to stop */
    void (*act)(gpointer data);
    gpointer data;
    gboolean always;
} Point;

static GMutex points_lock;
static GCond points_changed;
static GHashTable *points; /* name -> Point; NULL: no point is set */

static void point_free(gpointer data)
{
    Point *point = data;

    g_free(point->name);
    g_free(point);
}

static void pass_point(const char *name)
{
    void (*act)(gpointer data);
    gpointer data;
    Point *point;

    g_mutex_lock(&points_lock);
    point = points ? g_hash_table_lookup(points, name) : NULL;
    if (!point) {
        g_mutex_unlock(&points_lock);
        return;
    }
    point->passed++;
    g_cond_broadcast(&points_changed);
    while (point && point->held) {
        g_cond_wait(&points_changed, &points_lock);
        /* The test may have removed the point, or all points, meanwhile. */
        point = points ? g_hash_table_lookup(points, name) : NULL;
    }
    act = point ? point->act : NULL;
    data = point ? point->data : NULL;
    if (point && !point->always)
        point->act = NULL;
    g_mutex_unlock(&points_lock);
    if (act)
        act(data);
}

/* Returns the entry of @name, made anew. Called with the lock held. */
static Point *point_new(const char *name)
{
    Point *point = g_new0(Point, 1);

    if (!points)
        points = g_hash_table_new_full(g_str_hash, g_str_equal, NULL, point_free);
    point->name = g_strdup(name);
    g_hash_table_replace(points, point->name, point);
    cst_test_point_install(pass_point);
    return point;
}

/* Returns the entry of @name. Called with the lock held. */
static Point *point_get(const char *name)
{
    Point *point = points ? g_hash_table_lookup(points, name) : NULL;

    if (!point) {
        fprintf(stderr, "test point '%s' was not set\n", name);
        abort();
    }
    return point;
}

static void point_set(const char *name, void (*act)(gpointer data), gpointer data, gboolean always,
                      gboolean held)
{
    Point *point;

    g_mutex_lock(&points_lock);
    point = point_new(name);
    point->act = act;
    point->data = data;
    point->always = always;
    point->held = held;
    g_mutex_unlock(&points_lock);
}

void point_run(const char *name, void (*act)(gpointer data), gpointer data)
{
    point_set(name, act, data, FALSE, FALSE);
}

void point_run_always(const char *name, void (*act)(gpointer data), gpointer data)
{
    point_set(name, act, data, TRUE, FALSE);
}

void point_watch(const char *name)
{
    point_set(name, NULL, NULL, FALSE, FALSE);
}

void point_hold(const char *name)
{
    point_set(name, NULL, NULL, FALSE, TRUE);
}

void point_release(const char *name)
{
    g_mutex_lock(&points_lock);
    point_get(name)->held = FALSE;
    g_cond_broadcast(&points_changed);
    g_mutex_unlock(&points_lock);
}

static G_GNUC_NORETURN void abort_late(const char *name)
{
    GHashTableIter iter;
    Point *point;

    fprintf(stderr, "too few threads passed the test point '%s' within %d s; set points:\n", name,
            POINT_LIMIT_S);
    g_hash_table_iter_init(&iter, points);
    while (g_hash_table_iter_next(&iter, NULL, (gpointer *)&point))
        fprintf(stderr, "  %s: passed %u times%s\n", point->name, point->passed,
                point->held ? ", holds" : "");
    abort();
}

void point_await(const char *name, guint passes)
{
    gint64 end = g_get_monotonic_time() + POINT_LIMIT_S * G_TIME_SPAN_SECOND;

    g_mutex_lock(&points_lock);
    while (point_get(name)->passed < passes)
        if (!g_cond_wait_until(&points_changed, &points_lock, end))
            abort_late(name);
    g_mutex_unlock(&points_lock);
}

guint point_passed(const char *name)
{
    guint passed;

    g_mutex_lock(&points_lock);
    passed = point_get(name)->passed;
    g_mutex_unlock(&points_lock);
    return passed;
}

void points_clear(void)
{
    GHashTableIter iter;
    Point *point;

    cst_test_point_install(NULL);
    g_mutex_lock(&points_lock);
    if (points) {
        g_hash_table_iter_init(&iter, points);
        while (g_hash_table_iter_next(&iter, NULL, (gpointer *)&point))
            if (point->passed == 0) {
                fprintf(stderr, "the test point '%s' was never passed\n", point->name);
                abort();
            }
        g_clear_pointer(&points, g_hash_table_unref);
        g_cond_broadcast(&points_changed);
    }
    g_mutex_unlock(&points_lock);
}
