// SPDX-License-Identifier: GPL-2.0-or-later
#include <stdlib.h>
#include <string.h>

#include "lib/escape.h"

size_t escape_byte(unsigned char byte, char text[ESCAPE_MAX + 1])
{
	static const char digits[] = "0123456789abcdef";
	size_t length = 0;

	if (byte == '\\') {
		text[length++] = '\\';
		text[length++] = '\\';
	} else if (byte >= ' ' && byte <= '~') {
		text[length++] = (char)byte;
	} else {
		text[length++] = '\\';
		text[length++] = 'x';
		text[length++] = digits[byte >> 4];
		text[length++] = digits[byte & 15];
	}
	text[length] = '\0';
	return length;
}

char *escape(const void *bytes, size_t length)
{
	const unsigned char *from = bytes;
	char *text = malloc(length * ESCAPE_MAX + 1);
	char *to = text;

	if (!text)
		return NULL;
	*to = '\0';
	for (size_t i = 0; i < length; i++)
		to += escape_byte(from[i], to);
	return text;
}

size_t escape_line(const char *text, char *line, size_t size)
{
	char escaped[ESCAPE_MAX + 1];
	size_t length = 0;

	for (; *text; text++) {
		size_t more = *text == '\\' ? 1 : escape_byte((unsigned char)*text, escaped);

		if (length + more >= size)
			break;
		memcpy(line + length, *text == '\\' ? text : escaped, more);
		length += more;
	}
	line[length] = '\0';
	return length;
}

static int digit_value(char digit)
{
	if (digit >= '0' && digit <= '9')
		return digit - '0';
	if (digit >= 'a' && digit <= 'f')
		return digit - 'a' + 10;
	if (digit >= 'A' && digit <= 'F')
		return digit - 'A' + 10;
	return -1;
}

/* Decode the first byte of `size` (at least 1) characters. Returns how many encode it. */
static size_t unescape_byte(const char *text, size_t size, char *byte)
{
	*byte = text[0];
	if (text[0] != '\\')
		return 1;
	if (size >= 2 && text[1] == '\\')
		return 2;
	if (size >= ESCAPE_MAX && text[1] == 'x') {
		int high = digit_value(text[2]);
		int low = digit_value(text[3]);

		if (high >= 0 && low >= 0) {
			*byte = (char)(high << 4 | low);
			return ESCAPE_MAX;
		}
	}
	return 1;
}

char *unescape(const char *text, size_t size, size_t *length)
{
	char *bytes = malloc(size + 1);
	size_t used = 0;

	if (!bytes)
		return NULL;
	*length = 0;
	while (used < size)
		used += unescape_byte(text + used, size - used, &bytes[(*length)++]);
	bytes[*length] = '\0';
	return bytes;
}
