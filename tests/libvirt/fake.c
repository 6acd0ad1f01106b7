/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A fake libvirt.so.0 for tests. FAKE_LIBVIRT names a key file with its state, which is read anew
 * by each process:
 *
 *     [calls]
 *     log = FILE             each call appends its name to FILE, a connection also its URI, and
 *                            some calls "NAME 0xFLAGS"
 *     virConnectOpenReadOnly = fail CODE INT1 MESSAGE      or: hang
 *     after virConnectListAllDomains = 1 state saved
 *                            after this call, "state" of [domain 1] is "saved"
 *     after virDomainBlockResize = hang
 *                            this call has its effect and does not return
 *     virDomainResume = lose MESSAGE
 *                            the connection fails, also for all later calls of the process until
 *                            virConnectOpen(); also after a call of fake_block.c
 *     virDomainResume = wait FILE
 *                            the call begins when FILE exists; also after a call
 *     virDomainResume = once FILE ACTION
 *                            the action applies to one call of all processes, which creates FILE
 *     virConnectOpen = unless FILE ACTION
 *                            the action applies while FILE is missing
 *     defined = FILE         gets the document of virDomainDefineXMLFlags()
 *     [domain 1]
 *     name = web1            escapes as in all key files
 *     uuid = UUID            absent: that of "domain 1" ends with 809, of "domain 2" with 80a, …
 *     state = running        or: paused, ioerror, migrating, crashed, saved, off
 *     blocks = vda:/a;vda[2]:/b the layers in the statistics, [2]: backingIndex; absent: no
 *                            block.count
 *                            chain: those of "live"
 *     count = 5              block.count, if it is not the number of layers
 *     xml = FILE             the document of the domain; of its managed save: saved-xml
 *     transient = yes        the domain has no persistent definition
 *     copy-xml = FILE        gets the document of virDomainBlockCopy()
 *     device-xml = FILE      gets the document of virDomainUpdateDeviceFlags()
 *     job = yes              the domain has a job
 *     block-job = vda        the disk has a block job
 *     disk = FILE            virDomainBlockResize() truncates FILE, also to a smaller size
 *     capacity = BYTES       of the guest's disk; absent: that of FILE
 *     keeps-size = yes       virDomainBlockResize() has no effect
 *     backup-xml = FILE      gets the document of virDomainBackupBegin()
 *     backup-nbd = FILE      raw content that a backup job serves
 *     live = FILE            state that all processes share, for a pause (live.h)
 *
 * A call with "hang" does not return. Without FAKE_LIBVIRT no libvirt runs (ECONNREFUSED).
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "fake.h"
#include "live.h"

static struct _virConnect connection;
static virError failure;

GKeyFile *fake_state(void)
{
    const char *path = g_getenv("FAKE_LIBVIRT");

    if (!connection.state) {
        connection.state = g_key_file_new();
        if (path)
            g_key_file_load_from_file(connection.state, path, G_KEY_FILE_NONE, NULL);
    }
    return connection.state;
}

void fake_fail(int code, int number, const char *message)
{
    failure = (virError){.code = code, .int1 = number, .message = g_strdup(message)};
}

void fake_log(const char *call)
{
    g_autofree char *path = g_key_file_get_string(fake_state(), "calls", "log", NULL);
    g_autofree char *line = g_strdup_printf("%s\n", call);
    int fd = path ? open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600) : -1;

    if (fd < 0)
        return;
    if (write(fd, line, strlen(line)) < 0)
        abort();
    close(fd);
}

/* Logs the flags of a call after its name. */
static void fake_log_flags(const char *call, unsigned flags)
{
    g_autofree char *line = g_strdup_printf("%s 0x%x", call, flags);

    fake_log(line);
}

/* Returns the action for a call, or NULL. The caller frees it. */
static char *fake_action(const char *key)
{
    char *action = g_key_file_get_string(fake_state(), "calls", key, NULL);
    g_auto(GStrv) words = NULL;
    int fd;

    if (!action || (!g_str_has_prefix(action, "once ") && !g_str_has_prefix(action, "unless ")))
        return action;
    words = g_strsplit(action, " ", 3);
    g_free(action);
    if (strcmp(words[0], "unless") == 0)
        return access(words[1], F_OK) < 0 ? g_strdup(words[2]) : NULL;
    fd = open(words[1], O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd < 0)
        return NULL;
    close(fd);
    return g_strdup(words[2]);
}

