/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "verbs.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <base/error_class.h>
#include <base/file.h>
#include <image/image.h>

#include "await.h"

/* Where the program is run, and what is seen there. */

#define BLOCKS   (VOLUME_SIZE / TAG_BLOCK)
#define LIMIT_MS (300 * 1000)
/* Of what a volume holds: blocks at its beginning, and from that one on; zeroes between. */
#define HEAD 24
#define TAIL 104

struct Stage {
    Site *site;
    const char *program;
    char *dir;
    GHashTable *words; /* of the header's list */
};

/* --- commands --------------------------------------------------------------------------------- */

/* The text with the stage's own in the place of what is in braces. */
char *stage_text(Stage *stage, const char *text)
{
    GString *full = g_string_new(text);
    GHashTableIter iter;
    gpointer word, meaning;

    g_hash_table_iter_init(&iter, stage->words);
    while (g_hash_table_iter_next(&iter, &word, &meaning))
        g_string_replace(full, word, meaning, 0);
    return g_string_free(full, FALSE);
}

static GStrv command_of(Stage *stage, const char *line)
{
    g_autofree char *text = stage_text(stage, line);
    g_auto(GStrv) words = g_strsplit(text, " ", -1);
    GStrvBuilder *all = g_strv_builder_new();
    GStrv argv;

    g_strv_builder_add(all, stage->program);
    if (strcmp(words[0], "-c") != 0)
        g_strv_builder_add_many(all, "--embedded", "--root", stage->site->root, NULL);
    g_strv_builder_addv(all, (const char **)words);
    argv = g_strv_builder_end(all);
    g_strv_builder_unref(all);
    return argv;
}

/* @variable, NULL: none, is NAME=VALUE. */
static GPid begin(Stage *stage, const char *line, const char *variable, int out)
{
    g_auto(GStrv) argv = command_of(stage, line);
    g_auto(GStrv) env = g_get_environ();
    g_auto(GStrv) parts = g_strsplit(variable ? variable : "NOTHING=", "=", 2);
    g_auto(CstFd) nothing = open("/dev/null", O_RDONLY | O_CLOEXEC);
    g_autoptr(GError) error = NULL;
    GPid pid;

    env = g_environ_setenv(env, "LC_ALL", "C", TRUE);
    env = g_environ_setenv(env, "CISTERN_CONFIG", "/dev/null", TRUE);
    env = g_environ_setenv(env, "HOME", stage->dir, TRUE);
    env = g_environ_setenv(env, parts[0], parts[1], TRUE);
    g_spawn_async_with_fds(NULL, argv, env, G_SPAWN_DO_NOT_REAP_CHILD, NULL, NULL, &pid, nothing,
                           out, out, &error);
    assert_no_error(error);
    return pid;
}

/* Returns whether the child has ended after @ms milliseconds. */
static gboolean ends_within(GPid pid, int ms)
{
    g_auto(CstFd) fd = pidfd_open(pid, 0);
    struct pollfd end = {.fd = fd, .events = POLLIN};

    assert_true(fd >= 0);
    return TEMP_FAILURE_RETRY(poll(&end, 1, ms)) > 0;
}

