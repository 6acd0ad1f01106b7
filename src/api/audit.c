/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Audit records of calls. Every call of a procedure that changes something gives exactly one
 * record, at its end, with the caller, the objects, the result, the duration and the job. A job's
 * call ends with the job, so its record has the result of the job. The record of an upload is
 * written at the end of the upload, whose data follow the call.
 *
 * A record has the names in the arguments (audit_shape.c) and the identities that the handler has
 * found: its lookups of pools call api_audit_set_pool() before the change. So the UUID of a deleted
 * pool and the key of a deleted volume are in the record. Documents and other arguments never are.
 *
 * The record under way belongs to the thread that runs the handler, so no lock is needed.
 */
#include "audit.h"

#include <string.h>
#include <unistd.h>

#include <base/dry_run.h>
#include <base/error.h>
#include <base/error_class.h>
#include <base/file.h>
#include <base/log_context.h>
#include <service/audit.h>
#include <service/pools.h>

#include "audit_shape.h"
#include "audit_text.h"

#define LOGIN_NONE   UINT32_MAX /* the kernel's loginuid of a process without a login */
#define OBJECTS_MAX  16         /* objects of a record; further ones are counted */
#define OBJECTS_TEXT 16384 /* bytes of the objects' text after which further ones are counted */

typedef struct {
    const char *type; /* "pool", "volume", "secret", "schedule", "job" */
    char *pool;       /* of a volume */
    char *name;
    char *key; /* of a volume */
    gboolean has_uuid;
    CstUuid uuid; /* of the object; of the pool of a volume */
    uint64_t number;
} AuditObject;

struct ApiAudit {
    CstAudit *trail;
    const CstProcedure *procedure;
    gint64 began;
    AuditShapeKind kind;
    GArray *objects; /* of AuditObject */
    guint count;     /* objects in the arguments, including ones that are not in @objects */
    GString *names;  /* members: further names in the arguments */
    GString *caller; /* members: the caller */
    char *uid, *pid; /* of the caller, for the journal */
    CstTask *task;   /* a reference; has the number of the job; NULL: no task */
};

static _Thread_local ApiAudit *current;

static void object_clear(gpointer data)
{
    AuditObject *object = data;

    g_free(object->pool);
    g_free(object->name);
    g_free(object->key);
}

static void audit_record_free(ApiAudit *audit)
{
    g_array_unref(audit->objects);
    g_string_free(audit->names, TRUE);
    g_string_free(audit->caller, TRUE);
    g_free(audit->uid);
    g_free(audit->pid);
    cst_task_unref(audit->task);
    g_free(audit);
}

/* --- the caller ------------------------------------------------------------------------------- */

/* Adds the path of the program, or its short name if only its user may read the path. */
static void caller_add_program(GString *members, pid_t pid)
{
    g_autofree char *link = g_strdup_printf("/proc/%d/exe", (int)pid);
    g_autofree char *comm = NULL;
    g_autofree char *program = cst_kernel_link(link);

    if (!program) {
        comm = g_strdup_printf("/proc/%d/comm", (int)pid);
        program = cst_kernel_read(comm);
        if (program)
            g_strchomp(program);
    }
    audit_add_text(members, "program", program);
}

/* Adds the user that has logged in. It differs from the uid after sudo. */
static void caller_add_login(GString *members, pid_t pid)
{
    g_autofree char *path = g_strdup_printf("/proc/%d/loginuid", (int)pid);
    g_autofree char *text = cst_kernel_read(path);
    guint64 login = text ? g_ascii_strtoull(text, NULL, 10) : LOGIN_NONE;

    if (login < LOGIN_NONE)
        audit_add_number(members, "login", login);
}

/* Adds the user for whom a daemon of libvirt has declared to act. */
static void caller_add_identity(GString *members, const CstApiIdentity *identity)
{
    g_autoptr(GString) own = g_string_new(NULL);

    audit_add_text(own, "user", identity->user);
    if (identity->has_uid)
        audit_add_number(own, "uid", identity->uid);
    if (identity->has_pid)
        audit_add_number(own, "pid", (uint64_t)MAX(identity->pid, 0));
    audit_add_text(own, "sasl", identity->sasl);
    audit_add_text(own, "tls", identity->tls);
    if (own->len > 0)
        g_string_append_printf(members, ",\"for\":{%s}", own->str);
}