static void fake_block(const char *action)
{
    const struct timespec rest = {.tv_nsec = 1000000};

    while (action && strcmp(action, "hang") == 0)
        pause();
    while (action && g_str_has_prefix(action, "wait ") &&
           access(action + strlen("wait "), F_OK) < 0)
        nanosleep(&rest, NULL); /* paced: a pause between two checks */
}

/* Always returns -1. */
static int fake_fail_lost(void)
{
    fake_fail(VIR_ERR_INTERNAL_ERROR, 0, connection.lost);
    failure.domain = VIR_FROM_RPC;
    return -1;
}

gboolean fake_is_lost(void)
{
    return connection.lost != NULL;
}

void fake_leave(const char *call)
{
    g_autofree char *key = g_strconcat("after ", call, NULL);
    g_autofree char *change = fake_action(key);
    g_auto(GStrv) words = change ? g_strsplit(change, " ", 3) : NULL;
    g_autofree char *group = NULL;

    fake_block(change);
    if (change && g_str_has_prefix(change, "lose "))
        connection.lost = g_strdup(change + strlen("lose "));
    if (!words || g_strv_length(words) < 3)
        return;
    group = g_strconcat("domain ", words[0], NULL);
    g_key_file_set_string(fake_state(), group, words[1], words[2]);
}

int fake_result(const char *call)
{
    fake_leave(call);
    return connection.lost ? fake_fail_lost() : 0;
}

gboolean fake_enter(const char *call)
{
    g_autofree char *how = fake_action(call);
    g_auto(GStrv) words = NULL;

    fake_log(call);
    fake_block(how);
    if (how && g_str_has_prefix(how, "lose "))
        connection.lost = g_strdup(how + strlen("lose "));
    if (connection.lost)
        return fake_fail_lost() == 0;
    words = how ? g_strsplit(how, " ", 4) : NULL;
    if (!words || strcmp(words[0], "fail") != 0 || g_strv_length(words) < 4)
        return TRUE;
    fake_fail(atoi(words[1]), atoi(words[2]), words[3]);
    return FALSE;
}

char *fake_text(virDomainPtr domain, const char *key)
{
    return g_key_file_get_string(fake_state(), domain->group, key, NULL);
}

static gboolean fake_is_saved(virDomainPtr domain)
{
    g_autofree char *state = fake_text(domain, "state");

    return g_strcmp0(state, "saved") == 0;
}

virErrorPtr virGetLastError(void)
{
    return &failure;
}

/* The name of the call was logged. */
static virConnectPtr fake_connect(const char *name)
{
    fake_log(name);
    if (g_getenv("FAKE_LIBVIRT"))
        return &connection;
    fake_fail(VIR_ERR_SYSTEM_ERROR, ECONNREFUSED, "Failed to connect socket: Connection refused");
    return NULL;
}

virConnectPtr virConnectOpenReadOnly(const char *name)
{
    return fake_enter(__func__) ? fake_connect(name) : NULL;
}

/* Another connection works again. */
virConnectPtr virConnectOpen(const char *name)
{
    g_clear_pointer(&connection.lost, g_free);
    fake_forget_events();
    return fake_enter(__func__) ? fake_connect(name) : NULL;
}

static virDomainPtr fake_domain(virConnectPtr conn, const char *group)
{
    virDomainPtr domain = g_new0(struct _virDomain, 1);

    domain->conn = conn;
    domain->group = g_strdup(group);
    return domain;
}

int virDomainFree(virDomainPtr domain)
{
    g_free(domain->group);
    g_free(domain);
    return 0;
}

/*
 * Returns the domains with a managed save, or without one, or all (@flags 0), with a NULL after the
 * last.
 */
static virDomainPtr *fake_domains(virConnectPtr conn, unsigned int flags, int *ret_count)
{
    g_auto(GStrv) groups = g_key_file_get_groups(fake_state(), NULL);
    gboolean saved = (flags & VIR_CONNECT_LIST_DOMAINS_MANAGEDSAVE) != 0;
    GPtrArray *domains = g_ptr_array_new();

    for (char **group = groups; *group; group++) {
        virDomainPtr domain = fake_domain(conn, *group);

        if (g_str_has_prefix(*group, "domain ") && (flags == 0 || fake_is_saved(domain) == saved))
            g_ptr_array_add(domains, domain);
        else
            virDomainFree(domain);
    }
    *ret_count = (int)domains->len;
    g_ptr_array_add(domains, NULL);
    return (virDomainPtr *)g_ptr_array_free(domains, FALSE);
}

