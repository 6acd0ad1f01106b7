/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The health of iSCSI pools: lost portals, and whether the target answers. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <gio/gio.h>

#include <base/error.h>
#include <base/file.h>
#include <base/units.h>

#include "iscsi/iscsi.h"
#include "iscsi_site.h"
#include "points.h"

#define TWO_HOSTS ONE_HOST "<host name='127.0.0.2'/>"

/* --- portals ---------------------------------------------------------------------------------- */

static void assert_health(CstPoolState *pool, CstHealthLevel level, const char *state,
                          const char *notes)
{
    for (int details = 0; details < 2; details++) {
        g_auto(CstPoolHealth) health = {0};
        g_autoptr(GString) text = g_string_new(NULL);

        assert_true(cst_pool_state_health(pool, details, &health, NULL));
        for (guint i = 0; health.notes && i < health.notes->len; i++)
            g_string_append_printf(text, "%s;", (char *)g_ptr_array_index(health.notes, i));
        assert_int_equal(health.level, level);
        assert_string_equal(health.state, state);
        assert_string_equal(text->str, details ? notes : "");
    }
}

static void test_lost_portal_is_less_than_a_lost_target(void **state)
{
    g_autoptr(CstPoolState) pool = site_pool(TWO_HOSTS);

    site_start(pool);
    assert_health(pool, CST_HEALTH_GOOD, "logged in at 2 of 2 portals", "");
    site_set_state(2, "FAILED\n");
    assert_health(pool, CST_HEALTH_DEGRADED, "logged in at 1 of 2 portals",
                  "portal 127.0.0.2:3260: FAILED;");
    site_set_state(1, "FREE\n");
    assert_health(pool, CST_HEALTH_FAILED, "logged in at 0 of 2 portals",
                  "portal 127.0.0.1:3260: FREE;portal 127.0.0.2:3260: FAILED;");
    site_set_state(1, "LOGGED_IN\n");
    site_set_state(2, "LOGGED_IN\n");
    assert_health(pool, CST_HEALTH_GOOD, "logged in at 2 of 2 portals", "");
}

/* Neither portal was reachable when the pool started. Names are not resolved. */
static void test_unreachable_portals_degrade_the_health(void **state)
{
    g_autoptr(CstPoolState) pool = site_pool(ONE_HOST "<host name='no host of this name.'/>"
                                                      "<host name='fe80::1' port='99'/>");

    kernel_put("/offers", "127.0.0.1:3260,7 " IQN "\n");
    site_start(pool);
    kernel_drop("/sys/class/iscsi_session/session2");
    assert_health(pool, CST_HEALTH_DEGRADED, "logged in at 1 of 3 portals",
                  "portal [fe80::1]:99: no session;");
    kernel_drop("/sys/class/iscsi_session/session1");
    assert_health(pool, CST_HEALTH_FAILED, "logged in at 0 of 3 portals",
                  "portal 127.0.0.1:3260: no session;portal [fe80::1]:99: no session;");
}

/* Returns a portal of 127.0.0.1 that accepts connections from now on. The caller frees it. */
static char *open_portal(GSocketListener *listener)
{
    guint16 port = g_socket_listener_add_any_inet_port(listener, NULL, NULL);

    assert_int_not_equal(port, 0);
    return g_strdup_printf("<host name='127.0.0.1' port='%u'/>", port);
}

static guint count_sessions(void)
{
    g_auto(GStrv) names = cst_kernel_list("/sys/class/iscsi_session");

    return g_strv_length(names);
}

/* The second portal refuses logins at the start, and the third one never answers. */
static void test_refresh_logs_in_at_a_portal_that_is_back(void **state)
{
    g_autoptr(GSocketListener) listener = g_socket_listener_new();
    g_autofree char *back = open_portal(listener);
    g_autofree char *hosts = g_strconcat(ONE_HOST, back, "<host name='127.0.0.1' port='1'/>", NULL);
    g_autoptr(CstPoolState) pool = site_pool(hosts);

    site_start(pool);
    assert_int_equal(count_sessions(), 3);
    kernel_drop("/sys/class/iscsi_session/session2");
    kernel_drop("/sys/class/iscsi_session/session3");
    g_free(site_calls());
    assert_true(cst_pool_state_rescan_bus(pool, NULL, NULL));
    assert_health(pool, CST_HEALTH_DEGRADED, "logged in at 2 of 3 portals",
                  "portal 127.0.0.1:1: no session;");
    /* A pool that was stopped in between is not changed. */
    site_stop(pool);
    assert_true(cst_pool_state_rescan_bus(pool, NULL, NULL));
    assert_nothing_left();
}

/* More sessions than hosts in the definition: another program has logged in at both portals. */
static void test_session_more_than_asked_for(void **state)
{
    g_autoptr(CstPoolState) two = site_pool(TWO_HOSTS);
    g_autoptr(CstPoolState) one = site_pool(ONE_HOST);

    site_start(two);
    assert_health(one, CST_HEALTH_GOOD, "logged in at 2 of 2 portals", "");
    kernel_drop("/sys/class/iscsi_connection/connection2:0");
    site_set_state(2, "FAILED\n");
    assert_health(one, CST_HEALTH_DEGRADED, "logged in at 1 of 2 portals", "portal ?:0: FAILED;");
}

