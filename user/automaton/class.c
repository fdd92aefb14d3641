// SPDX-License-Identifier: GPL-2.0-or-later
#include <string.h>

#include "automaton/class.h"

static bool is_letter(unsigned char byte)
{
	return (byte | 0x20) >= 'a' && (byte | 0x20) <= 'z';
}

void regex_add_byte(const struct regex_parser *parser, struct bytes *set, unsigned char byte)
{
	bytes_add(set, byte);
	if (parser->caseless && is_letter(byte))
		bytes_add(set, byte ^ 0x20);
}

/* Sets of bytes by their names: ranges. The locale is "C". */
static const struct named {
	const char *posix;
	unsigned char escape;
	unsigned char ranges[8]; /* first and last, up to 0 0 */
} named[] = {
	{ "alpha", 0, "AZaz" },
	{ "lower", 0, "az" },
	{ "upper", 0, "AZ" },
	{ "alnum", 0, "09AZaz" },
	{ "ascii", 0, "\001\177" },
	{ "blank", 0, "\t\t  " },
	{ "cntrl", 0, "\001\037\177\177" },
	{ "digit", 'd', "09" },
	{ "graph", 0, "!~" },
	{ "print", 0, " ~" },
	{ "punct", 0, "!/:@[`{~" },
	{ "space", 's', "\t\r  " },
	{ "word", 'w', "09AZaz__" },
	{ "xdigit", 0, "09AFaf" },
	{ NULL, 'h', "\t\t  \240\240" },
	{ NULL, 'v', "\n\r\205\205" },
};

static void add_named(struct bytes *set, const struct named *name, bool inverted)
{
	struct bytes members = { 0 };

	for (size_t i = 0; i < sizeof(name->ranges) && name->ranges[i]; i += 2)
		bytes_add_range(&members, name->ranges[i], name->ranges[i + 1]);
	if (inverted)
		bytes_invert(&members);
	bytes_unite(set, &members);
}

/* The set of \LETTER; NULL: it is none. In upper case it is inverted. */
static const struct named *find_escape(unsigned char letter)
{
	for (size_t i = 0; i < sizeof(named) / sizeof(*named); i++)
		if (named[i].escape == (letter | 0x20) && is_letter(letter))
			return &named[i];
	return NULL;
}

static bool is_upper(unsigned char letter)
{
	return !(letter & 0x20);
}

bool regex_class_escape(unsigned char letter, struct bytes *set)
{
	const struct named *name = find_escape(letter);

	if (name)
		add_named(set, name, is_upper(letter));
	return name;
}

static int digit_of(unsigned char byte)
{
	if (byte >= '0' && byte <= '9')
		return byte - '0';
	if (is_letter(byte) && (byte | 0x20) <= 'f')
		return (byte | 0x20) - 'a' + 10;
	return 16;
}

/* Read at most `max` digits. Returns their number. */
static size_t read_digits(struct regex_parser *parser, int base, size_t max, uint32_t *value)
{
	size_t count = 0;

	*value = 0;
	while (count < max && regex_more(parser, 1) && digit_of(*parser->at) < base &&
	       *value < 256) {
		*value = base * *value + digit_of(*parser->at++);
		count++;
	}
	return count;
}

/* {DIGITS} */
static bool read_braced(struct regex_parser *parser, int base, uint32_t *value)
{
	parser->at++;
	if (!read_digits(parser, base, SIZE_MAX, value) || *value > 255 ||
	    !regex_ahead(parser, "}"))
		return false;
	parser->at++;
	return true;
}

static bool read_numbered(struct regex_parser *parser, unsigned char kind, uint32_t *value)
{
	switch (kind) {
	case 'x':
		if (regex_ahead(parser, "{"))
			return read_braced(parser, 16, value);
		read_digits(parser, 16, 2, value);
		return true;
	case 'o':
		return regex_ahead(parser, "{") && read_braced(parser, 8, value);
	case '0':
		read_digits(parser, 8, 2, value);
		return true;
	default: /* c */
		if (!regex_more(parser, 1) || *parser->at < ' ' || *parser->at > '~')
			return false;
		*value = *parser->at++;
		if (is_letter(*value))
			*value &= ~0x20u;
		*value ^= 0x40;
		return true;
	}
}

/* Why a letter or digit behind a backslash is refused. */
static bool refuse_escape(struct regex_parser *parser, unsigned char byte)
{
	static const struct {
		unsigned char byte;
		const char *name;
	} names[] = {
		{ 'g', "the reference \\g" },
		{ 'k', "the back reference \\k" },
		{ 'p', "the Unicode property \\p" },
		{ 'P', "the Unicode property \\P" },
		{ 'X', "the Unicode character \\X" },
		{ 'R', "the line break \\R" },
		{ 'C', "\\C" },
		{ 'K', "\\K, which moves the beginning of the match" },
	};

	for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++)
		if (names[i].byte == byte)
			return regex_refuse(parser, "%s", names[i].name);
	return regex_refuse(parser, "\\%c", byte);
}

bool regex_byte_escape(struct regex_parser *parser, unsigned char *byte)
{
	static const char letters[] = "a\ae\033f\fn\nr\rt\t";
	unsigned char kind = *parser->at++;
	uint32_t value;

	*byte = kind;
	if (!is_letter(kind) && !(kind >= '0' && kind <= '9'))
		return true;
	for (size_t i = 0; i < sizeof(letters) - 1; i += 2)
		if (letters[i] == (char)kind) {
			*byte = letters[i + 1];
			return true;
		}
	if (!regex_is(kind, "xo0c"))
		return refuse_escape(parser, kind);
	if (!read_numbered(parser, kind, &value))
		return regex_refuse(parser, "\\%c that is not a byte", kind);
	*byte = value;
	return true;
}

