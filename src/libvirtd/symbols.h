/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>
#include <libvirt/libvirt.h>
#include <libvirt/virterror.h>
#include <sys/types.h>

#include "driver.h"

/**
 * Private functions of libvirt.so.0. They have the version node LIBVIRT_PRIVATE_x.y.z, so a module
 * that is linked with them loads in one version of libvirt only. dlsym() finds them without the
 * node. The signatures are the same from 7.0 to 11.3 (src/libvirt_private.syms of libvirt).
 */
typedef struct {
    int (*set_error)(virErrorPtr error); /**< copies @error to the thread's last error */
    void (*object_unref)(void *object);
    int (*register_connect_driver)(ConnectDriver *driver, bool set_shared_drivers);
    int (*share_storage_driver)(StorageDriver *driver);
    virStoragePoolPtr (*get_pool)(virConnectPtr conn, const char *name, const unsigned char *uuid,
                                  void *private_data, virFreeCallback free_private);
    virStorageVolPtr (*get_volume)(virConnectPtr conn, const char *pool, const char *name,
                                   const char *key, void *private_data,
                                   virFreeCallback free_private);
    void *(*identity_current)(void); /**< of the calling thread, with a reference; may be NULL */
    /* These return 1 if the identity has the value, 0 if it has none. */
    int (*identity_uid)(void *identity, uid_t *ret);
    int (*identity_gid)(void *identity, gid_t *ret);
    int (*identity_pid)(void *identity, pid_t *ret);
    int (*identity_start)(void *identity, unsigned long long *ret);
    int (*identity_user)(void *identity, const char **ret);
} Symbols;

/** Filled by symbols_load() before the driver is registered, constant afterwards. */
extern Symbols symbols;

/** Fills symbols. Returns the name of the first missing symbol, or NULL. */
const char *symbols_load(void);

/** Writes a line to stderr, which is the journal under systemd. Any thread. */
void module_log(const char *format, ...) G_GNUC_PRINTF(1, 2);

/** Sets the thread's last error with @code and the domain VIR_FROM_STORAGE. Any thread. */
void module_fail(int code, const char *format, ...) G_GNUC_PRINTF(2, 3);
