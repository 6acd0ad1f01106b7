/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>

#include <base/task.h>
#include <service/client_jobs.h>
#include <service/live.h>
#include <service/service.h>
#include <service/volumes.h>
#include <store/system_token.h>
#include <wire/codec.h>

/**
 * Every operation as a procedure: libvirt's calls for storage, secrets and the host, and the calls
 * of Cistern's own program. Arguments and results are structs that rpcgen makes from
 * wire/cistern_remote.x. The server decodes a packet into the arguments and runs the procedure in
 * one of its threads. An embedded connection fills in the arguments and runs the same procedure
 * itself. Procedures of the connection itself (authentication, events, calls in flight) are in the
 * server.
 */

/** The driver in a connection's URI. A few answers depend on it: names and versions. */
typedef enum { CST_API_STORAGE, CST_API_SECRET, CST_API_QEMU } CstApiDriver;

/** The calling connection. Borrowed; constant while calls run. */
typedef struct {
    CstApiDriver driver;
    char *uri;              /**< virConnectGetURI's answer; NULL until the connection is open */
    CstClientJobs *jobs;    /**< jobs that the client performs */
    CstLiveSnapshots *live; /**< live snapshots of the client */
} CstApiSession;

/** The user for whom a daemon of libvirt calls, as it has declared. Unset strings are NULL. */
typedef struct {
    char *user; /**< "user-name" */
    char *sasl; /**< "sasl-user-name" */
    char *tls;  /**< "x509-distinguished-name" */
    gboolean has_uid, has_pid;
    uint64_t uid;
    int64_t pid;
} CstApiIdentity;

/** Returns a new identity without members, with one reference. */
CstApiIdentity *cst_api_identity_new(void);
/** Acquires a reference. From any thread. NULL is accepted. */
CstApiIdentity *cst_api_identity_ref(CstApiIdentity *identity);
/** Releases a reference. From any thread. NULL is accepted. */
void cst_api_identity_unref(CstApiIdentity *identity);

typedef struct CstProcedure CstProcedure;

/** A call. */
typedef struct {
    CstService *service;
    const CstApiSession *session;
    const CstProcedure *procedure;
    CstTask *task;                        /**< of CST_RUN_LONG, otherwise NULL; borrowed */
    char token[CST_SYSTEM_TOKEN_LEN + 1]; /**< system token that the caller has presented; "": it
                                               has presented no token */
    CstApiIdentity *identity; /**< declared by the caller; NULL: no identity; borrowed */
    gboolean embedded;        /**< the caller is in this process; there is no client */
    CstUpload *upload;        /**< opened by the procedure; the caller owns it */
    CstDownload *download;    /**< the same; only one of @upload and @download is set */
    gboolean sparse;          /**< of the upload or download: holes are sent as holes */
} CstApiCall;

/**
 * Runs the call. @args is decoded, @ret is zeroed. Allocate strings in @ret with g_strdup() and
 * arrays with g_new(), because the caller frees @ret with xdr_free(). A string that is not optional
 * must not be NULL. Returns FALSE and sets @error on failure; @ret must then still be valid for
 * xdr_free(). Runs in any thread, and waits only as its CstRunClass allows.
 */
typedef gboolean (*CstHandler)(CstApiCall *call, const void *args, void *ret, GError **error);

/**
 * Answers the call from memory without waiting, with the same result as the handler. Returns FALSE
 * if the answer is not in memory; then @ret is unchanged and the handler must run.
 */
typedef gboolean (*CstFromMemory)(CstApiCall *call, const void *args, void *ret);

typedef enum {
    CST_RUN_INLINE, /**< needs memory only and never waits: in any thread, under any lock */
    CST_RUN_QUICK,  /**< reads or writes Cistern's own files or /proc, never a pool's storage;
                         does not wait for a volume, pool, scan or stream, and for another call
                         only briefly */
    CST_RUN_LONG    /**< may access a pool's storage, wait or last long; has a task */
} CstRunClass;

typedef enum {
    CST_NEEDS_NOTHING, /**< allowed before the connection is open, for every user */
    CST_NEEDS_READ,
    CST_NEEDS_WRITE /**< refused on a read-only connection */
} CstNeeds;

