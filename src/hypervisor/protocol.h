/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/**
 * The messages between this process and the helper: one GVariant each, on the helper's stdin and
 * stdout. Both are in the byte order of the host.
 */

/** argv[1] of the helper; the URI and the deadline in seconds follow. */
#define HYPERVISOR_HELPER "--hypervisor-helper"

/** Kinds of questions. */
typedef enum {
    HYPERVISOR_FIND,     /* the disks that show a volume */
    HYPERVISOR_RESIZE,   /* whether a disk can grow, and its growth */
    HYPERVISOR_DESCRIBE, /* domains with their drives */
    HYPERVISOR_DEFINE,   /* whether a domain exists, and the definition of a new one */
    HYPERVISOR_KIND_LAST
} HypervisorKind;

/**
 * kind, has_file, is_device, device, inode, pool, volume; then of a disk: change, UUID, target,
 * format, bytes, the volume is empty; then the name of a domain; then of a definition: name, UUID,
 * document. Texts that a kind of question does not have are empty.
 */
#define HYPERVISOR_QUESTION "(ubbttss(bssstb)s(sss))"

/** Of a disk: domain, UUID, target, state, agent, reads only, shareable, level, by name. */
#define HYPERVISOR_ROW "(sssuubbub)"
/** Of a drive: target, path, pool, volume, reads only, shareable. Unknown texts are empty. */
#define HYPERVISOR_DRIVE "(ssssbb)"
/** Of a domain: name, UUID, state, agent, document, drives. */
#define HYPERVISOR_DOMAIN "(ssuusa" HYPERVISOR_DRIVE ")"
/** outcome, message, disks; of a disk that grows: fitness, capacity; domains. */
#define HYPERVISOR_ANSWER "(usa" HYPERVISOR_ROW "uta" HYPERVISOR_DOMAIN ")"

/**
 * Precedes the answer if the helper has sent a change to libvirt. It is written before the change,
 * so it is received from a killed helper as well. No answer begins with this byte, because an
 * outcome is less.
 */
#define HYPERVISOR_SENT 0xff

#define HYPERVISOR_QUESTION_MAX (1 << 20) /* bytes */
#define HYPERVISOR_ANSWER_MAX   (1 << 20) /* bytes */
#define HYPERVISOR_ROWS_MAX     1024
#define HYPERVISOR_DOMAINS_MAX  1024
#define HYPERVISOR_DOCUMENT_MAX 524288 /* bytes */

/** All but the first two have a message. */
typedef enum {
    HYPERVISOR_ANSWERED,
    HYPERVISOR_ABSENT,     /* no libvirt listens at its socket */
    HYPERVISOR_NO_SOCKET,  /* libvirt's socket does not exist */
    HYPERVISOR_NO_DRIVER,  /* libvirt has no driver for the URI */
    HYPERVISOR_NO_LIBRARY, /* the library of libvirt cannot be loaded */
    HYPERVISOR_UNUSABLE,   /* libvirt does not connect, or does not list its domains */
    HYPERVISOR_FAILED,     /* a question failed, for example because of one domain */
    HYPERVISOR_UNVERIFIED, /* a change was sent, and its result is not known */
    HYPERVISOR_DEFINED,    /* libvirt has the domain already; the message is its name */
    HYPERVISOR_OUTCOME_LAST
} HypervisorOutcome;

/** A new domain. The texts are borrowed. @uuid and @document may be empty: libvirt makes a UUID,
 * and the domain is only looked up. */
typedef struct {
    const char *name, *uuid, *document;
} HypervisorDefinition;

/** Whether main() called cst_hypervisor_run_helper(). */
gboolean hypervisor_has_helper(void);
