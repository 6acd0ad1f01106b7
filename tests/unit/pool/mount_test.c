/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Pools that mount their storage, with tools that work or misbehave. */
#include "mount_tools.h"

#include <pool/device.h>

/* --- mounting --------------------------------------------------------------------------------- */

static void a_start_mounts_once_and_a_stop_unmounts(void **unused)
{
    CstPoolState *pool = open_pool(NFS, "", NULL);
    g_autoptr(GError) error = NULL;
    g_autofree char *log = NULL;
    gboolean active = TRUE;

    assert_true(cst_netfs_backend.check(pool, &active, NULL) && !active);
    assert_started(pool);
    assert_logged("mount -t nfs -o " DEFAULTS " srv:/x ");
    assert_true(cst_netfs_backend.check(pool, &active, NULL) && active);
    put("log", "");
    cst_netfs_backend.close(pool);
    pool = open_pool(NFS, "", NULL);
    assert_true(cst_netfs_backend.stop(pool, &error));
    assert_false(is_mounted());
    assert_logged("umount -c ");
    assert_true(cst_netfs_backend.check(pool, &active, NULL) && !active);
    /* No work is left. */
    put("log", "");
    assert_true(cst_netfs_backend.stop(pool, NULL));
    log = get("log");
    assert_string_equal(log, "");
    cst_netfs_backend.close(pool);
}

/* The mount table decides, not the status of the tool. */
static void the_tools_lie(void **unused)
{
    CstPoolState *pool = open_pool(NFS, "", NULL);
    g_autoptr(GError) error = NULL;

    make_tool("mount", "exit 0");
    assert_no_start(pool, CST_ERROR_FAILED, "claims success");
    make_tool("mount", MOUNTS "echo something broke >&2; exit 32");
    assert_started(pool);
    cst_netfs_backend.close(pool);
    pool = open_pool(NFS, "", NULL);
    make_tool("umount", UNMOUNTS "exit 1");
    assert_true(cst_netfs_backend.stop(pool, &error));
    cst_netfs_backend.close(pool);
}

#define NAMED "mount: "

static void error_of_mount_has_a_class(void **unused)
{
    static const struct {
        const char *said; /* output, without the prefix NAMED */
        CstErrorCode code;
    } complaints[] = {
        {"mount.nfs: Connection timed out", CST_ERROR_UNREACHABLE},
        {"mount.nfs: Connection refused", CST_ERROR_UNREACHABLE},
        {"mount.nfs: No route to host", CST_ERROR_UNREACHABLE},
        {"mount.nfs: Failed to resolve server srv: Name or service not known",
         CST_ERROR_UNREACHABLE},
        {"mount.nfs: access denied by server while mounting srv:/x", CST_ERROR_DENIED},
        {"mount.nfs: mounting srv:/x failed, reason given by server: No such file or directory",
         CST_ERROR_NOT_FOUND},
        {"mount error(13): Permission denied", CST_ERROR_DENIED},
        {"mount error(112): Host is down", CST_ERROR_UNREACHABLE},
        {"mount error: could not resolve address for srv: Unknown error", CST_ERROR_UNREACHABLE},
        {"mount: /m: unknown filesystem type 'nfs'.", CST_ERROR_UNSUPPORTED},
        {"mount.nfs: an incorrect mount option was specified", CST_ERROR_CONFIG},
        {"mount: /m: it exploded", CST_ERROR_FAILED},
    };
    CstPoolState *pool = open_pool(NFS, "", NULL);

    for (size_t i = 0; i < G_N_ELEMENTS(complaints); i++) {
        const char *said = complaints[i].said;
        g_autofree char *script = g_strdup_printf("echo \"%s\" >&2; exit 32", said);

        make_tool("mount", script);
        if (g_str_has_prefix(said, NAMED))
            said += strlen(NAMED);
        assert_no_start(pool, complaints[i].code, said);
    }
    cst_netfs_backend.close(pool);
}

static void a_mount_that_does_not_end_is_a_server_that_does_not_answer(void **unused)
{
    CstPoolState *pool = open_pool(NFS, "", NULL);

    mount_times.mount_network_s = 1;
    make_tool("mount", "exec sleep infinity");
    assert_no_start(pool, CST_ERROR_UNREACHABLE, "'srv:/x' has not answered for 1 s");
    cst_netfs_backend.close(pool);
}

