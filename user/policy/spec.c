// SPDX-License-Identifier: GPL-2.0-or-later
#include <errno.h>
#include <locale.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "lib/vec.h"
#include "policy/spec.h"
#include "icp/opcode.h"

struct policy_spec *policy_spec_new(const char *name, const char *where)
{
	struct policy_spec *spec = calloc(1, sizeof(*spec));

	if (!spec)
		return NULL;
	spec->name = strdup(name);
	spec->where = strdup(where);
	if (!spec->name || !spec->where) {
		policy_spec_free(spec);
		return NULL;
	}
	return spec;
}

void policy_spec_free(struct policy_spec *spec)
{
	if (!spec)
		return;
	for (size_t i = 0; i < spec->count; i++) {
		struct spec_setting *setting = &spec->settings[i];

		for (size_t j = 0; j < setting->count; j++) {
			free(setting->values[j].text);
			free(setting->values[j].where);
		}
		free(setting->values);
		free(setting->key);
	}
	free(spec->settings);
	free(spec->name);
	free(spec->where);
	free(spec);
}

static struct spec_setting *add_setting(struct policy_spec *spec, const char *key)
{
	struct spec_setting *setting = vec_append(spec->settings, spec->count);

	if (!setting)
		return NULL;
	*setting = (struct spec_setting){ .key = strdup(key) };
	if (setting->key)
		return setting;
	spec->count--;
	return NULL;
}

int policy_spec_add(struct policy_spec *spec, const char *key, const char *text, const char *where)
{
	struct spec_setting *setting = (struct spec_setting *)policy_spec_find(spec, key);
	struct spec_value *value;

	if (!setting)
		setting = add_setting(spec, key);
	if (!setting)
		return -1;
	value = vec_append(setting->values, setting->count);
	if (!value)
		return -1;
	value->text = strdup(text);
	value->where = strdup(where);
	return value->text && value->where ? 0 : -1;
}

const struct spec_setting *policy_spec_find(const struct policy_spec *spec, const char *key)
{
	for (size_t i = 0; i < spec->count; i++)
		if (strcmp(spec->settings[i].key, key) == 0)
			return &spec->settings[i];
	return NULL;
}

struct policy_spec **policy_specs_find(struct policy_spec **list, size_t count, const char *name)
{
	for (size_t i = 0; i < count; i++)
		if (strcmp(list[i]->name, name) == 0)
			return &list[i];
	return NULL;
}

static int by_name(const void *a, const void *b)
{
	const struct policy_spec *const *left = a, *const *right = b;

	return strcmp((*left)->name, (*right)->name);
}

struct policy_spec **policy_specs_sorted(struct policy_spec *const *list, size_t count)
{
	struct policy_spec **sorted = calloc(count + 1, sizeof(struct policy_spec *));

	if (sorted && count)
		memcpy(sorted, list, count * sizeof(struct policy_spec *));
	if (sorted)
		qsort(sorted, count, sizeof(struct policy_spec *), by_name);
	return sorted;
}

int policy_spec_text(const struct policy_spec *spec, const char *key,
		     const struct spec_value **value, struct error *error)
{
	const struct spec_setting *setting = policy_spec_find(spec, key);

	if (!setting || setting->count == 0)
		return 0;
	if (setting->count > 1)
		return error_set(error, "%s: policy '%s': '%s' takes one value, not %zu",
				 setting->values[1].where, spec->name, key, setting->count);
	*value = &setting->values[0];
	return 1;
}

int parse_bool(const char *text, bool *value, struct error *error)
{
	static const char *const yes[] = { "true", "yes", "on" };
	static const char *const no[] = { "false", "no", "off" };

	for (size_t i = 0; i < 3; i++) {
		if (strcasecmp(text, yes[i]) && strcasecmp(text, no[i]))
			continue;
		*value = strcasecmp(text, yes[i]) == 0;
		return 0;
	}
	return error_set(error, "'%s' is neither true nor false", text);
}

int parse_number(const char *text, long min, long max, long *value, struct error *error)
{
	char *end;
	long number;

	errno = 0;
	number = strtol(text, &end, 10);
	/* strtol() also accepts leading blanks and a plus sign */
	if (errno || !strchr("-0123456789", text[0]) || end == text || *end || number < min ||
	    number > max)
		return error_set(error, "'%s' is not a number from %ld to %ld", text, min, max);
	*value = number;
	return 0;
}

