/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Drops rights (see the header). cst_confine_enter() runs in a copy of one thread of this process.
 * So it makes system calls and calls no function that might wait for a lock. For example, glibc's
 * setresuid() would signal threads that do not exist in the copy.
 *
 * The root of the child is an empty tmpfs, mounted over /usr of a new mount namespace. The system's
 * programs, a few devices and the program itself are cloned into it (open_tree(2)), read-only. Then
 * it becomes "/" (pivot_root(2)), and the root of the host is detached. Sockets of the host have no
 * name there, and a filter denies connect(2) as well.
 *
 * The child is process 1 of a PID namespace (launch.c). The kernel ignores signals that process 1
 * sends to itself, and makes it the parent of orphans. So process 1 becomes an init: the program is
 * its child, it reaps all processes, and it ends as the program did. The kernel then kills the
 * remaining processes.
 */
#include <base/confine.h>

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <poll.h>
#include <pwd.h>
#include <sched.h>
#include <signal.h>
#include <stddef.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define FIRST_USER 61184 /* the range of systemd's dynamic users */
#define LAST_USER  65519
#define ATTEMPTS   100
#define PROCESSES  256 /* limit for the user: threads of tools, and of QEMU */

static gboolean is_known(uid_t uid)
{
    char text[4096];
    struct passwd entry, *found = NULL;

    return getpwuid_r(uid, &entry, text, sizeof(text), &found) != 0 || found;
}

void cst_confine_choose_user(CstConfine *confine)
{
    confine->uid = 0;
    if (geteuid() != 0)
        return;
    for (guint i = 0; i < ATTEMPTS; i++) {
        confine->uid = (uid_t)g_random_int_range(FIRST_USER, LAST_USER + 1);
        if (!is_known(confine->uid))
            return;
    }
}

static gboolean resource_limit(int resource, uint64_t most)
{
    const struct rlimit both = {most, most};

    return setrlimit(resource, &both) == 0;
}

static gboolean set_limits(const CstConfine *confine)
{
    return resource_limit(RLIMIT_CORE, 0) &&
           (!confine->memory || resource_limit(RLIMIT_AS, confine->memory)) &&
           (!confine->uid || resource_limit(RLIMIT_NPROC, PROCESSES));
}

/* --- root directory --------------------------------------------------------------------------- */

/* The part of the host that the child sees. A name that the host does not have is left out. */
static const char *const visible[] = {
    "/usr",
    "/bin",
    "/sbin",
    "/lib",
    "/lib32",
    "/lib64",
    "/libx32",
    "/dev/null",
    "/dev/zero",
    "/dev/full",
    "/dev/kvm",
    "/dev/random",
    "/dev/urandom",
    "/etc/ld.so.cache",
    "/etc/alternatives",
};

#define NEW_ROOT    "/usr" /* exists in every system; it is cloned before it is covered */
#define N_VISIBLE   G_N_ELEMENTS(visible)
#define N_TREES     (N_VISIBLE + 2) /* with the program and CstConfine.file */
#define LINK_LENGTH 256

typedef struct {
    const char *path;
    int tree;               /* a clone of the path; -1: no clone */
    char link[LINK_LENGTH]; /* for a link instead of a clone: its target */
    gboolean is_dir;
} Tree;

/*
 * Clones @path. Returns TRUE with tree -1 if the path does not exist, and FALSE if it cannot be
 * cloned.
 */
static gboolean tree_open(Tree *tree, const char *path, gboolean follow)
{
    struct stat st;
    ssize_t n;

    *tree = (Tree){.path = path, .tree = -1};
    if (!path || (follow ? stat(path, &st) : lstat(path, &st)) < 0)
        return TRUE;
    tree->is_dir = S_ISDIR(st.st_mode);
    if (S_ISLNK(st.st_mode)) {
        n = readlink(path, tree->link, LINK_LENGTH - 1);
        return n > 0 && n < LINK_LENGTH - 1;
    }
    tree->tree = open_tree(AT_FDCWD, path, OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_RECURSIVE);
    return tree->tree >= 0;
}

/*
 * Creates the directories above @path and the mount point of the tree, a directory or an empty
 * file.
 */
