/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The forecast of a space: a growth per day, and an interval for the day when it is full.
 *
 *   growth    Theil-Sen: the median of the slopes between all pairs of days. A single large volume
 *             does not bend it.
 *   drift     The use is the growth plus a random walk. Its variance per day comes from blocks of a
 *             week, so that a weekly rhythm does not count as noise.
 *   noise     Deviations from the line in the short term, from the residuals.
 *   interval  At the horizon h, the use has the variance drift * (h + h * h / n) + noise. The first
 *             term is the future, the second one the uncertain growth. The interval begins when
 *             the upper bound reaches the size, and ends when the lower bound does.
 *
 * A forecast is withheld if the lower bound of the growth is not positive, if the two halves of the
 * history grow differently, or if the day is farther away than the history is long, times REACH.
 */
#include <schedule/forecast.h>

#include <math.h>
#include <stdlib.h>

#include <base/i18n.h>

#define BLOCK_DAYS 7
#define REACH      3.0

/* --- statistics ------------------------------------------------------------------------------- */

/* The history as numbers: day 0 is the last day, earlier days are negative. */
typedef struct {
    double day[CST_FORECAST_DAYS_MAX], used[CST_FORECAST_DAYS_MAX];
    guint count;
} Series;

typedef struct {
    double growth; /* bytes a day */
    double level;  /* at day 0 */
    double drift;  /* variance of the random walk, per day */
    double noise;  /* variance of the deviations from the line */
    guint blocks;  /* that drift was estimated from */
    double t;      /* quantile for the number of blocks */
    double span;   /* days */
} Fit;

static int double_compare(const void *a, const void *b)
{
    double first = *(const double *)a, second = *(const double *)b;

    return first < second ? -1 : first > second;
}

/* Sorts @values. */
static double values_median(double *values, guint count)
{
    qsort(values, count, sizeof(*values), double_compare);
    return count % 2 ? values[count / 2] : (values[count / 2 - 1] + values[count / 2]) / 2;
}

/* Student's t for a two-sided interval of 90 %. */
static double t_quantile(guint freedom)
{
    static const double table[] = {6.314, 2.920, 2.353, 2.132, 2.015, 1.943, 1.895, 1.860,
                                   1.833, 1.812, 1.796, 1.782, 1.771, 1.761, 1.753};

    return freedom <= G_N_ELEMENTS(table) ? table[MAX(freedom, 1) - 1] : 1.645 + 1.6 / freedom;
}

static double series_slope(const Series *series)
{
    guint count = series->count;
    g_autofree double *slopes = g_new(double, (gsize)count *(count - 1) / 2);
    guint at = 0;

    for (guint i = 0; i < count; i++)
        for (guint j = i + 1; j < count; j++)
            slopes[at++] = (series->used[j] - series->used[i]) / (series->day[j] - series->day[i]);
    return values_median(slopes, at);
}

/*
 * Estimates the variance of the random walk from the increments of blocks of @length days. Missing
 * days make a block longer. Returns the number of blocks.
 */
static guint series_drift(const Series *series, double growth, double length, double *ret_drift)
{
    double sum = 0;
    guint blocks = 0, begin = series->count - 1;

    for (guint i = series->count - 1; i-- > 0;) {
        double days = series->day[begin] - series->day[i];

        if (days < length)
            continue;
        sum += pow(series->used[begin] - series->used[i] - growth * days, 2) / days;
        blocks++;
        begin = i;
    }
    *ret_drift = blocks > 1 ? sum / (blocks - 1) : sum;
    return blocks;
}

/* The robust variance of the deviations from the line in the last weeks, and the level there. */
static void fit_residuals(Fit *fit, const Series *series)
{
    double values[CST_FORECAST_DAYS_MAX];
    guint recent = MIN(series->count, BLOCK_DAYS);

    for (guint i = 0; i < recent; i++) {
        guint at = series->count - 1 - i;

        values[i] = series->used[at] - fit->growth * series->day[at];
    }
    fit->level = values_median(values, recent);
    /* The deviation from the mean of the neighbours contains no drift. */
    for (guint i = 1; i + 1 < series->count; i++)
        values[i - 1] =
            fabs(series->used[i] - (series->used[i - 1] + series->used[i + 1]) / 2) / sqrt(1.5);
    fit->noise = pow(1.4826 * values_median(values, series->count - 2), 2);
}

static Fit series_fit(const Series *series)
{
    Fit fit = {.growth = series_slope(series), .span = -series->day[0]};
    double length = MIN(BLOCK_DAYS, floor(fit.span / 3));

    fit.blocks = series_drift(series, fit.growth, MAX(length, 1), &fit.drift);
    fit.t = t_quantile(fit.blocks - 1);
    fit_residuals(&fit, series);
    return fit;
}

/* Returns the days from @begin (included) to @end (excluded) as a series of its own. */
static void series_part(Series *ret_part, const Series *series, guint begin, guint end)
{
    ret_part->count = end - begin;
    for (guint i = begin; i < end; i++) {
        ret_part->day[i - begin] = series->day[i] - series->day[end - 1];
        ret_part->used[i - begin] = series->used[i];
    }
}

