/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The worker class of each call. A call that may access a pool's storage, or wait for a volume, a
 * pool or a scan, must be CST_RUN_LONG. Each call of another class is on a list here, after a
 * review of its code.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "procedures.h"

/* These read the daemon's own files, /proc and /sys, or build a document from memory. */
static const char *const quick[] = {
    "cisternPoolProtected",
    "cisternPoolUsage",
    "cisternPoolUsageForecast",
    "cisternClientJobBegin",
    "cisternClientJobEnd",
    "cisternEventList",
    "cisternDoctorMute",
    "cisternDoctorMutes",
    "cisternJobCancel",
    "cisternJobInfo",
    "cisternJobList",
    "cisternJobRate",
    "cisternScheduleBegin",
    "cisternScheduleCopies",
    "cisternScheduleCopiesForget",
    "cisternScheduleCopiesSet",
    "cisternScheduleDelete",
    "cisternScheduleEnd",
    "cisternScheduleHistory",
    "cisternScheduleList",
    "cisternScheduleSet",
    "cisternTagList",
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

/* Calls about pools and of Cistern's own program that read tables in memory. */
static const char *const in_memory[] = {
    "cisternCallCancel",
    "cisternCallDetach",
    "cisternCallJob",
    "cisternCallMode",
    "cisternCallProgress",
    "cisternCallRate",
    "cisternClientJobGroup",
    "cisternClientJobProgress",
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

static CstProcedureIndex procedures;

static const CstProcedure *procedure_at(size_t i)
{
    const size_t remote = G_N_ELEMENTS(procedures.remote);

    return i < remote ? procedures.remote[i] : procedures.own[i - remote];
}

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

    for (size_t i = 0; i < G_N_ELEMENTS(procedures.remote) + G_N_ELEMENTS(procedures.own); i++) {
        const CstProcedure *row = procedure_at(i);
        gboolean listed = row && is_in(quick, G_N_ELEMENTS(quick), row->name);

        if (row && listed != (row->run == CST_RUN_QUICK))
            fail_msg("%s has class %d", row->name, row->run);
        found += listed;
    }
    assert_int_equal(found, G_N_ELEMENTS(quick));
}

static gboolean is_of_storage(const CstProcedure *row)
{
    return row->program == WIRE_CISTERN_PROGRAM || row->domain == CST_WIRE_FROM_STORAGE;
}

static void the_io_thread_touches_no_storage(void **state)
{
    guint found = 0;

    for (size_t i = 0; i < G_N_ELEMENTS(procedures.remote) + G_N_ELEMENTS(procedures.own); i++) {
        const CstProcedure *row = procedure_at(i);
        gboolean listed = row && is_in(in_memory, G_N_ELEMENTS(in_memory), row->name);

        if (row && is_of_storage(row) && listed != (row->run == CST_RUN_INLINE))
            fail_msg("%s has class %d", row->name, row->run);
        found += listed;
    }
    assert_int_equal(found, G_N_ELEMENTS(in_memory));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(calls_that_may_wait_run_where_they_may),
        cmocka_unit_test(the_io_thread_touches_no_storage),
    };

    dispatch_index(&procedures);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
