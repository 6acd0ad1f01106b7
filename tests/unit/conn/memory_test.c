/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* If a reply finds no memory, the connection fails and the process continues. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "ask_type.h"
#include "no_memory.h"

/* Sends the type in a reply with many extra bytes, which are ignored. */
static void serve_large_reply(int fd, gpointer data)
{
    CstWireHeader call = fake_expect(fd, WIRE_PROC_CONNECT_GET_TYPE);
    g_autoptr(GByteArray) reply = g_byte_array_new();
    wire_text ret = {(char *)STORAGE};
    FakePacket packet;

    call.type = WIRE_REPLY;
    g_assert_true(cst_wire_append(reply, &call, (xdrproc_t)xdr_wire_text, &ret, NULL));
    g_byte_array_set_size(reply, 8 * 1024 * 1024);
    cst_wire_header_write(reply->data, &call, reply->len - CST_WIRE_HEADER_LEN);
    fake_write(fd, reply->data, reply->len);
    while (fake_read(fd, &packet)) /* until the client hangs up */
        fake_packet_clear(&packet);
}

/* Returns whether the allocation of the case was reached. */
static gboolean play(guint nth)
{
    FakeServer server;
    CstWireClient *client = cst_wire_client_new(fake_start(&server, serve_large_reply, NULL));
    g_autoptr(GError) first = NULL;
    g_autoptr(GError) second = NULL;
    g_autofree char *type = NULL;
    gboolean struck;

    no_memory_arm(nth);
    type = ask_type(client, &first);
    struck = no_memory_struck();
    no_memory_arm(0);
    if (struck) {
        assert_null(type);
        assert_true(g_error_matches(first, CST_ERROR, CST_ERROR_NO_MEMORY));
        assert_null(ask_type(client, &second));
        assert_string_equal(first->message, second->message);
    } else {
        assert_string_equal(type, STORAGE);
        assert_null(cst_wire_client_broken(client));
    }
    cst_wire_client_free(client);
    fake_stop(&server);
    return struck;
}

static void a_reply_without_memory_breaks_the_connection(void **state)
{
    guint cases = 0;

    while (play(cases + 1))
        cases++;
    assert_in_range(cases, 3, 20); /* the buffer as it doubles, and the reply's own memory */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_reply_without_memory_breaks_the_connection),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
