/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include <base/error.h>
#include <base/flags.h>
#include <wire/codec.h>

static const CstWireHeader reply_header = {
    .program = WIRE_REMOTE_PROGRAM,
    .version = WIRE_VERSION,
    .procedure = WIRE_PROC_STORAGE_POOL_CREATE,
    .type = WIRE_REPLY,
    .serial = 3,
};

static void decode(GByteArray *packet, wire_error *ret)
{
    memset(ret, 0, sizeof(*ret));
    assert_true(
        cst_wire_payload_decode(packet->data, packet->len, (xdrproc_t)xdr_wire_error, ret, NULL));
}

static void clear(wire_error *wire)
{
    xdr_free((xdrproc_t)xdr_wire_error, (char *)wire);
}

static void error_class_survives_encoding_and_decoding(void **state)
{
    for (int code = 0; code < CST_ERROR_LAST; code++) {
        g_autoptr(GByteArray) packet = g_byte_array_new();
        g_autoptr(GError) sent = g_error_new_literal(CST_ERROR, code, "the detail 'x'");
        g_autoptr(GError) back = NULL;
        g_autofree char *said = NULL, *heard = NULL;

        if (code == CST_ERROR_FLAGS)
            sent->message = (g_free(sent->message), g_strdup("(0x8) in function f"));
        cst_wire_append_error(packet, &reply_header, CST_WIRE_FROM_STORAGE, sent);
        assert_false(cst_wire_error_decode(packet->data, packet->len, &back));
        said = cst_error_text(sent);
        heard = cst_error_text(back);
        assert_string_equal(heard, said);
        assert_int_equal(back->code, code == CST_ERROR_FLAGS ? CST_ERROR_FLAGS : code);
    }
}

static void the_struct_has_libvirts_shape(void **state)
{
    g_autoptr(GByteArray) packet = g_byte_array_new();
    g_autoptr(GError) error = NULL;
    CstWireHeader header;
    wire_error wire;

    cst_fail(&error, CST_ERROR_NO_POOL, "no storage pool with matching name '%s'", "x");
    cst_wire_append_error(packet, &reply_header, CST_WIRE_FROM_STORAGE, error);
    cst_wire_header_read(packet->data, &header);
    assert_int_equal(header.status, WIRE_ERROR);
    decode(packet, &wire);
    assert_int_equal(wire.code, 49);
    assert_int_equal(wire.domain, 18);
    assert_int_equal(wire.level, 2);
    assert_string_equal(*wire.message,
                        "Storage pool not found: no storage pool with matching name 'x'");
    assert_string_equal(*wire.str1, "Storage pool not found: %s");
    assert_string_equal(*wire.str2, "no storage pool with matching name 'x'");
    assert_null(wire.dom);
    assert_null(wire.net);
    assert_int_equal(wire.int1, -1);
    assert_int_equal(wire.int2, -1);
    clear(&wire);
}

static void unknown_flags_are_reported_with_the_text_of_libvirt(void **state)
{
    g_autoptr(GByteArray) packet = g_byte_array_new();
    g_autoptr(GError) error = NULL;
    wire_error wire;

    assert_false(cst_flags_check(0x10, 0x1, "storagePoolCreate", &error));
    cst_wire_append_error(packet, &reply_header, CST_WIRE_FROM_STORAGE, error);
    decode(packet, &wire);
    assert_int_equal(wire.code, 8);
    assert_string_equal(*wire.message, "unsupported flags (0x10) in function storagePoolCreate");
    assert_string_equal(*wire.str1, "storagePoolCreate");
    assert_string_equal(*wire.str2, "flags");
    assert_int_equal(wire.int1, 0);
    assert_int_equal(wire.int2, 0);
    clear(&wire);
}

static void protocol_errors_speak_for_the_rpc(void **state)
{
    g_autoptr(GByteArray) packet = g_byte_array_new();
    g_autoptr(GError) error = NULL;
    wire_error wire;

    cst_fail(&error, CST_ERROR_RPC, "unknown procedure: %d", 9999);
    cst_wire_append_error(packet, &reply_header, CST_WIRE_FROM_STORAGE, error);
    decode(packet, &wire);
    assert_int_equal(wire.code, 39);
    assert_int_equal(wire.domain, 7);
    clear(&wire);
}

/* As a stock libvirtd sends it: no third string, words of its own. */
static GError *hear(int code, const char *message, int int1)
{
    g_autoptr(GByteArray) packet = g_byte_array_new();
    g_autofree char *text = g_strdup(message);
    wire_error wire = {.code = code, .level = 2, .message = message ? &text : NULL, .int1 = int1};
    CstWireHeader header = reply_header;
    GError *error = NULL;

    header.status = WIRE_ERROR;
    assert_true(cst_wire_append(packet, &header, (xdrproc_t)xdr_wire_error, &wire, NULL));
    assert_false(cst_wire_error_decode(packet->data, packet->len, &error));
    return error;
}

static void assert_heard(int wire, const char *message, int int1, CstErrorCode code)
{
    g_autoptr(GError) error = hear(wire, message, int1);
    g_autofree char *text = cst_error_text(error);

    assert_int_equal(error->code, code);
    assert_string_equal(text, message);
}

static void errors_of_a_stock_server_keep_their_sentence(void **state)
{
    assert_heard(49, "Storage pool not found: no storage pool with matching name 'x'", -1,
                 CST_ERROR_NO_POOL);
    assert_heard(90, "storage volume name 'a' already in use.", -1, CST_ERROR_IO);
    assert_heard(8, "invalid argument: nothing to see", 0, CST_ERROR_INVALID);
    assert_heard(8, "unsupported flags (0x4) in function f", 0, CST_ERROR_FLAGS);
    assert_heard(38, "cannot open '/x': Permission denied", EACCES, CST_ERROR_DENIED);
    assert_heard(38, "cannot open '/x': No such file or directory", ENOENT, CST_ERROR_NOT_FOUND);
    assert_heard(38, "cannot write: Input/output error", EIO, CST_ERROR_IO);
    assert_heard(3, "this function is not supported by the connection driver: virX", -1,
                 CST_ERROR_NO_SUPPORT);
    assert_heard(39, "Cannot find program 1128878932 version 1", -1, CST_ERROR_RPC);
    assert_heard(49, "pool weg", -1, CST_ERROR_NOT_FOUND);
}

static void error_without_a_message_gets_a_default_text(void **state)
{
    g_autoptr(GError) error = hear(1, NULL, -1);

    assert_non_null(strstr(error->message, "no error message"));
}

static void a_broken_error_struct_is_an_rpc_error(void **state)
{
    g_autoptr(GByteArray) packet = g_byte_array_new();
    g_autoptr(GError) error = NULL;

    cst_wire_append_raw(packet, &reply_header, "\0\0\0", 3);
    assert_false(cst_wire_error_decode(packet->data, packet->len, &error));
    assert_int_equal(error->code, CST_ERROR_RPC);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(error_class_survives_encoding_and_decoding),
        cmocka_unit_test(the_struct_has_libvirts_shape),
        cmocka_unit_test(unknown_flags_are_reported_with_the_text_of_libvirt),
        cmocka_unit_test(protocol_errors_speak_for_the_rpc),
        cmocka_unit_test(errors_of_a_stock_server_keep_their_sentence),
        cmocka_unit_test(error_without_a_message_gets_a_default_text),
        cmocka_unit_test(a_broken_error_struct_is_an_rpc_error),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
