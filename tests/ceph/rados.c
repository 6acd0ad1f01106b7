/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "cluster.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* librados: connections, and reads of objects. */

/* --- connections ------------------------------------------------------------------------------ */

/* With their defaults; a number can be set to nothing but a number. */
static const struct {
    const char *key, *value;
} known_options[] = {
    {"auth_supported", "cephx"},
    {"client_mount_timeout", "300"},
    {"err_to_stderr", "true"},
    {"key", ""},
    {"log_file", "/var/log/ceph/client.log"},
    {"log_to_stderr", "true"},
    {"mon_client_hunt_parallel", "3"},
    {"mon_host", ""},
    {"objecter_tick_interval", "5"},
    {"rados_mon_op_timeout", "0"},
    {"rados_osd_op_timeout", "0"},
    {"rbd_cache", "true"},
    {"rbd_default_clone_format", "auto"},
    {"rbd_default_data_pool", ""},
    {"rbd_default_format", "2"},
};

static const char *default_of(const char *key)
{
    for (size_t i = 0; i < G_N_ELEMENTS(known_options); i++)
        if (strcmp(known_options[i].key, key) == 0)
            return known_options[i].value;
    return NULL;
}

int rados_create(rados_t *ret_client, const char *const id)
{
    int began = fake_begin(__func__);
    Client *client;

    if (began < 0)
        return began;
    client = g_new0(Client, 1);
    client->id = ++cluster.last_id;
    client->user = g_strdup(id ? id : "admin");
    client->options = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
    g_ptr_array_add(cluster.clients, client);
    g_hash_table_remove_all(cluster.options);
    *ret_client = client;
    return fake_end(began, 0);
}

static int set_option(Client *client, const char *key, const char *value)
{
    const char *usual = default_of(key);
    char *end;

    if (!usual)
        return -ENOENT;
    strtod(value, &end);
    if (g_ascii_isdigit(*usual) && (!*value || *end))
        return -EINVAL;
    g_hash_table_insert(client->options, g_strdup(key), g_strdup(value));
    g_hash_table_insert(cluster.options, g_strdup(key), g_strdup(value));
    return 0;
}

int rados_conf_set(rados_t client, const char *key, const char *value)
{
    int began = fake_begin(__func__);

    return fake_end(began, began < 0 ? 0 : set_option(client, key, value));
}

int rados_conf_get(rados_t client, const char *key, char *buf, size_t len)
{
    int began = fake_begin(__func__);
    const char *value;

    if (began < 0)
        return began;
    value = g_hash_table_lookup(((Client *)client)->options, key);
    if (!value)
        value = default_of(key);
    if (!value)
        return fake_end(began, -ENOENT);
    if (strlen(value) >= len)
        return fake_end(began, -ENAMETOOLONG);
    g_strlcpy(buf, value, len);
    return fake_end(began, 0);
}

static const char *option(const Client *client, const char *key)
{
    const char *value = g_hash_table_lookup(client->options, key);

    return value ? value : default_of(key);
}

static gboolean is_good_key(const char *key)
{
    return strcmp(key, cluster.key) == 0 ||
           (cluster.keeps_old &&
            g_ptr_array_find_with_equal_func(cluster.old_keys, key, g_str_equal, NULL));
}

static int log_in(const Client *client)
{
    if (!*option(client, "mon_host"))
        return -ENOENT;
    if (!cluster.user)
        return 0;
    if (strcmp(option(client, "auth_supported"), "cephx") != 0)
        return -EOPNOTSUPP;
    if (cluster.admin_key && strcmp(client->user, "admin") == 0)
        return strcmp(option(client, "key"), cluster.admin_key) == 0 ? 0 : -EACCES;
    return strcmp(client->user, cluster.user) == 0 && is_good_key(option(client, "key")) ? 0
                                                                                         : -EACCES;
}

int rados_connect(rados_t client)
{
    int began = fake_begin(__func__);

    return fake_end(began, began < 0 ? 0 : log_in(client));
}

void rados_shutdown(rados_t cluster_handle)
{
    Client *client = cluster_handle;
    int began = fake_begin(__func__);

    g_ptr_array_remove(cluster.clients, client);
    g_hash_table_unref(client->options);
    g_free(client->user);
    g_free(client);
    fake_end(began, 0);
}

uint64_t rados_get_instance_id(rados_t client)
{
    return ((Client *)client)->id;
}

int rados_get_min_compatible_client(rados_t client, int8_t *min_compat_client,
                                    int8_t *require_min_compat_client)
{
    int began = fake_begin(__func__);

    if (began < 0)
        return began;
    *min_compat_client = (int8_t)(cluster.release - 1);
    *require_min_compat_client = (int8_t)cluster.release;
    return fake_end(began, 0);
}