int parse_decimal(const char *text, double max, double *value, struct error *error)
{
	/* Neither signs, nor exponents, nor what else strtod() takes. */
	size_t digits = strspn(text, "0123456789");
	size_t fraction = text[digits] == '.' ? 1 + strspn(text + digits + 1, "0123456789") : 0;
	locale_t bytes =
		newlocale(LC_ALL_MASK, "C", NULL); /* whatever a plugin's setlocale() chose */
	double number = bytes ? strtod_l(text, NULL, bytes) : INFINITY;

	if (bytes)
		freelocale(bytes);
	if (!digits || fraction == 1 || text[digits + fraction] || number > max)
		return error_set(error, "'%s' is not a number from 0 to %g, such as 0.75", text,
				 max);
	*value = number;
	return 0;
}

static const struct unit {
	const char *name;
	unsigned int milliseconds;
} units[] = { { "h", 3600000 }, { "m", 60000 }, { "s", 1000 }, { "ms", 1 } };

#define UNITS (sizeof(units) / sizeof(units[0]))

/* Format a duration in the largest unit that needs no fraction. */
static void duration_text(unsigned int milliseconds, char *text, size_t size)
{
	const struct unit *unit = units;

	while (milliseconds ? milliseconds % unit->milliseconds : unit->milliseconds > 1000)
		unit++;
	snprintf(text, size, "%u%s", milliseconds / unit->milliseconds, unit->name);
}

int parse_duration(const char *text, unsigned int min, unsigned int max, unsigned int *milliseconds,
		   struct error *error)
{
	size_t digits = strspn(text, "0123456789");
	char from[16], to[16];

	/* Nine digits of hours in milliseconds fit into 64 bits. */
	for (size_t i = 0; digits > 0 && digits < 10 && i < UNITS; i++) {
		unsigned long long number = strtoull(text, NULL, 10) * units[i].milliseconds;

		if (strcmp(text + digits, units[i].name) || number < min || number > max)
			continue;
		*milliseconds = number;
		return 0;
	}
	duration_text(min, from, sizeof(from));
	duration_text(max, to, sizeof(to));
	return error_set(error,
			 "'%s' is not a duration from %s to %s; write a number and ms, s, m or h",
			 text, from, to);
}

/* Prefix an error with the place and the name of the value. Returns -1. */
static int prefix_error(const struct policy_spec *spec, const char *key,
			const struct spec_value *value, struct error *error)
{
	return error_prefix(error, "%s: policy '%s': %s: ", value->where, spec->name, key);
}

int policy_spec_bool(const struct policy_spec *spec, const char *key, bool *value,
		     struct error *error)
{
	const struct spec_value *text = NULL;
	int found = policy_spec_text(spec, key, &text, error);

	if (found == 1 && parse_bool(text->text, value, error))
		return prefix_error(spec, key, text, error);
	return found;
}

int policy_spec_number(const struct policy_spec *spec, const char *key, long min, long max,
		       long *value, struct error *error)
{
	const struct spec_value *text = NULL;
	int found = policy_spec_text(spec, key, &text, error);

	if (found == 1 && parse_number(text->text, min, max, value, error))
		return prefix_error(spec, key, text, error);
	return found;
}

int policy_spec_decimal(const struct policy_spec *spec, const char *key, double max, double *value,
			struct error *error)
{
	const struct spec_value *text = NULL;
	int found = policy_spec_text(spec, key, &text, error);

	if (found == 1 && parse_decimal(text->text, max, value, error))
		return prefix_error(spec, key, text, error);
	return found;
}

int policy_spec_duration(const struct policy_spec *spec, const char *key, unsigned int min,
			 unsigned int max, unsigned int *milliseconds, struct error *error)
{
	const struct spec_value *text = NULL;
	int found = policy_spec_text(spec, key, &text, error);

	if (found == 1 && parse_duration(text->text, min, max, milliseconds, error))
		return prefix_error(spec, key, text, error);
	return found;
}

int policy_spec_seconds(const struct policy_spec *spec, const char *key, unsigned int min,
			unsigned int max, unsigned int *seconds, struct error *error)
{
	unsigned int milliseconds = 0;
	int found = policy_spec_duration(spec, key, 1000 * min, 1000 * max, &milliseconds, error);

	if (found != 1)
		return found;
	if (milliseconds % 1000)
		return error_set(error, "%s: policy '%s': %s: must be whole seconds",
				 policy_spec_find(spec, key)->values[0].where, spec->name, key);
	*seconds = milliseconds / 1000;
	return found;
}

int policy_spec_verdict(const struct policy_spec *spec, const char *key, enum icp_opcode *value,
			struct error *error)
{
	const struct spec_value *text = NULL;
	int found = policy_spec_text(spec, key, &text, error);
	enum icp_opcode verdict;

	if (found != 1)
		return found;
	verdict = verdict_from_name(text->text, strlen(text->text));
	if (verdict == ICP_OP_INVALID) {
		error_set(error, "unknown verdict '%s'; it can be " VERDICT_NAMES, text->text);
		return prefix_error(spec, key, text, error);
	}
	*value = verdict;
	return 1;
}
