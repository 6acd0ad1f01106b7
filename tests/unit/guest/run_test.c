/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Runs of tools and QEMU over a guest's disk: confined, bounded, on a copy, and without residue of
 * an earlier run. This file simulates children in cst_child_run().
 */
#include "unit.h"

#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <base/error.h>

#include "agent.h"
#include "disk.h"

#define MIB (UINT64_C(1) << 20)

gboolean __wrap_cst_child_run(const CstChild *child, CstTask *task, CstChildResult *ret_result,
                              GError **error);

/* The behaviour of a tool. The first entry whose words begin the command line counts. */
typedef struct {
    const char *command;
    int status;
    const char *out;
    CstErrorCode code; /* 0: it runs to its end */
} Tool;

static const Tool *tools;
static guint n_tools, runs;
static CstGuestDisk *disk;
static void (*play_qemu)(const CstChild *child); /* while it runs */
static CstErrorCode qemu_fails;                  /* 0: it ends with qemu_status */
static int qemu_status;

static ino_t inode_of(int fd)
{
    struct stat st;

    assert_int_equal(fstat(fd, &st), 0);
    assert_true(S_ISREG(st.st_mode));
    return st.st_ino;
}

static const Tool *find_tool(const char *command)
{
    for (guint i = 0; i < n_tools; i++)
        if (g_str_has_prefix(command, tools[i].command))
            return &tools[i];
    fail_msg("nobody plays '%s'", command);
    return NULL;
}

static gboolean run_qemu(const CstChild *child, CstChildResult *ret_result, GError **error)
{
    assert_int_equal(child->n_fds, 3);
    assert_int_equal(inode_of(child->fds[0]), inode_of(cst_blob_file_fd(disk->blob)));
    assert_non_null(child->stream);
    if (play_qemu)
        play_qemu(child);
    if (qemu_fails)
        return cst_fail(error, qemu_fails, "QEMU fails");
    *ret_result = (CstChildResult){qemu_status, g_strdup(""), g_strdup("its complaint\n")};
    return TRUE;
}

gboolean __wrap_cst_child_run(const CstChild *child, CstTask *task, CstChildResult *ret_result,
                              GError **error)
{
    g_autofree char *command = g_strjoinv(" ", (char **)child->argv);
    gboolean writes = g_str_has_prefix(command, "e2fsck") || g_str_has_prefix(command, "fsck");
    const Tool *tool;

    runs++;
    assert_non_null(child->confine);
    assert_true(child->confine->memory > 0);
    assert_true(child->timeout_s > 0);
    if (g_str_has_prefix(command, "qemu"))
        return run_qemu(child, ret_result, error);
    assert_true(child->output_limit > 0);
    assert_int_equal(child->n_fds, 1);
    /* A tool that may write gets a copy. */
    assert_int_equal(inode_of(child->fds[0]) != inode_of(cst_blob_file_fd(disk->blob)), writes);
    if (writes) {
        char bytes[7];

        /* Of its part; the check comes after the replay. */
        assert_int_equal(pread(child->fds[0], bytes, sizeof(bytes), 0), sizeof(bytes));
        assert_memory_equal(bytes,
                            g_str_has_prefix(command, "fsck")        ? "another"
                            : g_str_has_prefix(command, "e2fsck -f") ? "changed"
                                                                     : "content",
                            sizeof(bytes));
        assert_int_equal(pwrite(child->fds[0], "changed", 7, 0), 7);
    }
    tool = find_tool(command);
    if (tool->code)
        return cst_fail(error, tool->code, "%s fails", command);
    *ret_result = (CstChildResult){tool->status, g_strdup(tool->out), g_strdup("its complaint\n")};
    return TRUE;
}

#define PLAY(...)                                   \
    do {                                            \
        static const Tool played[] = {__VA_ARGS__}; \
        tools = played;                             \
        n_tools = G_N_ELEMENTS(played);             \
    } while (0)

