// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * A list of patterns and a text, against PCRE2, fnmatch() and memmem(). The first byte of the input
 * chooses the syntax and the answer of no match, then come the patterns, a line each, a NUL, and the
 * text.
 */
#include <fnmatch.h>
#include <stdlib.h>
#include <string.h>

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

#include "automaton/pack.h"

#define PATTERNS 8
#define TEXT_MAX 300
#define UNKNOWN (-1)

#define require(condition)                                                                         \
	do {                                                                                       \
		if (!(condition))                                                                  \
			abort();                                                                   \
	} while (0)

/* Of a pattern; with PCRE2's optimisations off, which have errors (tests/unit/automaton_fidelity). */
static int regex_matches(const struct automaton_pattern *pattern, const char *text, size_t length)
{
	const uint32_t options = PCRE2_NEVER_UTF | PCRE2_NO_AUTO_POSSESS | PCRE2_NO_START_OPTIMIZE |
				 PCRE2_NO_DOTSTAR_ANCHOR;
	pcre2_match_context *limits = pcre2_match_context_create(NULL);
	pcre2_match_data *found = pcre2_match_data_create(1, NULL);
	int number, result = PCRE2_ERROR_MATCHLIMIT;
	pcre2_code *code;
	size_t offset;

	pcre2_set_match_limit(limits, 10000);
	pcre2_set_depth_limit(limits, 1000);
	code = pcre2_compile((PCRE2_SPTR)pattern->text, pattern->length, options, &number, &offset,
			     NULL);
	if (code && !memmem(pattern->text, pattern->length, "{0", 2))
		result = pcre2_match(code, (PCRE2_SPTR)text, length, 0, 0, found, limits);
	pcre2_code_free(code);
	pcre2_match_data_free(found);
	pcre2_match_context_free(limits);
	if (result == PCRE2_ERROR_NOMATCH)
		return 0;
	return result >= 0 ? 1 : UNKNOWN;
}

static int matches(enum automaton_syntax syntax, const struct automaton_pattern *pattern,
		   const char *text, size_t length)
{
	char terminated[TEXT_MAX + 1];

	switch (syntax) {
	case AUTOMATON_REGEX:
		return regex_matches(pattern, text, length);
	case AUTOMATON_GLOB:
		memcpy(terminated, pattern->text, pattern->length);
		terminated[pattern->length] = '\0';
		return fnmatch(terminated, text, 0) == 0;
	default:
		return memmem(text, length, pattern->text, pattern->length) != NULL;
	}
}

/* The answer of the list; UNKNOWN: a pattern is not valid, or takes too long. */
static int expected_answer(enum automaton_syntax syntax, const struct automaton_pattern *patterns,
			   size_t count, uint16_t otherwise, const char *text, size_t length)
{
	for (size_t i = 0; i < count; i++) {
		int result = matches(syntax, &patterns[i], text, length);

		if (result)
			return result > 0 ? patterns[i].answer : UNKNOWN;
	}
	return otherwise;
}

static void check(const struct automaton *automaton, const char *text, size_t length,
		  uint32_t answer)
{
	static struct automaton_group group;
	struct automaton_member members[AUTOMATON_SLOTS];
	struct automaton_group *single = automaton_single(automaton);
	__u64 words[TEXT_MAX / ICP_WORD + 3] = { 0 };
	struct automaton_walk walk;
	struct filter filter;
	uint32_t slots;

	require(single && automaton_find(single, text, length) == answer);
	free(single);
	for (size_t i = 0; i < AUTOMATON_SLOTS; i++)
		members[i] = (struct automaton_member){ automaton, i, NULL, 0 };
	require(automaton_pack(&group, 1, members, AUTOMATON_SLOTS) == 1);
	automaton_filter(&filter, members, AUTOMATON_SLOTS);
	memcpy(words, text, length);
	slots = filter_text(&filter, words, length, TEXT_MAX / ICP_WORD + 1, AUTOMATON_NO_RANK);
	require(automaton_walk_group(&walk, &group, words, length, TEXT_MAX / ICP_WORD + 1, slots,
				     AUTOMATON_NO_RANK) == answer);
}

/* Read the text: white space and NULs, which URLs do not have, become other bytes. */
static size_t read_text(char *text, const uint8_t *data, size_t size)
{
	size_t length = size < TEXT_MAX ? size : TEXT_MAX;

	for (size_t i = 0; i < length; i++)
		text[i] = data[i] <= ' ' && (data[i] >= '\t' || !data[i]) &&
					  (data[i] <= '\r' || data[i] == ' ')
				  ? '/'
				  : data[i];
	text[length] = '\0';
	return length;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct automaton_pattern patterns[PATTERNS] = { { 0 } };
	const uint8_t *end = size ? memchr(data + 1, '\0', size - 1) : NULL;
	enum automaton_syntax syntax;
	struct automaton *automaton;
	char text[TEXT_MAX + 1];
	struct error error = { 0 };
	size_t length, count = 0;
	uint16_t otherwise;
	int expected;

	if (!end)
		return 0;
	length = read_text(text, end + 1, data + size - end - 1);
	syntax = data[0] % 3;
	otherwise = data[0] / 3 % 4;
	for (const uint8_t *at = data + 1; at <= end && count < PATTERNS; count++) {
		const uint8_t *line = memchr(at, '\n', end - at);

		if (!line)
			line = end;
		if (line - at > TEXT_MAX)
			return 0;
		patterns[count] = (struct automaton_pattern){
			.text = (const char *)at,
			.length = line - at,
			.answer = data[0] / 12 % 2 ? count : 1,
		};
		at = line + 1;
	}
	automaton = automaton_compile(syntax, patterns, count, otherwise, &error);
	require(automaton || error.text[0]);
	if (!automaton)
		return 0;
	expected = expected_answer(syntax, patterns, count, otherwise, text, length);
	if (expected != UNKNOWN)
		check(automaton, text, length, expected);
	automaton_free(automaton);
	return 0;
}
