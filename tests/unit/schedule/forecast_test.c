/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Forecasts, back-tested: each synthetic series runs until the space is full. The forecast sees a
 * part of it, and the day when the space was full must be in the interval in at least 85 of 100
 * cases.
 */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <glib.h>

#include <schedule/forecast.h>

#define GIB    ((double)(1ull << 30))
#define SIZE   (1000 * GIB)
#define LENGTH 1500
#define ROUNDS 150

/* --- series ----------------------------------------------------------------------------------- */

typedef struct {
    double used[LENGTH]; /* bytes, a value a day */
} Values;

static double gauss(GRand *rand)
{
    double first = 1 - g_rand_double(rand);

    return sqrt(-2 * log(first)) * cos(2 * G_PI * g_rand_double(rand));
}

static void make_linear(Values *values, GRand *rand)
{
    double growth = g_rand_double_range(rand, 2, 12) * GIB;
    double level = g_rand_double_range(rand, 50, 400) * GIB;

    for (int day = 0; day < LENGTH; day++)
        values->used[day] = level + growth * day;
}

static void make_noisy(Values *values, GRand *rand)
{
    make_linear(values, rand);
    for (int day = 0; day < LENGTH; day++)
        values->used[day] += 5 * GIB * gauss(rand);
}

static void make_walk(Values *values, GRand *rand)
{
    double growth = g_rand_double_range(rand, 2, 12) * GIB;
    double level = g_rand_double_range(rand, 50, 400) * GIB;

    for (int day = 0; day < LENGTH; day++) {
        values->used[day] = level;
        level += growth * (1 + gauss(rand));
    }
}

/* A large volume now and then, and between them little growth. */
static void make_steps(Values *values, GRand *rand)
{
    double level = g_rand_double_range(rand, 50, 300) * GIB;

    for (int day = 0; day < LENGTH; day++) {
        values->used[day] = level;
        level += 0.5 * GIB;
        if (g_rand_double(rand) < 0.15)
            level += g_rand_double_range(rand, 5, 40) * GIB;
    }
}

/* Growth on workdays only, and a rhythm of the week. */
static void make_weekly(Values *values, GRand *rand)
{
    double growth = g_rand_double_range(rand, 3, 12) * GIB;
    double level = g_rand_double_range(rand, 50, 400) * GIB;

    for (int day = 0; day < LENGTH; day++) {
        values->used[day] = level + 8 * GIB * sin(2 * G_PI * day / 7) + GIB * gauss(rand);
        if (day % 7 < 5)
            level += growth;
    }
}

/* Snapshots of a week that a schedule prunes. */
static void make_sawtooth(Values *values, GRand *rand)
{
    double growth = g_rand_double_range(rand, 2, 8) * GIB;
    double tooth = g_rand_double_range(rand, 1, 5) * GIB;
    double level = g_rand_double_range(rand, 50, 400) * GIB;
    int period = g_rand_int_range(rand, 5, 15);

    for (int day = 0; day < LENGTH; day++)
        values->used[day] = level + growth * day + tooth * (day % period) + GIB * gauss(rand);
}

static void make_saturating(Values *values, GRand *rand)
{
    double limit = g_rand_double_range(rand, 700, 1300) * GIB;
    double pace = g_rand_double_range(rand, 60, 200);

    for (int day = 0; day < LENGTH; day++)
        values->used[day] = limit * (1 - exp(-day / pace)) + GIB * gauss(rand);
}

/* No growth: each forecast would be wrong. */
static void make_flat(Values *values, GRand *rand)
{
    double level = g_rand_double_range(rand, 300, 900) * GIB;

    for (int day = 0; day < LENGTH; day++)
        values->used[day] = level + 10 * GIB * gauss(rand);
}

/* Snapshots of a month without growth: the use falls back each time. */
static void make_pruned(Values *values, GRand *rand)
{
    double tooth = g_rand_double_range(rand, 2, 8) * GIB;
    double level = g_rand_double_range(rand, 300, 600) * GIB;
    int period = g_rand_int_range(rand, 7, 30);

    for (int day = 0; day < LENGTH; day++)
        values->used[day] = level + tooth * (day % period) + GIB * gauss(rand);
}

/* --- back-test -------------------------------------------------------------------------------- */