static void another_mount_at_the_target_is_left_alone(void **unused)
{
    CstPoolState *pool = open_pool(NFS, "", NULL);
    g_autofree char *table = g_strdup_printf("20 1 8:1 / / rw - ext4 /dev/sda1 rw\n"
                                             "999999970 1 0:50 / %s/m rw - nfs4 srv:/other rw\n",
                                             root);

    put("mountinfo", table);
    assert_no_start(pool, CST_ERROR_BUSY, "'srv:/other' is mounted on");
    assert_true(cst_netfs_backend.stop(pool, NULL));
    assert_true(is_mounted());
    cst_netfs_backend.close(pool);
}

/* An existing mount with other storage is not unmounted. */
static void failed_start_keeps_an_existing_mount(void **unused)
{
    CstPoolState *pool = open_pool(NFS, "", NULL);
    g_autofree char *table = g_strdup_printf("999999970 1 0:50 / %s/m rw - nfs4 srv:/x rw\n", root);

    put("mountinfo", table);
    assert_started(pool);
    assert_true(cst_netfs_backend.stop(pool, NULL));
    assert_true(is_mounted());
    cst_netfs_backend.close(pool);
    pool = open_pool(NFS, "", NULL);
    assert_true(cst_netfs_backend.stop(pool, NULL));
    assert_false(is_mounted());
    cst_netfs_backend.close(pool);
}

static void mount_of_the_host_is_kept(void **unused)
{
    CstPoolState *pool = open_pool(NFS, "", NULL);
    g_autofree char *row = g_strdup_printf("srv:/x %s/m nfs defaults 0 0\n", root);
    g_autofree char *file = at("fstab");

    put("fstab", row);
    g_setenv("LIBMOUNT_FSTAB", file, TRUE);
    assert_started(pool);
    assert_true(cst_netfs_backend.stop(pool, NULL));
    assert_true(is_mounted());
    cst_netfs_backend.close(pool);
}

/* --- unmounting ------------------------------------------------------------------------------- */

static void busy_mount_is_retried(void **unused)
{
    CstPoolState *pool = open_pool(NFS, "", NULL);
    g_autoptr(GError) error = NULL;

    assert_started(pool);
    make_tool("umount", "if [ -e tried ]; then " UNMOUNTS " else touch tried; "
                        "echo umount: target is busy. >&2; exit 32; fi");
    assert_true(cst_netfs_backend.stop(pool, &error));
    assert_false(is_mounted());
    assert_started(pool);
    make_tool("umount", "echo umount: target is busy. >&2; exit 32");
    assert_false(cst_netfs_backend.stop(pool, &error));
    assert_true(g_error_matches(error, CST_ERROR, CST_ERROR_BUSY));
    assert_true(is_mounted());
    cst_netfs_backend.close(pool);
}

/* The storage is not accessed: unmount by force, then lazily. */
static void a_silent_server_is_cut_off(void **unused)
{
    CstPoolState *pool = open_pool(NFS, "", NULL);
    g_autofree char *log = NULL, *again = NULL;
    g_auto(GStrv) lines = NULL;

    assert_started(pool);
    silent = TRUE;
    put("log", "");
    assert_true(cst_netfs_backend.stop(pool, NULL));
    log = get("log");
    assert_true(g_str_has_prefix(log, "umount -c -i -f "));
    lines = g_strsplit(log, "\n", -1);
    assert_int_equal(g_strv_length(lines), 2); /* one line, and the end */
    assert_started(pool);
    put("log", "");
    make_tool("umount", "[ \"$3\" = -l ] || exit 32\n" UNMOUNTS);
    assert_true(cst_netfs_backend.stop(pool, NULL));
    again = get("log");
    assert_non_null(strstr(again, "umount -c -i -f "));
    assert_non_null(strstr(again, "umount -c -i -l "));
    assert_false(is_mounted());
    cst_netfs_backend.close(pool);
}

/* The server stops answering during the unmount. */
static void an_unmount_that_does_not_end_is_forced(void **unused)
{
    CstPoolState *pool = open_pool(NFS, "", NULL);

    assert_started(pool);
    mount_times.umount_network_s = 1;
    make_tool("umount", "[ \"$2\" = -i ] || exec sleep infinity\n" UNMOUNTS);
    assert_true(cst_netfs_backend.stop(pool, NULL));
    assert_false(is_mounted());
    make_tool("umount", "exit 0");
    assert_started(pool);
    silent = TRUE;
    assert_false(cst_netfs_backend.stop(pool, NULL));
    cst_netfs_backend.close(pool);
}

