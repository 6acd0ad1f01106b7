/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* XDR in memory: the bytes of each type (RFC 4506), and input that must be refused. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include <wire/xdr.h>

#define ROOM 64

/* Encodes @object and compares the bytes. */
static void assert_encoded(CstXdrFunc func, void *object, const void *bytes, size_t len)
{
    uint8_t buf[ROOM];
    CstXdr xdr = {.x_op = XDR_ENCODE, .at = buf, .end = buf + sizeof(buf)};

    memset(buf, 0xaa, sizeof(buf));
    assert_true(func(&xdr, object));
    assert_int_equal(xdr.at - buf, len);
    assert_memory_equal(buf, bytes, len);
    /* The same buffer, one byte too short. */
    xdr = (CstXdr){.x_op = XDR_ENCODE, .at = buf, .end = buf + len - 1};
    assert_false(func(&xdr, object));
}

static bool_t decode(CstXdrFunc func, void *object, const void *bytes, size_t len)
{
    CstXdr xdr = {.x_op = XDR_DECODE, .at = (uint8_t *)bytes, .end = (uint8_t *)bytes + len};

    return func(&xdr, object) && xdr.at == xdr.end;
}

static bool_t xdr_text(CstXdr *xdr, void *text)
{
    return xdr_string(xdr, text, 8);
}

typedef struct {
    u_int len;
    char *val;
} Counted;

static bool_t xdr_blob(CstXdr *xdr, void *blob)
{
    return xdr_bytes(xdr, &((Counted *)blob)->val, &((Counted *)blob)->len, 8);
}

static bool_t xdr_texts(CstXdr *xdr, void *texts)
{
    return xdr_array(xdr, &((Counted *)texts)->val, &((Counted *)texts)->len, 1000, sizeof(char *),
                     xdr_text);
}

static bool_t xdr_optional_text(CstXdr *xdr, void *text)
{
    return xdr_pointer(xdr, text, sizeof(char *), xdr_text);
}

static bool_t xdr_three_bytes(CstXdr *xdr, void *bytes)
{
    return xdr_opaque(xdr, bytes, 3);
}

static void numbers_have_the_bytes_of_the_specification(void **state)
{
    int number = -2, number_back = 0;
    quad_t hyper = -2, hyper_back = 0;
    u_quad_t large = UINT64_C(0x0123456789abcdef), large_back = 0;
    double real = 1.5, real_back = 0;
    char letter = -1, letter_back = 0;

    assert_encoded((CstXdrFunc)xdr_int, &number, "\xff\xff\xff\xfe", 4);
    assert_true(decode((CstXdrFunc)xdr_int, &number_back, "\xff\xff\xff\xfe", 4));
    assert_int_equal(number_back, number);
    assert_encoded((CstXdrFunc)xdr_quad_t, &hyper, "\xff\xff\xff\xff\xff\xff\xff\xfe", 8);
    assert_true(decode((CstXdrFunc)xdr_quad_t, &hyper_back, "\xff\xff\xff\xff\xff\xff\xff\xfe", 8));
    assert_true(hyper_back == hyper);
    assert_encoded((CstXdrFunc)xdr_u_quad_t, &large, "\x01\x23\x45\x67\x89\xab\xcd\xef", 8);
    assert_true(
        decode((CstXdrFunc)xdr_u_quad_t, &large_back, "\x01\x23\x45\x67\x89\xab\xcd\xef", 8));
    assert_true(large_back == large);
    assert_encoded((CstXdrFunc)xdr_double, &real, "\x3f\xf8\0\0\0\0\0\0", 8);
    assert_true(decode((CstXdrFunc)xdr_double, &real_back, "\x3f\xf8\0\0\0\0\0\0", 8));
    assert_true(real_back == real);
    assert_encoded((CstXdrFunc)xdr_char, &letter, "\xff\xff\xff\xff", 4);
    assert_true(decode((CstXdrFunc)xdr_char, &letter_back, "\xff\xff\xff\xff", 4));
    assert_int_equal(letter_back, letter);
    assert_false(decode((CstXdrFunc)xdr_int, &number_back, "\0\0\0", 3));
    assert_false(decode((CstXdrFunc)xdr_u_quad_t, &large_back, "\0\0\0\0\0\0\0", 7));
}

static void bytes_are_padded_with_zeroes(void **state)
{
    char fixed[] = "abc", fixed_back[4] = "";
    char *text = fixed, *text_back = NULL;
    Counted blob = {3, fixed}, blob_back = {0, NULL};

    assert_encoded(xdr_three_bytes, fixed, "abc\0", 4);
    assert_true(decode(xdr_three_bytes, fixed_back, "abc\0", 4));
    assert_string_equal(fixed_back, "abc");
    assert_encoded(xdr_text, &text, "\0\0\0\3abc\0", 8);
    assert_true(decode(xdr_text, &text_back, "\0\0\0\3abc\0", 8));
    assert_string_equal(text_back, "abc");
    xdr_free(xdr_text, &text_back);
    assert_null(text_back);
    assert_encoded(xdr_blob, &blob, "\0\0\0\3abc\0", 8);
    assert_true(decode(xdr_blob, &blob_back, "\0\0\0\3a\0c\0", 8));
    assert_int_equal(blob_back.len, 3);
    assert_memory_equal(blob_back.val, "a\0c", 3);
    xdr_free(xdr_blob, &blob_back);
}

