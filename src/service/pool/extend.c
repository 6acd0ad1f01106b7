/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The automatic extension of spaces. Each active pool with the setting has a thread. The thread
 * reads the use of the pool's spaces from the kernel
 *
 * - after each event of device-mapper: the kernel reports a thin pool at its low-water mark, and
 *   each change of a map;
 * - after an interval that depends on the free space and on the rate of writing
 *   (cst_growth_interval()), because the kernel does not report other uses.
 *
 * The list of spaces is renewed every LIST_MS, from the last report in memory. The monitor
 * (recovery/watch.c) renews that report after each change of the group.
 *
 * A space whose use has reached the threshold is extended: metadata first, then data, then
 * snapshots. The decision uses a new report, because other programs extend spaces as well. A
 * failure is repeated after an interval that doubles up to RETRY_MAX_MS. The log of events gets one
 * event for each extension, and one event for the time in which a space of a pool cannot be
 * extended.
 *
 * The extender's lock guards the table of threads. A thread decides under this lock that it ends,
 * so that a new setting either finds its entry or starts a new thread. The other members of an
 * entry belong to its thread.
 */
#include <service/extend.h>

#include <poll.h>
#include <sys/eventfd.h>

#include <base/file.h>
#include <base/i18n.h>
#include <base/log.h>
#include <base/log_context.h>
#include <base/test_point.h>
#include <base/units.h>
#include <pool/device.h>

#include "core/event_log.h"
#include "core/events.h"
#include "core/pool.h"
#include "core/scan.h"
#include "core/service.h"

#define LIST_MS      10000
#define RETRY_MIN_MS 2000
#define RETRY_MAX_MS 60000
/* Repetition of a reading that has failed. */
#define UNREAD_MS 1000
/* Age of a list up to which it counts as one of this moment. */
#define FRESH_MS 1000
/* Minimal time between two readings, so that a burst of events causes one reading. */
#define BURST_MS 20

struct CstExtender {
    CstService *service; /* borrowed */
    guint subscription;
    GMutex lock;       /* guards the members below */
    GCond ended;       /* a thread has ended */
    GHashTable *pools; /* CstPool to PoolExtender (owned by its thread) */
    guint threads;     /* number of threads that have not ended */
    gboolean stop;
};

/** The thread of a pool. */
typedef struct {
    CstExtender *extender; /* borrowed */
    CstPool *pool;         /* referenced */
    CstPoolState *state;   /* referenced; NULL before the first list */
    CstFd wake;
    CstFd events;       /* of device-mapper; -1: not available, so only intervals are used */
    GPtrArray *spaces;  /* of Space, in the order of extension */
    gint64 list_due;    /* monotonic: next renewal of the list */
    gint64 fresh_until; /* monotonic: the list counts as one of this moment */
    gboolean announced; /* the log of events knows whether there is a problem */
} PoolExtender;

/** A space, from one list to the next. */
typedef struct {
    CstGrowth *growth;
    gint64 read_at;  /* monotonic; 0: not read */
    uint64_t rate;   /* bytes written in a second, at the last reading */
    gint64 retry_at; /* monotonic: no attempt to extend it before */
    gint64 retry_us; /* the interval before that attempt; 0: no failure */
    char *problem;   /* why it cannot be extended; NULL: no problem */
    gboolean is_listed;
} Space;

static void space_free(gpointer data)
{
    Space *space = data;

    cst_growth_free(space->growth);
    g_free(space->problem);
    g_free(space);
}

/* Returns the name of a space for a sentence. The caller frees it. */
static char *space_text(const CstGrowth *growth)
{
    switch (growth->kind) {
    case CST_GROWTH_METADATA:
        return g_strdup_printf(_("the metadata of thin pool '%s'"), growth->label);
    case CST_GROWTH_DATA: return g_strdup_printf(_("the data of thin pool '%s'"), growth->label);
    default: return g_strdup_printf(_("the room of snapshot '%s'"), growth->label);
    }
}

