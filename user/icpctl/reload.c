// SPDX-License-Identifier: GPL-2.0-or-later
/* icpctl reload: make the daemon read its configuration again. */
#include <stdio.h>

#include "icpctl/icpctl.h"

static const struct argp argp = {
	.doc = "Makes the daemon read its configuration again. A mistake is reported here and "
	       "changes nothing. Options that only a restart changes are named.",
};

static void print(const json_t *reply)
{
	const char *restart = icpctl_string(reply, "restart");

	if (*restart)
		printf("%s: the change takes effect at the next start\n", restart);
}

int icpctl_reload(struct icpctl *ctl, int argc, char **argv)
{
	int status = icpctl_parse(ctl, &argp, 0, argc, argv, NULL);

	return status ? status : icpctl_show(ctl, "POST", "/v1/reload", NULL, print);
}
