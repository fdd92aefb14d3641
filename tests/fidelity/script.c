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

const char *const kind_names[KIND_MAX] = { "prefix", "exact", "substring", "suffix", "glob",
					   "regex",  "host",  "source",	   "flag" };

static const char *const step_names[STEP_MAX] = { "hash", "default", "policy", "text",
						  "line", "remove",  "flag",   "watch",
						  "rule", "unrule",  "drain",  "ask" };

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
	*step = (struct step){ .kind = kind, .cost = -1, .name = { "", 0 }, .text = { "", 0 } };
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

void step_write(const struct step *step, FILE *out)
{
	fputs(step_names[step->kind], out);
	if (step->kind == STEP_ASK)
		address_write(step->address, out);
	if (step->kind == STEP_POLICY || step->kind == STEP_TEXT || step->kind == STEP_LINE ||
	    step->kind == STEP_REMOVE || step->kind == STEP_FLAG) {
		fputc(' ', out);
		text_write(step->name, out);
	}
	if (step->kind == STEP_TEXT || step->kind == STEP_LINE || step->kind == STEP_RULE ||
	    step->kind == STEP_UNRULE || step->kind == STEP_ASK) {
		fputc(' ', out);
		text_write(step->text, out);
	}
	if (step->kind == STEP_POLICY)
		fprintf(out, " %s", kind_names[step->policy]);
	if (step->kind == STEP_DRAIN && step->verdict == VERDICT_NONE)
		fputs(" off", out);
	else if (step->kind == STEP_DEFAULT || step->kind == STEP_POLICY ||
		 step->kind == STEP_RULE || step->kind == STEP_DRAIN ||
		 (step->kind == STEP_LINE && step->verdict))
		fprintf(out, " %s", verdict_name(step->verdict));
	if (step->kind == STEP_FLAG || step->kind == STEP_WATCH)
		fputs(step->on ? " on" : " off", out);
	if (step->kind == STEP_HASH)
		fprintf(out, " %d", step->cost);
	else if (step->cost >= 0)
		fprintf(out, " cost %d", step->cost);
	if (step->kind == STEP_POLICY && step->on)
		fputs(" not", out);
	if (step->kind == STEP_ASK && step->on)
		fputs(" cost", out);
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

/* What follows the texts: a verdict, a kind, on and off, a cost, in the order of the words. */
static bool read_rest(struct step *step, char *at)
{
	for (char *next = word(&at); *next; next = word(&at)) {
		bool known = false;

		for (int kind = 0; step->kind == STEP_POLICY && kind < KIND_MAX; kind++)
			if (strcmp(next, kind_names[kind]) == 0) {
				step->policy = kind;
				known = true;
			}
		if (known)
			continue;
		if (strcmp(next, "on") == 0 || strcmp(next, "not") == 0) {
			step->on = true;
		} else if (strcmp(next, "cost") == 0) {
			if (step->kind == STEP_ASK)
				step->on = true;
			else
				step->cost = atoi(word(&at));
		} else if (!read_verdict(next, &step->verdict)) {
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

	while (kind < STEP_MAX && strcmp(name, step_names[kind]) != 0)
		kind++;
	if (kind == STEP_MAX)
		return false;
	step = script_add(script, kind);
	if (kind == STEP_ASK && !read_address(word(&line), step->address))
		return false;
	if ((kind == STEP_POLICY || kind == STEP_TEXT || kind == STEP_LINE || kind == STEP_REMOVE ||
	     kind == STEP_FLAG) &&
	    !quoted(script, &line, &step->name))
		return false;
	if ((kind == STEP_TEXT || kind == STEP_LINE || kind == STEP_RULE || kind == STEP_UNRULE ||
	     kind == STEP_ASK) &&
	    !quoted(script, &line, &step->text))
		return false;
	if (kind == STEP_HASH) {
		step->cost = atoi(word(&line));
		return true;
	}
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