int virConnectListAllDomains(virConnectPtr conn, virDomainPtr **ret_domains, unsigned int flags)
{
    int count;

    fake_log_flags(__func__, flags);
    if (!fake_enter(__func__))
        return -1;
    *ret_domains = fake_domains(conn, flags, &count);
    fake_leave(__func__);
    return count;
}

const char *virDomainGetName(virDomainPtr domain)
{
    return fake_text(domain, "name"); /* leaked: libvirt's name belongs to the domain */
}

int virDomainGetUUIDString(virDomainPtr domain, char *buf)
{
    g_autofree char *text = fake_text(domain, "uuid");
    unsigned number = (unsigned)strtoul(domain->group + strlen("domain "), NULL, 10);

    if (text)
        g_strlcpy(buf, text, VIR_UUID_STRING_BUFLEN);
    else
        g_snprintf(buf, VIR_UUID_STRING_BUFLEN, "c7a5fdbd-cdaf-9455-926a-d65c16db1%03x",
                   0x808 + number);
    return 0;
}

int virDomainGetState(virDomainPtr domain, int *state, int *reason, unsigned int flags)
{
    g_autofree char *live = fake_text(domain, "live");
    g_autofree char *word = live ? live_get(live, "state") : fake_text(domain, "state");

    if (!fake_enter(__func__))
        return -1;
    *state = VIR_DOMAIN_RUNNING;
    *reason = live ? VIR_DOMAIN_PAUSED_USER : 0;
    if (g_strcmp0(word, "paused") == 0 || g_strcmp0(word, "ioerror") == 0)
        *state = VIR_DOMAIN_PAUSED;
    if (g_strcmp0(word, "ioerror") == 0)
        *reason = VIR_DOMAIN_PAUSED_IOERROR;
    if (g_strcmp0(word, "migrating") == 0) {
        *state = VIR_DOMAIN_PAUSED;
        *reason = VIR_DOMAIN_PAUSED_MIGRATION;
    }
    if (g_strcmp0(word, "crashed") == 0)
        *state = VIR_DOMAIN_CRASHED;
    if (g_strcmp0(word, "off") == 0 || g_strcmp0(word, "saved") == 0)
        *state = VIR_DOMAIN_SHUTOFF;
    return 0;
}

/* The caller frees the document with free(). */
static char *fake_document(virDomainPtr domain, const char *key)
{
    g_autofree char *path = fake_text(domain, key);
    char *xml = NULL;

    if (!path || !g_file_get_contents(path, &xml, NULL, NULL))
        fake_fail(VIR_ERR_OPERATION_FAILED, 0, "the fake domain has no document");
    return xml;
}

char *virDomainGetXMLDesc(virDomainPtr domain, unsigned int flags)
{
    g_autofree char *live = fake_text(domain, "live");
    char *xml;

    fake_log_flags(__func__, flags);
    if (!fake_enter(__func__))
        return NULL;
    xml = live ? live_block_document(live, (flags & VIR_DOMAIN_XML_INACTIVE) != 0) : NULL;
    return xml ? xml : fake_document(domain, "xml");
}

char *virDomainManagedSaveGetXMLDesc(virDomainPtr domain, unsigned int flags)
{
    char *xml = fake_enter(__func__) ? fake_document(domain, "saved-xml") : NULL;

    fake_leave(__func__);
    return xml;
}

int virDomainHasManagedSaveImage(virDomainPtr domain, unsigned int flags)
{
    return fake_enter(__func__) ? fake_is_saved(domain) : -1;
}

/* --- resize ----------------------------------------------------------------------------------- */

/* Returns the domain with @uuid, or with @name. NULL with NO_DOMAIN: there is none. */
static virDomainPtr fake_lookup(virConnectPtr conn, const char *uuid, const char *name)
{
    g_auto(GStrv) groups = g_key_file_get_groups(fake_state(), NULL);

    for (char **group = groups; *group; group++)
        if (g_str_has_prefix(*group, "domain ")) {
            virDomainPtr domain = fake_domain(conn, *group);
            g_autofree char *found_name = fake_text(domain, "name");
            char found[VIR_UUID_STRING_BUFLEN];

            virDomainGetUUIDString(domain, found);
            if (uuid ? strcmp(found, uuid) == 0 : g_strcmp0(found_name, name) == 0)
                return domain;
            virDomainFree(domain);
        }
    fake_fail(VIR_ERR_NO_DOMAIN, 0, "Domain not found");
    return NULL;
}