/* What the last item of a class was. */
enum range {
	RANGE_NONE,  /* nothing that can begin a range */
	RANGE_BYTE,  /* a byte, which can */
	RANGE_BEGUN, /* a byte and a hyphen */
};

struct class
{
	struct bytes set;
	enum range range;
	unsigned char first; /* of a range */
};

/* A byte of a class: by itself, or the end of a range. */
static bool add_member(struct regex_parser *parser, struct class *class, unsigned char byte)
{
	if (class->range != RANGE_BEGUN) {
		class->range = RANGE_BYTE;
		class->first = byte;
		regex_add_byte(parser, &class->set, byte);
		return true;
	}
	if (class->first > byte)
		return regex_refuse(parser, "a range of characters that ends before it begins");
	for (unsigned int i = class->first; i <= byte; i++)
		regex_add_byte(parser, &class->set, i);
	class->range = RANGE_NONE;
	return true;
}

/* A set within a class. A hyphen beside it means nothing certain, unless it is the last. */
static bool add_set(struct regex_parser *parser, struct class *class, const struct named *name,
		    bool inverted)
{
	if (class->range == RANGE_BEGUN ||
	    (regex_more(parser, 2) && parser->at[0] == '-' && parser->at[1] != ']'))
		return regex_refuse(parser, "a hyphen beside a set of characters in a class");
	class->range = RANGE_NONE;
	add_named(&class->set, name, inverted);
	return true;
}

/* [:NAME:] or [:^NAME:], from behind the first bracket. */
static bool add_posix(struct regex_parser *parser, struct class *class)
{
	bool inverted = regex_ahead(parser, ":^");
	bool posix = regex_ahead(parser, ":");

	parser->at += inverted ? 2 : 1;
	for (size_t i = 0; posix && i < sizeof(named) / sizeof(*named); i++) {
		const struct named *name = &named[i];
		size_t length = name->posix ? strlen(name->posix) : 0;

		if (!length || !regex_ahead(parser, name->posix) ||
		    !regex_more(parser, length + 2) || memcmp(parser->at + length, ":]", 2) != 0)
			continue;
		parser->at += length + 2;
		/* Without case, the first three are the same. */
		return add_set(parser, class, parser->caseless && i < 3 ? named : name, inverted);
	}
	return regex_refuse(parser, "'[:', '[.' or '[=' in a class that begins no [:name:]");
}

/* An escape sequence, from behind its backslash. */
static bool add_escape(struct regex_parser *parser, struct class *class)
{
	const struct named *name;
	unsigned char byte;
	uint32_t value;

	if (!regex_more(parser, 1))
		return regex_refuse(parser, "a backslash at the end");
	byte = *parser->at;
	name = find_escape(byte);
	if (name) {
		parser->at++;
		return add_set(parser, class, name, is_upper(byte));
	}
	if (byte == 'Q' || byte == 'E') {
		parser->quoted = byte == 'Q';
		parser->at++;
		return true;
	}
	if (byte == 'b') {
		parser->at++;
		return add_member(parser, class, '\b');
	}
	if (byte >= '1' && byte <= '7') {
		read_digits(parser, 8, 3, &value);
		if (value > 255)
			return regex_refuse(parser, "a number of more than a byte in a class");
		return add_member(parser, class, value);
	}
	return regex_byte_escape(parser, &byte) && add_member(parser, class, byte);
}

/* The next item of a class that begins with `byte`, behind which `at` is. */
static bool add_item(struct regex_parser *parser, struct class *class, unsigned char byte)
{
	if (parser->quoted) {
		if (byte != '\\' || !regex_ahead(parser, "E"))
			return add_member(parser, class, byte);
		parser->quoted = false;
		parser->at++;
		return true;
	}
	if (parser->extended_more && (byte == ' ' || byte == '\t'))
		return true;
	if (byte == '[' && regex_ahead_is(parser, ":.="))
		return add_posix(parser, class);
	if (byte == '-' && class->range == RANGE_BYTE) {
		class->range = RANGE_BEGUN;
		return true;
	}
	if (byte == '\\')
		return add_escape(parser, class);
	return add_member(parser, class, byte);
}

/* Skip what may stand before the first item, and tell whether a circumflex inverts the class. */
static bool is_inverted(struct regex_parser *parser)
{
	bool inverted = false;

	for (;;) {
		if (regex_ahead(parser, "\\E"))
			parser->at += 2;
		else if (regex_ahead(parser, "\\Q\\E"))
			parser->at += 4;
		else if (parser->extended_more &&
			 (regex_ahead(parser, " ") || regex_ahead(parser, "\t")))
			parser->at++;
		else if (!inverted && regex_ahead(parser, "^")) {
			inverted = true;
			parser->at++;
		} else
			return inverted;
	}
}

bool regex_class(struct regex_parser *parser, struct bytes *set)
{
	struct class class = { 0 };
	bool inverted;

	if (regex_ahead(parser, "[:<:]]") || regex_ahead(parser, "[:>:]]"))
		return regex_refuse(parser, "[[:<:]] or [[:>:]]");
	inverted = is_inverted(parser);
	/* The first item may be a bracket. */
	do {
		unsigned char byte;

		if (!regex_more(parser, 1))
			return regex_refuse(parser, "'[' without ']'");
		byte = *parser->at++;
		if (!add_item(parser, &class, byte))
			return false;
	} while (parser->quoted || !regex_ahead(parser, "]"));
	parser->at++;
	if (class.range == RANGE_BEGUN)
		bytes_add(&class.set, '-');
	if (inverted)
		bytes_invert(&class.set);
	*set = class.set;
	return true;
}
