/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The log. cst_log() makes the fields of an entry and GLib passes them to the writer of the
 * process. The writer sends them to journald or formats them as a line. Messages that libraries log
 * through GLib reach the same writer.
 *
 * The level is atomic; the context belongs to the thread. Messages are escaped, because names in
 * them may come from tenants and the log is read in terminals.
 */
#include <base/log.h>

#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <base/log_context.h>
#include <base/text.h>

#define DOMAIN "cistern"

/* Atomic, because a reload of the configuration sets it while other threads log. */
static gint log_level = CST_LOG_WARNING;

void cst_log_set_level(CstLogLevel level)
{
    g_atomic_int_set(&log_level, (gint)level);
}

gboolean cst_log_enabled(CstLogLevel level)
{
    return (gint)level <= g_atomic_int_get(&log_level);
}

/* --- making an entry ------------------------------------------------------------------------- */

#define FIELDS_MAX 16

typedef struct {
    GLogField fields[FIELDS_MAX];
    gsize count;
    GStringChunk *texts; /* owns the strings of the fields */
} Entry;

/* Adds a field, unless @value is NULL or "". */
static void entry_add(Entry *entry, const char *key, const char *value)
{
    if (!value || !*value)
        return;
    g_assert(entry->count < FIELDS_MAX);
    entry->fields[entry->count++] = (GLogField){key, value, -1};
}

static void add_number(Entry *entry, const char *key, uint64_t number)
{
    char text[24];

    g_snprintf(text, sizeof(text), "%" G_GUINT64_FORMAT, number);
    entry_add(entry, key, g_string_chunk_insert(entry->texts, text));
}

static void add_context(Entry *entry, const CstLogContext *context)
{
    uint64_t job = cst_task_job(context->task);
    char request[40];

    if (context->connection) {
        g_snprintf(request, sizeof(request), "%" G_GUINT64_FORMAT ".%u", context->connection,
                   (unsigned)context->serial);
        entry_add(entry, "REQUEST", g_string_chunk_insert(entry->texts, request));
        add_number(entry, "CLIENT", (uint64_t)context->pid);
        add_number(entry, "CLIENT_UID", context->uid);
    }
    entry_add(entry, "PROCEDURE", context->procedure);
    entry_add(entry, "POOL", context->pool);
    entry_add(entry, "VOLUME", context->volume);
    if (job)
        add_number(entry, "JOB", job);
}

/* Maps errors to CRITICAL, because G_LOG_LEVEL_ERROR would abort the process. */
static GLogLevelFlags glib_level(CstLogLevel level)
{
    switch (level) {
    case CST_LOG_ERROR: return G_LOG_LEVEL_CRITICAL;
    case CST_LOG_WARNING: return G_LOG_LEVEL_WARNING;
    case CST_LOG_INFO: return G_LOG_LEVEL_INFO;
    case CST_LOG_DEBUG: break;
    }
    return G_LOG_LEVEL_DEBUG;
}

void cst_log_write(CstLogLevel level, const char *function, const char *format, ...)
{
    const CstLogContext *context = cst_log_context();
    Entry entry = {.texts = g_string_chunk_new(256)};
    g_autofree char *text = NULL;
    g_autofree char *message = NULL;
    va_list args;

    va_start(args, format);
    text = g_strdup_vprintf(format, args);
    va_end(args);
    message = cst_text_escape(text);
    add_number(&entry, "PRIORITY", level);
    /* Added even if empty: GLib's own writer requires a message. */
    entry.fields[entry.count++] = (GLogField){"MESSAGE", message, -1};
    entry_add(&entry, "CODE_FUNC", function);
    entry_add(&entry, "GLIB_DOMAIN", DOMAIN);
    entry_add(&entry, "SYSLOG_IDENTIFIER", g_get_prgname());
    if (context)
        add_context(&entry, context);
    g_log_structured_array(glib_level(level), entry.fields, entry.count);
    g_string_chunk_free(entry.texts);
}