virDomainPtr virDomainLookupByUUIDString(virConnectPtr conn, const char *uuid)
{
    return fake_enter(__func__) ? fake_lookup(conn, uuid, NULL) : NULL;
}

virDomainPtr virDomainLookupByName(virConnectPtr conn, const char *name)
{
    virDomainPtr domain = fake_enter(__func__) ? fake_lookup(conn, NULL, name) : NULL;

    fake_leave(__func__);
    return domain;
}

virDomainPtr virDomainDefineXMLFlags(virConnectPtr conn, const char *xml, unsigned int flags)
{
    g_autofree char *path = g_key_file_get_string(fake_state(), "calls", "defined", NULL);

    fake_log_flags(__func__, flags);
    if (!fake_enter(__func__))
        return NULL;
    if (path && !g_file_set_contents(path, xml, -1, NULL))
        abort();
    fake_leave(__func__);
    return fake_domain(conn, "domain 0");
}

int virDomainGetJobInfo(virDomainPtr domain, virDomainJobInfoPtr info)
{
    g_autofree char *job = fake_text(domain, "job"), *live = fake_text(domain, "live");
    g_autofree char *backup = live ? live_get(live, "backup") : NULL;

    if (!fake_enter(__func__))
        return -1;
    info->type = job || backup ? VIR_DOMAIN_JOB_UNBOUNDED : VIR_DOMAIN_JOB_NONE;
    return 0;
}

int virDomainGetBlockJobInfo(virDomainPtr domain, const char *disk, virDomainBlockJobInfoPtr info,
                             unsigned int flags)
{
    g_autofree char *job = fake_text(domain, "block-job"), *live = fake_text(domain, "live");
    int type = live ? live_get_number(live, "block-type") : 0;

    if (!fake_enter(__func__))
        return -1;
    if (type == 0 || strcmp(disk, "vda") != 0)
        return g_strcmp0(job, disk) == 0;
    info->type = type;
    info->cur = (unsigned long long)live_get_number(live, "block-cur");
    info->end = (unsigned long long)live_get_number(live, "block-end");
    return 1;
}

int virDomainGetBlockInfo(virDomainPtr domain, const char *disk, virDomainBlockInfoPtr info,
                          unsigned int flags)
{
    g_autofree char *capacity = fake_text(domain, "capacity");
    g_autofree char *path = fake_text(domain, "disk");
    struct stat st = {0};

    if (!fake_enter(__func__))
        return -1;
    if (!capacity && path && stat(path, &st) < 0)
        abort();
    info->capacity =
        capacity ? g_ascii_strtoull(capacity, NULL, 10) : (unsigned long long)st.st_size;
    return 0;
}

int virDomainBlockResize(virDomainPtr domain, const char *disk, unsigned long long size,
                         unsigned int flags)
{
    g_autofree char *line = g_strdup_printf("resize %s %llu 0x%x", disk, size, flags);
    g_autofree char *path = fake_text(domain, "disk"), *capacity = fake_text(domain, "capacity"),
                    *keeps = fake_text(domain, "keeps-size"), *text = g_strdup_printf("%llu", size);

    if (!fake_enter(__func__))
        return -1;
    fake_log(line);
    if (!keeps && path && truncate(path, (off_t)size) < 0)
        abort();
    if (!keeps && capacity)
        g_key_file_set_string(fake_state(), domain->group, "capacity", text);
    fake_leave(__func__);
    return 0;
}

/* --- statistics ------------------------------------------------------------------------------- */

/* @params: of virTypedParameter, with room. */
static virTypedParameterPtr fake_param(virDomainStatsRecordPtr record, const char *name, int type)
{
    virTypedParameterPtr param = &record->params[record->nparams++];

    g_strlcpy(param->field, name, VIR_TYPED_PARAM_FIELD_LENGTH);
    param->type = type;
    return param;
}

static void fake_param_text(virDomainStatsRecordPtr record, guint number, const char *key,
                            const char *text)
{
    g_autofree char *name = g_strdup_printf("block.%u.%s", number, key);

    fake_param(record, name, VIR_TYPED_PARAM_STRING)->value.s = g_strdup(text);
}