/* --- credentials ------------------------------------------------------------------------------ */

static const char *password;

static gboolean give_secret(const CstAuth *auth, CstSecretBytes *ret_value, gpointer data,
                            GError **error)
{
    if (!password)
        return cst_fail(error, CST_ERROR_NO_SECRET, "no secret");
    return cst_secret_bytes_copy(ret_value, password, strlen(password), error);
}

static const CstPoolHost host = {.secret = give_secret};

static CstPoolState *open_cifs(const char *user)
{
    g_autofree char *source =
        g_strdup_printf(CIFS "<auth type='chap' username='%s'><secret usage='smb'/></auth>", user);

    return open_pool(source, "", &host);
}

static void a_password_is_read_from_stdin(void **unused)
{
    CstPoolState *pool = open_cifs("me");
    g_autofree char *told = NULL, *other = NULL;

    make_tool("mount", "cat /proc/self/fd/0 >told; env >environ\n" MOUNTS);
    password = "of, several=words ";
    assert_started(pool);
    told = get("told");
    assert_string_equal(told, "username=me\npassword=of, several=words \n");
    assert_logged("credentials=/proc/self/fd/0");
    for (size_t i = 0; i < 2; i++) {
        g_autofree char *shown = get(i ? "environ" : "log");

        assert_null(strstr(shown, "several"));
    }
    assert_true(cst_netfs_backend.stop(pool, NULL));
    cst_netfs_backend.close(pool);
    pool = open_cifs("WORK\\me");
    assert_started(pool);
    other = get("told");
    assert_string_equal(other, "username=me\npassword=of, several=words \ndomain=WORK\n");
    cst_netfs_backend.close(pool);
}

/* A line break would start another option of mount.cifs. */
static void invalid_password_is_refused(void **unused)
{
    CstPoolState *pool = open_cifs("me");

    password = "x\nuid=0";
    assert_no_start(pool, CST_ERROR_INVALID_SECRET, "control characters");
    password = NULL;
    assert_no_start(pool, CST_ERROR_NO_SECRET, "no secret");
    cst_netfs_backend.close(pool);
    password = "x";
    pool = open_cifs("me&#10;uid=0");
    assert_no_start(pool, CST_ERROR_INVALID, "control characters");
    pool->host = NULL;
    assert_no_start(pool, CST_ERROR_NO_SECRET, "me");
    cst_netfs_backend.close(pool);
}

/* --- discovery -------------------------------------------------------------------------------- */

static char *discover(const char *name)
{
    CstPoolSource spec = {0};
    GArray *found = g_array_new(FALSE, FALSE, sizeof(CstPoolSource));
    g_autoptr(GError) error = NULL;
    char *text;

    cst_pool_source_init(&spec, CST_POOL_NETFS);
    cst_pool_source_add_host(&spec, name, 0);
    g_array_set_clear_func(found, (GDestroyNotify)cst_pool_source_clear);
    if (cst_netfs_backend.discover(&spec, found, &error))
        text = cst_pool_source_list_format((CstPoolSource *)found->data, found->len, CST_POOL_NETFS,
                                           NULL);
    else
        text = g_strdup_printf("%d %s", error->code, error->message);
    g_array_unref(found);
    cst_pool_source_clear(&spec);
    return text;
}

static void assert_discovers(const char *host_name, const char *const *words)
{
    g_autofree char *text = discover(host_name);

    for (; *words; words++)
        if (!strstr(text, *words))
            fail_msg("'%s' is not in '%s'", *words, text);
}

static void a_host_is_asked_for_both(void **unused)
{
    static const char *const all[] = {"<host name='srv'/>",         "<dir path='/srv/a'/>",
                                      "<format type='nfs'/>",       "<dir path='gv0'/>",
                                      "<format type='glusterfs'/>", NULL};

    make_tool("showmount", "echo '/srv/a *'");
    make_tool("gluster", "cat <<'EOF'\n" VOLUMES(VOLUME("gv0")) "\nEOF");
    assert_discovers("srv", all);
    assert_logged("showmount --no-headers --exports srv");
    assert_logged("gluster --xml --log-file=/dev/null volume info all --remote-host=srv");
    assert_discovers("-e", (const char *const[]){"can't be the name of a host", NULL});
}

