/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The helper's third question: a domain, or all domains, with their drives.
 *
 * The drives are those of the running domain, of its managed save, or of its definition. A disk
 * with type='volume' has no path in these documents. virConnectGetAllDomainStats() has the paths of
 * running domains. It is called once, and only if a path is missing.
 *
 * A path that hangs ends with the alarm of the helper.
 */
#include <stdlib.h>
#include <string.h>

#include <base/i18n.h>

#include "disk.h"

#define PATH_MAX_BYTES 4096 /* of a drive in the answer */

/* --- drives ----------------------------------------------------------------------------------- */

/* Returns the path of a drive of a running domain, borrowed from @records. NULL: not shown. */
static const char *drive_stats_path(virDomainStatsRecordPtr *records, int count, const char *uuid,
                                    const char *target)
{
    virDomainStatsRecordPtr record = helper_record_of(records, count, uuid);

    return record ? record_disk_path(record, target) : NULL;
}

/* A text that is too long for the answer is not known. */
static const char *drive_text(const char *text)
{
    return text && strlen(text) < PATH_MAX_BYTES ? text : "";
}

/*
 * Returns the path of a file without symbolic links, because volumes are found by their paths. The
 * path of a device is kept: /dev/vg/lv is a link to /dev/dm-0. The caller frees it.
 */
static char *drive_real_path(const char *path)
{
    char *real = path && g_path_is_absolute(path) ? realpath(path, NULL) : NULL;
    char *kept =
        g_strdup(real && !g_str_has_prefix(real, "/dev/") && g_utf8_validate(real, -1, NULL)
                     ? real
                     : drive_text(path));

    free(real); /* NOLINT: realpath() allocates it with malloc() */
    return kept;
}

static gboolean def_lacks_path(const CstDomainDef *def)
{
    for (guint i = 0; i < def->layers->len; i++) {
        const CstDomainLayer *layer = g_ptr_array_index(def->layers, i);

        if (layer->level == 0 && !layer->removable && layer->volume && !layer->path)
            return TRUE;
    }
    return FALSE;
}

/* @records: of the running domains; @count 0: not known. */
static void drives_add(GVariantBuilder *drives, const CstDomainDef *def, const char *uuid,
                       virDomainStatsRecordPtr *records, int count)
{
    for (guint i = 0; i < def->layers->len; i++) {
        const CstDomainLayer *layer = g_ptr_array_index(def->layers, i);
        g_autofree char *target = answer_text(layer->target);
        g_autofree char *real = NULL;
        const char *path = layer->path;

        if (layer->level > 0 || layer->removable)
            continue;
        if (!path && layer->volume)
            path = drive_stats_path(records, count, uuid, target);
        real = drive_real_path(path);
        g_variant_builder_add(drives, HYPERVISOR_DRIVE, target, drive_text(real),
                              drive_text(layer->pool), drive_text(layer->volume), layer->read_only,
                              layer->shareable);
    }
}

/* --- domains ---------------------------------------------------------------------------------- */

static gboolean domain_is_asked(const Helper *helper, virDomainPtr domain)
{
    char uuid[VIR_UUID_STRING_BUFLEN] = "";

    if (*helper->domain == '\0')
        return TRUE;
    virDomainGetUUIDString(domain, uuid);
    return strcmp(helper->domain, uuid) == 0 ||
           g_strcmp0(helper->domain, virDomainGetName(domain)) == 0;
}

/* *ret_xml: the document with the drives, which the caller frees with free(). */
static CstDomainState domain_read_state(virDomainPtr domain, char **ret_xml)
{
    CstDomainState state;

    if (domain_active_state(domain, &state)) {
        *ret_xml = virDomainGetXMLDesc(domain, 0);
        return state;
    }
    state = virDomainHasManagedSaveImage(domain, 0) > 0 ? CST_DOMAIN_SAVED : CST_DOMAIN_OFF;
    *ret_xml = state == CST_DOMAIN_SAVED ? virDomainManagedSaveGetXMLDesc(domain, 0) : NULL;
    if (!*ret_xml)
        *ret_xml = virDomainGetXMLDesc(domain, VIR_DOMAIN_XML_INACTIVE);
    return state;
}

