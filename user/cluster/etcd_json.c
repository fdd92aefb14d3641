// SPDX-License-Identifier: GPL-2.0-or-later
#include <ctype.h>
#include <inttypes.h>
#include <stdlib.h>

#include "cluster/etcd_json.h"
#include "lib/base64.h"

uint64_t etcd_number(const json_t *object, const char *name)
{
	const json_t *value = json_object_get(object, name);
	const char *text = json_string_value(value);
	char *end_of_number;
	uint64_t number;

	if (json_is_integer(value) && json_integer_value(value) > 0)
		return (uint64_t)json_integer_value(value);
	if (!text || !isdigit((unsigned char)*text))
		return 0;
	number = strtoull(text, &end_of_number, 10);
	return *end_of_number ? 0 : number;
}

char *etcd_bytes(const json_t *object, const char *name, size_t *length)
{
	const json_t *value = json_object_get(object, name);

	return base64_decode(json_is_string(value) ? json_string_value(value) : "",
			     json_string_length(value), length);
}

json_t *etcd_make_number(uint64_t number)
{
	return json_sprintf("%" PRIu64, number);
}

json_t *etcd_make_bytes(const void *bytes, size_t length)
{
	char *text = base64_encode(bytes, length);
	json_t *json = text ? json_string(text) : NULL;

	free(text);
	return json;
}
