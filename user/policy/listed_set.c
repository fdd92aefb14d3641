// SPDX-License-Identifier: GPL-2.0-or-later
#include "policy/listed_set.h"

int listed_set_finish(struct byteset *set, const struct text_list *list, const char *what,
		      struct error *error)
{
	struct byteset_conflict conflict;
	int result = byteset_finish(set, &conflict);
	char first[512];

	if (result == 0)
		return 0;
	if (result < 0)
		return error_set(error, "out of memory");
	text_list_where(list, conflict.first_tag, first, sizeof(first));
	return text_list_error(list, conflict.second_tag, error,
			       "this %s has another verdict at %s; keep one of them", what, first);
}
