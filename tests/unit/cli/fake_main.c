/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "fake_conn.h"

/* main() is the program's own. Its connection is set up before it runs. */
__attribute__((constructor)) static void make_world(void)
{
    fake_world_reset();
}

__attribute__((destructor)) static void drop_world(void)
{
    fake_world_clear();
}
