// SPDX-License-Identifier: GPL-2.0-or-later
/* icpctl stats: the counters, or what they count now. */
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "icp/counter_names.h"
#include "icpctl/icpctl.h"
#include "icpctl/rates.h"

#define DIFF_SECONDS 1
#define DIFF_SECONDS_MAX 86400

#define OPTION_DIFF 0x200

struct input {
	struct icpctl *ctl;
	bool verbose;
	unsigned long diff; /* seconds; 0: the counters as they are */
};

static const char *counter_help(const char *group, const char *name)
{
	if (strcmp(group, "answered") == 0)
		return strcmp(name, "kernel") == 0 ? "queries that the XDP program answered"
						   : "queries that the daemon answered";
	for (size_t i = 0; i < ICP_COUNTER_MAX; i++)
		if (strcmp(counter_names[i].group, group) == 0 &&
		    strcmp(counter_names[i].name, name) == 0)
			return counter_names[i].help;
	return "";
}

/* Print the beginning of a line, and with --verbose what the counter counts. */
static void print_counter(const struct input *input, const char *group, const char *name,
			  json_int_t value, const char *rate)
{
	if (input->verbose)
		printf("%s.%-*s %12" JSON_INTEGER_FORMAT "%s  %s\n", group,
		       (int)(24 - strlen(group)), name, value, rate, counter_help(group, name));
	else
		printf("%s.%s %" JSON_INTEGER_FORMAT "%s\n", group, name, value, rate);
}

static int print_counters(const struct input *input)
{
	const char *group, *name;
	json_t *counters, *value, *reply;
	int status = icpctl_ask(input->ctl, "GET", "/v1/counters", NULL, &reply, NULL);

	if (status == 0 && input->ctl->json) {
		icpctl_print_json(reply);
	} else {
		json_object_foreach (reply, group, counters)
			json_object_foreach (counters, name, value)
				print_counter(input, group, name, json_integer_value(value), "");
	}
	json_decref(reply);
	return status;
}

/* --- within a time */

static void print_growth(const struct input *input, const json_t *before, const json_t *now,
			 double seconds)
{
	const char *group, *name;
	json_t *counters, *value;

	json_object_foreach ((json_t *)now, group, counters) {
		const json_t *last = json_object_get(before, group);

		json_object_foreach (counters, name, value) {
			json_int_t growth = rates_growth(last, counters, name);
			char rate[32];

			snprintf(rate, sizeof(rate), input->verbose ? " %10.1f/s" : " %.1f/s",
				 (double)growth / seconds);
			if (growth || strcmp(group, "answered") == 0)
				print_counter(input, group, name, growth, rate);
		}
	}
}

static void print_growth_json(const json_t *before, const json_t *now, double seconds)
{
	json_t *all = icpctl_must(json_pack("{s:b, s:f}", "ok", 1, "seconds", seconds));
	const char *group, *name;
	json_t *counters, *value;

	json_object_foreach ((json_t *)now, group, counters) {
		const json_t *last = json_object_get(before, group);
		json_t *one = json_object();

		json_object_foreach (counters, name, value)
			json_object_set_new(one, name,
					    json_pack("{s:I, s:f}", "count",
						      rates_growth(last, counters, name), "rate",
						      rates_of(last, counters, name, seconds)));
		json_object_set_new(all, group, one);
	}
	icpctl_print_json(all);
	json_decref(all);
}

/* Keep the groups of counters of a status. */
static json_t *counters_of(const json_t *status)
{
	return icpctl_must(json_pack(
		"{s:O*, s:O*, s:O*, s:O*}", "answered", json_object_get(status, "answered"),
		"passed", json_object_get(status, "passed"), "silent",
		json_object_get(status, "silent"), "failed", json_object_get(status, "failed")));
}

/*
 * A restart of the daemon begins the interval again: its counters start at 0, the kernel's do not.
 */
static int print_diff(const struct input *input)
{
	const struct timespec pause = { .tv_sec = (time_t)input->diff };
	json_t *before = NULL, *now = NULL;
	json_t *counters, *last;
	double seconds = 0;
	int status;

	do {
		if (before)
			nanosleep(&pause, NULL);
		status = icpctl_ask(input->ctl, "GET", "/v1/status", NULL, &now, NULL);
		if (status)
			break;
		seconds = rates_seconds(before, now);
		if (seconds > 0)
			break;
		if (before)
			fputs("icpctl: the daemon was restarted meanwhile; beginning again\n",
			      stderr);
		json_decref(before);
		before = now;
	} while (true);
	if (status == 0) {
		counters = counters_of(now);
		last = counters_of(before);
		if (input->ctl->json)
			print_growth_json(last, counters, seconds);
		else
			print_growth(input, last, counters, seconds);
		json_decref(counters);
		json_decref(last);
		json_decref(now);
	}
	json_decref(before);
	return status;
}

/* --- options */

static const struct argp_option options[] = {
	{ "diff", OPTION_DIFF, "SECONDS", OPTION_ARG_OPTIONAL,
	  "print what is counted within SECONDS (1), and the rates" },
	{ "verbose", 'v', NULL, 0, "print what each counter counts" },
	{ 0 },
};

static error_t parse(int key, char *argument, struct argp_state *state)
{
	struct input *input = state->input;

	switch (key) {
	case OPTION_DIFF:
		input->diff = DIFF_SECONDS;
		if (argument && !icpctl_number(argument, 1, DIFF_SECONDS_MAX, &input->diff))
			return icpctl_usage(state, input->ctl,
					    "--diff '%s': must be 1 to %d seconds", argument,
					    DIFF_SECONDS_MAX);
		return 0;
	case 'v':
		input->verbose = true;
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

static const struct argp argp = {
	.options = options,
	.parser = parse,
	.doc = "Prints the counters, one a line. The kernel counts what it passes up (passed), the "
	       "daemon what it is silent on (silent) and what went wrong (failed).\v"
	       "With --diff, counters that have not grown are left out, except for those of "
	       "replies.",
};

int icpctl_stats(struct icpctl *ctl, int argc, char **argv)
{
	struct input input = { .ctl = ctl };
	int status = icpctl_parse(ctl, &argp, 0, argc, argv, &input);

	if (status)
		return status;
	return input.diff ? print_diff(&input) : print_counters(&input);
}
