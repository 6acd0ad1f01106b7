/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>
#include <libvirt/libvirt.h>

#include "link.h"

typedef enum {
    CALL_READS,  /**< made again once if the connection to cisternd breaks */
    CALL_CHANGES /**< made once */
} CallKind;

/**
 * A call of libvirtd, forwarded to cisternd. The caller's objects belong to a connection of
 * libvirtd. The call has equal objects on a connection to cisternd.
 */
typedef struct {
    CallKind kind;
    virConnectPtr caller; /**< connection of the caller's object */
    virStoragePoolPtr caller_pool;
    virStorageVolPtr caller_vol;
    /* Valid between call_begin() and call_end(). */
    virConnectPtr conn;     /**< to cisternd */
    virStoragePoolPtr pool; /**< NULL if the caller has no pool */
    virStorageVolPtr vol;   /**< NULL if the caller has no volume */
    /* Private. */
    Link *link;
    LinkPurpose purpose;
    gboolean ended;
    guint retries;
} Call;

/**
 * Has all calls of clients refused because of @reason. Calls of libvirtd itself are made. Call it
 * before the driver is registered.
 */
void call_refuse_clients(const char *reason);

/** Whether clients are refused. Sets an error if so. */
gboolean call_refuses_clients(void);

/** Set the object of a new call. */
void call_of_connection(Call *call, virConnectPtr conn);
void call_of_pool(Call *call, virStoragePoolPtr pool);
void call_of_volume(Call *call, virStorageVolPtr vol);

/**
 * Connects to cisternd and makes the objects of the call. Returns FALSE if the call has ended:
 * after call_end(), or because cisternd does not answer. An error is set then.
 */
gboolean call_begin(Call *call);

/**
 * Ends one attempt. @ok: it succeeded. Otherwise the thread's last error is unchanged, or the next
 * call_begin() starts another attempt.
 */
void call_end(Call *call, gboolean ok);

/** Returns the link, which the caller then owns. call_end() does not release it. */
Link *call_steal_link(Call *call);

/** Return an equal object on @conn and free @object, which may be NULL. */
virStoragePoolPtr call_adopt_pool(virConnectPtr conn, virStoragePoolPtr object);
virStorageVolPtr call_adopt_volume(virConnectPtr conn, virStorageVolPtr object);

/** Return an object of @conn that is equal to the object of another connection. */
virStoragePoolPtr call_copy_pool(virConnectPtr conn, virStoragePoolPtr object);
virStorageVolPtr call_copy_volume(virConnectPtr conn, virStorageVolPtr object);

/** Replace each of the @count objects of a list by an equal object on @conn. Return @count. */
int call_adopt_pools(virConnectPtr conn, virStoragePoolPtr **list, int count);
int call_adopt_volumes(virConnectPtr conn, virStorageVolPtr **list, int count);

#define CALL_OF(call, object)                        \
    _Generic((object), virConnectPtr                 \
             : call_of_connection, virStoragePoolPtr \
             : call_of_pool, virStorageVolPtr        \
             : call_of_volume)(call, object)

/**
 * Define the static function @name of libvirt's table. It forwards a call on @object, a parameter.
 * @expression makes the call with call.conn, call.pool and call.vol.
 */
#define FORWARD(type, failure, name, parameters, kind_, object, expression) \
    static type name parameters                                             \
    {                                                                       \
        Call call = {.kind = CALL_##kind_};                                 \
        type answer = failure;                                              \
                                                                            \
        CALL_OF(&call, object);                                             \
        while (call_begin(&call)) {                                         \
            answer = expression;                                            \
            call_end(&call, answer != (failure));                           \
        }                                                                   \
        return answer;                                                      \
    }

#define FORWARD_NUMBER(name, parameters, kind_, object, expression) \
    FORWARD(int, -1, name, parameters, kind_, object, expression)
#define FORWARD_TEXT(name, parameters, kind_, object, expression) \
    FORWARD(char *, NULL, name, parameters, kind_, object, expression)
#define FORWARD_POOL(name, parameters, kind_, object, expression)     \
    FORWARD(virStoragePoolPtr, NULL, name, parameters, kind_, object, \
            call_adopt_pool(call.caller, expression))
#define FORWARD_VOLUME(name, parameters, kind_, object, expression)  \
    FORWARD(virStorageVolPtr, NULL, name, parameters, kind_, object, \
            call_adopt_volume(call.caller, expression))
