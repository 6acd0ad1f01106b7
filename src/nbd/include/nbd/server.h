/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <sys/types.h>

#include <base/task.h>
#include <blob/blob.h>

/**
 * A server of the NBD protocol (https://github.com/NetworkBlockDevice/nbd/blob/master/doc/proto.md)
 * for one blob. It supports fixed newstyle negotiation, structured replies, block status
 * ("base:allocation" and dirty bitmaps), trim, zeroes, forced unit access, and several connections
 * to the same blob.
 *
 * The cost of a client is bounded: connections in total and by host, bytes in flight per connection
 * and in total, the time to negotiate. A client that does not read its replies blocks only threads
 * of its own connection. A connection that does not negotiate takes no place of a client that does.
 */
/** The ranges written since some point in time: the context "qemu:dirty-bitmap:NAME". */
typedef struct {
    char *name;     /**< of the bitmap */
    GArray *ranges; /**< of CstRange: the dirty ranges, sorted, not adjacent or overlapping */
} CstNbdBitmap;

#define CST_NBD_BITMAPS_MAX 32

/** Frees @bitmap, a CstNbdBitmap. */
void cst_nbd_bitmap_free(gpointer bitmap);

typedef struct {
    const char *name;        /**< name of the export; clients may also use "" */
    const char *description; /**< NULL: not set */
    CstBlob *blob;
    gboolean writable;
    gboolean exclusive; /**< only this server changes the blob; keeps its block status */
    GPtrArray *bitmaps; /**< of CstNbdBitmap *, CST_NBD_BITMAPS_MAX at most; NULL: no bitmaps */
} CstNbdExport;

typedef struct CstNbdServer CstNbdServer;

/** Makes a server without a listener. Acquires references of blob and bitmaps, copies the texts. */
CstNbdServer *cst_nbd_server_new(const CstNbdExport *export, GError **error);
/** Closes the listeners and removes the Unix sockets that the server has made. NULL is accepted. */
void cst_nbd_server_free(CstNbdServer *server);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(CstNbdServer, cst_nbd_server_free)

/** Credentials to verify clients and to prove the server's identity. */
typedef struct CstNbdTls CstNbdTls;

/** Uses pre-shared keys. @path is a file of lines "NAME:KEY", as made by psktool. */
CstNbdTls *cst_nbd_tls_new_psk(const char *path, GError **error);
/**
 * Uses certificates of both sides. @dir contains ca-cert.pem, server-cert.pem, server-key.pem and
 * optionally ca-crl.pem. A client needs a certificate that the authority has signed.
 */
CstNbdTls *cst_nbd_tls_new_certificates(const char *dir, GError **error);
/** NULL is accepted. */
void cst_nbd_tls_free(CstNbdTls *tls);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(CstNbdTls, cst_nbd_tls_free)
/** Makes the server require TLS. The server owns @tls. Call it before the server listens. */
void cst_nbd_server_set_tls(CstNbdServer *server, CstNbdTls *tls);

/**
 * Listens at the Unix socket @path. The socket is made with the file permissions of @owner, and
 * only @owner (and root) can connect. A stale socket is replaced. Fails with EXISTS if a server
 * answers there, and for any other file.
 */
gboolean cst_nbd_server_listen_unix(CstNbdServer *server, const char *path, uid_t owner,
                                    GError **error);
/**
 * Listens at @port of the numeric address @host. Without TLS only loopback addresses are allowed
 * (DENIED), because the plain protocol has neither users nor secrets. *ret_port receives the bound
 * port (@port 0: any).
 */
gboolean cst_nbd_server_listen_tcp(CstNbdServer *server, const char *host, guint16 port,
                                   guint16 *ret_port, GError **error);

/**
 * Serves until @task is cancelled. Then requests in flight are finished and answered; a client that
 * does not read its replies is disconnected after a second. Returns FALSE if accepting fails.
 */
gboolean cst_nbd_server_run(CstNbdServer *server, CstTask *task, GError **error);
/** Returns the current number of clients. From any thread. */
guint cst_nbd_server_clients(CstNbdServer *server);

/** The address of an export and its access control. The texts are borrowed. */
typedef struct {
    const char *socket;       /**< Unix socket to make; NULL: TCP */
    uid_t owner;              /**< of the socket */
    const char *host;         /**< numeric address */
    guint16 port;             /**< not 0 */
    const char *psk_file;     /**< TLS with pre-shared keys; NULL: not used */
    const char *certificates; /**< TLS with certificates; NULL: not used */
} CstNbdPlace;

/**
 * Makes a server of @export, listens at @place and serves until @task is cancelled. Once the server
 * listens, the total of @task is the size of the export, at least 1.
 */
gboolean cst_nbd_serve(const CstNbdExport *export, const CstNbdPlace *place, CstTask *task,
                       GError **error);
