/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The kinds of events. A new kind needs a row here and one in docs/events.md. */
#include <model/event_record.h>

#include <base/i18n.h>

static const CstEventKindInfo kinds[CST_EVENT_KIND_LAST] = {
    [CST_EVENT_POOL_DEFINED] = {"pool-defined", CST_SEVERITY_NOTE, CST_EVENT_MOMENT,
                                N_("a pool was defined")},
    [CST_EVENT_POOL_UNDEFINED] = {"pool-undefined", CST_SEVERITY_NOTE, CST_EVENT_MOMENT,
                                  N_("a pool was undefined")},
    [CST_EVENT_POOL_STARTED] = {"pool-started", CST_SEVERITY_NOTE, CST_EVENT_MOMENT,
                                N_("a pool was started")},
    [CST_EVENT_POOL_STOPPED] = {"pool-stopped", CST_SEVERITY_NOTE, CST_EVENT_MOMENT,
                                N_("a pool was stopped")},
    [CST_EVENT_POOL_BUILT] = {"pool-built", CST_SEVERITY_NOTE, CST_EVENT_MOMENT,
                              N_("the storage of a pool was prepared")},
    [CST_EVENT_POOL_DELETED] = {"pool-deleted", CST_SEVERITY_NOTE, CST_EVENT_MOMENT,
                                N_("the storage of a pool was deleted")},
    [CST_EVENT_POOL_INACCESSIBLE] = {"pool-inaccessible", CST_SEVERITY_ERROR, CST_EVENT_LASTS,
                                     N_("the storage of an active pool does not answer")},
    [CST_EVENT_POOL_DEGRADED] = {"pool-degraded", CST_SEVERITY_WARNING, CST_EVENT_LASTS,
                                 N_("the storage of a pool reports a problem")},
    [CST_EVENT_POOL_WARN] = {"pool-warn", CST_SEVERITY_WARNING, CST_EVENT_LASTS,
                             N_("the use of a pool has reached its threshold \"warn\"")},
    [CST_EVENT_POOL_CRITICAL] = {"pool-critical", CST_SEVERITY_ERROR, CST_EVENT_LASTS,
                                 N_("the use of a pool has reached its threshold \"critical\"")},
    [CST_EVENT_POOL_EXTENDED] = {"pool-extended", CST_SEVERITY_NOTE, CST_EVENT_MOMENT,
                                 N_("a thin pool or a snapshot was extended automatically")},
    [CST_EVENT_POOL_EXTEND_FAILED] =
        {"pool-extend-failed", CST_SEVERITY_ERROR, CST_EVENT_LASTS,
         N_("a thin pool or a snapshot is nearly full and cannot be extended")},
    [CST_EVENT_CHAIN_DEEP] =
        {"chain-deep", CST_SEVERITY_WARNING, CST_EVENT_LASTS,
         N_("an operation has made a backing chain as deep as its pool's setting \"warn\"")},
    [CST_EVENT_VOLUME_CREATED] = {"volume-created", CST_SEVERITY_NOTE, CST_EVENT_MOMENT,
                                  N_("a volume was created")},
    [CST_EVENT_VOLUME_DELETED] = {"volume-deleted", CST_SEVERITY_NOTE, CST_EVENT_MOMENT,
                                  N_("a volume was deleted")},
    [CST_EVENT_VOLUME_RESIZED] = {"volume-resized", CST_SEVERITY_NOTE, CST_EVENT_MOMENT,
                                  N_("the capacity of a volume was changed")},
    [CST_EVENT_VOLUME_RENAMED] = {"volume-renamed", CST_SEVERITY_NOTE, CST_EVENT_MOMENT,
                                  N_("a volume was renamed or moved")},
    [CST_EVENT_SNAPSHOT_CREATED] = {"snapshot-created", CST_SEVERITY_NOTE, CST_EVENT_MOMENT,
                                    N_("a snapshot was created")},
    [CST_EVENT_SNAPSHOT_DELETED] = {"snapshot-deleted", CST_SEVERITY_NOTE, CST_EVENT_MOMENT,
                                    N_("a snapshot was deleted")},
    [CST_EVENT_SNAPSHOT_RENAMED] = {"snapshot-renamed", CST_SEVERITY_NOTE, CST_EVENT_MOMENT,
                                    N_("a snapshot was renamed")},
    [CST_EVENT_VOLUME_REVERTED] = {"volume-reverted", CST_SEVERITY_NOTE, CST_EVENT_MOMENT,
                                   N_("a volume was reverted to a snapshot")},
    [CST_EVENT_SECRET_DUE] = {"secret-due", CST_SEVERITY_WARNING, CST_EVENT_LASTS,
                              N_("the value of a secret is older than secret_max_age")},
    [CST_EVENT_JOB_DONE] = {"job-done", CST_SEVERITY_NOTE, CST_EVENT_MOMENT, N_("a job is done")},
    [CST_EVENT_JOB_FAILED] = {"job-failed", CST_SEVERITY_ERROR, CST_EVENT_MOMENT,
                              N_("a job has failed")},
    [CST_EVENT_JOB_CANCELLED] = {"job-cancelled", CST_SEVERITY_NOTE, CST_EVENT_MOMENT,
                                 N_("a job was cancelled")},
    [CST_EVENT_JOB_INTERRUPTED] = {"job-interrupted", CST_SEVERITY_WARNING, CST_EVENT_MOMENT,
                                   N_("the process of a job has ended before the job")},
    [CST_EVENT_RUN_DONE] = {"run-done", CST_SEVERITY_NOTE, CST_EVENT_MOMENT,
                            N_("a run of a schedule is done")},
    [CST_EVENT_RUN_PARTLY] = {"run-partly", CST_SEVERITY_WARNING, CST_EVENT_REPEATS,
                              N_("a run of a schedule is done for some volumes only")},
    [CST_EVENT_RUN_SKIPPED] = {"run-skipped", CST_SEVERITY_WARNING, CST_EVENT_REPEATS,
                               N_("a run of a schedule was skipped")},
    [CST_EVENT_RUN_FAILED] = {"run-failed", CST_SEVERITY_ERROR, CST_EVENT_REPEATS,
                              N_("a run of a schedule has failed")},
    [CST_EVENT_RUN_INTERRUPTED] = {"run-interrupted", CST_SEVERITY_WARNING, CST_EVENT_REPEATS,
                                   N_("the process of a run of a schedule was killed")},
    [CST_EVENT_PROOF_FAILED] = {"proof-failed", CST_SEVERITY_ERROR, CST_EVENT_REPEATS,
                                N_("a scheduled proof of backups has failed")},
    [CST_EVENT_BACKUP_TOO_OLD] =
        {"backup-too-old", CST_SEVERITY_WARNING, CST_EVENT_LASTS,
         N_("the newest backup of a schedule is older than two intervals")},
    [CST_EVENT_NOTIFY_FAILED] = {"notify-failed", CST_SEVERITY_WARNING, CST_EVENT_LASTS,
                                 N_("the target of a notification rule does not accept messages")},
    [CST_EVENTS_LOST] = {"events-lost", CST_SEVERITY_WARNING, CST_EVENT_MOMENT,
                         N_("events came faster than they could be written")},
};

const CstEventKindInfo *cst_event_kind_info(CstEventKind kind)
{
    return &kinds[kind];
}

gboolean cst_event_kind_parse(const char *name, CstEventKind *ret_kind)
{
    for (int i = 0; i < CST_EVENT_KIND_LAST; i++)
        if (g_str_equal(name, kinds[i].name)) {
            *ret_kind = (CstEventKind)i;
            return TRUE;
        }
    return FALSE;
}

void cst_event_record_free(CstEventRecord *event)
{
    if (!event)
        return;
    g_free(event->kind);
    g_free(event->type);
    g_free(event->object);
    g_free(event->message);
    g_free(event);
}

CstEventRecord *cst_event_record_copy(const CstEventRecord *event)
{
    CstEventRecord *copy = g_new(CstEventRecord, 1);

    *copy = *event;
    copy->kind = g_strdup(event->kind);
    copy->type = g_strdup(event->type);
    copy->object = g_strdup(event->object);
    copy->message = g_strdup(event->message);
    return copy;
}

void cst_notify_result_free(CstNotifyResult *result)
{
    if (!result)
        return;
    g_free(result->rule);
    g_free(result->target);
    g_free(result->problem);
    g_free(result);
}