/* Returns the layers in the statistics, which the caller frees; NULL: not set. */
static char *fake_blocks(virDomainPtr domain)
{
    g_autofree char *text = fake_text(domain, "blocks"), *live = fake_text(domain, "live");
    g_autofree char *chain = live && g_strcmp0(text, "chain") == 0 ? live_get(live, "chain") : NULL;
    g_auto(GStrv) layers = chain ? g_strsplit(chain, ";", -1) : NULL;
    GString *blocks;

    if (!layers)
        return g_steal_pointer(&text);
    blocks = g_string_new(NULL);
    g_string_append_printf(blocks, "vda:%s", layers[0] ? layers[0] : "");
    for (guint i = 1; i < g_strv_length(layers); i++)
        g_string_append_printf(blocks, ";vda[%u]:%s", i + 1, layers[i]);
    return g_string_free(blocks, FALSE);
}

/* @block: "vda:/path"; a backing file: "vda[2]:/path". */
static void fake_param_block(virDomainStatsRecordPtr record, guint number, char *block)
{
    char *path = strchr(block, ':'), *index;

    if (path)
        *path++ = '\0';
    index = strchr(block, '[');
    if (index) {
        g_autofree char *name = g_strdup_printf("block.%u.backingIndex", number);

        fake_param(record, name, VIR_TYPED_PARAM_UINT)->value.ui =
            (unsigned)strtoul(index + 1, NULL, 10);
        *index = '\0';
    }
    fake_param_text(record, number, "name", block);
    if (path)
        fake_param_text(record, number, "path", path);
}

static virDomainStatsRecordPtr fake_record(virDomainPtr domain)
{
    virDomainStatsRecordPtr record = g_new0(virDomainStatsRecord, 1);
    g_autofree char *text = fake_blocks(domain);
    g_autofree char *number = fake_text(domain, "count");
    g_auto(GStrv) blocks = g_strsplit(text ? text : "", ";", -1);
    guint count = g_strv_length(blocks);

    record->dom = domain;
    record->params = g_new0(virTypedParameter, 3 * count + 1);
    if (text)
        fake_param(record, "block.count", VIR_TYPED_PARAM_UINT)->value.ui =
            number ? (unsigned)strtoul(number, NULL, 10) : count;
    for (guint i = 0; i < count; i++)
        fake_param_block(record, i, blocks[i]);
    return record;
}

int virConnectGetAllDomainStats(virConnectPtr conn, unsigned int stats,
                                virDomainStatsRecordPtr **ret_records, unsigned int flags)
{
    virDomainPtr *domains;
    int count;

    fake_log_flags(__func__, flags);
    if (!fake_enter(__func__))
        return -1;
    domains = fake_domains(conn, VIR_CONNECT_LIST_DOMAINS_ACTIVE, &count);
    *ret_records = g_new0(virDomainStatsRecordPtr, count + 1);
    for (int i = 0; i < count; i++)
        (*ret_records)[i] = fake_record(domains[i]);
    g_free(domains);
    fake_leave(__func__);
    return count;
}

void virDomainStatsRecordListFree(virDomainStatsRecordPtr *records)
{
    for (virDomainStatsRecordPtr *record = records; *record; record++) {
        for (int i = 0; i < (*record)->nparams; i++)
            if ((*record)->params[i].type == VIR_TYPED_PARAM_STRING)
                g_free((*record)->params[i].value.s);
        g_free((*record)->params);
        virDomainFree((*record)->dom);
        g_free(*record);
    }
    g_free(records);
}

static virTypedParameterPtr fake_find(virTypedParameterPtr params, int count, const char *name,
                                      int type)
{
    for (int i = 0; i < count; i++)
        if (strcmp(params[i].field, name) == 0 && params[i].type == type)
            return &params[i];
    return NULL;
}

int virTypedParamsGetString(virTypedParameterPtr params, int nparams, const char *name,
                            const char **value)
{
    virTypedParameterPtr param = fake_find(params, nparams, name, VIR_TYPED_PARAM_STRING);

    if (param)
        *value = param->value.s;
    return param != NULL;
}

int virTypedParamsGetUInt(virTypedParameterPtr params, int nparams, const char *name,
                          unsigned int *value)
{
    virTypedParameterPtr param = fake_find(params, nparams, name, VIR_TYPED_PARAM_UINT);

    if (param)
        *value = param->value.ui;
    return param != NULL;
}
