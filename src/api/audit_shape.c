/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The names in the arguments of procedures, by the types of the arguments. */
#include "audit_shape.h"

#include <stddef.h>

#define TYPE(type)       (xdrproc_t) xdr_wire_##type
#define AT(type, member) offsetof(wire_##type, member)
#define NAME(key, ...)              \
    {                               \
        key, AT(__VA_ARGS__), FALSE \
    }
#define OPTIONAL(key, ...)         \
    {                              \
        key, AT(__VA_ARGS__), TRUE \
    }

static const AuditShape shapes[] = {
    {TYPE(pool_args), SHAPE_POOL, AT(pool_args, pool), {{0}}},
    {TYPE(pool_flags_args), SHAPE_POOL, AT(pool_flags_args, pool), {{0}}},
    {TYPE(pool_autostart_args), SHAPE_POOL, AT(pool_autostart_args, pool), {{0}}},
    {TYPE(pool_follow_args), SHAPE_POOL, AT(pool_follow_args, pool), {{0}}},
    {TYPE(trash_restore_args),
     SHAPE_POOL,
     AT(trash_restore_args, pool),
     {NAME("trash", trash_restore_args, which), OPTIONAL("new_name", trash_restore_args, name)}},
    {TYPE(trash_empty_args),
     SHAPE_POOL,
     AT(trash_empty_args, pool),
     {OPTIONAL("trash", trash_empty_args, which)}},
    {TYPE(vol_args), SHAPE_VOLUME, AT(vol_args, vol), {{0}}},
    {TYPE(vol_flags_args), SHAPE_VOLUME, AT(vol_flags_args, vol), {{0}}},
    {TYPE(vol_wipe_args), SHAPE_VOLUME, AT(vol_wipe_args, vol), {{0}}},
    {TYPE(vol_resize_args), SHAPE_VOLUME, AT(vol_resize_args, vol), {{0}}},
    {TYPE(vol_resize_qmp_args), SHAPE_VOLUME, AT(vol_resize_qmp_args, vol), {{0}}},
    {TYPE(vol_stream_args), SHAPE_VOLUME, AT(vol_stream_args, vol), {{0}}},
    {TYPE(vol_patch_args), SHAPE_VOLUME, AT(vol_patch_args, vol), {{0}}},
    {TYPE(vol_commit_args), SHAPE_VOLUME, AT(vol_commit_args, vol), {{0}}},
    {TYPE(vol_consolidate_args), SHAPE_VOLUME, AT(vol_consolidate_args, vol), {{0}}},
    {TYPE(vol_rebase_args), SHAPE_VOLUME, AT(vol_rebase_args, vol), {{0}}},
    {TYPE(vol_declare_args), SHAPE_VOLUME, AT(vol_declare_args, vol), {{0}}},
    {TYPE(vol_tag_args),
     SHAPE_VOLUME,
     AT(vol_tag_args, vol),
     {OPTIONAL("snapshot", vol_tag_args, snapshot)}},
    {TYPE(vol_serve_args),
     SHAPE_VOLUME,
     AT(vol_serve_args, vol),
     {OPTIONAL("snapshot", vol_serve_args, snapshot)}},
    {TYPE(vol_bitmap_args),
     SHAPE_VOLUME,
     AT(vol_bitmap_args, vol),
     {NAME("bitmap", vol_bitmap_args, name)}},
    {TYPE(vol_rename_args),
     SHAPE_VOLUME,
     AT(vol_rename_args, vol),
     {NAME("new_name", vol_rename_args, name)}},
    {TYPE(vol_move_args),
     SHAPE_VOLUME,
     AT(vol_move_args, vol),
     {NAME("new_pool", vol_move_args, pool.name), OPTIONAL("new_name", vol_move_args, name)}},
    {TYPE(snapshot_args),
     SHAPE_VOLUME,
     AT(snapshot_args, vol),
     {NAME("snapshot", snapshot_args, name), NAME("new_name", snapshot_args, other)}},
    {TYPE(snapshot_set_args),
     SHAPE_VOLUMES,
     AT(snapshot_set_args, volumes),
     {NAME("snapshot", snapshot_set_args, name)}},
    {TYPE(snapshot_qmp_args),
     SHAPE_VOLUMES,
     AT(snapshot_qmp_args, snapshots.volumes),
     {NAME("snapshot", snapshot_qmp_args, snapshots.name)}},
    {TYPE(live_create_args),
     SHAPE_VOLUMES,
     AT(live_create_args, snapshots.volumes),
     {NAME("snapshot", live_create_args, snapshots.name)}},
    {TYPE(live_end_args), SHAPE_NOTHING, 0, {NAME("snapshot", live_end_args, name)}},
    {TYPE(vol_create_args), SHAPE_NEW_VOLUME, AT(vol_create_args, pool), {{0}}},
    {TYPE(vol_receive_args), SHAPE_NEW_VOLUME, AT(vol_receive_args, pool), {{0}}},
    {TYPE(vol_create_from_args),
     SHAPE_NEW_VOLUME,
     AT(vol_create_from_args, pool),
     {NAME("source_pool", vol_create_from_args, source.pool),
      NAME("source", vol_create_from_args, source.name)}},
    {TYPE(vol_convert_args),
     SHAPE_NEW_VOLUME,
     AT(vol_convert_args, pool),
     {NAME("source_pool", vol_convert_args, source.pool),
      NAME("source", vol_convert_args, source.name), NAME("new_name", vol_convert_args, name)}},
    {TYPE(secret_args), SHAPE_SECRET, AT(secret_args, secret.uuid), {{0}}},
    {TYPE(secret_set_value_args), SHAPE_SECRET, AT(secret_set_value_args, secret.uuid), {{0}}},
    {TYPE(secret_rotate_args), SHAPE_SECRET, AT(secret_rotate_args, secret.uuid), {{0}}},
    {TYPE(secret_seal_args), SHAPE_SECRETS, AT(secret_seal_args, secrets), {{0}}},
    {TYPE(schedule_args), SHAPE_SCHEDULE, AT(schedule_args, name), {{0}}},
    {TYPE(schedule_set_args), SHAPE_SCHEDULE, AT(schedule_set_args, schedule.name), {{0}}},
    {TYPE(schedule_begin_args), SHAPE_SCHEDULE, AT(schedule_begin_args, run.schedule), {{0}}},
    {TYPE(schedule_end_args), SHAPE_SCHEDULE, AT(schedule_end_args, run.schedule), {{0}}},
    {TYPE(schedule_copies_set_args), SHAPE_SCHEDULE, AT(schedule_copies_set_args, name), {{0}}},
    /* The arguments are ids of database rows. */
    {TYPE(schedule_copies_forget_args), SHAPE_NOTHING, 0, {{0}}},
    {TYPE(job_args), SHAPE_JOB, AT(job_args, id), {{0}}},
    {TYPE(job_rate_args), SHAPE_JOB, AT(job_rate_args, id), {{0}}},
    {TYPE(doctor_mute_args),
     SHAPE_NOTHING,
     0,
     {NAME("check", doctor_mute_args, mute.id), NAME("of", doctor_mute_args, mute.object)}},
    {TYPE(notify_test_args), SHAPE_NOTHING, 0, {OPTIONAL("rule", notify_test_args, rule)}},
    /* A document: the object is in the result. */
    {TYPE(text_flags_args), SHAPE_NOTHING, 0, {{0}}},
};

const AuditShape *audit_shape_find(const CstProcedure *procedure)
{
    for (size_t i = 0; i < G_N_ELEMENTS(shapes); i++)
        if (shapes[i].func == procedure->args_func)
            return &shapes[i];
    return NULL;
}
