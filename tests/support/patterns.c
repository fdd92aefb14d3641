// SPDX-License-Identifier: GPL-2.0-or-later
#include "support/patterns.h"

static void put(struct pattern_text *text, const char *bytes, size_t length)
{
	if (length > PATTERN_MAX - text->length)
		return;
	memcpy(text->bytes + text->length, bytes, length);
	text->length += length;
}

static void put_string(struct pattern_text *text, const char *string)
{
	put(text, string, strlen(string));
}

/* One of the strings of a list that ends with NULL. */
static const char *one_of(uint64_t *seed, const char *const *strings)
{
	size_t count = 0;

	while (strings[count])
		count++;
	return strings[random_below(seed, count)];
}

/* Of few bytes, so that texts meet patterns. */
static char random_letter(uint64_t *seed)
{
	static const char letters[] = "aaaabbbbcAB019__-./:~%\x01\x7f\x85\xa0\xe4\xff";

	return letters[random_below(seed, sizeof(letters) - 1)];
}

static void put_literal(struct pattern_text *text, uint64_t *seed)
{
	char letter = random_letter(seed);

	if (letter == '.' || random_below(seed, 40) == 0)
		put_string(text, letter >= '0' && (letter | 0x20) <= 'z' ? "" : "\\");
	put(text, &letter, 1);
}

static void put_class(struct pattern_text *text, uint64_t *seed)
{
	static const char *const items[] = {
		"\\d",	     "\\D",	  "\\w",	"\\W",	      "\\s",	    "\\S",
		"\\h",	     "\\H",	  "\\v",	"\\V",	      "\\x61",	    "\\x{b}",
		"\\n",	     "\\b",	  "\\e",	"\\101",      "\\0",	    "\\o{142}",
		"\\cA",	     "[:alpha:]", "[:lower:]",	"[:upper:]",  "[:alnum:]",  "[:ascii:]",
		"[:blank:]", "[:cntrl:]", "[:digit:]",	"[:graph:]",  "[:print:]",  "[:punct:]",
		"[:space:]", "[:word:]",  "[:xdigit:]", "[:^alpha:]", "[:^lower:]", "[:^word:]",
		"[",	     "\\]",	  "\\\\",	"^",	      "-",	    " ",
		"\\Qa-\\E",  "\\E",	  "[:",		"&&",	      "b-",	    NULL
	};
	int count = 1 + random_below(seed, 4);

	put_string(text, random_below(seed, 3) ? "[" : "[^");
	if (random_below(seed, 20) == 0)
		put_string(text, random_below(seed, 2) ? "]" : "-");
	while (count--) {
		char letter = random_letter(seed);

		if (random_below(seed, 3) == 0) {
			put_string(text, one_of(seed, items));
			continue;
		}
		put(text, &letter, 1);
		if (random_below(seed, 4) == 0) {
			put_string(text, "-");
			letter += random_below(seed, 30);
			put(text, &letter, 1);
		}
	}
	if (random_below(seed, 20) == 0)
		put_string(text, "-");
	put_string(text, "]");
}

static void put_quantifier(struct pattern_text *text, uint64_t *seed)
{
	static const char *const quantifiers[] = { "*",	   "+",	    "?",     "*",     "+",
						   "?",	   "{2}",   "{0}",   "{0,1}", "{1,}",
						   "{2,}", "{1,3}", "{0,2}", "{3,4}", "{,2}",
						   "{0,}", NULL };
	static const char *const modifiers[] = { "?", "+", " ?", "(?#c)?", "\\E?", NULL };

	if (random_below(seed, 60) == 0)
		put_string(text, "(?#x)");
	put_string(text, one_of(seed, quantifiers));
	if (random_below(seed, 4) == 0)
		put_string(text, random_below(seed, 8) ? "?" : one_of(seed, modifiers));
}

static void put_regex(struct pattern_text *text, uint64_t *seed, int depth);