static int end_of(GPid pid, const char *line)
{
    int status = 0;

    if (!ends_within(pid, LIMIT_MS)) {
        kill(pid, SIGKILL);
        waitpid(pid, NULL, 0);
        fail_msg("'%s' does not end", line);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    return WIFSIGNALED(status) ? -WTERMSIG(status) : WEXITSTATUS(status);
}

static int run(Stage *stage, const char *line, const char *variable, int number, gint64 after_us,
               char **ret_said)
{
    g_autofree char *path = g_build_filename(stage->dir, "said", NULL);
    g_auto(CstFd) out = open(path, O_RDWR | O_CREAT | O_TRUNC | O_APPEND | O_CLOEXEC, 0600);
    GPid pid;
    int status;

    assert_true(out >= 0);
    pid = begin(stage, line, variable, out);
    if (number && !ends_within(pid, (int)(after_us / 1000)))
        kill(pid, number);
    status = end_of(pid, line);
    if (ret_said)
        assert_true(g_file_get_contents(path, ret_said, NULL, NULL));
    return status;
}

int stage_type(Stage *stage, const char *line, char **ret_said)
{
    return run(stage, line, NULL, 0, 0, ret_said);
}

int stage_type_for(Stage *stage, const char *line, int number, gint64 after_us, char **ret_said)
{
    return run(stage, line, NULL, number, after_us, ret_said);
}

gboolean stage_type_until(Stage *stage, const char *line, const char *passage)
{
    g_autofree char *variable = g_strconcat("CISTERN_CRASH_AT=", passage, NULL);
    g_autofree char *said = NULL;
    int status = run(stage, line, variable, 0, 0, &said);

    /* A short operation is no job. */
    if (status == 0 && g_str_has_prefix(passage, "job."))
        return FALSE;
    if (status != -SIGKILL)
        fail_msg("'%s' is not killed at %s: %d %s", line, passage, status, said);
    return TRUE;
}

GStrv stage_passages(Stage *stage, const char *line)
{
    g_autofree char *log = g_build_filename(stage->dir, "passages", NULL);
    g_autofree char *variable = g_strconcat("CISTERN_CRASH_LOG=", log, NULL);
    g_autoptr(GHashTable) seen = g_hash_table_new(g_str_hash, g_str_equal);
    g_autoptr(GStrvBuilder) found = g_strv_builder_new();
    g_autofree char *said = NULL, *text = NULL;
    g_auto(GStrv) points = NULL;
    int status;

    unlink(log);
    status = run(stage, line, variable, 0, 0, &said);
    if (status != 0)
        fail_msg("'%s' fails: %d %s", line, status, said);
    points = g_strsplit(g_file_get_contents(log, &text, NULL, NULL) ? text : "", "\n", -1);
    for (char **point = points; *point && **point; point++) {
        guint count = GPOINTER_TO_UINT(g_hash_table_lookup(seen, *point)) + 1;
        g_autofree char *passage = g_strdup_printf("%s:%u", *point, count);

        g_hash_table_insert(seen, *point, GUINT_TO_POINTER(count));
        g_strv_builder_add(found, passage);
    }
    return g_strv_builder_end(found);
}

static void remove_all(const char *path)
{
    g_strfreev(site_shell("rm -rf \"$1\"", path, ""));
}

/* Returns FALSE if a server on the network still has the files of a dead process open. */
static gboolean is_typed(Stage *stage, const char *line, int *ret_status, char **ret_said)
{
    g_free(g_steal_pointer(ret_said));
    *ret_status = stage_type(stage, line, ret_said);
    return *ret_status != CST_EXIT_CONFLICT || !site_has(stage->site, GROUND_SHARED);
}

static void type_one(Stage *stage, const char *line)
{
    gboolean may_fail = *line == '-' && line[1] != 'c';
    g_autofree char *said = NULL;
    int status = 0;

    if (g_str_has_prefix(line, "rm ")) {
        g_autofree char *path = stage_text(stage, line + strlen("rm "));

        remove_all(path);
        return;
    }
    AWAIT_STATE(is_typed(stage, line + may_fail, &status, &said), "'%s': %s", line, said);
    if (status != 0 && !may_fail)
        fail_msg("'%s' fails: %d %s", line, status, said);
}

void stage_type_all(Stage *stage, const char *lines)
{
    g_auto(GStrv) each = g_strsplit(lines ? lines : "", "\n", -1);

    for (char **line = each; *line && **line; line++)
        type_one(stage, *line);
}

/* --- what there is ---------------------------------------------------------------------------- */

static char *path_of(Stage *stage, const char *name)
{
    return g_build_filename(stage->dir, name, NULL);
}

static int compare(gconstpointer a, gconstpointer b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* The next copy to another daemon continues a partial copy. */
static gboolean is_begun(const char *name)
{
    return g_str_has_suffix(name, ".partial");
}

static GPtrArray *lines_new(void)
{
    return g_ptr_array_new_with_free_func(g_free);
}

static char *joined(GPtrArray *lines)
{
    g_ptr_array_sort(lines, compare);
    g_ptr_array_add(lines, NULL);
    return g_strjoinv("\n", (char **)lines->pdata);
}

/* A volume in the trash has another hidden name each time. */
static void add_natives(Stage *stage, GPtrArray *lines)
{
    g_auto(GStrv) names = stage->site->ground->native_list("p");
    g_autoptr(GRegex) id = g_regex_new("(\\.cistern-trash-.*)-[0-9A-Za-z]+", 0, 0, NULL);

    for (char **name = names; *name; name++) {
        g_autofree char *known = g_regex_replace(id, *name, -1, 0, "\\1", 0, NULL);

        if (!is_begun(known))
            g_ptr_array_add(lines, g_strconcat("p has ", known, NULL));
    }
}

typedef char *(*Look)(Stage *stage, const char *path);

/* @look: what is to be told of each file. */
static void add_files(Stage *stage, GPtrArray *lines, const char *folder, Look look)
{
    g_autofree char *where = path_of(stage, folder);
    g_autoptr(GDir) dir = g_dir_open(where, 0, NULL);
    const char *name;

    while (dir && (name = g_dir_read_name(dir))) {
        g_autofree char *path = g_build_filename(where, name, NULL);
        g_autofree char *holds = is_begun(name) ? NULL : look(stage, path);

        if (holds)
            g_ptr_array_add(lines, g_strdup_printf("%s/%s %s", folder, name, holds));
    }
}

/* The intents, of which nothing is left where nothing has to be recovered. */
#define JOURNAL "../var/lib/cistern/journal"

static void add_all_files(Stage *stage, GPtrArray *lines, Look look)
{
    static const char *const folders[] = {"d", "far", "out"};

    for (size_t i = 0; i < G_N_ELEMENTS(folders); i++)
        add_files(stage, lines, folders[i], look);
}

static char *no_more(Stage *stage, const char *path)
{
    return g_strdup("is there");
}

char *stage_names(Stage *stage)
{
    g_autoptr(GPtrArray) lines = lines_new();

    add_natives(stage, lines);
    add_all_files(stage, lines, no_more);
    add_files(stage, lines, JOURNAL, no_more);
    return joined(lines);
}

/* --- content ---------------------------------------------------------------------------------- */

static gboolean is_tagged(const uint8_t *content, guint block, guint tag)
{
    g_autofree uint8_t *wanted = g_malloc(TAG_BLOCK);

    tag_fill(wanted, tag);
    return memcmp(content + (gsize)block * TAG_BLOCK, wanted, TAG_BLOCK) == 0;
}

static gboolean is_content(const uint8_t *content, guint number)
{
    guint block = 0;

    while (block < BLOCKS && is_tagged(content, block,
                                       block < HEAD   ? number
                                       : block < TAIL ? 0
                                                      : number + 100))
        block++;
    return block == BLOCKS;
}

/* The source's is 1, that of images 2. */
static char *told(const uint8_t *content, gsize size)
{
    for (guint number = 1; size >= VOLUME_SIZE && number <= 2; number++)
        if (is_content(content, number))
            return g_strdup_printf("holds %u", number);
    return g_strdup_printf("holds something else (%zu bytes)", size);
}

/* Images are of the ground's format, but for those that are called otherwise. */
static char *told_of_file(Stage *stage, const char *path)
{
    const char *suffix = strrchr(path, '.');
    const char *name = g_strcmp0(suffix, ".raw") == 0     ? "raw"
                       : g_strcmp0(suffix, ".qcow2") == 0 ? "qcow2"
                                                          : stage->site->ground->format;
    g_autoptr(GError) error = NULL;
    g_autoptr(CstBlob) blob = cst_blob_file_open(path, FALSE, &error);
    CstImage *image =
        blob ? cst_image_open(blob, cst_image_format_find(name, NULL), 0, NULL, &error) : NULL;
    g_autoptr(CstBlob) guest = image ? cst_image_guest_blob(image) : NULL;
    g_autofree uint8_t *content = g_malloc(VOLUME_SIZE);

    if (!guest || !cst_blob_pread(guest, content, VOLUME_SIZE, 0, &error))
        return g_strdup(error->message);
    return told(content, VOLUME_SIZE);
}

static void add_volumes(Stage *stage, GPtrArray *lines)
{
    Site *site = stage->site;
    g_autofree char *text = NULL;
    g_auto(GStrv) volumes = NULL;

    site_start_service(site);
    site_wait_active(site->pool);
    text = volume_names(site);
    volumes = g_strsplit(text, " ", -1);
    for (char **name = volumes; *name && **name; name++) {
        g_autoptr(GByteArray) content = is_begun(*name) ? NULL : content_sent(site, *name, NULL);
        g_autofree char *holds = content ? told(content->data, content->len) : NULL;

        if (holds)
            g_ptr_array_add(lines, g_strdup_printf("vol %s %s", *name, holds));
    }
    site_stop_service(site);
}

/* The output of the list command. */
static void add_listed(Stage *stage, GPtrArray *lines, const char *what, const char *line)
{
    g_autofree char *said = NULL;
    g_auto(GStrv) rows = NULL;

    assert_int_equal(stage_type(stage, line, &said), 0);
    rows = g_strsplit(said, "\n", -1);
    for (char **row = rows; *row && **row; row++)
        g_ptr_array_add(lines, g_strdup_printf("%s %s", what, *row));
}

/* They have other ids each time. */
static void add_backups(Stage *stage, GPtrArray *lines)
{
    g_autofree char *where = path_of(stage, "repo/backups");
    g_autoptr(GDir) dir = g_dir_open(where, 0, NULL);

    while (dir && g_dir_read_name(dir))
        g_ptr_array_add(lines, g_strdup("backup is there"));
}

char *stage_picture(Stage *stage)
{
    g_autoptr(GPtrArray) lines = lines_new();
    g_autofree char *repo = path_of(stage, "repo");

    add_natives(stage, lines);
    add_volumes(stage, lines);
    add_all_files(stage, lines, told_of_file);
    add_files(stage, lines, JOURNAL, no_more);
    if (site_has(stage->site, GROUND_TRASH))
        add_listed(stage, lines, "trash", "trash-list --pool p --columns name --parsable");
    if (g_file_test(repo, G_FILE_TEST_IS_DIR)) {
        add_backups(stage, lines);
        stage_type_all(stage, "backup-check {repo}");
    }
    return joined(lines);
}

void stage_sweep(Stage *stage)
{
    g_strfreev(
        site_shell("rm -rf \"$1\"/.cistern-*", g_hash_table_lookup(stage->words, "{out}"), ""));
}

/* --- the stage itself ------------------------------------------------------------------------- */

/* Takes @meaning over. */
static void mean(Stage *stage, const char *word, char *meaning)
{
    g_hash_table_insert(stage->words, g_strdup(word), meaning);
}

/* The folder @name, which is there; borrowed. */
static const char *make_folder(Stage *stage, const char *name)
{
    g_autofree char *word = g_strdup_printf("{%s}", name);
    char *path = path_of(stage, name);

    assert_int_equal(mkdir(path, 0700), 0);
    mean(stage, word, path);
    return path;
}

static void name_volumes(Stage *stage)
{
    static const char *const words[] = {"{v}", "{w}", "{x}"};
    static const char *const free_names[] = {"v", "w1", "w2"};
    const Ground *ground = stage->site->ground;

    for (guint i = 0; i < G_N_ELEMENTS(words); i++)
        mean(stage, words[i],
             ground->only_name ? ground->only_name("p", i + 1) : g_strdup(free_names[i]));
    {
        const char *second = g_hash_table_lookup(stage->words, "{w}");
        char *pattern = g_strconcat(second, "d", NULL);

        pattern[strlen(second) - 1] = '%';
        mean(stage, "{first}", g_strdup(second + strlen(second) - 1));
        mean(stage, "{many}", pattern);
    }
}

/* A raw image with holes, and the same compressed, as QEMU's program makes it. */
static void make_images(Stage *stage)
{
    const char *in = make_folder(stage, "in");
    g_autofree char *path = g_build_filename(in, "image.raw", NULL);
    g_autofree uint8_t *block = g_malloc(TAG_BLOCK);
    g_auto(CstFd) fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);

    assert_true(fd >= 0 && ftruncate(fd, VOLUME_SIZE) == 0);
    for (guint i = 0; i < BLOCKS; i++) {
        if (i >= HEAD && i < TAIL)
            continue;
        tag_fill(block, i < HEAD ? 2 : 102);
        assert_true(cst_pwrite_full(fd, block, TAG_BLOCK, (uint64_t)i * TAG_BLOCK, path, NULL));
    }
    g_strfreev(site_shell("qemu-img convert -c -f raw -O qcow2 \"$1/image.raw\" "
                          "\"$1/image.qcow2\"",
                          in, ""));
}

static void make_far(Stage *stage)
{
    g_autofree char *root = path_of(stage, "far-root");

    assert_int_equal(mkdir(root, 0700), 0);
    make_folder(stage, "far");
    mean(stage, "{there}", g_strdup(g_hash_table_lookup(stage->words, "{far}")));
    mean(stage, "{far}", g_strconcat("storage:///embed?root=", root, NULL));
    mean(stage, "{near}", g_strconcat("storage:///embed?root=", stage->site->root, NULL));
    stage_type_all(stage, "-c {far} pool-define-as far dir --target {there}\n"
                          "-c {far} pool-start far\n"
                          "-c {far} vol-import {in}/image.raw image --pool far --format {format}");
}

static void fill_source(Stage *stage)
{
    Site *site = stage->site;
    const char *volume = g_hash_table_lookup(stage->words, "{v}");

    content_write(site, volume, 0, HEAD, 1);
    content_write(site, volume, HEAD, TAIL - HEAD, 0);
    content_write(site, volume, TAIL, BLOCKS - TAIL, 101);
}

/* An attached volume has its name already. */
static void make_source(Stage *stage)
{
    Site *site = stage->site;

    if (site_has(site, GROUND_FIXED)) {
        g_auto(GStrv) natives = site->ground->native_list("p");

        mean(stage, "{v}", g_strdup(natives[g_strv_length(natives) - 1]));
    } else {
        volume_make(site, g_hash_table_lookup(stage->words, "{v}"), VOLUME_SIZE);
    }
    fill_source(stage);
}

gboolean verbs_possible(const Ground *ground)
{
    return g_getenv("CISTERN_PROGRAM") && !(ground->flags & GROUND_INSIDE);
}

Stage *stage_new(Site *site, gboolean trash)
{
    gboolean is_raw = strcmp(site->ground->format, "raw") == 0;
    Stage *stage = g_new0(Stage, 1);

    stage->site = site;
    stage->program = g_getenv("CISTERN_PROGRAM");
    stage->dir = g_build_filename(site->root, "stage", NULL);
    stage->words = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
    assert_int_equal(mkdir(stage->dir, 0700), 0);
    name_volumes(stage);
    mean(stage, "{format}", g_strdup(site->ground->format));
    mean(stage, "{p}", g_strconcat("p", is_raw ? NULL : " --format ", site->ground->format, NULL));
    mean(stage, "{repo}", path_of(stage, "repo"));
    make_source(stage);
    if (trash)
        site_keep_deleted(site);
    site_stop_service(site);
    make_images(stage);
    make_folder(stage, "out");
    make_folder(stage, "d");
    make_far(stage);
    stage_type_all(stage, "pool-define-as d dir --target {d}\npool-start d");
    return stage;
}

void stage_free(Stage *stage)
{
    if (!stage)
        return;
    g_hash_table_unref(stage->words);
    g_free(stage->dir);
    g_free(stage);
}
