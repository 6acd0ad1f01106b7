/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <blob/blob.h>

/**
 * One connection to an export of an NBD server. A session is for one thread at a time.
 *
 * A session is lost after a timeout, after the end of the connection and after a malformed reply.
 * Its handle is closed in the call that finds this, because libnbd may keep the addresses of the
 * caller's buffer and of the reply's state until then.
 */
typedef struct NbdSession NbdSession;

/** The address of an export. The texts are borrowed and must outlive the session. */
typedef struct {
    const char *socket;      /**< path of a Unix socket */
    const char *export_name; /**< "": the default export */
    guint timeout_s;         /**< longest time without progress of a request */
    uid_t owner;             /**< may own the directory of the socket */
    const char *bitmap; /**< context of the block status: a dirty bitmap; NULL: the allocation */
} NbdAddress;

/** Properties of an export, as the server has sent them. */
typedef struct {
    uint64_t size;         /**< bytes, at most INT64_MAX */
    uint32_t minimum;      /**< offsets and lengths of requests are multiples; a power of two */
    uint32_t maximum;      /**< longest read in bytes; a multiple of @minimum */
    gboolean multi_conn;   /**< all connections see the same content */
    gboolean block_status; /**< has the context of the block status */
    pid_t server;          /**< process that listens at the socket; 0: not visible */
} NbdExportInfo;

/** Flag of an extent in the block status of a bitmap: the guest has changed it. */
#define NBD_EXTENT_DIRTY 1

/** The most extents that an answer has. */
#define NBD_EXTENTS_MAX 4096
/** The longest range of a block status request, bytes. */
#define NBD_STATUS_MAX (UINT64_C(1) << 30)

/** Connects and negotiates within @limit_s seconds. Errors like cst_blob_nbd_open(). */
NbdSession *nbd_session_open(const NbdAddress *address, guint limit_s, GError **error);
/** Negotiates over @fd, a connected socket, which the session consumes also on failure. */
NbdSession *nbd_session_negotiate(const NbdAddress *address, int fd, guint limit_s, GError **error);
/** Closes the connection without waiting for the server. NULL is accepted. */
void nbd_session_close(NbdSession *session);

/** Returns the export's properties, owned by the session. */
const NbdExportInfo *nbd_session_info(const NbdSession *session);
/** Whether the session is lost, so that each further request would fail. */
gboolean nbd_session_is_lost(const NbdSession *session);

/**
 * Reads @len bytes, which are inside the export. The content of @buf is undefined after a failure.
 */
gboolean nbd_session_read(NbdSession *session, void *buf, size_t len, uint64_t offset,
                          GError **error);
/**
 * Requests the block status of at most NBD_STATUS_MAX bytes from @offset, which is inside the
 * export and a multiple of the minimal block size. Appends at least one extent and at most
 * NBD_EXTENTS_MAX to the empty array @extents (CstExtent); they are contiguous from @offset, and
 * neighbours have different flags. The flags are those of an extent, or NBD_EXTENT_DIRTY if the
 * context is a bitmap.
 */
gboolean nbd_session_block_status(NbdSession *session, uint64_t offset, GArray *extents,
                                  GError **error);
