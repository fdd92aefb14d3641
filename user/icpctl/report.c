// SPDX-License-Identifier: GPL-2.0-or-later
/* icpctl status, stats, reload: the state of the daemon. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "counters.h"
#include "icpctl/icpctl.h"
#include "lib/clock.h"

struct input {
	struct icpctl *ctl;
	bool verbose;
};

/* --- common */

/*
 * Parse the options, send the request, and print with --json. Return 0 and the response, or an exit
 * status.
 */
static int report(struct input *input, const struct argp *argp, int argc, char **argv,
		  const char *method, const char *resource, json_t **reply)
{
	int status = icpctl_parse(input->ctl, argp, 0, argc, argv, input);

	if (status == 0)
		status = icpctl_ask(input->ctl, method, resource, NULL, reply, NULL);
	if (status == 0 && input->ctl->json)
		icpctl_print_json(*reply);
	return status;
}

static json_int_t number_of(const json_t *object, const char *key)
{
	return json_integer_value(json_object_get(object, key));
}

/* --- counters */

static const char *counter_help(const char *group, const char *name)
{
	static const struct {
		const char *group;
		const char *name;
		const char *help;
	} counters[] = {
#define X(identifier, group, name, help) { group, name, help },
		ICP_COUNTERS(X)
#undef X
	};

	if (strcmp(group, "answered") == 0)
		return strcmp(name, "kernel") == 0 ? "queries that the XDP program answered"
						   : "queries that the daemon answered";
	for (size_t i = 0; i < sizeof(counters) / sizeof(counters[0]); i++)
		if (strcmp(counters[i].group, group) == 0 && strcmp(counters[i].name, name) == 0)
			return counters[i].help;
	return "";
}

static void print_counter(const char *group, const char *name, json_int_t value, bool verbose)
{
	if (verbose)
		printf("%s.%-*s %12" JSON_INTEGER_FORMAT "  %s\n", group, (int)(24 - strlen(group)),
		       name, value, counter_help(group, name));
	else
		printf("%s.%s %" JSON_INTEGER_FORMAT "\n", group, name, value);
}

static void print_counters(json_t *reply, bool verbose)
{
	const char *group;
	const char *name;
	json_t *counters;
	json_t *value;

	json_object_foreach (reply, group, counters)
		json_object_foreach (counters, name, value)
			print_counter(group, name, json_integer_value(value), verbose);
}

static const struct argp_option stats_options[] = {
	{ "verbose", 'v', NULL, 0, "print what each counter counts" },
	{ 0 },
};

static error_t parse_stats(int key, char *argument, struct argp_state *state)
{
	struct input *input = state->input;

	(void)argument;
	if (key != 'v')
		return ARGP_ERR_UNKNOWN;
	input->verbose = true;
	return 0;
}

static const struct argp stats_argp = {
	.options = stats_options,
	.parser = parse_stats,
	.doc = "Prints the counters, one a line. The kernel counts what it passes up (passed), the "
	       "daemon what it is silent on (silent) and what went wrong (failed).",
};

int icpctl_stats(struct icpctl *ctl, int argc, char **argv)
{
	struct input input = { .ctl = ctl };
	json_t *reply = NULL;
	int status = report(&input, &stats_argp, argc, argv, "GET", "/v1/counters", &reply);

	if (status == 0 && !ctl->json)
		print_counters(reply, input.verbose);
	json_decref(reply);
	return status;
}

/* --- status */

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
			   number_of(interface, "program_id"),
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
	if (json_is_integer(json_object_get(reply, limit)))
		print_line(name, "%" JSON_INTEGER_FORMAT " of at most %" JSON_INTEGER_FORMAT,
			   number_of(reply, name), number_of(reply, limit));
	else
		print_line(name, "%" JSON_INTEGER_FORMAT, number_of(reply, name));
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
static void print_group(const json_t *reply, const char *group)
{
	json_t *counters = json_object_get(reply, group);
	const char *title = group;
	const char *name;
	json_t *value;

	json_object_foreach (counters, name, value) {
		if (json_integer_value(value) == 0)
			continue;
		print_line(title, "%s %" JSON_INTEGER_FORMAT, name, json_integer_value(value));
		title = "";
	}
}

