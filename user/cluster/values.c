// SPDX-License-Identifier: GPL-2.0-or-later
#include <string.h>

#include "cluster/values.h"
#include "icp/opcode.h"

#define NO_OBJECT "the value is not a JSON object"

/* --- writing */

json_t *value_of_member(const struct cluster_member *member)
{
	json_t *list = json_array();
	const char *rest = member->addresses;

	while (*rest) {
		const char *comma = strstr(rest, ", ");
		size_t length = comma ? (size_t)(comma - rest) : strlen(rest);

		json_array_append_new(list, json_stringn(rest, length));
		rest += length + (comma ? 2 : 0);
	}
	return json_pack("{s:s, s:I, s:s, s:o}", "name", member->name, "weight",
			 (json_int_t)member->weight, "version", member->version, "addresses", list);
}

json_t *value_of_assignment(const struct cluster_assignment *assignment)
{
	if (assignment->member)
		return json_pack("{s:s}", "member", assignment->member);
	return json_pack("{s:s}", "verdict", opcode_short_name(assignment->verdict));
}

static char *dump(json_t *json)
{
	char *text = json ? json_dumps(json, JSON_COMPACT) : NULL;

	json_decref(json);
	return text;
}

char *membership_member_value(const struct cluster_member *member)
{
	return dump(value_of_member(member));
}

char *membership_assignment_value(const struct cluster_assignment *assignment)
{
	return dump(value_of_assignment(assignment));
}

/* --- reading */

/* Return the text of a member of an object, NULL if it has none. -1: it is no text, or too long. */
static int read_note(const json_t *object, const char *name, const char **text, struct error *error)
{
	const json_t *value = json_object_get(object, name);

	*text = value ? json_string_value(value) : "";
	if (!*text || strlen(*text) > MEMBERSHIP_NOTE_MAX)
		return error_set(error, "'%s' must be a text of at most %u bytes", name,
				 MEMBERSHIP_NOTE_MAX);
	return 0;
}

static int read_addresses(const json_t *object, char text[MEMBERSHIP_NOTE_MAX + 1],
			  struct error *error)
{
	const json_t *list = json_object_get(object, "addresses"), *item;
	size_t used = 0, i;

	text[0] = '\0';
	if (list && !json_is_array(list))
		return error_set(error, "'addresses' must be a list of texts");
	json_array_foreach (list, i, item) {
		const char *address = json_string_value(item);
		size_t size = MEMBERSHIP_NOTE_MAX + 1 - used;

		if (!address ||
		    (size_t)snprintf(text + used, size, "%s%s", used ? ", " : "", address) >= size)
			return error_set(error,
					 "'addresses' must be a list of texts, of at most %u bytes",
					 MEMBERSHIP_NOTE_MAX);
		used += strlen(text + used);
	}
	return 0;
}

int value_read_member(const json_t *value, const char *name, size_t length,
		      struct cluster_member *member, char addresses[MEMBERSHIP_NOTE_MAX + 1],
		      struct error *error)
{
	const json_t *weight = json_object_get(value, "weight");
	const json_t *same = json_object_get(value, "name");
	json_int_t number = json_integer_value(weight);

	if (!json_is_object(value))
		return error_set(error, NO_OBJECT);
	if (!json_is_integer(weight) || number < 1 || number > MEMBERSHIP_WEIGHT_MAX)
		return error_set(error, "'weight' must be a number from 1 to %u",
				 MEMBERSHIP_WEIGHT_MAX);
	if (same && (!json_is_string(same) || json_string_length(same) != length ||
		     memcmp(json_string_value(same), name, length) != 0))
		return error_set(error, "'name' must be that of the key");
	member->weight = (unsigned int)number;
	member->addresses = addresses;
	return read_note(value, "version", &member->version, error) ||
			       read_addresses(value, addresses, error)
		       ? -1
		       : 0;
}

int value_read_assignment(const json_t *value, struct cluster_assignment *assignment,
			  struct error *error)
{
	const json_t *member = json_object_get(value, "member");
	const char *verdict = json_string_value(json_object_get(value, "verdict"));

	if (!json_is_object(value))
		return error_set(error, NO_OBJECT);
	if (!member == !verdict)
		return error_set(error, "give it either a 'member' or a 'verdict'");
	*assignment = (struct cluster_assignment){ .verdict = ICP_OP_INVALID };
	if (verdict) {
		assignment->verdict = verdict_from_name(verdict, strlen(verdict));
		return assignment->verdict == ICP_OP_INVALID
			       ? error_set(error, "unknown verdict '%s'; it can be " VERDICT_NAMES,
					   verdict)
			       : 0;
	}
	assignment->member = json_string_value(member);
	if (!assignment->member ||
	    !membership_is_name(assignment->member, json_string_length(member)))
		return error_set(error, "'member' must be a name of 1 to %u of A-Za-z0-9._-",
				 MEMBERSHIP_NAME_MAX);
	return 0;
}
