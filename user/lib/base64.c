// SPDX-License-Identifier: GPL-2.0-or-later
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base64.h"

static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

char *base64_encode(const void *bytes, size_t length)
{
	const uint8_t *from = bytes;
	char *text = malloc((length + 2) / 3 * 4 + 1), *to = text;

	if (!text)
		return NULL;
	for (size_t i = 0; i < length; i += 3) {
		size_t rest = length - i;
		uint32_t group = (uint32_t)from[i] << 16 |
				 (rest > 1 ? (uint32_t)from[i + 1] << 8 : 0) |
				 (rest > 2 ? from[i + 2] : 0);

		*to++ = digits[group >> 18];
		*to++ = digits[group >> 12 & 63];
		*to++ = rest > 1 ? digits[group >> 6 & 63] : '=';
		*to++ = rest > 2 ? digits[group & 63] : '=';
	}
	*to = '\0';
	return text;
}

/* Return the number of a digit. -1: it is none. */
static int digit(char character)
{
	if (character >= 'a' && character <= 'z')
		return character - 'a' + 26;
	if (character >= 'A' && character <= 'Z')
		return character - 'A';
	if (character >= '0' && character <= '9')
		return character - '0' + 52;
	return character == '+' ? 62 : character == '/' ? 63 : -1;
}

char *base64_decode(const char *text, size_t size, size_t *length)
{
	size_t padding = 0;
	uint32_t group = 0;
	char *bytes, *to;

	while (padding < 2 && padding < size && text[size - 1 - padding] == '=')
		padding++;
	bytes = size % 4 ? NULL : malloc(size / 4 * 3 + 1);
	if (!bytes)
		return NULL;
	to = bytes;
	for (size_t i = 0; i < size; i++) {
		int number = i < size - padding ? digit(text[i]) : 0;

		if (number < 0) {
			free(bytes);
			return NULL;
		}
		group = group << 6 | (uint32_t)number;
		if (i % 4 != 3)
			continue;
		*to++ = (char)(group >> 16);
		*to++ = (char)(group >> 8);
		*to++ = (char)group;
	}
	*length = (size_t)(to - bytes) - padding;
	bytes[*length] = '\0';
	return bytes;
}
