/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The recorder of calls that change files (see the header). Each wrapper notes its step before the
 * call is made, so the record has the order in which calls began. recorder_lock guards the record;
 * it is not held during a call.
 */
#include "recorder.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include <base/file.h>

static GMutex recorder_lock;
static char *recorded_dir; /* NULL: calls are not recorded */
static GString *record;
static guint step_count, failing_step; /* failing_step 0: no step fails */
static int failing_errno;
static char *run_step; /* NULL: no function to run */
static void (*run_act)(gpointer data);
static gpointer run_data;

void recorder_begin_failing(const char *dir, guint step, int err)
{
    g_mutex_lock(&recorder_lock);
    g_assert(!recorded_dir);
    recorded_dir = g_canonicalize_filename(dir, NULL);
    record = g_string_new(NULL);
    step_count = 0;
    failing_step = step;
    failing_errno = err;
    g_mutex_unlock(&recorder_lock);
}

void recorder_begin(const char *dir)
{
    recorder_begin_failing(dir, 0, 0);
}

void recorder_run(const char *step, void (*act)(gpointer data), gpointer data)
{
    g_mutex_lock(&recorder_lock);
    g_assert(recorded_dir && !run_step);
    run_step = g_strdup(step);
    run_act = act;
    run_data = data;
    g_mutex_unlock(&recorder_lock);
}

char *recorder_end(void)
{
    char *text;

    g_mutex_lock(&recorder_lock);
    if (run_step) {
        fprintf(stderr, "the step '%s' was not taken in '%s'\n", run_step, record->str);
        abort();
    }
    g_assert(recorded_dir);
    g_clear_pointer(&recorded_dir, g_free);
    text = g_string_free(g_steal_pointer(&record), FALSE);
    g_mutex_unlock(&recorder_lock);
    return text;
}

guint recorder_steps(void)
{
    return step_count;
}

/* --- names ------------------------------------------------------------------------------------ */

/* Returns @path relative to the recorded directory; NULL: it is elsewhere. With the lock held. */
static char *relative_name(const char *path)
{
    g_autofree char *full = g_canonicalize_filename(path, NULL);
    size_t len = strlen(recorded_dir);
    char *name;

    if (!g_str_has_prefix(full, recorded_dir) || (full[len] != '/' && full[len] != '\0'))
        return NULL;
    name = g_strdup(full[len] ? full + len + 1 : ".");
    if (cst_file_is_temporary(name))
        memcpy(name + strlen(name) - strlen("01234567.new"), "TMP", sizeof("TMP"));
    return name;
}

/* Runs the act of recorder_run() if @step is its step. With the lock held, which it releases. */
static void run_before(const char *step)
{
    if (g_strcmp0(run_step, step) != 0)
        return;
    g_clear_pointer(&run_step, g_free);
    g_mutex_unlock(&recorder_lock);
    run_act(run_data);
    g_mutex_lock(&recorder_lock);
}

/*
 * Records a step about @path, and @to if it is given. Returns TRUE if the call must fail; errno is
 * set.
 */
static gboolean note_step(const char *call, const char *path, const char *to)
{
    g_autofree char *name = NULL, *to_name = NULL, *step = NULL;
    gboolean fails = FALSE;
    int saved = errno;

    g_mutex_lock(&recorder_lock);
    name = recorded_dir && path ? relative_name(path) : NULL;
    to_name = name && to ? relative_name(to) : NULL;
    if (name) {
        step =
            to_name ? g_strjoin(" ", call, name, to_name, NULL) : g_strjoin(" ", call, name, NULL);
        run_before(step);
        fails = ++step_count == failing_step;
        g_string_append_printf(record, "%s%s%s", record->len > 0 ? "; " : "", step,
                               fails ? "!" : "");
        errno = fails ? failing_errno : saved;
    }
    g_mutex_unlock(&recorder_lock);
    return fails;
}

static gboolean note_fd_step(const char *call, int fd)
{
    char link[40], path[PATH_MAX];
    int saved = errno;
    ssize_t len;

    g_snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
    len = readlink(link, path, sizeof(path) - 1);
    errno = saved;
    if (len < 0)
        return FALSE;
    path[len] = '\0';
    return note_step(call, path, NULL);
}

/* --- wrapped calls ---------------------------------------------------------------------------- */

#define WRAP_FD(call, step, parameters, arguments)                    \
    int __real_##call parameters;                                     \
    int __wrap_##call parameters;                                     \
    int __wrap_##call parameters                                      \
    {                                                                 \
        return note_fd_step(step, fd) ? -1 : __real_##call arguments; \
    }
#define WRAP_PATH(call, step, to, parameters, arguments)                 \
    int __real_##call parameters;                                        \
    int __wrap_##call parameters;                                        \
    int __wrap_##call parameters                                         \
    {                                                                    \
        return note_step(step, path, to) ? -1 : __real_##call arguments; \
    }

WRAP_FD(fsync, "sync", (int fd), (fd))
WRAP_FD(fdatasync, "datasync", (int fd), (fd))
WRAP_FD(fchmod, "chmod", (int fd, mode_t mode), (fd, mode))
WRAP_FD(futimens, "date", (int fd, const struct timespec times[2]), (fd, times))
WRAP_FD(ftruncate64, "truncate", (int fd, off_t size), (fd, size))
WRAP_PATH(rename, "rename", new_path, (const char *path, const char *new_path), (path, new_path))
WRAP_PATH(unlink, "remove", NULL, (const char *path), (path))
WRAP_PATH(mkdir, "mkdir", NULL, (const char *path, mode_t mode), (path, mode))
WRAP_PATH(rmdir, "rmdir", NULL, (const char *path), (path))
WRAP_PATH(symlink, "link", NULL, (const char *target, const char *path), (target, path))

