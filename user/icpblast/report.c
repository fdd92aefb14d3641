// SPDX-License-Identifier: GPL-2.0-or-later
#include <jansson.h>
#include <stdio.h>

#include "icpblast/report.h"
#include "icp/opcode.h"
#include "lib/escape.h"
#include "lib/plural.h"

static const char *const faults[] = {
#define X(identifier, name) name,
	BLAST_FAULTS(X)
#undef X
};

static const struct {
	const char *name;
	double share;
} percentiles[] = {
	{ "p50", 0.5 }, { "p90", 0.9 }, { "p99", 0.99 }, { "p99.9", 0.999 }, { "max", 1 },
};

#define PERCENTILES (sizeof(percentiles) / sizeof(percentiles[0]))

/* Midpoint of a histogram bucket, in nanoseconds. */
static double bucket_midpoint(__u32 bucket)
{
	__u32 octave = bucket >> BLAST_SUB_BITS;
	__u64 width = octave > 1 ? 1ull << (octave - 1) : 1;
	__u64 begin = octave > 1 ? (((__u64)bucket & ((1u << BLAST_SUB_BITS) - 1)) +
				    (1u << BLAST_SUB_BITS)) *
					   width
				 : bucket;

	return begin + (width - 1) / 2.0;
}

static __u64 measured(const struct blast_counts *counts)
{
	__u64 sum = 0;

	for (__u32 i = 0; i < BLAST_BUCKETS; i++)
		sum += counts->latency[i];
	return sum;
}

/*
 * The time in milliseconds within which `share` of the sampled queries got a reply; negative if fewer
 * got one at all.
 */
static double percentile(const struct blast_counts *counts, double share)
{
	double wanted = share * counts->sent_sampled;
	__u64 sum = 0;

	for (__u32 i = 0; i < BLAST_BUCKETS; i++) {
		sum += counts->latency[i];
		if (sum && sum >= wanted)
			return bucket_midpoint(i) / 1e6;
	}
	return -1;
}

static double in_time_share(const struct blast_counts *counts)
{
	return counts->sent_sampled ? (double)counts->in_time / counts->sent_sampled : 0;
}

static json_t *latency_json(const struct blast_job *job, const struct blast_counts *counts)
{
	json_t *latency = json_pack("{s:I, s:I}", "sampled", (json_int_t)counts->sent_sampled,
				    "answered", (json_int_t)measured(counts));

	for (size_t i = 0; i < PERCENTILES && counts->sent_sampled; i++) {
		double ms = percentile(counts, percentiles[i].share);

		json_object_set_new(latency, percentiles[i].name,
				    ms < 0 ? json_null() : json_real(ms));
	}
	json_object_set_new(latency, "deadline", json_real(job->config.deadline / 1e6));
	json_object_set_new(latency, "in_time",
			    counts->sent_sampled ? json_real(in_time_share(counts)) : json_null());
	return latency;
}

static void report_json(const struct blast_job *job, const struct blast_result *result)
{
	const struct blast_counts *counts = &result->counts;
	json_t *good = json_object(), *bad = json_object(), *root;
	char interface[IF_NAMESIZE * ESCAPE_MAX];

	escape_line(job->path.name, interface, sizeof(interface)); /* JSON needs UTF-8 */
	for (__u32 i = 0; i < BLAST_OPCODES; i++)
		if (counts->good[i])
			json_object_set_new(good, opcode_short_name(i),
					    json_integer(counts->good[i]));
	for (__u32 i = 0; i < BLAST_FAULT_MAX; i++)
		if (counts->bad[i])
			json_object_set_new(bad, faults[i], json_integer(counts->bad[i]));
	root = json_pack(
		"{s:s, s:s, s:i, s:I, s:I, s:I, s:I, s:I, s:I, s:o, s:o, s:f, s:f, s:f, s:o}",
		"interface", interface, "sender",
		job->sending == BLAST_SENDING_LIVE ? "live" : "socket", "cores",
		CPU_COUNT(&job->cores), "sent", (json_int_t)counts->sent, "good",
		(json_int_t)blast_good(counts), "bad", (json_int_t)blast_bad(counts), "lost",
		(json_int_t)blast_lost(counts), "silent", (json_int_t)counts->sent_unanswerable,
		"checksum_offloaded", (json_int_t)counts->unsummed, "opcodes", good, "faults", bad,
		"seconds", result->seconds, "queries_per_second", result->sent_rate,
		"replies_per_second", result->good_rate, "latency_ms", latency_json(job, counts));
	json_dumpf(root, stdout, JSON_REAL_PRECISION(6) | JSON_COMPACT);
	putchar('\n');
	json_decref(root);
}

static void report_text(const struct blast_job *job, const struct blast_result *result)
{
	const struct blast_counts *counts = &result->counts;

	printf("%llu %s in %.3f s, %.0f a second\n", counts->sent,
	       plural(counts->sent, "query", "queries"), result->seconds, result->sent_rate);
	printf("%llu good %s, %.0f a second", blast_good(counts),
	       plural(blast_good(counts), "reply", "replies"), result->good_rate);
	for (__u32 i = 0; i < BLAST_OPCODES; i++)
		if (counts->good[i])
			printf(", %llu %s", counts->good[i], opcode_name(i));
	printf("\n%llu bad %s", blast_bad(counts), plural(blast_bad(counts), "reply", "replies"));
	for (__u32 i = 0; i < BLAST_FAULT_MAX; i++)
		if (counts->bad[i])
			printf(", %llu for %s", counts->bad[i], faults[i]);
	printf("\n%llu %s without a reply", blast_lost(counts),
	       plural(blast_lost(counts), "query", "queries"));
	if (counts->sent_unanswerable)
		printf(", and %llu to which no reply is expected", counts->sent_unanswerable);
	putchar('\n');
	if (job->path.veth && job->sending == BLAST_SENDING_LIVE && blast_lost(counts) &&
	    blast_lost(counts) == counts->sent - counts->sent_unanswerable)
		printf("perhaps none arrived: the responder's end of a veth needs an XDP program "
		       "in native mode, or `ethtool -K DEVICE gro on`\n");
	if (!counts->sent_sampled)
		return;
	printf("latency of %llu %s, in ms:", counts->sent_sampled,
	       plural(counts->sent_sampled, "query", "queries"));
	for (size_t i = 0; i < PERCENTILES; i++) {
		double ms = percentile(counts, percentiles[i].share);

		if (ms < 0)
			printf(" %s never", percentiles[i].name);
		else
			printf(" %s %.4f", percentiles[i].name, ms);
	}
	printf("; %.3f %% within %g ms\n", 100 * in_time_share(counts), job->config.deadline / 1e6);
}

void blast_report(const struct blast_job *job, const struct blast_result *result, bool json)
{
	if (json)
		report_json(job, result);
	else
		report_text(job, result);
}
