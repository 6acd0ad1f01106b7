/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Procedures for domains, networks, interfaces, devices and filters, which do not exist here.
 * General libvirt tools query them before the pools, and an empty list lets the tools continue. The
 * limits and their errors are libvirt's.
 */
#include "api_private.h"

static gboolean api_empty_reply(CstApiCall *call, const void *args, void *ret, GError **error)
{
    return TRUE; /* @ret is zeroed: count 0, or an empty list */
}

static gboolean empty_up_to(CstApiCall *call, const void *args, void *ret, GError **error)
{
    return cst_api_check_max(((const wire_int *)args)->value, WIRE_LIST_MAX, "maxnames",
                             "REMOTE_LIST_MAX", error);
}

static gboolean no_devices(CstApiCall *call, const void *args, void *ret, GError **error)
{
    return cst_api_check_max(((const wire_devices_args *)args)->max, WIRE_DEVICE_LIST_MAX,
                             "maxnames", "REMOTE_NODE_DEVICE_LIST_MAX", error);
}

#define ROW(number, ...)    CST_REMOTE_PROCEDURE(number, INLINE, READ, DRIVER, __VA_ARGS__)
#define COUNT(number, name) ROW(number, name, void, int, api_empty_reply)
#define NAMES(number, name) ROW(number, name, int, names, empty_up_to)
#define ALL(number, name)   ROW(number, name, list_all_args, empty_list, api_empty_reply)

const CstProcedure cst_api_empty_procedures[] = {
    COUNT(CONNECT_NUM_OF_DOMAINS, "virConnectNumOfDomains"),
    NAMES(CONNECT_LIST_DOMAINS, "virConnectListDomains"),
    COUNT(CONNECT_NUM_OF_DEFINED_DOMAINS, "virConnectNumOfDefinedDomains"),
    NAMES(CONNECT_LIST_DEFINED_DOMAINS, "virConnectListDefinedDomains"),
    COUNT(CONNECT_NUM_OF_NETWORKS, "virConnectNumOfNetworks"),
    NAMES(CONNECT_LIST_NETWORKS, "virConnectListNetworks"),
    COUNT(CONNECT_NUM_OF_DEFINED_NETWORKS, "virConnectNumOfDefinedNetworks"),
    NAMES(CONNECT_LIST_DEFINED_NETWORKS, "virConnectListDefinedNetworks"),
    COUNT(CONNECT_NUM_OF_NWFILTERS, "virConnectNumOfNWFilters"),
    NAMES(CONNECT_LIST_NWFILTERS, "virConnectListNWFilters"),
    COUNT(CONNECT_NUM_OF_INTERFACES, "virConnectNumOfInterfaces"),
    NAMES(CONNECT_LIST_INTERFACES, "virConnectListInterfaces"),
    COUNT(CONNECT_NUM_OF_DEFINED_INTERFACES, "virConnectNumOfDefinedInterfaces"),
    NAMES(CONNECT_LIST_DEFINED_INTERFACES, "virConnectListDefinedInterfaces"),
    ALL(CONNECT_LIST_ALL_DOMAINS, "virConnectListAllDomains"),
    ALL(CONNECT_LIST_ALL_NETWORKS, "virConnectListAllNetworks"),
    ALL(CONNECT_LIST_ALL_INTERFACES, "virConnectListAllInterfaces"),
    ALL(CONNECT_LIST_ALL_NODE_DEVICES, "virConnectListAllNodeDevices"),
    ALL(CONNECT_LIST_ALL_NWFILTERS, "virConnectListAllNWFilters"),
    ALL(CONNECT_LIST_ALL_NWFILTER_BINDINGS, "virConnectListAllNWFilterBindings"),
    ROW(NODE_NUM_OF_DEVICES, "virNodeNumOfDevices", devices_num_args, int, api_empty_reply),
    ROW(NODE_LIST_DEVICES, "virNodeListDevices", devices_args, names, no_devices),
    ROW(CONNECT_GET_ALL_DOMAIN_STATS, "virConnectGetAllDomainStats", domain_stats_args, int,
        api_empty_reply),
    {0},
};
