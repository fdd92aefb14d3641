// SPDX-License-Identifier: GPL-2.0-or-later
/* The text of metrics, in both formats, and the buckets of latencies. */
#include "lib/openmetrics.h"
#include "server/latency.h"
#include "support/test.h"

static void expect_text(bool classic, const char *text)
{
	static const double bounds[] = { 0.00005, 0.5 };
	static const uint64_t counts[] = { 1, 0, 2 };
	struct openmetrics metrics;
	size_t length;
	char *got;

	assert_int_equal(openmetrics_begin(&metrics, classic), 0);
	openmetrics_family(&metrics, METRIC_GAUGE, "a_seconds", "Help.");
	openmetrics_gauge(&metrics, 1.5, NO_LABELS);
	openmetrics_gauge(&metrics, 1795836304, LABELS("x", "\"\\\n\xff", "empty", ""));
	openmetrics_family(&metrics, METRIC_COUNTER, "b", "More.");
	openmetrics_counter(&metrics, 18446744073709551615ull, 12.25, LABELS("x", "1", "y", "2"));
	openmetrics_counter(&metrics, 0, 0, LABELS("empty", ""));
	openmetrics_family(&metrics, METRIC_HISTOGRAM, "c", "More.");
	openmetrics_histogram(&metrics, bounds, counts, 2, 0.25, 1, LABELS("x", "1"));
	openmetrics_family(&metrics, METRIC_SUMMARY, "d", "More.");
	openmetrics_summary(&metrics, 3, 0.5, 0, NO_LABELS);
	got = openmetrics_end(&metrics, &length);
	assert_non_null(got);
	assert_string_equal(got, text);
	assert_int_equal(length, strlen(text));
	free(got);
}

TEST(openmetrics)
{
	expect_text(false, "# HELP a_seconds Help.\n"
			   "# TYPE a_seconds gauge\n"
			   "a_seconds 1.5\n"
			   "a_seconds{x=\"\\\"\\\\\\\\\\\\x0a\\\\xff\"} 1795836304\n"
			   "# HELP b More.\n"
			   "# TYPE b counter\n"
			   "b_total{x=\"1\",y=\"2\"} 18446744073709551615\n"
			   "b_created{x=\"1\",y=\"2\"} 12.250\n"
			   "b_total 0\n"
			   "# HELP c More.\n"
			   "# TYPE c histogram\n"
			   "c_bucket{x=\"1\",le=\"5e-05\"} 1\n"
			   "c_bucket{x=\"1\",le=\"0.5\"} 1\n"
			   "c_bucket{x=\"1\",le=\"+Inf\"} 3\n"
			   "c_count{x=\"1\"} 3\n"
			   "c_sum{x=\"1\"} 0.25\n"
			   "c_created{x=\"1\"} 1.000\n"
			   "# HELP d More.\n"
			   "# TYPE d summary\n"
			   "d_count 3\n"
			   "d_sum 0.5\n"
			   "# EOF\n");
}

TEST(the_format_of_prometheus)
{
	expect_text(true, "# HELP a_seconds Help.\n"
			  "# TYPE a_seconds gauge\n"
			  "a_seconds 1.5\n"
			  "a_seconds{x=\"\\\"\\\\\\\\\\\\x0a\\\\xff\"} 1795836304\n"
			  "# HELP b_total More.\n"
			  "# TYPE b_total counter\n"
			  "b_total{x=\"1\",y=\"2\"} 18446744073709551615\n"
			  "b_total 0\n"
			  "# HELP c More.\n"
			  "# TYPE c histogram\n"
			  "c_bucket{x=\"1\",le=\"5e-05\"} 1\n"
			  "c_bucket{x=\"1\",le=\"0.5\"} 1\n"
			  "c_bucket{x=\"1\",le=\"+Inf\"} 3\n"
			  "c_count{x=\"1\"} 3\n"
			  "c_sum{x=\"1\"} 0.25\n"
			  "# HELP d More.\n"
			  "# TYPE d summary\n"
			  "d_count 3\n"
			  "d_sum 0.5\n");
}

TEST(latencies)
{
	struct latency latency = { 0 }, sum = { 0 };

	latency_count(&latency, 1000, 1000 + 5000000); /* a bound belongs to its bucket */
	latency_count(&latency, 1000, 1000 + 5000001);
	latency_count(&latency, 1000, 1000 + 3600000000000);
	latency_count(&latency, 0, 1000);    /* not known */
	latency_count(&latency, 1001, 1000); /* the clock was set back */
	latency_add(&sum, &latency);
	latency_add(&sum, &latency);
	for (int i = 0; i <= LATENCY_BUCKETS; i++) {
		uint64_t upper = i < LATENCY_BUCKETS ? latency_bounds[i] : 0;

		assert_int_equal(sum.counts[i],
				 upper == 5000000 || upper == 10000000 || upper == 0 ? 2 : 0);
	}
	assert_int_equal(sum.sum, 2 * (5000000 + 5000001 + 3600000000000));
}
