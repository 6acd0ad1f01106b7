/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "verbs.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A verb played on a stage: once undisturbed, killed, and interrupted. */

/* A server closes the network files of a dead process after its timeout. */
#define PATIENCE_US        (20 * G_TIME_SPAN_SECOND)
#define PATIENCE_SHARED_US (120 * G_TIME_SPAN_SECOND)
/* So much longer takes what is slowed. */
#define SLOWED_US (100 * G_TIME_SPAN_MILLISECOND)
/* Of kills and interrupts at random moments more show nothing. */
#define RANDOM_MAX 20
/* Of a point that is passed often, the first passages, the one in the middle and the last. */
#define FIRST_PASSAGES 3

typedef struct {
    Stage *stage;
    const Verb *verb;
    gboolean between; /* a kill may leave what is neither before nor after */
    gint64 patience_us;
    GRand *rand;
    gint64 took_us;
    char *before, *after;             /* pictures */
    char *names_before, *names_after; /* of them the names only */
} Play;

static void play_clear(Play *play)
{
    g_clear_pointer(&play->rand, g_rand_free);
    g_clear_pointer(&play->before, g_free);
    g_clear_pointer(&play->after, g_free);
    g_clear_pointer(&play->names_before, g_free);
    g_clear_pointer(&play->names_after, g_free);
    g_clear_pointer(&play->stage, stage_free);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Play, play_clear)

static guint number_of(const char *variable, guint otherwise)
{
    const char *text = g_getenv(variable);

    return text ? (guint)atoi(text) : otherwise;
}

static guint kills(void)
{
    return MAX(number_of("CISTERN_CONTRACT_VERBS", 2), 1);
}

/* --- pictures --------------------------------------------------------------------------------- */

static gboolean has_line(const char *picture, const char *line)
{
    g_auto(GStrv) lines = g_strsplit(picture, "\n", -1);

    return g_strv_contains((const char *const *)lines, line);
}

/* Whether each line of @lines is in @one, or in @other (NULL: none). */
static gboolean all_in(const char *lines, const char *one, const char *other)
{
    g_auto(GStrv) each = g_strsplit(lines, "\n", -1);

    for (char **line = each; *line; line++)
        if (!has_line(one, *line) && !(other && has_line(other, *line)))
            return FALSE;
    return TRUE;
}

/* All that was there, and some of what comes. */
static gboolean is_between(const char *now, const char *before, const char *after)
{
    return all_in(before, now, NULL) && all_in(now, before, after);
}

/* Its records exist or are removed, and the records of other volumes are unchanged. */
static void assert_done(const Play *play)
{
    g_autofree char *makes = stage_text(play->stage, play->verb->makes);
    g_autofree char *takes = stage_text(play->stage, play->verb->takes ? play->verb->takes : "");
    g_auto(GStrv) lines = g_strsplit(play->before, "\n", -1);

    if (!all_in(makes, play->after, NULL) || (*takes && !has_line(play->before, takes)))
        fail_msg("'%s' has made of\n%s\nthis:\n%s", play->verb->words, play->before, play->after);
    for (char **line = lines; *line; line++)
        if (strstr(*line, " holds ") &&
            !has_line(play->after, *line) != (g_strcmp0(*line, takes) == 0))
            fail_msg("'%s': '%s' in\n%s", play->verb->words, *line, play->after);
}

/* --- one play --------------------------------------------------------------------------------- */

static void bring_back(const Play *play, const char *now)
{
    if (strcmp(now, play->after) == 0)
        stage_type_all(play->stage, play->verb->undo);
    else if (strcmp(now, play->before) != 0)
        stage_type_all(play->stage, play->verb->mend);
    stage_sweep(play->stage);
}

static gboolean is_whole(const Play *play, const char *now, gboolean between)
{
    return strcmp(now, play->before) == 0 || strcmp(now, play->after) == 0 ||
           (between && is_between(now, play->before, play->after));
}

/* Returns the state after the next program has recovered from the kill. The caller frees it. */
static char *settled(const Play *play, const char *killed)
{
    gint64 end = g_get_monotonic_time() + play->patience_us;
    char *now = NULL;
    gboolean whole;

    do {
        g_free(now);
        stage_type_all(play->stage, "vol-list p\n-c {far} vol-list far");
        stage_sweep(play->stage);
        now = stage_picture(play->stage);
        whole = is_whole(play, now, play->between);
    } while (!whole && g_get_monotonic_time() < end);
    if (!whole)
        fail_msg("'%s' killed at %s leaves\n%s\nof\n%s", play->verb->words, killed, now,
                 play->before);
    return now;
}

/* It is done again where it was not done. */
static void recover(const Play *play, const char *killed)
{
    g_autofree char *now = settled(play, killed);

    if (strcmp(now, play->after) != 0) {
        bring_back(play, now);
        stage_type_all(play->stage, play->verb->words);
        g_free(now);
        now = stage_picture(play->stage);
        if (strcmp(now, play->after) != 0)
            fail_msg("'%s', done again after a kill at %s, makes\n%s\ninstead of\n%s",
                     play->verb->words, killed, now, play->after);
    }
    bring_back(play, now);
}

static void undisturbed(Play *play, GStrv *ret_passages)
{
    gint64 began;

    play->names_before = stage_names(play->stage);
    play->before = stage_picture(play->stage);
    began = g_get_monotonic_time();
    *ret_passages = stage_passages(play->stage, play->verb->words);
    play->took_us = g_get_monotonic_time() - began;
    play->names_after = stage_names(play->stage);
    play->after = stage_picture(play->stage);
    assert_done(play);
    bring_back(play, play->after);
}

