/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What ThreadSanitizer must report, and what it must not: one case per run, named by the argument.
 * races_test.py knows which is which. The planted faults show that a suite without reports means
 * something; the others show that the GLib in use lets ThreadSanitizer see what orders two
 * accesses.
 *
 * Invariant: the two threads of a case have both started before either touches the value. They meet
 * by relaxed atomics, which order nothing, so the verdict does not depend on who is first.
 */
#include <glib.h>

#include <signal.h>
#include <string.h>

#define ROUNDS 100

static int value; /* what the threads of a case share */
static int started;

static GMutex lock, other_lock;
static GRWLock rw_lock;
static GCond changed;
static GAsyncQueue *queue;
static GMainContext *context;

static void meet(void)
{
    __atomic_add_fetch(&started, 1, __ATOMIC_RELAXED);
    while (__atomic_load_n(&started, __ATOMIC_RELAXED) < 2)
        g_thread_yield();
}

static void on_two_threads(GThreadFunc first, GThreadFunc second)
{
    GThread *a = g_thread_new("first", first, NULL), *b = g_thread_new("second", second, NULL);

    g_thread_join(a);
    g_thread_join(b);
}

static void *add_unprotected(void *data)
{
    meet();
    for (int i = 0; i < ROUNDS; i++)
        value++;
    return data;
}

static void unprotected(void)
{
    on_two_threads(add_unprotected, add_unprotected);
}

/*
 * A daemon that is killed reports nothing at its end; what it has reported until then must count.
 */
static void unprotected_and_killed(void)
{
    unprotected();
    raise(SIGKILL);
}

static void *lock_both(void *data)
{
    g_mutex_lock(&lock);
    g_mutex_lock(&other_lock);
    g_mutex_unlock(&other_lock);
    g_mutex_unlock(&lock);
    return data;
}

static void *lock_both_reversed(void *data)
{
    g_mutex_lock(&other_lock);
    g_mutex_lock(&lock);
    g_mutex_unlock(&lock);
    g_mutex_unlock(&other_lock);
    return data;
}

/* One thread after the other: there is no deadlock this time. */
static void two_orders(void)
{
    g_thread_join(g_thread_new("one", lock_both, NULL));
    g_thread_join(g_thread_new("other", lock_both_reversed, NULL));
}

static void *add_locked(void *data)
{
    meet();
    for (int i = 0; i < ROUNDS; i++) {
        g_mutex_lock(&lock);
        value++;
        g_mutex_unlock(&lock);
    }
    return data;
}

static void mutex(void)
{
    on_two_threads(add_locked, add_locked);
}

static void *add_rw_locked(void *data)
{
    meet();
    for (int i = 0; i < ROUNDS; i++) {
        g_rw_lock_writer_lock(&rw_lock);
        value++;
        g_rw_lock_writer_unlock(&rw_lock);
    }
    return data;
}

static void *read_rw_locked(void *data)
{
    int seen = 0;

    meet();
    for (int i = 0; i < ROUNDS; i++) {
        g_rw_lock_reader_lock(&rw_lock);
        seen = MAX(seen, value);
        g_rw_lock_reader_unlock(&rw_lock);
    }
    return GINT_TO_POINTER(seen);
}

static void rwlock(void)
{
    on_two_threads(add_rw_locked, read_rw_locked);
}

static void *wait_until_set(void *data)
{
    meet();
    g_mutex_lock(&lock);
    while (value == 0)
        g_cond_wait_until(&changed, &lock, g_get_monotonic_time() + G_TIME_SPAN_SECOND);
    g_mutex_unlock(&lock);
    value++;
    return data;
}

static void *set_and_signal(void *data)
{
    meet();
    g_mutex_lock(&lock);
    value = 1;
    g_cond_signal(&changed);
    g_mutex_unlock(&lock);
    return data;
}

static void cond(void)
{
    on_two_threads(wait_until_set, set_and_signal);
}

static void *push(void *data)
{
    meet();
    for (int i = 0; i < ROUNDS; i++) {
        int *item = g_new(int, 1);

        *item = i;
        g_async_queue_push(queue, item);
    }
    return data;
}

static void *pop(void *data)
{
    meet();
    for (int i = 0; i < ROUNDS; i++) {
        int *item = g_async_queue_pop(queue);

        ++*item;
        g_free(item);
    }
    return data;
}

static void async_queue(void)
{
    queue = g_async_queue_new();
    on_two_threads(push, pop);
    g_async_queue_unref(queue);
}

static void add_item(void *item, void *data)
{
    g_mutex_lock(&lock);
    value += *(int *)item;
    g_mutex_unlock(&lock);
    g_free(item);
}

static void thread_pool(void)
{
    GThreadPool *pool = g_thread_pool_new(add_item, NULL, 2, FALSE, NULL);

    for (int i = 0; i < ROUNDS; i++) {
        int *item = g_new(int, 1);

        *item = i;
        g_thread_pool_push(pool, item, NULL);
    }
    g_thread_pool_free(pool, FALSE, TRUE);
    value++;
}

static GBytes *shared;

static void *use_and_release(void *data)
{
    meet();
    for (int i = 0; i < ROUNDS; i++) {
        GBytes *mine = g_bytes_ref(shared);

        g_assert_cmpuint(g_bytes_get_size(mine), ==, 6);
        g_bytes_unref(mine);
    }
    g_bytes_unref(shared);
    return data;
}

/* The last user frees it. */
static void reference_count(void)
{
    shared = g_bytes_new("shared", 6);
    g_bytes_ref(shared);
    on_two_threads(use_and_release, use_and_release);
}

static void *initialize_once(void *data)
{
    static gsize once;

    meet();
    if (g_once_init_enter(&once)) {
        value = 1;
        g_once_init_leave(&once, 1);
    }
    g_assert_cmpint(value, ==, 1);
    return data;
}

static void once_init(void)
{
    on_two_threads(initialize_once, initialize_once);
}

static gboolean end_loop(void *loop)
{
    value++;
    g_main_loop_quit(loop);
    return G_SOURCE_REMOVE;
}

static void *run_loop(void *loop)
{
    g_main_loop_run(loop);
    return NULL;
}

static void main_context(void)
{
    GMainLoop *loop;
    GThread *thread;
    GSource *source = g_idle_source_new();

    context = g_main_context_new();
    loop = g_main_loop_new(context, FALSE);
    thread = g_thread_new("loop", run_loop, loop);
    value = 1;
    g_source_set_callback(source, end_loop, loop, NULL);
    g_source_attach(source, context);
    g_thread_join(thread);
    value++;
    g_source_unref(source);
    g_main_loop_unref(loop);
    g_main_context_unref(context);
}

static const struct {
    const char *name;
    void (*run)(void);
} cases[] = {
    {"unprotected", unprotected},
    {"unprotected-and-killed", unprotected_and_killed},
    {"two-orders", two_orders},
    {"mutex", mutex},
    {"rwlock", rwlock},
    {"cond", cond},
    {"async-queue", async_queue},
    {"thread-pool", thread_pool},
    {"reference-count", reference_count},
    {"once", once_init},
    {"main-context", main_context},
};

int main(int argc, char **argv)
{
    for (gsize i = 0; argc == 2 && i < G_N_ELEMENTS(cases); i++)
        if (strcmp(argv[1], cases[i].name) == 0) {
            cases[i].run();
            return 0;
        }
    return 2;
}
