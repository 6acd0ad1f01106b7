/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Names outside of pools (see the header).
 *
 * cst_place_init() walks the path with one descriptor for the directory that it has reached. Each
 * component is opened with O_PATH and O_NOFOLLOW, so that the walk sees a link as a link. Owner and
 * text of a link are read from that descriptor, so a later exchange changes neither. The text of a
 * link is prepended to the remaining components.
 */
#include <base/place.h>

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/magic.h>
#include <linux/openat2.h>
#include <string.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <base/dry_run.h>
#include <base/error.h>
#include <base/i18n.h>
#include <base/test_point.h>

#define LINKS_MAX 40 /* as in the kernel */

/* The remaining path and its options. */
typedef struct {
    CstPlace *place;
    char *left; /* components that have not been opened */
    guint links;
    gboolean follow; /* follow a link as the last component */
    gboolean make;   /* create missing directories */
    mode_t mode;     /* of a new directory that is the last component */
    mode_t parents;  /* of the other new directories */
} Walk;

gboolean cst_stat_is_same(const struct stat *a, const struct stat *b)
{
    return a->st_dev == b->st_dev && a->st_ino == b->st_ino;
}

/* --- the walk --------------------------------------------------------------------------------- */

static gboolean is_trusted_owner(const CstPlace *place, uid_t uid)
{
    return cst_owner_is_us(uid) || uid == place->user;
}

/*
 * The owner of a sticky directory can exchange its entries, so the owner has to be trusted. With
 * the umask 002 of many distributions, the group of a user's own directory has no other member.
 */
static gboolean is_trusted(const CstPlace *place, const struct stat *dir)
{
    const gboolean own = dir->st_uid != 0 && dir->st_uid == geteuid();

    return is_trusted_owner(place, dir->st_uid) &&
           ((dir->st_mode & S_ISVTX) || !(dir->st_mode & (own ? S_IWOTH : S_IWGRP | S_IWOTH)));
}

/* Makes @fd, a directory with the attributes @st, the current one. Takes ownership of @fd. */
static void set_directory(CstPlace *place, int fd, const struct stat *st)
{
    cst_fd_clear(&place->dir);
    place->dir = fd;
    place->trusted = is_trusted(place, st);
    place->closed = place->trusted && !(st->st_mode & (S_IWGRP | S_IWOTH));
    place->shared =
        (st->st_mode & (S_IWGRP | S_IWOTH)) && ((st->st_mode & S_ISVTX) || !place->trusted);
    place->owner = st->st_uid;
}

/* Makes @fd the current directory. Takes ownership of @fd, which may be -1 with errno set. */
static gboolean enter_directory(Walk *walk, int fd, GError **error)
{
    CstPlace *place = walk->place;
    g_auto(CstFd) dir = fd;
    struct stat st;

    if (dir < 0 || fstat(dir, &st) < 0)
        return cst_fail_errno(error, errno, _("cannot open '%s'"), place->path);
    set_directory(place, g_steal_fd(&dir), &st);
    return TRUE;
}

/* Removes the next component from the remaining path. Returns NULL at the end. g_free() it. */
static char *next_component(Walk *walk)
{
    const char *start = walk->left + strspn(walk->left, "/");
    size_t len = strcspn(start, "/");
    char *name = len ? g_strndup(start, len) : NULL;
    char *rest = g_strdup(start + len);

    g_free(walk->left);
    walk->left = rest;
    return name;
}

static gboolean is_last(const Walk *walk)
{
    return walk->left[strspn(walk->left, "/")] == '\0';
}

static gboolean is_on_proc(int fd)
{
    struct statfs fs;

    return fstatfs(fd, &fs) == 0 && fs.f_type == PROC_SUPER_MAGIC;
}

