/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The requests of a file, for `icpctl cluster plan`: URLs, one a line, or an access log (recent/line.h).
 * It is read as a stream, so that its size does not matter.
 */
#ifndef XDP_ICP_PLAN_INPUT_H
#define XDP_ICP_PLAN_INPUT_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "lib/error.h"

struct plan_input {
	const char *name;   /* of the file, for messages */
	const char *format; /* "urls", or as for line_format_new(); NULL: that of the first line */
	const char *scheme; /* of paths in a log */
	const char *host;   /* the same; NULL: such lines are skipped */
};

struct plan_input_sum {
	uint64_t requests;
	uint64_t skipped; /* lines that are no requests, except for empty ones */
};

/* Receives a URL. -1 with an error ends the reading. */
typedef int (*plan_input_url)(void *context, const char *url, size_t length, struct error *error);

/* Read all of a file. -1 with an error, also if there is not a single request in it. */
int plan_input_read(FILE *file, const struct plan_input *input, plan_input_url url, void *context,
		    struct plan_input_sum *sum, struct error *error);

#endif
