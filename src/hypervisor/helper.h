/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <libvirt_library.h>

#include <hypervisor/hypervisor.h>

#include "protocol.h"

/** The helper process has one thread and one question. */
typedef struct {
    CstHypervisorVolume volume; /**< borrows its texts from @question, as the members below */
    HypervisorKind kind;
    CstHypervisorDisk disk; /**< for HYPERVISOR_RESIZE */
    const char *domain;     /**< for HYPERVISOR_DESCRIBE: a name or UUID; "": all domains */
    HypervisorDefinition definition; /**< for HYPERVISOR_DEFINE */
    GVariant *question;
    unsigned deadline_s;
    virConnectPtr conn;
    GVariantBuilder rows;
    GVariantBuilder domains; /**< answer for HYPERVISOR_DESCRIBE */
    GHashTable *row_keys;    /**< of the UUID and the target of each row */
    HypervisorOutcome outcome;
    char *message;          /**< of a failure */
    CstDiskFitness fitness; /**< answer for @disk */
    uint64_t capacity;      /**< of @disk as libvirt reports it, in bytes; 0: not known */
} Helper;

/** Sets the answer to a failure of this question. Always returns FALSE. */
gboolean helper_fail(Helper *helper, const char *message);
/** Like helper_fail(), with libvirt's message, after a call for one domain. */
gboolean helper_fail_libvirt(Helper *helper);
/** Returns the code of libvirt's last error; VIR_ERR_OK: no error. */
int libvirt_code(void);
/** Returns a copy of @text, which may be NULL, as valid, short UTF-8. */
char *answer_text(const char *text);
/** Whether @path, which may be NULL, is the volume's file or device. May set a failure. */
gboolean helper_path_is_volume(Helper *helper, const char *path);
/** Returns "block.N.KEY" of a record, borrowed, or NULL. */
const char *record_text(virDomainStatsRecordPtr record, guint number, const char *key);
/**
 * Calls libvirt for a list of domains with @flags. Returns their number; -1: the helper failed.
 * Free the list with helper_free_domains().
 */
int helper_list_domains(Helper *helper, unsigned flags, virDomainPtr **ret_domains);
void helper_free_domains(virDomainPtr *domains, int count);
/** Returns FALSE if the domain does not run. An unknown state counts as running. */
gboolean domain_active_state(virDomainPtr domain, CstDomainState *ret_state);
/** Returns the top layer of a disk, or NULL. */
const CstDomainLayer *layer_of_target(const CstDomainDef *def, const char *target);
/**
 * Parses the document of a domain and frees @xml. *ret_def is NULL if the domain no longer exists.
 * Returns FALSE if the disks cannot be read.
 */
gboolean helper_read_def(Helper *helper, virDomainPtr domain, char *xml, CstDomainDef **ret_def);

/** Runs the helper process. @argc and @argv: of main(). */
void helper_main(int argc, char **argv) G_GNUC_NORETURN;

/** Checks or resizes @disk (resize.c). Returns FALSE after a failure. */
gboolean helper_resize(Helper *helper);
/** Reads @domain, or all domains (describe.c). Returns FALSE after a failure. */
gboolean helper_describe(Helper *helper);
/** Looks up @definition, and defines it if it has a document (define.c). FALSE after a failure. */
gboolean helper_define(Helper *helper);
