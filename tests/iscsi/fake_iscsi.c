/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The functions of libiscsi that the product uses, over the target in memory. */
#include "fake_iscsi.h"

#include <iscsi/iscsi.h>
#include <iscsi/scsi-lowlevel.h>
#include <poll.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

/* The arguments of a callback. */
typedef struct {
    iscsi_command_cb call;
    int status;
    void *command;
    void *data;
    gboolean is_command;
} Answer;

struct iscsi_context {
    iscsi_log_fn log;
    int fd;
    GQueue answers; /* of Answer */
    GQueue unanswered;
    gboolean logged_in, lost;
    char portal[64], error[128], password[256];
};

static void ring(struct iscsi_context *context)
{
    const uint64_t one = 1;

    if (write(context->fd, &one, sizeof(one)) < 0)
        g_error("eventfd");
}

static gboolean is_unanswered(const struct iscsi_context *context, const struct scsi_task *task)
{
    return (fake.silent && context->logged_in) ||
           (task && fake.quiet && task->cdb[0] == fake.quiet);
}

static void answer(struct iscsi_context *context, iscsi_command_cb call, int status, void *command,
                   void *data, gboolean is_command)
{
    Answer *made = g_new(Answer, 1);

    *made = (Answer){call, status, command, data, is_command};
    g_queue_push_tail(is_unanswered(context, is_command ? command : NULL) ? &context->unanswered
                                                                          : &context->answers,
                      made);
    ring(context);
}

struct iscsi_context *iscsi_create_context(const char *initiator_name)
{
    struct iscsi_context *context = g_new0(struct iscsi_context, 1);

    context->fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    return context;
}

static void cancel(struct iscsi_context *context, GQueue *queue)
{
    Answer *left;

    while ((left = g_queue_pop_head(queue))) {
        if (context->logged_in)
            left->call(context, SCSI_STATUS_CANCELLED, NULL, left->data);
        g_free(left);
    }
}

int iscsi_destroy_context(struct iscsi_context *context)
{
    if (!context)
        return 0;
    cancel(context, &context->answers);
    cancel(context, &context->unanswered);
    close(context->fd);
    g_free(context);
    return 0;
}

int iscsi_set_targetname(struct iscsi_context *context, const char *name)
{
    return 0;
}

int iscsi_set_session_type(struct iscsi_context *context, enum iscsi_session_type type)
{
    return 0;
}

int iscsi_set_isid_random(struct iscsi_context *context, uint32_t rnd, uint32_t qualifier)
{
    return 0;
}

void iscsi_set_noautoreconnect(struct iscsi_context *context, int state)
{
}

int iscsi_set_initiator_username_pwd(struct iscsi_context *context, const char *user,
                                     const char *password)
{
    g_strlcpy(context->password, password, sizeof(context->password));
    return 0;
}

int iscsi_set_target_username_pwd(struct iscsi_context *context, const char *user,
                                  const char *password)
{
    return 0;
}

void iscsi_set_log_level(struct iscsi_context *context, int level)
{
}

void iscsi_set_log_fn(struct iscsi_context *context, iscsi_log_fn log)
{
    context->log = log;
}

const char *iscsi_get_error(struct iscsi_context *context)
{
    return context->error;
}

const char *iscsi_get_target_address(struct iscsi_context *context)
{
    return "";
}

int iscsi_is_logged_in(struct iscsi_context *context)
{
    return context->logged_in;
}

int iscsi_get_fd(struct iscsi_context *context)
{
    return context->fd;
}

int iscsi_which_events(struct iscsi_context *context)
{
    return POLLIN;
}

int iscsi_queue_length(struct iscsi_context *context)
{
    return (int)(context->answers.length + context->unanswered.length);
}

int iscsi_service(struct iscsi_context *context, int revents)
{
    uint64_t count;
    Answer *next;

    if (read(context->fd, &count, sizeof(count)) < 0)
        count = 0;
    while (!context->lost && (next = g_queue_pop_head(&context->answers))) {
        next->call(context, next->status, next->command, next->data);
        g_free(next);
    }
    return context->lost ? -1 : 0;
}