static void caller_describe(ApiAudit *audit, const CstApiCall *call)
{
    const CstLogContext *context = cst_log_context();
    gboolean client = context && context->connection && !call->embedded;
    uid_t uid = client ? context->uid : getuid();
    pid_t pid = client ? context->pid : getpid();

    audit->uid = g_strdup_printf("%u", (unsigned)uid);
    audit->pid = g_strdup_printf("%d", (int)pid);
    audit_add_number(audit->caller, "uid", uid);
    audit_add_number(audit->caller, "pid", (uint64_t)pid);
    caller_add_login(audit->caller, pid);
    caller_add_program(audit->caller, pid);
    audit_add_text(audit->caller, "via", client ? "socket" : "embedded");
    if (call->identity)
        caller_add_identity(audit->caller, call->identity);
}

/* --- objects ---------------------------------------------------------------------------------- */

/* Returns a new object, or NULL if the record has no room for it. */
static AuditObject *object_add(ApiAudit *audit, const char *type)
{
    AuditObject object = {.type = type};

    if (audit->count++ >= OBJECTS_MAX)
        return NULL;
    g_array_append_val(audit->objects, object);
    return &g_array_index(audit->objects, AuditObject, audit->objects->len - 1);
}

/*
 * Returns the first object if it has the type @type, else a new object. NULL: the record has no
 * room for it.
 */
static AuditObject *object_first(ApiAudit *audit, const char *type)
{
    AuditObject *first =
        audit->objects->len > 0 ? &g_array_index(audit->objects, AuditObject, 0) : NULL;

    return first && g_str_equal(first->type, type) ? first : object_add(audit, type);
}

static void object_set_uuid(AuditObject *object, const void *uuid)
{
    if (!object)
        return;
    memcpy(object->uuid.bytes, uuid, sizeof(object->uuid.bytes));
    object->has_uuid = TRUE;
}

static void object_set_text(char **member, const char *text)
{
    if (!text)
        return;
    g_free(*member);
    *member = g_strdup(text);
}

static void objects_add_volumes(ApiAudit *audit, const wire_vol *volumes, guint count)
{
    for (guint i = 0; i < count; i++) {
        AuditObject *object = object_add(audit, "volume");

        if (object) {
            object->pool = g_strdup(volumes[i].pool);
            object->name = g_strdup(volumes[i].name);
        }
    }
}

static void objects_read(ApiAudit *audit, const void *at)
{
    const struct {
        u_int len;
        const void *values;
    } *array = at;
    const wire_pool *pool = at;
    AuditObject *object;

    switch (audit->kind) {
    case SHAPE_NOTHING: break;
    case SHAPE_POOL:
        object = object_add(audit, "pool");
        object->name = g_strdup(pool->name);
        object_set_uuid(object, pool->uuid);
        break;
    case SHAPE_NEW_VOLUME:
        object = object_add(audit, "volume");
        object->pool = g_strdup(pool->name);
        object_set_uuid(object, pool->uuid);
        break;
    case SHAPE_VOLUME: objects_add_volumes(audit, at, 1); break;
    case SHAPE_VOLUMES: objects_add_volumes(audit, array->values, array->len); break;
    case SHAPE_SECRET: object_set_uuid(object_add(audit, "secret"), at); break;
    case SHAPE_SECRETS:
        for (guint i = 0; i < array->len; i++)
            object_set_uuid(object_add(audit, "secret"),
                            ((const wire_uuid_args *)array->values)[i].uuid);
        break;
    case SHAPE_SCHEDULE: object_add(audit, "schedule")->name = g_strdup(*(char *const *)at); break;
    case SHAPE_JOB: object_add(audit, "job")->number = *(const uint64_t *)at; break;
    }
}

