/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "works.h"

#include <blob/ceph.h>

#include "await.h"
#include "fake_ceph.h"

/* Linked with --wrap: counts works that are made and cleared, and calls that enter and leave the
 * library, so that a test sees a reference that was not given back. */

gpointer __real_cst_work_new(gsize size, gboolean (*run)(CstWork *work, GError **error),
                             void (*clear)(CstWork *work));
gpointer __wrap_cst_work_new(gsize size, gboolean (*run)(CstWork *work, GError **error),
                             void (*clear)(CstWork *work));

#define LIMIT_S 60

static GMutex lock;
static GHashTable *clears; /* of each work; NULL: it has none */
static GPtrArray *kept;    /* references; NULL: none are taken */

static void clear_counted(CstWork *work)
{
    void (*clear)(CstWork * work);

    g_mutex_lock(&lock);
    clear = (void (*)(CstWork *))g_hash_table_lookup(clears, work);
    g_hash_table_remove(clears, work);
    g_mutex_unlock(&lock);
    if (clear)
        clear(work);
}

gpointer __wrap_cst_work_new(gsize size, gboolean (*run)(CstWork *work, GError **error),
                             void (*clear)(CstWork *work))
{
    gpointer work = __real_cst_work_new(size, run, clear_counted);

    g_mutex_lock(&lock);
    if (!clears)
        clears = g_hash_table_new(NULL, NULL);
    g_hash_table_insert(clears, work, (gpointer)clear);
    if (kept)
        g_ptr_array_add(kept, cst_work_ref(work));
    g_mutex_unlock(&lock);
    return work;
}

void __real_cst_foreign_enter(void);
void __wrap_cst_foreign_enter(void);
void __real_cst_foreign_leave(void);
void __wrap_cst_foreign_leave(void);

static GCond left;
static gint entered;

static void count_entered(gint by)
{
    g_mutex_lock(&lock);
    entered += by;
    g_cond_broadcast(&left);
    g_mutex_unlock(&lock);
}

void __wrap_cst_foreign_enter(void)
{
    __real_cst_foreign_enter();
    count_entered(1);
}

void __wrap_cst_foreign_leave(void)
{
    __real_cst_foreign_leave();
    count_entered(-1);
}

gboolean ceph_has_left(void)
{
    gint64 end = g_get_monotonic_time() + LIMIT_S * G_TIME_SPAN_SECOND;
    gboolean done;

    g_mutex_lock(&lock);
    while (entered != 0 && g_cond_wait_until(&left, &lock, end))
        continue;
    done = entered == 0;
    g_mutex_unlock(&lock);
    return done;
}

void ceph_works_keep(gboolean keep)
{
    GPtrArray *before;

    g_mutex_lock(&lock);
    before = kept;
    kept = keep ? g_ptr_array_new_with_free_func((GDestroyNotify)cst_work_unref) : NULL;
    g_mutex_unlock(&lock);
    g_clear_pointer(&before, g_ptr_array_unref);
}

guint ceph_works(void)
{
    guint count;

    g_mutex_lock(&lock);
    count = clears ? g_hash_table_size(clears) : 0;
    g_mutex_unlock(&lock);
    return count;
}

void ceph_await_quiet(void)
{
    AWAIT_STATE(ceph_works() + fake_ceph_open_images() + fake_ceph_completions() == 0,
                "%u works, %u open images, %u completions", ceph_works(), fake_ceph_open_images(),
                fake_ceph_completions());
}
