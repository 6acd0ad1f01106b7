/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <api/api.h>

/** The objects that the arguments of a procedure name. */
typedef enum {
    SHAPE_NOTHING,    /**< no object */
    SHAPE_POOL,       /**< a wire_pool */
    SHAPE_VOLUME,     /**< a wire_vol */
    SHAPE_VOLUMES,    /**< an array of wire_vol */
    SHAPE_NEW_VOLUME, /**< the wire_pool of a volume that the procedure makes */
    SHAPE_SECRET,     /**< the wire_uuid of a secret */
    SHAPE_SECRETS,    /**< an array of wire_uuid_args */
    SHAPE_SCHEDULE,   /**< the name of a schedule */
    SHAPE_JOB         /**< the number of a job */
} AuditShapeKind;

/** A further name in the arguments, such as that of a snapshot. */
typedef struct {
    const char *key;   /**< its member in the record; NULL: unused */
    size_t at;         /**< its offset in the arguments */
    gboolean optional; /**< it is a wire_opt_string */
} AuditShapeName;

#define AUDIT_SHAPE_NAMES 3

/** Positions of the names in the arguments of a type. */
typedef struct {
    xdrproc_t func; /**< of the type of the arguments */
    AuditShapeKind kind;
    size_t at; /**< offset of the object in the arguments */
    AuditShapeName names[AUDIT_SHAPE_NAMES];
} AuditShape;

/**
 * Returns the shape of the arguments of @procedure, or NULL if their type is not in the table. Only
 * names and UUIDs are in the table. Documents, options, URLs and values are not, because they may
 * contain secrets.
 */
const AuditShape *audit_shape_find(const CstProcedure *procedure);
