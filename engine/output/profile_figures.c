/* See profile_figures.h. */
#include "output/profile_figures.h"

#include <math.h>
#include <stdlib.h>

enum { FEW = 10, PRIOR_HOURS = 2, GAPS_LEAST = 4 };

static const double LONGEST_GAP = 12 * 3600.0, MOST_BITS = 99;

static int compare_doubles(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return x < y ? -1 : x > y;
}

double figures_quantile(const double *sorted, size_t count, double share) {
    if (!count) return 0;
    double place = share * (double)(count - 1);
    size_t below = (size_t)place;
    if (below + 1 >= count) return sorted[count - 1];
    return sorted[below] + (place - (double)below) * (sorted[below + 1] - sorted[below]);
}

void figures_quantiles(double *values, size_t count, double out[3]) {
    if (count) qsort(values, count, sizeof *values, compare_doubles);
    double tail = count < FEW ? 0 : 0.1;
    out[LOW] = figures_quantile(values, count, tail);
    out[MID] = figures_quantile(values, count, 0.5);
    out[HIGH] = figures_quantile(values, count, 1 - tail);
}

double figures_share(double had, double of) {
    return (had + 0.5) / (of + 1);
}

double figures_unmet(double once, double met) {
    return (once + 0.5) / (met + 1);
}

double figures_bits(double probability) {
    if (!(probability > 0)) return MOST_BITS;
    double bits = -log2(probability);
    return bits < 0 ? 0 : bits > MOST_BITS ? MOST_BITS : bits;
}

/* The 90th of a hundred lies ln 5 scales from the median: 1/2 exp(-x / scale) = 1/10. Counts of rare things
 * scatter by themselves, the logarithm of n as 1 / sqrt(n): the smaller one of both tells how widely. */
static double scale_of(const double learnt[3], uint32_t hours, double value, double grain) {
    bool above = value > learnt[MID];
    double middle = learnt[MID] + grain, edge = (above ? learnt[HIGH] : learnt[LOW]) + grain;
    double prior = log(2) / log(5), floor = 1 / sqrt(1 + fmin(learnt[MID], value) / grain);
    if (floor > prior) prior = floor;
    double seen = fabs(log(edge / middle)) / log(5);
    double scale = (hours * seen + PRIOR_HOURS * prior) / (hours + PRIOR_HOURS);
    double least = floor / sqrt(2); /* a scale of s is a deviation of s * sqrt(2) */
    if (least < 0.1) least = 0.1;
    return scale > least ? scale : least;
}

double figures_tail(const double learnt[3], uint32_t hours, double value, double grain) {
    double distance = log((value + grain) / (learnt[MID] + grain));
    return 0.5 * exp(-fabs(distance) / scale_of(learnt, hours, value, grain));
}

double figures_any(double probability, uint32_t hours) {
    return -expm1(hours * log1p(-(probability < 1 ? probability : 1 - 1e-12)));
}

double figures_occasions(double connections) {
    return connections > 1 ? connections / (1 + (connections - 1) / 5) : 1;
}

double figures_missing(double had, double of, double connections, uint32_t hours, uint64_t all,
                       uint32_t watched) {
    double weight = figures_occasions(connections);
    double has = figures_share(had * weight, of * weight);
    double theirs =
        of > 0 ? (double)all * had / of : 0; /* hours of the hosts that had it, if all are alike */
    double hourly = theirs > hours ? hours / theirs : 1;
    return (1 - has) + has * pow(1 - hourly, watched);
}

static int compare_times(const void *a, const void *b) {
    const nanoseconds *x = a, *y = b;
    return *x < *y ? -1 : *x > *y;
}

bool figures_rhythm(nanoseconds *starts, size_t count, double *gap, double *spread) {
    if (count <= GAPS_LEAST) return false;
    double *gaps = malloc(count * sizeof *gaps);
    if (!gaps) return false;
    size_t n = 0;
    qsort(starts, count, sizeof *starts, compare_times);
    for (size_t i = 1; i < count; i++) {
        double seconds = ns_to_seconds(starts[i] - starts[i - 1]);
        if (seconds >= 1 && seconds <= LONGEST_GAP) gaps[n++] = seconds;
    }
    bool enough = n >= GAPS_LEAST;
    if (enough) {
        qsort(gaps, n, sizeof *gaps, compare_doubles);
        *gap = figures_quantile(gaps, n, 0.5);
        *spread = figures_quantile(gaps, n, 0.75) - figures_quantile(gaps, n, 0.25);
    }
    free(gaps);
    return enough;
}