struct CstProcedure {
    uint32_t program; /**< WIRE_REMOTE_PROGRAM or WIRE_CISTERN_PROGRAM */
    int number;
    CstRunClass run;
    CstNeeds needs;
    CstWireDomain domain; /**< of its errors */
    const char *name;     /**< libvirt's name, used in messages; Cistern's own begin with
                               "cistern" */
    xdrproc_t args_func;
    size_t args_size;
    xdrproc_t ret_func;
    size_t ret_size;
    CstHandler handler;
    CstFromMemory from_memory; /**< for CST_RUN_LONG only; NULL: the handler always runs */
    gboolean (*reads)(const void *args); /**< whether a call with @args changes nothing, so that
                                              the audit trail has no record of it; NULL: each
                                              WRITE procedure changes something */
    void (*wipe_args)(void *args); /**< overwrites secrets in the arguments; NULL: they contain
                                        no secrets */
    void (*wipe_ret)(void *ret);   /**< overwrites secrets in the result; NULL: it contains no
                                        secrets */
};

/** Size in bytes of the largest arguments or result of a procedure. */
#define CST_API_STRUCT_MAX 512

/** Arguments or result of a procedure without any. */
typedef struct {
    char nothing;
} wire_void;

/** XDR function of wire_void: no bytes. */
static inline bool_t xdr_wire_void(XDR *xdr, wire_void *none)
{
    return TRUE;
}

/**
 * A row of a table of procedures. Write types as in the .x file, without "wire_". Write run and
 * needs without their prefixes. Further fields may follow: .from_memory = …
 */
#define CST_PROCEDURE(program_, number_, run_, needs_, domain_, name_, args_, ret_, handler_, ...) \
    {                                                                                              \
        .program = (program_), .number = (number_), .run = CST_RUN_##run_,                         \
        .needs = CST_NEEDS_##needs_, .domain = CST_WIRE_FROM_##domain_, .name = (name_),           \
        .args_func = (xdrproc_t)xdr_wire_##args_, .args_size = sizeof(wire_##args_),               \
        .ret_func = (xdrproc_t)xdr_wire_##ret_, .ret_size = sizeof(wire_##ret_),                   \
        .handler = (handler_), __VA_ARGS__                                                         \
    }
/** A procedure of libvirt's program; @domain_: STORAGE, SECRET, RPC, … */
#define CST_REMOTE_PROCEDURE(number_, run_, needs_, domain_, ...) \
    CST_PROCEDURE(WIRE_REMOTE_PROGRAM, WIRE_PROC_##number_, run_, needs_, domain_, __VA_ARGS__)
/** A procedure of Cistern's own program. */
#define CST_OWN_PROCEDURE(number_, run_, needs_, ...) \
    CST_PROCEDURE(WIRE_CISTERN_PROGRAM, WIRE_CISTERN_##number_, run_, needs_, STORAGE, __VA_ARGS__)

/** Procedures by number. */
typedef struct {
    const CstProcedure *remote[WIRE_PROC_LAST + 1];
    const CstProcedure *own[WIRE_CISTERN_LAST + 1];
} CstProcedureIndex;

/** For CstProcedure.reads: the procedure never changes anything. */
gboolean cst_api_only_reads(const void *args);

/** Fills *@ret_index with all procedures of this module. */
void cst_procedure_index_init(CstProcedureIndex *ret_index);
/**
 * Adds the rows of @table, up to the row without a handler. @table must be static. A duplicate
 * number aborts the program.
 */
void cst_procedure_index_add(CstProcedureIndex *index, const CstProcedure *table);
/** Returns the procedure, or NULL if the number is unknown. From any thread. */
const CstProcedure *cst_procedure_index_find(const CstProcedureIndex *index, uint32_t program,
                                             int number);
/** Finds a procedure of this module, like cst_procedure_index_find(). From any thread. */
const CstProcedure *cst_api_find(uint32_t program, int number);

/**
 * Runs the handler of @call's procedure; see CstHandler. A call that changes something gives a
 * record of the audit trail, except in a dry run. At level debug the log shows the call,
 * under the thread's context (base/log_context.h).
 */
gboolean cst_api_run(CstApiCall *call, const void *args, void *ret, GError **error);
/**
 * Answers @call from memory; see CstFromMemory. Returns FALSE if the procedure has no from_memory
 * function, too.
 */
gboolean cst_api_run_from_memory(CstApiCall *call, const void *args, void *ret);

/**
 * Finds the pool with @pool's UUID, and sets it in the log's context. Returns the pool, which the
 * caller unrefs, or NULL with NO_POOL.
 */
CstPool *cst_api_pool(CstService *service, const wire_pool *pool, GError **error);
