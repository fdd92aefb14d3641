// SPDX-License-Identifier: GPL-2.0-or-later
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "lib/output.h"

int output_close(struct error *error)
{
	bool failed = ferror(stdout); /* an earlier write, whose errno is lost */

	if (fclose(stdout) == 0 && !failed)
		return 0;
	return error_set(error, "cannot write the output%s%s", failed ? "" : ": ",
			 failed ? "" : strerror(errno));
}
