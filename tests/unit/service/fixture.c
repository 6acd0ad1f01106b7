/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "fixture.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include <base/child.h>
#include <base/error.h>

int fixture_setup(void **state)
{
    Fixture *f = g_new0(Fixture, 1);

    f->root = g_dir_make_tmp("cistern-test-XXXXXX", NULL);
    f->images = g_build_filename(f->root, "images", NULL);
    f->paths = cst_paths_new(f->root);
    *state = f;
    fixture_restart(f, CST_SERVICE_DAEMON);
    return 0;
}

int fixture_teardown(void **state)
{
    Fixture *f = *state;
    const char *argv[] = {"rm", "-rf", f->root, NULL};
    CstChild child = {.argv = argv};
    g_auto(CstChildResult) result = {0};

    cst_service_free(f->service);
    assert_true(cst_child_run(&child, NULL, &result, NULL));
    cst_paths_free(f->paths);
    g_free(f->images);
    g_free(f->root);
    g_free(f);
    return 0;
}

void fixture_restart(Fixture *f, CstServiceMode mode)
{
    g_autoptr(GError) error = NULL;

    cst_service_free(f->service);
    f->service = cst_service_new(f->paths, mode, &error);
    assert_no_error(error);
    if (f->policy)
        cst_service_set_secret_policy(f->service, f->policy);
    if (mode == CST_SERVICE_DAEMON)
        cst_service_start(f->service);
}

char *fixture_pool_xml(Fixture *f, const char *name)
{
    return g_strdup_printf("<pool type='dir'><name>%s</name><target><path>%s/%s</path></target>"
                           "</pool>",
                           name, f->images, name);
}

CstPool *fixture_pool(Fixture *f, const char *name)
{
    g_autofree char *xml = fixture_pool_xml(f, name);
    g_autoptr(GError) error = NULL;
    CstPool *pool = cst_service_pool_define(f->service, xml, 0, &error);

    assert_no_error(error);
    cst_pool_build(pool, 0, NULL, &error);
    assert_no_error(error);
    cst_pool_start(pool, 0, NULL, &error);
    assert_no_error(error);
    return pool;
}

void fixture_write(Fixture *f, const char *pool, const char *name, const char *content)
{
    g_autofree char *path = g_build_filename(f->images, pool, name, NULL);

    assert_true(g_file_set_contents(path, content, -1, NULL));
}

void fixture_write_qcow(Fixture *f, const char *pool, const char *name, const char *base)
{
    uint8_t image[512] = {'Q', 'F', 'I', 0xfb, 0, 0, 0, 1};
    g_autofree char *path = g_build_filename(f->images, pool, name, NULL);

    image[15] = 64;                    /* offset of the base's name */
    image[19] = (uint8_t)strlen(base); /* length of that name */
    image[29] = 16;                    /* capacity: 1 MiB */
    image[32] = 12;                    /* bits of a cluster */
    image[33] = 9;                     /* bits of a table */
    image[46] = 1;                     /* offset of the table: 256 */
    memcpy(image + 64, base, strlen(base));
    assert_true(g_file_set_contents(path, (char *)image, sizeof(image), NULL));
}

void fixture_create_xml(CstPool *pool, const char *xml)
{
    g_autofree char *made = NULL;
    g_autoptr(GError) error = NULL;

    cst_vol_create(pool, xml, 0, NULL, &made, &error);
    assert_no_error(error);
}

void fixture_create(CstPool *pool, const char *name, const char *format, const char *more)
{
    g_autofree char *xml = g_strdup_printf(
        "<volume><name>%s</name><capacity>1048576</capacity><target><format type='%s'/></target>"
        "%s</volume>",
        name, format, more);

    fixture_create_xml(pool, xml);
}

gboolean fixture_exists(Fixture *f, const char *pool, const char *name)
{
    g_autofree char *path = g_build_filename(f->images, pool, name, NULL);

    return access(path, F_OK) == 0;
}

void assert_no_error(GError *error)
{
    if (error)
        fail_msg("%s", error->message);
}

void assert_error(GError **error, int code)
{
    assert_non_null(*error);
    if ((*error)->code != code)
        fail_msg("code %d instead of %d: %s", (*error)->code, code, (*error)->message);
    g_clear_error(error);
}
