/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The functions of libvirt's table for connections and pools, one line each (see call.h). */
#include "pool.h"

#include "call.h"

/* clang-format off */
FORWARD_NUMBER(forward_num_of_pools, (virConnectPtr conn), READS, conn, virConnectNumOfStoragePools(call.conn))
FORWARD_NUMBER(forward_list_pools, (virConnectPtr conn, char **const names, int max), READS, conn, virConnectListStoragePools(call.conn, names, max))
FORWARD_NUMBER(forward_num_of_defined_pools, (virConnectPtr conn), READS, conn, virConnectNumOfDefinedStoragePools(call.conn))
FORWARD_NUMBER(forward_list_defined_pools, (virConnectPtr conn, char **const names, int max), READS, conn, virConnectListDefinedStoragePools(call.conn, names, max))
FORWARD_NUMBER(forward_list_all_pools, (virConnectPtr conn, virStoragePoolPtr **pools, unsigned flags), READS, conn, call_adopt_pools(conn, pools, virConnectListAllStoragePools(call.conn, pools, flags)))
FORWARD_TEXT(forward_find_pool_sources, (virConnectPtr conn, const char *type, const char *source, unsigned flags), READS, conn, virConnectFindStoragePoolSources(call.conn, type, source, flags))
FORWARD_TEXT(forward_pool_capabilities, (virConnectPtr conn, unsigned flags), READS, conn, virConnectGetStoragePoolCapabilities(call.conn, flags))

FORWARD_POOL(forward_pool_by_name, (virConnectPtr conn, const char *name), READS, conn, virStoragePoolLookupByName(call.conn, name))
FORWARD_POOL(forward_pool_by_uuid, (virConnectPtr conn, const unsigned char *uuid), READS, conn, virStoragePoolLookupByUUID(call.conn, uuid))
FORWARD_POOL(forward_pool_by_volume, (virStorageVolPtr vol), READS, vol, virStoragePoolLookupByVolume(call.vol))
FORWARD_POOL(forward_pool_by_target_path, (virConnectPtr conn, const char *path), READS, conn, virStoragePoolLookupByTargetPath(call.conn, path))
FORWARD_POOL(forward_pool_create_xml, (virConnectPtr conn, const char *xml, unsigned flags), CHANGES, conn, virStoragePoolCreateXML(call.conn, xml, flags))
FORWARD_POOL(forward_pool_define_xml, (virConnectPtr conn, const char *xml, unsigned flags), CHANGES, conn, virStoragePoolDefineXML(call.conn, xml, flags))

FORWARD_NUMBER(forward_pool_build, (virStoragePoolPtr pool, unsigned flags), CHANGES, pool, virStoragePoolBuild(call.pool, flags))
FORWARD_NUMBER(forward_pool_undefine, (virStoragePoolPtr pool), CHANGES, pool, virStoragePoolUndefine(call.pool))
FORWARD_NUMBER(forward_pool_create, (virStoragePoolPtr pool, unsigned flags), CHANGES, pool, virStoragePoolCreate(call.pool, flags))
FORWARD_NUMBER(forward_pool_destroy, (virStoragePoolPtr pool), CHANGES, pool, virStoragePoolDestroy(call.pool))
FORWARD_NUMBER(forward_pool_delete, (virStoragePoolPtr pool, unsigned flags), CHANGES, pool, virStoragePoolDelete(call.pool, flags))
FORWARD_NUMBER(forward_pool_refresh, (virStoragePoolPtr pool, unsigned flags), CHANGES, pool, virStoragePoolRefresh(call.pool, flags))
FORWARD_NUMBER(forward_pool_get_info, (virStoragePoolPtr pool, virStoragePoolInfoPtr info), READS, pool, virStoragePoolGetInfo(call.pool, info))
FORWARD_TEXT(forward_pool_get_xml, (virStoragePoolPtr pool, unsigned flags), READS, pool, virStoragePoolGetXMLDesc(call.pool, flags))
FORWARD_NUMBER(forward_pool_get_autostart, (virStoragePoolPtr pool, int *autostart), READS, pool, virStoragePoolGetAutostart(call.pool, autostart))
FORWARD_NUMBER(forward_pool_set_autostart, (virStoragePoolPtr pool, int autostart), CHANGES, pool, virStoragePoolSetAutostart(call.pool, autostart))
FORWARD_NUMBER(forward_pool_num_of_volumes, (virStoragePoolPtr pool), READS, pool, virStoragePoolNumOfVolumes(call.pool))
FORWARD_NUMBER(forward_pool_list_volumes, (virStoragePoolPtr pool, char **const names, int max), READS, pool, virStoragePoolListVolumes(call.pool, names, max))
FORWARD_NUMBER(forward_pool_list_all_volumes, (virStoragePoolPtr pool, virStorageVolPtr **vols, unsigned flags), READS, pool, call_adopt_volumes(call.caller, vols, virStoragePoolListAllVolumes(call.pool, vols, flags)))
FORWARD_NUMBER(forward_pool_is_active, (virStoragePoolPtr pool), READS, pool, virStoragePoolIsActive(call.pool))
FORWARD_NUMBER(forward_pool_is_persistent, (virStoragePoolPtr pool), READS, pool, virStoragePoolIsPersistent(call.pool))
/* clang-format on */

void pool_fill_driver(StorageDriver *driver)
{
    driver->num_of_pools = forward_num_of_pools;
    driver->list_pools = forward_list_pools;
    driver->num_of_defined_pools = forward_num_of_defined_pools;
    driver->list_defined_pools = forward_list_defined_pools;
    driver->list_all_pools = forward_list_all_pools;
    driver->find_pool_sources = forward_find_pool_sources;
    driver->pool_capabilities = forward_pool_capabilities;
    driver->pool_by_name = forward_pool_by_name;
    driver->pool_by_uuid = forward_pool_by_uuid;
    driver->pool_by_volume = forward_pool_by_volume;
    driver->pool_by_target_path = forward_pool_by_target_path;
    driver->pool_create_xml = forward_pool_create_xml;
    driver->pool_define_xml = forward_pool_define_xml;
    driver->pool_build = forward_pool_build;
    driver->pool_undefine = forward_pool_undefine;
    driver->pool_create = forward_pool_create;
    driver->pool_destroy = forward_pool_destroy;
    driver->pool_delete = forward_pool_delete;
    driver->pool_refresh = forward_pool_refresh;
    driver->pool_get_info = forward_pool_get_info;
    driver->pool_get_xml = forward_pool_get_xml;
    driver->pool_get_autostart = forward_pool_get_autostart;
    driver->pool_set_autostart = forward_pool_set_autostart;
    driver->pool_num_of_volumes = forward_pool_num_of_volumes;
    driver->pool_list_volumes = forward_pool_list_volumes;
    driver->pool_list_all_volumes = forward_pool_list_all_volumes;
    driver->pool_is_active = forward_pool_is_active;
    driver->pool_is_persistent = forward_pool_is_persistent;
}
