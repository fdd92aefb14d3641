/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A policy as somebody wrote it down: a name and settings, each a list of texts with the place
 * that they were written at. It knows neither configuration files nor kinds of policies, so that
 * both the configuration and a command line can make one.
 */
#ifndef XDP_ICP_POLICY_SPEC_H
#define XDP_ICP_POLICY_SPEC_H

#include <stdbool.h>
#include <stddef.h>

#include "lib/error.h"
#include "icp.h"

struct spec_value {
	char *text;
	char *where; /* for messages: FILE:LINE, or what else leads a person there */
};

struct spec_setting {
	char *key;
	size_t count; /* of values, at least 1 */
	struct spec_value *values;
};

struct policy_spec {
	char *name;
	char *where;
	size_t count; /* of settings, in the order in which they were first added */
	struct spec_setting *settings;
};

/* A spec without settings; all texts are copied. NULL: out of memory. */
struct policy_spec *policy_spec_new(const char *name, const char *where);

/* `spec` may be NULL. */
void policy_spec_free(struct policy_spec *spec);

/* Appends a value to a setting, which comes into being with its first. -1: out of memory. */
int policy_spec_add(struct policy_spec *spec, const char *key, const char *text, const char *where);

/* The setting of that key, or NULL. */
const struct spec_setting *policy_spec_find(const struct policy_spec *spec, const char *key);

/*
 * The getters for settings of one value. They return 1 and fill the result if the setting is
 * there, 0 and leave it alone if not, and -1 with an error if it has more values than one or is
 * not of the form wanted.
 */
int policy_spec_text(const struct policy_spec *spec, const char *key,
		     const struct spec_value **value, struct error *error);
int policy_spec_bool(const struct policy_spec *spec, const char *key, bool *value,
		     struct error *error);
int policy_spec_number(const struct policy_spec *spec, const char *key, long least, long most,
		       long *value, struct error *error);
int policy_spec_decimal(const struct policy_spec *spec, const char *key, double most, double *value,
			struct error *error);
int policy_spec_duration(const struct policy_spec *spec, const char *key, unsigned int least,
			 unsigned int most, unsigned int *milliseconds, struct error *error);
int policy_spec_verdict(const struct policy_spec *spec, const char *key, enum icp_opcode *value,
			struct error *error);

/* Reads `true`, `yes`, `on` or `false`, `no`, `off`. -1: none of them; no place in the error. */
int parse_bool(const char *text, bool *value, struct error *error);

/* Reads a decimal number from `least` to `most`. -1: it is none; no place in the error. */
int parse_number(const char *text, long least, long most, long *value, struct error *error);

/* Reads a number such as 4 or 0.75, from 0 to `most`. -1: it is none; no place in the error. */
int parse_decimal(const char *text, double most, double *value, struct error *error);

/*
 * Reads a duration with its unit, such as 200ms, 5s, 2m or 1h, from `least` to `most`
 * milliseconds. -1: it is none; no place in the error.
 */
int parse_duration(const char *text, unsigned int least, unsigned int most,
		   unsigned int *milliseconds, struct error *error);

#endif