/* --- the list of spaces ----------------------------------------------------------------------- */

static Space *spaces_find(const GPtrArray *spaces, const CstGrowth *growth)
{
    for (guint i = 0; i < spaces->len; i++) {
        Space *space = g_ptr_array_index(spaces, i);

        if (space->growth->kind == growth->kind && g_str_equal(space->growth->name, growth->name))
            return space;
    }
    return NULL;
}

static int space_compare(gconstpointer a, gconstpointer b)
{
    return (int)(*(Space *const *)a)->growth->kind - (int)(*(Space *const *)b)->growth->kind;
}

/*
 * Merges a new list into the spaces, and consumes its elements. Only a list of this moment (@now)
 * knows by_system. Returns FALSE if such a list has to be read, because a space is new.
 */
static gboolean spaces_merge(GPtrArray *spaces, GPtrArray *growths, gboolean now)
{
    gboolean complete = TRUE;

    for (guint i = 0; i < spaces->len; i++)
        ((Space *)spaces->pdata[i])->is_listed = FALSE;
    for (guint i = 0; i < growths->len; i++) {
        CstGrowth *growth = g_ptr_array_index(growths, i);
        Space *space = spaces_find(spaces, growth);

        if (!space) {
            space = g_new0(Space, 1);
            g_ptr_array_add(spaces, space);
            complete = now;
        } else {
            growth->by_system = now ? growth->by_system : space->growth->by_system;
            cst_growth_free(space->growth);
        }
        space->growth = growth;
        space->is_listed = TRUE;
    }
    g_ptr_array_set_free_func(growths, NULL);
    for (guint i = spaces->len; i-- > 0;)
        if (!((Space *)spaces->pdata[i])->is_listed)
            g_ptr_array_remove_index(spaces, i);
    g_ptr_array_sort(spaces, space_compare);
    return complete;
}

/* Renews the list of spaces. A failure leaves it unchanged: the pool has that problem already. */
static gboolean extender_list(PoolExtender *self, gboolean now, GError **error)
{
    g_autoptr(GPtrArray) growths = cst_pool_state_growths(self->state, now, error);
    gint64 time = g_get_monotonic_time();

    self->list_due = time + LIST_MS * G_TIME_SPAN_MILLISECOND;
    self->fresh_until = growths && now ? time + FRESH_MS * G_TIME_SPAN_MILLISECOND : 0;
    if (!growths)
        return FALSE;
    return spaces_merge(self->spaces, growths, now) || extender_list(self, TRUE, error);
}

/* Returns the unused bytes of the group at the last list. */
static uint64_t extender_free_bytes(const PoolExtender *self)
{
    const CstGrowth *group = ((Space *)g_ptr_array_index(self->spaces, 0))->growth;

    return group->kind == CST_GROWTH_GROUP ? group->size - group->used : 0;
}

/* --- extension -------------------------------------------------------------------------------- */

static void extender_log_extended(const PoolExtender *self, const CstGrowth *growth, uint64_t size)
{
    g_autofree char *space = space_text(growth);
    g_autofree char *from = cst_units_text(growth->size), *to = cst_units_text(size);
    g_autofree char *message = g_strdup_printf(_("pool '%s': %s is extended from %s to %s"),
                                               self->pool->name, space, from, to);

    cst_log(CST_LOG_INFO, "%s", message);
    event_log_add(self->pool->service->events, CST_EVENT_POOL_EXTENDED, "pool", self->pool->name,
                  message);
}

/* Sets the problem of a space, and the time of the next attempt. Consumes @problem. */
static void space_set_problem(Space *space, char *problem)
{
    g_free(space->problem);
    space->problem = problem;
    space->retry_us = CLAMP(2 * space->retry_us, RETRY_MIN_MS * G_TIME_SPAN_MILLISECOND,
                            RETRY_MAX_MS * G_TIME_SPAN_MILLISECOND);
    space->retry_at = g_get_monotonic_time() + space->retry_us;
}

