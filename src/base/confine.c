/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Gives up rights (see the header). cst_confine_enter() runs in a copy of one thread of this
 * process, so it calls the kernel and nothing that might wait for a lock: glibc's setresuid() would
 * speak to threads that are not there.
 */
#include <base/confine.h>

#include <errno.h>
#include <fcntl.h>
#include <pwd.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#define FIRST_USER 61184 /* systemd's users for the time of a service */
#define LAST_USER  65519
#define ATTEMPTS   100
#define PROCESSES  256 /* of the user: threads of tools, and of QEMU */

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

static gboolean limit(int resource, uint64_t most)
{
    const struct rlimit both = {most, most};

    return setrlimit(resource, &both) == 0;
}

static gboolean set_limits(const CstConfine *confine)
{
    return limit(RLIMIT_CORE, 0) && (!confine->memory || limit(RLIMIT_AS, confine->memory)) &&
           (!confine->uid || limit(RLIMIT_NPROC, PROCESSES));
}

/*
 * /tmp and the like are for everybody to write to; descriptors keep the mount they were opened by.
 */
static gboolean make_all_read_only(void)
{
    struct mount_attr attr = {.attr_set = MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID};

    return unshare(CLONE_NEWNS) == 0 && mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0 &&
           mount_setattr(AT_FDCWD, "/", AT_RECURSIVE, &attr, sizeof(attr)) == 0;
}

static gboolean become(uid_t uid, gid_t group)
{
    return make_all_read_only() && unshare(CLONE_NEWNET | CLONE_NEWIPC) == 0 &&
           syscall(SYS_setgroups, group ? 1 : 0, &group) == 0 &&
           syscall(SYS_setresgid, uid, uid, uid) == 0 &&
           syscall(SYS_setresuid, uid, uid, uid) == 0 && geteuid() == uid; /* -1 changes none */
}

static gboolean give_up(const CstConfine *confine)
{
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 || !set_limits(confine))
        return FALSE;
    if (confine->uid)
        return become(confine->uid, confine->group);
    /* What the kernel does not grant an ordinary user is his anyway. */
    (void)unshare(CLONE_NEWUSER | CLONE_NEWNET | CLONE_NEWIPC);
    return TRUE;
}

static void say(const char *text)
{
    ssize_t ignored = write(STDERR_FILENO, text, strlen(text));

    (void)ignored;
}

void cst_confine_enter(const CstConfine *confine, pid_t parent)
{
    /* The signal is forgotten when the user changes, so it is asked for last. */
    if (give_up(confine) && chdir("/") == 0 && prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0) == 0) {
        if (getppid() == parent)
            return;
    } else {
        say("cannot give up rights: ");
        say(strerrordesc_np(errno));
        say("\n");
    }
    _exit(CST_CONFINE_FAILED);
}
