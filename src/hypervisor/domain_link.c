/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A connection to libvirt for one domain (see the header). */
#include "domain_link.h"

#include "domain_check.h"

gboolean domain_link_find(DomainLink *link, const char *uuid, PauseAnswer *answer)
{
    if (!link->conn)
        return pause_answer_fail(answer, PAUSE_LOST, NULL);
    if (link->domain)
        virDomainFree(link->domain);
    link->domain = virDomainLookupByUUIDString(link->conn, uuid);
    if (!link->domain)
        return pause_answer_fail_libvirt(answer);
    answer->id = (gint32)virDomainGetID(link->domain);
    if (link->id < 0)
        link->id = answer->id;
    return (answer->id >= 0 && answer->id == link->id) ||
           pause_answer_fail(answer, PAUSE_ENDED, NULL);
}

static void domain_link_close(DomainLink *link)
{
    if (link->domain)
        virDomainFree(link->domain);
    if (link->conn)
        virConnectClose(link->conn);
    link->domain = NULL;
    link->conn = NULL;
}

gboolean domain_link_open(DomainLink *link, const char *uri, const char *uuid, PauseAnswer *answer)
{
    domain_link_close(link);
    if (!domain_load_libraries(answer))
        return FALSE;
    if (!link->has_loop && virEventRegisterDefaultImpl() < 0)
        return pause_answer_fail_libvirt(answer);
    link->has_loop = TRUE;
    link->conn = virConnectOpen(uri);
    if (!link->conn)
        return pause_answer_fail_libvirt(answer);
    return domain_link_find(link, uuid, answer);
}

gboolean domain_link_register(DomainLink *link, int event,
                              virConnectDomainEventGenericCallback report, void *data,
                              PauseAnswer *answer)
{
    return virConnectDomainEventRegisterAny(link->conn, link->domain, event, report, data, NULL) >=
               0 ||
           pause_answer_fail_libvirt(answer);
}

gboolean domain_link_fail(const DomainLink *link, PauseAnswer *answer)
{
    int state = VIR_DOMAIN_NOSTATE;

    pause_answer_fail_libvirt(answer);
    if (answer->outcome == PAUSE_FAILED && virDomainGetState(link->domain, &state, NULL, 0) >= 0 &&
        state == VIR_DOMAIN_SHUTOFF)
        pause_answer_fail(answer, PAUSE_ENDED, NULL);
    return FALSE;
}