static int set_up(void **state)
{
    disk = cst_guest_disk_new(g_get_tmp_dir(), 4 * MIB, 0, NULL);
    assert_non_null(disk);
    assert_true(cst_blob_pwrite(disk->blob, "content", 7, MIB, NULL));
    assert_true(cst_blob_pwrite(disk->blob, "another", 7, 2 * MIB, NULL));
    tools = NULL;
    n_tools = runs = 0;
    play_qemu = NULL;
    qemu_fails = 0;
    qemu_status = 0;
    return 0;
}

static int tear_down(void **state)
{
    cst_guest_disk_free(disk);
    return 0;
}

static guint open_files(void)
{
    g_autoptr(GDir) fds = g_dir_open("/proc/self/fd", 0, NULL);
    guint count = 0;

    while (g_dir_read_name(fds))
        count++;
    return count;
}

/* --- checks ----------------------------------------------------------------------------------- */

#define TWO_PARTS "1 2048 2048 0x83 dos\n2 4096 2048 0xc dos\n"

static void assert_part(const GPtrArray *parts, guint i, const char *type, CstGuestVerdict verdict,
                        const char *detail)
{
    const CstGuestPart *part = parts->pdata[i];

    assert_string_equal(part->type ? part->type : "", type);
    assert_int_equal(part->verdict, verdict);
    assert_string_equal(part->detail ? part->detail : "", detail);
}

static void assert_disk_is_unchanged(void)
{
    char bytes[7];

    assert_true(cst_blob_pread(disk->blob, bytes, sizeof(bytes), MIB, NULL));
    assert_memory_equal(bytes, "content", 7);
    assert_true(cst_blob_pread(disk->blob, bytes, sizeof(bytes), 2 * MIB, NULL));
    assert_memory_equal(bytes, "another", 7);
}

/* The replayed journal is reported only for the first part. */
static void each_part_is_judged_by_its_own_tools(void **state)
{
    g_autoptr(GPtrArray) parts = NULL;
    guint before = open_files();

    PLAY({"partx", 0, TWO_PARTS, 0},
         {"blkid -p -o export -O 1048576", 0, "TYPE=ext4\nUSAGE=filesystem\n", 0},
         {"blkid -p -o export -O 2097152", 0, "TYPE=vfat\nUSAGE=filesystem\n", 0},
         {"e2fsck -y", 0, "x: recovering journal\n", 0}, {"e2fsck -f", 0, "", 0},
         {"fsck.fat", 1, "a bad cluster\n", 0});
    parts = cst_guest_disk_check(disk, NULL, NULL);
    assert_non_null(parts);
    assert_int_equal(parts->len, 2);
    assert_part(parts, 0, "ext4", CST_GUEST_SOUND, "journal to be replayed; sound after that");
    assert_part(parts, 1, "vfat", CST_GUEST_DAMAGED, "fsck.fat ends with status 1: a bad cluster");
    assert_int_equal(runs, 6);
    assert_disk_is_unchanged();
    /* The copies are closed. */
    assert_int_equal(open_files(), before);
}

static void tool_that_does_not_end_well_judges_its_part_only(void **state)
{
    g_autoptr(GPtrArray) parts = NULL;

    PLAY({"partx", 0, TWO_PARTS, 0},
         {"blkid -p -o export -O 1048576", 0, "TYPE=ext4\nUSAGE=filesystem\n", 0},
         {"blkid -p -o export -O 2097152", 0, "TYPE=vfat\nUSAGE=filesystem\n", 0},
         {"e2fsck -y", 0, "", CST_ERROR_TIMEOUT}, {"fsck.fat", 0, "", CST_ERROR_NOT_FOUND});
    parts = cst_guest_disk_check(disk, NULL, NULL);
    assert_non_null(parts);
    assert_part(parts, 0, "ext4", CST_GUEST_UNPROVEN, "e2fsck -y -E journal_only /dev/fd/3 fails");
    assert_part(parts, 1, "vfat", CST_GUEST_UNPROVEN, "fsck.fat is not installed, or not in PATH");
    assert_disk_is_unchanged();
}