static const struct {
    const char *name;
    void (*make)(Values *values, GRand *rand);
    int least_held;              /* percent of the forecasts */
    int least_known, most_known; /* percent of the cases that have a forecast */
} kinds[] = {
    {"linear", make_linear, 95, 70, 100},      {"noisy", make_noisy, 85, 65, 100},
    {"walk", make_walk, 80, 60, 100},          {"steps", make_steps, 80, 40, 100},
    {"weekly", make_weekly, 85, 60, 100},      {"sawtooth", make_sawtooth, 85, 60, 100},
    {"saturating", make_saturating, 0, 0, 35}, {"flat", make_flat, 0, 0, 2},
    {"pruned", make_pruned, 0, 0, 5},
};

/* Returns the first day when the space is full; -1: never. */
static int full_day(const Values *values)
{
    for (int day = 0; day < LENGTH; day++)
        if (values->used[day] >= SIZE)
            return day;
    return -1;
}

typedef struct {
    int cases, known, held;
} Score;

/* Shows the forecast @seen days before @now, and compares it with the truth. */
static void score_forecast(Score *score, const Values *values, int full, int now, int seen)
{
    CstForecastDay days[LENGTH];
    CstForecast forecast;
    guint count = 0;

    for (int day = now - seen + 1; day <= now; day++)
        days[count++] = (CstForecastDay){20000 + day, (uint64_t)MAX(values->used[day], 0)};
    forecast = cst_forecast(days, count, (uint64_t)SIZE);
    score->cases++;
    if (forecast.state != CST_FORECAST_KNOWN)
        return;
    assert_true(forecast.earliest <= forecast.days && forecast.days <= forecast.latest);
    score->known++;
    if (full >= 0 && full - now >= (int)forecast.earliest && full - now <= (int)forecast.latest)
        score->held++;
}

static Score score_kind(void (*make)(Values *, GRand *), GRand *rand)
{
    Score score = {0};

    for (int round = 0; round < ROUNDS; round++) {
        Values values;
        int full, last;

        make(&values, rand);
        full = full_day(&values);
        last = full < 0 ? 400 : full - 1;
        if (last < CST_FORECAST_DAYS_MIN)
            continue;
        {
            int now = g_rand_int_range(rand, CST_FORECAST_DAYS_MIN - 1, last + 1);
            int seen = g_rand_int_range(rand, CST_FORECAST_DAYS_MIN, 181);

            score_forecast(&score, &values, full, now, MIN(now + 1, seen));
        }
    }
    return score;
}

static void test_ninety_percent_interval_holds_for_synthetic_series(void **state)
{
    g_autoptr(GRand) rand = g_rand_new_with_seed(7);
    Score total = {0};

    for (gsize i = 0; i < G_N_ELEMENTS(kinds); i++) {
        Score score = score_kind(kinds[i].make, rand);

        print_message("%-12s %3d cases, %3d forecasts, %3d held\n", kinds[i].name, score.cases,
                      score.known, score.held);
        total.cases += score.cases;
        total.known += score.known;
        total.held += score.held;
        assert_true(score.held * 100 >= score.known * kinds[i].least_held);
        assert_true(score.known * 100 >= score.cases * kinds[i].least_known);
        assert_true(score.known * 100 <= score.cases * kinds[i].most_known);
    }
    print_message("%-12s %3d cases, %3d forecasts, %3d held\n", "all", total.cases, total.known,
                  total.held);
    assert_true(total.known >= 400);
    assert_true(total.held * 100 >= total.known * 85);
}

/* --- single properties ------------------------------------------------------------------------ */

/* Fills in @count days with the use @first + @growth a day, in bytes. */
static void days_fill(CstForecastDay *days, guint count, uint64_t first, int64_t growth)
{
    for (guint i = 0; i < count; i++)
        days[i] = (CstForecastDay){20000 + i, first + (uint64_t)(growth * (int64_t)i)};
}

static void test_line_gives_the_exact_day(void **state)
{
    CstForecastDay days[30];
    CstForecast forecast;

    days_fill(days, 30, 1000, 100);
    forecast = cst_forecast(days, 30, 5900);
    assert_int_equal(forecast.state, CST_FORECAST_KNOWN);
    assert_int_equal(forecast.days, 20);
    assert_int_equal(forecast.growth, 100);
    assert_true(forecast.earliest >= 19 && forecast.latest <= 21);
}

