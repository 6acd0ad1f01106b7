/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <libvirt/libvirt.h>
#include <stdbool.h>

/**
 * libvirt's tables of functions. libvirt-dev does not ship them, so their layout is repeated here.
 * Source: src/driver-storage.h, src/driver-stream.h, src/driver.h and src/driver-hypervisor.h of
 * libvirt. The members are the same, in the same order, from 7.0 to 11.3.
 */
typedef struct {
    const char *name;
    int (*num_of_pools)(virConnectPtr conn);
    int (*list_pools)(virConnectPtr conn, char **const names, int max);
    int (*num_of_defined_pools)(virConnectPtr conn);
    int (*list_defined_pools)(virConnectPtr conn, char **const names, int max);
    int (*list_all_pools)(virConnectPtr conn, virStoragePoolPtr **pools, unsigned flags);
    char *(*find_pool_sources)(virConnectPtr conn, const char *type, const char *source,
                               unsigned flags);
    int (*event_register)(virConnectPtr conn, virStoragePoolPtr pool, int event,
                          virConnectStoragePoolEventGenericCallback callback, void *opaque,
                          virFreeCallback free_opaque);
    int (*event_deregister)(virConnectPtr conn, int id);
    char *(*pool_capabilities)(virConnectPtr conn, unsigned flags);
    virStoragePoolPtr (*pool_by_name)(virConnectPtr conn, const char *name);
    virStoragePoolPtr (*pool_by_uuid)(virConnectPtr conn, const unsigned char *uuid);
    virStoragePoolPtr (*pool_by_volume)(virStorageVolPtr vol);
    virStoragePoolPtr (*pool_by_target_path)(virConnectPtr conn, const char *path);
    virStoragePoolPtr (*pool_create_xml)(virConnectPtr conn, const char *xml, unsigned flags);
    virStoragePoolPtr (*pool_define_xml)(virConnectPtr conn, const char *xml, unsigned flags);
    int (*pool_build)(virStoragePoolPtr pool, unsigned flags);
    int (*pool_undefine)(virStoragePoolPtr pool);
    int (*pool_create)(virStoragePoolPtr pool, unsigned flags);
    int (*pool_destroy)(virStoragePoolPtr pool);
    int (*pool_delete)(virStoragePoolPtr pool, unsigned flags);
    int (*pool_refresh)(virStoragePoolPtr pool, unsigned flags);
    int (*pool_get_info)(virStoragePoolPtr pool, virStoragePoolInfoPtr info);
    char *(*pool_get_xml)(virStoragePoolPtr pool, unsigned flags);
    int (*pool_get_autostart)(virStoragePoolPtr pool, int *autostart);
    int (*pool_set_autostart)(virStoragePoolPtr pool, int autostart);
    int (*pool_num_of_volumes)(virStoragePoolPtr pool);
    int (*pool_list_volumes)(virStoragePoolPtr pool, char **const names, int max);
    int (*pool_list_all_volumes)(virStoragePoolPtr pool, virStorageVolPtr **vols, unsigned flags);
    virStorageVolPtr (*vol_by_name)(virStoragePoolPtr pool, const char *name);
    virStorageVolPtr (*vol_by_key)(virConnectPtr conn, const char *key);
    virStorageVolPtr (*vol_by_path)(virConnectPtr conn, const char *path);
    virStorageVolPtr (*vol_create_xml)(virStoragePoolPtr pool, const char *xml, unsigned flags);
    virStorageVolPtr (*vol_create_xml_from)(virStoragePoolPtr pool, const char *xml,
                                            virStorageVolPtr source, unsigned flags);
    int (*vol_download)(virStorageVolPtr vol, virStreamPtr stream, unsigned long long offset,
                        unsigned long long length, unsigned flags);
    int (*vol_upload)(virStorageVolPtr vol, virStreamPtr stream, unsigned long long offset,
                      unsigned long long length, unsigned flags);
    int (*vol_delete)(virStorageVolPtr vol, unsigned flags);
    int (*vol_wipe)(virStorageVolPtr vol, unsigned flags);
    int (*vol_wipe_pattern)(virStorageVolPtr vol, unsigned algorithm, unsigned flags);
    int (*vol_get_info)(virStorageVolPtr vol, virStorageVolInfoPtr info);
    int (*vol_get_info_flags)(virStorageVolPtr vol, virStorageVolInfoPtr info, unsigned flags);
    char *(*vol_get_xml)(virStorageVolPtr vol, unsigned flags);
    char *(*vol_get_path)(virStorageVolPtr vol);
    int (*vol_resize)(virStorageVolPtr vol, unsigned long long capacity, unsigned flags);
    int (*pool_is_active)(virStoragePoolPtr pool);
    int (*pool_is_persistent)(virStoragePoolPtr pool);
} StorageDriver;

/** send and recv return -2 if they would block, recv_flags returns -3 at a hole. */
typedef struct {
    int (*send)(virStreamPtr stream, const char *data, size_t len);
    int (*recv)(virStreamPtr stream, char *data, size_t len);
    int (*recv_flags)(virStreamPtr stream, char *data, size_t len, unsigned flags);
    int (*send_hole)(virStreamPtr stream, long long length, unsigned flags);
    int (*recv_hole)(virStreamPtr stream, long long *length, unsigned flags);
    int (*in_data)(virStreamPtr stream, int *data, long long *length);
    int (*event_add)(virStreamPtr stream, int events, virStreamEventCallback callback, void *opaque,
                     virFreeCallback free_opaque);
    int (*event_update)(virStreamPtr stream, int events);
    int (*event_remove)(virStreamPtr stream);
    int (*finish)(virStreamPtr stream);
    int (*abort)(virStreamPtr stream);
} StreamDriver;

/** The first members of libvirt's table. The rest is empty, and larger than in any version. */
typedef struct {
    const char *name;
    void *connect_uri_probe;
    int (*connect_open)(virConnectPtr conn, void *auth, void *conf, unsigned flags);
    int (*connect_close)(virConnectPtr conn);
    void *unused[600];
} HypervisorDriver;

typedef struct {
    bool local_only, remote_only, embeddable;
    const char **uri_schemes;
    HypervisorDriver *hypervisor;
    void *interface, *network, *node_device, *nwfilter, *secret;
    StorageDriver *storage;
} ConnectDriver;
