/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The content of a block device, whether it is writable and readable, and its name. */
#include "fake_kernel.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include <base/error.h>
#include <base/file.h>
#include <pool/device.h>

static int set_up(void **state)
{
    kernel_make();
    return 0;
}

static int tear_down(void **state)
{
    kernel_remove();
    return 0;
}

/* --- content ---------------------------------------------------------------------------------- */

#define KIB 1024

/* Makes a device of @size zero bytes with @len bytes of @data at @offset. */
static void put_device(size_t size, size_t offset, const void *data, size_t len)
{
    g_autofree char *path = kernel_file("/dev/disk");
    g_autofree char *content = g_malloc0(size);

    memcpy(content + offset, data, len);
    kernel_put("/dev/disk", "");
    assert_true(g_file_set_contents(path, content, (gssize)size, NULL));
}

static void assert_signature(const char *expected)
{
    g_autofree char *name = NULL;
    g_autoptr(GError) error = NULL;

    assert_true(cst_device_signature("/dev/disk", &name, &error));
    assert_true(g_strcmp0(name, expected) == 0);
}

static void signatures_are_known(void **state)
{
    static const uint8_t luks[] = {'L', 'U', 'K', 'S', 0xba, 0xbe, 0, 1};
    /* One partition, of type 83, from sector 1 on. */
    static const uint8_t dos[66] = {0, 0, 2, 0,  0x83, 0, 3, 0,           1,
                                    0, 0, 0, 16, 0,    0, 0, [64] = 0x55, [65] = 0xaa};
    g_autofree char *name = NULL;
    g_autoptr(GError) error = NULL;

    put_device(3 * KIB * KIB, 0, "", 0);
    assert_signature(NULL);
    put_device(3 * KIB * KIB, 0, luks, sizeof(luks));
    assert_signature("crypto_LUKS");
    put_device(3 * KIB * KIB, 446, dos, sizeof(dos));
    assert_signature("dos");
    assert_false(cst_device_signature("/dev/none", &name, &error));
    assert_non_null(strstr(error->message, "cannot open device '/dev/none'"));
}

static char *flushed; /* content of the device at the last flush; NULL: no flush */

gboolean __wrap_cst_blob_flush(CstBlob *blob, GError **error);
gboolean __real_cst_blob_flush(CstBlob *blob, GError **error);

gboolean __wrap_cst_blob_flush(CstBlob *blob, GError **error)
{
    g_autofree char *path = kernel_file("/dev/disk");

    g_clear_pointer(&flushed, g_free);
    assert_true(g_file_get_contents(path, &flushed, NULL, NULL));
    return __real_cst_blob_flush(blob, error);
}

/* The result is durable, so a power cut does not bring an old signature back. */
static void clearing_overwrites_both_ends(void **state)
{
    static const size_t sizes[] = {1, 512 * KIB, KIB * KIB, KIB * KIB + 1, 3 * KIB * KIB + 5};

    for (size_t i = 0; i < G_N_ELEMENTS(sizes); i++) {
        size_t size = sizes[i], end = MIN(size, KIB * KIB), len = 0;
        g_autofree char *full = g_malloc(size), *path = kernel_file("/dev/disk");
        g_autofree char *now = NULL;

        memset(full, 'x', size);
        put_device(size, 0, full, size);
        assert_true(cst_device_clear("/dev/disk", NULL));
        assert_true(g_file_get_contents(path, &now, &len, NULL));
        assert_int_equal(len, size);
        assert_non_null(flushed);
        assert_memory_equal(flushed, now, size);
        g_clear_pointer(&flushed, g_free);
        for (size_t at = 0; at < size; at++)
            if ((now[at] == 'x') != (at >= end && at < size - end))
                fail_msg("%zu: byte %zu", size, at);
    }
}

static void devices_in_use_are_not_touched(void **state)
{
    static const struct {
        int err, code;
        const char *words;
    } rows[] = {{EBUSY, CST_ERROR_BUSY, "device '/dev/disk', or a partition of it, is in use"},
                {EACCES, CST_ERROR_DENIED, "cannot open device '/dev/disk'"}};

    put_device(KIB, 0, "keep", 4);
    assert_true(cst_device_is_free("/dev/disk", NULL));
    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        g_autoptr(GError) free_error = NULL, error = NULL;
        g_autofree char *text = NULL;

        kernel_open_errno = rows[i].err;
        assert_false(cst_device_is_free("/dev/disk", &free_error));
        assert_false(cst_device_clear("/dev/disk", &error));
        assert_true(g_error_matches(free_error, CST_ERROR, rows[i].code));
        assert_true(g_error_matches(error, CST_ERROR, rows[i].code));
        assert_non_null(strstr(error->message, rows[i].words));
        text = __wrap_cst_kernel_read("/dev/disk");
        assert_string_equal(text, "keep");
    }
}

/* An error of this process, such as a lack of descriptors, is no failure of the device. */
static void a_touch_fails_with_the_device_only(void **state)
{
    static const struct {
        int err;
        gboolean works;
    } rows[] = {{EIO, FALSE}, {ENXIO, FALSE}, {ENOENT, FALSE}, {EMFILE, TRUE}, {ENOMEM, TRUE}};

    put_device(8 * KIB, 0, "text", 4);
    assert_true(cst_device_touch("/dev/disk", NULL));
    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        g_autoptr(GError) error = NULL;

        kernel_open_errno = rows[i].err;
        assert_int_equal(cst_device_touch("/dev/disk", &error), rows[i].works);
        assert_int_equal(!error, rows[i].works);
    }
}

/* --- links below a target path ---------------------------------------------------------------- */

static void a_link_that_leads_to_the_device_is_its_path(void **state)
{
    g_autofree char *in_dev = NULL, *elsewhere = NULL, *by_id = NULL, *unknown = NULL;

    kernel_put("/dev/sdb1", "8:17");
    kernel_put("/dev/sdb2", "8:18");
    kernel_put("/dev/disk/by-id/other", "8:18");
    kernel_put("/dev/disk/by-id/disk-part1", "8:17");
    kernel_put("/srv/links/here", "8:17");
    by_id = cst_device_stable_path("/dev/disk/by-id", "/dev/sdb1");
    assert_string_equal(by_id, "/dev/disk/by-id/disk-part1");
    in_dev = cst_device_stable_path("/dev", "/dev/sdb1");
    assert_string_equal(in_dev, "/dev/sdb1");
    elsewhere = cst_device_stable_path("/srv/links", "/dev/sdb1");
    assert_string_equal(elsewhere, "/dev/sdb1");
    unknown = cst_device_stable_path("/dev/disk/by-path", "/dev/sdb1");
    assert_string_equal(unknown, "/dev/sdb1");
}

#define device_test(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        device_test(signatures_are_known),
        device_test(clearing_overwrites_both_ends),
        device_test(devices_in_use_are_not_touched),
        device_test(a_touch_fails_with_the_device_only),
        device_test(a_link_that_leads_to_the_device_is_its_path),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
