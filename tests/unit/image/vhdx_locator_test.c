/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Parent locators as other programs may write them. Keys and values may be anywhere inside, up to
 * the last byte. An entry that points outside of the locator is ignored.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <string.h>

#include "bytes.h"
#include "vhdx/header.h"

enum { HEADER_LEN = 20, ENTRY_LEN = 12, LEN = 5000, LONGEST = 4096 };

/** A locator, of which the first bytes are used. */
typedef struct {
    uint8_t raw[LEN];
    unsigned entries;
} Locator;

static void put_text(Locator *locator, uint32_t at, const char *text)
{
    for (size_t i = 0; text[i] != '\0'; i++)
        cst_put_le16(locator->raw + at + 2 * i, (uint16_t)text[i]);
}

static void add_entry(Locator *locator, uint32_t key, uint32_t value, uint16_t key_len,
                      uint16_t value_len)
{
    uint8_t *entry = locator->raw + HEADER_LEN + locator->entries++ * ENTRY_LEN;

    cst_put_le16(locator->raw + 18, (uint16_t)locator->entries);
    cst_put_le32(entry, key);
    cst_put_le32(entry + 4, value);
    cst_put_le16(entry + 8, key_len);
    cst_put_le16(entry + 10, value_len);
}

/* Reads from memory that ends with the locator. @wanted NULL: the locator has no such key. */
static void assert_value(const Locator *locator, size_t len, const char *key, const char *wanted)
{
    g_autofree uint8_t *raw = g_memdup2(locator->raw, len);
    g_autofree char *value = vhdx_locator_value(raw, len, key);

    if (g_strcmp0(value, wanted) != 0)
        fail_msg("%s of %zu bytes is %s, not %s", key, len, value ? value : "none",
                 wanted ? wanted : "none");
}

static void texts_may_end_where_the_locator_does(void **state)
{
    for (int value_last = 0; value_last < 2; value_last++) {
        uint32_t key = value_last ? 100 : 200, value = value_last ? 200 : 100;
        Locator locator = {0};

        put_text(&locator, key, "name");
        put_text(&locator, value, "what");
        add_entry(&locator, key, value, 8, 8);
        assert_value(&locator, 209, "name", "what");
        assert_value(&locator, 208, "name", "what");
        assert_value(&locator, 207, "name", NULL);
        assert_value(&locator, 200, "name", NULL);
        assert_value(&locator, 199, "name", NULL);
        assert_value(&locator, 208, "nam", NULL);
        assert_value(&locator, 208, "other", NULL);
    }
}

static void empty_texts_may_lie_at_the_end(void **state)
{
    Locator no_key = {0}, no_value = {0};

    put_text(&no_key, 100, "what");
    add_entry(&no_key, 200, 100, 0, 8);
    assert_value(&no_key, 200, "", "what");
    assert_value(&no_key, 199, "", NULL);
    put_text(&no_value, 100, "name");
    add_entry(&no_value, 100, 200, 8, 0);
    assert_value(&no_value, 200, "name", "");
    assert_value(&no_value, 199, "name", NULL);
}

static void entry_counts_only_if_it_is_complete(void **state)
{
    const size_t end = HEADER_LEN + 2 * ENTRY_LEN;
    Locator locator = {0};

    put_text(&locator, 0, "ab"); /* over the header, which the search does not read */
    add_entry(&locator, 0, 0, 2, 2);
    add_entry(&locator, 2, 0, 2, 4);
    assert_value(&locator, end, "a", "a");
    assert_value(&locator, end, "b", "ab");
    assert_value(&locator, end - 1, "a", "a");
    assert_value(&locator, end - 1, "b", NULL);
    cst_put_le16(locator.raw + 18, 1);
    assert_value(&locator, end, "b", NULL);
    cst_put_le16(locator.raw + 18, 0xffff);
    assert_value(&locator, end, "b", "ab");
    assert_value(&locator, HEADER_LEN, "a", NULL);
}

/* Entries before an entry that points outside are found. Entries after it are not. */
static void a_bad_entry_ends_the_search(void **state)
{
    static const struct {
        uint32_t key, value;
        uint16_t key_len, value_len;
    } bad[] = {{UINT32_MAX, 100, 8, 8},
               {100, UINT32_MAX, 8, 8},
               {LEN - 6, 100, 8, 8},
               {100, LEN - 6, 8, 8},
               {100, 0, 8, LONGEST + 2}};

    for (size_t i = 0; i < G_N_ELEMENTS(bad); i++) {
        Locator locator = {0};

        put_text(&locator, 100, "firstlastx");
        add_entry(&locator, 100, 118, 10, 2);
        add_entry(&locator, bad[i].key, bad[i].value, bad[i].key_len, bad[i].value_len);
        add_entry(&locator, 110, 118, 8, 2);
        assert_value(&locator, LEN, "first", "x");
        assert_value(&locator, LEN, "last", NULL);
    }
}

static void long_keys_are_passed_over_and_long_values_are_read(void **state)
{
    g_autofree char *text = g_strnfill(LONGEST / 2, 'v'), *key = g_strnfill(64, 'k');
    g_autofree char *longer = g_strnfill(65, 'k');
    Locator locator = {0};

    put_text(&locator, 100, text);
    put_text(&locator, 100 + LONGEST, longer);
    add_entry(&locator, 100 + LONGEST, 100, 130, LONGEST);
    add_entry(&locator, 100 + LONGEST, 100, 128, LONGEST);
    assert_value(&locator, LEN, longer, NULL);
    assert_value(&locator, LEN, key, text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(texts_may_end_where_the_locator_does),
        cmocka_unit_test(empty_texts_may_lie_at_the_end),
        cmocka_unit_test(entry_counts_only_if_it_is_complete),
        cmocka_unit_test(a_bad_entry_ends_the_search),
        cmocka_unit_test(long_keys_are_passed_over_and_long_values_are_read),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
