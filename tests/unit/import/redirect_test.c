/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Requests that reach one address after another: libcurl's questions, asked by the test. */
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "redirect.h"

#define PUBLIC   "203.0.113.1"
#define PUBLIC_6 "2001:db8::1"
#define PRIVATE  "10.0.0.1"

/* The options that import_redirect_watch() has set. */
static struct {
    curl_opensocket_callback on_socket;
    curl_prereq_callback on_request;
    void *data;
} handle;

static CURLcode note_option(CURL *curl, CURLoption option, ...)
{
    va_list args;

    va_start(args, option);
    switch (option) {
    case CURLOPT_OPENSOCKETFUNCTION:
        handle.on_socket = va_arg(args, curl_opensocket_callback);
        break;
    case CURLOPT_PREREQFUNCTION: handle.on_request = va_arg(args, curl_prereq_callback); break;
    default: handle.data = va_arg(args, void *); break;
    }
    va_end(args);
    return CURLE_OK;
}

static CURLcode give_url(CURL *curl, CURLINFO info, ...)
{
    static char url[] = "http://user:hidden@inner/";
    va_list args;

    va_start(args, info);
    *va_arg(args, char **) = url;
    va_end(args);
    return CURLE_OK;
}

static const CstCurl table = {.curl_easy_setopt = note_option, .curl_easy_getinfo = give_url};

static gboolean connect_to(const char *text, unsigned port)
{
    struct curl_sockaddr asked = {.family = AF_INET, .socktype = SOCK_STREAM};
    struct sockaddr_in four = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    curl_socket_t fd;

    assert_int_equal(inet_pton(AF_INET, text, &four.sin_addr), 1);
    memcpy(&asked.addr, &four, sizeof(four));
    fd = handle.on_socket(handle.data, CURLSOCKTYPE_IPCXN, &asked);
    if (fd == CURL_SOCKET_BAD)
        return FALSE;
    close(fd);
    return TRUE;
}

static gboolean request_at(const char *text, int port)
{
    g_autofree char *remote = g_strdup(text);

    return handle.on_request(handle.data, remote, remote, port, 0) == CURL_PREREQFUNC_OK;
}

static gboolean reach(const char *text)
{
    return (strchr(text, ':') || connect_to(text, 80)) && request_at(text, 80);
}

static void begin(ImportRedirect *redirect)
{
    import_redirect_watch(redirect, &table, NULL);
}

static int clear_environment(void **state)
{
    g_unsetenv("http_proxy");
    g_unsetenv("https_proxy");
    g_unsetenv("HTTPS_PROXY");
    g_unsetenv("all_proxy");
    g_unsetenv("ALL_PROXY");
    return 0;
}

static void private_address_after_a_public_one_is_refused(void **state)
{
    ImportRedirect redirect = {0};
    g_autoptr(GError) error = NULL;

    begin(&redirect);
    assert_true(reach(PUBLIC));
    assert_true(reach(PUBLIC_6));
    assert_false(connect_to(PRIVATE, 80));
    assert_false(import_redirect_check(&redirect, &table, NULL, "http://named/", &error));
    assert_true(g_error_matches(error, CST_ERROR, CST_ERROR_DENIED));
    assert_non_null(strstr(error->message, PRIVATE));
    assert_non_null(strstr(error->message, "inner"));
    assert_null(strstr(error->message, "hidden"));
}

/* A connection that is used again opens no socket. */
static void kept_connection_to_a_private_address_is_refused(void **state)
{
    ImportRedirect redirect = {0};

    begin(&redirect);
    assert_true(reach(PUBLIC));
    assert_false(request_at(PRIVATE, 80));
    assert_false(request_at("::ffff:127.0.0.1", 80));
    assert_false(import_redirect_check(&redirect, &table, NULL, "x", NULL));
}

static void private_address_of_the_url_may_lead_to_another_one(void **state)
{
    ImportRedirect redirect = {0};

    for (int request = 0; request < 2; request++) {
        begin(&redirect);
        assert_true(reach(PRIVATE));
        assert_true(reach("127.0.0.1"));
        assert_true(reach(PUBLIC));
        assert_false(reach(PRIVATE));
    }
}

/* The name of the URL is asked for again with each request. */
static void url_with_a_public_address_stays_public(void **state)
{
    ImportRedirect redirect = {0};

    begin(&redirect);
    assert_true(reach(PUBLIC));
    begin(&redirect);
    assert_true(import_redirect_check(&redirect, &table, NULL, "x", NULL));
    assert_false(reach(PRIVATE));
    begin(&redirect);
    assert_true(reach(PUBLIC));
}

static void refused_address_of_a_host_that_answers_at_another_one_is_no_error(void **state)
{
    ImportRedirect redirect = {0};

    begin(&redirect);
    assert_true(reach(PUBLIC));
    assert_false(connect_to(PRIVATE, 80));
    assert_true(reach(PUBLIC));
    assert_true(import_redirect_check(&redirect, &table, NULL, "x", NULL));
}

static void proxy_at_a_private_address_is_reached_and_counts_as_public(void **state)
{
    ImportRedirect redirect = {0};

    g_setenv("http_proxy", "http://10.0.0.1:3128/", TRUE);
    g_setenv("all_proxy", "socks5://10.0.0.2", TRUE);
    begin(&redirect);
    assert_true(connect_to(PRIVATE, 3128));
    assert_true(request_at(PRIVATE, 3128));
    assert_true(connect_to(PRIVATE, 3128));
    assert_true(request_at(PRIVATE, 3128));
    assert_true(connect_to("10.0.0.2", 1080));
    /* The host is in no_proxy. */
    assert_false(connect_to("127.0.0.1", 80));
    assert_false(request_at("127.0.0.1", 80));
    clear_environment(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(private_address_after_a_public_one_is_refused),
        cmocka_unit_test(kept_connection_to_a_private_address_is_refused),
        cmocka_unit_test(private_address_of_the_url_may_lead_to_another_one),
        cmocka_unit_test(url_with_a_public_address_stays_public),
        cmocka_unit_test(refused_address_of_a_host_that_answers_at_another_one_is_no_error),
        cmocka_unit_test(proxy_at_a_private_address_is_reached_and_counts_as_public),
    };

    return cmocka_run_group_tests(tests, clear_environment, NULL);
}
