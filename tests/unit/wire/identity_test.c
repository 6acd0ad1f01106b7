/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "probe.h"

#include <base/error_class.h>

/*
 * CONNECT_SET_IDENTITY, and the identity that the service gets with a request for a secret's value.
 */

#define TOKEN "0123456789abcdef0123456789abcdef"
enum { LLONG = 3, ULLONG = 4, STRING = 7 };

/* Only encoded, never freed or changed. */
static wire_param text_param(const char *field, const char *value)
{
    wire_param param = {.field = (char *)field, .value = {.type = STRING}};

    param.value.wire_param_value_u.s = (char *)value;
    return param;
}

static wire_param number_param(const char *field, int type, uint64_t value)
{
    wire_param param = {.field = (char *)field, .value = {.type = type}};

    param.value.wire_param_value_u.ul = value;
    return param;
}

static wire_identity_args identity(wire_param *params, guint count)
{
    wire_identity_args args = {0};

    args.params.params_val = params;
    args.params.params_len = count;
    return args;
}

static void set(Probe *probe, wire_param *params, guint count)
{
    wire_identity_args args = identity(params, count);

    probe_call(probe, WIRE_PROC_CONNECT_SET_IDENTITY, XDR_OF(identity_args), &args, NULL, NULL);
}

static void assert_refused(Probe *probe, wire_param *params, guint count, CstErrorCode code)
{
    wire_identity_args args = identity(params, count);

    g_free(probe_call_error(probe, WIRE_PROC_CONNECT_SET_IDENTITY, XDR_OF(identity_args), &args,
                            cst_error_info((int)code)->wire));
}

/* Asserts the token that the service gets with a request for the value. */
static void assert_token(Probe *probe, const char *token)
{
    char usage[] = "usage";
    wire_secret_flags_args args = {.secret.usage_id = usage};
    wire_secret_value_ret ret = {0};

    memcpy(args.secret.uuid, fake_secret_uuid.bytes, sizeof(fake_secret_uuid.bytes));
    probe_call(probe, WIRE_PROC_SECRET_GET_VALUE, XDR_OF(secret_flags_args), &args,
               XDR_OF(secret_value_ret), &ret);
    xdr_free(XDR_OF(secret_value_ret), (char *)&ret);
    assert_string_equal(fake.token, token);
}

static void the_token_of_the_last_identity_counts(void **state)
{
    Probe probe = probe_open(*state, FALSE), other = probe_open(*state, FALSE);
    wire_param all[] = {text_param("user-name", "root"),
                        number_param("unix-user-id", ULLONG, 0),
                        text_param("group-name", "root"),
                        number_param("unix-group-id", ULLONG, 0),
                        number_param("process-id", LLONG, 1),
                        number_param("process-time", ULLONG, 1),
                        text_param("selinux-context", "unconfined"),
                        text_param("system.token", TOKEN)};

    assert_token(&probe, "");
    set(&probe, all, G_N_ELEMENTS(all));
    assert_token(&probe, TOKEN);
    assert_token(&other, "");
    set(&probe, all, G_N_ELEMENTS(all) - 1);
    assert_token(&probe, "");
    probe_close(&probe);
    probe_close(&other);
}

static void token_of_another_length_is_ignored(void **state)
{
    Probe probe = probe_open(*state, FALSE);
    wire_param good = text_param("system.token", TOKEN);
    wire_param bad = text_param("system.token", TOKEN TOKEN);

    set(&probe, &good, 1);
    set(&probe, &bad, 1);
    assert_token(&probe, "");
    probe_close(&probe);
}

static void refused_identity_keeps_the_previous_one(void **state)
{
    Probe probe = probe_open(*state, FALSE);
    wire_param params[] = {text_param("system.token", TOKEN), text_param("system.token", "x"),
                           text_param("shoe-size", "42"), number_param("user-name", ULLONG, 0)};

    set(&probe, params, 1);
    assert_refused(&probe, params, 2, CST_ERROR_INVALID);
    assert_refused(&probe, params + 2, 1, CST_ERROR_ARGUMENT_UNSUPPORTED);
    assert_refused(&probe, params + 3, 1, CST_ERROR_INVALID);
    assert_token(&probe, TOKEN);
    probe_close(&probe);
}

#define IDENTITY_TEST(name) cmocka_unit_test_setup_teardown(name, bench_setup, bench_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        IDENTITY_TEST(the_token_of_the_last_identity_counts),
        IDENTITY_TEST(token_of_another_length_is_ignored),
        IDENTITY_TEST(refused_identity_keeps_the_previous_one),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
