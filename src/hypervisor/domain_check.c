/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Checks of a running domain before its disks are copied (see the header). */
#include "domain_check.h"

#include <libxml2_library.h>

#include <base/text.h>

#include "disk.h"

gboolean pause_answer_fail(PauseAnswer *answer, PauseOutcome outcome, const char *message)
{
    g_autofree char *valid = answer_text(message);
    g_autofree char *plain = cst_text_escape(valid);

    pause_answer_set(answer, outcome, plain);
    return FALSE;
}

gboolean pause_answer_fail_libvirt(PauseAnswer *answer)
{
    virErrorPtr failure = virGetLastError();

    if (failure && failure->code == VIR_ERR_NO_DOMAIN)
        return pause_answer_fail(answer, PAUSE_ENDED, NULL);
    if (failure && failure->domain == VIR_FROM_RPC)
        return pause_answer_fail(answer, PAUSE_LOST, failure->message);
    return pause_answer_fail(answer, PAUSE_FAILED, failure ? failure->message : NULL);
}

gboolean domain_load_libraries(PauseAnswer *answer)
{
    g_autoptr(GError) error = NULL;

    return (cst_library_load(&cst_libxml2_library, &error) &&
            cst_library_load(&cst_libvirt_library, &error)) ||
           pause_answer_fail(answer, PAUSE_FAILED, error->message);
}

/* Returns the top layer of a disk that is the volume, or NULL. May set a failure of @helper. */
static const CstDomainLayer *def_find_volume(Helper *helper, virDomainPtr domain,
                                             const CstDomainDef *def)
{
    char uuid[VIR_UUID_STRING_BUFLEN] = "";

    virDomainGetUUIDString(domain, uuid);
    for (guint i = 0; i < def->layers->len; i++) {
        const CstDomainLayer *layer = g_ptr_array_index(def->layers, i);

        if (layer->level == 0 && layer->target &&
            (layer->path ? helper_path_is_volume(helper, layer->path)
                         : helper_stats_show_volume(helper, uuid, layer->target)))
            return layer;
    }
    return NULL;
}

const CstDomainLayer *domain_check_volume(virConnectPtr conn, virDomainPtr domain,
                                          const CstHypervisorVolume *volume,
                                          const CstDomainDef *def, PauseAnswer *answer)
{
    Helper helper = {.volume = *volume, .conn = conn};
    const CstDomainLayer *top = def_find_volume(&helper, domain, def);
    gboolean below = !top && helper_volume_is_below(&helper, def, NULL);
    g_autofree char *message = helper.message;
    int job;

    if (helper.outcome != HYPERVISOR_ANSWERED) {
        pause_answer_fail(answer, PAUSE_FAILED, message);
        return NULL;
    }
    if (!top) {
        pause_answer_fail(answer, below ? PAUSE_BELOW_TOP : PAUSE_NO_DISK, NULL);
        return NULL;
    }
    if (top->shareable) {
        pause_answer_fail(answer, PAUSE_SHAREABLE, top->target);
        return NULL;
    }
    job = top->mirrored ? 1 : domain_has_block_job(domain, top->target);
    if (job == 0)
        return top;
    if (job < 0)
        pause_answer_fail_libvirt(answer);
    else
        pause_answer_fail(answer, PAUSE_HAS_BLOCK_JOB, top->target);
    return NULL;
}

gboolean domain_check_job(virDomainPtr domain, PauseAnswer *answer)
{
    int job = domain_has_job(domain);

    if (job < 0)
        return pause_answer_fail_libvirt(answer);
    return job == 0 || pause_answer_fail(answer, PAUSE_HAS_JOB, NULL);
}

/* @flags: of virDomainGetXMLDesc(). */
static gboolean domain_read_document(virDomainPtr domain, unsigned flags, CstDomainDef **ret_def,
                                     PauseAnswer *answer)
{
    Helper helper = {0};
    g_autofree char *message = NULL;
    char *xml = virDomainGetXMLDesc(domain, flags);
    gboolean ok;

    if (!xml)
        return pause_answer_fail_libvirt(answer);
    ok = helper_read_def(&helper, domain, xml, ret_def);
    message = helper.message;
    return ok || pause_answer_fail(answer, PAUSE_FAILED, message);
}

gboolean domain_read_def(virDomainPtr domain, CstDomainDef **ret_def, PauseAnswer *answer)
{
    return domain_read_document(domain, 0, ret_def, answer);
}

gboolean domain_read_persistent_def(virDomainPtr domain, CstDomainDef **ret_def,
                                    PauseAnswer *answer)
{
    return domain_read_document(domain, VIR_DOMAIN_XML_INACTIVE, ret_def, answer);
}

gboolean domain_check_state(int state, int reason, gboolean *ret_paused, PauseAnswer *answer)
{
    *ret_paused = state == VIR_DOMAIN_PAUSED && reason == VIR_DOMAIN_PAUSED_USER;
    if (*ret_paused || state == VIR_DOMAIN_RUNNING || state == VIR_DOMAIN_BLOCKED)
        return TRUE;
    if (state == VIR_DOMAIN_SHUTOFF)
        return pause_answer_fail(answer, PAUSE_ENDED, NULL);
    return pause_answer_fail(answer,
                             state == VIR_DOMAIN_PAUSED && reason == VIR_DOMAIN_PAUSED_IOERROR
                                 ? PAUSE_IO_ERROR
                                 : PAUSE_STOPPED,
                             NULL);
}