static void test_missing_days_do_not_change_the_growth(void **state)
{
    CstForecastDay days[40], some[40];
    guint count = 0;
    CstForecast forecast;

    days_fill(days, 40, 1000, 100);
    for (guint i = 0; i < 40; i++)
        if (i % 5 != 2 && (i < 12 || i > 19))
            some[count++] = days[i];
    forecast = cst_forecast(some, count, 6900);
    assert_int_equal(forecast.state, CST_FORECAST_KNOWN);
    assert_int_equal(forecast.days, 20);
}

static void test_larger_size_moves_the_day(void **state)
{
    CstForecastDay days[30];

    days_fill(days, 30, 1000, 100);
    assert_int_equal(cst_forecast(days, 30, 6900).days, 30);
    assert_int_equal(cst_forecast(days, 30, 7900).days, 40);
}

static void test_one_large_volume_is_not_growth(void **state)
{
    CstForecastDay days[60];

    days_fill(days, 60, 1 << 20, 0);
    for (guint i = 40; i < 60; i++)
        days[i].used += 1 << 20;
    assert_int_not_equal(cst_forecast(days, 60, 4 << 20).state, CST_FORECAST_KNOWN);
}

static void test_unknown_has_its_reason(void **state)
{
    CstForecastDay days[60];

    days_fill(days, 60, 1000, 0);
    assert_int_equal(cst_forecast(days, 13, 5000).state, CST_FORECAST_SHORT);
    assert_int_equal(cst_forecast(days, 0, 5000).state, CST_FORECAST_SHORT);
    assert_int_equal(cst_forecast(days, 60, 5000).state, CST_FORECAST_FLAT);
    assert_int_equal(cst_forecast(days, 60, 0).state, CST_FORECAST_NO_SIZE);
    assert_int_equal(cst_forecast(days, 60, 1000).state, CST_FORECAST_FULL);
    days_fill(days, 60, 100000, -100);
    assert_int_equal(cst_forecast(days, 60, 500000).state, CST_FORECAST_FLAT);
    days_fill(days, 60, 1000, 100);
    assert_int_equal(cst_forecast(days, 60, 1000000).state, CST_FORECAST_FAR);
    for (guint i = 0; i < 60; i++)
        days[i].used = 100000 + 50 * i + (i * 7919 % 13) * 5000;
    assert_int_equal(cst_forecast(days, 60, 200000).state, CST_FORECAST_UNCERTAIN);
    for (guint i = 0; i < 40; i++)
        days[i].used = 100000 + (i < 20 ? 1000 * i : 20000 + 100 * (i - 20));
    assert_int_equal(cst_forecast(days, 40, 140000).state, CST_FORECAST_CHANGING);
}

static void test_each_state_but_known_has_a_text(void **state)
{
    assert_null(cst_forecast_reason(CST_FORECAST_KNOWN));
    for (int i = CST_FORECAST_KNOWN + 1; i < CST_FORECAST_STATE_LAST; i++)
        assert_non_null(cst_forecast_reason(i));
    assert_null(cst_forecast_reason(CST_FORECAST_STATE_LAST));
    assert_null(cst_forecast_reason(-1));
}

static void test_extreme_values_give_no_day(void **state)
{
    CstForecastDay days[400];

    for (guint i = 0; i < 400; i++)
        days[i] = (CstForecastDay){i, i % 2 ? UINT64_MAX - 1 : 0};
    assert_int_not_equal(cst_forecast(days, 400, UINT64_MAX).state, CST_FORECAST_KNOWN);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_ninety_percent_interval_holds_for_synthetic_series),
        cmocka_unit_test(test_line_gives_the_exact_day),
        cmocka_unit_test(test_missing_days_do_not_change_the_growth),
        cmocka_unit_test(test_larger_size_moves_the_day),
        cmocka_unit_test(test_one_large_volume_is_not_growth),
        cmocka_unit_test(test_unknown_has_its_reason),
        cmocka_unit_test(test_each_state_but_known_has_a_text),
        cmocka_unit_test(test_extreme_values_give_no_day),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
