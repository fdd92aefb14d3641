/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Replies of a helper or plugin in the fidelity test: lines of VERDICT SOURCE TEXT, the text in
 * hexadecimal digits, the source `-` for any. The first line whose text the URL contains applies.
 * The file is read for every question: a change applies from the next one on.
 */
#ifndef WORDS_H
#define WORDS_H

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static inline bool words_match(const char *url, const char *hex)
{
	size_t length = strlen(hex) / 2;
	char *text = (char *)malloc(length + 1);
	bool found;

	if (!text)
		abort();
	for (size_t i = 0; i < length; i++) {
		const char digits[3] = { hex[2 * i], hex[2 * i + 1], '\0' };

		text[i] = (char)strtoul(digits, NULL, 16);
	}
	text[length] = '\0';
	found = strstr(url, text) != NULL;
	free(text);
	return found;
}

/* `verdict` has room for 32 bytes; it is "-" if nothing matches. */
static inline void words_find(const char *path, const char *url, const char *source, char *verdict)
{
	FILE *file = fopen(path, "re");
	char from[64], hex[2048];

	if (!file)
		abort();
	while (fscanf(file, "%31s %63s %2047s", verdict, from, hex) == 3)
		if ((strcmp(from, "-") == 0 || strcmp(from, source) == 0) &&
		    words_match(url, hex)) {
			fclose(file);
			return;
		}
	fclose(file);
	strcpy(verdict, "-");
}

#endif
