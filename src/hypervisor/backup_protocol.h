/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "pause_protocol.h"

/**
 * The messages of a backup session (hypervisor/backup.h), each in one packet of a SOCK_SEQPACKET
 * socket:
 *
 *     caller -> keeper   BackupRequest, then BackupCommand, one byte each
 *     keeper -> caller   BackupAnswer to the request and to BACKUP_START. Then one with the reason
 *                        if the session ends by itself, and BACKUP_CLOSED at the end
 */

/**
 * argv[1] of the keeper. argv[2] is the mode, argv[3] are the limits. In the mode "repair" argv[4]
 * is the UUID of the domain, and argv[5] the number of repairs before.
 */
#define HYPERVISOR_BACKUP "--hypervisor-backup"
#define BACKUP_BEGIN      "begin"
#define BACKUP_REPAIR     "repair"

/** Descriptors that the keeper inherits. */
#define BACKUP_DIRECTORY_FD 3 /* of the entries and sockets */
#define BACKUP_SOCKET_FD    4 /* mode "begin": the caller's socket */
#define BACKUP_LOCK_FD      4 /* mode "repair": the lock of the entry */

/** Limits in milliseconds. */
typedef enum {
    BACKUP_LIMIT_CHECK, /* connection and checks, with the deadline of a question added */
    BACKUP_LIMIT_BEGIN, /* checks and virDomainBackupBegin() */
    BACKUP_LIMIT_LOOK,  /* a look at the domain during the session */
    BACKUP_LIMIT_CLOSE, /* the end of the job, and each repair */
    BACKUP_LIMIT_LATE,  /* CST_HYPERVISOR_LATE_S */
    BACKUP_LIMIT_TICK,  /* between two looks at the free space */
    BACKUP_LIMIT_RETRY, /* first pause between two repairs; each further one is twice as long */
    BACKUP_LIMIT_RETRY_MAX,
    BACKUP_LIMIT_RECONNECT, /* for which the session goes on without a connection to libvirt */
    BACKUP_LIMIT_END,       /* for which cst_hypervisor_backup_end() waits */
    BACKUP_LIMIT_LAST
} BackupLimit;

/** The limits of sessions that this process begins, and of repairs. Tests change them. */
extern unsigned hypervisor_backup_limits[BACKUP_LIMIT_LAST];

typedef enum {
    BACKUP_START, /* begin the job */
    BACKUP_END,   /* end the session */
} BackupCommand;

/** Why the changes of a disk since a checkpoint are not exported. */
typedef enum {
    BACKUP_LOSS_NONE,    /* the changes are exported, or were not requested */
    BACKUP_LOSS_MISSING, /* libvirt has no such checkpoint */
    BACKUP_LOSS_BROKEN,  /* QEMU has no valid bitmap of the disk since then */
    BACKUP_LOSS_UNKNOWN, /* libvirt failed to answer that */
    BACKUP_LOSS_REFUSED, /* the job did not begin with the changes */
    BACKUP_LOSS_LAST
} BackupLoss;

/** A checkpoint of an earlier backup. */
typedef struct {
    char *name; /* NULL: the changes of the disk are not requested */
    BackupLoss loss;
    gint64 created; /* real time in seconds; 0: not known */
} BackupBase;

typedef struct {
    PauseRequest domain; /* without a freeze */
    char *session;       /* backup_session_make() */
    char *directory, *scratch;
    uint64_t reserve;
    char *checkpoint;  /* name of the new checkpoint; NULL: without one */
    BackupBase *bases; /* of the volumes; only their names are sent */
} BackupRequest;

void backup_request_clear(BackupRequest *request);
GBytes *backup_request_encode(const BackupRequest *request);
/** Returns FALSE if the packet is malformed. *ret_request is cleared by the caller in any case. */
gboolean backup_request_decode(const void *data, size_t len, BackupRequest *ret_request);

/** Length of BackupExport.chain: of a SHA-256 in hexadecimal digits. */
#define BACKUP_CHAIN_LEN 64

/** The export of a disk. */
typedef struct {
    char *target;     /* of the disk */
    gboolean tracked; /* the new checkpoint has the disk */
    BackupLoss loss;  /* of its base */
    gint64 created;   /* as in BackupBase */
    char *chain;      /* identifies the backing files of the image; "": it has none */
} BackupExport;

void backup_export_free(gpointer export);

typedef struct {
    PauseOutcome outcome;
    char *message;      /* detail of the outcome, or NULL */
    char *name;         /* of the domain; NULL: not known */
    gboolean closed;    /* the session has ended, and its files are removed */
    uint64_t free;      /* PAUSE_NO_SPACE: bytes on the file system of the scratch files */
    char *refusal;      /* why the job did not begin with all checkpoints, or NULL */
    gint64 created;     /* time of the new checkpoint, as in BackupBase */
    GPtrArray *exports; /* of BackupExport *, in the order of the request; NULL: not known */
} BackupAnswer;

void backup_answer_clear(BackupAnswer *answer);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(BackupAnswer, backup_answer_clear)
GBytes *backup_answer_encode(const BackupAnswer *answer);
/** Returns FALSE if the packet is malformed: its type, a number or the length of a text. */
gboolean backup_answer_decode(const void *data, size_t len, BackupAnswer *ret_answer);