int iscsi_connect_async(struct iscsi_context *context, const char *portal, iscsi_command_cb call,
                        void *data)
{
    g_strlcpy(context->portal, portal, sizeof(context->portal));
    answer(context, call,
           fake.away && strcmp(fake.away, portal) == 0 ? SCSI_STATUS_ERROR : SCSI_STATUS_GOOD, NULL,
           data, FALSE);
    return 0;
}

int iscsi_login_async(struct iscsi_context *context, iscsi_command_cb call, void *data)
{
    gboolean welcome = !fake.password || strcmp(fake.password, context->password) == 0;

    if (fake.deaf)
        return 0;
    fake.logins++;
    if (context->log) {
        context->log(6, fake.admits_all ? "TargetLoginReply: AuthMethod=None"
                                        : "TargetLoginReply: AuthMethod=CHAP");
        if (!fake.admits_all)
            context->log(6, "TargetLoginReply: CHAP_C=0x00");
    }
    g_strlcpy(fake.portal, context->portal, sizeof(fake.portal));
    g_strlcpy(context->error, welcome ? "" : "Status: Authentication failure(513)",
              sizeof(context->error));
    answer(context, call, welcome ? SCSI_STATUS_GOOD : SCSI_STATUS_ERROR, NULL, data, FALSE);
    context->logged_in = welcome;
    return 0;
}

int iscsi_logout_async(struct iscsi_context *context, iscsi_command_cb call, void *data)
{
    fake.logouts++;
    answer(context, call, SCSI_STATUS_GOOD, NULL, data, FALSE);
    return 0;
}

int iscsi_nop_out_async(struct iscsi_context *context, iscsi_command_cb call, unsigned char *bytes,
                        int len, void *data)
{
    fake.pings++;
    answer(context, call, SCSI_STATUS_GOOD, NULL, data, FALSE);
    return 0;
}

int iscsi_discovery_async(struct iscsi_context *context, iscsi_command_cb call, void *data)
{
    static struct iscsi_discovery_address second = {.target_name = "iqn.b"},
                                          first = {&second, "iqn.a", NULL};

    answer(context, call, SCSI_STATUS_GOOD, &first, data, FALSE);
    return 0;
}

struct scsi_task *scsi_create_task(int cdb_size, unsigned char *cdb, int xfer_dir, int expxferlen)
{
    struct scsi_task *task = g_new0(struct scsi_task, 1);

    memcpy(task->cdb, cdb, (size_t)cdb_size);
    task->expxferlen = expxferlen;
    return task;
}

void scsi_free_scsi_task(struct scsi_task *task)
{
    g_free(task);
}

int scsi_task_add_data_in_buffer(struct scsi_task *task, int len, unsigned char *buf)
{
    task->ptr = buf;
    return 0;
}

int scsi_task_add_data_out_buffer(struct scsi_task *task, int len, unsigned char *buf)
{
    task->ptr = buf;
    return 0;
}

/* Done at once, told later. */
int iscsi_scsi_command_async(struct iscsi_context *context, int lun, struct scsi_task *task,
                             iscsi_command_cb call, struct iscsi_data *unused, void *data)
{
    uint8_t key = 0;
    uint16_t ascq = 0;
    uint32_t got = 0;
    int status = 0;

    fake.commands[task->cdb[0]]++;
    fake.wiped = context->password[0] == '\0';
    if (!fake.silent)
        status = fake_execute((unsigned)lun, task->cdb, task->ptr, (uint32_t)task->expxferlen, &key,
                              &ascq, &got);
    task->sense.key = key;
    task->sense.ascq = ascq;
    if ((int)got < task->expxferlen) {
        task->residual_status = SCSI_RESIDUAL_UNDERFLOW;
        task->residual = (size_t)task->expxferlen - got;
    }
    answer(context, call, status, task, data, TRUE);
    fake.most = MAX(fake.most, (gint)context->answers.length);
    if (fake.lose_after && --fake.lose_after == 0)
        context->lost = TRUE;
    return 0;
}