static void tool_that_cannot_be_confined_leaves_the_part_unproven(void **state)
{
    g_autoptr(GPtrArray) parts = NULL;

    PLAY({"partx", 0, TWO_PARTS, 0},
         {"blkid -p -o export -O 1048576", 0, "TYPE=ext4\nUSAGE=filesystem\n", 0},
         {"blkid -p -o export -O 2097152", 0, "TYPE=vfat\nUSAGE=filesystem\n", 0},
         {"e2fsck", CST_CONFINE_FAILED, "", 0}, {"fsck.fat", CST_CONFINE_FAILED, "", 0});
    parts = cst_guest_disk_check(disk, NULL, NULL);
    assert_non_null(parts);
    for (guint i = 0; i < 2; i++)
        assert_int_equal(((CstGuestPart *)parts->pdata[i])->verdict, CST_GUEST_UNPROVEN);
}

static void tool_that_a_signal_killed_leaves_the_part_unproven(void **state)
{
    g_autoptr(GPtrArray) parts = NULL;

    PLAY({"partx", 0, TWO_PARTS, 0}, {"blkid", 128 + 9, "", 0});
    parts = cst_guest_disk_check(disk, NULL, NULL);
    assert_non_null(parts);
    assert_int_equal(((CstGuestPart *)parts->pdata[0])->verdict, CST_GUEST_UNPROVEN);
    assert_string_equal(((CstGuestPart *)parts->pdata[0])->detail, "blkid was killed by signal 9");
}

/* No verdict: the check itself has failed. */
static void tool_that_is_cancelled_ends_the_check(void **state)
{
    g_autoptr(GError) error = NULL;
    guint before = open_files();

    PLAY({"partx", 0, TWO_PARTS, 0}, {"blkid", 0, "TYPE=ext4\nUSAGE=filesystem\n", 0},
         {"e2fsck -y", 0, "", 0}, {"e2fsck -f", 0, "", CST_ERROR_CANCELLED});
    assert_null(cst_guest_disk_check(disk, NULL, &error));
    assert_int_equal(cst_error_code(error), CST_ERROR_CANCELLED);
    assert_int_equal(open_files(), before);
}

/* --- boots ------------------------------------------------------------------------------------ */

static const CstGuestBoot how = {
    .wait_s = 7, .memory = 256 * MIB, .cpus = 1, .firmware = "bios", .bus = "virtio"};

static void print_console(const CstChild *child, const char *text)
{
    gboolean enough = FALSE;

    assert_true(child->stream->take(text, strlen(text), child->stream->data, &enough, NULL));
}

static void print_login(const CstChild *child)
{
    print_console(child, "booting\nhost ");
    assert_false(child->stream->enough(child->stream->data));
    print_console(child, "login: ");
    assert_true(child->stream->enough(child->stream->data));
}

static void print_something(const CstChild *child)
{
    print_console(child, "a kernel\npanics\n");
    assert_false(child->stream->enough(child->stream->data));
}

/* Answers with the number that it was asked with. */
static void answer_as_agent(const CstChild *child)
{
    char question[256] = "";
    g_autofree char *answer = NULL;
    const char *number;

    assert_false(child->stream->enough(child->stream->data));
    assert_true(recv(child->fds[1], question, sizeof(question) - 1, 0) > 0);
    number = strstr(question, "\"id\":");
    assert_non_null(number);
    answer = g_strdup_printf("{\"return\": %u}\n", (guint)g_ascii_strtoull(number + 5, NULL, 10));
    assert_int_equal(send(child->fds[1], answer, strlen(answer), 0), strlen(answer));
}

static void answer_and_be_heard(const CstChild *child)
{
    answer_as_agent(child);
    assert_true(child->stream->enough(child->stream->data));
}

