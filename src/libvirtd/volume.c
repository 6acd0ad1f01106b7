/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The functions of libvirt's table for volumes, one line each (see call.h). */
#include "volume.h"

#include "call.h"

/* clang-format off */
FORWARD_VOLUME(forward_vol_by_name, (virStoragePoolPtr pool, const char *name), READS, pool, virStorageVolLookupByName(call.pool, name))
FORWARD_VOLUME(forward_vol_by_key, (virConnectPtr conn, const char *key), READS, conn, virStorageVolLookupByKey(call.conn, key))
FORWARD_VOLUME(forward_vol_by_path, (virConnectPtr conn, const char *path), READS, conn, virStorageVolLookupByPath(call.conn, path))
FORWARD_VOLUME(forward_vol_create_xml, (virStoragePoolPtr pool, const char *xml, unsigned flags), CHANGES, pool, virStorageVolCreateXML(call.pool, xml, flags))

FORWARD_NUMBER(forward_vol_delete, (virStorageVolPtr vol, unsigned flags), CHANGES, vol, virStorageVolDelete(call.vol, flags))
FORWARD_NUMBER(forward_vol_wipe, (virStorageVolPtr vol, unsigned flags), CHANGES, vol, virStorageVolWipe(call.vol, flags))
FORWARD_NUMBER(forward_vol_wipe_pattern, (virStorageVolPtr vol, unsigned algorithm, unsigned flags), CHANGES, vol, virStorageVolWipePattern(call.vol, algorithm, flags))
FORWARD_NUMBER(forward_vol_get_info, (virStorageVolPtr vol, virStorageVolInfoPtr info), READS, vol, virStorageVolGetInfo(call.vol, info))
FORWARD_NUMBER(forward_vol_get_info_flags, (virStorageVolPtr vol, virStorageVolInfoPtr info, unsigned flags), READS, vol, virStorageVolGetInfoFlags(call.vol, info, flags))
FORWARD_TEXT(forward_vol_get_xml, (virStorageVolPtr vol, unsigned flags), READS, vol, virStorageVolGetXMLDesc(call.vol, flags))
FORWARD_TEXT(forward_vol_get_path, (virStorageVolPtr vol), READS, vol, virStorageVolGetPath(call.vol))
FORWARD_NUMBER(forward_vol_resize, (virStorageVolPtr vol, unsigned long long capacity, unsigned flags), CHANGES, vol, virStorageVolResize(call.vol, capacity, flags))
/* clang-format on */

static virStorageVolPtr forward_vol_create_xml_from(virStoragePoolPtr pool, const char *xml,
                                                    virStorageVolPtr source, unsigned flags)
{
    Call call = {.kind = CALL_CHANGES};
    virStorageVolPtr created = NULL;

    call_of_pool(&call, pool);
    call.caller_vol = source;
    if (call_begin(&call)) {
        created = call_adopt_volume(call.caller,
                                    virStorageVolCreateXMLFrom(call.pool, xml, call.vol, flags));
        call_end(&call, created != NULL);
    }
    return created;
}

void volume_fill_driver(StorageDriver *driver)
{
    driver->vol_by_name = forward_vol_by_name;
    driver->vol_by_key = forward_vol_by_key;
    driver->vol_by_path = forward_vol_by_path;
    driver->vol_create_xml = forward_vol_create_xml;
    driver->vol_create_xml_from = forward_vol_create_xml_from;
    driver->vol_delete = forward_vol_delete;
    driver->vol_wipe = forward_vol_wipe;
    driver->vol_wipe_pattern = forward_vol_wipe_pattern;
    driver->vol_get_info = forward_vol_get_info;
    driver->vol_get_info_flags = forward_vol_get_info_flags;
    driver->vol_get_xml = forward_vol_get_xml;
    driver->vol_get_path = forward_vol_get_path;
    driver->vol_resize = forward_vol_resize;
}
