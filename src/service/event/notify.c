/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Sends messages about events by the notification rules.
 *
 * The log of events is the queue: the database has the position of each rule, so a message that was
 * not accepted is sent again after a restart, and the bound of the log bounds the queue. A message
 * may be sent twice if the process ends between the send and the record of it.
 *
 * Each rule has a thread, so that a target that does not answer delays no other one. The thread
 * wakes up after a write of events by this process, and looks every few seconds for those of other
 * processes.
 */
#include "notify.h"

#include <string.h>

#include <base/error.h>
#include <base/i18n.h>
#include <base/log.h>
#include <base/settings.h>
#include <base/test_point.h>
#include <store/events.h>

#include "core/service.h"

#define LOOK_S      5     /* between two looks for events of other processes */
#define GATHER_MS   500   /* events that come together are sent together */
#define BATCH_MAX   200   /* events of a look */
#define RETRY_MAX_S 600   /* between two attempts */
#define GIVE_UP_S   86400 /* age of an event that is not sent any more */

struct Notifier {
    CstService *service;
    const CstNotifyRules *rules;
    GPtrArray *senders; /* of Sender * */
    GMutex lock;        /* guards the members below */
    GCond changed;
    guint64 writes; /* of events, by this process */
    gboolean stop;
};

/* The state of a rule. Only its thread uses it, except @task. */
typedef struct {
    Notifier *notifier;
    const CstNotifyRule *rule;
    CstTask *task; /* is cancelled at the stop */
    GThread *thread;
    guint64 seen;      /* value of writes at the last look */
    guint failures;    /* attempts since the last message that was accepted */
    gint64 not_before; /* monotonic: time of the next message */
    gint64 gather;     /* monotonic: end of the wait for events that come together; 0: no events */
} Sender;

/* --- a message -------------------------------------------------------------------------------- */

static gint64 seconds_ago(uint64_t seconds)
{
    return g_get_real_time() - (gint64)seconds * G_USEC_PER_SEC;
}

/*
 * Adds the events that the rule has to send to @send, borrowed from @rows. *ret_old: the number of
 * events that it would have to send and that are too old.
 */
static gboolean sender_choose(const Sender *sender, CstEvents *events, const GPtrArray *rows,
                              GPtrArray *send, guint *ret_old, GError **error)
{
    const CstNotifyRule *rule = sender->rule;
    gint64 give_up = seconds_ago(GIVE_UP_S);
    g_autoptr(GHashTable) chosen = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);

    *ret_old = 0;
    for (guint i = 0; i < rows->len; i++) {
        CstEventRecord *event = rows->pdata[i];
        g_autofree char *key = g_strjoin("\n", event->kind, event->type, event->object, NULL);
        /* The message may have the begin of the state. Then it gets the end, but no repetition. */
        gboolean begun = g_hash_table_contains(chosen, key), wanted = event->over;

        if (!cst_notify_rule_selects(rule, event))
            continue;
        if (!begun && !cst_events_rule_wants(events, rule->name, event, seconds_ago(rule->repeat_s),
                                             &wanted, error))
            return FALSE;
        if (!wanted)
            continue;
        if (event->time < give_up) {
            (*ret_old)++;
            continue;
        }
        g_ptr_array_add(send, event);
        if (event->over)
            g_hash_table_remove(chosen, key);
        else
            g_hash_table_add(chosen, g_steal_pointer(&key));
    }
    return TRUE;
}

/* Records and logs the first failure of a message, and sets the time of the next attempt. */
static void sender_failed(Sender *sender, const GError *why)
{
    uint64_t wait_s = MIN(UINT64_C(1) << MIN(sender->failures, 16), RETRY_MAX_S);
    g_autofree char *message = NULL;

    sender->not_before = g_get_monotonic_time() + (gint64)wait_s * G_USEC_PER_SEC;
    if (sender->failures++ > 0)
        return;
    message = g_strdup_printf(_("rule '%s' cannot send: %s"), sender->rule->name, why->message);
    cst_log(CST_LOG_WARNING, "%s", message);
    event_log_add(sender->notifier->service->events, CST_EVENT_NOTIFY_FAILED, "rule",
                  sender->rule->name, message);
}

static void sender_succeeded(Sender *sender)
{
    g_autofree char *message = g_strdup_printf(_("rule '%s' sends again"), sender->rule->name);

    if (sender->failures > 0)
        event_log_add_end(sender->notifier->service->events, CST_EVENT_NOTIFY_FAILED, "rule",
                          sender->rule->name, message);
    sender->failures = 0;
    sender->not_before = g_get_monotonic_time() + (gint64)sender->rule->interval_s * G_USEC_PER_SEC;
}

/*
 * Sends the events since the last message. *ret_more: there may be further ones. FALSE with @error:
 * the database cannot be read, or the target does not accept the message.
 */
