/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Any bytes as what an image in a Gluster pool names as its backing file, as a URL that a client
 * looks up, and as what a file's owner has declared of it. What resolves to a volume is called back
 * by a URL that resolves to the same one, and no name leads out of the directory.
 */
#include <stdlib.h>
#include <string.h>

#include <base/url.h>
#include <gluster/gluster.h>
#include <pool/content.h>
#include <pool/pool.h>

#include "fuzz.h"

static const char pool_xml[] =
    "<pool type='gluster'><name>p</name><source><host name='one'/><host name='::1' port='7'/>"
    "<dir path='/a b'/><name>gv0</name></source></pool>";

static CstPoolState *state;

static void open_pool(void)
{
    g_autoptr(CstPoolDef) def = cst_pool_def_parse(pool_xml, 0, NULL);

    state = def ? cst_gluster_backend.open(def, NULL) : NULL;
    if (!state)
        abort();
}

static void check_url(const char *url)
{
    g_autofree char *name = gluster_vol_resolve(state, url);
    g_autofree char *path = name ? gluster_vol_path(state, name) : NULL;
    g_autofree char *again = path ? gluster_vol_resolve(state, path) : NULL;

    if (name && (!*name || strchr(name, '/') || !again || strcmp(name, again) != 0))
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    g_autofree char *text = g_strndup((const char *)data, size);
    g_autoptr(CstDeclaration) declaration = NULL;
    g_autofree char *path = NULL;
    g_autofree char *url = NULL;

    if (!state)
        open_pool();
    path = cst_reference_resolve("/srv/images", text);
    url = cst_reference_resolve("gluster://one/gv0/a%20b", text);
    if (!path || !url)
        abort();
    check_url(text);
    check_url(url);
    declaration = cst_declaration_of_text(text);
    return 0;
}
