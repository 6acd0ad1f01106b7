/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The rights of QEMU's user. libvirt reads its user and group from /etc/libvirt/qemu.conf. The
 * defaults of the distributions are libvirt-qemu with group kvm, and qemu.
 *
 * The rights follow POSIX.1e, section 23.1.5: the owner, else a named user, else the groups, else
 * all further users. The mask limits named users and groups. The kernel stores the access list in
 * the attribute system.posix_acl_access: a version, then entries of a tag, rights and an id, all of
 * them little-endian.
 */
#include "user.h"

#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <string.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <base/bytes.h>
#include <base/file.h>

#define CONFIG_MAX (1 << 20) /* bytes of qemu.conf */
#define GROUPS_MAX 256
#define ACL_HEADER 4
#define ACL_ENTRY  8
#define ACL_MAX    (ACL_HEADER + 512 * ACL_ENTRY)

/* The tags of entries. */
enum {
    ACL_OWNER = 1,
    ACL_USER = 2,
    ACL_GROUP_OWNER = 4,
    ACL_GROUP = 8,
    ACL_MASK = 16,
    ACL_OTHERS = 32
};

/* --- the configuration ------------------------------------------------------------------------ */

/* Returns the last value of @key in @text, without quotes; NULL: not set. The caller frees it. */
static char *config_value(const char *text, const char *key)
{
    g_auto(GStrv) lines = g_strsplit(text, "\n", -1);
    char *value = NULL;

    for (char **line = lines; *line; line++) {
        char *equals = strchr(*line, '=');
        size_t len;

        if (!equals)
            continue;
        *equals = '\0';
        if (strcmp(g_strstrip(*line), key) != 0)
            continue;
        g_free(value);
        value = g_strdup(g_strstrip(equals + 1));
        len = strlen(value);
        if (len >= 2 && value[0] == '"' && value[len - 1] == '"') {
            value[len - 1] = '\0';
            memmove(value, value + 1, len - 1);
        }
    }
    return value;
}

/* Parses "+107" or "107". */
static gboolean id_parse(const char *text, guint64 *ret_id)
{
    return g_ascii_string_to_unsigned(*text == '+' ? text + 1 : text, 10, 0, UINT32_MAX - 1, ret_id,
                                      NULL);
}

/* Finds a user by name or number. *ret_gid: its group; unchanged for a number. */
static gboolean user_resolve(const char *name, uid_t *ret_uid, gid_t *ret_gid)
{
    struct passwd entry, *found = NULL;
    char buffer[4096];
    guint64 id;

    if (*name != '+' && getpwnam_r(name, &entry, buffer, sizeof(buffer), &found) == 0 && found) {
        *ret_uid = entry.pw_uid;
        *ret_gid = entry.pw_gid;
        return TRUE;
    }
    if (!id_parse(name, &id))
        return FALSE;
    *ret_uid = (uid_t)id;
    return TRUE;
}

static gboolean group_resolve(const char *name, gid_t *ret_gid)
{
    struct group entry, *found = NULL;
    char buffer[16384];
    guint64 id;

    if (*name != '+' && getgrnam_r(name, &entry, buffer, sizeof(buffer), &found) == 0 && found) {
        *ret_gid = entry.gr_gid;
        return TRUE;
    }
    if (!id_parse(name, &id))
        return FALSE;
    *ret_gid = (gid_t)id;
    return TRUE;
}

/* Makes the user @name with @group (NULL: its own group). NULL: it does not exist, or is root. */
static DoctorUser *user_new(const char *name, const char *group, gboolean changes_owner)
{
    DoctorUser *user;
    gid_t list[GROUPS_MAX];
    int count = GROUPS_MAX;
    gid_t gid = (gid_t)-1;
    uid_t uid;

    if (!user_resolve(name, &uid, &gid) || uid == 0 || (group && !group_resolve(group, &gid)))
        return NULL;
    user = g_new0(DoctorUser, 1);
    *user = (DoctorUser){
        .name = g_strdup(name),
        .uid = uid,
        .groups = g_array_new(FALSE, FALSE, sizeof(gid_t)),
        .changes_owner = changes_owner,
    };
    g_array_append_val(user->groups, gid);
    /* The groups of a number without a name, and of too many groups, are not known. */
    if (*name != '+' && getgrouplist(name, gid, list, &count) > 0)
        g_array_append_vals(user->groups, list, (guint)count);
    return user;
}

