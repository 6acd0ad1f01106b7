/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * storageRegister(), the only exported function. libvirtd calls it after it has loaded the module.
 * Any failure here, or of the loader, would keep libvirtd from starting. So each refusal returns 0:
 * libvirtd then runs without storage, and a line of the log has the reason. libvirtd also ends each
 * running guest with a volume disk then. So access_drivers are no reason for a refusal: the driver
 * is registered, and refuses the calls of clients.
 *
 * virt-aa-helper, virtstoraged and the daemons of users load the module as well. It registers no
 * driver there, and makes no thread, no socket and no file. In virtstoraged it would connect to
 * that daemon's own socket.
 */
#include <errno.h>
#include <getopt.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "call.h"
#include "events.h"
#include "pool.h"
#include "stream.h"
#include "symbols.h"
#include "volume.h"

/* As virGetVersion(): major * 1,000,000 + minor * 1,000 + release. meson.build has the number. */
#define NEWEST_TESTED ((unsigned long)CST_LIBVIRT_TESTED)
#define ANY_VERSION   "/etc/cistern/libvirt-any"
#define LIBVIRTD_CONF "/etc/libvirt/libvirtd.conf"

int storageRegister(void);

static StorageDriver storage_driver = {.name = "cistern"};

static int connection_open(virConnectPtr conn, void *auth, void *conf, unsigned flags)
{
    return 0; /* VIR_DRV_OPEN_SUCCESS */
}

static int connection_close(virConnectPtr conn)
{
    return 0;
}

static HypervisorDriver hypervisor_driver = {
    .name = "storage", .connect_open = connection_open, .connect_close = connection_close};
static const char *uri_schemes[] = {"storage", NULL};
static ConnectDriver connect_driver = {.local_only = true,
                                       .uri_schemes = uri_schemes,
                                       .hypervisor = &hypervisor_driver,
                                       .storage = &storage_driver};

/* --- refusals -------------------------------------------------------------------------------- */

/* Returns the argument of -f or --config in @count @words, or the default. Moves the words. */
static const char *configuration_option(int count, char **words)
{
    /* The options of libvirtd with an argument, and its flags. getopt_long() accepts "-vf FILE". */
    static const struct option options[] = {
        {"config", required_argument, NULL, 'f'},
        {"pid-file", required_argument, NULL, 'p'},
        {"timeout", required_argument, NULL, 't'},
        {"daemon", no_argument, NULL, 'd'},
        {"listen", no_argument, NULL, 'l'},
        {"verbose", no_argument, NULL, 'v'},
        {"version", no_argument, NULL, 'V'},
        {"help", no_argument, NULL, 'h'},
        {0},
    };
    const char *path = LIBVIRTD_CONF;
    int found, index = optind, errors = opterr;

    optind = 0; /* a new scan */
    opterr = 0;
    while ((found = getopt_long(count, words, "ldf:p:t:vVh", options, NULL)) != -1)
        if (found == 'f')
            path = optarg;
    optind = index;
    opterr = errors;
    return path;
}

/* Returns the configuration file of this libvirtd. libvirtd has one thread at this time. */
static char *configuration_path(void)
{
    g_autofree char *text = NULL;
    g_autoptr(GPtrArray) words = g_ptr_array_new();
    gsize len = 0;

    if (!g_file_get_contents("/proc/self/cmdline", &text, &len, NULL))
        return g_strdup(LIBVIRTD_CONF);
    for (char *word = text; word < text + len; word += strlen(word) + 1)
        g_ptr_array_add(words, word);
    g_ptr_array_add(words, NULL);
    return g_strdup(configuration_option((int)words->len - 1, (char **)words->pdata));
}

/* Whether @text of libvirtd.conf sets access_drivers to a list that is not empty. */
static gboolean sets_access_drivers(const char *text)
{
    g_autoptr(GRegex) setting =
        g_regex_new("^\\s*access_drivers\\s*+=\\s*+(?!\\[\\s*\\])", G_REGEX_MULTILINE, 0, NULL);

    return g_regex_match(setting, text, 0, NULL);
}

/* Returns the reason to serve no client, or NULL. */
static char *reason_to_refuse_clients(void)
{
    g_autofree char *path = configuration_path();
    g_autofree char *text = NULL;
    g_autoptr(GError) error = NULL;

    if (!g_file_get_contents(path, &text, NULL, &error)) {
        if (g_error_matches(error, G_FILE_ERROR, G_FILE_ERROR_NOENT))
            return NULL;
        return g_strdup(error->message);
    }
    if (!sets_access_drivers(text))
        return NULL;
    return g_strdup_printf("'%s' sets access_drivers, whose checks this module does not make; "
                           "remove the setting",
                           path);
}

static gboolean is_known_version(void)
{
    unsigned long version = 0;

    if (virGetVersion(&version, NULL, NULL) < 0) {
        module_log("no storage driver: cannot get the version of libvirt");
        return FALSE;
    }
    if (version <= NEWEST_TESTED || access(ANY_VERSION, F_OK) == 0)
        return TRUE;
    module_log("no storage driver: libvirt %lu.%lu.%lu is newer than the newest tested version, "
               "%lu.%lu.%lu; create '%s' to use it all the same",
               version / 1000000, version / 1000 % 1000, version % 1000, NEWEST_TESTED / 1000000,
               NEWEST_TESTED / 1000 % 1000, NEWEST_TESTED % 1000, ANY_VERSION);
    return FALSE;
}

static gboolean may_register(void)
{
    const char *missing;

    if (geteuid() != 0 || strcmp(program_invocation_short_name, "libvirtd") != 0) {
        module_log(
            "no storage driver: only libvirtd of the system, run by root, uses cisternd; this "
            "is '%s'",
            program_invocation_short_name);
        return FALSE;
    }
    missing = symbols_load();
    if (missing) {
        module_log("no storage driver: this libvirt has no function %s", missing);
        return FALSE;
    }
    return is_known_version();
}

__attribute__((visibility("default"))) int storageRegister(void)
{
    g_autofree char *reason = NULL;

    if (!may_register())
        return 0;
    reason = reason_to_refuse_clients();
    if (reason) {
        module_log("no storage for clients: %s", reason);
        call_refuse_clients(reason);
    }
    pool_fill_driver(&storage_driver);
    volume_fill_driver(&storage_driver);
    stream_fill_driver(&storage_driver);
    events_fill_driver(&storage_driver);
    /* libvirtd gives the shared driver to the drivers that it loads later. */
    if (symbols.register_connect_driver(&connect_driver, false) < 0 ||
        symbols.share_storage_driver(&storage_driver) < 0)
        module_log("no storage driver: libvirtd refuses it: %s", virGetLastErrorMessage());
    return 0;
}
