/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The helper's fourth question: does libvirt have a domain with this name or UUID, and the
 * definition of a new one.
 *
 *   1. virDomainLookupByUUIDString(), virDomainLookupByName(): each fails with NO_DOMAIN.
 *   2. virDomainDefineXMLFlags(VALIDATE).
 *
 * Step 1 is made again before step 2, in the same process, because libvirt replaces a domain with
 * the same name and UUID without an error. Before step 2 the helper writes HYPERVISOR_SENT, and the
 * alarm is set anew.
 */
#include <stdio.h>
#include <unistd.h>

#include "helper.h"

/* Takes ownership of @domain, the result of a lookup. Returns FALSE unless there is no domain. */
static gboolean definition_check_lookup(Helper *helper, virDomainPtr domain)
{
    if (!domain)
        return libvirt_code() == VIR_ERR_NO_DOMAIN || helper_fail_libvirt(helper);
    helper_fail(helper, virDomainGetName(domain));
    helper->outcome = HYPERVISOR_DEFINED;
    virDomainFree(domain);
    return FALSE;
}

static gboolean definition_is_new(Helper *helper)
{
    const HypervisorDefinition *definition = &helper->definition;

    return (*definition->uuid == '\0' ||
            definition_check_lookup(helper,
                                    virDomainLookupByUUIDString(helper->conn, definition->uuid))) &&
           definition_check_lookup(helper, virDomainLookupByName(helper->conn, definition->name));
}

gboolean helper_define(Helper *helper)
{
    virDomainPtr domain;

    if (!definition_is_new(helper) || *helper->definition.document == '\0')
        return helper->outcome == HYPERVISOR_ANSWERED;
    if (putchar(HYPERVISOR_SENT) == EOF || fflush(stdout) != 0)
        return helper_fail(helper, "stdout");
    alarm(helper->deadline_s);
    domain = virDomainDefineXMLFlags(helper->conn, helper->definition.document,
                                     VIR_DOMAIN_DEFINE_VALIDATE);
    if (domain) {
        virDomainFree(domain);
        return TRUE;
    }
    helper_fail_libvirt(helper);
    /* After an error of the connection, libvirt may still define the domain. */
    if (virGetLastError() && virGetLastError()->domain == VIR_FROM_RPC)
        helper->outcome = HYPERVISOR_UNVERIFIED;
    return FALSE;
}