int rados_cluster_stat(rados_t client, struct rados_cluster_stat_t *result)
{
    int began = fake_begin(__func__);

    if (began >= 0)
        *result = (struct rados_cluster_stat_t){.kb = 1000, .kb_used = 300, .kb_avail = 600};
    return fake_end(began, 0);
}

int rados_cluster_fsid(rados_t client, char *buf, size_t len)
{
    int began = fake_begin(__func__);

    if (began >= 0)
        g_strlcpy(buf, "11111111-2222-3333-4444-555555555555", len);
    return fake_end(began, 0);
}

/* --- users ------------------------------------------------------------------------------------ */

char *fake_keyring(void)
{
    return g_strdup_printf("[client.%s]\n\tkey = %s\n%s", cluster.user, cluster.key, cluster.caps);
}

static int give(const char *text, char **outbuf, size_t *outbuflen)
{
    *outbuf = strdup(text);
    *outbuflen = strlen(text);
    return 0;
}

static int get_user(const char *command, char **outbuf, size_t *outbuflen)
{
    g_autofree char *wanted = g_strdup_printf("\"client.%s\"", cluster.user);
    g_autofree char *keyring = strstr(command, wanted) ? fake_keyring() : NULL;

    return keyring ? give(keyring, outbuf, outbuflen) : -ENOENT;
}

/* All that it holds takes the place of what there was. */
static int import_user(const char *text, size_t len)
{
    g_autofree char *keyring = g_strndup(text, len);
    g_auto(GStrv) lines = g_strsplit(keyring, "\n", -1);
    g_autofree char *head = g_strdup_printf("[client.%s]", cluster.user);
    GString *caps = g_string_new(NULL);

    if (g_strcmp0(lines[0], head) != 0 || !g_str_has_prefix(lines[1], "key = "))
        return -EINVAL;
    g_ptr_array_add(cluster.old_keys, g_steal_pointer(&cluster.key));
    cluster.key = g_strdup(lines[1] + strlen("key = "));
    for (char **line = lines + 2; *line && **line; line++)
        g_string_append_printf(caps, "\t%s\n", *line);
    g_free(cluster.caps);
    cluster.caps = g_string_free(caps, FALSE);
    return 0;
}

int rados_mon_command(rados_t client, const char **cmd, size_t cmdlen, const char *inbuf,
                      size_t inbuflen, char **outbuf, size_t *outbuflen, char **outs,
                      size_t *outslen)
{
    int began = fake_begin(__func__);
    int result = -EINVAL;

    if (began < 0)
        return began;
    give("status", outs, outslen);
    if (strcmp(((Client *)client)->user, "admin") != 0)
        result = -EACCES;
    else if (strstr(cmd[0], "\"auth get\""))
        result = get_user(cmd[0], outbuf, outbuflen);
    else if (strstr(cmd[0], "\"auth import\""))
        result = import_user(inbuf, inbuflen);
    return fake_end(began, result);
}

/* --- pools ------------------------------------------------------------------------------------ */

int rados_ioctx_create(rados_t client, const char *pool_name, rados_ioctx_t *ret_io)
{
    int began = fake_begin(__func__);
    Pool *pool;
    Io *io;

    if (began < 0)
        return began;
    pool = fake_pool(pool_name);
    if (!pool)
        return fake_end(began, -ENOENT);
    io = g_new0(Io, 1);
    io->client = client;
    io->space = fake_space(pool, "");
    g_atomic_int_inc(&cluster.ios);
    *ret_io = io;
    return fake_end(began, 0);
}

void rados_ioctx_destroy(rados_ioctx_t io)
{
    g_free(io);
    g_atomic_int_add(&cluster.ios, -1);
}

int64_t rados_ioctx_get_id(rados_ioctx_t io)
{
    return ((Io *)io)->space->pool->id;
}

void rados_ioctx_set_namespace(rados_ioctx_t io, const char *name)
{
    int began = fake_begin(__func__);

    ((Io *)io)->space = fake_space(((Io *)io)->space->pool, name);
    fake_end(began, 0);
}

void rados_set_pool_full_try(rados_ioctx_t io)
{
    fake_end(fake_begin(__func__), 0);
}

int rados_ioctx_pool_stat(rados_ioctx_t io, struct rados_pool_stat_t *stats)
{
    int began = fake_begin(__func__);

    if (began >= 0)
        *stats = (struct rados_pool_stat_t){.num_bytes = 12345};
    return fake_end(began, 0);
}

/* --- reading objects -------------------------------------------------------------------------- */

typedef struct {
    char *method; /* NULL: stat */
    char *question;
    size_t len;
    char **answer;
    size_t *answer_len;
    int *result;
} Question;

