/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <sys/types.h>

#include <base/task.h>
#include <blob/blob.h>

/**
 * A server of the NBD protocol (https://github.com/NetworkBlockDevice/nbd/blob/master/doc/proto.md)
 * for one blob: fixed newstyle negotiation, structured replies, block status ("base:allocation" and
 * dirty bitmaps), trim, zeroes, forced unit access, several connections to the same bytes.
 *
 * What a client can cost is bounded: connections in all and by host, bytes in flight on each and
 * together, the time to negotiate. A client that reads none of its replies holds threads of its own
 * connection only. A connection that does not negotiate takes no place of a client that does.
 */
/** What was written since some point in time: the context "qemu:dirty-bitmap:NAME". */
typedef struct {
    char *name;     /**< of the bitmap */
    GArray *ranges; /**< of CstRange: what is dirty, in order and apart from each other */
} CstNbdBitmap;

#define CST_NBD_BITMAPS_MAX 32

/** Frees what @bitmap, a CstNbdBitmap, holds. */
void cst_nbd_bitmap_free(gpointer bitmap);

typedef struct {
    const char *name;        /**< that clients ask for; "" is answered as well */
    const char *description; /**< NULL: none */
    CstBlob *blob;
    gboolean writable;
    GPtrArray *bitmaps; /**< of CstNbdBitmap *, CST_NBD_BITMAPS_MAX at most; NULL: none */
} CstNbdExport;

typedef struct CstNbdServer CstNbdServer;

/** Makes a server that listens nowhere yet. Takes references on blob and bitmaps, copies the
 * texts. */
CstNbdServer *cst_nbd_server_new(const CstNbdExport *export, GError **error);
/** Stops listening, and removes the Unix sockets that were made. NULL is accepted. */
void cst_nbd_server_free(CstNbdServer *server);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(CstNbdServer, cst_nbd_server_free)

/** How clients prove who they are, and that nobody else listens. */
typedef struct CstNbdTls CstNbdTls;

/** By keys that both sides know: @path is a file of lines "NAME:KEY", as psktool makes them. */
CstNbdTls *cst_nbd_tls_new_psk(const char *path, GError **error);
/**
 * By certificates of both sides: @dir holds ca-cert.pem, server-cert.pem, server-key.pem and
 * perhaps ca-crl.pem. A client needs one that the authority has signed.
 */
CstNbdTls *cst_nbd_tls_new_certificates(const char *dir, GError **error);
/** NULL is accepted. */
void cst_nbd_tls_free(CstNbdTls *tls);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(CstNbdTls, cst_nbd_tls_free)
/** Has the server demand TLS. Takes @tls over. Before it listens. */
void cst_nbd_server_set_tls(CstNbdServer *server, CstNbdTls *tls);

/**
 * Listens at the Unix socket @path, which is made by @owner, where he may, and for him alone (and
 * root). A socket there that nobody answers at is replaced; EXISTS for one that somebody does, and
 * for any other file.
 */
gboolean cst_nbd_server_listen_unix(CstNbdServer *server, const char *path, uid_t owner,
                                    GError **error);
/**
 * Listens at @port of the numeric address @host. Without TLS that must be one of the loopback
 * interface: the protocol in the clear knows neither users nor secrets. *ret_port is the port that
 * was bound (0: any).
 */
gboolean cst_nbd_server_listen_tcp(CstNbdServer *server, const char *host, guint16 port,
                                   guint16 *ret_port, GError **error);

/**
 * Serves until @task is cancelled: then requests under way are finished and answered, for a second
 * at most where a client does not take its replies. FALSE when it can't accept any more.
 */
gboolean cst_nbd_server_run(CstNbdServer *server, CstTask *task, GError **error);
/** How many clients are connected now. From any thread. */
guint cst_nbd_server_clients(CstNbdServer *server);

/** Where an export is to be found, and by whom. The texts are borrowed. */
typedef struct {
    const char *socket;       /**< Unix socket to make; NULL: TCP */
    uid_t owner;              /**< of the socket */
    const char *host;         /**< numeric address */
    guint16 port;             /**< not 0 */
    const char *psk_file;     /**< demands TLS by keys; NULL: does not */
    const char *certificates; /**< demands TLS by certificates; NULL: does not */
} CstNbdPlace;

/**
 * Makes a server of @export, listens at @place and serves until @task is cancelled. The total of
 * @task becomes the size of the export, not 0, once the server listens.
 */
gboolean cst_nbd_serve(const CstNbdExport *export, const CstNbdPlace *place, CstTask *task,
                       GError **error);