/* --- kills ------------------------------------------------------------------------------------ */

/* Returns the selected passages for a kill, in order. */
static GPtrArray *worth_killing(GStrv passages)
{
    g_autoptr(GHashTable) counts = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    GPtrArray *chosen = g_ptr_array_new();

    for (char **passage = passages; *passage; passage++) {
        char *point = g_strndup(*passage, (gsize)(strchr(*passage, ':') - *passage));
        guint number = (guint)atoi(strchr(*passage, ':') + 1);

        g_hash_table_replace(counts, point, GUINT_TO_POINTER(number));
    }
    for (char **passage = passages; *passage; passage++) {
        g_autofree char *point = g_strndup(*passage, (gsize)(strchr(*passage, ':') - *passage));
        guint count = GPOINTER_TO_UINT(g_hash_table_lookup(counts, point));
        guint number = (guint)atoi(strchr(*passage, ':') + 1);

        if (number <= FIRST_PASSAGES || number == (count + 1) / 2 || number == count)
            g_ptr_array_add(chosen, *passage);
    }
    return chosen;
}

/* Spread over all of them; where depends on the seed. */
static void kill_at_points(const Play *play, GStrv passages)
{
    g_autoptr(GPtrArray) chosen = worth_killing(passages);
    guint count = MIN(kills(), chosen->len);
    guint first = count ? (guint)g_rand_int_range(play->rand, 0, (gint32)chosen->len) : 0;

    for (guint i = 0; i < count; i++) {
        const char *passage = chosen->pdata[(first + i * chosen->len / count) % chosen->len];

        if (stage_type_until(play->stage, play->verb->words, passage))
            recover(play, passage);
        else
            stage_type_all(play->stage, play->verb->undo);
    }
}

static void kill_at_random(const Play *play)
{
    for (guint i = 0; i < MIN(kills(), RANDOM_MAX); i++) {
        gint64 after = (gint64)(g_rand_double(play->rand) * (double)play->took_us);
        g_autofree char *when = g_strdup_printf("%" G_GINT64_FORMAT " us", after);

        stage_type_for(play->stage, play->verb->words, SIGKILL, after, NULL);
        recover(play, when);
    }
}

/* --- interrupts ------------------------------------------------------------------------------- */

/* Before it listens, and where it never does, the signal is a kill; else it has to see to all. */
static void interrupt_after(const Play *play, const char *line, gint64 after)
{
    g_autofree char *when = g_strdup_printf("an interrupt after %" G_GINT64_FORMAT " us", after);
    g_autofree char *said = NULL, *names = NULL, *now = NULL;
    int status = stage_type_for(play->stage, line, SIGINT, after, &said);
    gboolean some = (play->verb->leaves & VERB_SOME) != 0;
    const char *wanted = status == 0 ? play->names_after : play->names_before;

    if (status == -SIGINT) {
        recover(play, when);
        return;
    }
    if (status != 0 && !strstr(said, "operation aborted"))
        fail_msg("'%s' and %s: %d %s", line, when, status, said);
    names = stage_names(play->stage);
    if (strcmp(names, wanted) != 0 &&
        !(some && is_between(names, play->names_before, play->names_after)))
        fail_msg("'%s' and %s: %d leaves\n%s\ninstead of\n%s", line, when, status, names, wanted);
    now = stage_picture(play->stage);
    if (!is_whole(play, now, some))
        fail_msg("'%s' and %s: %d leaves\n%s\nof\n%s", line, when, status, now, play->before);
    bring_back(play, now);
}

static void interrupt_at_random(const Play *play)
{
    const char *slow = play->verb->slow;
    g_autofree char *line = g_strconcat(play->verb->words, slow ? " " : "", slow, NULL);
    gint64 longest = play->took_us + (slow ? SLOWED_US : 0);

    for (guint i = 0; i < CLAMP(kills() / 2, 1, RANDOM_MAX); i++)
        interrupt_after(play, line, (gint64)(g_rand_double(play->rand) * (double)longest));
}

/* --- all of it -------------------------------------------------------------------------------- */

static gboolean has_local_files(const Site *site)
{
    return site_has(site, GROUND_DIRECTORIES) && !site_has(site, GROUND_URLS);
}

void verb_play(Site *site, const Verb *verb)
{
    g_auto(Play) play = {.stage = stage_new(site, verb->trash), .verb = verb};
    g_auto(GStrv) passages = NULL;
    g_autofree char *now = NULL;

    play.rand = g_rand_new_with_seed(number_of("CISTERN_CONTRACT_SEED", 1));
    play.between =
        (verb->leaves & VERB_SOME) || ((verb->leaves & VERB_BOTH) && !has_local_files(site));
    play.patience_us = site_has(site, GROUND_SHARED) ? PATIENCE_SHARED_US : PATIENCE_US;
    stage_type_all(play.stage, verb->before);
    undisturbed(&play, &passages);
    if (*passages)
        kill_at_points(&play, passages);
    else
        kill_at_random(&play);
    interrupt_at_random(&play);
    now = stage_picture(play.stage);
    assert_string_equal(now, play.before);
}

void verb_refused(Site *site, const Verb *verb)
{
    g_autoptr(Stage) stage = stage_new(site, verb->trash);
    g_autofree char *before = NULL, *after = NULL, *said = NULL;
    int status;

    stage_type_all(stage, verb->before);
    before = stage_picture(stage);
    status = stage_type(stage, verb->words, &said);
    if (status <= 0)
        fail_msg("'%s' is not refused: %d %s", verb->words, status, said);
    printf("# %s can't '%s': %s\n", site->ground->name, verb->words, said);
    after = stage_picture(stage);
    assert_string_equal(after, before);
}
