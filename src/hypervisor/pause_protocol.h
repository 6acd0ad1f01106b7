/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <sys/types.h>

#include <hypervisor/hypervisor.h>

#include "qmp_protocol.h"

/**
 * The messages of a pause (hypervisor/pause.h), each in one packet of a SOCK_SEQPACKET socket:
 *
 *     caller -> watchdog   PauseRequest, then PauseCommand, one byte each
 *     watchdog -> worker   PauseStep, one byte each; the worker has a copy of the request
 *     worker -> watchdog   PauseAnswer to each step
 *     watchdog -> caller   PauseAnswer to the request and to each command
 *
 * Requests and answers are one GVariant in the byte order of the host.
 */

/**
 * argv[1] of the watchdog. argv[2] is the mode, argv[3] are the limits (pause_limits_format()). In
 * the mode "repair" argv[4] is the UUID of the domain.
 */
#define HYPERVISOR_PAUSE "--hypervisor-pause"
#define PAUSE_BEGIN      "begin"
#define PAUSE_REPAIR     "repair"

/** Descriptors that the watchdog inherits. */
#define PAUSE_DIRECTORY_FD 3 /* of the entries */
#define PAUSE_SOCKET_FD    4 /* mode "begin": the caller's socket */
#define PAUSE_LOCK_FD      4 /* mode "repair", and each worker: the lock of the entry */

#define PAUSE_VOLUMES_MAX 1024
#define PAUSE_PACKET_MAX  65536 /* bytes */

/** Limits in milliseconds. */
typedef enum {
    PAUSE_LIMIT_CHECK,  /* the checks, with the deadline of a question added */
    PAUSE_LIMIT_ATTACH, /* loading of the libraries and connection, of a repair */
    PAUSE_LIMIT_CALL,   /* the suspension */
    PAUSE_LIMIT_RESUME, /* the resumption */
    PAUSE_LIMIT_EVENT,  /* until libvirt has reported the resumption */
    PAUSE_LIMIT_REPLY,  /* the agent's answer, given to libvirt in whole seconds */
    PAUSE_LIMIT_AGENT,  /* a step with the agent, for which libvirt may wait twice */
    PAUSE_LIMIT_THAW,   /* likewise */
    PAUSE_LIMIT_PAUSED, /* CST_HYPERVISOR_PAUSE_S */
    PAUSE_LIMIT_FROZEN, /* CST_HYPERVISOR_FREEZE_S */
    PAUSE_LIMIT_LATE,   /* CST_HYPERVISOR_LATE_S */
    PAUSE_LIMIT_RETRY,  /* first pause between two repairs; each further one is twice as long */
    PAUSE_LIMIT_RETRY_MAX,
    PAUSE_LIMIT_LAST
} PauseLimit;

/** The limits of pauses that this process begins, and of repairs. Tests change them. */
extern unsigned hypervisor_pause_limits[PAUSE_LIMIT_LAST];

/** Formats @limits for a command line. The caller frees the text. */
char *pause_limits_format(const unsigned limits[PAUSE_LIMIT_LAST]);
/** Parses the text of pause_limits_format(). Returns FALSE for other texts. */
gboolean pause_limits_parse(const char *text, unsigned ret_limits[PAUSE_LIMIT_LAST]);

/** A domain and the volumes that it must have. */
typedef struct {
    char *uri, *uuid;
    gboolean freeze;
    gboolean keep_running;        /* freeze only */
    CstHypervisorVolume *volumes; /* without names */
    guint n_volumes;
} PauseRequest;

void pause_request_clear(PauseRequest *request);
/** Type of pause_request_variant(). */
#define PAUSE_REQUEST "(ssbba(btt))"
/** Returns a floating variant. */
GVariant *pause_request_variant(const PauseRequest *request);
/** As pause_request_decode(). @variant is in normal form. */
gboolean pause_request_from_variant(GVariant *variant, PauseRequest *ret_request);
GBytes *pause_request_encode(const PauseRequest *request);
/** Returns FALSE if the packet is malformed. *ret_request is cleared by the caller in any case. */
gboolean pause_request_decode(const void *data, size_t len, PauseRequest *ret_request);

/** Of the caller. The events after PAUSE_END are never sent. */
typedef enum {
    PAUSE_SUSPEND,
    PAUSE_RESUME,
    PAUSE_END,
    PAUSE_CALLER_ENDED,
    PAUSE_WORKER_ENDED,
    PAUSE_TIME_OVER,
} PauseCommand;

/** Of the worker. */
typedef enum {
    PAUSE_STEP_CHECK,   /* connect, and check the request */
    PAUSE_STEP_ATTACH,  /* connect to the domain of a request that was checked before */
    PAUSE_STEP_PING,    /* does the agent answer? */
    PAUSE_STEP_FREEZE,  /* freeze the file systems */
    PAUSE_STEP_SUSPEND, /* suspend the domain if it runs */
    PAUSE_STEP_HOLDS,   /* does the domain stand since it was checked? */
    PAUSE_STEP_RESUME,  /* resume the domain if it stands */
    PAUSE_STEP_VERIFY,  /* was it resumed once only? */
    PAUSE_STEP_THAW,    /* thaw the file systems */
    PAUSE_STEP_QUIT,    /* end the worker; no answer */
    PAUSE_STEP_LAST
} PauseStep;

/** The limit of each step, after which the watchdog kills the worker. */
extern const PauseLimit pause_step_limits[PAUSE_STEP_LAST];