typedef struct {
    rados_callback_t callback;
    void *data;
    int result;
    gint refs; /* the caller's and the call's */
} Completion;

/* A call on its way. */
typedef struct {
    const char *function;
    GPtrArray *questions; /* of Question; NULL: only the callback is asked for */
    Space *space;
    char *object;
    Completion *completion;
} Reading;

static void question_free(gpointer data)
{
    Question *question = data;

    g_free(question->method);
    g_free(question->question);
    g_free(question);
}

rados_read_op_t rados_create_read_op(void)
{
    return g_ptr_array_new_with_free_func(question_free);
}

void rados_release_read_op(rados_read_op_t op)
{
    g_ptr_array_unref(op);
}

void rados_read_op_exec(rados_read_op_t op, const char *class, const char *method,
                        const char *in_buf, size_t in_len, char **out_buf, size_t *out_len,
                        int *prval)
{
    Question *question = g_new(Question, 1);

    g_assert_cmpstr(class, ==, "rbd");
    *question =
        (Question){g_strdup(method), g_memdup2(in_buf, in_len), in_len, out_buf, out_len, prval};
    g_ptr_array_add(op, question);
}

void rados_read_op_stat(rados_read_op_t op, uint64_t *psize, time_t *pmtime, int *prval)
{
    g_ptr_array_add(op, g_new0(Question, 1));
}

void rados_buffer_free(char *buf)
{
    free(buf);
}

static int answer_one(const Reading *reading, const Question *question)
{
    g_autoptr(GByteArray) answer = g_byte_array_new();
    int result = fake_osd_answer(reading->space, reading->object, question->method,
                                 question->question, question->len, answer);

    if (question->result)
        *question->result = result;
    if (result < 0 || !question->answer)
        return result;
    /* As from another allocator than GLib's, and with nothing behind the end. */
    *question->answer = malloc(answer->len);
    memcpy(*question->answer, answer->data, answer->len);
    *question->answer_len = answer->len;
    return 0;
}

static void completion_unref(Completion *completion)
{
    if (!g_atomic_int_dec_and_test(&completion->refs))
        return;
    g_atomic_int_add(&cluster.completions, -1);
    g_free(completion);
}

static void read_now(gpointer data, gpointer unused)
{
    Reading *reading = data;
    Completion *completion = reading->completion;
    int began = fake_begin(reading->function);

    completion->result = MIN(began, 0);
    for (guint i = 0; completion->result >= 0 && reading->questions && i < reading->questions->len;
         i++)
        completion->result = answer_one(reading, g_ptr_array_index(reading->questions, i));
    fake_end(began, 0);
    completion->callback(completion, completion->data);
    completion_unref(completion);
    g_clear_pointer(&reading->questions, g_ptr_array_unref);
    g_free(reading->object);
    g_free(reading);
}

/* Callbacks run one after the other. */
static void start(Reading *reading)
{
    static GThreadPool *finisher;

    if (g_once_init_enter(&finisher))
        g_once_init_leave(&finisher, g_thread_pool_new(read_now, NULL, 1, FALSE, NULL));
    g_atomic_int_inc(&reading->completion->refs);
    g_thread_pool_push(finisher, reading, NULL);
}

int rados_aio_create_completion2(void *data, rados_callback_t callback, rados_completion_t *ret)
{
    int began = fake_begin(__func__);
    Completion *completion;

    if (began < 0)
        return began;
    completion = g_new(Completion, 1);
    *completion = (Completion){callback, data, 0, 1};
    g_atomic_int_inc(&cluster.completions);
    *ret = completion;
    return fake_end(began, 0);
}

/* The failures of an operation that began are those of "OSD". */
int rados_aio_read_op_operate(rados_read_op_t op, rados_ioctx_t io, rados_completion_t completion,
                              const char *oid, int flags)
{
    int began = fake_begin(__func__);
    Reading *reading;

    if (began < 0)
        return began;
    reading = g_new(Reading, 1);
    *reading = (Reading){"OSD", g_ptr_array_ref(op), ((Io *)io)->space, g_strdup(oid), completion};
    start(reading);
    return fake_end(began, 0);
}

int rados_aio_flush_async(rados_ioctx_t io, rados_completion_t completion)
{
    int began = fake_begin(__func__);
    Reading *reading;

    if (began < 0)
        return began;
    reading = g_new0(Reading, 1);
    reading->function = "flushed";
    reading->completion = completion;
    start(reading);
    return fake_end(began, 0);
}

int rados_aio_get_return_value(rados_completion_t completion)
{
    return ((Completion *)completion)->result;
}

void rados_aio_release(rados_completion_t completion)
{
    completion_unref(completion);
}
