/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Queries device-mapper with one ioctl on its control node. A tool would read all maps. */
#include <pool/device.h>

#include <errno.h>
#include <fcntl.h>
#include <linux/dm-ioctl.h>
#include <sys/ioctl.h>

#include <base/error.h>
#include <base/file.h>
#include <base/i18n.h>

#define CONTROL "/dev/mapper/control"

int cst_dm_events_open(GError **error)
{
    int control = cst_node_open(CONTROL, O_RDWR);

    if (control < 0)
        cst_fail_errno(error, errno, _("cannot open '%s'"), CONTROL);
    return control;
}

gboolean cst_dm_events_arm(int events)
{
    struct dm_ioctl request = {.version = {DM_VERSION_MAJOR}, .data_size = sizeof(request)};

    return ioctl(events, DM_DEV_ARM_POLL, &request) == 0;
}

int cst_dm_ask(unsigned long request, dev_t device, struct dm_ioctl *answer, size_t size,
               GError **error)
{
    g_auto(CstFd) control = cst_node_open(CONTROL, O_RDWR);

    if (control < 0) {
        cst_fail_errno(error, errno, _("cannot open '%s'"), CONTROL);
        return -1;
    }
    answer->version[0] = DM_VERSION_MAJOR;
    answer->data_size = (uint32_t)size;
    answer->data_start = sizeof(*answer);
    /* The kernel's encoding of device numbers equals the C library's for all numbers in use. */
    answer->dev = device;
    if (ioctl(control, request, answer) == 0)
        return 1;
    if (errno == ENXIO)
        return 0;
    cst_fail_errno(error, errno, _("cannot ask device-mapper for the state of its maps"));
    return -1;
}
