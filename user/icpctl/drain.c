// SPDX-License-Identifier: GPL-2.0-or-later
/* icpctl drain, undrain: make front ends use other hosts, and end that. */
#include "icpctl/icpctl.h"
#include "icp/opcode.h"

enum {
	OPTION_VERDICT = 0x200,
	OPTION_SAVE
};

struct input {
	const char *verdict; /* NULL: not given */
	bool save;
};

static error_t parse(int key, char *argument, struct argp_state *state)
{
	struct input *input = state->input;

	switch (key) {
	case OPTION_VERDICT:
		input->verdict = argument;
		return 0;
	case OPTION_SAVE:
		input->save = true;
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

static const struct argp_option drain_options[] = {
	{ "verdict", OPTION_VERDICT, "VERDICT", 0,
	  "the verdict that every query gets: " VERDICT_NAMES ", or silence (miss_nofetch)" },
	{ "save", OPTION_SAVE, NULL, 0, "keep it for restarts, until `icpctl undrain`" },
	{ 0 },
};

static const struct argp drain_argp = {
	.options = drain_options,
	.parser = parse,
	.doc = "Gives every query the same verdict, before rules and policies, in the kernel as "
	       "well, until `icpctl undrain`. With silence front ends wait, and then take the host "
	       "for dead.",
};

int icpctl_drain(struct icpctl *ctl, int argc, char **argv)
{
	struct input input = { 0 };
	int status = icpctl_parse(ctl, &drain_argp, 0, argc, argv, &input);

	if (status)
		return status;
	return icpctl_tell(ctl, "PUT", input.save ? "/v1/drain?save=true" : "/v1/drain",
			   icpctl_must(json_pack("{s:o*}", "verdict", icpctl_word(input.verdict))));
}

static const struct argp undrain_argp = {
	.doc = "Ends a drain, including one that --save keeps: rules and policies decide again "
	       "from the next query on.",
};

int icpctl_undrain(struct icpctl *ctl, int argc, char **argv)
{
	int status = icpctl_parse(ctl, &undrain_argp, 0, argc, argv, NULL);

	return status ? status : icpctl_tell(ctl, "DELETE", "/v1/drain", NULL);
}
