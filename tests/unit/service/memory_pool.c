/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "memory_pool.h"

#include "await.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <pool/registry.h>

CstBackend test_backend;

const CstBackend *cst_backend_for(CstPoolType type, GError **error)
{
    return &test_backend;
}

gboolean cst_backend_exists(CstPoolType type)
{
    return type == test_backend.type;
}

int memory_setup(void **state)
{
    test_backend = cst_memory_backend;
    return fixture_setup(state);
}

int memory_teardown(void **state)
{
    int result;

    cst_memory_release();
    result = fixture_teardown(state);
    cst_memory_clear();
    return result;
}

char *memory_pool_xml(const char *name)
{
    return g_strdup_printf("<pool type='rbd'><name>%s</name><source><host name='localhost'/>"
                           "<name>%s</name></source></pool>",
                           name, name);
}

CstPool *memory_pool(Fixture *f, const char *name)
{
    g_autofree char *xml = memory_pool_xml(name);
    g_autoptr(GError) error = NULL;
    CstPool *pool = cst_service_pool_define(f->service, xml, 0, &error);

    assert_no_error(error);
    cst_pool_start(pool, CST_POOL_CREATE_WITH_BUILD, NULL, &error);
    assert_no_error(error);
    return pool;
}

void memory_put(const char *store, const char *volume, size_t len)
{
    g_autofree char *data = g_malloc0(len);

    cst_memory_put(store, volume, data, len);
}

void memory_await_hang(const char *callback)
{
    AWAIT_STATE(cst_memory_hangs(callback), "callback: %s", callback);
}
