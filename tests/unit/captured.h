/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>
#include <stdio.h>
#include <unistd.h>

/** Returns the text that @run(@data) writes to stderr; the caller frees it. */
static inline char *captured(void (*run)(gconstpointer data), gconstpointer data)
{
    GString *text = g_string_new(NULL);
    int real = dup(STDERR_FILENO);
    FILE *file = tmpfile();
    int byte;

    g_assert(real >= 0 && file);
    fflush(stderr);
    g_assert(dup2(fileno(file), STDERR_FILENO) >= 0);
    run(data);
    fflush(stderr);
    g_assert(dup2(real, STDERR_FILENO) >= 0);
    close(real);
    rewind(file);
    while ((byte = fgetc(file)) != EOF)
        g_string_append_c(text, (char)byte);
    fclose(file);
    return g_string_free(text, FALSE);
}
