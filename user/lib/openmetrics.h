/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Writing metrics as text: OpenMetrics 1.0, or the format 0.0.4 of Prometheus, which differs in the
 * names of counters, their time of creation, and the end. The samples of a family follow it.
 */
#ifndef XDP_ICP_OPENMETRICS_H
#define XDP_ICP_OPENMETRICS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

enum metric_type {
	METRIC_GAUGE,
	METRIC_COUNTER,
	METRIC_HISTOGRAM,
	METRIC_SUMMARY,
};

struct openmetrics {
	FILE *stream;
	char *text;
	size_t length;
	bool classic; /* Prometheus's format */
	const char *family;
};

/*
 * Labels of a sample: names and values in turn, then NULL. Values are NUL-terminated and may hold any
 * bytes; they are written in the form of lib/escape.h, and empty ones left out.
 */
#define LABELS(...) ((const char *const[]){ __VA_ARGS__, NULL })
#define NO_LABELS ((const char *const[]){ NULL })

/* Begin a text. Return 0, or -1 without memory; then do not call the others. */
int openmetrics_begin(struct openmetrics *metrics, bool classic);

/*
 * Begin a family of samples. `name` has the prefix and the unit, without the _total of counters; it
 * must remain valid until the next family. `help` has no newlines or backslashes.
 */
void openmetrics_family(struct openmetrics *metrics, enum metric_type type, const char *name,
			const char *help);

/* Write a sample of a gauge. */
void openmetrics_gauge(struct openmetrics *metrics, double value, const char *const *labels);

/*
 * Write a sample of a counter, which began with 0 at `created`, in seconds since 1970 (0: unknown).
 */
void openmetrics_counter(struct openmetrics *metrics, uint64_t value, double created,
			 const char *const *labels);

/*
 * Write the samples of a histogram. `bounds` are the `count` upper bounds of its buckets, in
 * seconds and ascending. `counts` has one more element, for values above the last bound; each
 * bucket counts only what no earlier one counts.
 */
void openmetrics_histogram(struct openmetrics *metrics, const double *bounds,
			   const uint64_t *counts, size_t count, double sum, double created,
			   const char *const *labels);

/* Write the samples of a summary without quantiles. */
void openmetrics_summary(struct openmetrics *metrics, uint64_t count, double sum, double created,
			 const char *const *labels);

/*
 * End the text and return it, for free(), with its length in bytes. NULL: out of memory.
 */
char *openmetrics_end(struct openmetrics *metrics, size_t *length);

#endif