/* Prepends the text of the link @fd, called @name, to the remaining path. */
static gboolean follow_link(Walk *walk, int fd, const char *name, const struct stat *link,
                            GError **error)
{
    CstPlace *place = walk->place;
    char text[PATH_MAX];
    g_autofree char *rest = NULL;
    ssize_t len;

    if (!place->trusted || !is_trusted_owner(place, link->st_uid))
        return cst_fail(
            error, CST_ERROR_DENIED,
            _("cannot use '%s': '%s' is a symbolic link that another user can change; name "
              "the file that it leads to"),
            place->path, name);
    if (++walk->links > LINKS_MAX)
        return cst_fail_errno(error, ELOOP, _("cannot open '%s'"), place->path);
    len = readlinkat(fd, "", text, sizeof(text) - 1);
    if (len < 0)
        return cst_fail_errno(error, errno, _("cannot open '%s'"), place->path);
    text[len] = '\0';
    rest = walk->left;
    walk->left = g_strconcat(text, "/", rest, NULL);
    if (is_last(walk)) /* a last component: the added slash must not require a directory */
        walk->left[strlen(walk->left) - 1] = '\0';
    return text[0] != '/' ||
           enter_directory(walk, open("/", O_PATH | O_DIRECTORY | O_CLOEXEC), error);
}

/*
 * Records the component @name, which @st describes, if another user can exchange it: its parent is
 * not trusted, or is sticky and another user owns the component.
 */
static void note_exchangeable(CstPlace *place, const char *name, const struct stat *st)
{
    gboolean fixed = place->trusted && (!place->shared || is_trusted_owner(place, st->st_uid));

    if (!fixed && !place->exchanged)
        place->exchanged = g_strdup(name);
}

