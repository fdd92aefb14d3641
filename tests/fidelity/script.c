// SPDX-License-Identifier: GPL-2.0-or-later
#include <arpa/inet.h>
#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "script.h"

#define CHUNK 65536

struct chunk {
	struct chunk *next;
	size_t used, size;
	char bytes[];
};

const char *const kind_names[KIND_MAX] = {
	"prefix", "exact",  "substring", "suffix", "glob", "regex",  "host",	  "source", "flag",
	"load",	  "health", "schedule",	 "helper", "lua",  "plugin", "partition", "recent",
};

const char *const sight_names[SIGHT_MAX] = { "url", "source", "anything" };

/* What stands behind a step's word, in this order; then what read_rest() knows. */
static const struct grammar {
	const char *word;
	bool address, name, text, number;
} grammar[STEP_MAX] = {
	[STEP_HASH] = { "hash", .number = true },
	[STEP_DEFAULT] = { "default" },
	[STEP_POLICY] = { "policy", .name = true },
	[STEP_TEXT] = { "text", .name = true, .text = true },
	[STEP_LINE] = { "line", .name = true, .text = true },
	[STEP_REMOVE] = { "remove", .name = true },
	[STEP_SAYS] = { "says", .name = true, .text = true },
	[STEP_FLAG] = { "flag", .name = true },
	[STEP_LOAD] = { "load", .name = true, .number = true },
	[STEP_ORIGIN] = { "origin", .name = true },
	[STEP_RECENT] = { "recent", .name = true, .text = true },
	[STEP_CLOCK] = { "clock", .text = true },
	[STEP_TIME] = { "time", .number = true },
	[STEP_WATCH] = { "watch" },
	[STEP_RULE] = { "rule", .text = true },
	[STEP_UNRULE] = { "unrule", .text = true },
	[STEP_DRAIN] = { "drain" },
	[STEP_ASK] = { "ask", .address = true, .text = true },
	[STEP_BEGIN] = { "begin", .address = true, .text = true },
	[STEP_REPLY] = { "reply", .number = true },
	[STEP_LOSE] = { "lose", .number = true },
};

/* RFC 2186, and the names that a configuration takes. */
static const struct {
	unsigned int verdict;
	const char *name;
} verdict_names[] = {
	{ 2, "hit" },		{ 3, "miss" },	  { 4, "err" },
	{ 21, "miss_nofetch" }, { 22, "denied" }, { VERDICT_SILENCE, "silence" },
};

#define VERDICTS (sizeof(verdict_names) / sizeof(verdict_names[0]))

const char *verdict_name(unsigned int verdict)
{
	for (size_t i = 0; i < VERDICTS; i++)
		if (verdict_names[i].verdict == verdict)
			return verdict_names[i].name;
	return "none";
}

bool text_equal(struct text a, struct text b)
{
	return a.length == b.length && memcmp(a.at, b.at, a.length) == 0;
}

static void *must(void *memory)
{
	if (!memory) {
		fputs("out of memory\n", stderr);
		exit(2);
	}
	return memory;
}

struct step *script_add(struct script *script, enum step_kind kind)
{
	struct step *step;

	if (script->count == script->room) {
		script->room = 2 * script->room + 64;
		script->steps =
			must(reallocarray(script->steps, script->room, sizeof(struct step)));
	}
	step = &script->steps[script->count++];
	*step = (struct step){
		.kind = kind, .cost = -1, .ttl = -1, .name = { "", 0 }, .text = { "", 0 }
	};
	return step;
}

struct text script_text(struct script *script, const char *at, size_t length)
{
	struct chunk *chunk = script->chunks;
	char *copy;

	if (!chunk || chunk->size - chunk->used < length + 1) {
		size_t size = length + 1 > CHUNK ? length + 1 : CHUNK;

		chunk = must(malloc(sizeof(*chunk) + size));
		chunk->next = script->chunks;
		chunk->used = 0;
		chunk->size = size;
		script->chunks = chunk;
	}
	copy = chunk->bytes + chunk->used;
	memcpy(copy, at, length);
	copy[length] = '\0';
	chunk->used += length + 1;
	return (struct text){ copy, length };
}

void script_clear(struct script *script)
{
	while (script->chunks) {
		struct chunk *next = script->chunks->next;

		free(script->chunks);
		script->chunks = next;
	}
	free(script->steps);
	*script = (struct script){ 0 };
}

/* --- writing */

void text_write(struct text text, FILE *out)
{
	fputc('"', out);
	for (size_t i = 0; i < text.length; i++) {
		unsigned char c = text.at[i];

		if (c == '"' || c == '\\')
			fprintf(out, "\\%c", c);
		else if (c < 0x20 || c > 0x7e)
			fprintf(out, "\\x%02x", c);
		else
			fputc(c, out);
	}
	fputc('"', out);
}

static void address_write(const uint8_t address[16], FILE *out)
{
	static const uint8_t mapped[12] = { [10] = 0xff, 0xff };
	char text[INET6_ADDRSTRLEN];

	if (memcmp(address, mapped, 12) == 0)
		inet_ntop(AF_INET, address + 12, text, sizeof(text));
	else
		inet_ntop(AF_INET6, address, text, sizeof(text));
	fprintf(out, " %s", text);
}

/* The verdict, or how else a step says what there is now. */
static void verdict_write(const struct step *step, FILE *out)
{
	switch (step->kind) {
	case STEP_DRAIN:
		fprintf(out, " %s", step->verdict ? verdict_name(step->verdict) : "off");
		break;
	case STEP_FLAG:
	case STEP_RECENT:
	case STEP_WATCH:
		fputs(step->on ? " on" : " off", out);
		break;
	case STEP_ORIGIN:
		fputs(step->on ? " down" : " up", out);
		break;
	case STEP_LINE:
		if (step->verdict == VERDICT_NONE)
			break;
		/* fall through */
	case STEP_DEFAULT:
	case STEP_POLICY:
	case STEP_RULE:
	case STEP_SAYS:
		fprintf(out, " %s", verdict_name(step->verdict));
		break;
	default:
		break;
	}
}

