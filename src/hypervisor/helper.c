/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The helper process: one question to libvirt at one URI. The growth of a disk is in resize.c, the
 * description of domains in describe.c, their definition in define.c. The steps below find the
 * disks that show a volume.
 *
 * It reads the question, loads the libraries, sets an alarm and then calls libvirt. The alarm ends
 * the process by its default action, in whatever call it is. The answer is written at the end in
 * one message, so a killed helper has sent no answer.
 *
 *   1. virConnectListAllDomains() for domains with a managed save, and for active domains.
 *      libvirtd's priority workers answer it, but it waits for the lock of each domain. A domain
 *      that starts may hold its lock while libvirt waits for this service. So the caller of a
 *      question holds no lock that a look-up needs (see the header). Without such domains the
 *      helper asks no further.
 *   2. virDomainManagedSaveGetXMLDesc() of each domain with a managed save: the disks that belong
 *      to its saved memory. If it fails, the definition of the domain is used. If the definition
 *      does not show the volume, the question fails, because the saved memory may. A domain that
 *      starts now is active in the next step.
 *   3. virConnectGetAllDomainStats(ACTIVE|NOWAIT): the paths of all layers of all disks, also of
 *      disks with type='volume'. The call does not wait for the job of a domain.
 *   4. virDomainGetXMLDesc() of the domains that were found: agent, levels, <readonly/>,
 *      <shareable/>. Also if the statistics of a domain lack a path: the document has the pools and
 *      volumes of its disks.
 *   5. Steps 1 and 2 again for domains with a managed save. A domain that is saved during the
 *      question may be missing in both lists before.
 *
 * Paths are only opened by stat(2) and compared by device and inode number, because a domain may
 * name an image by a symbolic link or by another mount. A hanging path ends with the alarm.
 */
#include <errno.h>
#include <libxml2_library.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <base/error.h>
#include <base/file.h>
#include <base/i18n.h>
#include <base/text.h>

#include "helper.h"

#define ACTIVE_STATS                                                                       \
    (VIR_CONNECT_GET_ALL_DOMAINS_STATS_ACTIVE | VIR_CONNECT_GET_ALL_DOMAINS_STATS_NOWAIT | \
     VIR_CONNECT_GET_ALL_DOMAINS_STATS_BACKING)
#define BLOCKS_MAX     4096 /* layers of a domain's disks */
#define NAME_MAX_BYTES 1024 /* of a domain or target in the answer */

/* A disk of a domain that shows the volume. */
typedef struct {
    char *target;
    guint level;
    gboolean by_name; /* the names of pool and volume match, and no path does */
} Match;

static void match_free(Match *match)
{
    g_free(match->target);
    g_free(match);
}

static void match_add(GPtrArray *matches, const char *target, guint level, gboolean by_name)
{
    Match *match = g_new0(Match, 1);

    match->target = g_strdup(target ? target : "");
    match->level = level;
    match->by_name = by_name;
    g_ptr_array_add(matches, match);
}

/* Sets the answer. Always returns FALSE. */
static gboolean helper_end(Helper *helper, HypervisorOutcome outcome, const char *message)
{
    helper->outcome = outcome;
    g_free(helper->message);
    helper->message = g_strdup(message ? message : "?");
    return FALSE;
}

gboolean helper_fail(Helper *helper, const char *message)
{
    return helper_end(helper, HYPERVISOR_FAILED, message);
}

/* --- errors of libvirt ------------------------------------------------------------------------ */

int libvirt_code(void)
{
    virErrorPtr failure = virGetLastError();

    return failure ? failure->code : VIR_ERR_OK;
}

static const char *libvirt_message(void)
{
    virErrorPtr failure = virGetLastError();

    return failure ? failure->message : NULL;
}

gboolean helper_fail_libvirt(Helper *helper)
{
    return helper_fail(helper, libvirt_message());
}

/* Returns the reason why there is no connection. */
static HypervisorOutcome libvirt_absence(void)
{
    virErrorPtr failure = virGetLastError();

    if (failure && failure->code == VIR_ERR_NO_CONNECT)
        return HYPERVISOR_NO_DRIVER;
    if (!failure || failure->code != VIR_ERR_SYSTEM_ERROR)
        return HYPERVISOR_UNUSABLE;
    if (failure->int1 == ENOENT)
        return HYPERVISOR_NO_SOCKET;
    return failure->int1 == ECONNREFUSED ? HYPERVISOR_ABSENT : HYPERVISOR_UNUSABLE;
}

