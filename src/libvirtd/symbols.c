/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Private symbols of the libvirt that has loaded this module, found by name at run time, and the
 * reports of the module. A missing symbol means an unknown libvirt: the module then registers no
 * driver, and libvirtd starts without storage.
 */
#include "symbols.h"

#include <dlfcn.h>
#include <stdarg.h>
#include <stdio.h>

Symbols symbols;

const char *symbols_load(void)
{
    const struct {
        void *function; /* address of a member of symbols */
        const char *name;
    } wanted[] = {
        {&symbols.set_error, "virSetError"},
        {&symbols.object_unref, "virObjectUnref"},
        {&symbols.register_connect_driver, "virRegisterConnectDriver"},
        {&symbols.share_storage_driver, "virSetSharedStorageDriver"},
        {&symbols.get_pool, "virGetStoragePool"},
        {&symbols.get_volume, "virGetStorageVol"},
        {&symbols.identity_current, "virIdentityGetCurrent"},
        {&symbols.identity_uid, "virIdentityGetUNIXUserID"},
        {&symbols.identity_gid, "virIdentityGetUNIXGroupID"},
        {&symbols.identity_pid, "virIdentityGetProcessID"},
        {&symbols.identity_start, "virIdentityGetProcessTime"},
        {&symbols.identity_user, "virIdentityGetUserName"},
    };

    for (size_t i = 0; i < G_N_ELEMENTS(wanted); i++) {
        void *found = dlsym(RTLD_DEFAULT, wanted[i].name);

        if (!found)
            return wanted[i].name;
        *(void **)wanted[i].function = found;
    }
    return NULL;
}

void module_log(const char *format, ...)
{
    g_autofree char *text = NULL;
    va_list arguments;

    va_start(arguments, format);
    text = g_strdup_vprintf(format, arguments);
    va_end(arguments);
    fprintf(stderr, "libvirt_driver_storage of Cistern: %s\n", text);
}

void module_fail(int code, const char *format, ...)
{
    g_autofree char *text = NULL;
    virError error = {.code = code, .domain = VIR_FROM_STORAGE, .level = VIR_ERR_ERROR};
    va_list arguments;

    va_start(arguments, format);
    text = g_strdup_vprintf(format, arguments);
    va_end(arguments);
    error.message = text;
    symbols.set_error(&error);
}