static gboolean make_place(int root, const Tree *tree)
{
    char place[PATH_MAX];
    const char *path = tree->path + 1;
    int fd;

    if (strlen(path) >= sizeof(place))
        return FALSE;
    for (const char *end = strchr(path, '/'); end; end = strchr(end + 1, '/')) {
        memcpy(place, path, (size_t)(end - path));
        place[end - path] = '\0';
        if (mkdirat(root, place, 0755) < 0 && errno != EEXIST)
            return FALSE;
    }
    if (tree->is_dir)
        return mkdirat(root, path, 0755) == 0;
    fd = openat(root, path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
    return fd >= 0 && close(fd) == 0;
}

static gboolean tree_attach(int root, const Tree *tree)
{
    const char *path;

    if (!tree->path)
        return TRUE;
    path = tree->path + 1;
    if (*tree->link)
        return symlinkat(tree->link, root, path) == 0;
    /* In most cases the program is in /usr, which is attached already. */
    if (tree->tree < 0 || faccessat(root, path, F_OK, 0) == 0)
        return TRUE;
    return make_place(root, tree) &&
           move_mount(tree->tree, "", root, path, MOVE_MOUNT_F_EMPTY_PATH) == 0;
}

static gboolean make_proc(int root)
{
    return mkdirat(root, "proc", 0755) == 0 && fchdir(root) == 0 &&
           mount("proc", "proc", "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL) == 0 &&
           symlinkat("/proc/self/fd", root, "dev/fd") == 0;
}

/* Creates the root directory and enters it. Open descriptors keep the mount of the host. */
static gboolean make_root(const CstConfine *confine, const char *program)
{
    struct mount_attr attr = {.attr_set = MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID};
    Tree trees[N_TREES];
    int root;

    if (unshare(CLONE_NEWNS) < 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0)
        return FALSE;
    for (guint i = 0; i < N_VISIBLE; i++)
        if (!tree_open(&trees[i], visible[i], FALSE))
            return FALSE;
    if (!tree_open(&trees[N_VISIBLE], program, TRUE) ||
        !tree_open(&trees[N_VISIBLE + 1], confine->file, TRUE) ||
        mount("tmpfs", NEW_ROOT, "tmpfs", MS_NOSUID | MS_NODEV, "mode=0755,size=1m") < 0)
        return FALSE;
    root = open(NEW_ROOT, O_DIRECTORY | O_CLOEXEC);
    if (root < 0)
        return FALSE;
    umask(022); /* the child's user must be able to pass through its directories */
    for (guint i = 0; i < N_TREES; i++)
        if (!tree_attach(root, &trees[i]))
            return FALSE;
    umask(077);
    return make_proc(root) && syscall(SYS_pivot_root, ".", ".") == 0 &&
           umount2(".", MNT_DETACH) == 0 && chdir("/") == 0 &&
           mount_setattr(AT_FDCWD, "/", AT_RECURSIVE, &attr, sizeof(attr)) == 0;
}

/* --- connections ------------------------------------------------------------------------------ */

#if defined(__x86_64__)
#define NATIVE AUDIT_ARCH_X86_64
#elif defined(__aarch64__)
#define NATIVE AUDIT_ARCH_AARCH64
#endif

/* Denies connect(2), io_uring, which can connect as well, and system calls of other ABIs. */
static gboolean deny_connections(void)
{
#ifdef NATIVE
    struct sock_filter filter[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, arch)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, NATIVE, 0, 4),
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JGE | BPF_K, 0x40000000, 2, 0), /* x32 */
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_connect, 1, 0),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_io_uring_setup, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    const struct sock_fprog program = {G_N_ELEMENTS(filter), filter};

    return prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program, 0, 0) == 0;
#else
    return TRUE;
#endif
}

/* --- rights ----------------------------------------------------------------------------------- */

static gboolean confine_self(const CstConfine *confine, const char *program)
{
    uid_t uid = confine->uid;
    gid_t group = confine->group;

    if (getpid() != 1) {
        errno = EPERM; /* the kernel has not granted a PID namespace */
        return FALSE;
    }
    return make_root(confine, program) && unshare(CLONE_NEWNET | CLONE_NEWIPC) == 0 &&
           syscall(SYS_setgroups, group ? 1 : 0, &group) == 0 &&
           syscall(SYS_setresgid, uid, uid, uid) == 0 &&
           syscall(SYS_setresuid, uid, uid, uid) == 0 && geteuid() == uid; /* -1 means no change */
}

static gboolean give_up(const CstConfine *confine, const char *program)
{
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 || !set_limits(confine))
        return FALSE;
    if (confine->uid)
        return confine_self(confine, program) && deny_connections();
    /* A failure is ignored, because these are rights that the unprivileged user has anyway. */
    (void)unshare(CLONE_NEWUSER | CLONE_NEWNET | CLONE_NEWIPC);
    return deny_connections();
}

static void write_error(const char *text)
{
    ssize_t ignored = write(STDERR_FILENO, text, strlen(text));

    (void)ignored;
}

/* --- process 1 -------------------------------------------------------------------------------- */

/*
 * Reaps until @program ends. Exits with its exit status, or with 128 + signal. The program's user
 * cannot read the memory of this process, which is a copy of the parent's.
 */
G_NORETURN static void run_init(pid_t program)
{
    int status = 0;
    pid_t pid;

    /* The pipes must end with the program. */
    (void)close_range(0, ~0U, 0);
    (void)prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
    do {
        pid = waitpid(-1, &status, 0);
    } while (pid != program && (pid >= 0 || errno == EINTR));
    if (pid != program)
        _exit(CST_CONFINE_FAILED);
    _exit(WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status));
}

/* Returns in a child of this process. This process becomes the init of the child. */
static gboolean fork_from_init(void)
{
    long pid = syscall(SYS_clone, SIGCHLD, NULL, NULL, NULL, NULL);

    if (pid > 0)
        run_init((pid_t)pid);
    return pid == 0;
}

void cst_confine_enter(const CstConfine *confine, const char *program, int parent)
{
    struct pollfd death = {.fd = parent, .events = POLLIN};

    /* A change of the user clears the death signal, so it is set last. */
    if (give_up(confine, program) && chdir("/") == 0 &&
        prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0) == 0) {
        if (poll(&death, 1, 0) != 0)
            _exit(CST_CONFINE_FAILED);
        if (!confine->uid || fork_from_init())
            return;
    }
    write_error("cannot give up rights: ");
    write_error(strerrordesc_np(errno));
    write_error("\n");
    _exit(CST_CONFINE_FAILED);
}
