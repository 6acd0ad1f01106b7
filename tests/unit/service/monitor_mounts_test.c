/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Changes of the kernel's table of mounts, and the checks of storage that follow them. */
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include <base/error.h>
#include <pool/memory.h>
#include <pool/registry.h>

#include "await.h"
#include "fixture.h"

#include "recovery/recovery.h"

/* --- storage below a mount -------------------------------------------------------------------- */

static struct {
    GMutex lock;
    GCond cond;
    gboolean hangs; /* the checks of the pool "slow" hang */
    guint waiting;  /* hanging checks */
    guint checked;  /* begun checks */
    gint mounts;    /* atomic: 1: the table of mounts has changed, and has not reported it */
} fake;

static CstBackend backend;

const CstBackend *cst_backend_for(CstPoolType type, GError **error)
{
    return &backend;
}

gboolean cst_backend_exists(CstPoolType type)
{
    return type == backend.type;
}

static gboolean fake_check(CstPoolState *state, gboolean *ret_active, GError **error)
{
    g_mutex_lock(&fake.lock);
    fake.checked++;
    fake.waiting++;
    while (fake.hangs && strcmp(state->def->name, "slow") == 0)
        g_cond_wait(&fake.cond, &fake.lock);
    fake.waiting--;
    g_mutex_unlock(&fake.lock);
    *ret_active = TRUE;
    return TRUE;
}

static void set_hangs(gboolean hangs)
{
    g_mutex_lock(&fake.lock);
    fake.hangs = hangs;
    g_cond_broadcast(&fake.cond);
    g_mutex_unlock(&fake.lock);
}

static guint counted(const guint *counter)
{
    guint result;

    g_mutex_lock(&fake.lock);
    result = *counter;
    g_mutex_unlock(&fake.lock);
    return result;
}

/* Only the monitor's thread waits for the table of mounts. */
static int report_mounts(struct pollfd *fds, nfds_t count, int result)
{
    if (count < 2 || fds[1].fd < 0 || fds[1].events != POLLPRI ||
        !g_atomic_int_compare_and_exchange(&fake.mounts, 1, 0))
        return result;
    fds[1].revents = POLLPRI;
    return MAX(result, 1);
}

int __wrap_poll(struct pollfd *fds, nfds_t count, int timeout);
int __real_poll(struct pollfd *fds, nfds_t count, int timeout);

int __wrap_poll(struct pollfd *fds, nfds_t count, int timeout)
{
    return report_mounts(fds, count, __real_poll(fds, count, timeout));
}

/* The C library's poll() with a check of the array's length. */
int __wrap___poll_chk(struct pollfd *fds, nfds_t count, int timeout, size_t length);
int __real___poll_chk(struct pollfd *fds, nfds_t count, int timeout, size_t length);

int __wrap___poll_chk(struct pollfd *fds, nfds_t count, int timeout, size_t length)
{
    return report_mounts(fds, count, __real___poll_chk(fds, count, timeout, length));
}

/* Changes the mounts, and waits until @checked checks have begun. */
static void change_mounts(CstPool *pool, guint checked)
{
    g_atomic_int_set(&fake.mounts, 1);
    /* The thread wakes, and polls the table of mounts. */
    recovery_pool_stopped(pool);
    AWAIT_STATE(counted(&fake.checked) >= checked, "%u checks instead of %u",
                counted(&fake.checked), checked);
}

static CstPool *start_pool(Fixture *f, const char *name)
{
    g_autofree char *xml =
        g_strdup_printf("<pool type='rbd'><name>%s</name><source>"
                        "<host name='localhost'/><name>%s</name></source></pool>",
                        name, name);
    g_autoptr(GError) error = NULL;
    CstPool *pool =
        cst_service_pool_create(f->service, xml, CST_POOL_CREATE_WITH_BUILD, NULL, &error);

    assert_no_error(error);
    return pool;
}

/* --- tests ------------------------------------------------------------------------------------ */

/* The check of the first change may have ended before the second mount. */
static void mount_during_a_check_is_checked_afterwards(void **state)
{
    Fixture *f = *state;
    g_autoptr(CstPool) slow = start_pool(f, "slow"), quick = start_pool(f, "quick");
    guint before = counted(&fake.checked);

    set_hangs(TRUE);
    change_mounts(quick, before + 2);
    change_mounts(quick, before + 3);
    assert_int_equal(counted(&fake.waiting), 1);
    set_hangs(FALSE);
    AWAIT_STATE(counted(&fake.checked) >= before + 4, "%u checks", counted(&fake.checked));
}

static int tear_down(void **state)
{
    set_hangs(FALSE);
    fixture_teardown(state);
    cst_memory_clear();
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(mount_during_a_check_is_checked_afterwards, fixture_setup,
                                        tear_down),
    };

    backend = cst_memory_backend;
    backend.check = fake_check;
    backend.on_mounts = TRUE;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