static void strings_with_a_nul_or_without_their_padding_are_refused(void **state)
{
    static const struct {
        const char *bytes;
        size_t len;
    } bad[] = {
        {"\0\0\0\3a\0c\0", 8},
        {"\0\0\0\3abc", 7},
        {"\0\0\0\4abc", 7},
        {"\0\0\0\11abcdefghi\0\0", 16},
        {"\xff\xff\xff\xff"
         "abc\0",
         8},
        {"\0\0\0", 3},
    };

    for (size_t i = 0; i < G_N_ELEMENTS(bad); i++) {
        char *text = NULL;

        assert_false(decode(xdr_text, &text, bad[i].bytes, bad[i].len));
        xdr_free(xdr_text, &text);
    }
}

static void missing_or_long_strings_are_not_encoded(void **state)
{
    uint8_t buf[ROOM];
    CstXdr xdr = {.x_op = XDR_ENCODE, .at = buf, .end = buf + sizeof(buf)};
    char nine[] = "123456789", *text = nine, *missing = NULL;

    assert_false(xdr_text(&xdr, &text));
    assert_false(xdr_text(&xdr, &missing));
}

static void arrays_and_optional_objects_are_decoded(void **state)
{
    static const char bytes[] = "\0\0\0\2\0\0\0\1a\0\0\0\0\0\0\0";
    char a[] = "a", empty[] = "", *val[] = {a, empty};
    char *text = a, **present = &text, **absent = NULL, **present_back = NULL, **absent_back = NULL;
    Counted texts = {2, (char *)val}, back = {0, NULL};

    assert_encoded(xdr_texts, &texts, bytes, 16);
    assert_true(decode(xdr_texts, &back, bytes, 16));
    assert_int_equal(back.len, 2);
    assert_string_equal(((char **)(void *)back.val)[0], "a");
    assert_string_equal(((char **)(void *)back.val)[1], "");
    xdr_free(xdr_texts, &back);
    assert_null(back.val);
    assert_encoded(xdr_optional_text, &present, "\0\0\0\1\0\0\0\1a\0\0\0", 12);
    assert_true(decode(xdr_optional_text, &present_back, "\0\0\0\1\0\0\0\1a\0\0\0", 12));
    assert_string_equal(*present_back, "a");
    xdr_free(xdr_optional_text, &present_back);
    assert_encoded(xdr_optional_text, &absent, "\0\0\0\0", 4);
    assert_true(decode(xdr_optional_text, &absent_back, "\0\0\0\0", 4));
    assert_null(absent_back);
}

/* The part that was decoded before the failure is freed with the object. */
static void an_array_that_ends_too_early_is_refused(void **state)
{
    Counted back = {0, NULL};

    assert_false(decode(xdr_texts, &back, "\0\0\0\2\0\0\0\1a\0\0\0", 12));
    xdr_free(xdr_texts, &back);
    assert_null(back.val);
}

static void a_count_above_the_rest_of_the_packet_allocates_no_memory(void **state)
{
    Counted back = {0, NULL};

    assert_false(decode(xdr_texts, &back, "\0\0\3\xe8\0\0\0\0\0\0\0\0", 12));
    assert_null(back.val);
}

static void see(const void *bytes, u_int len, gboolean counted, gpointer data)
{
    g_string_append_printf(data, "%s%.*s", counted ? "+" : "-", (int)len, (const char *)bytes);
}

static void a_stream_without_a_buffer_shows_the_bytes(void **state)
{
    g_autoptr(GString) seen = g_string_new(NULL);
    CstXdr xdr = {.x_op = XDR_ENCODE, .see = see, .data = seen};
    char fixed[] = "abc", one[] = "one", empty[] = "", *val[] = {one, empty};
    Counted texts = {2, (char *)val};
    int number = 5;

    assert_true(xdr_int(&xdr, &number));
    assert_true(xdr_three_bytes(&xdr, fixed));
    assert_true(xdr_texts(&xdr, &texts));
    assert_string_equal(seen->str, "-abc+one");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(numbers_have_the_bytes_of_the_specification),
        cmocka_unit_test(bytes_are_padded_with_zeroes),
        cmocka_unit_test(strings_with_a_nul_or_without_their_padding_are_refused),
        cmocka_unit_test(missing_or_long_strings_are_not_encoded),
        cmocka_unit_test(arrays_and_optional_objects_are_decoded),
        cmocka_unit_test(an_array_that_ends_too_early_is_refused),
        cmocka_unit_test(a_count_above_the_rest_of_the_packet_allocates_no_memory),
        cmocka_unit_test(a_stream_without_a_buffer_shows_the_bytes),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
