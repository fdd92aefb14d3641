// SPDX-License-Identifier: GPL-2.0-or-later
/* icpblast: send ICP queries at a given rate, and check every reply. */
#include <argp.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "icpblast/report.h"
#include "lib/escape.h"
#include "lib/output.h"
#include "lib/sockaddr.h"
#include "lib/standard_options.h"
#include "icp/opcode.h"

enum {
	EXIT_USAGE = 2,	 /* wrong usage, the run failed, or its output could not be written */
	EXIT_REFUSED = 3 /* the queries might leave the machine */
};

const char *argp_program_version = "icpblast " XDP_ICP_VERSION;

#define TIME_DEFAULT 10.0 /* seconds */
#define SAMPLE_UNLIMITED 256
#define MAC_TEXT 17 /* characters */

enum key {
	KEY_SOURCE_PORT = 256,
	KEY_SEED,
	KEY_MAC,
	KEY_ANYWHERE,
	KEY_SENDER,
	KEY_JSON,
};

struct arguments {
	struct blast_job job;
	struct sockaddr_storage address;
	const char *file, *pattern, *expect;
	size_t urls;
	long sample; /* -1: not given */
	bool json, anywhere, has_mac;
	unsigned char mac[6];
};

static const char doc[] =
	"Sends ICP queries to ADDRESS (192.0.2.1, 192.0.2.1:3130, [2001:db8::1]:3130), checks "
	"every "
	"reply (headers, lengths, both checksums, request number, URL, and the verdict against the "
	"expected one), and reports how many there were per second and how long they took.\v"
	"A FILE has lines of URL, or URL TAB VERDICT[,VERDICT...]; the verdicts are " VERDICT_NAMES
	", any, or none where no reply is expected. URLs have at most 255 bytes.\n\n"
	"The interface is the one by which the kernel sends to ADDRESS. It must be the loopback "
	"interface or a veth whose other end is not part of a bridge; anything else is refused "
	"unless "
	"--anywhere is given. While it runs, its check of the replies occupies the interface's XDP "
	"hook. On a veth the responder's end must carry an XDP program in native mode, or "
	"`ethtool -K DEVICE gro on`, to get what --sender live sends.\n\n"
	"Exit status: 0 there were replies and all were good, or none was expected and none came; "
	"1 if not; 2 wrong usage, the run failed, or its output could not be written; 3 refused, "
	"because the queries might leave the machine.";

static const struct argp_option options[] = {
	{ NULL, 0, NULL, 0, "What to ask:", 1 },
	{ "file", 'f', "FILE", 0, "read URLs and verdicts from FILE", 0 },
	{ "url", 'u', "PATTERN", 0, "one URL, or many with a number in the place of %d", 0 },
	{ "urls", 'k', "COUNT", 0, "how many URLs %d makes, from 0 on (1)", 0 },
	{ "expect", 'e', "VERDICTS", 0,
	  "the verdicts to expect where FILE gives none (any); `echo` for a responder that only "
	  "exchanges the addresses",
	  0 },
	{ "zipf", 'z', "S", 0,
	  "ask for the k-th URL with a probability proportional to 1/k^S (0: all alike, at random)",
	  0 },
	{ "seed", KEY_SEED, "N", 0, "seed of the random choice (1)", 0 },
	{ NULL, 0, NULL, 0, "How much:", 2 },
	{ "time", 't', "SECONDS", 0, "stop after SECONDS (10, unless --number is given)", 0 },
	{ "number", 'n', "N", 0, "stop after N queries", 0 },
	{ "rate", 'r', "N", 0, "queries per second, of all CPUs together (0: as fast as possible)",
	  0 },
	{ "cores", 'c', "LIST", 0,
	  "generate on these CPUs, as 0 or 0,2-3 (the first); a veth then needs as many queues at "
	  "both ends, `ethtool -L DEVICE rx N tx N`",
	  0 },
	{ "sender", KEY_SENDER, "HOW", 0,
	  "live: by BPF_PROG_RUN, which keeps the CPU busy; socket: by a packet socket, which "
	  "sleeps between queries (auto: socket for loopback and for rates up to 10000)",
	  0 },
	{ "ports", 'p', "N", 0, "number of source ports (16)", 0 },
	{ "source-port", KEY_SOURCE_PORT, "PORT", 0, "the first source port (20000)", 0 },
	{ NULL, 0, NULL, 0, "What to report:", 3 },
	{ "sample", 'l', "N", 0,
	  "measure the time of every N-th query; 0: of none (256; 1 for rates up to 10000)", 0 },
	{ "deadline", 'd', "MS", 0, "report the share of replies within MS milliseconds (5)", 0 },
	{ "json", KEY_JSON, NULL, 0, "print a line of JSON", 0 },
	{ "quiet", 'q', NULL, 0, "no progress on a terminal", 0 },
	{ NULL, 0, NULL, 0, "Where to send:", 4 },
	{ "mac", KEY_MAC, "MAC", 0, "the responder's MAC address (as the kernel resolves it)", 0 },
	{ "anywhere", KEY_ANYWHERE, NULL, 0,
	  "send on any interface. This is a flood: only on networks that are yours", 0 },
	{ 0 },
};

