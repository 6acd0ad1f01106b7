/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>
#include <stdint.h>

/** libvirt's domains, as far as they use volumes. */

/** States of a domain that keeps its disks. Their numbers are part of the protocol. */
typedef enum {
    CST_DOMAIN_RUNNING,
    CST_DOMAIN_PAUSED,
    CST_DOMAIN_IO_ERROR, /**< paused, because a write of the guest failed */
    CST_DOMAIN_ENDING,   /**< shutting down, or crashed and kept */
    CST_DOMAIN_SAVED,    /**< off, with a managed save: no process has its disks open */
    CST_DOMAIN_OFF,      /**< off; only in lists of domains */
    CST_DOMAIN_STATE_LAST
} CstDomainState;

/** Connection of the domain's guest agent. Its numbers are part of the protocol. */
typedef enum {
    CST_DOMAIN_AGENT_NONE, /**< the domain has no channel for an agent */
    CST_DOMAIN_AGENT_DISCONNECTED,
    CST_DOMAIN_AGENT_CONNECTED,
    CST_DOMAIN_AGENT_LAST
} CstDomainAgent;

/** Returns the name of a state: "running", …, "unknown". Stable, not translated. */
const char *cst_domain_state_word(int state);
/** Returns the name of an agent's connection: "none", …, "unknown". Stable, not translated. */
const char *cst_domain_agent_word(int agent);

/** A disk of a domain that shows a volume. The texts are libvirt's: untrusted, valid UTF-8. */
typedef struct {
    char *domain; /**< its name */
    char *uuid;
    char *target; /**< of the disk: "vda" */
    char *uri;    /**< libvirt's connection; NULL: not known to a client */
    CstDomainState state;
    CstDomainAgent agent;
    gboolean reads_only; /**< the guest cannot write to the volume */
    gboolean shareable;  /**< <shareable/>: other domains may use it at the same time */
    guint level;         /**< 0: the disk's image itself; n: its nth backing file */
    gboolean by_name;    /**< only the names of pool and volume match; not known to a client */
} CstDomainDisk;

/** NULL is accepted. */
void cst_domain_disk_free(CstDomainDisk *disk);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(CstDomainDisk, cst_domain_disk_free)

/** A disk of a domain with its image. */
typedef struct {
    char *target;
    char *path;                     /**< of a file or device; NULL: not known */
    char *pool, *volume;            /**< as the domain or the service names them; NULL: not known */
    char *problem;                  /**< why the service has no volume for it; NULL: it has one */
    gboolean reads_only, shareable; /**< as in CstDomainDisk */
} CstDomainDrive;

/** A domain with its drives. The texts are libvirt's: untrusted, valid UTF-8. */
typedef struct {
    char *name, *uuid;
    char *uri;      /**< libvirt's connection; NULL: not known to a client */
    char *document; /**< the definition as XML; NULL or "": not requested */
    CstDomainState state;
    CstDomainAgent agent;
    GPtrArray *drives; /**< of CstDomainDrive *; without CD-ROM and floppy drives */
} CstDomain;

/** Returns a domain without texts and drives. */
CstDomain *cst_domain_new(void);
/** NULL is accepted. */
void cst_domain_free(CstDomain *domain);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(CstDomain, cst_domain_free)

/* --- the document of a domain ----------------------------------------------------------------- */

/** The <mirror> of a disk: the block job that copies or commits its top layer. */
typedef enum {
    CST_DOMAIN_MIRROR_NONE,
    CST_DOMAIN_MIRROR_COPIES, /**< the copy is not complete */
    CST_DOMAIN_MIRROR_READY,  /**< the copy is complete and kept so */
    CST_DOMAIN_MIRROR_ENDS,   /**< libvirt switches to the copy, or aborts the job */
} CstDomainMirror;

/** A layer of a disk: its image or a backing file. @path or @pool and @volume are set, or none. */
typedef struct {
    char *target; /**< of the disk; NULL: missing in the document */
    char *path;   /**< of a file or device */
    char *pool, *volume;
    char *format;                  /**< of the top layer; NULL: a backing file, or not shown */
    gboolean read_only, shareable; /**< of the disk */
    char *index;                   /**< libvirt's number of the layer; NULL: not shown */
    char *mirror_path;             /**< of the copy, a file or device; only of the top layer */
    CstDomainMirror mirror;        /**< only of the top layer */
    gboolean mirrored;             /**< a block job of the disk may write any layer */
    gboolean removable;            /**< the disk is a CD-ROM or floppy drive */
    gboolean translated;           /**< encrypted, or a slice: the guest sees other bytes */
    guint level;                   /**< as in CstDomainDisk */
} CstDomainLayer;

typedef struct {
    GPtrArray *layers; /**< of CstDomainLayer *; the layers of a disk from the top down */
    CstDomainAgent agent;
    gboolean has_owner; /**< @uid and @gid are set */
    uint32_t uid, gid;  /**< of its process, by the label of libvirt's DAC driver */
} CstDomainDef;

/**
 * Parses the document of a domain, which is untrusted. Only disks and the agent's channel are read.
 * Fails with the errors of the XML reader, and with LIMIT for more than CST_DOMAIN_LAYERS_MAX
 * layers.
 */
CstDomainDef *cst_domain_def_parse(const char *xml, GError **error);
/** NULL is accepted. */
void cst_domain_def_free(CstDomainDef *def);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(CstDomainDef, cst_domain_def_free)

/** Maximum number of layers of all disks of a domain. */
#define CST_DOMAIN_LAYERS_MAX 4096
