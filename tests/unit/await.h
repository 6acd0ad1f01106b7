/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* How a C test waits for a condition that no test point (points.h) shows. */

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include <glib.h>

#define AWAIT_LIMIT_S 120

/** Waits until @condition holds. Any thread. Aborts with its text after AWAIT_LIMIT_S seconds. */
#define AWAIT(condition) AWAIT_STATE(condition, "no state given")

/**
 * Like AWAIT(). The failure prints the state as well, in the form of printf(); its arguments are
 * evaluated then only.
 */
#define AWAIT_STATE(condition, ...)                                       \
    do {                                                                  \
        gint64 await_began = await_clock();                               \
                                                                          \
        while (!(condition)) {                                            \
            if (await_clock() - await_began > AWAIT_LIMIT_S)              \
                await_abort(__FILE__, __LINE__, #condition, __VA_ARGS__); \
            await_pause();                                                \
        }                                                                 \
    } while (0)

/* Returns seconds. The clock and the pause are not GLib's, because a test may replace them. */
static inline gint64 await_clock(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec;
}

/** The pause of a loop that AWAIT() cannot express. */
static inline void await_pause(void)
{
    const struct timespec pause = {.tv_nsec = 1000000};

    nanosleep(&pause, NULL); /* paced: a pause between two checks */
}

static inline gint64 await_file_ticks(void)
{
    struct timespec now;

    clock_gettime(CLOCK_REALTIME_COARSE, &now);
    return now.tv_sec * G_GINT64_CONSTANT(1000000000) + now.tv_nsec;
}

/** Waits until the kernel's coarse clock for file times has advanced. */
static inline void await_file_clock(void)
{
    gint64 before = await_file_ticks();

    while (await_file_ticks() == before)
        await_pause();
}

/* Unlike a failed assertion, this ends the program from each thread. */
static inline void await_abort(const char *file, int line, const char *condition,
                               const char *format, ...) G_GNUC_PRINTF(4, 5) G_GNUC_NORETURN;

static inline void await_abort(const char *file, int line, const char *condition,
                               const char *format, ...)
{
    va_list args;

    fprintf(stderr, "%s:%d: not so after %d s: %s; ", file, line, AWAIT_LIMIT_S, condition);
    va_start(args, format);
    vfprintf(stderr, format, args);
    va_end(args);
    fputc('\n', stderr);
    abort();
}
