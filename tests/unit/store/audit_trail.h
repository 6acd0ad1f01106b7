/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* An audit trail in the directory of a test. */

#include "scratch.h"

#include <store/audit.h>

#define NO_JOURNAL "/nonexistent/socket"
#define MEMBERS    "\"kind\":\"call\",\"procedure\":\"virDo\",\"result\":\"done\""

static inline char *trail_path(const Scratch *s, const char *name)
{
    return g_build_filename(s->paths->data_dir, "audit", name, NULL);
}

/* Not inline, because GCC 12 then takes the text for a variable of a scope that has ended. */
G_GNUC_UNUSED G_GNUC_NO_INLINE static char *trail_read(const Scratch *s, const char *name)
{
    g_autofree char *path = trail_path(s, name);
    char *text = NULL;

    assert_true(g_file_get_contents(path, &text, NULL, NULL));
    return text;
}

static inline void trail_write(const Scratch *s, const char *name, const char *text, gssize len)
{
    g_autofree char *path = trail_path(s, name);

    assert_true(g_file_set_contents(path, text, len, NULL));
}

/* Appends @count records by a process of its own, as it were. */
static inline void append(const Scratch *s, guint count)
{
    CstAudit *audit = cst_audit_new(s->paths, NO_JOURNAL);

    /* Small files, so that the killed writers rotate. */
    cst_audit_set_limit(audit, 1);
    for (guint i = 0; i < count; i++)
        cst_audit_append(audit, MEMBERS, NULL, 0);
    cst_audit_free(audit);
}

/* Verifies the trail. Returns the number of problems. */
static inline guint verify(const Scratch *s, const char *head, CstAuditState *ret_state)
{
    g_autoptr(GError) error = NULL;

    if (!cst_audit_verify(s->paths, head, NULL, ret_state, &error))
        fail_msg("%s", error->message);
    return ret_state->problems->len;
}

static inline void assert_sound(const Scratch *s, uint64_t records)
{
    g_auto(CstAuditState) state = {0};

    if (verify(s, NULL, &state) > 0)
        fail_msg("%s", (const char *)state.problems->pdata[0]);
    assert_int_equal(state.records, records);
}