/* --- writing an entry ------------------------------------------------------------------------ */

/* Returns the text of a field, or NULL if it is missing. A field with a length is binary. */
static const char *text_of(const GLogField *fields, gsize count, const char *key)
{
    for (gsize i = 0; i < count; i++)
        if (g_str_equal(fields[i].key, key) && fields[i].length < 0)
            return fields[i].value;
    return NULL;
}

/*
 * Whether stderr is the service manager's stream to the journal: JOURNAL_STREAM has its device and
 * inode number.
 */
static gboolean is_journal_stream(void)
{
    const char *stream = g_getenv("JOURNAL_STREAM");
    g_autofree char *own = NULL;
    struct stat st;

    if (!stream || fstat(STDERR_FILENO, &st) < 0)
        return FALSE;
    own = g_strdup_printf("%ju:%ju", (uintmax_t)st.st_dev, (uintmax_t)st.st_ino);
    return g_str_equal(own, stream);
}

static const char *level_word(GLogLevelFlags level)
{
    switch (level & G_LOG_LEVEL_MASK) {
    case G_LOG_LEVEL_ERROR:
    case G_LOG_LEVEL_CRITICAL: return "error";
    case G_LOG_LEVEL_WARNING: return "warning";
    case G_LOG_LEVEL_MESSAGE:
    case G_LOG_LEVEL_INFO: return "info";
    default: return "debug";
    }
}

/*
 * Returns "<3>", which the journal parses, or for people "2026-11-21 03:44:39.123+0000: error: ".
 */
static char *prefix_of(GLogLevelFlags level, const char *priority)
{
    g_autoptr(GDateTime) now = NULL;
    g_autofree char *seconds = NULL;
    g_autofree char *zone = NULL;

    if (priority && is_journal_stream())
        return g_strdup_printf("<%s>", priority);
    now = g_date_time_new_now_local();
    seconds = g_date_time_format(now, "%Y-%m-%d %H:%M:%S");
    zone = g_date_time_format(now, "%z");
    return g_strdup_printf("%s.%03d%s: %s: ", seconds, g_date_time_get_microsecond(now) / 1000,
                           zone, level_word(level));
}

static void write_line(GLogLevelFlags level, const GLogField *fields, gsize count)
{
    const char *request = text_of(fields, count, "REQUEST");
    const char *domain = text_of(fields, count, "GLIB_DOMAIN");
    const char *message = text_of(fields, count, "MESSAGE");
    gboolean foreign = domain && !g_str_equal(domain, DOMAIN);
    g_autofree char *prefix = prefix_of(level, text_of(fields, count, "PRIORITY"));
    g_autofree char *text = NULL;

    if (!message)
        message = "";
    /* Only messages of libraries, because cst_log_write() has already escaped ours. */
    if (foreign)
        message = text = cst_text_escape(message);
    fprintf(stderr, "%s%s%s%s%s%s%s\n", prefix, request ? "[" : "", request ? request : "",
            request ? "] " : "", foreign ? domain : "", foreign ? ": " : "", message);
}

static GLogWriterOutput write_entry(GLogLevelFlags level, const GLogField *fields, gsize count,
                                    gpointer unused)
{
    const char *domain = text_of(fields, count, "GLIB_DOMAIN");

    /* cst_log() has checked the level of our own messages. */
    if (g_strcmp0(domain, DOMAIN) != 0 && g_log_writer_default_would_drop(level, domain))
        return G_LOG_WRITER_HANDLED;
    /* If the journal does not accept the entry, write a line. */
    if (!g_log_writer_is_journald(STDERR_FILENO) ||
        g_log_writer_journald(level, fields, count, NULL) != G_LOG_WRITER_HANDLED)
        write_line(level, fields, count);
    return G_LOG_WRITER_HANDLED;
}

void cst_log_init(void)
{
    g_log_set_writer_func(write_entry, NULL, NULL);
}