/* --- comparing -------------------------------------------------------------------------------- */

/*
 * A path that cannot exist for this process is another file. After any other failure, such as
 * ESTALE, the file is unknown, and the question fails.
 */
static void helper_check_path(Helper *helper, const char *path, int code)
{
    g_autofree char *message = NULL;

    if (code == ENOENT || code == ENOTDIR || code == EACCES || code == ELOOP ||
        code == ENAMETOOLONG)
        return;
    message = g_strdup_printf("%s: %s", path, g_strerror(code));
    helper_fail(helper, message);
}

gboolean helper_path_is_volume(Helper *helper, const char *path)
{
    const CstHypervisorVolume *volume = &helper->volume;
    struct stat st;

    if (!volume->has_file || !path || !g_path_is_absolute(path))
        return FALSE;
    if (!cst_node_stat(path, &st)) {
        helper_check_path(helper, path, errno);
        return FALSE;
    }
    if (volume->is_device)
        return S_ISBLK(st.st_mode) && st.st_rdev == volume->device;
    return !S_ISBLK(st.st_mode) && st.st_dev == volume->device && st.st_ino == volume->inode;
}

static gboolean layer_has_name(const Helper *helper, const CstDomainLayer *layer)
{
    return layer->pool && layer->volume && strcmp(layer->pool, helper->volume.pool) == 0 &&
           strcmp(layer->volume, helper->volume.volume) == 0;
}

static GPtrArray *matches_of_def(Helper *helper, const CstDomainDef *def)
{
    GPtrArray *matches = g_ptr_array_new_with_free_func((GDestroyNotify)match_free);

    for (guint i = 0; def && i < def->layers->len; i++) {
        const CstDomainLayer *layer = g_ptr_array_index(def->layers, i);

        if (helper_path_is_volume(helper, layer->path))
            match_add(matches, layer->target, layer->level, FALSE);
        else if (layer_has_name(helper, layer))
            match_add(matches, layer->target, layer->level, TRUE);
    }
    return matches;
}

const char *record_text(virDomainStatsRecordPtr record, guint number, const char *key)
{
    g_autofree char *name = g_strdup_printf("block.%u.%s", number, key);
    const char *text = NULL;

    return virTypedParamsGetString(record->params, record->nparams, name, &text) == 1 ? text : NULL;
}

/* Adds a match by the path of a layer. An existing match of the target keeps its level. */
static void matches_add_path(GPtrArray *matches, const char *target)
{
    for (guint i = 0; i < matches->len; i++) {
        Match *match = g_ptr_array_index(matches, i);

        if (strcmp(match->target, target) == 0) {
            match->by_name = FALSE;
            return;
        }
    }
    match_add(matches, target, 0, FALSE);
}

/*
 * Adds the targets of disks with a layer that shows the volume, at level 0. *ret_complete: the
 * record has all disks, and each has a path. Only the document of the domain identifies other
 * disks, such as a disk on the network. Returns FALSE if the record has too many layers.
 */
static gboolean helper_match_record(Helper *helper, virDomainStatsRecordPtr record,
                                    GPtrArray *matches, gboolean *ret_complete)
{
    unsigned count = 0;

    *ret_complete =
        virTypedParamsGetUInt(record->params, record->nparams, "block.count", &count) == 1;
    if (count > BLOCKS_MAX)
        return helper_fail(helper, _("a domain has too many disks and backing files"));
    for (guint i = 0; i < count; i++) {
        const char *target = record_text(record, i, "name");
        const char *path = record_text(record, i, "path");

        *ret_complete = *ret_complete && path;
        if (helper_path_is_volume(helper, path))
            matches_add_path(matches, target ? target : "");
    }
    return TRUE;
}

/* --- the answer ------------------------------------------------------------------------------- */

const CstDomainLayer *layer_of_target(const CstDomainDef *def, const char *target)
{
    for (guint i = 0; def && i < def->layers->len; i++) {
        const CstDomainLayer *layer = g_ptr_array_index(def->layers, i);

        if (strcmp(layer->target ? layer->target : "", target) == 0)
            return layer;
    }
    return NULL;
}

char *answer_text(const char *text)
{
    g_autofree char *valid = g_utf8_make_valid(text ? text : "", -1);

    if (strlen(valid) > NAME_MAX_BYTES) {
        char *end = g_utf8_find_prev_char(valid, valid + NAME_MAX_BYTES);

        *(end ? end : valid) = '\0';
    }
    return g_steal_pointer(&valid);
}

