/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Any bytes as the definition of a domain in a backup. A rewritten definition can be parsed again,
 * each disk that the guest can write is a new volume, and a new domain has no UUID.
 */
#include <stdlib.h>
#include <string.h>

#include <model/domain.h>
#include <model/domain_restore.h>

#include "fuzz.h"

#define NEW_PATH "/new/volume"

static gboolean layer_is_restored(const CstDomainLayer *layer)
{
    return layer->level == 0 && !layer->removable && !layer->read_only;
}

static void check_document(const char *document)
{
    g_autoptr(CstDomainDef) def = cst_domain_def_parse(document, NULL);

    if (!def)
        abort();
    for (guint i = 0; i < def->layers->len; i++) {
        const CstDomainLayer *layer = def->layers->pdata[i];

        if (layer_is_restored(layer) && g_strcmp0(layer->path, NEW_PATH) != 0)
            abort();
    }
}

static void check_rewrite(const char *text, const CstDomainRestore *restore)
{
    g_auto(CstDomainDefinition) definition = {0};
    g_autoptr(GError) error = NULL;
    gboolean ok = cst_domain_restore(text, restore, &definition, &error);

    if (ok != (error == NULL) || ok != (definition.document != NULL))
        abort();
    if (!ok)
        return;
    if (restore->name && (definition.uuid || strcmp(definition.name, restore->name) != 0))
        abort();
    check_document(definition.document);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    g_autofree char *text = g_strndup((const char *)data, size);
    g_autoptr(CstDomainDef) def = cst_domain_def_parse(text, NULL);
    g_autoptr(GArray) disks = g_array_new(FALSE, TRUE, sizeof(CstDomainNewDisk));
    CstDomainRestore restore = {0};

    for (guint i = 0; def && i < def->layers->len; i++) {
        const CstDomainLayer *layer = def->layers->pdata[i];
        const CstDomainNewDisk disk = {layer->target, NEW_PATH, "qcow2", i % 2 == 1};

        if (layer_is_restored(layer) && layer->target)
            g_array_append_val(disks, disk);
    }
    restore.disks = (CstDomainNewDisk *)disks->data;
    restore.n_disks = disks->len;
    check_rewrite(text, &restore);
    restore.name = "new";
    check_rewrite(text, &restore);
    return 0;
}