static void one_answering_server_type_is_enough(void **unused)
{
    make_tool("showmount", "echo clnt_create: RPC: Unable to receive >&2; exit 1");
    make_tool("gluster", "cat <<'EOF'\n" VOLUMES(VOLUME("gv0")) "\nEOF");
    assert_discovers("srv", (const char *const[]){"<dir path='gv0'/>", NULL});
    make_tool("gluster", "exit 1");
    assert_discovers("srv", (const char *const[]){"no storage pools were found on host 'srv'",
                                                  "Unable to receive", NULL});
    make_tool("showmount", "exit 0");
    assert_discovers("srv", (const char *const[]){"<sources>", NULL});
}

/* --- failing storage, and deletion ------------------------------------------------------------ */

static void failing_storage_is_reported(void **unused)
{
    g_autofree char *folder = at("m");
    CstPoolState *pool = open_pool(NFS, "", NULL);
    g_autoptr(GError) error = NULL;

    assert_true(cst_netfs_backend.touch(pool->def, NULL));
    assert_int_equal(rmdir(folder), 0);
    assert_false(cst_netfs_backend.touch(pool->def, &error));
    assert_non_null(strstr(error->message, "cannot statfs"));
    cst_netfs_backend.close(pool);
}

static void directory_with_another_mount_is_kept(void **unused)
{
    g_autofree char *row = g_strdup_printf("999999970 1 0:50 / %s/m rw - nfs other:/y rw\n", root);
    g_autofree char *folder = at("m");
    CstPoolState *pool = open_pool(NFS, "", NULL);
    g_autoptr(GError) error = NULL;

    put("mountinfo", row);
    assert_false(cst_netfs_backend.destroy(pool, 0, &error));
    assert_true(g_error_matches(error, CST_ERROR, CST_ERROR_BUSY));
    assert_non_null(strstr(error->message, "'other:/y' is mounted there"));
    assert_true(g_file_test(folder, G_FILE_TEST_IS_DIR));
    put("mountinfo", "");
    assert_true(cst_netfs_backend.destroy(pool, 0, NULL));
    assert_false(g_file_test(folder, G_FILE_TEST_IS_DIR));
    cst_netfs_backend.close(pool);
}

/* --- the recorded identity -------------------------------------------------------------------- */

/* Linked with --wrap: counts the acquisitions of one lock. */
void __real_g_mutex_lock(GMutex *mutex);
void __wrap_g_mutex_lock(GMutex *mutex);

static const GMutex *watched;
static guint acquired;

void __wrap_g_mutex_lock(GMutex *mutex)
{
    if (mutex == watched)
        acquired++;
    __real_g_mutex_lock(mutex);
}

/* A scan in another thread compares the identity under this lock. */
static void expected_identity_is_replaced_under_the_lock(void **unused)
{
    CstPoolState *pool = open_pool(NFS, "", NULL);
    MountState *mounted = (MountState *)pool;

    acquired = 0;
    watched = &mounted->dir.lock;
    assert_true(mount_expect(pool, "one", FALSE, NULL));
    watched = NULL;
    assert_int_equal(acquired, 1);
    assert_string_equal(mounted->recorded, "one");
    cst_netfs_backend.close(pool);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(a_start_mounts_once_and_a_stop_unmounts),
        TEST(the_tools_lie),
        TEST(error_of_mount_has_a_class),
        TEST(a_mount_that_does_not_end_is_a_server_that_does_not_answer),
        TEST(another_mount_at_the_target_is_left_alone),
        TEST(failed_start_keeps_an_existing_mount),
        TEST(mount_of_the_host_is_kept),
        TEST(busy_mount_is_retried),
        TEST(a_silent_server_is_cut_off),
        TEST(an_unmount_that_does_not_end_is_forced),
        TEST(a_password_is_read_from_stdin),
        TEST(invalid_password_is_refused),
        TEST(a_host_is_asked_for_both),
        TEST(one_answering_server_type_is_enough),
        TEST(failing_storage_is_reported),
        TEST(directory_with_another_mount_is_kept),
        TEST(expected_identity_is_replaced_under_the_lock),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