/* Exits. The arguments may contain anything: what is printed must not control a terminal. */
__attribute__((format(printf, 2, 3))) static void usage_error(const struct argp_state *state,
							      const char *format, ...)
{
	char text[sizeof(((struct error *)NULL)->text)], line[sizeof(text)];
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(text, sizeof(text), format, arguments);
	va_end(arguments);
	escape_line(text, line, sizeof(line));
	argp_error(state, "%s", line);
}

static double number_of(const char *text, double min, double max, struct argp_state *state)
{
	char *end;
	double number = strtod(text, &end);

	if (end == text || *end || !(number >= min && number <= max))
		usage_error(state, "'%s' is not a number from %.15g to %.15g", text, min, max);
	return number;
}

static double integer_of(const char *text, double min, double max, struct argp_state *state)
{
	double number = number_of(text, min, max, state);

	if (number != floor(number))
		usage_error(state, "'%s' is not a whole number", text);
	return number;
}

static void read_cores(const char *text, cpu_set_t *cores, struct argp_state *state)
{
	cpu_set_t allowed;
	const char *rest = text;

	sched_getaffinity(0, sizeof(allowed), &allowed);
	CPU_ZERO(cores);
	while (*rest) {
		unsigned int first, last;
		int used = 0;

		if (sscanf(rest, "%u%n-%u%n", &first, &used, &last, &used) < 2)
			last = first;
		if (!used || last < first || last >= CPU_SETSIZE ||
		    (rest[used] && (rest[used] != ',' || !rest[used + 1])))
			usage_error(state, "'%s' is not a list of cores, such as 0 or 0,2-3", text);
		for (unsigned int core = first; core <= last; core++) {
			if (!CPU_ISSET(core, &allowed))
				usage_error(state, "this process may not run on core %u", core);
			CPU_SET(core, cores);
		}
		rest += used + (rest[used] == ',');
	}
	if (CPU_COUNT(cores) == 0)
		usage_error(state, "'%s' names no core", text);
}

static void read_mac(struct arguments *arguments, const char *text, struct argp_state *state)
{
	unsigned char *mac = arguments->mac;
	char rest;

	/* sscanf() alone also takes signs, white space and 0x. */
	if (strlen(text) != MAC_TEXT || strspn(text, "0123456789abcdefABCDEF:") != MAC_TEXT ||
	    sscanf(text, "%2hhx:%2hhx:%2hhx:%2hhx:%2hhx:%2hhx%c", &mac[0], &mac[1], &mac[2],
		   &mac[3], &mac[4], &mac[5], &rest) != 6)
		usage_error(state, "'%s' is not a MAC address, such as 02:00:00:00:00:01", text);
	arguments->has_mac = true;
}

static void check_combinations(struct arguments *arguments, struct argp_state *state)
{
	struct blast_job *job = &arguments->job;

	if (!arguments->address.ss_family)
		usage_error(state, "ADDRESS is missing");
	if (!arguments->file == !arguments->pattern)
		usage_error(state, "give either --file or --url");
	if (arguments->file && arguments->urls > 1)
		usage_error(state, "--urls needs --url");
	if (job->config.first_port + job->config.ports > 65536)
		usage_error(state, "%u source ports from %u on exceed 65535", job->config.ports,
			    job->config.first_port);
	if (CPU_COUNT(&job->cores) == 0) {
		cpu_set_t allowed;
		int core = 0;

		sched_getaffinity(0, sizeof(allowed), &allowed);
		while (!CPU_ISSET(core, &allowed))
			core++;
		CPU_SET(core, &job->cores);
	}
	if (!job->number && job->time == 0)
		job->time = TIME_DEFAULT;
	job->config.echo = arguments->expect && strcmp(arguments->expect, "echo") == 0;
	if (arguments->sample >= 0)
		job->config.sample = arguments->sample;
	else
		job->config.sample =
			job->rate && job->rate <= BLAST_SOCKET_RATE ? 1 : SAMPLE_UNLIMITED;
}

