/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>
#include <rados/librados.h>
#include <rbd/librbd.h>

#include <base/error.h>

/**
 * Ceph's client libraries, loaded when somebody first needs them: linking them would cost every
 * start of every program more than most commands take, and whoever has no Ceph need not have them.
 * Calls go through the table: ceph->rbd_open(…), as documented in rados/librados.h, rbd/librbd.h.
 * Images are opened by wrappers of ours, which return once librbd has let go of the new image.
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
    X(rados_cluster_stat)                 \
    X(rados_ioctx_pool_stat)              \
    X(rados_get_instance_id)              \
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
    X(rbd_metadata_set)                   \
    X(rbd_metadata_remove)                \
    X(rbd_pool_metadata_get)              \
    X(rbd_pool_metadata_set)              \
    X(rbd_pool_metadata_remove)           \
    X(rbd_open)                           \
    X(rbd_open_read_only)                 \
    X(rbd_close)                          \
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

/** The loaded libraries; NULL with UNSUPPORTED, naming the packages, where they are not there. */
const CstCeph *cst_ceph(GError **error);

/**
 * Around the life of a connection (rados_create … rados_shutdown). The libraries' destructors crash
 * under threads that are still at work, so a process that ends with a connection open (a call got
 * stuck in it) ends without them.
 */
void cst_ceph_enter(void);
void cst_ceph_leave(void);

/**
 * As cst_fail_errno() for a negative errno of Ceph's: what did not answer in time is UNREACHABLE,
 * a wrong key DENIED, a full pool NO_SPACE.
 */
gboolean cst_ceph_fail(GError **error, int result, const char *format, ...) G_GNUC_PRINTF(3, 4);
#define cst_ceph_fail(...) CST_GIVES_FALSE(cst_ceph_fail(__VA_ARGS__))

/**
 * Work that whoever asked for it can stop waiting for. Ceph's calls have time-outs of their own,
 * but not all of them have, and one that hangs must not take its caller along. So what the work
 * needs and yields lives in this struct, which stays until both sides have let go of it.
 */
typedef struct CstCephWork CstCephWork;
struct CstCephWork {
    /** In a thread of its own; NULL: somebody else calls cst_ceph_work_finish(). */
    gboolean (*run)(CstCephWork *work, GError **error);
    void (*clear)(CstCephWork *work); /**< frees what the work owns; any thread */
    const char *what;                 /**< "volume 'x'", for the message; lives as long */

    /* the rest is the implementation's */
    GMutex lock;
    GCond cond;
    gint refs;
    gboolean done;
    gboolean result;
    GError *error;
    gint64 last_heartbeat; /* monotonic time, µs */
};

/** @size: of the struct that begins with a CstCephWork; zeroed. One reference. */
gpointer cst_ceph_work_new(gsize size, gboolean (*run)(CstCephWork *work, GError **error),
                           void (*clear)(CstCephWork *work));
CstCephWork *cst_ceph_work_ref(CstCephWork *work);
void cst_ceph_work_unref(CstCephWork *work);
/** The same for Ceph's own threads, in which its connections and images can't be closed. */
void cst_ceph_work_unref_in_callback(CstCephWork *work);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(CstCephWork, cst_ceph_work_unref)
/** Pushes the deadline back. */
void cst_ceph_work_heartbeat(CstCephWork *work);
/** For work without run; @error is taken over. */
void cst_ceph_work_finish(CstCephWork *work, gboolean result, GError *error);
/**
 * Runs it and waits until it is done, or has not shown progress for @deadline_ms: UNREACHABLE, and
 * the work must not be looked at any more.
 */
gboolean cst_ceph_work_wait(CstCephWork *work, guint deadline_ms, GError **error);
