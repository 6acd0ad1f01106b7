/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "tree.h"

#include <mount/mount.h>

/** Definitions of netfs pools for tests. Their target is "m" in the directory of the test. */

#define NFS     "<host name='srv'/><dir path='/x'/><format type='nfs'/>"
#define GLUSTER "<host name='srv'/><dir path='vol'/><format type='glusterfs'/>"
#define CIFS    "<host name='srv'/><dir path='share'/><format type='cifs'/>"

#define VOLUMES(...)                                                                           \
    "<?xml version=\"1.0\" encoding=\"UTF-8\" standalone=\"yes\"?><cliOutput><opRet>0</opRet>" \
    "<volInfo><volumes>" __VA_ARGS__ "<count>1</count></volumes></volInfo></cliOutput>"
#define VOLUME(name)                                                                          \
    "<volume><name>" name "</name><id>1</id><bricks><brick><name>b</name></brick></bricks></" \
    "volume>"

/** The default mount options. */
#define DEFAULTS "nodev,nosuid,noexec"

#define FS_NAMESPACE "xmlns:fs='http://libvirt.org/schemas/storagepool/fs/1.0'"

static inline CstPoolDef *parse(const char *source, const char *rest)
{
    g_autofree char *xml =
        g_strdup_printf("<pool type='netfs' " FS_NAMESPACE "><name>p</name><source>%s</source>"
                        "<target><path>%s/m</path></target>%s</pool>",
                        source, root, rest);
    g_autoptr(GError) error = NULL;
    CstPoolDef *def = cst_pool_def_parse(xml, 0, &error);

    if (error)
        fail_msg("%s", error->message);
    return def;
}
