// SPDX-License-Identifier: GPL-2.0-or-later
#include <string.h>

#include "lib/shell_quote.h"

bool shell_is_plain(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
	       (c && strchr("/._-+:@,%", c));
}

char *shell_quote(const char *word, char *text)
{
	const char *c = word;
	char *to = text;

	while (shell_is_plain(*c))
		c++;
	/* A name with a leading dash would be taken for an option. */
	if (*word && !*c && *word != '-')
		return strcpy(text, word);
	*to++ = '\'';
	for (c = word; *c; c++) {
		if (*c == '\'')
			to = stpcpy(to, "'\\''");
		else
			*to++ = *c;
	}
	strcpy(to, "'");
	return text;
}
