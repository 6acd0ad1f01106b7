/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>

#include <base/task.h>
#include <service/client_jobs.h>
#include <service/service.h>
#include <service/volumes.h>
#include <store/system_token.h>
#include <wire/codec.h>

/**
 * Every operation as a procedure: libvirt's calls on storage, secrets and the host, and those of
 * Cistern's own program. The arguments and the result of a procedure are structs that rpcgen makes
 * of wire/cistern_remote.x. The server decodes a packet into them and runs the procedure in one of
 * its threads; an embedded connection fills them in and runs the same procedure itself. Procedures
 * about the connection itself (authentication, events, calls under way) are in the server.
 */

/** The driver that a connection's URI names; it decides words and versions in a few answers. */
typedef enum { CST_API_STORAGE, CST_API_SECRET, CST_API_QEMU } CstApiDriver;

/** The connection that calls. Borrowed; constant while calls run. */
typedef struct {
    CstApiDriver driver;
    char *uri;           /**< virConnectGetURI's answer; NULL until the connection is open */
    CstClientJobs *jobs; /**< that its client does */
} CstApiSession;

typedef struct CstProcedure CstProcedure;

/** One call. */
typedef struct {
    CstService *service;
    const CstApiSession *session;
    const CstProcedure *procedure;
    CstTask *task;                        /**< of CST_RUN_LONG, otherwise NULL; borrowed */
    char token[CST_SYSTEM_TOKEN_LEN + 1]; /**< system token that the caller has shown; "": none */
    gboolean embedded;                    /**< the caller is in this process; no client is */
    CstUpload *upload;                    /**< opened by the procedure; the caller takes it over */
    CstDownload *download;                /**< the same; at most one of the two */
    gboolean sparse;                      /**< of either: holes are told as such */
} CstApiCall;

/**
 * Does the call. @args is decoded, @ret zeroed. The caller frees what it puts into @ret with
 * xdr_free(): strings come from g_strdup(), arrays from g_new(), and strings that are not optional
 * are never NULL. On failure it sets @error, and @ret is still fit for xdr_free(). Runs in any
 * thread; waits only as its CstRunClass allows.
 */
typedef gboolean (*CstHandler)(CstApiCall *call, const void *args, void *ret, GError **error);

/**
 * Answers the call from memory, without waiting, as the handler would. FALSE when the answer is not
 * in memory: the handler has to run, and @ret is unchanged.
 */
typedef gboolean (*CstFromMemory)(CstApiCall *call, const void *args, void *ret);

typedef enum {
    CST_RUN_INLINE, /**< needs memory only and never waits: in any thread, under any lock */
    CST_RUN_QUICK,  /**< touches our own files or /proc, never a pool's storage; waits for no
                         volume, pool, scan or stream, and for no other call but for a moment */
    CST_RUN_LONG    /**< may touch a pool's storage, wait or take long; takes a task */
} CstRunClass;

typedef enum {
    CST_NEEDS_NOTHING, /**< allowed before the connection is open, to everybody */
    CST_NEEDS_READ,
    CST_NEEDS_WRITE /**< refused on a read-only connection */
} CstNeeds;

struct CstProcedure {
    uint32_t program; /**< WIRE_REMOTE_PROGRAM or WIRE_CISTERN_PROGRAM */
    int number;
    CstRunClass run;
    CstNeeds needs;
    CstWireDomain domain; /**< of its errors */
    const char *name;     /**< libvirt's name for it, used in messages; ours begin with "cistern" */
    xdrproc_t args_func;
    size_t args_size;
    xdrproc_t ret_func;
    size_t ret_size;
    CstHandler handler;
    CstFromMemory from_memory;     /**< for CST_RUN_LONG only; NULL: never in memory */
    void (*wipe_args)(void *args); /**< overwrites secrets in them; NULL: there are none */
    void (*wipe_ret)(void *ret);   /**< overwrites secrets in it; NULL: there are none */
};

/** Bytes that hold the arguments or the result of any procedure. */
#define CST_API_STRUCT_MAX 512

/** Arguments or result of a procedure that has none. */
typedef struct {
    char nothing;
} wire_void;

/** Encodes and decodes nothing. */
static inline bool_t xdr_wire_void(XDR *xdr, wire_void *none)
{
    return TRUE;
}

/**
 * A row of a table of procedures. Types are named as in the .x file, without "wire_"; run and needs
 * without their prefixes. Further fields may follow: .from_memory = …
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

/** Fills *@ret_index with all procedures of this module. */
void cst_procedure_index_init(CstProcedureIndex *ret_index);
/**
 * Adds the rows of @table up to the one without a handler, which must be static. A number that is
 * taken ends the program.
 */
void cst_procedure_index_add(CstProcedureIndex *index, const CstProcedure *table);
/** Returns the procedure, or NULL when there is none. From any thread. */
const CstProcedure *cst_procedure_index_find(const CstProcedureIndex *index, uint32_t program,
                                             int number);
/** Finds a procedure of this module, as cst_procedure_index_find() does. From any thread. */
const CstProcedure *cst_api_find(uint32_t program, int number);

/**
 * Runs the handler of @call's procedure; see CstHandler. At level debug the log shows the call,
 * under the thread's context (base/log_context.h).
 */
gboolean cst_api_run(CstApiCall *call, const void *args, void *ret, GError **error);
/** Answers @call from memory; see CstFromMemory. FALSE also when the procedure never does. */
gboolean cst_api_run_from_memory(CstApiCall *call, const void *args, void *ret);

/**
 * Returns the pool with @pool's UUID; the caller unrefs it. NULL with NO_POOL. Names it in the
 * log's context.
 */
CstPool *cst_api_pool(CstService *service, const wire_pool *pool, GError **error);