static void space_clear_problem(Space *space)
{
    g_clear_pointer(&space->problem, g_free);
    space->retry_us = space->retry_at = 0;
}

/* Returns why the verdict forbids an extension. The caller frees it. */
static char *verdict_text(const CstGrowth *growth, const CstAutoextend *setting,
                          CstGrowthVerdict verdict)
{
    g_autofree char *space = space_text(growth);
    g_autofree char *size = cst_units_text(growth->size),
                    *reserve = cst_units_text(setting->reserve);

    if (verdict == CST_GROWTH_AT_MAXIMUM)
        return g_strdup_printf(_("%s has reached its maximum with %s; delete volumes or raise the "
                                 "maximum"),
                               space, size);
    return g_strdup_printf(_("the group has no space for %s above the reserve of %s; add a device "
                             "(vgextend) or delete volumes"),
                           space, reserve);
}

/*
 * Extends a space that has reached the threshold. The list may be older, and another program may
 * have extended or removed the space since, so the list is renewed first.
 */
static void extender_extend(PoolExtender *self, const CstAutoextend *setting, const char *name,
                            CstGrowthKind kind)
{
    const CstGrowth wanted = {.kind = kind, .name = (char *)name};
    g_autoptr(GError) error = NULL;
    gboolean listed =
        self->fresh_until > g_get_monotonic_time() || extender_list(self, TRUE, &error);
    Space *space = spaces_find(self->spaces, &wanted);
    CstGrowthVerdict verdict = CST_GROWTH_DUE;
    uint64_t size = 0;

    if (!space)
        return;
    if (listed)
        verdict = cst_growth_plan(setting, space->growth, extender_free_bytes(self), &size);
    if (verdict == CST_GROWTH_NOT_DUE) {
        space_clear_problem(space);
        /*
         * Another program has extended it. If it is still full, a service of the system extends it,
         * or it cannot run full.
         */
        space->retry_at = g_get_monotonic_time() +
                          (cst_growth_is_full(setting, space->growth) ? RETRY_MAX_MS : UNREAD_MS) *
                              G_TIME_SPAN_MILLISECOND;
    } else if (verdict != CST_GROWTH_DUE) {
        space_set_problem(space, verdict_text(space->growth, setting, verdict));
    } else if (!listed || !cst_pool_state_grow(self->state, space->growth, size, &error)) {
        g_autofree char *text = space_text(space->growth);

        space_set_problem(space, g_strdup_printf(_("cannot extend %s: %s"), text, error->message));
    } else {
        extender_log_extended(self, space->growth, size);
        space_clear_problem(space);
        extender_list(self, FALSE, NULL);
        pool_usage_update(self->pool, self->state, NULL);
        event_emit_pool(self->pool, CST_EVENT_POOL_REFRESH, 0);
    }
}

/* --- the problem of a pool -------------------------------------------------------------------- */

/* Sets the problem that pool-autoextend shows. Only a full thin pool refuses new volumes. */
static void pool_set_growth_problem(CstPool *pool, const char *problem, gboolean refuses)
{
    g_mutex_lock(&pool->lock);
    g_free(pool->growth_problem);
    pool->growth_problem = g_strdup(problem);
    pool->growth_refuses = refuses;
    g_mutex_unlock(&pool->lock);
}

/*
 * Publishes the first problem of the spaces, and records its begin and its end as events. The log
 * of events ignores the end of a problem that it does not know.
 */
