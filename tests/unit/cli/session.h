/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <base/error_class.h>

#include "core/ctl.h"

/** The command line over the fake world, with what it prints caught. */
typedef struct {
    CliSettings settings; /**< for the next lines */
    char *out, *err;      /**< of the last line */
    CstExitStatus status;
} Session;

/** Runs one line as `cistern 'LINE'` would; *session keeps what came of it until the next. */
void session_run(Session *session, const char *line);
void session_clear(Session *session);

/** Runs @line in the session *state: what it prints and how it ends must be exactly this. */
void says(void **state, const char *line, CstExitStatus status, const char *out, const char *err);
/** Runs @line, which must succeed without a word on stderr; what it printed is borrowed. */
const char *output(void **state, const char *line);

/** cmocka setup and teardown: a fresh fake world and an empty session in *state. */
int session_setup(void **state);
int session_teardown(void **state);
