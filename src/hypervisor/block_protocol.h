/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <hypervisor/job.h>

#include "pause_protocol.h"

/**
 * The messages of a block job (hypervisor/job.h), each in one packet of a SOCK_SEQPACKET socket:
 *
 *     caller -> keeper   BlockRequest, then BlockCommand
 *     keeper -> caller   BlockAnswer: BLOCK_BEGUN to the request. BLOCK_STATUS, BLOCK_RATE_SET and
 *                        BLOCK_SWITCHED to the commands. BLOCK_STATUS also when the job is ready or
 *                        done, and BLOCK_OVER when it has ended otherwise. BLOCK_CLOSED at the end
 */

/**
 * argv[1] of the keeper. argv[2] is the mode, argv[3] are the limits. In the modes "repair" and
 * "answer" argv[4] is the UUID of the domain, and argv[5] the number of repairs before.
 */
#define HYPERVISOR_BLOCK "--hypervisor-block-job"
#define BLOCK_BEGIN      "begin"
#define BLOCK_REPAIR     "repair"
#define BLOCK_ANSWER     "answer" /* a repair that reports the result of a pivot to the caller */

/** Descriptors that the keeper inherits. The mode "answer" has BACKUP_GUARD_CALLER_FD, too. */
#define BLOCK_DIRECTORY_FD 3 /* of the entries */
#define BLOCK_SOCKET_FD    4 /* mode "begin": the caller's socket */
#define BLOCK_LOCK_FD      4 /* other modes: the lock of the entry */

#define BLOCK_VOLUMES_MAX 3 /* of a request: that of the disk, the top, the base */

/** Limits in milliseconds. */
typedef enum {
    BLOCK_LIMIT_CHECK,  /* connection and checks, with the deadline of a question added */
    BLOCK_LIMIT_BEGIN,  /* the call that begins the job, and the check after it */
    BLOCK_LIMIT_LOOK,   /* a look at the job, and a change of its rate; libvirt waits 30 s */
    BLOCK_LIMIT_SWITCH, /* the call that pivots */
    BLOCK_LIMIT_TRUTH,  /* until a pivot without an answer has a result */
    BLOCK_LIMIT_LOST,   /* until libvirt can be connected to again */
    BLOCK_LIMIT_CLOSE,  /* the end of the job, and each repair */
    BLOCK_LIMIT_LATE,   /* CST_HYPERVISOR_LATE_S */
    BLOCK_LIMIT_TICK,   /* between two looks at the job */
    BLOCK_LIMIT_RETRY,  /* first pause between two repairs; each further one is twice as long */
    BLOCK_LIMIT_RETRY_MAX,
    BLOCK_LIMIT_END, /* for which cst_hypervisor_job_end() waits */
    BLOCK_LIMIT_LAST
} BlockLimit;

/** The limits of jobs that this process begins, and of repairs. Tests change them. */
extern unsigned hypervisor_block_limits[BLOCK_LIMIT_LAST];

/** The first byte of a command. */
typedef enum {
    BLOCK_ASK,    /* send the status */
    BLOCK_RATE,   /* change the rate; the number follows */
    BLOCK_SWITCH, /* pivot */
    BLOCK_END,    /* end the session */
    BLOCK_COMMAND_LAST
} BlockCommand;

/** Sends a command. @rate: of BLOCK_RATE. */
gboolean block_command_send(int fd, BlockCommand command, uint64_t rate);
/** Returns FALSE if the packet is malformed. */
gboolean block_command_decode(const void *data, size_t len, BlockCommand *ret_command,
                              uint64_t *ret_rate);

typedef struct {
    PauseRequest domain; /* its volumes: that of the disk, the top, the base */
    CstHypervisorJobKind kind;
    gboolean has_top, has_base;
    gboolean is_device, shallow, transient;
    gboolean dry_run;            /* only check; the answer has PAUSE_CHECKED */
    char *destination, *format;  /* "": none */
    char *pool, *pool_volume;    /* names of the destination, or of the base; "": not given */
    char *old_pool, *old_volume; /* likewise of the volume of the disk */
    uint64_t rate;
} BlockRequest;

void block_request_clear(BlockRequest *request);
/**
 * Sets the request to domain @uuid. Borrows all texts and @volumes, which has room for
 * BLOCK_VOLUMES_MAX.
 */
void block_request_set(const CstHypervisorJobRequest *request, const char *uuid,
                       CstHypervisorVolume *volumes, BlockRequest *ret_request);
GBytes *block_request_encode(const BlockRequest *request);
/** Returns FALSE if the packet is malformed. *ret_request is cleared by the caller in any case. */
gboolean block_request_decode(const void *data, size_t len, BlockRequest *ret_request);

typedef enum {
    BLOCK_BEGUN,
    BLOCK_STATUS,
    BLOCK_RATE_SET,
    BLOCK_SWITCHED,
    BLOCK_OVER,
    BLOCK_CLOSED,
    BLOCK_MESSAGE_LAST
} BlockMessage;

typedef enum {
    BLOCK_RUNS,
    BLOCK_READY, /* a pivot is possible */
    BLOCK_DONE,  /* without a pivot, or another program has pivoted */
    BLOCK_STATE_LAST
} BlockState;

typedef struct {
    BlockMessage type;
    PauseOutcome outcome; /* of the request or command; BLOCK_OVER: the reason */
    char *message;        /* detail of the outcome, or NULL */
    char *name;           /* of the domain; NULL: not known */
    char *target;         /* of the disk; NULL: not known */
    BlockState state;
    uint64_t done, total; /* bytes */
    CstHypervisorPivot pivot;
    gboolean live, persistent, persistent_unknown; /* as in CstHypervisorPivotResult */
    gboolean named;                                /* likewise */
    PauseOutcome naming;                           /* of the attempt, if @named is not set */
    char *naming_message;                          /* detail of @naming, or NULL */
} BlockAnswer;

void block_answer_clear(BlockAnswer *answer);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(BlockAnswer, block_answer_clear)
GBytes *block_answer_encode(const BlockAnswer *answer);
/** Returns FALSE if the packet is malformed: its type, a number or the length of a text. */
gboolean block_answer_decode(const void *data, size_t len, BlockAnswer *ret_answer);