static void extender_publish(PoolExtender *self)
{
    EventLog *events = self->pool->service->events;
    const Space *first = NULL;
    g_autofree char *message = NULL;
    gboolean had_problem, refused, refuses;

    for (guint i = 0; !first && i < self->spaces->len; i++)
        if (((Space *)self->spaces->pdata[i])->problem)
            first = self->spaces->pdata[i];
    refuses = first && first->growth->kind != CST_GROWTH_SNAPSHOT;
    g_mutex_lock(&self->pool->lock);
    had_problem = self->pool->growth_problem != NULL;
    refused = self->pool->growth_refuses;
    g_mutex_unlock(&self->pool->lock);
    pool_set_growth_problem(self->pool, first ? first->problem : NULL, refuses);
    if (self->announced && had_problem == (first != NULL) && (refused || !refuses))
        return;
    self->announced = TRUE;
    if (first) {
        message = g_strdup_printf("pool '%s': %s", self->pool->name, first->problem);
        cst_log(CST_LOG_WARNING, "%s", message);
        /* A thin pool after a snapshot is worse: the log has a state once, so it ends first. */
        if (had_problem)
            event_log_add_end(events, CST_EVENT_POOL_EXTEND_FAILED, "pool", self->pool->name,
                              message);
        event_log_add(events, CST_EVENT_POOL_EXTEND_FAILED, "pool", self->pool->name, message);
    } else {
        message = g_strdup_printf(_("pool '%s': the spaces that reach the threshold are extended"),
                                  self->pool->name);
        event_log_add_end(events, CST_EVENT_POOL_EXTEND_FAILED, "pool", self->pool->name, message);
    }
}

/* --- the thread of a pool --------------------------------------------------------------------- */

/* Reads the use. Returns FALSE if the kernel does not report it at present. */
static gboolean space_read(PoolExtender *self, Space *space)
{
    uint64_t before = space->growth->used;
    gint64 since = space->read_at, now = g_get_monotonic_time();

    if (!cst_pool_state_growth_use(self->state, space->growth, NULL))
        return FALSE;
    space->read_at = now;
    if (since && now > since)
        space->rate = space->growth->used > before
                          ? (uint64_t)((double)(space->growth->used - before) * G_TIME_SPAN_SECOND /
                                       (double)(now - since))
                          : space->rate / 2;
    return TRUE;
}

/* Reads the use of all spaces and extends. Returns the monotonic time of the next reading. */
static gint64 extender_check(PoolExtender *self, const CstAutoextend *setting)
{
    gint64 due = self->list_due;

    for (guint i = 0; i < self->spaces->len; i++) {
        Space *space = g_ptr_array_index(self->spaces, i);
        gint64 next;

        if (space->growth->kind == CST_GROWTH_GROUP)
            continue;
        if (!space_read(self, space)) {
            due = MIN(due, g_get_monotonic_time() + UNREAD_MS * G_TIME_SPAN_MILLISECOND);
            self->list_due = due;
            continue;
        }
        if (!cst_growth_is_full(setting, space->growth))
            space_clear_problem(space);
        else if (space->retry_at <= g_get_monotonic_time()) {
            g_autofree char *name = g_strdup(space->growth->name);

            /* Renews the list. */
            extender_extend(self, setting, name, space->growth->kind);
            if (i >= self->spaces->len)
                break;
            space = g_ptr_array_index(self->spaces, i);
        }
        next = g_get_monotonic_time();
        /* An extension may leave the use above the threshold; the next step follows at once. */
        if (!cst_growth_is_full(setting, space->growth))
            next += cst_growth_interval(setting, space->growth, space->rate);
        due = MIN(due, MAX(next, space->retry_at));
    }
    return due;
}

/* Waits until @due, an event of device-mapper, or a wake. Further events of a burst are ignored. */
static void extender_wait(PoolExtender *self, gint64 due)
{
    struct pollfd fds[] = {{.fd = self->wake, .events = POLLIN},
                           {.fd = self->events, .events = POLLIN}};
    gint64 rest = due - g_get_monotonic_time();
    eventfd_t count;

    if (rest > 0)
        poll(fds, G_N_ELEMENTS(fds), (int)(rest / 1000 + 1));
    if (fds[1].revents)
        poll(fds, 1, BURST_MS);
    if (fds[0].revents == 0 || eventfd_read(self->wake, &count) < 0)
        return;
    /* The setting or the group may have changed, so that an extension is possible now. */
    self->list_due = 0;
    for (guint i = 0; i < self->spaces->len; i++)
        ((Space *)self->spaces->pdata[i])->retry_at = 0;
}

