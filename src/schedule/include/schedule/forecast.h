/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>
#include <stdint.h>

/** A daily value of a space. Days are numbered from 1970-01-01 in UTC. */
typedef struct {
    int64_t day;
    uint64_t used; /**< bytes */
} CstForecastDay;

typedef enum {
    CST_FORECAST_KNOWN,
    CST_FORECAST_SHORT,     /**< too few days of history */
    CST_FORECAST_FLAT,      /**< the use does not grow */
    CST_FORECAST_UNCERTAIN, /**< the growth varies too much */
    CST_FORECAST_CHANGING,  /**< the growth itself has changed lately */
    CST_FORECAST_FAR,       /**< full later than the history can tell */
    CST_FORECAST_NO_SIZE,   /**< the size of the space is unknown */
    CST_FORECAST_FULL,      /**< it is full already; all days are 0 */
    CST_FORECAST_STATE_LAST
} CstForecastState;

/** Minimum number of days with a value, and maximum number that a forecast uses. */
#define CST_FORECAST_DAYS_MIN 14
#define CST_FORECAST_DAYS_MAX 180

/** When a space will be full. */
typedef struct {
    CstForecastState state;
    /**
     * Days from the last value on. The space is full between @earliest and @latest with a
     * probability of 90 %. 0 unless the state is KNOWN.
     */
    uint32_t days, earliest, latest;
    int64_t growth; /**< bytes a day; 0 if the state is SHORT or NO_SIZE */
} CstForecast;

/**
 * Computes when a space of @size bytes will be full. @days is in ascending order without
 * duplicates; days may be missing. Pure: no I/O, no clock.
 */
CstForecast cst_forecast(const CstForecastDay *days, guint count, uint64_t size);

/** Returns the reason for a missing forecast, marked with N_(); NULL: KNOWN or not a state. */
const char *cst_forecast_reason(int state);