typedef enum {
    PAUSE_DONE,
    PAUSE_ENDED,         /* the domain does not run, or was started again */
    PAUSE_NO_DISK,       /* a volume is no disk of the domain */
    PAUSE_BELOW_TOP,     /* a volume is a backing file of a disk */
    PAUSE_SHAREABLE,     /* a disk is shareable */
    PAUSE_HAS_JOB,       /* the domain has a job */
    PAUSE_HAS_BLOCK_JOB, /* a disk has a block job */
    PAUSE_IO_ERROR,      /* an I/O error has stopped the domain */
    PAUSE_STOPPED,       /* another reason has stopped it, or it is ending */
    PAUSE_LOCKED,        /* paused by another Cistern */
    PAUSE_FROZEN,        /* frozen by another program */
    PAUSE_INTERRUPTED,   /* another program resumed the domain */
    PAUSE_UNVERIFIED,    /* libvirt has not reported that the domain was resumed */
    PAUSE_EXPIRED,       /* the limit of the pause has passed */
    PAUSE_TIMEOUT,       /* libvirt does not answer */
    PAUSE_LOST,          /* the connection to libvirt, or the worker, has ended */
    PAUSE_BACKED_UP,     /* by another Cistern */
    PAUSE_READ_ONLY,     /* a disk is read-only */
    PAUSE_BAD_TARGET,    /* the name of a disk cannot be that of a file */
    PAUSE_DENIED,        /* permission denied */
    PAUSE_NO_SPACE,      /* for the scratch files of a backup */
    PAUSE_ABORTED,       /* another program has ended the backup job */
    PAUSE_SAVED,         /* the domain has a managed save */
    PAUSE_TRANSIENT,     /* the domain has no persistent definition */
    PAUSE_FIXED,         /* a disk of a block job is read-only */
    PAUSE_TRANSLATED,    /* the disk is encrypted, or a slice of its image */
    PAUSE_OTHER_IMAGE,   /* the persistent definition of the domain names another image */
    PAUSE_NO_VOLUME,     /* libvirt does not know the copy by its pool and name */
    PAUSE_OWN_IMAGE,     /* the destination of a block job is an image of the domain */
    PAUSE_NO_LAYER,      /* the disk has no such layer below its top */
    PAUSE_CHANGED,       /* another Cistern has a block job of the domain */
    PAUSE_JOB_ENDED,     /* another program has ended the block job */
    PAUSE_JOB_FAILED,    /* the block job */
    PAUSE_NOT_READY,     /* the block job */
    PAUSE_CHECKED,       /* a dry run, which ends before the begin */
    PAUSE_REFUSED,       /* the agent has answered with an error */
    PAUSE_FAILED,        /* libvirt has reported another error */
    PAUSE_OUTCOME_LAST
} PauseOutcome;

/** The reason why a copy has not the consistency CST_CONSISTENCY_FILESYSTEM. */
typedef enum {
    PAUSE_GAP_NONE,
    PAUSE_GAP_NOT_REQUESTED, /* of a freeze */
    PAUSE_GAP_MONITOR,       /* it cannot freeze file systems */
    PAUSE_GAP_STOOD,         /* the domain was paused before */
    PAUSE_GAP_NO_AGENT,
    PAUSE_GAP_DISCONNECTED, /* the agent */
    PAUSE_GAP_PING,         /* the agent does not answer */
    PAUSE_GAP_FREEZE,       /* the freeze failed */
    PAUSE_GAP_EMPTY,        /* no file system was frozen */
    PAUSE_GAP_THAW,         /* the thaw failed */
    PAUSE_GAP_THAWED,       /* file systems were thawed before the end */
    PAUSE_GAP_EXPIRED,      /* the limit of the freeze has passed */
    PAUSE_GAP_LOST,         /* the worker has ended during the freeze */
    PAUSE_GAP_LAST
} PauseGap;

/** Each member is set by the steps that know it. */
typedef struct {
    PauseOutcome outcome;
    QmpOutcome monitor; /* the failure of a monitor that is the reason; QMP_DONE: another one */
    char *message;      /* detail of the outcome, or NULL */
    char *name;         /* of the domain; NULL: not known */
    gint32 id;          /* of the domain; -1: not known */
    CstDomainAgent agent;
    gboolean stood; /* an administrator had paused the domain before */
    PauseGap gap;
    char *gap_message;    /* detail of the gap, or NULL */
    guint frozen, thawed; /* file systems */
    uint64_t paused_us, frozen_us;
} PauseAnswer;

void pause_answer_clear(PauseAnswer *answer);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(PauseAnswer, pause_answer_clear)
/** Sets the outcome and a copy of @message, which may be NULL. No monitor is the reason. */
void pause_answer_set(PauseAnswer *answer, PauseOutcome outcome, const char *message);
/** Sets the gap and a copy of @message, which may be NULL. */
void pause_answer_set_gap(PauseAnswer *answer, PauseGap gap, const char *message);
/**
 * Sends @answer as one packet. Returns FALSE if the other side has ended, or does not receive.
 */
gboolean pause_answer_send(int fd, const PauseAnswer *answer);
/** Returns FALSE if the packet is malformed: its type, a number or the length of a text. */
gboolean pause_answer_decode(const void *data, size_t len, PauseAnswer *ret_answer);

/** Returns the packet as a variant in normal form, or NULL. */
GVariant *pause_packet_parse(const char *type, const void *data, size_t len);
/**
 * Receives a packet of at most PAUSE_PACKET_MAX bytes. Returns its length; 0: the other side has
 * ended, or the packet is too long.
 */
size_t pause_packet_receive(int fd, void *buffer);
/** Sends a packet of one byte. */
gboolean pause_byte_send(int fd, unsigned byte);