static void extender_free_thread(PoolExtender *self)
{
    cst_pool_state_unref(self->state);
    cst_pool_unref(self->pool);
    cst_fd_clear(&self->wake);
    cst_fd_clear(&self->events);
    g_ptr_array_unref(self->spaces);
    g_free(self);
}

/* Returns the setting, also of a definition for the next start. Threshold 0: no setting. */
static CstAutoextend pool_autoextend(CstPool *pool)
{
    CstAutoextend setting;

    g_mutex_lock(&pool->lock);
    setting = pool->new_def ? pool->new_def->autoextend : pool->def->autoextend;
    g_mutex_unlock(&pool->lock);
    return setting;
}

/*
 * Updates the state and the setting. Returns FALSE if the thread has to end; it is not in the table
 * any more then. *ret_stop: the extender ends, not the setting.
 */
static gboolean extender_continue(PoolExtender *self, CstAutoextend *ret_setting,
                                  gboolean *ret_stop)
{
    CstExtender *extender = self->extender;
    g_autoptr(CstPoolState) state = NULL;
    gboolean goes_on;

    g_mutex_lock(&extender->lock);
    /* Under the lock: a start of the pool after it finds that this thread has ended. */
    state = pool_state_get(self->pool, NULL);
    *ret_setting = pool_autoextend(self->pool);
    *ret_stop = extender->stop;
    goes_on = !extender->stop && state && ret_setting->threshold > 0;
    if (!goes_on)
        g_hash_table_remove(extender->pools, self->pool);
    g_mutex_unlock(&extender->lock);
    if (state != self->state) {
        g_ptr_array_set_size(self->spaces, 0);
        cst_pool_state_unref(self->state);
        self->state = g_steal_pointer(&state);
        self->list_due = 0;
    }
    return goes_on;
}

/* Ends the problem of a pool that is not extended any more. */
static void extender_end_problem(PoolExtender *self)
{
    g_autofree char *message =
        g_strdup_printf(_("pool '%s' is not extended automatically any more"), self->pool->name);

    pool_set_growth_problem(self->pool, NULL, FALSE);
    event_log_add_end(self->pool->service->events, CST_EVENT_POOL_EXTEND_FAILED, "pool",
                      self->pool->name, message);
}

static gpointer extender_main(gpointer data)
{
    PoolExtender *self = data;
    CstExtender *extender = self->extender;
    CstLogContext log = {0};
    CstAutoextend setting;
    gboolean stop;

    cst_log_push(&log);
    cst_log_set_pool(self->pool->name);
    while (extender_continue(self, &setting, &stop)) {
        gint64 due;

        /* A descriptor that is not armed would stay readable. */
        if (self->events >= 0 && !cst_dm_events_arm(self->events))
            cst_fd_clear(&self->events);
        if (self->list_due <= g_get_monotonic_time())
            extender_list(self, FALSE, NULL);
        due = extender_check(self, &setting);
        extender_publish(self);
        extender_wait(self, due);
    }
    if (!stop)
        extender_end_problem(self);
    cst_log_pop(&log);
    extender_free_thread(self);
    g_mutex_lock(&extender->lock);
    extender->threads--;
    g_cond_broadcast(&extender->ended);
    g_mutex_unlock(&extender->lock);
    return NULL;
}

/* --- the extender ----------------------------------------------------------------------------- */

