/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * libvirt-wait: libvirtd.service runs it before libvirtd starts (ExecStartPre=). libvirtd ends a
 * running guest if it cannot find a volume of the guest's disks when it starts. So this program
 * waits until cisternd answers for each of these volumes. It is not part of the module.
 *
 * The status files of running guests name the volumes. libvirtd asks for the same three things:
 * an active pool, the volume in it, and the volume's size. After --seconds the program fails, so
 * that the service manager does not start libvirtd: guests then run on without libvirtd.
 */
#include <errno.h>
#include <glob.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <glib.h>
#include <libvirt/libvirt.h>
#include <libvirt/virterror.h>

#define STATE_DIR "/run/libvirt/qemu" /* a file NAME.xml for each running guest */
#define SOCKET    "/run/libvirt/virtstoraged-sock"
#define DRIVERS   "/usr/{lib,lib64,lib/*}/libvirt/connection-driver/libvirt_driver_storage.so"
#define SECONDS   300
#define PAUSE_US  200000 /* between two attempts */

/* A volume that a running guest uses. */
typedef struct {
    char *guest, *pool, *volume;
} Need;

static void need_free(gpointer data)
{
    Need *need = data;

    g_free(need->guest);
    g_free(need->pool);
    g_free(need->volume);
    g_free(need);
}

static void wait_log(const char *format, ...) G_GNUC_PRINTF(1, 2);

static void wait_log(const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    g_autofree char *text = g_strdup_vprintf(format, arguments);
    va_end(arguments);
    fprintf(stderr, "libvirt-wait: %s\n", text);
}

/* --- status files of guests ------------------------------------------------------------------ */

typedef struct {
    const char *guest;
    gboolean in_disk;
    pid_t pid; /* of QEMU */
    GPtrArray *needs;
} StatusScan;

static void status_element_start(GMarkupParseContext *context, const char *element,
                                 const char **names, const char **values, gpointer data,
                                 GError **error)
{
    StatusScan *scan = data;
    const char *pool = NULL, *volume = NULL;

    if (strcmp(element, "disk") == 0)
        scan->in_disk = TRUE;
    for (guint i = 0; names[i]; i++)
        if (strcmp(element, "domstatus") == 0 && strcmp(names[i], "pid") == 0)
            scan->pid = (pid_t)g_ascii_strtoll(values[i], NULL, 10);
        else if (strcmp(names[i], "pool") == 0)
            pool = values[i];
        else if (strcmp(names[i], "volume") == 0)
            volume = values[i];
    if (scan->in_disk && strcmp(element, "source") == 0 && pool && volume) {
        Need *need = g_new(Need, 1);

        *need = (Need){g_strdup(scan->guest), g_strdup(pool), g_strdup(volume)};
        g_ptr_array_add(scan->needs, need);
    }
}

static void status_element_end(GMarkupParseContext *context, const char *element, gpointer data,
                               GError **error)
{
    StatusScan *scan = data;

    if (strcmp(element, "disk") == 0)
        scan->in_disk = FALSE;
}

/*
 * Adds the volumes of the guest @name to @needs. A file that cannot be read has none, because
 * libvirtd ignores that guest as well.
 */
static void guest_read(const char *dir, const char *name, GPtrArray *needs)
{
    static const GMarkupParser parser = {.start_element = status_element_start,
                                         .end_element = status_element_end};
    g_autofree char *path = g_build_filename(dir, name, NULL);
    g_autofree char *guest = g_strndup(name, strlen(name) - strlen(".xml"));
    g_autofree char *text = NULL;
    g_autoptr(GError) error = NULL;
    g_autoptr(GMarkupParseContext) context = NULL;
    StatusScan scan = {.guest = guest, .needs = needs};
    guint before = needs->len;
    gsize len;

    context = g_markup_parse_context_new(&parser, 0, &scan, NULL);
    if (!g_file_get_contents(path, &text, &len, &error) ||
        !g_markup_parse_context_parse(context, text, (gssize)len, &error)) {
        wait_log("cannot read '%s': %s", path, error->message);
        g_ptr_array_set_size(needs, (int)before);
        return;
    }
    /* A guest needs no volume after its process has ended. */
    if (scan.pid <= 0 || (kill(scan.pid, 0) < 0 && errno == ESRCH))
        g_ptr_array_set_size(needs, (int)before);
}

/* Returns the volumes (Need) of all running guests below @dir. */
static GPtrArray *guests_read(const char *dir)
{
    GPtrArray *needs = g_ptr_array_new_with_free_func(need_free);
    g_autoptr(GDir) folder = g_dir_open(dir, 0, NULL);
    const char *name;

    while (folder && (name = g_dir_read_name(folder)))
        if (g_str_has_suffix(name, ".xml"))
            guest_read(dir, name, needs);
    return needs;
}

/* --- cisternd -------------------------------------------------------------------------------- */

static void libvirt_error_ignore(void *data, virErrorPtr error)
{
}

/* Returns the reason why libvirtd would not find the volume, or NULL. */
static char *need_problem(virConnectPtr conn, const Need *need)
{
    virStoragePoolPtr pool = virStoragePoolLookupByName(conn, need->pool);
    virStorageVolPtr volume = NULL;
    virStorageVolInfo info;
    char *problem = NULL;
    int active = pool ? virStoragePoolIsActive(pool) : -1;

    if (active > 0)
        volume = virStorageVolLookupByName(pool, need->volume);
    if (active == 0)
        problem = g_strdup_printf("pool '%s' is not active", need->pool);
    else if (!volume || virStorageVolGetInfo(volume, &info) < 0)
        problem = g_strdup(virGetLastErrorMessage());
    if (volume)
        virStorageVolFree(volume);
    if (pool)
        virStoragePoolFree(pool);
    return problem;
}

