/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Limits of a pool: an embedded and a remote provider give the same answers. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <string.h>

#include <conn/usage.h>
#include <model/pool_def.h>

#include "side.h"

static void note_promise(Side *side, const CstPoolRef *pool)
{
    CstPoolPromise promise = {0};

    outcome(side, "promise", cst_conn_pool_promise(side->conn, pool, &promise, &side->error));
    note(side, "promised %d, capacity %d, volumes %d of %u, factor %u, quota %d",
         (int)promise.promised, promise.capacity > 0, (int)promise.volumes, promise.limits.volumes,
         promise.limits.overcommit, (int)promise.limits.quota);
}

static void set_limits(Side *side, const CstPoolRef *pool)
{
    g_autofree char *xml = cst_conn_pool_xml(side->conn, pool, 0, &side->error);
    g_autoptr(CstPoolDef) def = cst_pool_def_parse(xml, 0, &side->error);
    g_autofree char *limited = NULL;
    g_autoptr(CstPoolRef) defined = NULL;

    def->limits = (CstPoolLimits){.overcommit = 1500, .volumes = 1, .quota = 1048576};
    limited = cst_pool_def_format(def, NULL);
    defined = cst_conn_pool_define(side->conn, limited, 0, &side->error);
    outcome(side, "limits", defined != NULL);
}

static void make_volume(Side *side, const CstPoolRef *pool, const char *name)
{
    g_autofree char *xml =
        g_strdup_printf("<volume><name>%s</name><capacity>1048576</capacity></volume>", name);
    g_autoptr(CstVolRef) vol = cst_conn_vol_create(side->conn, pool, xml, 0, NULL, &side->error);

    outcome(side, name, vol != NULL);
}

static void play_limits(Side *side)
{
    g_autoptr(CstPoolRef) pool = make_active_pool(side);
    CstPoolRef nobody = {.name = (char *)"nobody"};

    note_promise(side, pool);
    set_limits(side, pool);
    make_volume(side, pool, "v");
    note_promise(side, pool);
    make_volume(side, pool, "w");
    note_promise(side, &nobody);
    outcome(side, "stop", cst_conn_pool_stop(side->conn, pool, &side->error));
    note_promise(side, pool);
}

static void limits_are_the_same(void **state)
{
    const char *const must[] = {
        "promised 0, capacity 1, volumes 0 of 0, factor 0, quota 0",
        "promised 1048576, capacity 1, volumes 1 of 1, factor 1500, quota 1048576",
        "cannot add volume 'w': pool 'a' has 1 volumes, and its limit is 1",
        "promise: no-pool",
        "storage pool 'a' is not active",
        NULL};

    compare(play_limits, must);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(limits_are_the_same)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