ssize_t __real_pwrite64(int fd, const void *data, size_t len, off_t offset);
ssize_t __wrap_pwrite64(int fd, const void *data, size_t len, off_t offset);

ssize_t __wrap_pwrite64(int fd, const void *data, size_t len, off_t offset)
{
    return note_fd_step("write", fd) ? -1 : __real_pwrite64(fd, data, len, offset);
}

/* The step of an open; NULL: it changes no file, and is not of a directory. */
static const char *open_step(int flags)
{
    if (flags & O_CREAT)
        return "create";
    return (flags & O_TMPFILE) == O_DIRECTORY ? "open" : NULL;
}

int __real_open64(const char *path, int flags, ...);
int __wrap_open64(const char *path, int flags, ...);

int __wrap_open64(const char *path, int flags, ...)
{
    const char *step = open_step(flags);
    mode_t mode = 0;
    va_list arguments;

    va_start(arguments, flags);
    if (flags & (O_CREAT | (O_TMPFILE & ~O_DIRECTORY)))
        mode = va_arg(arguments, mode_t);
    va_end(arguments);
    return step && note_step(step, path, NULL) ? -1 : __real_open64(path, flags, mode);
}

int __real___open64_2(const char *path, int flags);
int __wrap___open64_2(const char *path, int flags);

int __wrap___open64_2(const char *path, int flags)
{
    const char *step = open_step(flags);

    return step && note_step(step, path, NULL) ? -1 : __real___open64_2(path, flags);
}

int __real_fcntl64(int fd, int command, ...);
int __wrap_fcntl64(int fd, int command, ...);

int __wrap_fcntl64(int fd, int command, ...)
{
    gboolean locks = command == F_SETLK || command == F_OFD_SETLK || command == F_OFD_SETLKW;
    va_list arguments;
    long argument;

    va_start(arguments, command);
    argument = va_arg(arguments, long);
    va_end(arguments);
    return locks && note_fd_step("lock", fd) ? -1 : __real_fcntl64(fd, command, argument);
}

/* --- trees ------------------------------------------------------------------------------------ */

static char *describe_entry(const char *path, const struct stat *st)
{
    g_autofree char *text = NULL, *escaped = NULL;
    gsize len = 0;

    if (S_ISDIR(st->st_mode))
        return g_strdup_printf("directory %04o", st->st_mode & 07777);
    if (S_ISLNK(st->st_mode)) {
        text = g_file_read_link(path, NULL);
        return g_strdup_printf("-> %s", text);
    }
    assert_true(g_file_get_contents(path, &text, &len, NULL));
    escaped = g_base64_encode((const guchar *)text, len);
    return g_strdup_printf("%04o %zu %s", st->st_mode & 07777, len, escaped);
}

static void add_entries(GPtrArray *lines, const char *dir, const char *below)
{
    g_autofree char *at = g_build_filename(dir, below, NULL);
    g_autoptr(GDir) listing = g_dir_open(at, 0, NULL);
    const char *entry;

    while (listing && (entry = g_dir_read_name(listing))) {
        g_autofree char *name = *below ? g_build_filename(below, entry, NULL) : g_strdup(entry);
        g_autofree char *path = g_build_filename(dir, name, NULL);
        g_autofree char *described = NULL;
        struct stat st;

        assert_int_equal(lstat(path, &st), 0);
        described = describe_entry(path, &st);
        g_ptr_array_add(lines, g_strdup_printf("%s: %s", name, described));
        if (S_ISDIR(st.st_mode))
            add_entries(lines, dir, name);
    }
}

static int compare_lines(gconstpointer a, gconstpointer b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

char *recorder_tree(const char *dir)
{
    g_autoptr(GPtrArray) lines = g_ptr_array_new_with_free_func(g_free);

    add_entries(lines, dir, "");
    g_ptr_array_sort(lines, compare_lines);
    g_ptr_array_add(lines, NULL);
    return g_strjoinv("\n", (char **)lines->pdata);
}

/* --- each step fails -------------------------------------------------------------------------- */

/* Whether the record @text has the step @commit, and that step did not fail. */
static gboolean has_committed(const char *text, const char *commit)
{
    g_auto(GStrv) taken = g_strsplit(text, "; ", -1);

    return commit && g_strv_contains((const char *const *)taken, commit);
}

/* TRUE: the change did not come to the step that should fail. *ret_text: its record. */
static gboolean fail_step(const RecordedSteps *steps, guint step, char **ret_text)
{
    g_autofree char *before = NULL, *after = NULL, *repeated = NULL;
    g_autoptr(GError) error = NULL, again = NULL;
    gboolean done;

    steps->prepare(steps->data);
    before = recorder_tree(steps->dir);
    recorder_begin_failing(steps->dir, step, EIO);
    done = steps->change(steps->data, &error);
    *ret_text = recorder_end();
    if (recorder_steps() < step) {
        if (!done)
            fail_msg("no step failed, and the change did: %s", error->message);
        return TRUE;
    }
    if (done || !error)
        fail_msg("a failed step is no error: %s", *ret_text);
    after = recorder_tree(steps->dir);
    if (!steps->change(steps->data, &again))
        fail_msg("repeated after '%s': %s", *ret_text, again->message);
    repeated = recorder_tree(steps->dir);
    if (strcmp(after, has_committed(*ret_text, steps->commit) ? repeated : before) != 0)
        fail_msg("after '%s' there is\n%s\nand before there was\n%s", *ret_text, after, before);
    return FALSE;
}

char *recorder_fail_each(const RecordedSteps *steps)
{
    for (guint step = 1;; step++) {
        g_autofree char *text = NULL;

        if (fail_step(steps, step, &text))
            return g_steal_pointer(&text);
    }
}
