/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>
#include <rados/librados.h>
#include <rbd/librbd.h>

#include <base/error.h>
#include <base/foreign.h>
#include <base/work.h>

/**
 * Ceph's client libraries, loaded with dlopen() on first use, so that hosts without Ceph need not
 * install them. Linking them would slow down every start of every program by more than the duration
 * of most commands. Calls use the table, as ceph->rbd_open(…), and are documented in
 * rados/librados.h and rbd/librbd.h. rbd_open and rbd_open_read_only are wrappers that avoid a race
 * in librbd (see ceph.c).
 */
#define CST_CEPH_FUNCTIONS(X)             \
    X(rados_create)                       \
    X(rados_conf_set)                     \
    X(rados_conf_get)                     \
    X(rados_connect)                      \
    X(rados_shutdown)                     \
    X(rados_ioctx_create)                 \
    X(rados_ioctx_destroy)                \
    X(rados_ioctx_get_id)                 \
    X(rados_ioctx_set_namespace)          \
    X(rados_set_pool_full_try)            \
    X(rados_cluster_fsid)                 \
    X(rados_cluster_stat)                 \
    X(rados_ioctx_pool_stat)              \
    X(rados_get_instance_id)              \
    X(rados_mon_command)                  \
    X(rados_get_min_compatible_client)    \
    X(rados_create_read_op)               \
    X(rados_release_read_op)              \
    X(rados_read_op_exec)                 \
    X(rados_read_op_stat)                 \
    X(rados_buffer_free)                  \
    X(rados_aio_create_completion2)       \
    X(rados_aio_read_op_operate)          \
    X(rados_aio_flush_async)              \
    X(rados_aio_get_return_value)         \
    X(rados_aio_release)                  \
    X(rbd_list2)                          \
    X(rbd_image_spec_list_cleanup)        \
    X(rbd_image_options_create)           \
    X(rbd_image_options_destroy)          \
    X(rbd_image_options_set_uint64)       \
    X(rbd_image_options_set_string)       \
    X(rbd_features_from_string)           \
    X(rbd_create4)                        \
    X(rbd_clone3)                         \
    X(rbd_remove_with_progress)           \
    X(rbd_rename)                         \
    X(rbd_pool_metadata_list)             \
    X(rbd_namespace_exists)               \
    X(rbd_metadata_get)                   \
    X(rbd_metadata_list)                  \
    X(rbd_metadata_set)                   \
    X(rbd_metadata_remove)                \
    X(rbd_pool_metadata_get)              \
    X(rbd_pool_metadata_set)              \
    X(rbd_pool_metadata_remove)           \
    X(rbd_open)                           \
    X(rbd_open_read_only)                 \
    X(rbd_open_by_id)                     \
    X(rbd_open_by_id_read_only)           \
    X(rbd_close)                          \
    X(rbd_get_id)                         \
    X(rbd_get_name)                       \
    X(rbd_get_size)                       \
    X(rbd_stat)                           \
    X(rbd_get_features)                   \
    X(rbd_get_flags)                      \
    X(rbd_get_create_timestamp)           \
    X(rbd_resize2)                        \
    X(rbd_get_parent)                     \
    X(rbd_linked_image_spec_cleanup)      \
    X(rbd_linked_image_spec_list_cleanup) \
    X(rbd_snap_spec_cleanup)              \
    X(rbd_list_children3)                 \
    X(rbd_watchers_list)                  \
    X(rbd_watchers_list_cleanup)          \
    X(rbd_flatten_with_progress)          \
    X(rbd_snap_list)                      \
    X(rbd_snap_list_end)                  \
    X(rbd_snap_create2)                   \
    X(rbd_snap_remove2)                   \
    X(rbd_snap_rollback_with_progress)    \
    X(rbd_snap_rename)                    \
    X(rbd_snap_protect)                   \
    X(rbd_snap_unprotect)                 \
    X(rbd_snap_is_protected)              \
    X(rbd_snap_set)                       \
    X(rbd_snap_get_id)                    \
    X(rbd_snap_get_timestamp)             \
    X(rbd_snap_get_namespace_type)        \
    X(rbd_diff_iterate2)                  \
    X(rbd_aio_create_completion)          \
    X(rbd_aio_get_return_value)           \
    X(rbd_aio_release)                    \
    X(rbd_aio_read)                       \
    X(rbd_aio_write)                      \
    X(rbd_aio_flush)                      \
    X(rbd_aio_discard)                    \
    X(rbd_aio_write_zeroes)

typedef struct {
#define CST_CEPH_MEMBER(function) __typeof__(function) *(function);
    CST_CEPH_FUNCTIONS(CST_CEPH_MEMBER)
#undef CST_CEPH_MEMBER
} CstCeph;

/**
 * Return the libraries' table, and load the libraries first if needed. The table is never freed.
 * NULL with UNSUPPORTED, naming the packages, if they cannot be loaded. Thread-safe.
 */
const CstCeph *cst_ceph(GError **error);

/**
 * Set @error from @result, the negative errno of a failed Ceph call, with the formatted text before
 * it. A timeout is UNREACHABLE, a wrong key DENIED, a full pool NO_SPACE. Always returns FALSE.
 */
gboolean cst_ceph_fail(GError **error, int result, const char *format, ...) G_GNUC_PRINTF(3, 4);
#define cst_ceph_fail(...) CST_GIVES_FALSE(cst_ceph_fail(__VA_ARGS__))
