/* SPDX-License-Identifier: GPL-2.0-or-later */
/* An error on its way to a person: one line that names the thing and the remedy. */
#ifndef XDP_ICP_ERROR_H
#define XDP_ICP_ERROR_H

struct error {
	char text[1024]; /* NUL-terminated, no newline at the end */
};

/* Writes the text, cut at the end if too long. */
void error_write(struct error *error, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

/* The same, and is -1: for `return error_set(...)`, and for those who read code by machine. */
#define error_set(...)                                                                             \
	({                                                                                         \
		error_write(__VA_ARGS__);                                                          \
		-1;                                                                                \
	})

/* Puts a text before what stands there already. Returns -1. */
int error_prefix(struct error *error, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

#endif
