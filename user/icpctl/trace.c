// SPDX-License-Identifier: GPL-2.0-or-later
/* icpctl trace: print queries as they are processed. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "control/client.h"
#include "icpctl/icpctl.h"

#define OPTION_SOURCE 0x200

struct input {
	struct icpctl *ctl;
	const char *source, *url; /* NULL: not given */
	unsigned long count;	  /* of lines; 0: unlimited */
	unsigned long seconds;	  /* likewise */
	unsigned long shown;
};

static error_t parse(int key, char *argument, struct argp_state *state)
{
	struct input *input = state->input;

	switch (key) {
	case OPTION_SOURCE:
		input->source = argument;
		return 0;
	case 'u':
		input->url = argument;
		return 0;
	case 'n':
		if (!icpctl_number(argument, 1, 1000000000, &input->count))
			return icpctl_usage(state, input->ctl,
					    "--count '%s': must be 1 to 1000000000", argument);
		return 0;
	case 't':
		if (!icpctl_number(argument, 1, 1000000, &input->seconds))
			return icpctl_usage(state, input->ctl, "--time '%s': must be 1 to 1000000",
					    argument);
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

static const struct argp_option options[] = {
	{ "count", 'n', "COUNT", 0, "end after COUNT lines" },
	{ "time", 't', "SECONDS", 0, "end after SECONDS" },
	{ "source", OPTION_SOURCE, "ADDR[/BITS]", 0, "only queries from there" },
	{ "url", 'u', "PREFIX", 0, "only URLs that begin with PREFIX" },
	{ 0 },
};

static const struct argp argp = {
	.options = options,
	.parser = parse,
	.doc = "Prints queries as they are processed, until Ctrl-C: the time, source and "
	       "destination, the request number, who replied and what, what decided, and the URL. "
	       "A query that the kernel passes up has a line from each of the two; the reason has "
	       "the name of its counter.\v"
	       "Tracing cannot slow the responder down: each CPU shows at most about 3800 queries "
	       "a second and counts the others (failed.trace). With --json each line is an "
	       "object.",
};

static const char *text_of(const json_t *line, const char *key)
{
	const char *text = json_string_value(json_object_get(line, key));

	return text ? text : "-";
}

static void print_line(const json_t *line)
{
	const char *verdict = json_string_value(json_object_get(line, "verdict"));
	const char *decider = json_string_value(json_object_get(line, "decider"));
	const char *policy = json_string_value(json_object_get(line, "policy"));
	char time[32], clock[32], *microseconds;
	struct tm local;
	time_t seconds;

	/* Most microseconds are a little less as a double: rounded, not cut. */
	snprintf(time, sizeof(time), "%.6f", json_number_value(json_object_get(line, "time")));
	seconds = strtoll(time, &microseconds, 10);
	localtime_r(&seconds, &local);
	strftime(clock, sizeof(clock), "%T", &local);
	printf("%s%s %s > %s #%" JSON_INTEGER_FORMAT " %s %s", clock, microseconds,
	       text_of(line, "source"), text_of(line, "destination"),
	       icpctl_integer(line, "request"), text_of(line, "by"),
	       verdict ? verdict : text_of(line, "outcome"));
	if (decider)
		printf(" (%s%s%s)", strcmp(decider, "former") == 0 ? "former chain" : decider,
		       policy ? " " : "", policy ? policy : "");
	printf(" %s%s\n", text_of(line, "url"), json_object_get(line, "url_length") ? "..." : "");
}

/* A control_line callback. */
static bool take(void *context, const json_t *line)
{
	struct input *input = context;
	const json_t *lost = json_object_get(line, "lost");

	if (input->ctl->json) {
		json_dumpf(line, stdout, JSON_COMPACT | JSON_REAL_PRECISION(16));
		putchar('\n');
	} else if (lost) {
		printf("(%" JSON_INTEGER_FORMAT " more were not shown)\n",
		       json_integer_value(lost));
	} else {
		print_line(line);
	}
	fflush(stdout);
	return (lost || ++input->shown != input->count) && !ferror(stdout);
}

int icpctl_trace(struct icpctl *ctl, int argc, char **argv)
{
	struct input input = { .ctl = ctl };
	enum control_result result;
	struct error error;
	char *source, *url, *resource;
	int status = icpctl_parse(ctl, &argp, 0, argc, argv, &input);

	if (status)
		return status;
	source = icpctl_encode(input.source ? input.source : "");
	url = icpctl_encode(input.url ? input.url : "");
	resource = icpctl_resource("/v1/trace?%s%s&%s%s", input.source ? "source=" : "", source,
				   input.url ? "url=" : "", url);
	result = control_follow(ctl->socket, resource, take, &input, input.seconds, &error);
	free(source);
	free(url);
	free(resource);
	return result == CONTROL_OK ? ICPCTL_OK : icpctl_failed(ctl, result, &error);
}
