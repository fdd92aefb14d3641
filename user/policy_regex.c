// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * One of `patterns` is found in the URL; they are tried in their order. Bytes are bytes: no
 * pattern can ask for UTF-8, since URLs may hold any bytes.
 *
 * A search that goes on for too long is given up, which counts as not found: a pattern with
 * nested repetitions could otherwise be made to run for hours by a URL of a hundred bytes.
 */
#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "policy_kinds.h"
#include "text_list.h"

/* With these a hopeless search ends within a few milliseconds. */
#define MATCH_LIMIT 100000	    /* steps of backtracking; in compiled code, too */
#define DEPTH_LIMIT 10000	    /* of nested backtracking points; the interpreter's alone */
#define HEAP_LIMIT 4096		    /* KiB; the interpreter's alone */
#define JIT_STACK_LEAST (32 * 1024) /* bytes */
#define JIT_STACK_MOST (1024 * 1024)

struct pattern {
	pcre2_code *code;
	enum icp_opcode verdict;
};

struct regex {
	size_t count, allocated;
	struct pattern *patterns;
	pcre2_match_context *limits;
};

/* What a thread needs to search with, whatever the pattern. */
struct memory {
	pcre2_match_data *found; /* where PCRE2 leaves what it found */
	pcre2_jit_stack *stack;	 /* NULL where PCRE2 was built without JIT, or memory was short */
};

static pthread_once_t once = PTHREAD_ONCE_INIT;
static pthread_key_t memory_key;
static bool has_key;

static void memory_free(void *memory_of_thread)
{
	struct memory *memory = memory_of_thread;

	pcre2_match_data_free(memory->found);
	pcre2_jit_stack_free(memory->stack);
	free(memory);
}

static void make_key(void)
{
	has_key = pthread_key_create(&memory_key, memory_free) == 0;
}

/* This thread's, which goes with the thread. NULL: out of memory. */
static struct memory *memory_get(void)
{
	struct memory *memory;

	pthread_once(&once, make_key);
	if (!has_key)
		return NULL;
	memory = pthread_getspecific(memory_key);
	if (memory)
		return memory;
	memory = calloc(1, sizeof(*memory));
	if (!memory)
		return NULL;
	memory->found = pcre2_match_data_create(1, NULL);
	memory->stack = pcre2_jit_stack_create(JIT_STACK_LEAST, JIT_STACK_MOST, NULL);
	if (memory->found && pthread_setspecific(memory_key, memory) == 0)
		return memory;
	memory_free(memory);
	return NULL;
}

/* PCRE2 asks for the stack of the thread that searches; without one 32 KiB of its own have to do. */
static pcre2_jit_stack *find_stack(void *context)
{
	const struct memory *memory = memory_get();

	(void)context;
	return memory ? memory->stack : NULL;
}

static int wrong_pattern(const struct text_list *list, const struct text_entry *entry, int number,
			 size_t offset, struct error *error)
{
	PCRE2_UCHAR message[256];

	pcre2_get_error_message(number, message, sizeof(message));
	return text_list_error(list, entry->tag, error,
			       "pattern '%.*s' is wrong at offset %zu: %s; see pcre2pattern(3)",
			       TEXT_SHOWN, entry->text, offset, (const char *)message);
}

/*
 * Compiled by a PCRE2 before 10.43, a pattern with alternatives of several lengths can fail to find
 * what is there: x(y|)z*y in xy (its issue 336). The interpreter finds it.
 */
static bool jit_is_sound(const char *pattern, size_t length)
{
	char version[64] = "";
	unsigned int major = 0, minor = 0;

	pcre2_config(PCRE2_CONFIG_VERSION, version); /* 10.42 2022-12-11 */
	if (sscanf(version, "%u.%u", &major, &minor) == 2 &&
	    (major > 10 || (major == 10 && minor >= 43)))
		return true;
	return !memchr(pattern, '|', length);
}

static int take(void *context, const struct text_list *list, const struct text_entry *entry,
		struct error *error)
{
	struct regex *regex = context;
	size_t offset;
	int number;
	pcre2_code *code;

	if (regex->count == regex->allocated) {
		size_t wanted = 2 * regex->count + 4;
		struct pattern *patterns = reallocarray(regex->patterns, wanted, sizeof(*patterns));

		if (!patterns)
			return error_set(error, "out of memory");
		regex->patterns = patterns;
		regex->allocated = wanted;
	}
	code = pcre2_compile((PCRE2_SPTR)entry->text, entry->length,
			     PCRE2_NEVER_UTF | PCRE2_NEVER_UCP, &number, &offset, NULL);
	if (!code)
		return wrong_pattern(list, entry, number, offset, error);
	/* Without JIT the interpreter does the same, only slower. */
	if (jit_is_sound(entry->text, entry->length))
		pcre2_jit_compile(code, PCRE2_JIT_COMPLETE);
	regex->patterns[regex->count++] = (struct pattern){ code, entry->verdict };
	return 0;
}

static void release(struct regex *regex)
{
	for (size_t i = 0; i < regex->count; i++)
		pcre2_code_free(regex->patterns[i].code);
	free(regex->patterns);
	pcre2_match_context_free(regex->limits);
	free(regex);
}

static struct regex *prepare(void)
{
	struct regex *regex = calloc(1, sizeof(*regex));

	if (!regex)
		return NULL;
	regex->limits = pcre2_match_context_create(NULL);
	if (!regex->limits) {
		release(regex);
		return NULL;
	}
	pcre2_set_match_limit(regex->limits, MATCH_LIMIT);
	pcre2_set_depth_limit(regex->limits, DEPTH_LIMIT);
	pcre2_set_heap_limit(regex->limits, HEAP_LIMIT);
	pcre2_jit_stack_assign(regex->limits, find_stack, NULL);
	return regex;
}

static int create(struct policy *policy, const struct policy_spec *spec, struct error *error)
{
	struct text_list list = { spec, "patterns", "pattern", policy->verdict };
	struct regex *regex = prepare();

	if (!regex)
		return error_set(error, "out of memory");
	if (text_list_read(&list, take, regex, error)) {
		release(regex);
		return -1;
	}
	policy->state = regex;
	return 0;
}

static void destroy(struct policy *policy)
{
	release(policy->state);
}

static struct policy_match match(const struct policy *policy, const struct query *query)
{
	const struct regex *regex = policy->state;
	struct policy_match match = { .verdict = ICP_OP_INVALID };
	const struct memory *memory = memory_get();

	match.gave_up = !memory;
	for (size_t i = 0; memory && i < regex->count; i++) {
		int result = pcre2_match(regex->patterns[i].code, (PCRE2_SPTR)query->url,
					 query->length, 0, 0, memory->found, regex->limits);

		if (result >= 0) {
			match.verdict = regex->patterns[i].verdict;
			break;
		}
		if (result != PCRE2_ERROR_NOMATCH)
			match.gave_up = true;
	}
	return match;
}

static const struct policy_setting settings[] = {
	{ "patterns", "regular expressions, see pcre2pattern(3)", .list = true },
	{ "pattern", "a single one of them" },
	{ "file", "a file of patterns, one a line, optionally with a TAB and its own verdict" },
	{ NULL },
};

const struct policy_kind policy_regex = {
	.name = "regex",
	.help = "one of 'patterns' is found in the URL; the first in the list gives the verdict",
	.settings = settings,
	.create = create,
	.destroy = destroy,
	.match = match,
};
