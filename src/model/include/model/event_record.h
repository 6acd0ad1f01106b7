/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>
#include <stdint.h>

#include <model/severity.h>

/** An event of the host's log of events: its kind, its object and the user who caused it. */

typedef enum {
    CST_EVENT_POOL_DEFINED,
    CST_EVENT_POOL_UNDEFINED,
    CST_EVENT_POOL_STARTED,
    CST_EVENT_POOL_STOPPED,
    CST_EVENT_POOL_BUILT,
    CST_EVENT_POOL_DELETED,
    CST_EVENT_POOL_INACCESSIBLE,
    CST_EVENT_POOL_DEGRADED,
    CST_EVENT_POOL_WARN,
    CST_EVENT_POOL_CRITICAL,
    CST_EVENT_POOL_EXTENDED,
    CST_EVENT_POOL_EXTEND_FAILED,
    CST_EVENT_CHAIN_DEEP,
    CST_EVENT_VOLUME_CREATED,
    CST_EVENT_VOLUME_DELETED,
    CST_EVENT_VOLUME_RESIZED,
    CST_EVENT_VOLUME_RENAMED,
    CST_EVENT_SNAPSHOT_CREATED,
    CST_EVENT_SNAPSHOT_DELETED,
    CST_EVENT_SNAPSHOT_RENAMED,
    CST_EVENT_VOLUME_REVERTED,
    CST_EVENT_SECRET_DUE,
    CST_EVENT_JOB_DONE,
    CST_EVENT_JOB_FAILED,
    CST_EVENT_JOB_CANCELLED,
    CST_EVENT_JOB_INTERRUPTED,
    CST_EVENT_RUN_DONE,
    CST_EVENT_RUN_PARTLY,
    CST_EVENT_RUN_SKIPPED,
    CST_EVENT_RUN_FAILED,
    CST_EVENT_RUN_INTERRUPTED,
    CST_EVENT_PROOF_FAILED,
    CST_EVENT_BACKUP_TOO_OLD,
    CST_EVENT_NOTIFY_FAILED,
    CST_EVENTS_LOST,
    CST_EVENT_KIND_LAST
} CstEventKind;

/** How long the state that an event reports lasts. */
typedef enum {
    CST_EVENT_MOMENT, /**< it has no duration */
    /** Until an event with over = TRUE. Each further event of the kind is recorded as well. */
    CST_EVENT_REPEATS,
    /** Until an event with over = TRUE. Further events of the kind are not recorded before it. */
    CST_EVENT_LASTS
} CstEventSpan;

typedef struct {
    const char *name; /**< stable, for example "job-failed" */
    CstSeverity severity;
    CstEventSpan span;
    const char *help; /**< one sentence; translate it with _() */
} CstEventKindInfo;

/** Returns the row of a kind. */
const CstEventKindInfo *cst_event_kind_info(CstEventKind kind);
/** Sets *@ret_kind to the kind of this name. Returns FALSE for an unknown name. */
gboolean cst_event_kind_parse(const char *name, CstEventKind *ret_kind);

/** The uid of an event without a user: the program itself has noticed it. */
#define CST_EVENT_NO_USER UINT32_MAX

typedef struct {
    int64_t id;   /**< counts up; never reused */
    int64_t time; /**< microseconds since 1970 */
    char *kind;   /**< a name of CstEventKindInfo, or one of a newer program */
    CstSeverity severity;
    gboolean over; /**< the state of this kind has ended for this object */
    char *type;    /**< of the object: "pool", "volume", "schedule", "secret", "rule", "host" */
    char *object;  /**< its name: a pool's name, POOL/VOLUME, a UUID; "" for the host */
    uint32_t uid;  /**< of the user, or CST_EVENT_NO_USER */
    char *message; /**< one sentence about the event, not escaped */
} CstEventRecord;

/** NULL is accepted. */
void cst_event_record_free(CstEventRecord *event);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(CstEventRecord, cst_event_record_free)
/** Returns a copy, which the caller frees. */
CstEventRecord *cst_event_record_copy(const CstEventRecord *event);

/** A selection of events. All given members must match. */
typedef struct {
    int64_t after;        /**< only events with a larger id; 0: all */
    int64_t since;        /**< microseconds since 1970; 0: all */
    const char *kind;     /**< NULL: all */
    const char *object;   /**< the name of an object; NULL: all */
    CstSeverity severity; /**< this severity and higher ones */
    guint max;            /**< maximum number; the oldest ones are returned */
} CstEventQuery;

/** The result of a test message of a notification rule. */
typedef struct {
    char *rule;
    char *target;  /**< for users, without secrets: "mail root" */
    char *problem; /**< NULL: the target has accepted the message */
} CstNotifyResult;

/** NULL is accepted. */
void cst_notify_result_free(CstNotifyResult *result);
