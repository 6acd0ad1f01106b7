/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* A test program over a fake NBD server. Include it after cmocka.h. */

#include <string.h>

#include <base/error.h>
#include <blob/nbd.h>

#include "extent.h"
#include "nbd_fake.h"

/* Limit of calls that must time out, and of calls that must not, in seconds. */
#define SHORT 2
#define LONG  120

#define HOLE (CST_EXTENT_HOLE | CST_EXTENT_ZERO)

#define assert_code(error, wanted) assert_true(g_error_matches(error, CST_ERROR, wanted))

static FakeNbd *fake; /* a new one for each test */

/* Replaces the server, for a test with several of them. */
static inline void fake_replace(void)
{
    fake_nbd_free(fake);
    fake = fake_nbd_new();
}

static inline int set_up(void **state)
{
    fake = fake_nbd_new();
    return 0;
}

static inline int tear_down(void **state)
{
    fake_nbd_free(fake);
    return 0;
}

static inline CstBlob *fake_open(guint timeout_s)
{
    g_autoptr(GError) error = NULL;
    CstBlob *blob;

    fake_nbd_start(fake);
    blob = cst_blob_nbd_open(fake->socket, "disk", geteuid(), "the disk", timeout_s, &error);
    if (!blob)
        fail_msg("%s", error->message);
    return blob;
}

/* Asserts that the blob is dead: the server receives no further request. */
static inline void assert_dead(CstBlob *blob, const GError *first)
{
    gint connections = g_atomic_int_get(&fake->connections);
    gint requests = g_atomic_int_get(&fake->reads) + g_atomic_int_get(&fake->statuses);
    g_autoptr(GError) error = NULL;
    CstExtent extent;
    char byte;

    assert_false(cst_blob_pread(blob, &byte, 1, 0, &error));
    assert_int_equal(error->code, first->code);
    assert_string_equal(error->message, first->message);
    g_clear_error(&error);
    assert_false(cst_blob_extent(blob, 0, 1, &extent, &error));
    assert_string_equal(error->message, first->message);
    assert_int_equal(g_atomic_int_get(&fake->connections), connections);
    assert_int_equal(g_atomic_int_get(&fake->reads) + g_atomic_int_get(&fake->statuses), requests);
}

/* Reads 64 KiB and asserts the class of the failure, and that the blob is dead. */
static inline void assert_read_kills(guint timeout_s, int code)
{
    g_autoptr(CstBlob) blob = fake_open(timeout_s);
    g_autoptr(GError) error = NULL;
    char buf[65536];

    assert_false(cst_blob_pread(blob, buf, sizeof(buf), 4096, &error));
    if (!g_error_matches(error, CST_ERROR, code))
        fail_msg("%d: %s", error->code, error->message);
    assert_non_null(strstr(error->message, fake->socket));
    assert_non_null(strstr(error->message, "'disk'"));
    assert_dead(blob, error);
}

static inline void assert_status_kills(guint timeout_s, int code)
{
    g_autoptr(CstBlob) blob = fake_open(timeout_s);
    g_autoptr(GError) error = NULL;
    CstExtent extent;

    assert_false(cst_blob_extent(blob, 8192, 4096, &extent, &error));
    if (!g_error_matches(error, CST_ERROR, code))
        fail_msg("%d: %s", error->code, error->message);
    assert_dead(blob, error);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