static void names_read(ApiAudit *audit, const AuditShape *shape, const char *args)
{
    for (guint i = 0; i < AUDIT_SHAPE_NAMES && shape->names[i].key; i++) {
        const AuditShapeName *name = &shape->names[i];
        const void *at = args + name->at;
        const char *text = NULL;

        if (!name->optional)
            text = *(char *const *)at;
        else if (*(const wire_opt_string *)at)
            text = **(const wire_opt_string *)at;
        if (text && *text)
            audit_add_text(audit->names, name->key, text);
    }
}

void api_audit_set_pool(CstPool *pool)
{
    if (!current)
        return;
    for (guint i = 0; i < current->objects->len; i++) {
        AuditObject *object = &g_array_index(current->objects, AuditObject, i);
        gboolean volume = g_str_equal(object->type, "volume");

        /* A client may have sent the UUID of a pool with another name. */
        if (object->has_uuid && cst_uuid_equal(&object->uuid, cst_pool_uuid(pool)))
            object_set_text(volume ? &object->pool : &object->name, cst_pool_name(pool));
        else if (volume && g_strcmp0(object->pool, cst_pool_name(pool)) == 0)
            object_set_uuid(object, cst_pool_uuid(pool)->bytes);
        else
            continue;
        if (volume && object->name && !object->key)
            object->key = cst_vol_known_key(pool, object->name);
    }
}

void api_audit_set_schedule(const CstUuid *uuid)
{
    if (current)
        object_set_uuid(object_first(current, "schedule"), uuid->bytes);
}

/* Adds the identity of the object that a successful call has made. */
static void objects_read_result(ApiAudit *audit, const CstProcedure *procedure, const void *ret)
{
    if (procedure->ret_func == (xdrproc_t)xdr_wire_vol_args) {
        const wire_vol *vol = &((const wire_vol_args *)ret)->vol;
        /* The arguments of some calls have a pool: trash-restore returns a volume of it. */
        AuditObject *object = object_first(audit, "volume");

        if (!object)
            return;
        object_set_text(&object->pool, vol->pool);
        object_set_text(&object->name, vol->name);
        object_set_text(&object->key, vol->key);
    } else if (procedure->ret_func == (xdrproc_t)xdr_wire_pool_args) {
        const wire_pool *pool = &((const wire_pool_args *)ret)->pool;
        AuditObject *object = object_first(audit, "pool");

        if (!object)
            return;
        object_set_text(&object->name, pool->name);
        object_set_uuid(object, pool->uuid);
    } else if (procedure->ret_func == (xdrproc_t)xdr_wire_secret_args) {
        object_set_uuid(object_first(audit, "secret"),
                        ((const wire_secret_args *)ret)->secret.uuid);
    } else if (procedure->ret_func == (xdrproc_t)xdr_wire_text && audit->kind == SHAPE_NEW_VOLUME) {
        object_set_text(&object_first(audit, "volume")->name, ((const wire_text *)ret)->value);
    }
}

/*
 * A call that failed to make a volume: the log's context has the name if its job has begun. Before,
 * the context may have the name of the source.
 */
static void objects_name_new(ApiAudit *audit)
{
    const CstLogContext *context = cst_log_context();
    AuditObject *object = object_first(audit, "volume");

    if (object && !object->name && context && context->in_job && *context->volume)
        object->name = g_strdup(context->volume);
}

/* --- the record ------------------------------------------------------------------------------- */

static void record_add_objects(const ApiAudit *audit, GString *members)
{
    gsize begin = members->len;
    guint shown = 0;

    if (audit->objects->len == 0)
        return;
    g_string_append(members, ",\"objects\":[");
    for (; shown < audit->objects->len && members->len - begin < OBJECTS_TEXT; shown++) {
        const AuditObject *object = &g_array_index(audit->objects, AuditObject, shown);
        gboolean volume = g_str_equal(object->type, "volume");

        g_string_append(members, shown ? ",{" : "{");
        audit_add_text(members, "type", object->type);
        audit_add_text(members, "pool", object->pool);
        if (object->has_uuid)
            audit_add_uuid(members, volume ? "pool_uuid" : "uuid", &object->uuid);
        audit_add_text(members, "name", object->name);
        audit_add_text(members, "key", object->key);
        if (object->number)
            audit_add_number(members, "number", object->number);
        g_string_append_c(members, '}');
    }
    g_string_append_c(members, ']');
    if (audit->count > shown)
        audit_add_number(members, "further_objects", audit->count - shown);
}