static error_t parse(int key, char *text, struct argp_state *state)
{
	struct arguments *arguments = state->input;
	struct blast_job *job = &arguments->job;
	struct error error;

	switch (key) {
	case 'f':
		arguments->file = text;
		return 0;
	case 'u':
		arguments->pattern = text;
		return 0;
	case 'k':
		arguments->urls = integer_of(text, 1, BLAST_QUERIES_MAX, state);
		return 0;
	case 'e':
		arguments->expect = text;
		return 0;
	case 'z':
		job->zipf = number_of(text, 0, 10, state);
		return 0;
	case KEY_SEED:
		job->seed = integer_of(text, 0, 0xffffffff, state);
		return 0;
	case 't':
		job->time = number_of(text, 0.001, 86400, state);
		return 0;
	case 'n':
		job->number = integer_of(text, 1, 1e15, state);
		return 0;
	case 'r':
		job->rate = integer_of(text, 0, 1e9, state);
		return 0;
	case 'c':
		read_cores(text, &job->cores, state);
		return 0;
	case KEY_SENDER:
		if (strcmp(text, "live") == 0)
			job->sending = BLAST_SENDING_LIVE;
		else if (strcmp(text, "socket") == 0)
			job->sending = BLAST_SENDING_SOCKET;
		else if (strcmp(text, "auto") != 0)
			usage_error(state, "unknown --sender '%s'; it can be live, socket or auto",
				    text);
		return 0;
	case 'p':
		job->config.ports = integer_of(text, 1, 10000, state);
		return 0;
	case KEY_SOURCE_PORT:
		job->config.first_port = integer_of(text, 1, 65535, state);
		return 0;
	case 'l':
		arguments->sample = integer_of(text, 0, 0xffffffff, state);
		return 0;
	case 'd':
		job->config.deadline = number_of(text, 0, 1e6, state) * 1e6;
		return 0;
	case KEY_JSON:
		arguments->json = true;
		return 0;
	case 'q':
		job->quiet = true;
		return 0;
	case KEY_MAC:
		read_mac(arguments, text, state);
		return 0;
	case KEY_ANYWHERE:
		arguments->anywhere = true;
		return 0;
	case ARGP_KEY_ARG:
		if (state->arg_num > 0)
			usage_error(state, "only one ADDRESS is taken: %s", text);
		if (sockaddr_parse(text, ICP_PORT, &arguments->address, &error))
			usage_error(state, "%s", error.text);
		return 0;
	case ARGP_KEY_END:
		check_combinations(arguments, state);
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

static int read_urls(struct arguments *arguments, struct error *error)
{
	struct blast_urls *urls = &arguments->job.urls;
	const char *expect = arguments->expect ?: "any";
	__u32 allowed;

	if (arguments->job.config.echo)
		expect = "any"; /* verdicts are not checked then */
	if (blast_allowed(expect, strlen(expect), &allowed, error))
		return error_prefix(error, "--expect: ");
	if (arguments->file)
		return blast_urls_read(urls, arguments->file, allowed, error);
	return blast_urls_make(urls, arguments->pattern, arguments->urls, allowed, error);
}

static int find_path(struct arguments *arguments, bool *refused, struct error *error)
{
	struct blast_job *job = &arguments->job;
	struct blast_config *config = &job->config;
	const struct blast_path *path = &job->path;

	if (blast_path_find(&job->path, &arguments->address,
			    arguments->has_mac ? arguments->mac : NULL, arguments->anywhere,
			    refused, error))
		return -1;
	if (path->loopback && job->sending == BLAST_SENDING_LIVE)
		return error_set(error, "the loopback interface takes no live frames; "
					"omit --sender live");
	if (job->sending == BLAST_SENDING_AUTO)
		job->sending = path->loopback || (job->rate && job->rate <= BLAST_SOCKET_RATE)
				       ? BLAST_SENDING_SOCKET
				       : BLAST_SENDING_LIVE;
	/* Both families have the port at the same offset. */
	config->port = ((struct sockaddr_in *)&arguments->address)->sin_port;
	config->ipv6 = path->ipv6;
	memcpy(config->own_mac, path->own_mac, sizeof(config->own_mac));
	memcpy(config->mac, path->mac, sizeof(config->mac));
	memcpy(config->own, path->own, sizeof(config->own));
	memcpy(config->address, path->address, sizeof(config->address));
	return 0;
}

static bool is_success(const struct blast_counts *counts)
{
	bool no_reply_expected = counts->sent > 0 && counts->sent == counts->sent_unanswerable;

	return blast_bad(counts) == 0 && (blast_good(counts) > 0 || no_reply_expected);
}

int main(int argc, char **argv)
{
	static const struct argp argp = { options,	     parse, "ADDRESS", doc,
					  standard_children, NULL,  NULL };
	struct arguments arguments = {
		.urls = 1,
		.sample = -1,
		.job = { .seed = 1,
			 .config = { .first_port = 20000, .ports = 16, .deadline = 5000000 } },
	};
	struct blast_result result;
	bool refused = false;
	struct error error;
	char line[sizeof(error.text)];
	int status;

	argp_err_exit_status = EXIT_USAGE;
	argp_parse(&argp, argc, argv, ARGP_NO_HELP, NULL, &arguments);
	if (read_urls(&arguments, &error) || find_path(&arguments, &refused, &error)) {
		status = refused ? EXIT_REFUSED : EXIT_USAGE;
	} else if (blast_run(&arguments.job, &result, &error)) {
		status = EXIT_USAGE;
	} else {
		blast_report(&arguments.job, &result, arguments.json);
		status = !is_success(&result.counts);
		if (output_close(&error))
			status = EXIT_USAGE;
	}
	if (status >= EXIT_USAGE) {
		/* A file or its name may contain anything. */
		escape_line(error.text, line, sizeof(line));
		fprintf(stderr, "icpblast: %s\n", line);
	}
	blast_urls_free(&arguments.job.urls);
	return status;
}
