/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The checkpoints of the fake libvirt.so.0. "live" of a domain (live.h) has their names. Each one
 * has a bitmap in the disks vda and vdb, except for the broken ones.
 */
#include <stdlib.h>
#include <string.h>

#include "fake.h"
#include "fake_checkpoint.h"
#include "live.h"

struct _virDomainCheckpoint {
    char *live; /* of the domain */
    char *name;
};

static GStrv checkpoint_list(const char *live, const char *key)
{
    g_autofree char *text = live_get(live, key);

    return g_strsplit(text ? text : "", ";", -1);
}

static gboolean checkpoint_exists(const char *live, const char *name)
{
    g_auto(GStrv) names = checkpoint_list(live, "checkpoints");

    return *name && g_strv_contains((const char *const *)names, name);
}

static gboolean checkpoint_is_broken(const char *live, const char *name, const char *target)
{
    g_autofree char *bitmap = g_strdup_printf("%s/%s", name, target);
    g_auto(GStrv) broken = checkpoint_list(live, "broken");

    return g_strv_contains((const char *const *)broken, bitmap);
}

/* Removes or appends a name. */
static void checkpoint_change(const char *live, const char *name, gboolean remove)
{
    g_auto(GStrv) names = checkpoint_list(live, "checkpoints");
    GString *text = g_string_new(NULL);

    for (char **at = names; *at; at++)
        if (**at && (!remove || strcmp(*at, name) != 0))
            g_string_append_printf(text, "%s%s", text->len > 0 ? ";" : "", *at);
    if (!remove)
        g_string_append_printf(text, "%s%s", text->len > 0 ? ";" : "", name);
    live_set(live, "checkpoints", text->str);
    g_string_free(text, TRUE);
}

static gboolean checkpoint_fail(int code, const char *message)
{
    fake_fail(code, 0, message);
    return FALSE;
}

/* Returns the value of an attribute in an element of this project's writer; NULL: missing. */
static char *element_value(const char *element, const char *attribute)
{
    g_autofree char *begin = g_strconcat(" ", attribute, "='", NULL);
    g_autofree char *tag = g_strndup(element, strcspn(element, ">"));
    const char *at = strstr(tag, begin);

    return at ? g_strndup(at + strlen(begin), strcspn(at + strlen(begin), "'")) : NULL;
}

/* Returns the name in the document of a checkpoint, which the caller frees; NULL is accepted. */
static char *checkpoint_name(const char *xml)
{
    const char *begin = xml ? strstr(xml, "<name>") : NULL;

    return begin ? g_strndup(begin + 6, strcspn(begin + 6, "<")) : NULL;
}

gboolean fake_checkpoint_begin(const char *live, const char *backup, const char *checkpoint)
{
    g_autofree char *refused = live_get(live, "refuses"), *name = NULL;
    g_auto(GStrv) disks = g_strsplit(backup, "<disk ", -1);

    if (checkpoint && g_strcmp0(refused, "checkpoint") == 0)
        return checkpoint_fail(VIR_ERR_OPERATION_FAILED, "no bitmaps in this image");
    name = checkpoint_name(checkpoint);
    if (name && checkpoint_exists(live, name))
        return checkpoint_fail(VIR_ERR_OPERATION_INVALID, "the checkpoint exists already");
    for (guint i = 1; disks[0] && disks[i]; i++) {
        g_autofree char *element = g_strconcat(" ", disks[i], NULL);
        g_autofree char *base = element_value(element, "incremental");
        g_autofree char *target = element_value(element, "name");

        if (!base)
            continue;
        if (g_strcmp0(refused, "changes") == 0)
            return checkpoint_fail(VIR_ERR_OPERATION_FAILED, "no changes today");
        if (!checkpoint_exists(live, base))
            return checkpoint_fail(VIR_ERR_NO_DOMAIN_CHECKPOINT, "no such checkpoint");
        if (checkpoint_is_broken(live, base, target))
            return checkpoint_fail(VIR_ERR_CHECKPOINT_INCONSISTENT, "missing or broken bitmap");
    }
    return TRUE;
}

