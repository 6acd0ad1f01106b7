/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "scratch.h"

#include <string.h>

#include "seal.h"

static const CstUuid uuid = {{1, 2, 3}};

typedef struct {
    CstSecretBytes key, value;
    uint8_t *file;
    size_t len;
} Sealed;

static int set_up(void **state)
{
    Sealed *s = g_new0(Sealed, 1);

    *state = s;
    assert_true(cst_secret_bytes_alloc(&s->key, SEAL_KEY_BYTES, NULL));
    memset(s->key.data, 7, SEAL_KEY_BYTES);
    assert_true(cst_secret_bytes_copy(&s->value, "hunter22", 8, NULL));
    assert_true(seal_close(&s->key, &uuid, 1234567890, &s->value, &s->file, &s->len, NULL));
    return 0;
}

static int tear_down(void **state)
{
    Sealed *s = *state;

    cst_secret_bytes_clear(&s->key);
    cst_secret_bytes_clear(&s->value);
    g_free(s->file);
    g_free(s);
    return 0;
}

static gboolean opens(const Sealed *s, const CstUuid *of)
{
    g_auto(CstSecretBytes) value = {0};
    g_autoptr(GError) error = NULL;

    if (seal_open(&s->key, of, s->file, s->len, "f", &value, &error)) {
        assert_memory_equal(value.data, s->value.data, s->value.len);
        return TRUE;
    }
    assert_int_equal(cst_error_code(error), CST_ERROR_INVALID_SECRET);
    assert_null(value.data);
    return FALSE;
}

/* The form, byte by byte, as it is documented: a later version must still read it. */
static void sealed_file_has_the_documented_format(void **state)
{
    const Sealed *s = *state;
    char id[SEAL_ID_TEXT];
    SealHead head;

    assert_int_equal(s->len, 40 + 8 + 16);
    assert_memory_equal(s->file, "CSTSEAL\n\0\0\0\1", 12);
    assert_memory_equal(s->file + 20, "\0\0\0\0\x49\x96\x02\xd2", 8);
    assert_true(seal_read_head(s->file, s->len, "f", &head, NULL));
    seal_key_id(&s->key, id);
    /* printf '\7%.0s' {1..32} | sha256sum */
    assert_string_equal(id, "4bb06f8e4e3a7715");
    assert_string_equal(head.key_id, id);
    assert_int_equal(head.changed, 1234567890);
    assert_true(opens(s, &uuid));
}

static void one_value_is_never_sealed_alike(void **state)
{
    const Sealed *s = *state;
    g_autofree uint8_t *again = NULL;
    size_t len;

    assert_true(seal_close(&s->key, &uuid, 1234567890, &s->value, &again, &len, NULL));
    assert_memory_not_equal(again + 28, s->file + 28, 12);
    assert_memory_not_equal(again + 40, s->file + 40, 8);
}

static void another_secrets_file_is_refused(void **state)
{
    const CstUuid other = {{1, 2, 4}};

    assert_false(opens(*state, &other));
}

static void each_changed_byte_is_noticed(void **state)
{
    Sealed *s = *state;

    for (size_t i = 0; i < s->len; i++) {
        s->file[i] ^= 1;
        assert_false(opens(s, &uuid));
        s->file[i] ^= 1;
    }
    for (; s->len > 0; s->len--)
        assert_true(opens(s, &uuid) == (s->len == 64));
}

static void wrong_key_does_not_open_a_value(void **state)
{
    Sealed *s = *state;

    s->key.data[31] ^= 0x80;
    assert_false(opens(s, &uuid));
}

static void a_version_of_later_is_named(void **state)
{
    Sealed *s = *state;
    g_autoptr(GError) error = NULL;
    SealHead head;

    s->file[11] = 2;
    assert_false(seal_read_head(s->file, s->len, "f", &head, &error));
    assert_non_null(strstr(error->message, "version 2"));
}

static void sizes_have_bounds(void **state)
{
    const Sealed *s = *state;
    g_auto(CstSecretBytes) longest = {0}, opened = {0};
    g_autofree uint8_t *file = NULL, *none = NULL;
    g_autoptr(GError) error = NULL;
    CstSecretBytes empty = {s->value.data, 0};
    size_t len;

    assert_true(cst_secret_bytes_alloc(&longest, CST_SECRET_VALUE_MAX + 1, NULL));
    scratch_failed(seal_close(&s->key, &uuid, 0, &longest, &none, &len, &error), &error,
                   CST_ERROR_INVALID);
    scratch_failed(seal_close(&s->key, &uuid, 0, &empty, &none, &len, &error), &error,
                   CST_ERROR_INVALID);
    longest.len--;
    assert_true(seal_close(&s->key, &uuid, 0, &longest, &file, &len, NULL));
    assert_int_equal(len, SEAL_MAX);
    assert_true(seal_open(&s->key, &uuid, file, len, "f", &opened, NULL));
    assert_int_equal(opened.len, CST_SECRET_VALUE_MAX);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(sealed_file_has_the_documented_format),
        TEST(one_value_is_never_sealed_alike),
        TEST(another_secrets_file_is_refused),
        TEST(each_changed_byte_is_noticed),
        TEST(wrong_key_does_not_open_a_value),
        TEST(a_version_of_later_is_named),
        TEST(sizes_have_bounds),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
