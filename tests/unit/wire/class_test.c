/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Where each call runs. What may touch a pool's storage, or wait for a volume, a pool or a scan,
 * has to be RUN_LONG; a call that is something else is on a list here, and somebody has looked
 * whether it keeps to that.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "procedures.h"

/* Read the daemon's own files, /proc and /sys; or make a document of what is in memory. */
static const char *const quick[] = {
    "cisternJobCancel",
    "cisternJobInfo",
    "cisternJobList",
    "cisternJobRate",
    "virConnectGetCapabilities",
    "virConnectGetStoragePoolCapabilities",
    "virConnectListAllSecrets",
    "virConnectListSecrets",
    "virConnectNumOfSecrets",
    "virNodeGetCPUMap",
    "virNodeGetInfo",
    "virNodeGetMemoryStats",
    "virSecretDefineXML",
    "virSecretGetValue",
    "virSecretGetXMLDesc",
    "virSecretLookupByUUID",
    "virSecretLookupByUsage",
    "virSecretSetValue",
    "virSecretUndefine",
    "virStoragePoolDefineXML",
    "virStoragePoolGetXMLDesc",
    "virStoragePoolLookupByTargetPath",
    "virStoragePoolSetAutostart",
};

/* Of pools, and of Cistern's own program: look at tables in memory. */
static const char *const in_memory[] = {
    "cisternCallCancel",
    "cisternCallDetach",
    "cisternCallJob",
    "cisternCallMode",
    "cisternCallProgress",
    "cisternCallRate",
    "cisternPoolStatus",
    "cisternVersion",
    "virConnectListAllStoragePools",
    "virConnectListDefinedStoragePools",
    "virConnectListStoragePools",
    "virConnectNumOfDefinedStoragePools",
    "virConnectNumOfStoragePools",
    "virStoragePoolGetAutostart",
    "virStoragePoolGetInfo",
    "virStoragePoolIsActive",
    "virStoragePoolIsPersistent",
    "virStoragePoolLookupByName",
    "virStoragePoolLookupByUUID",
    "virStoragePoolLookupByVolume",
};

static const Procedure *const tables[] = {
    procedures_pool, procedures_vol,     procedures_secret, procedures_node,    procedures_connect,
    procedures_job,  procedures_cistern, procedures_image,  procedures_snapshot};

static gboolean is_in(const char *const *list, size_t count, const char *api)
{
    for (size_t i = 0; i < count; i++)
        if (strcmp(list[i], api) == 0)
            return TRUE;
    return FALSE;
}

static void calls_that_may_wait_run_where_they_may(void **state)
{
    guint found = 0;

    for (size_t i = 0; i < G_N_ELEMENTS(tables); i++)
        for (const Procedure *row = tables[i]; row->handler; row++) {
            gboolean listed = is_in(quick, G_N_ELEMENTS(quick), row->api);

            if (listed != (row->run == RUN_QUICK))
                fail_msg("%s has class %d", row->api, row->run);
            found += listed;
        }
    assert_int_equal(found, G_N_ELEMENTS(quick));
}

static void the_io_thread_touches_no_storage(void **state)
{
    static const Procedure *const of_storage[] = {procedures_pool,  procedures_vol,
                                                  procedures_job,   procedures_cistern,
                                                  procedures_image, procedures_snapshot};

    for (size_t i = 0; i < G_N_ELEMENTS(of_storage); i++)
        for (const Procedure *row = of_storage[i]; row->handler; row++)
            if (is_in(in_memory, G_N_ELEMENTS(in_memory), row->api) != (row->run == RUN_INLINE))
                fail_msg("%s has class %d", row->api, row->run);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(calls_that_may_wait_run_where_they_may),
        cmocka_unit_test(the_io_thread_touches_no_storage),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