void step_write(const struct step *step, FILE *out)
{
	const struct grammar *has = &grammar[step->kind];

	fputs(has->word, out);
	if (has->address)
		address_write(step->address, out);
	if (has->name) {
		fputc(' ', out);
		text_write(step->name, out);
	}
	if (has->text) {
		fputc(' ', out);
		text_write(step->text, out);
	}
	if (has->number)
		fprintf(out, " %d", step->number);
	if (step->kind == STEP_POLICY)
		fprintf(out, " %s", kind_names[step->policy]);
	verdict_write(step, out);
	if (step->cost >= 0)
		fprintf(out, " cost %d", step->cost);
	if (step->ttl >= 0)
		fprintf(out, " ttl %d", step->ttl);
	if (step->kind == STEP_POLICY && step->policy == KIND_PLUGIN)
		fprintf(out, " sees %s", sight_names[step->sees]);
	if (step->kind == STEP_POLICY && step->on)
		fputs(" not", out);
	if (has->address && step->on)
		fputs(" cost", out);
	if (step->from) {
		fputs(" from", out);
		address_write(step->address, out);
	}
	fputc('\n', out);
}

/* --- reading */

static char *word(char **at)
{
	char *begin = *at + strspn(*at, " \t\n");

	*at = begin + strcspn(begin, " \t\n");
	if (**at)
		*(*at)++ = '\0';
	return begin;
}

static bool quoted(struct script *script, char **at, struct text *text)
{
	char *from = *at + strspn(*at, " \t"), *to, *begin;

	if (*from++ != '"')
		return false;
	begin = to = from;
	while (*from && *from != '"') {
		unsigned int byte;

		if (*from != '\\') {
			*to++ = *from++;
		} else if (from[1] == 'x' && sscanf(from + 2, "%2x", &byte) == 1) {
			*to++ = byte;
			from += 4;
		} else {
			*to++ = from[1];
			from += 2;
		}
	}
	if (*from != '"')
		return false;
	*at = from + 1;
	*text = script_text(script, begin, to - begin);
	return true;
}

static bool read_verdict(const char *name, uint8_t *verdict)
{
	*verdict = VERDICT_NONE;
	for (size_t i = 0; i < VERDICTS; i++)
		if (strcmp(verdict_names[i].name, name) == 0)
			*verdict = verdict_names[i].verdict;
	return *verdict || strcmp(name, "none") == 0 || strcmp(name, "off") == 0;
}

static bool read_address(const char *text, uint8_t address[16])
{
	memset(address, 0, 16);
	address[10] = address[11] = 0xff;
	return inet_pton(AF_INET, text, address + 12) == 1 ||
	       inet_pton(AF_INET6, text, address) == 1;
}

/* Finds a word in a list; false: it is not there. */
static bool find_word(const char *word, const char *const *words, int count, int *found)
{
	for (int i = 0; i < count; i++)
		if (strcmp(word, words[i]) == 0) {
			*found = i;
			return true;
		}
	return false;
}

/* What follows the texts: a verdict, a kind, on and off, a cost and so on, in any order. */
static bool read_rest(struct step *step, char *at)
{
	for (char *next = word(&at); *next; next = word(&at)) {
		int found;

		if (step->kind == STEP_POLICY && find_word(next, kind_names, KIND_MAX, &found)) {
			step->policy = found;
		} else if (strcmp(next, "on") == 0 || strcmp(next, "not") == 0 ||
			   strcmp(next, "down") == 0 ||
			   (strcmp(next, "cost") == 0 && grammar[step->kind].address)) {
			step->on = true;
		} else if (strcmp(next, "cost") == 0) {
			step->cost = atoi(word(&at));
		} else if (strcmp(next, "ttl") == 0) {
			step->ttl = atoi(word(&at));
		} else if (strcmp(next, "from") == 0) {
			step->from = true;
			if (!read_address(word(&at), step->address))
				return false;
		} else if (strcmp(next, "sees") == 0) {
			if (!find_word(word(&at), sight_names, SIGHT_MAX, &found))
				return false;
			step->sees = found;
		} else if (strcmp(next, "up") != 0 && !read_verdict(next, &step->verdict)) {
			return false;
		}
	}
	return true;
}

static bool read_step(struct script *script, char *line)
{
	char *name = word(&line);
	struct step *step;
	int kind = 0;

	while (kind < STEP_MAX && strcmp(name, grammar[kind].word) != 0)
		kind++;
	if (kind == STEP_MAX)
		return false;
	step = script_add(script, kind);
	if (grammar[kind].address && !read_address(word(&line), step->address))
		return false;
	if (grammar[kind].name && !quoted(script, &line, &step->name))
		return false;
	if (grammar[kind].text && !quoted(script, &line, &step->text))
		return false;
	if (grammar[kind].number)
		step->number = atoi(word(&line));
	return read_rest(step, line);
}

bool script_read(struct script *script, FILE *in, char *wrong)
{
	size_t allocated = 0;
	char *line = NULL;
	bool good = true;

	for (int number = 1; good && getline(&line, &allocated, in) >= 0; number++) {
		if (line[0] == '#' || line[0] == '\n')
			continue;
		snprintf(wrong, 256, "line %d: %.200s", number, line);
		good = read_step(script, line);
	}
	free(line);
	return good;
}
