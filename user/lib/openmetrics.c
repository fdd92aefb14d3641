// SPDX-License-Identifier: GPL-2.0-or-later
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "lib/escape.h"
#include "lib/openmetrics.h"

int openmetrics_begin(struct openmetrics *metrics, bool classic)
{
	*metrics = (struct openmetrics){ .classic = classic };
	metrics->stream = open_memstream(&metrics->text, &metrics->length);
	return metrics->stream ? 0 : -1;
}

void openmetrics_family(struct openmetrics *metrics, enum metric_type type, const char *name,
			const char *help)
{
	static const char *const types[] = {
		[METRIC_GAUGE] = "gauge",
		[METRIC_COUNTER] = "counter",
		[METRIC_HISTOGRAM] = "histogram",
		[METRIC_SUMMARY] = "summary",
	};
	const char *suffix = metrics->classic && type == METRIC_COUNTER ? "_total" : "";

	metrics->family = name;
	fprintf(metrics->stream, "# HELP %s%s %s\n# TYPE %s%s %s\n", name, suffix, help, name,
		suffix, types[type]);
}

/* Write a label, after what precedes it. Of the escaped value only two characters need quoting. */
static void write_label(FILE *stream, const char *before, const char *name, const char *value)
{
	char *escaped = escape(value, strlen(value));

	fprintf(stream, "%s%s=\"", before, name);
	for (const char *at = escaped ? escaped : ""; *at; at++) {
		if (*at == '\\' || *at == '"')
			putc('\\', stream);
		putc(*at, stream);
	}
	putc('"', stream);
	free(escaped);
}

/* Write the beginning of a sample, up to its value; `bound` is a bucket's, or NULL. */
static void write_name(struct openmetrics *metrics, const char *suffix, const char *const *labels,
		       const char *bound)
{
	FILE *stream = metrics->stream;
	const char *before = "{";

	fprintf(stream, "%s%s", metrics->family, suffix);
	for (; labels[0]; labels += 2) {
		if (!labels[1][0])
			continue;
		write_label(stream, before, labels[0], labels[1]);
		before = ",";
	}
	if (bound) {
		write_label(stream, before, "le", bound);
		before = ",";
	}
	fputs(*before == ',' ? "} " : " ", stream);
}

static void write_count(struct openmetrics *metrics, const char *suffix, uint64_t value,
			const char *const *labels)
{
	write_name(metrics, suffix, labels, NULL);
	fprintf(metrics->stream, "%" PRIu64 "\n", value);
}

static void write_sum(struct openmetrics *metrics, double sum, const char *const *labels)
{
	write_name(metrics, "_sum", labels, NULL);
	fprintf(metrics->stream, "%.9g\n", sum);
}

static void write_created(struct openmetrics *metrics, double created, const char *const *labels)
{
	if (metrics->classic || created == 0)
		return;
	write_name(metrics, "_created", labels, NULL);
	fprintf(metrics->stream, "%.3f\n", created);
}

void openmetrics_gauge(struct openmetrics *metrics, double value, const char *const *labels)
{
	write_name(metrics, "", labels, NULL);
	fprintf(metrics->stream, "%.15g\n", value);
}

void openmetrics_counter(struct openmetrics *metrics, uint64_t value, double created,
			 const char *const *labels)
{
	write_count(metrics, "_total", value, labels);
	write_created(metrics, created, labels);
}

void openmetrics_histogram(struct openmetrics *metrics, const double *bounds,
			   const uint64_t *counts, size_t count, double sum, double created,
			   const char *const *labels)
{
	uint64_t total = 0;
	char bound[32];

	for (size_t i = 0; i <= count; i++) {
		total += counts[i];
		if (i == count)
			strcpy(bound, "+Inf");
		else
			snprintf(bound, sizeof(bound), "%g", bounds[i]);
		write_name(metrics, "_bucket", labels, bound);
		fprintf(metrics->stream, "%" PRIu64 "\n", total);
	}
	write_count(metrics, "_count", total, labels);
	write_sum(metrics, sum, labels);
	write_created(metrics, created, labels);
}

void openmetrics_summary(struct openmetrics *metrics, uint64_t count, double sum, double created,
			 const char *const *labels)
{
	write_count(metrics, "_count", count, labels);
	write_sum(metrics, sum, labels);
	write_created(metrics, created, labels);
}

char *openmetrics_end(struct openmetrics *metrics, size_t *length)
{
	bool failed;

	if (!metrics->classic)
		fputs("# EOF\n", metrics->stream);
	failed = ferror(metrics->stream);
	if (fclose(metrics->stream) || failed) {
		free(metrics->text);
		return NULL;
	}
	*length = metrics->length;
	return metrics->text;
}