gboolean domain_active_state(virDomainPtr domain, CstDomainState *ret_state)
{
    int state = VIR_DOMAIN_NOSTATE, reason = 0;

    *ret_state = CST_DOMAIN_RUNNING;
    if (virDomainGetState(domain, &state, &reason, 0) < 0)
        return libvirt_code() != VIR_ERR_NO_DOMAIN;
    if (state == VIR_DOMAIN_PAUSED)
        *ret_state = reason == VIR_DOMAIN_PAUSED_IOERROR ? CST_DOMAIN_IO_ERROR : CST_DOMAIN_PAUSED;
    if (state == VIR_DOMAIN_SHUTDOWN || state == VIR_DOMAIN_CRASHED)
        *ret_state = CST_DOMAIN_ENDING;
    return state != VIR_DOMAIN_SHUTOFF;
}

/* A domain with a managed save is listed twice, so a disk that has a row gets no second one. */
static gboolean helper_add_rows(Helper *helper, virDomainPtr domain, CstDomainState state,
                                const CstDomainDef *def, const GPtrArray *matches)
{
    g_autofree char *name = answer_text(virDomainGetName(domain));
    char uuid[VIR_UUID_STRING_BUFLEN] = "";

    virDomainGetUUIDString(domain, uuid);
    for (guint i = 0; i < matches->len; i++) {
        const Match *match = g_ptr_array_index(matches, i);
        const CstDomainLayer *layer = layer_of_target(def, match->target);
        g_autofree char *target = answer_text(match->target);

        if (!g_hash_table_add(helper->row_keys, g_strconcat(uuid, " ", target, NULL)))
            continue;
        if (g_hash_table_size(helper->row_keys) > HYPERVISOR_ROWS_MAX)
            return helper_fail(helper, _("too many disks show the volume"));
        g_variant_builder_add(&helper->rows, HYPERVISOR_ROW, name, uuid, target, (guint32)state,
                              (guint32)(def ? def->agent : CST_DOMAIN_AGENT_NONE),
                              layer && (layer->read_only || (match->level > 0 && !layer->mirrored)),
                              layer && layer->shareable, (guint32)match->level, match->by_name);
    }
    return TRUE;
}

/* --- the domains ------------------------------------------------------------------------------ */

gboolean helper_read_def(Helper *helper, virDomainPtr domain, char *xml, CstDomainDef **ret_def)
{
    g_autoptr(GError) error = NULL;
    g_autofree char *message = NULL;

    *ret_def = NULL;
    if (!xml)
        return libvirt_code() == VIR_ERR_NO_DOMAIN || helper_fail_libvirt(helper);
    *ret_def = cst_domain_def_parse(xml, &error);
    free(xml); /* NOLINT: libvirt allocates it with malloc() */
    if (*ret_def)
        return TRUE;
    message = g_strdup_printf("%s: %s", virDomainGetName(domain), error->message);
    return helper_fail(helper, message);
}

/*
 * @record: NULL if the driver has no statistics. The level of a layer is that in the document. A
 * match of the record alone may be the target of a block job or a backup, which QEMU writes.
 */
static gboolean helper_add_active(Helper *helper, virDomainPtr domain,
                                  virDomainStatsRecordPtr record)
{
    g_autoptr(GPtrArray) used = g_ptr_array_new_with_free_func((GDestroyNotify)match_free);
    g_autoptr(GPtrArray) matches = NULL;
    g_autoptr(CstDomainDef) def = NULL;
    gboolean complete = FALSE;
    CstDomainState state;

    if (record && !helper_match_record(helper, record, used, &complete))
        return FALSE;
    if (complete && used->len == 0)
        return TRUE;
    if (!helper_read_def(helper, domain, virDomainGetXMLDesc(domain, 0), &def))
        return FALSE;
    if (!def)
        return TRUE;
    matches = matches_of_def(helper, def);
    for (guint i = 0; i < used->len; i++)
        matches_add_path(matches, ((const Match *)g_ptr_array_index(used, i))->target);
    return matches->len == 0 || !domain_active_state(domain, &state) ||
           helper_add_rows(helper, domain, state, def, matches);
}

/*
 * Checks a domain if its managed save has no readable document, and its definition does not show
 * the volume. The saved memory may belong to further disks. A driver that has no such document
 * (NO_SUPPORT) saves a domain as it is defined.
 */