/* Creates the directory @name in the current directory. Its name survives a power loss. */
static gboolean make_directory(const Walk *walk, const char *name, GError **error)
{
    const CstPlace *place = walk->place;
    g_auto(CstFd) dir = -1;

    if (!cst_may_change(error))
        return FALSE;
    if (mkdirat(place->dir, name, is_last(walk) ? walk->mode : walk->parents) < 0 &&
        errno != EEXIST)
        return cst_fail_errno(error, errno, _("cannot create a directory of '%s'"), place->path);
    CST_TEST_POINT("place.parent.made");
    dir = openat(place->dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (dir < 0)
        return cst_fail_errno(error, errno, _("cannot create a directory of '%s'"), place->path);
    return cst_dir_sync(dir, place->path, error);
}

/*
 * Opens the directory @name, and creates a missing one if the walk permits it. Triggers an
 * automount. Returns -1 on failure, with @error set if the creation failed, or else with errno.
 */
static int open_directory(const Walk *walk, const char *name, GError **error)
{
    const int flags = O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC;
    int dir = walk->place->dir, fd = openat(dir, name, flags);

    if (fd < 0 && errno == ENOENT && walk->make && make_directory(walk, name, error))
        fd = openat(dir, name, flags);
    return fd;
}

/* Continues with the text of the link @name, or follows a link of /proc. */
static gboolean walk_into_link(Walk *walk, const char *name, GError **error)
{
    CstPlace *place = walk->place;
    g_auto(CstFd) fd = openat(place->dir, name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
    struct stat st;

    if (fd < 0 || fstat(fd, &st) < 0)
        return cst_fail_errno(error, errno, _("cannot open '%s'"), place->path);
    note_exchangeable(place, name, &st);
    if (S_ISLNK(st.st_mode) && !is_on_proc(fd))
        return follow_link(walk, fd, name, &st, error);
    return enter_directory(
        walk,
        openat(place->dir, name,
               O_PATH | O_DIRECTORY | O_CLOEXEC | (S_ISLNK(st.st_mode) ? 0 : O_NOFOLLOW)),
        error);
}

/* Enters the directory @name, or continues with the text of the link @name. */
static gboolean walk_into(Walk *walk, const char *name, GError **error)
{
    CstPlace *place = walk->place;
    g_autoptr(GError) why = NULL;
    g_auto(CstFd) fd = -1;
    struct stat st;

    if (strcmp(name, ".") == 0)
        return TRUE;
    if (strcmp(name, "..") == 0 && !place->trusted)
        return cst_fail(error, CST_ERROR_DENIED,
                        _("cannot use '%s': another user can move the directory that '..' leads "
                          "out of; name the directory itself"),
                        place->path);
    fd = open_directory(walk, name, &why);
    if (why) {
        g_propagate_error(error, g_steal_pointer(&why));
        return FALSE;
    }
    if (fd < 0 && (errno == ENOTDIR || errno == ELOOP))
        return walk_into_link(walk, name, error);
    if (fd < 0 || fstat(fd, &st) < 0)
        return cst_fail_errno(error, errno, _("cannot open '%s'"), place->path);
    note_exchangeable(place, name, &st);
    set_directory(place, g_steal_fd(&fd), &st);
    return TRUE;
}

/* Handles the last component. Clears *ret_done only if it is a link that was followed. */
static gboolean walk_to_name(Walk *walk, const char *name, gboolean *ret_done, GError **error)
{
    CstPlace *place = walk->place;
    g_auto(CstFd) fd = openat(place->dir, name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
    struct stat st;

    *ret_done = TRUE;
    if (walk->follow && fd >= 0 && fstat(fd, &st) == 0 && S_ISLNK(st.st_mode)) {
        place->magic = is_on_proc(fd);
        *ret_done = place->magic;
        if (!place->magic)
            return follow_link(walk, fd, name, &st, error);
    }
    place->name = g_strdup(name);
    return TRUE;
}

static gboolean walk_path(Walk *walk, GError **error)
{
    CstPlace *place = walk->place;
    gboolean done = FALSE;
    int start = open(walk->left[0] == '/' ? "/" : ".", O_PATH | O_DIRECTORY | O_CLOEXEC);

    if (!enter_directory(walk, start, error))
        return FALSE;
    while (!done) {
        g_autofree char *name = next_component(walk);
        gboolean last = name && is_last(walk);

        if (!name || (last && (strcmp(name, ".") == 0 || strcmp(name, "..") == 0)))
            return cst_fail(error, CST_ERROR_INVALID, _("'%s' is no name of a file"), place->path);
        if (!(last ? walk_to_name(walk, name, &done, error) : walk_into(walk, name, error)))
            return FALSE;
    }
    return TRUE;
}

/* Makes the directory usable for fsync(). Without read permission it stays an O_PATH descriptor. */
static void reopen_readable(CstPlace *place)
{
    int readable = openat(place->dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    if (readable < 0)
        return;
    cst_fd_clear(&place->dir);
    place->dir = readable;
}

/* Opens the place with the options in @walk. */
static gboolean init_by_walk(CstPlace *ret_place, const char *path, uid_t user, Walk *walk,
                             GError **error)
{
    gboolean ok;

    walk->place = ret_place;
    walk->left = g_strdup(path);
    *ret_place = (CstPlace){.dir = -1, .path = g_strdup(path), .user = user};
    ok = walk_path(walk, error);
    g_free(walk->left);
    if (ok)
        reopen_readable(ret_place);
    return ok;
}

gboolean cst_place_init(CstPlace *ret_place, const char *path, GError **error)
{
    return cst_place_init_for(ret_place, path, geteuid(), TRUE, error);
}

gboolean cst_place_init_for(CstPlace *ret_place, const char *path, uid_t user, gboolean follow,
                            GError **error)
{
    Walk walk = {.follow = follow};

    return init_by_walk(ret_place, path, user, &walk, error);
}

gboolean cst_place_init_making(CstPlace *ret_place, const char *path, GError **error)
{
    Walk walk = {.follow = TRUE, .make = TRUE, .mode = 0700, .parents = 0700};

    return init_by_walk(ret_place, path, geteuid(), &walk, error);
}

/* Enters each component of the remaining path. */
static gboolean walk_to_directory(Walk *walk, GError **error)
{
    int start = open(walk->left[0] == '/' ? "/" : ".", O_PATH | O_DIRECTORY | O_CLOEXEC);
    char *name;

    if (!enter_directory(walk, start, error))
        return FALSE;
    while ((name = next_component(walk))) {
        gboolean entered = walk_into(walk, name, error);

        g_free(name);
        if (!entered)
            return FALSE;
    }
    return TRUE;
}

int cst_place_walk(const char *path, const mode_t *make, char **ret_exchanged, GError **error)
{
    g_auto(CstPlace) place = {.dir = -1, .path = g_strdup(path), .user = geteuid()};
    Walk walk = {.place = &place, .left = g_strdup(path), .make = make != NULL, .parents = 0755};
    gboolean reached;

    walk.mode = make ? *make : 0;
    reached = walk_to_directory(&walk, error);
    g_free(walk.left);
    if (!reached)
        return -1;
    if (ret_exchanged)
        *ret_exchanged = g_steal_pointer(&place.exchanged);
    return g_steal_fd(&place.dir);
}

gboolean cst_place_init_beneath(CstPlace *ret_place, const CstPlace *above, const char *name,
                                const char *path)
{
    g_autofree char *parent = g_path_get_dirname(name);
    Walk walk = {.place = ret_place};

    *ret_place = (CstPlace){
        .dir = -1, .path = g_strdup(path), .name = g_path_get_basename(name), .user = above->user};
    if (!enter_directory(&walk,
                         cst_openat2(above->dir, parent, O_PATH | O_DIRECTORY, 0,
                                     RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS),
                         NULL))
        return FALSE;
    reopen_readable(ret_place);
    return TRUE;
}

gboolean cst_place_is_secure(const CstPlace *place)
{
    return place->trusted && !place->exchanged;
}

void cst_place_clear(CstPlace *place)
{
    /* A zeroed place was never opened, so its descriptor 0 is not closed. */
    if (place->path)
        cst_fd_clear(&place->dir);
    g_clear_pointer(&place->path, g_free);
    g_clear_pointer(&place->name, g_free);
    g_clear_pointer(&place->exchanged, g_free);
}

/* --- the name --------------------------------------------------------------------------------- */

gboolean cst_place_stat(const CstPlace *place, struct stat *ret_st)
{
    return fstatat(place->dir, place->name, ret_st, place->magic ? 0 : AT_SYMLINK_NOFOLLOW) == 0;
}

int cst_place_open(const CstPlace *place, int flags)
{
    unsigned tries = 0;
    int fd;

    do {
        fd = openat(place->dir, place->name,
                    flags | O_CLOEXEC | O_NOCTTY | (place->magic ? 0 : O_NOFOLLOW));
    } while (cst_open_again(fd, &tries));
    return fd;
}

/*
 * Whether the open file @st has no other name than that of @place. The count in @st is from before
 * an unlink(2), or after one: only a name that still leads to the file shows that it is the one.
 */
static gboolean has_one_name(const CstPlace *place, const struct stat *st)
{
    struct stat named;

    return cst_place_stat(place, &named) && cst_stat_is_same(&named, st) && named.st_nlink < 2;
}

gboolean cst_place_check_links(const CstPlace *place, const struct stat *st, GError **error)
{
    if (place->closed || place->magic || !S_ISREG(st->st_mode) ||
        (!place->shared && st->st_uid == place->owner) || has_one_name(place, st))
        return TRUE;
    return cst_fail(error, CST_ERROR_DENIED,
                    _("cannot open '%s': it is a file of user %u with another name, and another "
                      "user can have made this name; copy it to a directory of your own"),
                    place->path, (unsigned)st->st_uid);
}

int cst_place_open_input(const CstPlace *place, int flags, struct stat *ret_st,
                         const char *complaint, GError **error)
{
    g_auto(CstFd) fd = cst_place_open(place, flags | O_NONBLOCK);

    if (fd < 0 || fstat(fd, ret_st) < 0) {
        cst_fail_errno(error, errno, "%s", complaint);
        return -1;
    }
    return cst_place_check_links(place, ret_st, error) ? g_steal_fd(&fd) : -1;
}

int cst_place_create(const CstPlace *place, mode_t mode)
{
    return openat(place->dir, place->name,
                  O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC | O_NOCTTY, mode);
}

gboolean cst_place_may_give(const CstPlace *place, const struct stat *st)
{
    return place->closed || is_trusted_owner(place, st->st_uid) || st->st_uid == place->owner;
}

/*
 * Whether writing to the file @st would disclose the content to another user, or change a file
 * under another name. Sets @error.
 */
static gboolean refuse_output(const CstPlace *place, const struct stat *st, GError **error)
{
    if (!S_ISREG(st->st_mode) && !S_ISFIFO(st->st_mode))
        return FALSE;
    if (S_ISFIFO(st->st_mode) && !place->magic && !is_trusted_owner(place, st->st_uid))
        return !cst_fail(error, CST_ERROR_DENIED,
                         _("cannot write '%s': it is a FIFO of user %u, who could block the "
                           "command; remove it first"),
                         place->path, (unsigned)st->st_uid);
    if (!cst_place_may_give(place, st))
        return !cst_fail(error, CST_ERROR_DENIED,
                         _("cannot write '%s': it belongs to user %u, and its directory does not; "
                           "remove it first"),
                         place->path, (unsigned)st->st_uid);
    if (!place->closed && !place->magic && !has_one_name(place, st))
        return !cst_fail(error, CST_ERROR_DENIED,
                         _("cannot write '%s': it has another name, and another user can have made "
                           "this name; remove it first"),
                         place->path);
    return FALSE;
}

int cst_place_open_output(const CstPlace *place, mode_t mode, gboolean *ret_created, GError **error)
{
    g_auto(CstFd) fd = place->magic ? -1 : cst_place_create(place, mode);
    struct stat st;

    *ret_created = fd >= 0;
    if (fd >= 0)
        return g_steal_fd(&fd);
    if (!place->magic && errno != EEXIST) {
        cst_fail_errno(error, errno, _("cannot create '%s'"), place->path);
        return -1;
    }
    /*
     * Waits only for a FIFO that was one at the first check, and only if its owner may get the
     * content.
     */
    if (cst_place_stat(place, &st)) {
        if (refuse_output(place, &st, error))
            return -1;
        fd = cst_place_open(place, O_WRONLY | (S_ISREG(st.st_mode) ? O_NONBLOCK : 0));
    }
    if (fd < 0 || fstat(fd, &st) < 0) {
        cst_fail_errno(error, errno, _("cannot create '%s'"), place->path);
        return -1;
    }
    if (refuse_output(place, &st, error))
        return -1;
    /*
     * The kernel keeps these bits when root writes, so the content would become a program. It drops
     * them when another user than the owner writes, who may not change the mode.
     */
    if (S_ISREG(st.st_mode) && (st.st_mode & (S_ISUID | S_ISGID)) &&
        (geteuid() == 0 || st.st_uid == geteuid()) && fchmod(fd, st.st_mode & 0777) < 0) {
        cst_fail_errno(error, errno, _("cannot write '%s'"), place->path);
        return -1;
    }
    return g_steal_fd(&fd);
}

gboolean cst_place_is(const CstPlace *place, const struct stat *st)
{
    struct stat now;

    return cst_place_stat(place, &now) && cst_stat_is_same(&now, st);
}

void cst_place_remove(const CstPlace *place, const struct stat *st)
{
    if (cst_place_is(place, st))
        unlinkat(place->dir, place->name, 0);
}

gboolean cst_place_sync(const CstPlace *place, GError **error)
{
    if (fcntl(place->dir, F_GETFL) & O_PATH)
        return TRUE;
    return cst_dir_sync(place->dir, place->path, error);
}

char *cst_place_reach(const CstPlace *place)
{
    return g_strdup_printf("/proc/self/fd/%d/%s", place->dir, place->name);
}

/* --- the user's directories ------------------------------------------------------------------- */

static gboolean is_our_directory(const char *path)
{
    struct stat st;

    return stat(path, &st) == 0 && S_ISDIR(st.st_mode) && st.st_uid == geteuid();
}

/*
 * Creates the directory cistern/@name in @above. Creates @above as well if it is missing and this
 * user owns @parent. Returns its path, or NULL.
 */
static char *user_dir(const char *above, const char *parent, const char *name)
{
    g_autofree char *dir = g_build_filename(above, "cistern", name, NULL);
    g_autofree char *inside = g_build_filename(dir, "x", NULL);
    g_auto(CstPlace) place = CST_PLACE_INIT;
    g_autoptr(GError) why = NULL;

    if (!is_our_directory(g_file_test(above, G_FILE_TEST_EXISTS) ? above : parent))
        return NULL;
    if (!cst_place_init(&place, inside, &why)) {
        /* Create directories only if the path is missing, not if it has an untrusted link. */
        if (!g_error_matches(why, CST_ERROR, CST_ERROR_NOT_FOUND) ||
            !cst_dir_ensure(dir, 0700, NULL))
            return NULL;
        cst_place_clear(&place);
        if (!cst_place_init(&place, inside, NULL))
            return NULL;
    }
    return cst_place_is_secure(&place) && place.owner == geteuid() ? g_steal_pointer(&dir) : NULL;
}

char *cst_place_cache_dir(const char *name)
{
    const char *cache = g_get_user_cache_dir();
    g_autofree char *parent = g_path_get_dirname(cache);

    return user_dir(cache, parent, name);
}

char *cst_place_state_dir(const char *name)
{
    return user_dir(g_get_user_state_dir(), g_get_home_dir(), name);
}