/*
 * Returns the definition of a domain that was asked for by its name, and "" for other domains. The
 * caller frees it. NULL: the helper failed.
 */
static char *helper_read_document(Helper *helper, virDomainPtr domain)
{
    char *xml;
    char *document;

    if (*helper->domain == '\0')
        return g_strdup("");
    xml = virDomainGetXMLDesc(domain, VIR_DOMAIN_XML_INACTIVE);
    if (!xml && libvirt_code() == VIR_ERR_NO_DOMAIN)
        return g_strdup("");
    if (!xml) {
        helper_fail_libvirt(helper);
        return NULL;
    }
    document = strlen(xml) < HYPERVISOR_DOCUMENT_MAX ? g_utf8_make_valid(xml, -1) : NULL;
    free(xml); /* NOLINT: libvirt allocates it with malloc() */
    if (!document)
        helper_fail(helper, _("the document of the domain is too long"));
    return document;
}

/* Reads the statistics of the running domains for a disk without a path. */
static gboolean helper_read_stats(Helper *helper, virDomainStatsRecordPtr **records, int *count)
{
    if (*records)
        return TRUE;
    *count = helper_get_stats(helper, records);
    if (*count >= 0 || libvirt_code() == VIR_ERR_NO_SUPPORT) {
        *count = MAX(*count, 0);
        return TRUE;
    }
    return helper_fail_libvirt(helper);
}

static gboolean helper_describe_domain(Helper *helper, virDomainPtr domain,
                                       virDomainStatsRecordPtr **records, int *count)
{
    g_auto(GVariantBuilder) drives = G_VARIANT_BUILDER_INIT(G_VARIANT_TYPE("a" HYPERVISOR_DRIVE));
    g_autofree char *name = answer_text(virDomainGetName(domain));
    g_autofree char *document = NULL;
    g_autoptr(CstDomainDef) def = NULL;
    char uuid[VIR_UUID_STRING_BUFLEN] = "";
    CstDomainState state;
    char *xml = NULL;

    state = domain_read_state(domain, &xml);
    if (!helper_read_def(helper, domain, xml, &def))
        return FALSE;
    if (!def) /* the domain was undefined */
        return TRUE;
    if (state < CST_DOMAIN_SAVED && def_lacks_path(def) &&
        !helper_read_stats(helper, records, count))
        return FALSE;
    document = helper_read_document(helper, domain);
    if (!document)
        return FALSE;
    virDomainGetUUIDString(domain, uuid);
    drives_add(&drives, def, uuid, state < CST_DOMAIN_SAVED ? *records : NULL,
               state < CST_DOMAIN_SAVED ? *count : 0);
    g_variant_builder_add(&helper->domains, HYPERVISOR_DOMAIN, name, uuid, (guint32)state,
                          (guint32)def->agent, document, &drives);
    return TRUE;
}

gboolean helper_describe(Helper *helper)
{
    virDomainStatsRecordPtr *records = NULL;
    virDomainPtr *domains = NULL;
    int count = helper_list_domains(helper, 0, &domains), n_records = 0, found = 0;
    gboolean ok = count >= 0;

    for (int i = 0; ok && i < count; i++) {
        if (!domain_is_asked(helper, domains[i]))
            continue;
        ok = ++found <= HYPERVISOR_DOMAINS_MAX
                 ? helper_describe_domain(helper, domains[i], &records, &n_records)
                 : helper_fail(helper, _("libvirt has too many domains; name one"));
    }
    if (records)
        virDomainStatsRecordListFree(records);
    helper_free_domains(domains, count);
    return ok;
}