static gboolean sender_send(Sender *sender, CstEvents *events, gboolean *ret_more, GError **error)
{
    const CstNotifyRule *rule = sender->rule;
    CstEventQuery query = {.max = BATCH_MAX};
    g_autoptr(GPtrArray) rows = NULL, send = g_ptr_array_new();
    guint old;
    int64_t last;

    *ret_more = FALSE;
    if (!cst_events_rule_position(events, rule->name, &query.after, error))
        return FALSE;
    rows = cst_events_list(events, &query, error);
    if (!rows || rows->len == 0)
        return rows != NULL;
    if (!sender_choose(sender, events, rows, send, &old, error))
        return FALSE;
    last = ((const CstEventRecord *)rows->pdata[rows->len - 1])->id;
    if (send->len > 0) {
        if (!cst_notify_send(rule, send, sender->task, error))
            return FALSE;
        CST_TEST_POINT("notify.sent");
        sender_succeeded(sender);
    }
    if (old > 0)
        cst_log(CST_LOG_WARNING, _("rule '%s': %u events are too old to be sent"), rule->name, old);
    *ret_more = rows->len == BATCH_MAX;
    return cst_events_rule_handled(events, rule->name, last, send, seconds_ago(rule->repeat_s),
                                   error);
}

/* --- the thread ------------------------------------------------------------------------------- */

/* Returns until when the sender has to wait: for events, and for the time of its next message. */
static gint64 sender_wait_until(const Sender *sender, gint64 look)
{
    if (sender->notifier->writes == sender->seen)
        return look;
    return MAX(sender->not_before, sender->gather);
}

/* Waits until the rule may send a message and there may be events. FALSE: at the stop. */
static gboolean sender_wait(Sender *sender)
{
    Notifier *notifier = sender->notifier;
    gint64 look = MAX(g_get_monotonic_time() + LOOK_S * G_TIME_SPAN_SECOND, sender->not_before);
    gboolean go_on;

    g_mutex_lock(&notifier->lock);
    sender->gather = 0;
    while (!notifier->stop) {
        gint64 until;

        if (notifier->writes != sender->seen && !sender->gather)
            sender->gather = g_get_monotonic_time() + GATHER_MS * G_TIME_SPAN_MILLISECOND;
        until = sender_wait_until(sender, look);
        if (until <= g_get_monotonic_time())
            break;
        CST_TEST_POINT("notify.wait");
        g_cond_wait_until(&notifier->changed, &notifier->lock, until);
    }
    sender->seen = notifier->writes;
    go_on = !notifier->stop;
    g_mutex_unlock(&notifier->lock);
    return go_on;
}

/* Handles the events that the log has now. *ret_more: it may have further ones. */
static gboolean sender_handle(Sender *sender, gboolean *ret_more, GError **error)
{
    g_autoptr(CstEvents) events = cst_events_open(sender->notifier->service->paths, error);

    return events && sender_send(sender, events, ret_more, error);
}

static gpointer sender_main(gpointer data)
{
    Sender *sender = data;
    const CstPaths *paths = sender->notifier->service->paths;
    char *stamp = NULL;
    gboolean more = TRUE;

    do {
        g_autoptr(GError) error = NULL;
        char *now = cst_events_stamp(paths);

        /* Most looks find the database unchanged, and do not open it. */
        if (more || sender->failures > 0 || g_strcmp0(now, stamp) != 0) {
            if (!sender_handle(sender, &more, &error) &&
                !g_error_matches(error, CST_ERROR, CST_ERROR_CANCELLED))
                sender_failed(sender, error);
        }
        g_free(stamp);
        stamp = now;
    } while (sender_wait(sender));
    g_free(stamp);
    return NULL;
}

/* Implements EventLogWritten. */
static void notifier_wake(gpointer data)
{
    Notifier *notifier = data;

    g_mutex_lock(&notifier->lock);
    notifier->writes++;
    g_cond_broadcast(&notifier->changed);
    g_mutex_unlock(&notifier->lock);
}

static void sender_free(gpointer data)
{
    Sender *sender = data;

    if (sender->thread)
        g_thread_join(sender->thread);
    cst_task_unref(sender->task);
    g_free(sender);
}

