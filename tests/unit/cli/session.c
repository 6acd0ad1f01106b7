/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "session.h"

#include <stdlib.h>

#include "fake_conn.h"
#include "run.h"

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
    cli_ctl_init(&ctl, &session->settings);
    ctl.out = open_memstream(&session->out, &out_len);
    ctl.err = open_memstream(&session->err, &err_len);
    session->status = cli_run_string(&ctl, line);
    fclose(ctl.out);
    fclose(ctl.err);
    cli_ctl_clear(&ctl);
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
    fake_world_clear();
    return 0;
}
