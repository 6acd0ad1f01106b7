/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Each allocation whose size comes from the image (base/alloc.h) fails once. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <base/error.h>

#include "fault_case.h"
#include "no_memory.h"

static gboolean has_struck(gpointer data)
{
    return no_memory_struck();
}

/* Returns whether the allocation of the case was reached. */
static gboolean play_one(const Case *c, const Disk *ground, const View *old, const View *new)
{
    g_autoptr(GError) error = NULL;
    gboolean done, struck, before;
    Disk disk;

    disk_copy(ground, &disk);
    no_memory_arm(c->nth);
    done = run_operation(&disk, c->operation, has_struck, NULL, &before, &error);
    struck = no_memory_struck();
    no_memory_arm(0);
    if (!struck && !done)
        fail_case(c, "it failed without a fault");
    if (before && done)
        fail_case(c, "it was reported as done, but there was no memory");
    if (!done && !g_error_matches(error, CST_ERROR, CST_ERROR_NO_MEMORY))
        fail_case(c, error->message);
    judge(c, &disk, done, old, new);
    if (!done)
        assert_can_go_on(c, &disk, FALSE, old, new);
    disk_clear(&disk);
    return struck;
}

guint play_no_memory(Case *c, const Disk *ground, const View *old, const View *new)
{
    guint cases = 0;

    c->kind = "no memory";
    for (c->nth = 1; play_one(c, ground, old, new); cases++)
        c->nth += 1 + c->nth / 16;
    return cases;
}
