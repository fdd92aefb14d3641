// SPDX-License-Identifier: GPL-2.0-or-later
#include <stdio.h>
#include <stdlib.h>

#include "lib/standard_options.h"

#define OPTION_USAGE 0x180 /* no character, and no key of a program */

static error_t parse(int key, char *argument, struct argp_state *state)
{
	switch (key) {
	case 'h':
	case '?':
		argp_state_help(state, stdout,
				ARGP_HELP_STD_HELP & ~(ARGP_HELP_EXIT_OK | ARGP_HELP_BUG_ADDR));
		break;
	case OPTION_USAGE:
		argp_state_help(state, stdout, ARGP_HELP_USAGE);
		break;
	case 'V':
		puts(argp_program_version);
		break;
	default:
		return ARGP_ERR_UNKNOWN;
	}
	exit(fclose(stdout) ? argp_err_exit_status : EXIT_SUCCESS);
}

static const struct argp_option options[] = {
	{ "help", 'h', NULL, 0, "this text", -1 },
	{ NULL, '?', NULL, OPTION_ALIAS | OPTION_HIDDEN, NULL, -1 },
	{ "usage", OPTION_USAGE, NULL, 0, "a short usage", -1 },
	{ "version", 'V', NULL, 0, "the version", -1 },
	{ 0 },
};

static const struct argp standard_options = { .options = options, .parser = parse };

const struct argp_child standard_children[] = { { &standard_options, 0, NULL, 0 }, { 0 } };