static gboolean helper_check_unread_save(Helper *helper, virDomainPtr domain, int code,
                                         const char *reason)
{
    int saved = code == VIR_ERR_NO_SUPPORT ? 0 : virDomainHasManagedSaveImage(domain, 0);
    g_autofree char *message = NULL;

    if (saved == 0)
        return TRUE;
    if (saved < 0)
        return libvirt_code() == VIR_ERR_NO_DOMAIN || helper_fail_libvirt(helper);
    message = g_strdup_printf(_("cannot read the managed save of domain '%s': %s"),
                              virDomainGetName(domain), reason);
    return helper_fail(helper, message);
}

static gboolean helper_add_saved(Helper *helper, virDomainPtr domain)
{
    char *xml = virDomainManagedSaveGetXMLDesc(domain, 0);
    gboolean unread = !xml;
    g_autoptr(CstDomainDef) def = NULL;
    g_autoptr(GPtrArray) matches = NULL;
    g_autofree char *reason = NULL;
    int code = libvirt_code();

    if (unread) {
        reason = g_strdup(virGetLastError() ? virGetLastError()->message : "?");
        xml = virDomainGetXMLDesc(domain, VIR_DOMAIN_XML_INACTIVE);
    }
    if (!helper_read_def(helper, domain, xml, &def))
        return FALSE;
    if (!def)
        return TRUE;
    matches = matches_of_def(helper, def);
    if (unread && matches->len == 0)
        return helper_check_unread_save(helper, domain, code, reason);
    return helper_add_rows(helper, domain, CST_DOMAIN_SAVED, def, matches);
}

void helper_free_domains(virDomainPtr *domains, int count)
{
    for (int i = 0; i < count; i++)
        virDomainFree(domains[i]);
    free(domains); /* NOLINT: libvirt allocates it with malloc() */
}

int helper_list_domains(Helper *helper, unsigned flags, virDomainPtr **ret_domains)
{
    int count = virConnectListAllDomains(helper->conn, ret_domains, flags);

    if (count < 0)
        helper_end(helper, HYPERVISOR_UNUSABLE, libvirt_message());
    return count;
}

static gboolean helper_find_saved(Helper *helper)
{
    virDomainPtr *domains = NULL;
    int count = helper_list_domains(
        helper, VIR_CONNECT_LIST_DOMAINS_INACTIVE | VIR_CONNECT_LIST_DOMAINS_MANAGEDSAVE, &domains);
    gboolean ok = count >= 0;

    for (int i = 0; ok && i < count; i++)
        ok = helper_add_saved(helper, domains[i]);
    helper_free_domains(domains, count);
    return ok;
}

/* For a driver of libvirt without statistics: reads the document of each domain. */
static gboolean helper_find_active_by_def(Helper *helper, virDomainPtr *domains, int count)
{
    gboolean ok = TRUE;

    for (int i = 0; ok && i < count; i++)
        ok = helper_add_active(helper, domains[i], NULL);
    return ok;
}

static gboolean helper_find_active_by_stats(Helper *helper, virDomainPtr *domains, int n_domains)
{
    virDomainStatsRecordPtr *records = NULL;
    int count =
        virConnectGetAllDomainStats(helper->conn, VIR_DOMAIN_STATS_BLOCK, &records, ACTIVE_STATS);
    gboolean ok = TRUE;

    if (count < 0 &&
        (libvirt_code() == VIR_ERR_NO_SUPPORT || libvirt_code() == VIR_ERR_INVALID_ARG))
        return helper_find_active_by_def(helper, domains, n_domains);
    if (count < 0)
        return helper_end(helper, HYPERVISOR_UNUSABLE, libvirt_message());
    for (int i = 0; ok && i < count; i++)
        ok = helper_add_active(helper, records[i]->dom, records[i]);
    virDomainStatsRecordListFree(records);
    return ok;
}

static gboolean helper_find_active(Helper *helper)
{
    virDomainPtr *domains = NULL;
    int count = helper_list_domains(helper, VIR_CONNECT_LIST_DOMAINS_ACTIVE, &domains);
    gboolean ok = count == 0;

    if (count > 0)
        ok = helper_find_active_by_stats(helper, domains, count);
    helper_free_domains(domains, count);
    return ok;
}

/* --- the process ------------------------------------------------------------------------------ */

