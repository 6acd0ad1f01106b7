/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>

#include <base/error.h>
#include <base/flags.h>
#include <base/i18n.h>
#include <base/task.h>
#include <service/pools.h>
#include <service/secrets.h>
#include <service/service.h>
#include <service/volumes.h>
#include <wire/codec.h>

#include "client.h"

typedef struct Procedure Procedure;
typedef struct Call Call;

/**
 * Answers one call. @args is decoded, @ret zeroed; what it puts there is freed with xdr_free(), so
 * strings come from g_strdup() and arrays from g_new(). Runs in the loop's thread or in a worker,
 * as its row says; only handlers of RUN_INLINE rows may look at call->client.
 */
typedef gboolean (*Handler)(Call *call, const void *args, void *ret, GError **error);

/**
 * Answers one call in the I/O thread, from what is in memory, as a Handler would: TRUE. FALSE: it
 * isn't there, and the handler is run by a worker. Leaves @ret empty then.
 */
typedef gboolean (*FromMemory)(Call *call, const void *args, void *ret);

typedef enum {
    RUN_INLINE, /**< needs memory only, never waits: in the I/O thread */
    RUN_QUICK,  /**< touches the daemon's own files or /proc, never a pool's storage; waits for no
                     volume, pool, scan or stream, and for no other call of more than a moment */
    RUN_LONG    /**< may touch a pool's storage, wait or take long; has a task for progress, cancel
                     and the end of its client */
} RunClass;

typedef enum {
    NEEDS_NOTHING, /**< before CONNECT_OPEN too, whoever it is */
    NEEDS_READ,
    NEEDS_WRITE /**< refused on a read-only connection */
} Needs;

struct Procedure {
    int number;
    RunClass run;
    Needs needs;
    const char *api;        /**< libvirt's name for it, in refusals */
    const char *permission; /**< "object:permission", libvirt's access control names */
    CstWireDomain domain;   /**< of its errors */
    xdrproc_t args_func;    /**< NULL: none */
    size_t args_size;
    xdrproc_t ret_func; /**< NULL: none */
    size_t ret_size;
    Handler handler;
    void (*wipe)(void *ret);       /**< overwrites what is secret in the result; NULL: nothing is */
    void (*wipe_args)(void *args); /**< the same in the arguments */
    FromMemory from_memory;        /**< of RUN_LONG; NULL: it is not tried */
};

/** Columns of a row: the types of arguments and result, by the name of the .x file. */
#define WIRE_TYPE(name) (xdrproc_t) xdr_wire_##name, sizeof(wire_##name)
#define NOTHING         NULL, 0

/** Rows of calls on storage: of libvirt's protocol (WIRE_PROC_…), of ours (WIRE_CISTERN_…). */
#define STORAGE_ROW(number, run, needs, api, permission, args, ret, handler)               \
    {                                                                                      \
        WIRE_PROC_##number, run, needs, api, permission, CST_WIRE_FROM_STORAGE, args, ret, \
            handler, NULL, NULL, NULL                                                      \
    }
/** RUN_LONG, unless the answer is in memory. */
#define KNOWN_ROW(number, needs, api, permission, args, ret, handler, from_memory)              \
    {                                                                                           \
        WIRE_PROC_##number, RUN_LONG, needs, api, permission, CST_WIRE_FROM_STORAGE, args, ret, \
            handler, NULL, NULL, from_memory                                                    \
    }
#define OWN_ROW(number, run, needs, api, permission, args, ret, handler)                      \
    {                                                                                         \
        WIRE_CISTERN_##number, run, needs, api, permission, CST_WIRE_FROM_STORAGE, args, ret, \
            handler, NULL, NULL, NULL                                                         \
    }

/** Room that any arguments or result need; checked when the table is built. */
#define ARGS_MAX 512

typedef struct Stream Stream;

struct Call {
    Message message; /**< brings it back from a worker */
    WorkItem item;
    size_t size; /**< bytes of its packet; the decoded arguments take about as much */
    Client *client;
    CstService *service;
    const Procedure *procedure;
    CstWireHeader header;
    CstTask *task;                        /**< of RUN_LONG; otherwise NULL */
    gboolean dry_run;                     /**< changes nothing (base/dry_run.h) */
    char token[CST_SYSTEM_TOKEN_LEN + 1]; /**< of the client when the call came */
    Stream *stream;                       /**< what an upload or download call started */
    GByteArray *reply;                    /**< encoded by the worker */
    uint64_t args[ARGS_MAX / sizeof(uint64_t)];
};

/* Tables, each ended by a row without a handler. */
extern const Procedure procedures_connect[];
extern const Procedure procedures_identity[];
extern const Procedure procedures_node[];
extern const Procedure procedures_event[];
extern const Procedure procedures_pool[];
extern const Procedure procedures_vol[];
extern const Procedure procedures_secret[];
extern const Procedure procedures_empty[];

/* Tables of Cistern's own program. */
extern const Procedure procedures_cistern[];
extern const Procedure procedures_job[];
extern const Procedure procedures_image[];
extern const Procedure procedures_snapshot[];

/** Fills the index of @server. */
struct CstWireServer;
void procedures_index(struct CstWireServer *server);

/* dispatch.c */

/** Handles one whole packet. FALSE: the connection can't go on. */
gboolean dispatch_packet(Client *client, const uint8_t *packet, size_t len);
/**
 * Answers the pings among @packets, the last of which may not be whole, while those have to wait.
 * It makes pongs of them, which nobody answers when it is their turn.
 */
void dispatch_pings_ahead(Client *client, uint8_t *packets, size_t len);
/** In a worker thread: runs the handler; hands the call back to its loop. */
void dispatch_run(WorkItem *item);
void dispatch_done(WorkItem *item);
/** The client is gone: drops its calls that have not begun, cancels the others. */
void dispatch_abandon(Client *client);

/* objects.c: between the wire's names and the service's objects */

CstPool *find_pool(Call *call, const wire_pool *pool, GError **error);
/** The pool of a volume's name. */
CstPool *find_vol_pool(Call *call, const wire_vol *vol, GError **error);
void fill_pool(wire_pool *ret, CstPool *pool);
/** Takes @key over. */
void set_vol(wire_vol *ret, CstPool *pool, const char *name, char *key);
gboolean fill_vol(wire_vol *ret, CstPool *pool, const char *name, GError **error);
void fill_secret(wire_secret *ret, const CstSecretRow *row);
/** Take @text over. */
wire_opt_string opt_string(char *text); /**< NULL: none */
char *or_empty(char *text);
/** libvirt's refusal of a longer list than it knows ("maxnames > REMOTE_…_LIST_MAX"). */
gboolean check_max(int max, int limit, const char *what, const char *limit_name, GError **error);