static void answer_and_be_ignored(const CstChild *child)
{
    answer_as_agent(child);
    assert_false(child->stream->enough(child->stream->data));
}

static void assert_life(const CstGuestBoot *boot, CstGuestVerdict verdict, const char *detail,
                        const char *console)
{
    g_auto(CstGuestLife) life = {0};
    g_autoptr(GError) error = NULL;
    guint before = open_files();

    cst_guest_disk_boot(disk, boot, NULL, &life, &error);
    assert_null(error);
    assert_int_equal(life.verdict, verdict);
    assert_string_equal(life.detail, detail);
    assert_string_equal(life.console, console);
    /* The channel of the agent is closed. */
    assert_int_equal(open_files(), before);
}

static void guest_that_shows_its_login_is_alive(void **state)
{
    play_qemu = print_login;
    assert_life(&how, CST_GUEST_SOUND, "console: host login: ", "booting\nhost login: \n");
}

static void guest_with_an_answering_agent_is_alive_unless_a_line_is_expected(void **state)
{
    g_autoptr(GRegex) expect = g_regex_new("ready", 0, 0, NULL);
    CstGuestBoot expecting = how;

    play_qemu = answer_and_be_heard;
    assert_life(&how, CST_GUEST_SOUND, "the guest agent answers", "");
    expecting.expect = expect;
    play_qemu = answer_and_be_ignored;
    qemu_fails = CST_ERROR_TIMEOUT;
    assert_life(&expecting, CST_GUEST_DAMAGED, "no sign of life within 7 seconds", "");
}

static void guest_without_a_sign_is_not_alive_and_shows_its_console(void **state)
{
    play_qemu = print_something;
    qemu_fails = CST_ERROR_TIMEOUT;
    assert_life(&how, CST_GUEST_DAMAGED, "no sign of life within 7 seconds", "a kernel\npanics\n");
    qemu_fails = 0;
    assert_life(&how, CST_GUEST_DAMAGED, "the guest has switched itself off", "a kernel\npanics\n");
    qemu_status = 1;
    assert_life(&how, CST_GUEST_UNPROVEN, "qemu-system-x86_64 ends with status 1: its complaint",
                "a kernel\npanics\n");
}

static void qemu_that_cannot_run_leaves_the_boot_unproven(void **state)
{
    static const struct {
        CstErrorCode fails;
        int status;
    } rows[] = {{CST_ERROR_NOT_FOUND, 0}, {0, CST_CONFINE_FAILED}, {0, 128 + 9}};
    guint before = open_files();

    for (guint i = 0; i < G_N_ELEMENTS(rows); i++) {
        g_auto(CstGuestLife) life = {0};

        qemu_fails = rows[i].fails;
        qemu_status = rows[i].status;
        assert_true(cst_guest_disk_boot(disk, &how, NULL, &life, NULL));
        assert_int_equal(life.verdict, CST_GUEST_UNPROVEN);
        assert_int_equal(open_files(), before);
    }
}

static void boot_that_is_cancelled_is_a_failure(void **state)
{
    g_auto(CstGuestLife) life = {0};
    g_autoptr(GError) error = NULL;

    qemu_fails = CST_ERROR_CANCELLED;
    assert_false(cst_guest_disk_boot(disk, &how, NULL, &life, &error));
    assert_int_equal(cst_error_code(error), CST_ERROR_CANCELLED);
}

/* QEMU's monitor reports an internal error unless the guest is started without KVM. */
static void get_stuck_with_kvm(const CstChild *child)
{
    static const char answer[] =
        "{\"return\": {}}\n{\"return\": {\"status\": \"internal-error\", \"running\": false}}\n";

    if (!g_strv_contains(child->argv, "kvm")) {
        print_console(child, "login: ");
        return;
    }
    assert_false(child->stream->enough(child->stream->data));
    assert_int_equal(send(child->fds[2], answer, strlen(answer), 0), strlen(answer));
    assert_true(child->stream->enough(child->stream->data));
}

