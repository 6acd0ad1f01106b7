/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "unit.h"

#include "session.h"

#include <stdlib.h>

#include "fake_conn.h"
#include "fake_vol.h"
#include "groups.h"
#include "shell/run.h"

void session_clear(Session *session)
{
    /* Made by open_memstream(). */
    free(session->out);
    free(session->err);
    session->out = session->err = NULL;
}

void session_run(Session *session, const char *line)
{
    CliCtl ctl;
    size_t out_len;
    size_t err_len;

    session_clear(session);
    cli_ctl_init(&ctl, &session->settings, cli_groups());
    ctl.out = open_memstream(&session->out, &out_len);
    ctl.err = open_memstream(&session->err, &err_len);
    session->status = cli_run_string(&ctl, line);
    fclose(ctl.out);
    fclose(ctl.err);
    cli_ctl_clear(&ctl);
}

void says(void **state, const char *line, CstExitStatus status, const char *out, const char *err)
{
    Session *session = *state;

    session_run(session, line);
    assert_string_equal(session->out, out);
    assert_string_equal(session->err, err);
    assert_int_equal(session->status, status);
}

const char *output(void **state, const char *line)
{
    Session *session = *state;

    session_run(session, line);
    assert_string_equal(session->err, "");
    assert_int_equal(session->status, CST_EXIT_OK);
    return session->out;
}

int session_setup(void **state)
{
    fake_world_reset();
    *state = g_new0(Session, 1);
    return 0;
}

int session_teardown(void **state)
{
    session_clear(*state);
    g_free(*state);
    fake_vols_clear();
    fake_world_clear();
    return 0;
}
