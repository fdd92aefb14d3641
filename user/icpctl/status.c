// SPDX-License-Identifier: GPL-2.0-or-later
/* icpctl status: the state of the daemon, once or again and again. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "icpctl/icpctl.h"
#include "icpctl/rates.h"
#include "lib/clock.h"

#define WATCH_SECONDS 2
#define WATCH_SECONDS_MAX 86400

#define OPTION_WATCH 0x200

struct input {
	struct icpctl *ctl;
	unsigned long watch; /* seconds; 0: once */
};

static void __attribute__((format(printf, 2, 3)))
print_line(const char *name, const char *format, ...)
{
	va_list args;

	printf("%-11s ", name);
	va_start(args, format);
	vprintf(format, args);
	va_end(args);
	putchar('\n');
}

static void print_interfaces(const json_t *interfaces)
{
	const char *name = "interfaces";
	const json_t *interface;
	size_t i;

	json_array_foreach (interfaces, i, interface) {
		print_line(name, "%s, %s, program %" JSON_INTEGER_FORMAT "%s",
			   icpctl_string(interface, "name"), icpctl_string(interface, "mode"),
			   icpctl_integer(interface, "program_id"),
			   json_is_true(json_object_get(interface, "dispatcher"))
				   ? " behind libxdp's dispatcher"
				   : "");
		name = "";
	}
	if (json_array_size(interfaces) == 0)
		print_line(name, "none");
}

static void print_listen(const json_t *listen)
{
	const char *name = "listen";
	const json_t *address;
	size_t i;

	json_array_foreach (listen, i, address) {
		print_line(name, "%s", json_string_value(address));
		name = "";
	}
}

/* Print "12 of at most 100", or the number alone if there is no limit. */
static void print_occupancy(const json_t *reply, const char *name, const char *limit)
{
	if (json_is_null(json_object_get(reply, name)))
		print_line(name, "not counted yet");
	else if (json_is_integer(json_object_get(reply, limit)))
		print_line(name, "%" JSON_INTEGER_FORMAT " of at most %" JSON_INTEGER_FORMAT,
			   icpctl_integer(reply, name), icpctl_integer(reply, limit));
	else
		print_line(name, "%" JSON_INTEGER_FORMAT, icpctl_integer(reply, name));
}

static void print_uptime(json_int_t seconds)
{
	int days = (int)(seconds / 86400);
	int rest = (int)(seconds % 86400);

	if (days)
		print_line("uptime", "%d d %d h %d min", days, rest / 3600, rest / 60 % 60);
	else if (rest >= 3600)
		print_line("uptime", "%d h %d min", rest / 3600, rest / 60 % 60);
	else
		print_line("uptime", "%d min %d s", rest / 60, rest % 60);
}

/* Print the counters of a group that are not 0; `stats` prints all. */
static void print_group(const json_t *before, const json_t *reply, const char *group)
{
	const json_t *last = json_object_get(before, group);
	json_t *counters = json_object_get(reply, group);
	double seconds = rates_seconds(before, reply);
	const char *title = group;
	const char *name;
	json_t *value;

	json_object_foreach (counters, name, value) {
		if (json_integer_value(value) == 0)
			continue;
		printf("%-11s %s %" JSON_INTEGER_FORMAT, title, name, json_integer_value(value));
		if (rates_growth(last, counters, name) && seconds > 0)
			printf(" (%.1f/s)", rates_of(last, counters, name, seconds));
		putchar('\n');
		title = "";
	}
}

static void print_answered(const json_t *before, const json_t *reply)
{
	const json_t *last = json_object_get(before, "answered");
	const json_t *answered = json_object_get(reply, "answered");
	double seconds = rates_seconds(before, reply);

	print_line("answered",
		   "%" JSON_INTEGER_FORMAT " by the kernel, %" JSON_INTEGER_FORMAT " by the daemon",
		   icpctl_integer(answered, "kernel"), icpctl_integer(answered, "daemon"));
	if (seconds > 0)
		print_line("", "%.1f/s by the kernel, %.1f/s by the daemon",
			   rates_of(last, answered, "kernel", seconds),
			   rates_of(last, answered, "daemon", seconds));
}

static void print_reloads(const json_t *reply)
{
	const json_t *last = json_object_get(reply, "last_reload");
	const char *error = json_string_value(json_object_get(last, "error"));
	char when[CLOCK_TEXT_SIZE];

	clock_text(icpctl_integer(last, "time"), when);
	if (error)
		print_line("reloads", "%" JSON_INTEGER_FORMAT ", and that of %s failed: %s",
			   icpctl_integer(reply, "reloads"), when, error);
	else if (json_is_object(last))
		print_line("reloads", "%" JSON_INTEGER_FORMAT ", the last %s",
			   icpctl_integer(reply, "reloads"), when);
	else
		print_line("reloads", "%" JSON_INTEGER_FORMAT, icpctl_integer(reply, "reloads"));
}

static void print_states(const json_t *states)
{
	const char *name = "";
	const json_t *state;
	size_t i;

	json_array_foreach (states, i, state) {
		printf("%-11s %s: ", name, icpctl_string(state, "policy"));
		icpctl_print_state(state);
	}
}

static void print_clusters(const json_t *clusters)
{
	const char *name = "clusters";
	const json_t *cluster;
	size_t i;

	json_array_foreach (clusters, i, cluster) {
		printf("%-11s ", name);
		icpctl_print_cluster(cluster);
		name = "";
	}
}