/* Starts the thread of a pool. Requires the extender's lock. */
static void extender_start_pool(CstExtender *extender, CstPool *pool)
{
    PoolExtender *self = g_new0(PoolExtender, 1);
    g_autoptr(GError) error = NULL;
    GThread *thread;

    self->extender = extender;
    self->pool = cst_pool_ref(pool);
    self->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    self->events = cst_dm_events_open(NULL);
    self->spaces = g_ptr_array_new_with_free_func(space_free);
    if (self->wake < 0)
        cst_fail_errno(&error, errno, "eventfd");
    thread = error ? NULL : g_thread_try_new("extend", extender_main, self, &error);
    if (!thread) {
        cst_log(CST_LOG_ERROR, _("pool '%s' is not extended: %s"), pool->name, error->message);
        extender_free_thread(self);
        return;
    }
    g_thread_unref(thread);
    g_hash_table_insert(extender->pools, pool, self);
    extender->threads++;
}

/* Starts the thread of a pool with the setting, or has it read a changed setting. */
static void extender_consider(CstExtender *extender, CstPool *pool)
{
    g_autoptr(CstPoolState) state = pool_state_get(pool, NULL);
    const PoolExtender *self;

    g_mutex_lock(&extender->lock);
    self = g_hash_table_lookup(extender->pools, pool);
    if (self)
        eventfd_write(self->wake, 1);
    else if (!extender->stop && state && pool_autoextend(pool).threshold > 0 &&
             cst_pool_state_check_growths(state, NULL))
        extender_start_pool(extender, pool);
    g_mutex_unlock(&extender->lock);
}

static void extender_event(const CstEvent *event, gpointer data)
{
    CstExtender *extender = data;
    g_autoptr(CstPool) pool = NULL;

    if (event->type != CST_EVENT_POOL_LIFECYCLE && event->type != CST_EVENT_POOL_REFRESH)
        return;
    pool = cst_service_pool_by_uuid(extender->service, &event->uuid, NULL);
    if (pool)
        extender_consider(extender, pool);
}

CstExtender *cst_extender_start(CstService *service)
{
    CstExtender *extender = g_new0(CstExtender, 1);
    g_autoptr(GPtrArray) pools = NULL;

    extender->service = service;
    g_mutex_init(&extender->lock);
    g_cond_init(&extender->ended);
    extender->pools = g_hash_table_new(NULL, NULL);
    extender->subscription = cst_service_subscribe(service, extender_event, extender);
    pools = cst_service_pools(service, CST_LIST_POOLS_ACTIVE, NULL);
    for (guint i = 0; pools && i < pools->len; i++)
        extender_consider(extender, g_ptr_array_index(pools, i));
    return extender;
}

void cst_extender_stop(CstExtender *extender)
{
    GHashTableIter iter;
    gpointer self;

    if (!extender)
        return;
    cst_service_unsubscribe(extender->service, extender->subscription);
    g_mutex_lock(&extender->lock);
    extender->stop = TRUE;
    g_hash_table_iter_init(&iter, extender->pools);
    while (g_hash_table_iter_next(&iter, NULL, &self))
        eventfd_write(((const PoolExtender *)self)->wake, 1);
    while (extender->threads > 0) {
        CST_TEST_POINT("extend.stop.wait");
        g_cond_wait(&extender->ended, &extender->lock);
    }
    g_mutex_unlock(&extender->lock);
    g_hash_table_unref(extender->pools);
    g_mutex_clear(&extender->lock);
    g_cond_clear(&extender->ended);
    g_free(extender);
}

/* --- queries ---------------------------------------------------------------------------------- */

GPtrArray *cst_pool_growths(CstPool *pool, char **ret_problem, GError **error)
{
    g_autoptr(CstPoolState) state = pool_state_get(pool, NULL);

    g_mutex_lock(&pool->lock);
    *ret_problem = g_strdup(pool->growth_problem);
    g_mutex_unlock(&pool->lock);
    if (!state)
        return g_ptr_array_new();
    return cst_pool_state_growths(state, TRUE, error);
}