static void print_reloads(const json_t *reply)
{
	const json_t *last = json_object_get(reply, "last_reload");
	const char *error = json_string_value(json_object_get(last, "error"));
	char when[CLOCK_TEXT_SIZE];

	clock_text(number_of(last, "time"), when);
	if (error)
		print_line("reloads", "%" JSON_INTEGER_FORMAT ", and that of %s failed: %s",
			   number_of(reply, "reloads"), when, error);
	else if (json_is_object(last))
		print_line("reloads", "%" JSON_INTEGER_FORMAT ", the last %s",
			   number_of(reply, "reloads"), when);
	else
		print_line("reloads", "%" JSON_INTEGER_FORMAT, number_of(reply, "reloads"));
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

static void print_status(const json_t *reply)
{
	const json_t *answered = json_object_get(reply, "answered");
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
	print_line("policies", "%" JSON_INTEGER_FORMAT, number_of(reply, "policies"));
	print_states(json_object_get(reply, "states"));
	print_line("prefixes", "%" JSON_INTEGER_FORMAT, number_of(reply, "prefixes"));
	if (json_object_get(reply, "prefixes_used"))
		print_line("in kernel", "%" JSON_INTEGER_FORMAT " of at most %" JSON_INTEGER_FORMAT,
			   number_of(reply, "prefixes_used"), number_of(reply, "prefixes_max"));
	print_occupancy(reply, "rules", "rules_max");
	print_line("default", "%s", icpctl_string(reply, "default"));
	if (drain)
		print_line("drain", "%s to every query, until `icpctl undrain`%s%s", drain,
			   saved ? "; after a restart " : "", saved ? saved : "");
	if (horizon)
		print_line("horizon", "%s: the kernel passes up what may depend on it (%s)",
			   horizon, icpctl_string(reply, "horizon_why"));
	print_line("answered",
		   "%" JSON_INTEGER_FORMAT " by the kernel, %" JSON_INTEGER_FORMAT " by the daemon",
		   number_of(answered, "kernel"), number_of(answered, "daemon"));
	print_group(reply, "passed");
	print_group(reply, "silent");
	print_group(reply, "failed");
	print_uptime(number_of(reply, "uptime"));
	print_reloads(reply);
	print_line("generation", "%" JSON_INTEGER_FORMAT, number_of(reply, "generation"));
	print_line("config", "%s", icpctl_string(reply, "config"));
	print_line("daemon", "xdp-icpd %s, pid %" JSON_INTEGER_FORMAT,
		   icpctl_string(reply, "version"), number_of(reply, "pid"));
	print_line("pin_dir", "%s", icpctl_string(reply, "pin_dir"));
	if (metrics)
		print_line("metrics", "http://%s/metrics", metrics);
}

static const struct argp status_argp = {
	.doc = "Prints the state of the daemon, and the counters that are not 0.",
};

int icpctl_status(struct icpctl *ctl, int argc, char **argv)
{
	struct input input = { .ctl = ctl };
	json_t *reply = NULL;
	int status = report(&input, &status_argp, argc, argv, "GET", "/v1/status", &reply);

	if (status == 0 && !ctl->json)
		print_status(reply);
	json_decref(reply);
	return status;
}

/* --- reload */

static const struct argp reload_argp = {
	.doc = "Makes the daemon read its configuration again. A mistake is reported here and "
	       "changes nothing.",
};

int icpctl_reload(struct icpctl *ctl, int argc, char **argv)
{
	struct input input = { .ctl = ctl };
	json_t *reply = NULL;
	int status = report(&input, &reload_argp, argc, argv, "POST", "/v1/reload", &reply);

	json_decref(reply);
	return status;
}
