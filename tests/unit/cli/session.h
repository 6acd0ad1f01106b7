/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <base/error_class.h>

#include "core/ctl.h"

/** The command line over the fake connection, with captured output. */
typedef struct {
    CliSettings settings; /**< for the next lines */
    char *out, *err;      /**< of the last line */
    CstExitStatus status;
} Session;

/** Runs one line as `cistern 'LINE'` would. *session keeps its result until the next line. */
void session_run(Session *session, const char *line);
void session_clear(Session *session);

/** Runs @line in the session *state, and asserts its exact output and exit status. */
void says(void **state, const char *line, CstExitStatus status, const char *out, const char *err);
/** Runs @line, which must succeed without output on stderr. Its output is borrowed. */
const char *output(void **state, const char *line);

/** cmocka setup and teardown: a reset fake connection and an empty session in *state. */
int session_setup(void **state);
int session_teardown(void **state);