/* `before` is an earlier status, for rates, or NULL. */
static void print_status(const json_t *before, const json_t *reply)
{
	const char *reason = json_string_value(json_object_get(reply, "reason"));
	const char *horizon = json_string_value(json_object_get(reply, "horizon"));
	const char *drain = json_string_value(json_object_get(reply, "drain"));
	const char *metrics = json_string_value(json_object_get(reply, "metrics"));
	const char *saved = json_string_value(json_object_get(reply, "drain_saved"));

	print_line("mode", "%s", icpctl_string(reply, "mode"));
	if (reason && *reason)
		print_line("reason", "%s", reason);
	print_interfaces(json_object_get(reply, "interfaces"));
	print_listen(json_object_get(reply, "listen"));
	print_line("policies", "%" JSON_INTEGER_FORMAT, icpctl_integer(reply, "policies"));
	print_states(json_object_get(reply, "states"));
	print_clusters(json_object_get(reply, "clusters"));
	print_line("prefixes", "%" JSON_INTEGER_FORMAT, icpctl_integer(reply, "prefixes"));
	if (json_object_get(reply, "prefixes_used"))
		print_line("in kernel", "%" JSON_INTEGER_FORMAT " of at most %" JSON_INTEGER_FORMAT,
			   icpctl_integer(reply, "prefixes_used"),
			   icpctl_integer(reply, "prefixes_max"));
	print_occupancy(reply, "rules", "rules_max");
	print_line("default", "%s", icpctl_string(reply, "default"));
	if (drain)
		print_line("drain", "%s to every query, until `icpctl undrain`%s%s", drain,
			   saved ? "; after a restart " : "", saved ? saved : "");
	if (horizon)
		print_line("horizon", "%s: the kernel passes up what may depend on it (%s)",
			   horizon, icpctl_string(reply, "horizon_why"));
	print_answered(before, reply);
	print_group(before, reply, "passed");
	print_group(before, reply, "silent");
	print_group(before, reply, "failed");
	print_uptime(icpctl_integer(reply, "uptime"));
	print_reloads(reply);
	print_line("generation", "%" JSON_INTEGER_FORMAT, icpctl_integer(reply, "generation"));
	print_line("config", "%s", icpctl_string(reply, "config"));
	print_line("daemon", "xdp-icpd %s, pid %" JSON_INTEGER_FORMAT,
		   icpctl_string(reply, "version"), icpctl_integer(reply, "pid"));
	print_line("pin_dir", "%s", icpctl_string(reply, "pin_dir"));
	if (metrics)
		print_line("metrics", "http://%s/metrics", metrics);
}

static void print_now(const json_t *reply)
{
	print_status(NULL, reply);
}

/* --- again and again */

static bool clears_screen(void)
{
	const char *terminal = getenv("TERM");

	return isatty(STDOUT_FILENO) && terminal && strcmp(terminal, "dumb") != 0;
}

/* Print one reply, or what is wrong, as one write: a screen does not flicker. */
static void print_frame(const struct icpctl *ctl, const json_t *before, const json_t *reply,
			const struct error *error)
{
	if (ctl->json && reply)
		json_dumpf(reply, stdout, JSON_COMPACT | JSON_REAL_PRECISION(6));
	else if (clears_screen())
		fputs("\033[H\033[J", stdout);
	if (!reply)
		fprintf(ctl->json ? stderr : stdout, "%s; trying again\n", error->text);
	else if (!ctl->json)
		print_status(before, reply);
	if ((ctl->json && reply) || (!ctl->json && !clears_screen()))
		putchar('\n');
	fflush(stdout);
}

/*
 * Print the status every few seconds, also after the daemon has gone away and come back. Return an
 * exit status if there is none at first, or the output cannot be written.
 */
static int watch(const struct input *input)
{
	struct icpctl *ctl = input->ctl;
	const struct timespec pause = { .tv_sec = (time_t)input->watch };
	static char frame[1 << 16];
	enum control_result result;
	json_t *before = NULL, *reply;
	struct error error;
	bool first = true;

	setvbuf(stdout, frame, _IOFBF, sizeof(frame));
	do {
		result = control_ask(ctl->socket, "GET", "/v1/status", NULL, &reply, &error);
		if (first && result != CONTROL_OK)
			return icpctl_failed(ctl, result, &error);
		first = false;
		print_frame(ctl, before, reply, &error);
		json_decref(before);
		before = reply;
	} while (!ferror(stdout) && nanosleep(&pause, NULL) == 0);
	json_decref(before);
	return ICPCTL_OK;
}

static const struct argp_option options[] = {
	{ "watch", OPTION_WATCH, "SECONDS", OPTION_ARG_OPTIONAL,
	  "print it again every SECONDS (2), with rates, until Ctrl-C" },
	{ 0 },
};

static error_t parse(int key, char *argument, struct argp_state *state)
{
	struct input *input = state->input;

	if (key != OPTION_WATCH)
		return ARGP_ERR_UNKNOWN;
	input->watch = WATCH_SECONDS;
	if (argument && !icpctl_number(argument, 1, WATCH_SECONDS_MAX, &input->watch))
		return icpctl_usage(state, input->ctl, "--watch '%s': must be 1 to %d seconds",
				    argument, WATCH_SECONDS_MAX);
	return 0;
}

static const struct argp argp = {
	.options = options,
	.parser = parse,
	.doc = "Prints the state of the daemon, and the counters that are not 0.\v"
	       "With --watch, --json prints an object a line.",
};

int icpctl_status(struct icpctl *ctl, int argc, char **argv)
{
	struct input input = { .ctl = ctl };
	int status = icpctl_parse(ctl, &argp, 0, argc, argv, &input);

	if (status)
		return status;
	if (input.watch)
		return watch(&input);
	return icpctl_show(ctl, "GET", "/v1/status", NULL, print_now);
}
