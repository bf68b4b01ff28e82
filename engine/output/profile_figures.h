/* The figures of profiles: quantiles, and surprise.
 *
 * Surprise is told in bits, -log2 of how often such a thing happens by what was learnt; three bits are one in
 * eight. Nothing learnt from a few hosts can be very surprising, and the estimates see to that:
 *
 * - a trait that `had` of `of` hosts have is had by the next one with (had + 1/2) / (of + 1): the estimator
 *   of Krichevsky and Trofimov (IEEE Trans. Inf. Theory 27(2), 1981), which codes such sequences with the
 *   fewest bits in the worst case;
 * - something never met comes with the share of what was met once only: Good and Turing (Good, Biometrika
 *   40, 1953), smoothed by the same halves;
 * - what one host does within an hour is much of a piece, so n connections of it count as n / (1 + (n - 1) /
 * 5) occasions, at most five (Kish's design effect, Survey Sampling 1965, with a correlation of 0.2);
 * - an amount is held against the learnt quantiles as if its logarithm followed a Laplace distribution, whose
 *   tails are heavy; few hours widen it towards a prior in which one hour of ten has twice the median. */
#ifndef LUNETTE_OUTPUT_PROFILE_FIGURES_H
#define LUNETTE_OUTPUT_PROFILE_FIGURES_H

#include "output/profile.h"

/* Sorts the values and puts low, middle and high into `out`; zeros if there are none. */
void figures_quantiles(double *values, size_t count, double out[3]);

/* Quantile of sorted values, 0 <= share <= 1, interpolated between neighbours; 0 if there are none. */
double figures_quantile(const double *sorted, size_t count, double share);

/* Probability that the next one has it, `had` of `of` had it. */
double figures_share(double had, double of);

/* Probability that the next one is one never met: `once` of the `met` were met once. */
double figures_unmet(double once, double met);

/* -log2 of a probability, at least 0, at most 99. */
double figures_bits(double probability);

/* Probability of an amount as far above the learnt quantiles (below, if it is less than the median) as
 * `value`. `hours`: how many the quantiles are of. `grain`: amounts below it are noise (1 for counts, some
 * hundred for bytes). */
double figures_tail(const double learnt[3], uint32_t hours, double value, double grain);

/* Of `hours` tries, at least one: 1 - (1 - p)^hours. */
double figures_any(double probability, uint32_t hours);

/* Occasions that so many connections of one host in one hour count for. */
double figures_occasions(double connections);

/* Probability that a host does not show in `watched` hours what `had` of `of` hosts showed in `hours` of
 * their `all` hours, `connections` times each: it lacks it, or it was not its hour. */
double figures_missing(double had, double of, double connections, uint32_t hours, uint64_t all,
                       uint32_t watched);

/* Seconds between calls: of `count` starts (nanoseconds; they are sorted), those gaps that are no burst
 * (below a second) and no absence (beyond twelve hours). False if there are fewer than four. */
bool figures_rhythm(nanoseconds *starts, size_t count, double *gap, double *spread);

#endif
