/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Searches /proc once for the processes that use some wanted files.
 *
 * /proc/PID/fdinfo has the access mode, the inode number and the locks of each descriptor.
 * /proc/PID/maps has files that are mapped and closed. Only a descriptor with the inode number of a
 * wanted file is examined further, with the attributes that the kernel has in memory
 * (AT_STATX_DONT_SYNC). Therefore the cost depends on the number of descriptors on the host, and
 * not on the number of wanted files.
 *
 * The index has one entry for each wanted file, and in it one entry for each process that has a
 * lock on the file or can write to it. A process cannot add entries for other files, and cannot add
 * a second entry for a file. Readers without a lock have no entry, because they can be numerous.
 */
#include <base/file_users.h>

#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <base/error.h>
#include <base/file.h>
#include <base/i18n.h>
#include <base/process.h>
#include <base/test_point.h>

/* A wanted file. Several files of one inode number are on different file systems. */
typedef struct WantedFile WantedFile;

struct WantedFile {
    uint64_t inode;
    unsigned major, minor; /* device of its file system */
    GArray *users;         /* of CstFileUser */
    WantedFile *next;      /* with the same inode number */
};

struct CstFileUsers {
    CstFileBytes bytes;
    GHashTable *files; /* inode number to WantedFile */
    guint wanted;
    guint found; /* users of all files */
};

static void wanted_file_free(gpointer data)
{
    WantedFile *next;

    for (WantedFile *file = data; file; file = next) {
        next = file->next;
        g_array_unref(file->users);
        g_free(file);
    }
}

CstFileUsers *cst_file_users_new(const CstFileBytes *bytes)
{
    CstFileUsers *users = g_new0(CstFileUsers, 1);

    if (bytes)
        users->bytes = *bytes;
    users->files = g_hash_table_new_full(g_int64_hash, g_int64_equal, NULL, wanted_file_free);
    return users;
}

void cst_file_users_free(CstFileUsers *users)
{
    if (!users)
        return;
    g_hash_table_unref(users->files);
    g_free(users);
}

/* --- wanted files ----------------------------------------------------------------------------- */

/* Returns the wanted file of the attributes, or NULL. */
static WantedFile *wanted_file_of(const CstFileUsers *users, const struct statx *st)
{
    WantedFile *file = g_hash_table_lookup(users->files, &st->stx_ino);

    while (file && (file->major != st->stx_dev_major || file->minor != st->stx_dev_minor))
        file = file->next;
    return S_ISREG(st->stx_mode) ? file : NULL;
}

static gboolean file_attributes(int dir, const char *path, struct statx *ret_st)
{
    int flags = AT_STATX_DONT_SYNC | (*path ? 0 : AT_EMPTY_PATH);

    return statx(dir, path, flags, STATX_TYPE | STATX_INO, ret_st) == 0;
}

void cst_file_users_want(CstFileUsers *users, int fd)
{
    WantedFile *file, *same;
    struct statx st;

    if (fd < 0 || !file_attributes(fd, "", &st) || !S_ISREG(st.stx_mode) ||
        wanted_file_of(users, &st))
        return;
    file = g_new0(WantedFile, 1);
    *file = (WantedFile){.inode = st.stx_ino,
                         .major = st.stx_dev_major,
                         .minor = st.stx_dev_minor,
                         .users = g_array_new(FALSE, FALSE, sizeof(CstFileUser))};
    users->wanted++;
    same = g_hash_table_lookup(users->files, &file->inode);
    if (same) {
        file->next = same->next;
        same->next = file;
    } else {
        g_hash_table_insert(users->files, &file->inode, file);
    }
}

guint cst_file_users_wanted(const CstFileUsers *users)
{
    return users->wanted;
}

const GArray *cst_file_users_of(const CstFileUsers *users, int fd)
{
    const WantedFile *file;
    struct statx st;

    if (fd < 0 || !file_attributes(fd, "", &st))
        return NULL;
    file = wanted_file_of(users, &st);
    return file ? file->users : NULL;
}

/* --- the search ------------------------------------------------------------------------------- */

/*
 * Adds what a descriptor or mapping of process @pid shows. The entry of the current process is the
 * last one of the file, because the search visits one process after another. The parent of a writer
 * is read at once. At the end of the search a child may have ended already.
 */
static void file_user_add(CstFileUsers *users, WantedFile *file, int64_t pid, gboolean writes,
                          uint8_t locked)
{
    CstFileUser *last = file->users->len > 0
                            ? &g_array_index(file->users, CstFileUser, file->users->len - 1)
                            : NULL;
    CstFileUser user = {.pid = pid, .writes = writes, .locked = locked};

    if (!writes && !locked)
        return;
    if (writes && !(last && last->pid == pid && last->writes))
        user.child = cst_process_parent(pid) == getpid();
    if (last && last->pid == pid) {
        last->writes |= writes;
        last->locked |= locked;
        last->child |= user.child;
    } else if (users->found <= CST_FILE_USERS_MAX) {
        g_array_append_val(file->users, user);
        users->found++;
    }
}

/*
 * Returns the bits of the bytes that a line of proc_pid_fdinfo(5) reports as locked:
 * "lock:\t1: OFDLCK  ADVISORY  READ -1 08:01:INODE FIRST LAST".
 */
