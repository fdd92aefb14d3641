// SPDX-License-Identifier: GPL-2.0-or-later
/* icpctl reload: make the daemon read its configuration again. */
#include "icpctl/icpctl.h"

static const struct argp argp = {
	.doc = "Makes the daemon read its configuration again. A mistake is reported here and "
	       "changes nothing.",
};

int icpctl_reload(struct icpctl *ctl, int argc, char **argv)
{
	int status = icpctl_parse(ctl, &argp, 0, argc, argv, NULL);

	return status ? status : icpctl_tell(ctl, "POST", "/v1/reload", NULL);
}
