/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <base/secret_bytes.h>

/* Sanitizers do as if memory were locked. */
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define LOCKS FALSE
#else
#define LOCKS TRUE
#endif

#define PAGE ((size_t)sysconf(_SC_PAGESIZE))

static CstSecretBytes make(size_t len)
{
    CstSecretBytes bytes = {0};

    assert_true(cst_secret_bytes_alloc(&bytes, len, NULL));
    assert_int_equal(bytes.len, len);
    for (size_t i = 0; i <= len; i++)
        assert_int_equal(bytes.data[i], 0);
    return bytes;
}

/* Ends a child that runs @work; TRUE when a signal killed it. */
static gboolean kills(void (*work)(uint8_t *), uint8_t *data)
{
    int status;
    pid_t pid = fork();

    if (pid == 0) {
        signal(SIGSEGV, SIG_DFL);
        work(data);
        _exit(0);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    return WIFSIGNALED(status) && WTERMSIG(status) == SIGSEGV;
}

static void touch(uint8_t *at)
{
    *(volatile uint8_t *)at = 1;
}

static void blocks_do_not_overlap_and_begin_empty(void **state)
{
    static const size_t sizes[] = {0,    1,     31,    32,    33,        1000,
                                   4096, 16383, 16384, 65535, 64 * 1024, 300000};
    CstSecretBytes all[10 * G_N_ELEMENTS(sizes)];

    for (int round = 0; round < 3; round++) {
        for (size_t i = 0; i < G_N_ELEMENTS(all); i++) {
            all[i] = make(sizes[i % G_N_ELEMENTS(sizes)]);
            memset(all[i].data, (int)i + 1, all[i].len);
        }
        for (size_t i = 0; i < G_N_ELEMENTS(all); i++) {
            for (size_t at = 0; at < all[i].len; at++)
                assert_int_equal(all[i].data[at], (i + 1) & 0xff);
            assert_int_equal(all[i].data[all[i].len], 0);
        }
        /* Every second one first, so that the next round finds holes. */
        for (size_t i = 0; i < G_N_ELEMENTS(all); i += 2)
            cst_secret_bytes_clear(&all[i]);
        for (size_t i = 1; i < G_N_ELEMENTS(all); i += 2)
            cst_secret_bytes_clear(&all[i]);
        assert_null(all[0].data);
    }
}

static void freed_secret_is_wiped_completely(void **state)
{
    CstSecretBytes keeper = make(8), bytes = make(100);
    uint8_t *data = bytes.data;

    memset(data, 'x', 100);
    bytes.len = 3; /* a reader may have found less than it made room for */
    cst_secret_bytes_clear(&bytes);
    for (int i = 0; i < 100; i++)
        assert_int_equal(data[i], 0);
    cst_secret_bytes_clear(&keeper);
    cst_secret_bytes_clear(&keeper);
}

static void its_neighbours_cannot_be_reached(void **state)
{
    CstSecretBytes large = make(10 * PAGE - 1);

    assert_false(kills(touch, large.data + 10 * PAGE - 1));
    assert_true(kills(touch, large.data + 10 * PAGE));
    assert_true(kills(touch, large.data - 1));
    cst_secret_bytes_clear(&large);
}

/* Returns the flags in /proc/self/smaps of the mapping of @at. */
static char *flags_of(const void *at, size_t *ret_locked)
{
    g_autofree char *text = NULL;
    g_auto(GStrv) lines = NULL;
    gboolean here = FALSE;

    assert_true(g_file_get_contents("/proc/self/smaps", &text, NULL, NULL));
    lines = g_strsplit(text, "\n", -1);
    for (char **line = lines; *line; line++) {
        unsigned long from, to;

        if (sscanf(*line, "%lx-%lx ", &from, &to) == 2 && strchr(*line, '-') < strchr(*line, ' '))
            here = (unsigned long)at >= from && (unsigned long)at < to;
        else if (here && g_str_has_prefix(*line, "Locked:"))
            *ret_locked = strtoul(*line + strlen("Locked:"), NULL, 10);
        else if (here && g_str_has_prefix(*line, "VmFlags:"))
            return g_strconcat(*line, " ", NULL);
    }
    return g_strdup("");
}

static void it_is_locked_and_in_no_dump(void **state)
{
    CstSecretBytes small = make(10), large = make(100000);
    const uint8_t *both[] = {small.data, large.data};

    for (size_t i = 0; i < G_N_ELEMENTS(both); i++) {
        size_t locked = 0;
        g_autofree char *flags = flags_of(both[i], &locked);

        assert_non_null(strstr(flags, " dd "));
        assert_non_null(strstr(flags, " wf "));
        assert_true(!LOCKS || strstr(flags, " lo "));
        assert_true(!LOCKS || locked > 0);
    }
    assert_true(cst_secret_bytes_locked());
    cst_secret_bytes_clear(&small);
    cst_secret_bytes_clear(&large);
}

static void child_has_no_copy_of_a_secret(void **state)
{
    CstSecretBytes bytes = make(6);
    int status;
    pid_t pid;

    memcpy(bytes.data, "secret", 6);
    pid = fork();
    if (pid == 0) {
        for (size_t i = 0; i < 6; i++)
            if (bytes.data[i])
                _exit(1);
        _exit(0);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
    assert_memory_equal(bytes.data, "secret", 6);
    cst_secret_bytes_clear(&bytes);
}

static void process_with_a_secret_is_not_dumped(void **state)
{
    CstSecretBytes bytes = make(1);
    struct rlimit limit;

    assert_int_equal(prctl(PR_GET_DUMPABLE), 0);
    assert_int_equal(getrlimit(RLIMIT_CORE, &limit), 0);
    assert_int_equal(limit.rlim_cur, 0);
    cst_secret_bytes_clear(&bytes);
}

static void base64_encodes_and_decodes(void **state)
{
    for (size_t len = 0; len < 200; len++) {
        CstSecretBytes bytes = make(len);
        g_auto(CstSecretBytes) text = {0}, back = {0};
        g_autofree char *expected = NULL;

        for (size_t i = 0; i < len; i++)
            bytes.data[i] = (uint8_t)(i * 7 + len);
        expected = g_base64_encode(bytes.data, len);
        assert_true(cst_secret_bytes_to_base64(&text, &bytes, NULL));
        assert_string_equal((const char *)text.data, expected);
        assert_int_equal(text.len, strlen(expected));
        assert_true(cst_secret_bytes_from_base64(&back, (const char *)text.data, text.len, NULL));
        assert_int_equal(back.len, len);
        assert_memory_equal(back.data, bytes.data, len);
        assert_int_equal(back.data[len], 0);
        cst_secret_bytes_clear(&bytes);
    }
}

/* In a child with its own limit. Processes of root have no limit. */
static void memory_that_cannot_be_locked_is_used_unlocked(void **state)
{
    int status;
    pid_t pid = LOCKS ? fork() : -1;

    if (pid < 0)
        skip();
    if (pid == 0) {
        const struct rlimit none = {0, 0};
        CstSecretBytes bytes = {0};

        if (setrlimit(RLIMIT_MEMLOCK, &none) < 0 || (geteuid() == 0 && setuid(65534) < 0))
            _exit(2);
        if (!cst_secret_bytes_alloc(&bytes, 100000, NULL) || cst_secret_bytes_locked())
            _exit(3);
        memset(bytes.data, 'x', bytes.len);
        cst_secret_bytes_clear(&bytes);
        _exit(0);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
}

static gpointer churn(gpointer data)
{
    for (guint i = 0; i < 3000; i++) {
        CstSecretBytes bytes = {0};
        size_t len = (i * 37) % 5000;

        if (!cst_secret_bytes_alloc(&bytes, len, NULL))
            return NULL;
        memset(bytes.data, GPOINTER_TO_INT(data), len);
        for (size_t at = 0; at < len; at++)
            if (bytes.data[at] != (uint8_t)GPOINTER_TO_INT(data))
                return NULL;
        cst_secret_bytes_clear(&bytes);
    }
    return data;
}

static void threads_do_not_meet(void **state)
{
    GThread *threads[4];

    for (int i = 0; i < 4; i++)
        threads[i] = g_thread_new("churn", churn, GINT_TO_POINTER(i + 1));
    for (int i = 0; i < 4; i++)
        assert_int_equal(GPOINTER_TO_INT(g_thread_join(threads[i])), i + 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(blocks_do_not_overlap_and_begin_empty),
        cmocka_unit_test(freed_secret_is_wiped_completely),
        cmocka_unit_test(its_neighbours_cannot_be_reached),
        cmocka_unit_test(it_is_locked_and_in_no_dump),
        cmocka_unit_test(child_has_no_copy_of_a_secret),
        cmocka_unit_test(process_with_a_secret_is_not_dumped),
        cmocka_unit_test(base64_encodes_and_decodes),
        cmocka_unit_test(memory_that_cannot_be_locked_is_used_unlocked),
        cmocka_unit_test(threads_do_not_meet),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