static void put_group(struct pattern_text *text, uint64_t *seed, int depth)
{
	static const char *const heads[] = {
		"(",	"(",	 "(?:",	     "(?:",	   "(?i:",   "(?-i:",	"(?s:",
		"(?x:", "(?xx:", "(?im-sx:", "(?<n1>",	   "(?'n2'", "(?P<n3>", "(?|",
		"(?^:", "(?^i:", "(?U:",     "(?J:",	   "(?n:",   "(?>",	"(?=",
		"(?!",	"(?<=",	 "(?<!",     "(*ACCEPT)(", "(?x: ",  NULL
	};

	put_string(text, random_below(seed, 3) ? "(" : one_of(seed, heads));
	put_regex(text, seed, depth - 1);
	put_string(text, ")");
}

static void put_item(struct pattern_text *text, uint64_t *seed, int depth)
{
	static const char *const sets[] = { ".",   "\\d", "\\D", "\\w", "\\W", "\\s", "\\S", "\\h",
					    "\\H", "\\v", "\\V", "\\N", ".",   ".",   NULL };
	static const char *const bytes[] = {
		"\\x61", "\\x", "\\x6",	  "\\x{62}", "\\t",	  "\\n",    "\\r",     "\\f",
		"\\e",	 "\\a", "\\cA",	  "\\0",     "\\01",	  "\\0611", "\\o{61}", "\\-",
		"\\/",	 "\\:", "\\\xe4", "\\_",     "\\Qa.b\\E", "\\Q\\E", "\\E",     "\\x{0041}",
		"]",	 "}",	"{",	  "{a",	     "\\1",	  "\\12",   "\\R",     "\\X",
		"\\K",	 "\\C", " ",	  "#",	     "\t",	  NULL
	};
	static const char *const options[] = { "(?i)", "(?-i)", "(?x)",	  "(?-x)", "(?xx)",  "(?s)",
					       "(?m)", "(?^)",	"(?i-s)", "(?#c)", "(?xxx)", NULL };

	switch (random_below(seed, 24)) {
	case 0:
	case 1:
		put_string(text, one_of(seed, sets));
		break;
	case 2:
	case 3:
		put_class(text, seed);
		break;
	case 4:
		put_string(text, one_of(seed, bytes));
		break;
	case 5:
		if (random_below(seed, 3) == 0)
			put_string(text, one_of(seed, options));
		break;
	case 6:
	case 7:
	case 8:
	case 9:
		if (depth > 0) {
			put_group(text, seed, depth);
			break;
		}
		/* fall through */
	default:
		put_literal(text, seed);
		break;
	}
}

static void put_assertion(struct pattern_text *text, uint64_t *seed)
{
	static const char *const assertions[] = { "^",	 "$",	"\\A", "\\z", "\\Z", "\\G",
						  "\\b", "\\b", "\\B", "^",   "$",   NULL };

	put_string(text, one_of(seed, assertions));
}

static void put_regex(struct pattern_text *text, uint64_t *seed, int depth)
{
	int branches = random_below(seed, 3) ? 1 : 1 + random_below(seed, 3);

	while (branches--) {
		int items = random_below(seed, 16) ? 1 + random_below(seed, 4) : 0;

		if (random_below(seed, 12) == 0)
			put_assertion(text, seed);
		while (items--) {
			put_item(text, seed, depth);
			if (random_below(seed, 4) == 0)
				put_quantifier(text, seed);
			if (random_below(seed, 24) == 0)
				put_assertion(text, seed);
		}
		if (random_below(seed, 12) == 0)
			put_assertion(text, seed);
		if (branches)
			put_string(text, "|");
	}
}

static void put_glob(struct pattern_text *text, uint64_t *seed)
{
	static const char *const items[] = { "*",
					     "*",
					     "*",
					     "?",
					     "\\*",
					     "\\a",
					     "[ab]",
					     "[!a]",
					     "[^b]",
					     "[a-c]",
					     "[]a]",
					     "[!]a]",
					     "[[:alpha:]]",
					     "[[:digit:]_]",
					     "[a-]",
					     "[\\]]",
					     "[--/]",
					     "[z-a]",
					     "[::1]",
					     "[[]",
					     "[a",
					     "[[:foo:]]",
					     "[[.a.]]",
					     "[\x80-\xff]",
					     "[*?]",
					     "[[:a]",
					     "[[:upper:]-]",
					     "[\\a-\\c]",
					     "[!",
					     "[]",
					     "[a-\\]]",
					     NULL };
	int count = random_below(seed, 9);

	while (count--) {
		char letter = random_letter(seed);

		if (random_below(seed, 2))
			put_string(text, one_of(seed, items));
		else
			put(text, &letter, 1);
	}
}

