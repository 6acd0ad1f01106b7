/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "procedures.h"

/*
 * Machines, networks, interfaces, devices and filters: there are none here. Tools made for any
 * libvirt ask for them on their way to the pools, and an empty list lets them go on.
 */

static gboolean empty(Call *call, const void *args, void *ret, GError **error)
{
    return TRUE; /* @ret is zeroed: the count 0, or a list without elements */
}

static gboolean empty_up_to(Call *call, const void *args, void *ret, GError **error)
{
    return check_max(((const wire_int *)args)->value, WIRE_LIST_MAX, "maxnames", "REMOTE_LIST_MAX",
                     error);
}

static gboolean no_devices(Call *call, const void *args, void *ret, GError **error)
{
    return check_max(((const wire_devices_args *)args)->max, WIRE_DEVICE_LIST_MAX, "maxnames",
                     "REMOTE_NODE_DEVICE_LIST_MAX", error);
}

#define ROW(number, api, permission, args, ret, handler)                                         \
    {                                                                                            \
        WIRE_PROC_##number, RUN_INLINE, NEEDS_READ, api, permission, CST_WIRE_FROM_DRIVER, args, \
            ret, handler, NULL, NULL, NULL                                                       \
    }
#define NUM(number, api, permission) ROW(number, api, permission, NOTHING, WIRE_TYPE(int), empty)
#define NAMES(number, api, permission) \
    ROW(number, api, permission, WIRE_TYPE(int), WIRE_TYPE(names), empty_up_to)
#define ALL(number, api, permission) \
    ROW(number, api, permission, WIRE_TYPE(list_all_args), WIRE_TYPE(empty_list), empty)

const Procedure procedures_empty[] = {
    NUM(CONNECT_NUM_OF_DOMAINS, "virConnectNumOfDomains", "conn:search_domains"),
    NAMES(CONNECT_LIST_DOMAINS, "virConnectListDomains", "conn:search_domains"),
    NUM(CONNECT_NUM_OF_DEFINED_DOMAINS, "virConnectNumOfDefinedDomains", "conn:search_domains"),
    NAMES(CONNECT_LIST_DEFINED_DOMAINS, "virConnectListDefinedDomains", "conn:search_domains"),
    NUM(CONNECT_NUM_OF_NETWORKS, "virConnectNumOfNetworks", "conn:search_networks"),
    NAMES(CONNECT_LIST_NETWORKS, "virConnectListNetworks", "conn:search_networks"),
    NUM(CONNECT_NUM_OF_DEFINED_NETWORKS, "virConnectNumOfDefinedNetworks", "conn:search_networks"),
    NAMES(CONNECT_LIST_DEFINED_NETWORKS, "virConnectListDefinedNetworks", "conn:search_networks"),
    NUM(CONNECT_NUM_OF_NWFILTERS, "virConnectNumOfNWFilters", "conn:search_nwfilters"),
    NAMES(CONNECT_LIST_NWFILTERS, "virConnectListNWFilters", "conn:search_nwfilters"),
    NUM(CONNECT_NUM_OF_INTERFACES, "virConnectNumOfInterfaces", "conn:search_interfaces"),
    NAMES(CONNECT_LIST_INTERFACES, "virConnectListInterfaces", "conn:search_interfaces"),
    NUM(CONNECT_NUM_OF_DEFINED_INTERFACES, "virConnectNumOfDefinedInterfaces",
        "conn:search_interfaces"),
    NAMES(CONNECT_LIST_DEFINED_INTERFACES, "virConnectListDefinedInterfaces",
          "conn:search_interfaces"),
    ALL(CONNECT_LIST_ALL_DOMAINS, "virConnectListAllDomains", "conn:search_domains"),
    ALL(CONNECT_LIST_ALL_NETWORKS, "virConnectListAllNetworks", "conn:search_networks"),
    ALL(CONNECT_LIST_ALL_INTERFACES, "virConnectListAllInterfaces", "conn:search_interfaces"),
    ALL(CONNECT_LIST_ALL_NODE_DEVICES, "virConnectListAllNodeDevices", "conn:search_node_devices"),
    ALL(CONNECT_LIST_ALL_NWFILTERS, "virConnectListAllNWFilters", "conn:search_nwfilters"),
    ALL(CONNECT_LIST_ALL_NWFILTER_BINDINGS, "virConnectListAllNWFilterBindings",
        "conn:search_nwfilter_bindings"),
    ROW(NODE_NUM_OF_DEVICES, "virNodeNumOfDevices", "conn:search_node_devices",
        WIRE_TYPE(devices_num_args), WIRE_TYPE(int), empty),
    ROW(NODE_LIST_DEVICES, "virNodeListDevices", "conn:search_node_devices",
        WIRE_TYPE(devices_args), WIRE_TYPE(names), no_devices),
    ROW(CONNECT_GET_ALL_DOMAIN_STATS, "virConnectGetAllDomainStats", "conn:search_domains",
        WIRE_TYPE(domain_stats_args), WIRE_TYPE(int), empty),
    {0},
};