void fake_checkpoint_add(const char *live, const char *checkpoint)
{
    g_autofree char *name = checkpoint_name(checkpoint);
    g_autofree char *key = g_strconcat("time-", name, NULL);

    if (!name)
        return;
    live_set_number(live, "made", live_get_number(live, "made") + 1);
    live_set_number(live, key, live_get_number(live, "made"));
    checkpoint_change(live, name, FALSE);
}

static virDomainCheckpointPtr checkpoint_new(const char *live, const char *name)
{
    virDomainCheckpointPtr checkpoint = g_new0(struct _virDomainCheckpoint, 1);

    checkpoint->live = g_strdup(live);
    checkpoint->name = g_strdup(name);
    return checkpoint;
}

int virDomainCheckpointFree(virDomainCheckpointPtr checkpoint)
{
    g_free(checkpoint->live);
    g_free(checkpoint->name);
    g_free(checkpoint);
    return 0;
}

const char *virDomainCheckpointGetName(virDomainCheckpointPtr checkpoint)
{
    return checkpoint->name;
}

virDomainCheckpointPtr virDomainCheckpointLookupByName(virDomainPtr domain, const char *name,
                                                       unsigned int flags)
{
    g_autofree char *live = fake_text(domain, "live");

    if (!fake_enter(__func__))
        return NULL;
    if (checkpoint_exists(live, name))
        return checkpoint_new(live, name);
    fake_fail(VIR_ERR_NO_DOMAIN_CHECKPOINT, 0, "no such checkpoint");
    return NULL;
}

int virDomainListAllCheckpoints(virDomainPtr domain, virDomainCheckpointPtr **ret_checkpoints,
                                unsigned int flags)
{
    g_autofree char *live = fake_text(domain, "live");
    g_auto(GStrv) names = checkpoint_list(live, "checkpoints");
    int count = 0;

    if (!fake_enter(__func__))
        return -1;
    *ret_checkpoints = g_new0(virDomainCheckpointPtr, g_strv_length(names) + 1);
    for (char **name = names; *name; name++)
        if (**name)
            (*ret_checkpoints)[count++] = checkpoint_new(live, *name);
    return count;
}

char *virDomainCheckpointGetXMLDesc(virDomainCheckpointPtr checkpoint, unsigned int flags)
{
    static const char *const targets[] = {"vda", "vdb"};
    g_autofree char *key = g_strconcat("time-", checkpoint->name, NULL);
    g_autoptr(GString) xml = g_string_new("<domaincheckpoint>");
    gboolean sizes = (flags & VIR_DOMAIN_CHECKPOINT_XML_SIZE) != 0;

    if (!(flags & VIR_DOMAIN_CHECKPOINT_XML_NO_DOMAIN))
        abort();
    g_string_append_printf(xml, "<creationTime>%d</creationTime><disks>",
                           1000 + live_get_number(checkpoint->live, key));
    if (!fake_enter(__func__))
        return NULL;
    for (guint i = 0; i < G_N_ELEMENTS(targets); i++)
        g_string_append_printf(
            xml, "<disk name='%s' checkpoint='bitmap'%s/>", targets[i],
            !sizes || checkpoint_is_broken(checkpoint->live, checkpoint->name, targets[i])
                ? ""
                : " size='0'");
    g_string_append(xml, "</disks></domaincheckpoint>");
    return strdup(xml->str);
}

int virDomainCheckpointDelete(virDomainCheckpointPtr checkpoint, unsigned int flags)
{
    gboolean broken = checkpoint_is_broken(checkpoint->live, checkpoint->name, "vda") ||
                      checkpoint_is_broken(checkpoint->live, checkpoint->name, "vdb");

    if (!fake_enter(__func__))
        return -1;
    if (broken && flags != VIR_DOMAIN_CHECKPOINT_DELETE_METADATA_ONLY) {
        fake_fail(VIR_ERR_INTERNAL_ERROR, 0, "bitmap not found in backing chain");
        return -1;
    }
    if (!broken && flags == VIR_DOMAIN_CHECKPOINT_DELETE_METADATA_ONLY)
        live_set(checkpoint->live, "orphans", "yes");
    checkpoint_change(checkpoint->live, checkpoint->name, TRUE);
    return 0;
}