Notifier *notifier_start(CstService *service)
{
    Notifier *notifier;

    if (!service->notify || service->notify->rules->len == 0)
        return NULL;
    notifier = g_new0(Notifier, 1);
    notifier->service = service;
    notifier->rules = service->notify;
    notifier->senders = g_ptr_array_new_with_free_func(sender_free);
    g_mutex_init(&notifier->lock);
    g_cond_init(&notifier->changed);
    event_log_set_written(service->events, notifier_wake, notifier);
    for (guint i = 0; i < notifier->rules->rules->len; i++) {
        Sender *sender = g_new0(Sender, 1);

        sender->notifier = notifier;
        sender->rule = notifier->rules->rules->pdata[i];
        sender->task = cst_task_new();
        g_ptr_array_add(notifier->senders, sender);
        sender->thread = g_thread_try_new("notify", sender_main, sender, NULL);
        if (!sender->thread)
            cst_log(CST_LOG_ERROR, _("rule '%s' sends no messages: cannot create a thread"),
                    sender->rule->name);
    }
    return notifier;
}

void notifier_stop(Notifier *notifier)
{
    if (!notifier)
        return;
    event_log_set_written(notifier->service->events, NULL, NULL);
    g_mutex_lock(&notifier->lock);
    notifier->stop = TRUE;
    g_cond_broadcast(&notifier->changed);
    g_mutex_unlock(&notifier->lock);
    for (guint i = 0; i < notifier->senders->len; i++)
        cst_task_cancel(((Sender *)notifier->senders->pdata[i])->task);
    g_ptr_array_unref(notifier->senders);
    g_mutex_clear(&notifier->lock);
    g_cond_clear(&notifier->changed);
    g_free(notifier);
}

/* --- test messages ---------------------------------------------------------------------------- */

void cst_service_set_notify(CstService *service, const CstNotifyRules *rules)
{
    service->notify = rules;
}

/* Implements CstSettingFunc; @data is a CstNotifyRules *. Other settings are cisternd's. */
static gboolean notify_setting_set(const char *group, const char *key, const char *value,
                                   unsigned line, gpointer data, GError **error)
{
    return !cst_notify_is_rule(group) || cst_notify_rules_set(data, group, key, value, error);
}

/* Reads the rules from cisternd's configuration. Returns NULL on failure. */
static CstNotifyRules *notify_rules_read(const CstPaths *paths, GError **error)
{
    g_autofree char *path = cst_paths_daemon_config(paths);
    g_autoptr(CstNotifyRules) rules = cst_notify_rules_new();

    if (!cst_settings_read_file(path, FALSE, notify_setting_set, rules, error))
        return NULL;
    if (cst_notify_rules_check(rules, error))
        return g_steal_pointer(&rules);
    g_prefix_error(error, "%s: ", path);
    return NULL;
}

/* Sends a test message. Returns NULL if the task was cancelled. */
static CstNotifyResult *rule_test(const CstNotifyRule *rule, CstTask *task, GError **error)
{
    CstEventRecord event = {.time = g_get_real_time(),
                            .kind = (char *)"test",
                            .severity = CST_SEVERITY_NOTE,
                            .type = (char *)"rule",
                            .object = rule->name,
                            .uid = CST_EVENT_NO_USER,
                            .message = (char *)_("this is a test message (notify-test)")};
    g_autoptr(GPtrArray) events = g_ptr_array_new();
    g_autoptr(GError) why = NULL;
    CstNotifyResult *result;

    g_ptr_array_add(events, &event);
    if (!cst_notify_send(rule, events, task, &why) &&
        g_error_matches(why, CST_ERROR, CST_ERROR_CANCELLED)) {
        g_propagate_error(error, g_steal_pointer(&why));
        return NULL;
    }
    result = g_new0(CstNotifyResult, 1);
    result->rule = g_strdup(rule->name);
    result->target = cst_notify_rule_target(rule);
    result->problem = why ? g_strdup(why->message) : NULL;
    return result;
}

GPtrArray *cst_service_notify_test(CstService *service, const char *name, CstTask *task,
                                   GError **error)
{
    g_autoptr(CstNotifyRules) read = NULL;
    g_autoptr(GPtrArray) results =
        g_ptr_array_new_with_free_func((GDestroyNotify)cst_notify_result_free);
    const CstNotifyRules *rules = service->notify;

    if (service->mode == CST_SERVICE_EMBEDDED) {
        rules = read = notify_rules_read(service->paths, error);
        if (!rules)
            return NULL;
    }
    for (guint i = 0; rules && i < rules->rules->len; i++) {
        const CstNotifyRule *rule = rules->rules->pdata[i];
        CstNotifyResult *result;

        if (name && strcmp(rule->name, name) != 0)
            continue;
        result = rule_test(rule, task, error);
        if (!result)
            return NULL;
        g_ptr_array_add(results, result);
    }
    if (results->len > 0)
        return g_steal_pointer(&results);
    if (name)
        cst_fail(error, CST_ERROR_NOT_FOUND, _("there is no notification rule '%s'"), name);
    else
        cst_fail(error, CST_ERROR_NOT_FOUND, "%s",
                 _("cisternd.conf has no notification rules ([notify NAME])"));
    return NULL;
}