/* --- the probe -------------------------------------------------------------------------------- */

static _Thread_local gboolean is_probe; /* set in the probe of the test, not in the prober of the
                                           pool itself */
static GMutex lock;
static GCond changed;
static guint looks, answers, reads; /* of the probe; guarded by the lock */

static void note(guint *counter)
{
    g_mutex_lock(&lock);
    (*counter)++;
    g_cond_broadcast(&changed);
    g_mutex_unlock(&lock);
}

static void note_look(gpointer unused)
{
    if (is_probe)
        note(&looks);
}

static void note_read(gpointer unused)
{
    if (is_probe)
        note(&reads);
}

static gpointer touch(gpointer pool)
{
    is_probe = TRUE;
    assert_true(cst_iscsi_backend.touch(((CstPoolState *)pool)->def, NULL));
    note(&answers);
    is_probe = FALSE;
    return NULL;
}

static void await_looks(guint wanted)
{
    gint64 end = g_get_monotonic_time() + POINT_LIMIT_S * G_TIME_SPAN_SECOND;

    g_mutex_lock(&lock);
    while (looks < wanted && answers == 0)
        if (!g_cond_wait_until(&changed, &lock, end))
            g_error("the probe has looked %u times instead of %u", looks, wanted);
    assert_int_equal(answers, 0);
    g_mutex_unlock(&lock);
}

/* Starts a probe, and waits until it has failed three times; @hangs: until its read hangs. */
static GThread *touch_in_vain(CstPoolState *pool, gboolean hangs)
{
    GThread *thread;

    looks = answers = reads = 0;
    if (hangs)
        point_run_always("iscsi.read.wait", note_look, NULL);
    else
        point_run_always("iscsi.touch.lost", note_look, NULL);
    thread = g_thread_new("touch", touch, pool);
    await_looks(3);
    return thread;
}

/* Waits for the end of the probe. */
static void await_touch(GThread *thread)
{
    g_thread_join(thread);
    points_clear();
}

/* A probe waits while no session works, and no longer. */
static void test_probe_waits_for_the_session(void **state)
{
    g_autoptr(CstPoolState) pool = site_pool(ONE_HOST);
    GThread *thread;

    site_start(pool);
    fake_lun("11:0:0:1", "sdb", 16, 8 * CST_MIB, "naa.1");
    touch(pool);
    site_set_state(1, "FAILED\n");
    thread = touch_in_vain(pool, FALSE);
    site_set_state(1, "LOGGED_IN\n");
    await_touch(thread);
    site_set_state(1, "FAILED\n");
    thread = touch_in_vain(pool, FALSE);
    kernel_drop("/sys/class/iscsi_session/session1");
    await_touch(thread);
}

/* A login may be slow, and an abandoned one blocks no other call. */
static void test_probe_does_not_wait_for_a_login(void **state)
{
    g_autoptr(CstPoolState) pool = site_pool(TWO_HOSTS);
    GThread *thread;

    site_start(pool);
    fake_lun("11:0:0:1", "sdb", 16, 8 * CST_MIB, "naa.1");
    site_set_state(1, "FREE\n");
    site_set_state(2, "FREE\n");
    touch(pool);
    site_set_state(2, "FAILED\n");
    thread = touch_in_vain(pool, FALSE);
    site_set_state(2, "FREE\n");
    await_touch(thread);
}

/* The read keeps hanging in the lost session. The pool continues with the other session. */
static void test_probe_abandons_a_hanging_session(void **state)
{
    g_autoptr(CstPoolState) pool = site_pool(TWO_HOSTS);
    GThread *thread;

    site_start(pool);
    fake_lun("11:0:0:1", "sdb", 16, 8 * CST_MIB, "naa.1");
    fake_lun("12:0:0:1", "sdc", 32, 8 * CST_MIB, "naa.1");
    g_atomic_pointer_set(&kernel_hanging, "/dev/sdb");
    point_run_always("iscsi.read.begin", note_read, NULL);
    thread = touch_in_vain(pool, TRUE);
    /* Each hanging read has a thread. */
    assert_int_equal(reads, 1);
    site_set_state(1, "FAILED\n");
    await_touch(thread);
    g_atomic_pointer_set(&kernel_hanging, NULL);
}

/* The second session is not used, so it may be slow. */
static void test_probe_asks_the_session_that_is_used(void **state)
{
    g_autoptr(CstPoolState) pool = site_pool(TWO_HOSTS);

    site_start(pool);
    fake_lun("11:0:0:1", "sdb", 16, 8 * CST_MIB, "naa.1");
    fake_lun("12:0:0:1", "sdc", 32, 8 * CST_MIB, "naa.1");
    g_atomic_pointer_set(&kernel_hanging, "/dev/sdc");
    touch(pool);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, site_set_up, site_tear_down)
    const struct CMUnitTest tests[] = {
        TEST(test_lost_portal_is_less_than_a_lost_target),
        TEST(test_unreachable_portals_degrade_the_health),
        TEST(test_refresh_logs_in_at_a_portal_that_is_back),
        TEST(test_session_more_than_asked_for),
        TEST(test_probe_waits_for_the_session),
        TEST(test_probe_does_not_wait_for_a_login),
        TEST(test_probe_abandons_a_hanging_session),
        TEST(test_probe_asks_the_session_that_is_used),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
