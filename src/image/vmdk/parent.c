/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Changes the parent: set_backing, expect, follow and empty of format.h. Three fields of the
 * descriptor describe the parent: its content ID, its name, and, during a change of the parent, its
 * next content ID. They change together in one sector (vmdk_text_switch()), so that a power cut
 * leaves all old or all new values. vmdk->lock guards them.
 */
#include <string.h>

#include <base/error.h>
#include <base/i18n.h>

#include "create.h"
#include "vmdk.h"

typedef struct {
    uint32_t cid, next;
    const char *name; /* NULL: no parent */
} Parent;

/* Lock held. After a failure the state on the disk is unknown until the image is opened again. */
static gboolean set_parent(Vmdk *vmdk, const Parent *parent, GError **error)
{
    VmdkDescriptor *d = &vmdk->descriptor;
    VmdkDescriptor old = *d;
    gboolean ok;

    d->parent_cid = parent->cid;
    d->next_parent_cid = parent->next;
    d->parent = g_strdup(parent->name);
    ok = vmdk_text_switch(vmdk, error);
    if (ok) {
        g_free(old.parent);
        return TRUE;
    }
    g_free(d->parent);
    d->parent_cid = old.parent_cid;
    d->next_parent_cid = old.next_parent_cid;
    d->parent = old.parent;
    return FALSE;
}

static gboolean change_parent(Vmdk *vmdk, const Parent *parent, GError **error)
{
    gboolean ok;

    g_mutex_lock(&vmdk->lock);
    ok = set_parent(vmdk, parent, error);
    g_mutex_unlock(&vmdk->lock);
    return ok;
}

/* Only an image with a descriptor and with sparse extents only can have a parent. */
static gboolean check_kind(const Vmdk *vmdk, GError **error)
{
    gboolean sparse = vmdk->descriptor.text != NULL;

    for (guint i = 0; i < vmdk->extents->len; i++)
        sparse = sparse && vmdk_extent(vmdk, i)->ops->empty;
    return sparse ||
           cst_fail(error, CST_ERROR_UNSUPPORTED,
                    _("a VMDK image of the kind of '%s' has no backing image"), vmdk->blob->name);
}

gboolean vmdk_set_backing(CstImage *image, const char *name, const char *format, CstImage *parent,
                          GError **error)
{
    Vmdk *vmdk = vmdk_of(image);
    Parent new = {VMDK_NO_PARENT, VMDK_NO_PARENT, name};

    if (!check_kind(vmdk, error))
        return FALSE;
    if (name && (!parent || strcmp(format, "vmdk") != 0 || !vmdk_of(parent)->descriptor.text))
        return cst_fail(error, CST_ERROR_INVALID,
                        _("the backing image of a VMDK image must be a VMDK image"));
    if (name && !vmdk_is_quotable(name))
        return cst_fail(error, CST_ERROR_INVALID, _("the backing image's name can't be stored"));
    if (name)
        new.cid = vmdk_of(parent)->descriptor.cid;
    return vmdk_flush(image, error) && change_parent(vmdk, &new, error);
}

gboolean vmdk_expect(CstImage *image, CstImage *parent, GError **error)
{
    Vmdk *vmdk = vmdk_of(image), *below = vmdk_of(parent);
    const Parent both = {below->descriptor.cid, vmdk_new_cid(below->descriptor.cid),
                         vmdk->descriptor.parent};

    if (!change_parent(vmdk, &both, error))
        return FALSE;
    below->next_cid = both.next;
    return TRUE;
}

gboolean vmdk_follow(CstImage *image, CstImage *parent, GError **error)
{
    Vmdk *vmdk = vmdk_of(image);
    const Parent now = {vmdk_of(parent)->descriptor.cid, VMDK_NO_PARENT, vmdk->descriptor.parent};

    return change_parent(vmdk, &now, error);
}

gboolean vmdk_empty(CstImage *image, CstTask *task, GError **error)
{
    Vmdk *vmdk = vmdk_of(image);

    if (!check_kind(vmdk, error))
        return FALSE;
    for (guint i = 0; i < vmdk->extents->len; i++) {
        VmdkExtent *extent = vmdk_extent(vmdk, i);

        if (!extent->ops->empty(extent, task, error))
            return FALSE;
    }
    return TRUE;
}
