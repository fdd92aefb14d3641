/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A policy as written by the operator: a name and settings, each a list of texts with the places
 * where they were written. Independent of configuration files and of the kinds of policies, so that
 * both the configuration and a command line can create one.
 */
#ifndef XDP_ICP_POLICY_SPEC_H
#define XDP_ICP_POLICY_SPEC_H

#include <stdbool.h>
#include <stddef.h>

#include "lib/error.h"
#include "icp.h"

struct spec_value {
	char *text;
	char *where; /* for messages: FILE:LINE, or another description of the place */
};

struct spec_setting {
	char *key;
	size_t count; /* of values, at least 1 */
	struct spec_value *values;
};

struct policy_spec {
	char *name;
	char *where;
	bool at_run_time; /* from a command, and not in the configuration */
	size_t count;	  /* of settings, in the order in which they were first added */
	struct spec_setting *settings;
};

/* Create a spec without settings; all texts are copied. NULL: out of memory. */
struct policy_spec *policy_spec_new(const char *name, const char *where);

/* `spec` may be NULL. */
void policy_spec_free(struct policy_spec *spec);

/* Append a value to a setting, which is created if needed. -1: out of memory. */
int policy_spec_add(struct policy_spec *spec, const char *key, const char *text, const char *where);

/* Return the setting with that key, or NULL. */
const struct spec_setting *policy_spec_find(const struct policy_spec *spec, const char *key);

/* Return the place of the spec of that name in a list, or NULL. */
struct policy_spec **policy_specs_find(struct policy_spec **list, size_t count, const char *name);

/* Return the list in the order of the names, for free(). NULL: out of memory. */
struct policy_spec **policy_specs_sorted(struct policy_spec *const *list, size_t count);

/*
 * Getters for settings with a single value. They return 1 and set the result if the setting
 * exists, 0 and leave the result unchanged if it does not, and -1 with an error if it has several
 * values or is malformed. Durations are in milliseconds; bounds are inclusive.
 */
int policy_spec_text(const struct policy_spec *spec, const char *key,
		     const struct spec_value **value, struct error *error);
int policy_spec_bool(const struct policy_spec *spec, const char *key, bool *value,
		     struct error *error);
int policy_spec_number(const struct policy_spec *spec, const char *key, long min, long max,
		       long *value, struct error *error);
int policy_spec_decimal(const struct policy_spec *spec, const char *key, double max, double *value,
			struct error *error);
int policy_spec_duration(const struct policy_spec *spec, const char *key, unsigned int min,
			 unsigned int max, unsigned int *milliseconds, struct error *error);
/* A duration of whole seconds; `max` in seconds too. */
int policy_spec_seconds(const struct policy_spec *spec, const char *key, unsigned int min,
			unsigned int max, unsigned int *seconds, struct error *error);
int policy_spec_verdict(const struct policy_spec *spec, const char *key, enum icp_opcode *value,
			struct error *error);

/*
 * Parsers of single values. They return -1 with an error that does not name the place.
 *
 * Parse `true`, `yes`, `on` or `false`, `no`, `off`.
 */
int parse_bool(const char *text, bool *value, struct error *error);

/* Parse a decimal integer from `min` to `max`. */
int parse_number(const char *text, long min, long max, long *value, struct error *error);

/* Parse a number such as 4 or 0.75, from 0 to `max`. */
int parse_decimal(const char *text, double max, double *value, struct error *error);

/* Parse a duration with its unit, such as 200ms, 5s, 2m or 1h, from `min` to `max` milliseconds. */
int parse_duration(const char *text, unsigned int min, unsigned int max, unsigned int *milliseconds,
		   struct error *error);

#endif
