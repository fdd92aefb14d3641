// SPDX-License-Identifier: GPL-2.0-or-later
/* icpctl config: the configuration in effect. */
#include <stdio.h>

#include "icpctl/icpctl.h"

struct input {
	struct icpctl *ctl;
	struct icpctl_words words;
};

static void print_lines(const json_t *reply)
{
	const json_t *line;
	size_t i;

	json_array_foreach (json_object_get(reply, "lines"), i, line)
		puts(json_string_value(line) ?: "");
}

static int run_dump(const void *context)
{
	const struct input *input = context;

	return icpctl_show(input->ctl, "GET", "/v1/config", NULL, print_lines);
}

static const struct icpctl_action actions[] = {
	{ "dump", "", 1, 1, run_dump },
	{ NULL },
};

static error_t parse(int key, char *argument, struct argp_state *state)
{
	struct input *input = state->input;

	return icpctl_parse_words(key, state, input->ctl, actions, &input->words);
}

static const struct argp argp = {
	.parser = parse,
	.args_doc = "dump",
	.doc = "Prints the configuration in effect: the options with their values, defaults "
	       "included, the policies of all files, and those that were added at run time. The "
	       "output is a configuration, which `xdp-icpd -c' reads.\v"
	       "Environment variables are replaced by their values, so it may hold secrets; only "
	       "root and the daemon's user may read it. Lists in files are not part of it.",
};

int icpctl_config(struct icpctl *ctl, int argc, char **argv)
{
	struct input input = { .ctl = ctl };
	int status = icpctl_parse(ctl, &argp, 0, argc, argv, &input);

	return status ? status : input.words.action->run(&input);
}
