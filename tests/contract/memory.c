/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "faults.h"

#include <pool/memory.h>
#include <pool/registry.h>

/*
 * The example backend, which the product's registry does not know: this program has a registry of
 * its own, with nothing else in it. Defined here, the archive's is not taken.
 */

const CstBackend *cst_backend_for(CstPoolType type, GError **error)
{
    return &cst_memory_backend;
}

gboolean cst_backend_exists(CstPoolType type)
{
    return type == cst_memory_backend.type;
}

static char *set_up(const char *dir)
{
    return NULL;
}

static void tear_down(void)
{
    cst_memory_clear();
}

static char *pool_xml(const char *pool)
{
    return g_strdup_printf("<pool type='rbd'><name>%s</name><source><host name='localhost'/>"
                           "<name>%s</name></source></pool>",
                           pool, pool);
}

static void clean(const char *pool)
{
    cst_memory_clear();
}

static void native_create(const char *pool, const char *volume, uint64_t size)
{
    cst_memory_put(pool, volume, NULL, size);
}

static void native_delete(const char *pool, const char *volume)
{
    assert_true(cst_memory_take(pool, volume));
}

static void hold(const char *pool, const char *volume)
{
    cst_memory_hold(pool, volume, "the guest 'x'");
}

static void let_go(const char *pool, const char *volume)
{
    cst_memory_hold(pool, volume, NULL);
}

static const Ground memory_ground = {
    .name = "memory",
    .format = "raw",
    .flags = GROUND_NEEDS_BUILD | GROUND_DELETES | GROUND_RESIZES | GROUND_GROWS_ZERO |
             GROUND_ALONE | GROUND_SNAPSHOTS | GROUND_REVERTS_ANY | GROUND_CLONES_DEPEND |
             GROUND_FLATTENS_ANY | GROUND_RENAMES | GROUND_TRASH | GROUND_TELLS | GROUND_INSIDE,
    .set_up = set_up,
    .tear_down = tear_down,
    .pool_xml = pool_xml,
    .clean = clean,
    .native_create = native_create,
    .native_delete = native_delete,
    .native_list = cst_memory_list,
    .hold = hold,
    .release = let_go,
    .own_tests = fault_tests,
};

const Ground *const grounds[] = {&memory_ground, NULL};
