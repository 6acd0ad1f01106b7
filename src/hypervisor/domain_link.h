/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <libvirt_library.h>

#include "pause_protocol.h"

/**
 * A connection to libvirt, and the domain for which a process has opened it. All functions call
 * libvirt and may hang. Each failure sets the answer; PAUSE_LOST: the connection has failed, and
 * domain_link_open() may open another one.
 */
typedef struct {
    virConnectPtr conn;
    virDomainPtr domain;
    int id;            /* of the domain; -1: not known yet */
    gboolean has_loop; /* libvirt's event loop is registered */
} DomainLink;

/**
 * Connects to libvirt and its event loop, and finds the domain. Closes an earlier connection first.
 */
gboolean domain_link_open(DomainLink *link, const char *uri, const char *uuid, PauseAnswer *answer);
/** Replaces the handle of the domain. Fails with PAUSE_ENDED if it was started again. */
gboolean domain_link_find(DomainLink *link, const char *uuid, PauseAnswer *answer);
/** Registers for an event of the domain. */
gboolean domain_link_register(DomainLink *link, int event,
                              virConnectDomainEventGenericCallback report, void *data,
                              PauseAnswer *answer);
/**
 * Sets the outcome to libvirt's last error, or to PAUSE_ENDED if the domain is shut off. Always
 * returns FALSE.
 */
gboolean domain_link_fail(const DomainLink *link, PauseAnswer *answer);
