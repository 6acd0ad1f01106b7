/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "gluster_ground.h"

#include <string.h>

#include <fake_gluster.h>

/* The grounds of Gluster on a volume in a directory of this host (tests/gluster). */

static Ground fake, fake_raw;

const Ground *const grounds[] = {&fake, &fake_raw, NULL};

static char *set_up(const char *dir)
{
    fake_gluster_reset(dir, "gv0", 1);
    g_setenv("CST_TEST_GLUSTER", "fake gv0", TRUE);
    return gluster_ground.set_up(dir);
}

/* Before main() looks for its ground. */
__attribute__((constructor)) static void make_grounds(void)
{
    fake = gluster_ground;
    fake.name = "gluster-fake";
    fake.flags |= GROUND_INSIDE;
    fake.set_up = set_up;
    fake_raw = gluster_raw_ground;
    fake_raw.name = "gluster-fake-raw";
    fake_raw.flags |= GROUND_INSIDE;
    fake_raw.set_up = set_up;
}
