/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Boots a disk. QEMU is confined like the checkers, and also by its own sandbox. It has no network,
 * no display and no file except the disk and the firmware. Its stdout is the guest's serial
 * console; its monitor is a socket pair. KVM is used if QEMU's user may access /dev/kvm; QEMU gets
 * the group of /dev/kvm. If QEMU fails or stops the guest with KVM, it is started again without
 * KVM. Thus a host that cannot run guests does not make a disk count as damaged.
 */
#include <errno.h>
#include <string.h>

#include <base/error.h>
#include <base/file.h>
#include <base/i18n.h>
#include <base/text.h>
#include <base/units.h>

#include "agent.h"
#include "console.h"
#include "disk.h"
#include "monitor.h"

#define QEMU        "qemu-system-x86_64"
#define OVMF        "/usr/share/ovmf/OVMF.fd"
#define LOGIN       "(?:^|\\s)login: ?$"
#define QEMU_MEMORY (8 * CST_GIB) /* of address space in addition to the guest's memory */

void cst_guest_life_clear(CstGuestLife *life)
{
    g_clear_pointer(&life->detail, g_free);
    g_clear_pointer(&life->console, g_free);
}

/* --- QEMU's arguments ------------------------------------------------------------------------- */

static void argv_add_option(GPtrArray *argv, const char *option, char *value)
{
    g_ptr_array_add(argv, g_strdup(option));
    g_ptr_array_add(argv, value);
}

/* Returns the firmware; NULL: QEMU's default, a BIOS. */
static const char *firmware_of(const CstGuestBoot *how)
{
    if (strcmp(how->firmware, "bios") == 0)
        return NULL;
    return strcmp(how->firmware, "uefi") == 0 ? OVMF : how->firmware;
}

/* Returns why the firmware cannot be used, or NULL if it can. */
static char *firmware_problem(const CstGuestBoot *how)
{
    const char *path = firmware_of(how);

    return !path || g_file_test(path, G_FILE_TEST_IS_REGULAR)
               ? NULL
               : g_strdup_printf(_("there is no firmware '%s'"), path);
}

static GPtrArray *qemu_build_argv(const CstGuestBoot *how, gboolean with_kvm)
{
    GPtrArray *argv = g_ptr_array_new_with_free_func(g_free);
    gboolean sata = strcmp(how->bus, "sata") == 0;

    g_ptr_array_add(argv, g_strdup(QEMU));
    g_ptr_array_add(argv, g_strdup("-nodefaults"));
    g_ptr_array_add(argv, g_strdup("-no-user-config"));
    argv_add_option(
        argv, "-sandbox",
        g_strdup("on,obsolete=deny,elevateprivileges=deny,spawn=deny,resourcecontrol=deny"));
    argv_add_option(argv, "-display", g_strdup("none"));
    argv_add_option(argv, "-nic", g_strdup("none"));
    argv_add_option(argv, "-machine", g_strdup("q35"));
    if (with_kvm)
        argv_add_option(argv, "-accel", g_strdup("kvm"));
    argv_add_option(argv, "-accel", g_strdup("tcg"));
    argv_add_option(argv, "-cpu", g_strdup("max"));
    argv_add_option(argv, "-smp", g_strdup_printf("%u", how->cpus));
    argv_add_option(argv, "-m", g_strdup_printf("%" G_GUINT64_FORMAT "M", how->memory / CST_MIB));
    if (firmware_of(how))
        argv_add_option(argv, "-bios", g_strdup(firmware_of(how)));
    argv_add_option(argv, "-add-fd", g_strdup("fd=3,set=1"));
    argv_add_option(argv, "-blockdev",
                    g_strdup("driver=file,node-name=file,filename=/dev/fdset/1"));
    argv_add_option(argv, "-blockdev", g_strdup("driver=raw,node-name=disk,file=file"));
    argv_add_option(
        argv, "-device",
        g_strdup_printf("%s,drive=disk,bootindex=1", sata ? "ide-hd" : "virtio-blk-pci"));
    argv_add_option(argv, "-chardev", g_strdup("stdio,id=console,signal=off"));
    argv_add_option(argv, "-serial", g_strdup("chardev:console"));
    argv_add_option(argv, "-device", g_strdup("virtio-serial-pci"));
    argv_add_option(argv, "-chardev", g_strdup("socket,id=agent,fd=4"));
    argv_add_option(argv, "-device",
                    g_strdup("virtserialport,chardev=agent,name=org.qemu.guest_agent.0"));
    argv_add_option(argv, "-chardev", g_strdup("socket,id=monitor,fd=5"));
    argv_add_option(argv, "-mon", g_strdup("chardev=monitor,mode=control"));
    g_ptr_array_add(argv, NULL);
    return argv;
}

/* --- signs of life ---------------------------------------------------------------------------- */

typedef struct {
    GuestConsole *console;
    GuestAgent *agent;
    GuestMonitor *monitor;
    gboolean agent_counts, answered;
    const char *stuck; /* QEMU's state of a stopped guest; NULL: the guest runs */
} Watch;

static gboolean boot_console_write(const void *bytes, size_t len, gpointer data,
                                   gboolean *ret_enough, GError **error)
{
    guest_console_take(((Watch *)data)->console, bytes, len);
    return TRUE;
}

static gboolean boot_is_decided(gpointer data)
{
    Watch *watch = data;

    watch->answered = guest_agent_answers(watch->agent) && watch->agent_counts;
    watch->stuck = guest_monitor_stuck(watch->monitor);
    return watch->answered || guest_console_found(watch->console) || watch->stuck;
}