static void record_write(const ApiAudit *audit, const GError *error)
{
    const char *result = error ? cst_error_info((int)cst_error_code(error))->word : "done";
    const AuditObject *object =
        audit->objects->len > 0 ? &g_array_index(audit->objects, AuditObject, 0) : NULL;
    gboolean volume = object && g_str_equal(object->type, "volume");
    gboolean pool = object && g_str_equal(object->type, "pool");
    g_autoptr(GString) members = g_string_sized_new(1024);
    uint64_t number = cst_task_job(audit->task);
    g_autofree char *job = number ? g_strdup_printf("%" G_GUINT64_FORMAT, number) : NULL;
    const CstAuditField fields[] = {
        {"PROCEDURE", audit->procedure->name},
        {"CLIENT", audit->pid},
        {"CLIENT_UID", audit->uid},
        {"POOL", volume ? object->pool
                 : pool ? object->name
                        : NULL},
        {"VOLUME", volume ? object->name : NULL},
        {"JOB", job},
        {"CISTERN_AUDIT_RESULT", result},
    };

    audit_add_text(members, "kind", "call");
    audit_add_text(members, "procedure", audit->procedure->name);
    g_string_append_printf(members, ",%s", audit->caller->str);
    record_add_objects(audit, members);
    if (audit->names->len > 0)
        g_string_append_printf(members, ",%s", audit->names->str);
    audit_add_text(members, "result", result);
    audit_add_number(members, "duration_us",
                     (uint64_t)MAX(g_get_monotonic_time() - audit->began, 0));
    if (number)
        audit_add_number(members, "job", number);
    cst_audit_append(audit->trail, members->str, fields, G_N_ELEMENTS(fields));
}

ApiAudit *api_audit_begin(const CstApiCall *call, const void *args)
{
    const CstProcedure *procedure = call->procedure;
    const AuditShape *shape;
    CstAudit *trail;
    ApiAudit *audit;

    if (procedure->needs != CST_NEEDS_WRITE || (procedure->reads && procedure->reads(args)) ||
        !call->service || cst_dry_run())
        return NULL;
    trail = cst_service_audit(call->service);
    if (!trail)
        return NULL;
    shape = audit_shape_find(procedure);
    audit = g_new0(ApiAudit, 1);
    *audit = (ApiAudit){.trail = trail,
                        .procedure = procedure,
                        .began = g_get_monotonic_time(),
                        .task = cst_task_ref(call->task),
                        .kind = shape ? shape->kind : SHAPE_NOTHING,
                        .objects = g_array_new(FALSE, TRUE, sizeof(AuditObject)),
                        .names = g_string_new(NULL),
                        .caller = g_string_sized_new(256)};
    g_array_set_clear_func(audit->objects, object_clear);
    caller_describe(audit, call);
    if (shape) {
        objects_read(audit, (const char *)args + shape->at);
        names_read(audit, shape, args);
    }
    current = audit;
    return audit;
}

/* Implements CstUploadEnd. */
static void audit_upload_end(const GError *error, gpointer data)
{
    ApiAudit *audit = data;

    record_write(audit, error);
    audit_record_free(audit);
}

void api_audit_end(ApiAudit *audit, CstApiCall *call, const void *ret, const GError *error)
{
    if (!audit)
        return;
    current = NULL;
    if (!error)
        objects_read_result(audit, call->procedure, ret);
    else if (audit->kind == SHAPE_NEW_VOLUME)
        objects_name_new(audit);
    if (call->upload) {
        cst_upload_on_end(call->upload, audit_upload_end, audit);
        return;
    }
    record_write(audit, error);
    audit_record_free(audit);
}

gboolean cst_api_only_reads(const void *args)
{
    return TRUE;
}
