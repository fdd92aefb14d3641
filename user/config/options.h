/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The options of the configuration: how each is set and compared, and its default. */
#ifndef XDP_ICP_CONFIG_OPTIONS_H
#define XDP_ICP_CONFIG_OPTIONS_H

#include "config/config.h"

#define CONFIG_VALUE_SIZE 64 /* bytes, with the NUL, of a value that is not a text */

struct config_option {
	const char *name;
	size_t offset, size; /* of the members of struct config, in bytes */
	/* Sets one value; NULL: a number from min to max. Returns -1 with an error. */
	int (*set)(struct config *config, const char *text, struct error *error);
	long min, max;
	bool duration; /* the number is a duration; min and max are in milliseconds */
	bool list;     /* takes more than one value */
	bool restart;  /* only a restart can change it */
	/*
	 * Returns a value as `set` takes it, maybe in `buffer`, NULL if there are no more than `index`. For
	 * options with `set`.
	 */
	const char *(*get)(const struct config *config, const struct config_option *option,
			   size_t index, char buffer[CONFIG_VALUE_SIZE]);
	/* NULL: compare the bytes */
	bool (*same)(const struct config *a, const struct config *b, size_t offset);
};

/* Ends with a name of NULL. */
extern const struct config_option config_options[];

/* Set one value. Returns -1 with an error that does not name the place. */
int config_set(struct config *config, const struct config_option *option, const char *text,
	       struct error *error);

/* Return a value as text, maybe in `buffer`; NULL: there are no more than `index`. */
const char *config_get(const struct config *config, const struct config_option *option,
		       size_t index, char buffer[CONFIG_VALUE_SIZE]);

/* Returns the default configuration, without `listen`. NULL: out of memory. */
struct config *config_default(void);

/* Listen on both wildcard addresses, unless an address was set. Returns -1 with an error. */
int config_default_listen(struct config *config, struct error *error);

#endif
