/* SPDX-License-Identifier: GPL-2.0-or-later */
/* An error message: one line that names the thing and the remedy. */
#ifndef XDP_ICP_ERROR_H
#define XDP_ICP_ERROR_H

struct error {
	char text[1024]; /* NUL-terminated, no newline at the end */
};

/* Set the text; truncated if it is too long. */
void error_write(struct error *error, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

/* The same as an expression of value -1, which analyzers see: for `return error_set(...)`. */
#define error_set(...)                                                                             \
	({                                                                                         \
		error_write(__VA_ARGS__);                                                          \
		-1;                                                                                \
	})

/* Prepend to the text. Returns -1. */
int error_prefix(struct error *error, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

#endif