/* Loads the libraries before the deadline begins. */
static gboolean helper_run(Helper *helper, const char *uri, unsigned deadline_s)
{
    g_autoptr(GError) error = NULL;

    if (!cst_library_load(&cst_libxml2_library, &error))
        return helper_fail(helper, error->message);
    if (!cst_library_load(&cst_libvirt_library, &error))
        return helper_end(helper, HYPERVISOR_NO_LIBRARY, error->message);
    helper->deadline_s = deadline_s;
    alarm(deadline_s);
    helper->conn = helper->kind == HYPERVISOR_RESIZE || helper->kind == HYPERVISOR_DEFINE
                       ? virConnectOpen(uri)
                       : virConnectOpenReadOnly(uri);
    if (!helper->conn)
        return helper_end(helper, libvirt_absence(), libvirt_message());
    if (helper->kind == HYPERVISOR_RESIZE)
        return helper_resize(helper);
    if (helper->kind == HYPERVISOR_DESCRIBE)
        return helper_describe(helper);
    if (helper->kind == HYPERVISOR_DEFINE)
        return helper_define(helper);
    return helper_find_saved(helper) && helper_find_active(helper) && helper_find_saved(helper);
}

static gboolean helper_read_question(Helper *helper)
{
    g_autofree char *buf = g_malloc(HYPERVISOR_QUESTION_MAX);
    g_autoptr(GBytes) bytes = NULL;
    size_t len = fread(buf, 1, HYPERVISOR_QUESTION_MAX, stdin);
    guint64 device, inode, size;
    guint32 kind;

    bytes = g_bytes_new(buf, len);
    helper->question = g_variant_ref_sink(
        g_variant_new_from_bytes(G_VARIANT_TYPE(HYPERVISOR_QUESTION), bytes, FALSE));
    if (!g_variant_is_normal_form(helper->question))
        return FALSE;
    g_variant_get(helper->question, "(ubbtt&s&s(b&s&s&stb)&s(&s&s&s))", &kind,
                  &helper->volume.has_file, &helper->volume.is_device, &device, &inode,
                  &helper->volume.pool, &helper->volume.volume, &helper->disk.change,
                  &helper->disk.uuid, &helper->disk.target, &helper->disk.format, &size,
                  &helper->disk.is_empty, &helper->domain, &helper->definition.name,
                  &helper->definition.uuid, &helper->definition.document);
    helper->kind = (HypervisorKind)kind;
    helper->disk.bytes = size;
    helper->volume.device = device;
    helper->volume.inode = inode;
    return kind < HYPERVISOR_KIND_LAST;
}

/* Writes the answer. A failure has no disks, because their list may be incomplete. */
static gboolean helper_write_answer(Helper *helper)
{
    GVariant *rows = g_variant_builder_end(&helper->rows);
    g_autofree char *message = answer_text(helper->message);
    g_autofree char *plain = cst_text_escape(message);
    g_autoptr(GVariant) found = g_variant_ref_sink(rows);
    g_autoptr(GVariant) domains = g_variant_ref_sink(g_variant_builder_end(&helper->domains));
    g_autoptr(GVariant) answer = g_variant_ref_sink(
        helper->outcome == HYPERVISOR_ANSWERED
            ? g_variant_new("(us@a" HYPERVISOR_ROW "ut@a" HYPERVISOR_DOMAIN ")", helper->outcome,
                            plain, found, (guint32)helper->fitness, (guint64)helper->capacity,
                            domains)
            : g_variant_new(HYPERVISOR_ANSWER, helper->outcome, plain, NULL, 0, (guint64)0, NULL));

    return fwrite(g_variant_get_data(answer), 1, g_variant_get_size(answer), stdout) ==
               g_variant_get_size(answer) &&
           fflush(stdout) == 0;
}

void helper_main(int argc, char **argv)
{
    Helper helper = {0};
    guint64 deadline_s;

    if (argc != 4 || !g_ascii_string_to_unsigned(argv[3], 10, 1, G_MAXINT, &deadline_s, NULL) ||
        !helper_read_question(&helper))
        _exit(EXIT_FAILURE);
    /* A session's daemon that the helper started would end with it. */
    g_setenv("LIBVIRT_AUTOSTART", "0", TRUE);
    g_variant_builder_init(&helper.rows, G_VARIANT_TYPE("a" HYPERVISOR_ROW));
    g_variant_builder_init(&helper.domains, G_VARIANT_TYPE("a" HYPERVISOR_DOMAIN));
    helper.row_keys = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    helper_run(&helper, argv[2], (unsigned)deadline_s);
    /* Exit handlers of libvirt could wait for its connection. */
    _exit(helper_write_answer(&helper) ? EXIT_SUCCESS : EXIT_FAILURE);
}