static void get_stuck(const CstChild *child)
{
    static const char answer[] = "{\"return\": {\"status\": \"io-error\", \"running\": false}}\n";

    assert_int_equal(send(child->fds[2], answer, strlen(answer), 0), strlen(answer));
    assert_true(child->stream->enough(child->stream->data));
}

static void guest_that_is_stuck_with_kvm_is_started_without_it(void **state)
{
    play_qemu = get_stuck_with_kvm;
    assert_life(&how, CST_GUEST_SOUND, "console: login:  (without KVM, with which it did not run)",
                "login: \n");
}

static void guest_that_qemu_stops_is_unproven(void **state)
{
    play_qemu = get_stuck;
    assert_life(&how, CST_GUEST_UNPROVEN, "QEMU has stopped the guest: io-error", "");
}

/* --- the agent -------------------------------------------------------------------------------- */

static void agent_is_believed_for_its_own_number_only(void **state)
{
    static const char *const wrong[] = {"{\"return\":1}\n", "no answer\n", "\n",
                                        /* An answer after other text on its line. */
                                        "x"};
    int far = -1;
    g_autoptr(GuestAgent) agent = guest_agent_new(&far, NULL);
    g_autofree char *flood = g_strnfill(5000, 'x'), *answer = NULL;
    char question[256] = "";

    assert_non_null(agent);
    assert_false(guest_agent_answers(agent));
    assert_true(recv(far, question, sizeof(question) - 1, 0) > 0);
    answer = g_strdup_printf("{\"return\":%u}\n",
                             (guint)g_ascii_strtoull(strstr(question, "\"id\":") + 5, NULL, 10));
    for (guint i = 0; i < G_N_ELEMENTS(wrong); i++) {
        assert_int_equal(send(far, wrong[i], strlen(wrong[i]), 0), strlen(wrong[i]));
        assert_false(guest_agent_answers(agent));
    }
    assert_int_equal(send(far, answer, strlen(answer), 0), strlen(answer));
    assert_false(guest_agent_answers(agent));
    /* Nor an answer before other text. */
    assert_int_equal(send(far, answer, strlen(answer) - 1, 0), strlen(answer) - 1);
    assert_int_equal(send(far, "x\n", 2, 0), 2);
    assert_false(guest_agent_answers(agent));
    assert_int_equal(send(far, flood, 5000, 0), 5000);
    for (guint i = 0; i < 5000 / 256 + 1; i++)
        assert_false(guest_agent_answers(agent));
    /* In pieces, on a line of its own. */
    assert_int_equal(send(far, "\n", 1, 0), 1);
    for (const char *c = answer; *c; c++) {
        assert_int_equal(send(far, c, 1, 0), 1);
        assert_int_equal(guest_agent_answers(agent), *c == '\n');
    }
    close(far);
    assert_false(guest_agent_answers(agent));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(each_part_is_judged_by_its_own_tools),
        TEST(tool_that_does_not_end_well_judges_its_part_only),
        TEST(tool_that_cannot_be_confined_leaves_the_part_unproven),
        TEST(tool_that_a_signal_killed_leaves_the_part_unproven),
        TEST(tool_that_is_cancelled_ends_the_check),
        TEST(guest_that_shows_its_login_is_alive),
        TEST(guest_with_an_answering_agent_is_alive_unless_a_line_is_expected),
        TEST(guest_without_a_sign_is_not_alive_and_shows_its_console),
        TEST(qemu_that_cannot_run_leaves_the_boot_unproven),
        TEST(boot_that_is_cancelled_is_a_failure),
        TEST(guest_that_is_stuck_with_kvm_is_started_without_it),
        TEST(guest_that_qemu_stops_is_unproven),
        TEST(agent_is_believed_for_its_own_number_only),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