/* Returns the reason to wait, or NULL if cisternd answers for all @needs. */
static char *needs_problem(const char *socket, GPtrArray *needs)
{
    g_autofree char *uri = g_strdup_printf("storage+unix:///system?socket=%s", socket);
    virConnectPtr conn = virConnectOpen(uri);
    char *reason = NULL;

    if (!conn)
        reason = g_strdup_printf("cisternd does not answer: %s", virGetLastErrorMessage());
    for (guint i = 0; conn && !reason && i < needs->len; i++) {
        const Need *need = g_ptr_array_index(needs, i);
        g_autofree char *problem = need_problem(conn, need);

        if (problem)
            reason = g_strdup_printf("guest '%s' needs volume '%s' of pool '%s': %s", need->guest,
                                     need->volume, need->pool, problem);
    }
    if (conn)
        virConnectClose(conn);
    return reason;
}

/* --- the driver ------------------------------------------------------------------------------ */

/*
 * Whether libvirtd will load the driver next to this program. libvirt's own driver needs no
 * cisternd, for example while the package is being removed.
 */
static gboolean driver_is_ours(void)
{
    g_autofree char *program = g_file_read_link("/proc/self/exe", NULL);
    g_autofree char *dir = g_path_get_dirname(program ? program : "");
    g_autofree char *ours = g_build_filename(dir, "libvirt_driver_storage.so", NULL);
    gboolean found = FALSE;
    glob_t paths;

    if (glob(DRIVERS, GLOB_BRACE, NULL, &paths) == 0)
        for (size_t i = 0; i < paths.gl_pathc && !found; i++) {
            struct stat driver, module;

            found = stat(paths.gl_pathv[i], &driver) == 0 && stat(ours, &module) == 0 &&
                    driver.st_dev == module.st_dev && driver.st_ino == module.st_ino;
        }
    globfree(&paths);
    return found;
}

/* --- the wait -------------------------------------------------------------------------------- */

static struct {
    GMutex lock;
    char *reason; /* the last logged one; NULL: not yet */
    gint seconds;
} waiting = {.seconds = SECONDS};

/* Logs @reason if it has changed. */
static void waiting_report(const char *reason)
{
    g_mutex_lock(&waiting.lock);
    if (g_strcmp0(waiting.reason, reason) != 0) {
        g_free(waiting.reason);
        waiting.reason = g_strdup(reason);
        wait_log("libvirtd waits: %s", reason);
    }
    g_mutex_unlock(&waiting.lock);
}

/* Thread function: ends the process, because a call to a stopped cisternd has no limit. */
static gpointer waiting_end(gpointer data)
{
    g_usleep((gulong)waiting.seconds * G_USEC_PER_SEC);
    g_mutex_lock(&waiting.lock);
    wait_log("libvirtd is not started after %d seconds, because it would end running guests: %s; "
             "repair this and start libvirtd.service, or let the guests end: systemctl edit "
             "libvirtd.service, with an empty ExecStartPre= under [Service]",
             waiting.seconds, waiting.reason ? waiting.reason : "cisternd does not answer");
    _exit(EXIT_FAILURE);
    return NULL;
}

static void wait_for_volumes(const char *dir, const char *socket)
{
    for (;;) {
        g_autoptr(GPtrArray) needs = guests_read(dir);
        g_autofree char *reason = needs->len > 0 ? needs_problem(socket, needs) : NULL;

        if (!reason) {
            if (waiting.reason)
                wait_log("cisternd answers for %u volumes of running guests", needs->len);
            return;
        }
        waiting_report(reason);
        g_usleep(PAUSE_US);
    }
}

int main(int argc, char **argv)
{
    g_autofree char *dir = g_strdup(STATE_DIR);
    g_autofree char *socket = g_strdup(SOCKET);
    const GOptionEntry entries[] = {
        {"seconds", 0, 0, G_OPTION_ARG_INT, &waiting.seconds, "Fail after N seconds", "N"},
        {"guests", 0, 0, G_OPTION_ARG_FILENAME, &dir, "Read the status files in DIR", "DIR"},
        {"socket", 0, 0, G_OPTION_ARG_FILENAME, &socket, "Connect to SOCKET", "SOCKET"},
        {0},
    };
    g_autoptr(GOptionContext) context = g_option_context_new(NULL);
    g_autoptr(GError) error = NULL;

    g_option_context_add_main_entries(context, entries, NULL);
    g_option_context_set_summary(context, "Waits until cisternd answers for the volumes of running "
                                          "guests. libvirtd.service runs it.");
    if (!g_option_context_parse(context, &argc, &argv, &error)) {
        wait_log("%s", error->message);
        return 2;
    }
    if (!driver_is_ours())
        return EXIT_SUCCESS;
    virSetErrorFunc(NULL, libvirt_error_ignore);
    g_thread_unref(g_thread_new("deadline", waiting_end, NULL));
    wait_for_volumes(dir, socket);
    return EXIT_SUCCESS;
}
