/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * One call of libvirtd, forwarded to cisternd on a link.
 *
 * Each public function of libvirt forgets the thread's last error. So call_end() saves the error of
 * the attempt before the clean-up, and sets it again afterwards. Code, domain and text of
 * cisternd's error thus reach the client unchanged.
 *
 * libvirtd kills a running guest if any call fails while it reconnects to the guest. Such calls are
 * made on the connection "storage:" by a thread without a client. They wait for cisternd without a
 * limit, and are made again however often the connection breaks. The start of a guest by libvirtd
 * itself has a limit, because libvirtd accepts no client before its end.
 */
#include "call.h"

#include <stdlib.h>
#include <string.h>

#include "layout.h"
#include "symbols.h"

static char *refusal; /* the reason to serve no client, or NULL; constant after registration */

void call_refuse_clients(const char *reason)
{
    refusal = g_strdup(reason);
}

gboolean call_refuses_clients(void)
{
    if (refusal)
        module_fail(VIR_ERR_ACCESS_DENIED, "access denied: %s", refusal);
    return refusal != NULL;
}

/* Sets the error that was saved before a clean-up, and frees it. */
static void restore_error(virErrorPtr error)
{
    if (error)
        symbols.set_error(error);
    virFreeError(error);
}

static gboolean is_own_connection(virConnectPtr conn)
{
    char *uri = virConnectGetURI(conn);
    gboolean own = uri && g_str_has_prefix(uri, "storage:");

    free(uri);
    return own;
}

void call_of_connection(Call *call, virConnectPtr conn)
{
    call->caller = conn;
}

void call_of_pool(Call *call, virStoragePoolPtr pool)
{
    call->caller = virStoragePoolGetConnect(pool);
    call->caller_pool = pool;
}

void call_of_volume(Call *call, virStorageVolPtr vol)
{
    call->caller = virStorageVolGetConnect(vol);
    call->caller_vol = vol;
}

gboolean call_begin(Call *call)
{
    if (call->ended)
        return FALSE;
    call->purpose = is_own_connection(call->caller) ? link_own_purpose() : LINK_FOR_CLIENT;
    if (call->purpose != LINK_FOR_CLIENT || !call_refuses_clients())
        call->link = link_acquire(call->purpose, call->retries > 0);
    if (!call->link) {
        call->ended = TRUE;
        return FALSE;
    }
    call->conn = link_connection(call->link);
    if (call->caller_pool)
        call->pool = call_copy_pool(call->conn, call->caller_pool);
    if (call->caller_vol)
        call->vol = call_copy_volume(call->conn, call->caller_vol);
    if ((!call->caller_pool || call->pool) && (!call->caller_vol || call->vol))
        return TRUE;
    call->kind = CALL_CHANGES;
    call_end(call, FALSE);
    return FALSE;
}

void call_end(Call *call, gboolean ok)
{
    virErrorPtr error = ok ? NULL : virSaveLastError();
    gboolean broken = !ok && call->link && !link_is_alive(call->link);

    if (call->pool)
        virStoragePoolFree(call->pool);
    if (call->vol)
        virStorageVolFree(call->vol);
    if (call->link)
        link_release(call->link);
    call->pool = NULL;
    call->vol = NULL;
    call->conn = NULL;
    call->link = NULL;
    call->ended = !(broken && call->kind == CALL_READS &&
                    (call->retries++ == 0 || call->purpose != LINK_FOR_CLIENT));
    restore_error(error);
}

Link *call_steal_link(Call *call)
{
    return g_steal_pointer(&call->link);
}

/* --- objects --------------------------------------------------------------------------------- */

virStoragePoolPtr call_copy_pool(virConnectPtr conn, virStoragePoolPtr object)
{
    unsigned char uuid[VIR_UUID_BUFLEN];

    if (virStoragePoolGetUUID(object, uuid) < 0)
        return NULL;
    return symbols.get_pool(conn, virStoragePoolGetName(object), uuid, NULL, NULL);
}

virStorageVolPtr call_copy_volume(virConnectPtr conn, virStorageVolPtr object)
{
    const char *pool = layout_pool_name(object);

    return pool ? symbols.get_volume(conn, pool, virStorageVolGetName(object),
                                     virStorageVolGetKey(object), NULL, NULL)
                : NULL;
}

virStoragePoolPtr call_adopt_pool(virConnectPtr conn, virStoragePoolPtr object)
{
    virStoragePoolPtr copy = object ? call_copy_pool(conn, object) : NULL;
    virErrorPtr error = copy ? NULL : virSaveLastError();

    if (object)
        virStoragePoolFree(object);
    restore_error(error);
    return copy;
}

virStorageVolPtr call_adopt_volume(virConnectPtr conn, virStorageVolPtr object)
{
    virStorageVolPtr copy = object ? call_copy_volume(conn, object) : NULL;
    virErrorPtr error = copy ? NULL : virSaveLastError();

    if (object)
        virStorageVolFree(object);
    restore_error(error);
    return copy;
}

/*
 * An object that cannot be copied stays in the list with its connection to cisternd: libvirtd
 * answers the client with its name all the same.
 */
int call_adopt_pools(virConnectPtr conn, virStoragePoolPtr **list, int count)
{
    for (int i = 0; list && i < count; i++) {
        virStoragePoolPtr copy = call_copy_pool(conn, (*list)[i]);

        if (copy) {
            virStoragePoolFree((*list)[i]);
            (*list)[i] = copy;
        }
    }
    return count;
}

int call_adopt_volumes(virConnectPtr conn, virStorageVolPtr **list, int count)
{
    for (int i = 0; list && i < count; i++) {
        virStorageVolPtr copy = call_copy_volume(conn, (*list)[i]);

        if (copy) {
            virStorageVolFree((*list)[i]);
            (*list)[i] = copy;
        }
    }
    return count;
}
