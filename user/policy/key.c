// SPDX-License-Identifier: GPL-2.0-or-later
#include <string.h>

#include "policy/key.h"

static const struct {
	const char *name;
	enum url_key_kind alone, directories; /* URL_KEY_URL: there is no such form */
} names[] = {
	{ "url", URL_KEY_URL, URL_KEY_URL },
	{ "host", URL_KEY_HOST, URL_KEY_HOST_DIRECTORIES },
	{ "path", URL_KEY_PATH, URL_KEY_PATH_DIRECTORIES },
};

#define NAMES (sizeof(names) / sizeof(names[0]))

int url_key_parse(const char *name, struct url_key_form *form)
{
	size_t length = strcspn(name, "+");
	struct error ignored;
	long directories;

	for (size_t i = 0; i < NAMES; i++) {
		if (strlen(names[i].name) != length || memcmp(names[i].name, name, length) != 0)
			continue;
		*form = (struct url_key_form){ .kind = names[i].alone, .query = 1 };
		if (!name[length])
			return 0;
		if (names[i].directories == URL_KEY_URL ||
		    parse_number(name + length + 1, 0, URL_KEY_DIRECTORIES_MAX, &directories,
				 &ignored))
			return -1;
		form->kind = names[i].directories;
		form->directories = directories;
		return 0;
	}
	return -1;
}

int policy_spec_key(const struct policy_spec *spec, struct url_key_form *form, struct error *error)
{
	const struct spec_value *value = NULL;
	bool query = true;

	*form = (struct url_key_form){ .kind = URL_KEY_URL };
	if (policy_spec_text(spec, "key", &value, error) < 0 ||
	    policy_spec_bool(spec, "query", &query, error) < 0)
		return -1;
	if (value && url_key_parse(value->text, form))
		return error_set(
			error,
			"%s: '%s' is not a key; write url, host, path, or host+N or path+N "
			"for the first N directories, with N from 0 to %u",
			value->where, value->text, URL_KEY_DIRECTORIES_MAX);
	form->query = query;
	return 0;
}