DoctorUser *doctor_user_find(const CstPaths *paths)
{
    static const char *const defaults[] = {"libvirt-qemu", "qemu"};
    g_autofree char *path = g_build_filename(paths->etc_dir, "libvirt", "qemu.conf", NULL);
    g_autofree char *text = NULL;
    g_autofree char *name = NULL, *group = NULL, *dynamic = NULL;
    DoctorUser *user = NULL;
    size_t len;

    if (paths->session)
        return NULL;
    if (cst_file_read(path, CONFIG_MAX, &text, &len, NULL)) {
        name = config_value(text, "user");
        group = config_value(text, "group");
        dynamic = config_value(text, "dynamic_ownership");
    } else if (paths->root && strcmp(paths->root, "/") != 0) {
        /* Another root has users of its own. */
        return NULL;
    }
    for (guint i = 0; !name && !user && i < G_N_ELEMENTS(defaults); i++)
        user = user_new(defaults[i], group ? group : "kvm", g_strcmp0(dynamic, "0") != 0);
    return name ? user_new(name, group, g_strcmp0(dynamic, "0") != 0) : user;
}

void doctor_user_free(DoctorUser *user)
{
    if (!user)
        return;
    g_free(user->name);
    g_array_unref(user->groups);
    g_free(user);
}

/* --- rights ----------------------------------------------------------------------------------- */

static gboolean user_has_group(const DoctorUser *user, gid_t gid)
{
    for (guint i = 0; i < user->groups->len; i++)
        if (g_array_index(user->groups, gid_t, i) == gid)
            return TRUE;
    return FALSE;
}

/* Returns the rights of the mask; all of them without a mask. */
static unsigned acl_mask(const uint8_t *acl, size_t len)
{
    for (size_t at = ACL_HEADER; at + ACL_ENTRY <= len; at += ACL_ENTRY)
        if (cst_le16(acl + at) == ACL_MASK)
            return cst_le16(acl + at + 2);
    return DOCTOR_READ | DOCTOR_WRITE | DOCTOR_SEARCH;
}

/* Whether an access list grants @rights. @st is that of its file. */
static gboolean acl_grants(const DoctorUser *user, const struct stat *st, const uint8_t *acl,
                           size_t len, unsigned rights)
{
    unsigned mask = acl_mask(acl, len), others = 0;
    gboolean in_group = FALSE;

    for (size_t at = ACL_HEADER; at + ACL_ENTRY <= len; at += ACL_ENTRY) {
        unsigned tag = cst_le16(acl + at), granted = cst_le16(acl + at + 2);
        uint32_t id = cst_le32(acl + at + 4);

        /* Entries are sorted by tag, so the first entry of a user decides. */
        if ((tag == ACL_OWNER && st->st_uid == user->uid) || (tag == ACL_USER && id == user->uid))
            return (granted & (tag == ACL_OWNER ? 7u : mask) & rights) == rights;
        if ((tag == ACL_GROUP_OWNER && user_has_group(user, st->st_gid)) ||
            (tag == ACL_GROUP && user_has_group(user, id))) {
            if ((granted & mask & rights) == rights)
                return TRUE;
            in_group = TRUE;
        }
        if (tag == ACL_OTHERS)
            others = granted;
    }
    return !in_group && (others & rights) == rights;
}

gboolean doctor_user_may(const DoctorUser *user, const char *path, const struct stat *st,
                         unsigned rights, gboolean *ret_has_acl)
{
    uint8_t acl[ACL_MAX];
    ssize_t len = getxattr(path, "system.posix_acl_access", acl, sizeof(acl));
    unsigned shift = 0;

    *ret_has_acl = len > 0;
    /* The kernel ignores an access list whose mask, which the group bits show, is empty. */
    if (len >= ACL_HEADER && (st->st_uid == user->uid || (st->st_mode & S_IRWXG) != 0))
        return acl_grants(user, st, acl, (size_t)len, rights);
    if (st->st_uid == user->uid)
        shift = 6;
    else if (user_has_group(user, st->st_gid))
        shift = 3;
    return ((st->st_mode >> shift) & rights) == rights;
}
