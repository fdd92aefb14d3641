// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The command line tool: controls the daemon over its control socket, and queries ICP servers over
 * UDP.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "icpctl/icpctl.h"
#include "lib/output.h"

static int run_help(struct icpctl *ctl, int argc, char **argv);

static const struct {
	const char *name;
	icpctl_run run;
	const char *usage;
	const char *help;
} commands[] = {
	{ "query", icpctl_query, " [-s ADDR[:PORT]]... [-n COUNT] [--dump] URL...",
	  "query ICP servers, as a cache does" },
	{ "check", icpctl_check, " [--source=ADDR] URL...",
	  "what the reply would be, why, and from whom: kernel or daemon" },
	{ "policy", icpctl_policy, " list | add NAME KEY=VALUE... | remove NAME",
	  "list and change the policies while the daemon runs" },
	{ "recent", icpctl_recent,
	  " list POLICY | add POLICY URL... | del POLICY URL... | flush POLICY",
	  "list and change what a policy of the kind recent knows" },
	{ "cluster", icpctl_cluster, " status | drain MEMBER | undrain MEMBER",
	  "the members of clusters; take one out of the order, and put it back" },
	{ "cluster", icpctl_cluster, " assign PREFIX MEMBER|VERDICT | unassign PREFIX",
	  "give URLs to a member, or all members the same verdict for them" },
	{ "cluster", icpctl_cluster, " plan [OPTION...] FILE|-",
	  "which requests of an access log a change would move, and where" },
	{ "rules", icpctl_rules,
	  " list | add PREFIX VERDICT | del PREFIX... | load|replace FILE | flush",
	  "list and edit the operator's rules, which stand before all policies" },
	{ "rules", icpctl_rules, " key PREFIX [VERDICT]",
	  "print the bpftool commands that insert and remove a rule" },
	{ "status", icpctl_status, " [--watch[=SECONDS]]", "print the state of the daemon" },
	{ "stats", icpctl_stats, " [-v] [--diff[=SECONDS]]",
	  "print all counters, or their growth" },
	{ "top", icpctl_top, " [--interval=SECONDS]",
	  "fill the terminal with rates and states, refreshed" },
	{ "trace", icpctl_trace, " [-n COUNT] [-t SECONDS] [-u PREFIX] [--source=ADDR]",
	  "print queries as they are processed" },
	{ "drain", icpctl_drain, " [--save] [--verdict=VERDICT|silence]",
	  "give every query the same verdict, so that front ends use other hosts" },
	{ "undrain", icpctl_undrain, "", "end a drain" },
	{ "reload", icpctl_reload, "", "read the configuration again" },
	{ "config", icpctl_config, " dump",
	  "print the configuration in effect, with what was added at run time" },
	{ "help", run_help, " [COMMAND]", "print this text, or that of `icpctl COMMAND --help'" },
};

#define COMMANDS (sizeof(commands) / sizeof(commands[0]))

struct input {
	struct icpctl *ctl;
	icpctl_run run;
	char *name;  /* of the command */
	int command; /* its index in argv */
};

/* Return NULL after reporting that there is no such command. */
static icpctl_run find_command(const struct argp_state *state, struct icpctl *ctl, const char *name)
{
	for (size_t i = 0; i < COMMANDS; i++)
		if (strcmp(commands[i].name, name) == 0)
			return commands[i].run;
	icpctl_usage(state, ctl, "there is no command '%s'", name);
	return NULL;
}

static error_t parse(int key, char *argument, struct argp_state *state)
{
	struct input *input = state->input;

	switch (key) {
	case ARGP_KEY_ARG:
		input->run = find_command(state, input->ctl, argument);
		if (!input->run)
			return EINVAL;
		input->name = argument;
		input->command = state->next - 1;
		state->next = state->argc; /* the rest is for the command */
		return 0;
	case ARGP_KEY_NO_ARGS:
		return icpctl_usage(state, input->ctl, "COMMAND is missing");
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

/* Insert the list of commands before the final text of --help. */
static char *add_commands(int key, const char *text, void *input)
{
	char *help = NULL;
	size_t length;
	FILE *out;

	if (key != ARGP_KEY_HELP_POST_DOC)
		return (char *)text;
	out = icpctl_must(open_memstream(&help, &length));
	fputs("Commands:\n", out);
	for (size_t i = 0; i < COMMANDS; i++)
		fprintf(out, "  %s%s\n      %s\n", commands[i].name, commands[i].usage,
			commands[i].help);
	fprintf(out, "\n%s", text);
	fclose(out);
	return icpctl_must(help);
}

static const struct argp argp = {
	.parser = parse,
	.args_doc = "COMMAND [ARGUMENT...]",
	.doc = "Controls xdp-icpd, and queries any ICP server. See `icpctl COMMAND --help' for "
	       "each command.\v"
	       "In a URL or PREFIX, \\xHH stands for the byte HH and \\\\ for a backslash.\n"
	       "\n"
	       "Exit status:\n"
	       "  0  success\n"
	       "  1  bad usage or input, or output that could not be written\n"
	       "  2  the daemon cannot be reached, or sends nothing for 10 s\n"
	       "  3  the daemon refused\n"
	       "  4  query: at least one query got no well-formed reply in time",
	.help_filter = add_commands,
};

/* Run a command with its arguments; argv[0] is replaced. */
static int run_command(struct icpctl *ctl, const struct input *input, int argc, char **argv)
{
	char *name;
	int status;

	if (asprintf(&name, "icpctl %s", input->name) < 0)
		icpctl_must(NULL);
	argv[0] = name;
	status = input->run(ctl, argc, argv);
	free(name);
	return status;
}

/* --- icpctl help */

static error_t parse_help(int key, char *argument, struct argp_state *state)
{
	struct input *input = state->input;

	if (key != ARGP_KEY_ARG || input->run)
		return ARGP_ERR_UNKNOWN;
	input->name = argument;
	input->run = find_command(state, input->ctl, argument);
	return input->run ? 0 : EINVAL;
}

static const struct argp help_argp = {
	.parser = parse_help,
	.args_doc = "[COMMAND]",
	.doc = "Prints the options and commands of icpctl, or those of a command.",
};

static int run_help(struct icpctl *ctl, int argc, char **argv)
{
	char *asked[] = { (char *)"icpctl", (char *)"--help", NULL };
	struct input input = { .ctl = ctl };
	int status = icpctl_parse(ctl, &help_argp, 0, argc, argv, &input);

	if (status)
		return status;
	if (input.run)
		return run_command(ctl, &input, 2, asked);
	return icpctl_parse(ctl, &argp, ARGP_IN_ORDER, 2, asked, &input);
}

int main(int argc, char **argv)
{
	struct icpctl ctl = { .socket = ICPCTL_SOCKET };
	struct input input = { .ctl = &ctl };
	struct error error;
	int status;

	argp_err_exit_status = ICPCTL_USAGE;
	status = icpctl_parse(&ctl, &argp, ARGP_IN_ORDER, argc, argv, &input);
	if (status == 0)
		status = run_command(&ctl, &input, argc - input.command, argv + input.command);
	if (output_close(&error)) {
		fprintf(stderr, "icpctl: %s\n", error.text);
		return ICPCTL_USAGE;
	}
	return status;
}