/* Returns the half-width of the interval of the growth. */
static double fit_margin(const Fit *fit)
{
    return fit->t * sqrt((fit->drift + fit->noise / fit->span) / fit->span);
}

/* --- the day ---------------------------------------------------------------------------------- */

/* Returns the use at @horizon; @side is -1 for the lower bound and 1 for the upper bound. */
static double fit_bound(const Fit *fit, double horizon, int side)
{
    double variance = fit->drift * (horizon + horizon * horizon / fit->span) + fit->noise;

    return fit->level + fit->growth * horizon + side * fit->t * sqrt(variance);
}

/* Returns the first day up to @limit when the bound reaches @size; @limit + 1: it does not. */
static uint32_t fit_reach(const Fit *fit, double size, int side, uint32_t limit)
{
    for (uint32_t day = 0; day <= limit; day++)
        if (fit_bound(fit, day, side) >= size)
            return day;
    return limit + 1;
}

static CstForecast fit_forecast(const Fit *fit, double size)
{
    CstForecast forecast = {.growth = (int64_t)fit->growth};
    uint32_t limit = (uint32_t)(REACH * fit->span);
    double days = fit->growth > 0 ? MAX(0, (size - fit->level) / fit->growth) : INFINITY;

    /* Growth of less than a percent of the size in a year does not count. */
    if (fit->growth <= size / 36500)
        forecast.state = CST_FORECAST_FLAT;
    else if (fit->growth <= fit_margin(fit))
        forecast.state = CST_FORECAST_UNCERTAIN;
    else if (days > limit)
        forecast.state = CST_FORECAST_FAR;
    if (forecast.state != CST_FORECAST_KNOWN)
        return forecast;
    forecast.days = (uint32_t)ceil(days);
    forecast.earliest = MIN(fit_reach(fit, size, 1, limit), forecast.days);
    forecast.latest = MAX(fit_reach(fit, size, -1, 8 * limit), forecast.days);
    if (forecast.latest > 8 * limit)
        return (CstForecast){.state = CST_FORECAST_UNCERTAIN, .growth = forecast.growth};
    return forecast;
}

/*
 * Whether the halves of the series grow differently. Their own drift counts, because that of the
 * whole contains the change.
 */
static gboolean growth_changes(const Series *series, Series *ret_later)
{
    Series earlier;
    guint middle = series->count / 2;
    double drift, variance;
    Fit first, second;

    series_part(&earlier, series, 0, middle);
    series_part(ret_later, series, middle, series->count);
    first = series_fit(&earlier);
    second = series_fit(ret_later);
    drift = (first.drift + second.drift) / 2;
    variance = (drift + first.noise / first.span) / first.span +
               (drift + second.noise / second.span) / second.span;
    return fabs(first.growth - second.growth) >
           t_quantile(first.blocks + second.blocks - 2) * sqrt(variance);
}

static void series_read(Series *ret_series, const CstForecastDay *days, guint count)
{
    guint skip = count > CST_FORECAST_DAYS_MAX ? count - CST_FORECAST_DAYS_MAX : 0;

    ret_series->count = count - skip;
    for (guint i = skip; i < count; i++) {
        ret_series->day[i - skip] = (double)(days[i].day - days[count - 1].day);
        ret_series->used[i - skip] = (double)days[i].used;
    }
}

CstForecast cst_forecast(const CstForecastDay *days, guint count, uint64_t size)
{
    Series series, later;
    Fit fit;

    if (size == 0)
        return (CstForecast){.state = CST_FORECAST_NO_SIZE};
    if (count > 0 && days[count - 1].used >= size)
        return (CstForecast){.state = CST_FORECAST_FULL};
    if (count < CST_FORECAST_DAYS_MIN)
        return (CstForecast){.state = CST_FORECAST_SHORT};
    series_read(&series, days, count);
    /* Only the days since the last change of the growth count. */
    while (series.count >= 2 * CST_FORECAST_DAYS_MIN && growth_changes(&series, &later)) {
        if (later.count < 2 * CST_FORECAST_DAYS_MIN)
            return (CstForecast){.state = CST_FORECAST_CHANGING,
                                 .growth = (int64_t)series_slope(&later)};
        series = later;
    }
    fit = series_fit(&series);
    return fit_forecast(&fit, (double)size);
}

const char *cst_forecast_reason(int state)
{
    static const char *const reasons[CST_FORECAST_STATE_LAST] = {
        [CST_FORECAST_SHORT] = N_("the history is too short"),
        [CST_FORECAST_FLAT] = N_("the use does not grow"),
        [CST_FORECAST_UNCERTAIN] = N_("the growth varies too much"),
        [CST_FORECAST_CHANGING] = N_("the growth has changed lately"),
        [CST_FORECAST_FAR] = N_("full later than the history can tell"),
        [CST_FORECAST_NO_SIZE] = N_("the size is unknown"),
        [CST_FORECAST_FULL] = N_("full"),
    };

    return state > 0 && state < CST_FORECAST_STATE_LAST ? reasons[state] : NULL;
}