static gid_t kvm_group(void)
{
    struct stat st;

    return cst_node_stat("/dev/kvm", &st) && (st.st_mode & S_IRGRP) && (st.st_mode & S_IWGRP)
               ? st.st_gid
               : 0;
}

static char *why_ended(const CstChildResult *result)
{
    g_autofree char *said = cst_text_escape(g_strstrip(result->err));

    return result->status == 0
               ? g_strdup(_("the guest has switched itself off"))
               : g_strdup_printf(_("%s ends with status %d: %s"), QEMU, result->status, said);
}

static void boot_set_verdict(const Watch *watch, const CstGuestBoot *how,
                             const CstChildResult *result, CstGuestLife *life)
{
    const char *line = guest_console_found(watch->console);

    life->console = guest_console_tail(watch->console);
    life->verdict = watch->answered || line                                ? CST_GUEST_SOUND
                    : watch->stuck || (result->err && result->status != 0) ? CST_GUEST_UNPROVEN
                                                                           : CST_GUEST_DAMAGED;
    if (line)
        life->detail = g_strdup_printf(_("console: %s"), line);
    else if (watch->answered)
        life->detail = g_strdup(_("the guest agent answers"));
    else if (watch->stuck)
        life->detail = g_strdup_printf(_("QEMU has stopped the guest: %s"), watch->stuck);
    else if (result->err)
        life->detail = why_ended(result);
    else
        life->detail = g_strdup_printf(ngettext("no sign of life within %u second",
                                                "no sign of life within %u seconds", how->wait_s),
                                       how->wait_s);
}

static gboolean boot_run_qemu(CstGuestDisk *disk, const CstGuestBoot *how, gboolean with_kvm,
                              Watch *watch, const int *fds, guint n_fds, CstTask *task,
                              CstChildResult *ret_result, GError **error)
{
    g_autoptr(GPtrArray) argv = qemu_build_argv(how, with_kvm);
    const CstChildStream console = {
        .take = boot_console_write, .data = watch, .enough = boot_is_decided};
    CstConfine confine = disk->confine;
    const CstChild child = {.argv = (const char *const *)argv->pdata,
                            .timeout_s = how->wait_s,
                            .fds = fds,
                            .n_fds = n_fds,
                            .confine = &confine,
                            .stream = &console};
    g_autoptr(GError) why = NULL;

    confine.memory = how->memory + QEMU_MEMORY;
    confine.group = kvm_group();
    confine.file = firmware_of(how);
    if (cst_child_run(&child, task, ret_result, &why))
        return guest_confined(ret_result, QEMU, error);
    if (cst_error_code(why) == CST_ERROR_TIMEOUT)
        return TRUE;
    g_propagate_error(error, g_steal_pointer(&why));
    return FALSE;
}

/* Starts QEMU once. Returns FALSE if the user has cancelled it, or on an error of this process. */
static gboolean boot_once(CstGuestDisk *disk, const CstGuestBoot *how, gboolean with_kvm,
                          CstTask *task, CstGuestLife *ret_life, GError **error)
{
    g_autoptr(GRegex) login = g_regex_new(LOGIN, G_REGEX_RAW, 0, NULL);
    g_autoptr(GuestConsole) console = guest_console_new(how->expect ? how->expect : login);
    g_auto(CstChildResult) result = {0};
    g_auto(CstFd) agent_far = -1, monitor_far = -1;
    g_autoptr(GuestAgent) agent = guest_agent_new(&agent_far, error);
    g_autoptr(GuestMonitor) monitor = agent ? guest_monitor_new(&monitor_far, error) : NULL;
    const int fds[] = {cst_blob_file_fd(disk->blob), agent_far, monitor_far};
    Watch watch = {console, agent, monitor, !how->expect, FALSE, NULL};
    g_autoptr(GError) why = NULL;

    if (!monitor)
        return FALSE;
    if (boot_run_qemu(disk, how, with_kvm, &watch, fds, G_N_ELEMENTS(fds), task, &result, &why)) {
        boot_set_verdict(&watch, how, &result, ret_life);
        return TRUE;
    }
    if (cst_error_code(why) != CST_ERROR_NOT_FOUND && cst_error_code(why) != CST_ERROR_DENIED) {
        g_propagate_error(error, g_steal_pointer(&why));
        return FALSE;
    }
    *ret_life = (CstGuestLife){CST_GUEST_UNPROVEN, g_strdup(why->message), g_strdup("")};
    return TRUE;
}

gboolean cst_guest_disk_boot(CstGuestDisk *disk, const CstGuestBoot *how, CstTask *task,
                             CstGuestLife *ret_life, GError **error)
{
    char *problem = firmware_problem(how);
    g_autofree char *detail = NULL;

    if (problem) {
        *ret_life = (CstGuestLife){CST_GUEST_UNPROVEN, problem, g_strdup("")};
        return TRUE;
    }
    if (!boot_once(disk, how, TRUE, task, ret_life, error))
        return FALSE;
    if (ret_life->verdict != CST_GUEST_UNPROVEN)
        return TRUE;
    cst_guest_life_clear(ret_life);
    if (!boot_once(disk, how, FALSE, task, ret_life, error))
        return FALSE;
    if (ret_life->verdict == CST_GUEST_UNPROVEN)
        return TRUE;
    detail = ret_life->detail;
    ret_life->detail = g_strdup_printf(_("%s (without KVM, with which it did not run)"), detail);
    return TRUE;
}
