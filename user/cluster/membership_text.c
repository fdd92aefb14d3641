// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Maps as text. Each key is a line of its own, so that neither writing nor reading a million of them
 * needs memory for all. Keys are in the form of lib/escape.h, for JSON has no bytes.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <zlib.h>

#include "cluster/membership.h"
#include "cluster/values.h"
#include "lib/escape.h"

#define FORMAT 1
/* Of a line, in bytes: a prefix escaped twice, and the notes of a member as \u0000. */
#define LINE_MAX_SIZE (16u << 10)

/* --- writing */

struct output {
	FILE *file;
	uLong sum; /* of what has been written */
};

static int write_line(struct output *output, json_t *json)
{
	char *text = json ? json_dumps(json, JSON_COMPACT) : NULL;
	size_t length;
	int result;

	json_decref(json);
	if (!text) {
		errno = ENOMEM;
		return -1;
	}
	length = strlen(text);
	text[length++] = '\n'; /* in place of the NUL */
	result = fwrite(text, 1, length, output->file) == length ? 0 : -1;
	output->sum = crc32(output->sum, (const Bytef *)text, (uInt)length);
	free(text);
	return result;
}

/* Write a line of a key, whose bytes are those of a head and a rest (takes the value). */
static int write_key(struct output *output, const char *head, const char *rest, size_t length,
		     json_t *value)
{
	char *escaped = escape(rest, length);
	json_t *key = escaped ? json_sprintf("%s%s", head, escaped) : NULL;
	int result = write_line(output, json_pack("{s:o, s:o}", "key", key, "value", value));

	free(escaped);
	return result;
}

int membership_write(const struct membership *map, uint64_t lease, FILE *file)
{
	struct output output = { .file = file, .sum = crc32(0, NULL, 0) };
	const struct cluster_assignment *one;
	struct assignment_cursor cursor;

	if (write_line(&output, json_pack("{s:i, s:s, s:s, s:I, s:I, s:I}", "format", FORMAT,
					  "cluster", map->cluster, "self", map->self, "lease",
					  (json_int_t)lease, "revision", (json_int_t)map->revision,
					  "as_of", (json_int_t)map->as_of)))
		return -1;
	for (size_t i = 0; i < map->member_count; i++)
		if (write_key(&output, "members/", map->members[i].name,
			      strlen(map->members[i].name), value_of_member(&map->members[i])))
			return -1;
	for (size_t i = 0; i < map->drained_count; i++)
		if (write_key(&output, "drained/", map->drained[i], strlen(map->drained[i]),
			      json_object()))
			return -1;
	for (cursor = assignments_begin(&map->assignments); (one = assignments_next(&cursor));)
		if (write_key(&output, "assign/", one->prefix, one->length,
			      value_of_assignment(one)))
			return -1;
	return write_line(&output, json_pack("{s:I}", "crc32", (json_int_t)output.sum));
}

/* --- reading */

struct input {
	FILE *file;
	uLong sum; /* of all lines before this one */
	size_t lines;
	char line[LINE_MAX_SIZE];
	size_t length;
};

static int damaged(const struct input *input, struct error *error, const char *why)
{
	return error_set(error, "line %zu: %s; the file is damaged", input->lines, why);
}

/* Read the next line as an object. NULL with an error. */
static json_t *read_line(struct input *input, struct error *error)
{
	json_t *json = NULL;

	input->sum = crc32(input->sum, (const Bytef *)input->line, (uInt)input->length);
	input->lines++;
	if (!fgets(input->line, sizeof(input->line), input->file)) {
		damaged(input, error, "the end is missing");
		return NULL;
	}
	input->length = strlen(input->line);
	if (input->length && input->line[input->length - 1] == '\n')
		json = json_loadb(input->line, input->length, 0, NULL);
	if (json_is_object(json))
		return json;
	json_decref(json);
	damaged(input, error, "not a JSON object");
	return NULL;
}

/* Complete the head. */
static int read_head(struct input *input, struct membership_head *head, uint64_t *lease,
		     struct error *error)
{
	json_t *json = read_line(input, error);
	const char *of_cluster = json_string_value(json_object_get(json, "cluster"));
	const char *of_member = json_string_value(json_object_get(json, "self"));
	int result = 0;

	if (!json)
		return -1;
	if (json_integer_value(json_object_get(json, "format")) != FORMAT || !of_cluster ||
	    !of_member)
		result = damaged(input, error, "not a map of a cluster of this version");
	else if (strcmp(of_cluster, head->cluster) != 0)
		result = error_set(error, "the map of the cluster '%s'", of_cluster);
	else
		*lease = strcmp(of_member, head->self) == 0
				 ? (uint64_t)json_integer_value(json_object_get(json, "lease"))
				 : 0;
	head->revision = (uint64_t)json_integer_value(json_object_get(json, "revision"));
	head->as_of = (time_t)json_integer_value(json_object_get(json, "as_of"));
	json_decref(json);
	return result;
}

static int read_key(const struct input *input, struct membership_changes *changes,
		    const json_t *json, struct error *error)
{
	const json_t *escaped = json_object_get(json, "key");
	const json_t *value = json_object_get(json, "value");
	size_t length = 0;
	char *key = json_is_string(escaped) ? unescape(json_string_value(escaped),
						       json_string_length(escaped), &length)
					    : NULL;
	int result = -1;

	if (key && value)
		result = membership_changes_add_json(changes, key, length, value, error);
	else
		damaged(input, error, "a key or a value is missing");
	free(key);
	return result;
}

/* Read the lines behind the head to the checksum. */
static int read_keys(struct input *input, struct membership_changes *changes, struct error *error)
{
	for (;;) {
		json_t *json = read_line(input, error);
		const json_t *sum = json_object_get(json, "crc32");
		int result = -1;

		if (sum && (uLong)json_integer_value(sum) == input->sum)
			result = fgetc(input->file) == EOF
					 ? 1
					 : damaged(input, error, "there is more behind the end");
		else if (sum)
			damaged(input, error, "the checksum is another");
		else if (json)
			result = read_key(input, changes, json, error);
		json_decref(json);
		if (result)
			return result > 0 ? 0 : -1;
	}
}

const struct membership *membership_read(FILE *file, const struct membership_head *now,
					 uint64_t *lease, struct error *error)
{
	struct input *input = calloc(1, sizeof(*input));
	struct membership_changes *changes = membership_changes_new(true);
	const struct membership *map = NULL;
	struct membership_head head = *now;

	if (!input || !changes) {
		error_set(error, "out of memory");
	} else {
		input->file = file;
		input->sum = crc32(0, NULL, 0);
		if (read_head(input, &head, lease, error) == 0 &&
		    read_keys(input, changes, error) == 0)
			map = membership_make(NULL, changes, &head, error);
	}
	membership_changes_free(changes);
	free(input);
	return map;
}
