/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The part of the fake libvirt.so.0 that has block jobs of disk vda. "live" of a domain (live.h)
 * has the job and the layers. A pivot is the call "virDomainBlockJobAbort PIVOT" for the actions of
 * fake.c. Each call is logged with its arguments, too.
 */
#include <stdlib.h>
#include <string.h>

#include "fake.h"
#include "live.h"

static int block_fail(const char *message)
{
    fake_fail(VIR_ERR_OPERATION_INVALID, 0, message);
    return -1;
}

static void block_log(const char *format, ...) G_GNUC_PRINTF(1, 2);

static void block_log(const char *format, ...)
{
    g_autofree char *line = NULL;
    va_list args;

    va_start(args, format);
    line = g_strdup_vprintf(format, args);
    va_end(args);
    fake_log(line);
}

/* Returns the path of "vda[N]", whose N counts from 1; NULL for NULL. The caller frees it. */
static char *layer_path(const char *live, const char *name)
{
    g_autofree char *chain = live_get(live, "chain");
    g_auto(GStrv) layers = g_strsplit(chain ? chain : "", ";", -1);
    guint number = name && g_str_has_prefix(name, "vda[")
                       ? (guint)strtoul(name + strlen("vda["), NULL, 10)
                       : 0;

    return number > 0 && number <= g_strv_length(layers) ? g_strdup(layers[number - 1]) : NULL;
}

/* Returns the path of the source in a document of this project's writer. The caller frees it. */
static char *source_path(const char *xml)
{
    const char *source = strstr(xml, "<source ");
    const char *begin = source ? strchr(source, '\'') : NULL;

    if (!begin)
        abort();
    return g_strndup(begin + 1, strcspn(begin + 1, "'"));
}

int virDomainBlockCopy(virDomainPtr domain, const char *disk, const char *xml,
                       virTypedParameterPtr params, int nparams, unsigned int flags)
{
    g_autofree char *live = fake_text(domain, "live"), *document = fake_text(domain, "copy-xml");
    g_autofree char *copy = source_path(xml);

    if (!fake_enter(__func__))
        return -1;
    block_log("copy %s %s %llu 0x%x", disk, nparams > 0 ? params[0].field : "-",
              nparams > 0 ? params[0].value.ul : 0, flags);
    if (document && !g_file_set_contents(document, xml, -1, NULL))
        abort();
    if (!live_block_begin(live, VIR_DOMAIN_BLOCK_JOB_TYPE_COPY, copy, NULL, NULL))
        return block_fail("disk 'vda' already in active block job");
    return fake_result(__func__);
}

int virDomainBlockRebase(virDomainPtr domain, const char *disk, const char *base,
                         unsigned long bandwidth, unsigned int flags)
{
    g_autofree char *live = fake_text(domain, "live");
    g_autofree char *path = layer_path(live, base);

    if (!fake_enter(__func__))
        return -1;
    block_log("rebase %s %s %lu 0x%x", disk, base ? base : "-", bandwidth, flags);
    if (!live_block_begin(live, VIR_DOMAIN_BLOCK_JOB_TYPE_PULL, NULL, NULL, path))
        return block_fail("disk 'vda' already in active block job");
    return fake_result(__func__);
}

int virDomainBlockCommit(virDomainPtr domain, const char *disk, const char *base, const char *top,
                         unsigned long bandwidth, unsigned int flags)
{
    g_autofree char *live = fake_text(domain, "live");
    g_autofree char *path = layer_path(live, base), *above = layer_path(live, top);
    gboolean active = (flags & VIR_DOMAIN_BLOCK_COMMIT_ACTIVE) != 0;

    if (!fake_enter(__func__))
        return -1;
    block_log("commit %s %s %s %lu 0x%x", disk, base ? base : "-", top ? top : "-", bandwidth,
              flags);
    if (!live_block_begin(live,
                          active ? VIR_DOMAIN_BLOCK_JOB_TYPE_ACTIVE_COMMIT
                                 : VIR_DOMAIN_BLOCK_JOB_TYPE_COMMIT,
                          active ? path : NULL, above, path))
        return block_fail("disk 'vda' already in active block job");
    return fake_result(__func__);
}

static int block_pivot(const char *live)
{
    static const char call[] = "virDomainBlockJobAbort PIVOT";
    g_autofree char *ready = NULL;

    if (!fake_enter(call))
        return -1;
    ready = live_get(live, "block-ready");
    if (g_strcmp0(ready, "yes") != 0)
        return block_fail("block job on disk 'vda' is not ready to be pivoted");
    live_block_end(live, "C");
    return fake_result(call);
}

int virDomainBlockJobAbort(virDomainPtr domain, const char *disk, unsigned int flags)
{
    g_autofree char *live = fake_text(domain, "live");

    if (flags & VIR_DOMAIN_BLOCK_JOB_ABORT_PIVOT)
        return block_pivot(live);
    if (!fake_enter(__func__))
        return -1;
    if (!live_block_end(live, "X"))
        return block_fail("disk 'vda' does not have an active block job");
    return fake_result(__func__);
}

int virDomainBlockJobSetSpeed(virDomainPtr domain, const char *disk, unsigned long bandwidth,
                              unsigned int flags)
{
    g_autofree char *live = fake_text(domain, "live");

    if (!fake_enter(__func__))
        return -1;
    block_log("speed %s %lu 0x%x", disk, bandwidth, flags);
    live_set_number(live, "block-rate", (int)bandwidth);
    return fake_result(__func__);
}

/* --- the persistent definition ---------------------------------------------------------------- */

/* Returns the value of an attribute in a document of libxml2. The caller frees it. */
static char *attr_value(const char *xml, const char *name)
{
    g_autofree char *text = g_strdup_printf(" %s=\"", name);
    const char *begin = strstr(xml, text);

    begin = begin ? begin + strlen(text) : "";
    return g_strndup(begin, strcspn(begin, "\""));
}

/* The disk must name a volume. "config" keeps no layers below it. */
int virDomainUpdateDeviceFlags(virDomainPtr domain, const char *xml, unsigned int flags)
{
    g_autofree char *live = fake_text(domain, "live"), *document = fake_text(domain, "device-xml"),
                    *type = attr_value(xml, "type"), *target = attr_value(xml, "dev"),
                    *pool = attr_value(xml, "pool"), *volume = attr_value(xml, "volume"),
                    *layer = g_strdup_printf("%s/%s", pool, volume);

    if (!fake_enter(__func__))
        return -1;
    block_log("update %s 0x%x", target, flags);
    if (document && !g_file_set_contents(document, xml, -1, NULL))
        abort();
    if (!g_str_has_prefix(xml, "<disk ") || strcmp(type, "volume") != 0 ||
        strcmp(target, "vda") != 0 || flags != VIR_DOMAIN_AFFECT_CONFIG)
        return block_fail("the device is not a disk that names a volume");
    live_set(live, "config", layer);
    return fake_result(__func__);
}

int virDomainIsPersistent(virDomainPtr domain)
{
    g_autofree char *transient = fake_text(domain, "transient");

    return fake_enter(__func__) ? !transient : -1;
}

int virConnectClose(virConnectPtr conn)
{
    fake_log(__func__);
    return 0;
}
