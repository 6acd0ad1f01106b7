/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>

#include <base/task.h>
#include <service/service.h>
#include <service/volumes.h>
#include <store/system_token.h>
#include <wire/codec.h>

/**
 * Every operation as a procedure: libvirt's calls on storage, secrets and the host, and those of
 * Cistern's own program. The arguments and the result of a procedure are structs that rpcgen makes
 * of wire/cistern_remote.x. The server decodes a packet into them and runs the procedure in one of
 * its threads; an embedded connection fills them in and runs the same procedure itself. What
 * belongs to a connection of the server's (authentication, events, calls under way) is in the
 * server.
 */

/** The driver that a connection names; they differ in little more than their words. */
typedef enum { CST_API_STORAGE, CST_API_SECRET, CST_API_QEMU } CstApiDriver;

/** Who calls, and how. Borrowed; does not change while calls run. */
typedef struct {
    CstApiDriver driver;
    char *uri; /**< as virConnectGetURI tells it; NULL until the connection is open */
} CstApiSession;

typedef struct CstProcedure CstProcedure;

/** One call. */
typedef struct {
    CstService *service;
    const CstApiSession *session;
    const CstProcedure *procedure;
    CstTask *task;                        /**< of CST_RUN_LONG, otherwise NULL; borrowed */
    char token[CST_SYSTEM_TOKEN_LEN + 1]; /**< system token that the caller has shown; "": none */
    CstUpload *upload;                    /**< started by the procedure; the caller's to go on */
    CstDownload *download;                /**< the same; at most one of the two */
} CstApiCall;

/**
 * Does the call. @args is decoded, @ret zeroed; what it puts there is freed with xdr_free(), so
 * strings come from g_strdup() and arrays from g_new(), with strings that aren't optional never
 * NULL. On failure it leaves in @ret nothing that xdr_free() can't free, and sets @error.
 */
typedef gboolean (*CstHandler)(CstApiCall *call, const void *args, void *ret, GError **error);

/**
 * Answers the call from what is in memory, without waiting, as the handler would: TRUE. FALSE: it
 * isn't there, and the handler has to be run; @ret is still empty then.
 */
typedef gboolean (*CstFromMemory)(CstApiCall *call, const void *args, void *ret);

typedef enum {
    CST_RUN_INLINE, /**< needs memory only and never waits: in any thread, under any lock */
    CST_RUN_QUICK,  /**< touches our own files or /proc, never a pool's storage; waits for no
                         volume, pool, scan or stream, and for no other call but for a moment */
    CST_RUN_LONG    /**< may touch a pool's storage, wait or take long; takes a task */
} CstRunClass;

typedef enum {
    CST_NEEDS_NOTHING, /**< before the connection is open too, whoever it is */
    CST_NEEDS_READ,
    CST_NEEDS_WRITE /**< refused on a read-only connection */
} CstNeeds;

struct CstProcedure {
    uint32_t program; /**< WIRE_REMOTE_PROGRAM or WIRE_CISTERN_PROGRAM */
    int number;
    CstRunClass run;
    CstNeeds needs;
    CstWireDomain domain; /**< of its errors */
    const char *name;     /**< libvirt's name for it, in refusals; ours begin with "cistern" */
    xdrproc_t args_func;
    size_t args_size;
    xdrproc_t ret_func;
    size_t ret_size;
    CstHandler handler;
    CstFromMemory from_memory;     /**< of CST_RUN_LONG; NULL: it is never there */
    void (*wipe_args)(void *args); /**< overwrites what is secret in them; NULL: nothing is */
    void (*wipe_ret)(void *ret);   /**< the same */
};

/** Bytes that hold the arguments or the result of any procedure. */
#define CST_API_STRUCT_MAX 512

/** Arguments or result of a procedure that has none. */
typedef struct {
    char nothing;
} wire_void;

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

/** All procedures of this module. */
void cst_procedure_index_init(CstProcedureIndex *ret_index);
/** Adds the rows of @table up to one without a handler. */
void cst_procedure_index_add(CstProcedureIndex *index, const CstProcedure *table);
/** NULL: there is no such procedure. */
const CstProcedure *cst_procedure_index_find(const CstProcedureIndex *index, uint32_t program,
                                             int number);
/** The same among those of this module. */
const CstProcedure *cst_api_find(uint32_t program, int number);

/**
 * Runs the handler of @call's procedure, as CstHandler says. The log shows the call at level debug;
 * whose it is, the thread's context tells (base/log_context.h).
 */
gboolean cst_api_run(CstApiCall *call, const void *args, void *ret, GError **error);
/** Answers from memory, as CstFromMemory says; FALSE also when the procedure never does. */
gboolean cst_api_run_from_memory(CstApiCall *call, const void *args, void *ret);

/** The pool that @pool names; the caller unrefs it. NO_POOL. */
CstPool *cst_api_pool(CstService *service, const wire_pool *pool, GError **error);