static void put_text(struct pattern_text *text, uint64_t *seed)
{
	int count = random_below(seed, 30) ? 1 + random_below(seed, 6) : 0;

	while (count--) {
		char letter = random_letter(seed);

		put(text, &letter, 1);
	}
}

/* Change, insert or remove a byte, so that what no grammar makes is tried as well. */
static void mutate_pattern(struct pattern_text *text, uint64_t *seed)
{
	static const char bytes[] = "()[]{}*+?|^$.\\-:#,=!<>&' \tabxiQENGz012d";
	size_t at = text->length ? random_below(seed, text->length) : 0;
	char byte = bytes[random_below(seed, sizeof(bytes) - 1)];

	switch (random_below(seed, 3)) {
	case 0:
		if (text->length)
			text->bytes[at] = byte;
		break;
	case 1:
		if (text->length == PATTERN_MAX)
			break;
		memmove(text->bytes + at + 1, text->bytes + at, text->length - at);
		text->bytes[at] = byte;
		text->length++;
		break;
	case 2:
		if (text->length == 0)
			break;
		text->length--;
		memmove(text->bytes + at, text->bytes + at + 1, text->length - at);
		break;
	}
}

void random_pattern(struct pattern_text *text, uint64_t *seed, enum automaton_syntax syntax)
{
	text->length = 0;
	if (syntax == AUTOMATON_SUBSTRING) {
		put_text(text, seed);
		return;
	}
	if (syntax == AUTOMATON_GLOB)
		put_glob(text, seed);
	else
		put_regex(text, seed, random_below(seed, 4));
	while (random_below(seed, 5) == 0)
		mutate_pattern(text, seed);
}

/* Do URLs have this byte? */
static bool is_url_byte(unsigned char byte)
{
	return byte && byte != ' ' && !(byte >= '\t' && byte <= '\r');
}

static char random_url_byte(uint64_t *seed)
{
	unsigned char byte = random_below(seed, 256);

	if (random_below(seed, 6))
		byte = random_letter(seed);
	return is_url_byte(byte) ? byte : 'a';
}

size_t walk_text(char *text, size_t max, uint64_t *seed, const struct automaton *automaton)
{
	size_t length =
		random_below(seed, 12) ? random_below(seed, 24) : random_below(seed, max + 1);
	uint32_t state = automaton->start;

	for (size_t i = 0; i < length; i++) {
		char *byte = &text[automaton->backward ? length - 1 - i : i];

		for (int tries = 0; tries < 8; tries++) {
			uint32_t next;

			*byte = random_url_byte(seed);
			next = automaton->next[(size_t)state * automaton->classes +
					       automaton->class[(unsigned char)*byte]];
			if (next >= automaton->sinks || tries == 7) {
				state = next;
				break;
			}
		}
	}
	return length;
}

size_t pieces_text(char *text, size_t max, uint64_t *seed, const struct pattern_text *patterns,
		   size_t count)
{
	size_t length = 0, pieces = random_below(seed, 6);

	while (pieces--) {
		const struct pattern_text *pattern = &patterns[random_below(seed, count)];
		size_t at = random_below(seed, pattern->length + 1);
		size_t size = random_below(seed, 8);

		while (size-- && at < pattern->length && length < max) {
			char byte = pattern->bytes[at++];

			if (is_url_byte(byte) && !strchr("\\*+?()[]|^$", byte))
				text[length++] = byte;
		}
	}
	return length;
}

size_t mutate_text(char *text, size_t length, size_t max, uint64_t *seed)
{
	size_t at = random_below(seed, length + 1);

	switch (random_below(seed, 3)) {
	case 0:
		if (at < length)
			text[at] = random_url_byte(seed);
		return length;
	case 1:
		if (length == max)
			return length;
		memmove(text + at + 1, text + at, length - at);
		text[at] = random_url_byte(seed);
		return length + 1;
	default:
		if (at == length)
			return length;
		memmove(text + at, text + at + 1, length - at - 1);
		return length - 1;
	}
}