static uint8_t lock_line_bits(const char *line, uint64_t inode, const CstFileBytes *bytes)
{
    uint64_t locked_inode;
    int64_t first, last = G_MAXINT64;
    uint8_t bits = 0;

    if (!strstr(line, "OFDLCK") ||
        sscanf(line, "%*s %*s %*s %*s %*s %*d %*x:%*x:%" SCNu64 " %" SCNd64 " %" SCNd64,
               &locked_inode, &first, &last) < 2 ||
        locked_inode != inode)
        return 0;
    for (guint i = 0; i < bytes->count; i++)
        if (bytes->at[i] >= first && bytes->at[i] <= last)
            bits |= (uint8_t)(1U << i);
    return bits;
}

static uint8_t locked_bits(const char *fdinfo, uint64_t inode, const CstFileBytes *bytes)
{
    uint8_t bits = 0;

    if (bytes->count == 0)
        return 0;
    for (const char *line = strstr(fdinfo, "lock:"); line; line = strstr(line + 1, "lock:")) {
        g_autofree char *one = g_strndup(line, strcspn(line, "\n"));

        bits |= lock_line_bits(one, inode, bytes);
    }
    return bits;
}

/*
 * Returns the number in a line "NAME:\tVALUE" of @text, in @base; @fallback if the line is missing.
 */
static uint64_t fdinfo_field(const char *text, const char *name, int base, uint64_t fallback)
{
    const char *line = strstr(text, name);

    return line ? g_ascii_strtoull(line + strlen(name), NULL, (guint)base) : fallback;
}

/* Kernels before 5.15 report no inode. The attributes of each descriptor are then compared. */
static void search_descriptor(CstFileUsers *users, const char *pid, const char *name)
{
    char info[64], descriptor[64];
    g_autofree char *text = NULL, *target = NULL;
    WantedFile *file;
    uint64_t inode;
    struct statx st;

    g_snprintf(info, sizeof(info), "/proc/%.20s/fdinfo/%.20s", pid, name);
    g_snprintf(descriptor, sizeof(descriptor), "/proc/%.20s/fd/%.20s", pid, name);
    target = cst_kernel_link(descriptor);
    if (!target || *target != '/')
        return; /* a pipe, a socket, "anon_inode:…" */
    text = cst_kernel_read(info);
    if (!text)
        return;
    inode = fdinfo_field(text, "ino:", 10, 0);
    if ((inode && !g_hash_table_contains(users->files, &inode)) ||
        !file_attributes(AT_FDCWD, descriptor, &st))
        return;
    file = wanted_file_of(users, &st);
    if (file)
        file_user_add(users, file, g_ascii_strtoll(pid, NULL, 10),
                      (fdinfo_field(text, "flags:", 8, O_RDWR) & O_ACCMODE) != O_RDONLY,
                      locked_bits(text, file->inode, &users->bytes));
}

/*
 * Adds the file of a line of proc_pid_maps(5), "START-END rw-s OFFSET 08:01 INODE PATH", that is a
 * writable shared mapping. On file systems with a device number for each subvolume (btrfs), the
 * line has another number than statx(2), and the major number of statx(2) is 0.
 */
static void search_mapping(CstFileUsers *users, const char *pid, const char *line)
{
    unsigned device_major, device_minor;
    uint64_t inode;
    char mode[5];

    if (sscanf(line, "%*s %4s %*s %x:%x %" SCNu64, mode, &device_major, &device_minor, &inode) !=
            4 ||
        mode[1] != 'w' || mode[3] != 's')
        return;
    for (WantedFile *file = g_hash_table_lookup(users->files, &inode); file; file = file->next)
        if (file->major == 0 || (device_major == file->major && device_minor == file->minor))
            file_user_add(users, file, g_ascii_strtoll(pid, NULL, 10), TRUE, 0);
}

static void search_process(CstFileUsers *users, const char *pid)
{
    g_autofree char *fd_path = g_strdup_printf("/proc/%s/fd", pid);
    g_autofree char *maps_path = g_strdup_printf("/proc/%s/maps", pid);
    g_auto(GStrv) names = cst_kernel_list(fd_path);
    g_autofree char *maps = cst_kernel_read(maps_path);
    g_auto(GStrv) lines = maps && strstr(maps, "w-s ") ? g_strsplit(maps, "\n", -1) : NULL;

    for (char **name = names; *name; name++)
        search_descriptor(users, pid, *name);
    for (char **line = lines; line && *line; line++)
        search_mapping(users, pid, *line);
}

gboolean cst_file_users_search(CstFileUsers *users, CstTask *task, GError **error)
{
    g_auto(GStrv) pids = NULL;

    if (users->wanted == 0)
        return TRUE;
    CST_TEST_POINT("file.users.search");
    pids = cst_kernel_list("/proc");
    for (char **pid = pids; *pid; pid++) {
        if (!cst_task_check(task, error))
            return FALSE;
        if (g_ascii_isdigit(**pid))
            search_process(users, *pid);
        if (users->found > CST_FILE_USERS_MAX)
            return cst_fail(error, CST_ERROR_LIMIT,
                            _("more than %u processes have the files open; ask about fewer files"),
                            CST_FILE_USERS_MAX);
    }
    return TRUE;
}
