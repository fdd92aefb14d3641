// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The URL contains a match of one of `patterns`, which are tried in their order. UTF-8 mode is
 * disabled, since URLs may contain any bytes.
 *
 * A search that takes too long is aborted and counts as no match: nested repetitions can run for
 * hours on a URL of a hundred bytes. PCRE2's own limit does not bound a search, as it restarts at
 * zero for each offset of the URL at which a match is tried, and in compiled code a single step may
 * scan the whole URL. So there are two searches:
 *
 * - A quick one, with that limit so low that even the product of offsets, steps and bytes per step
 *   is small. Usually it ends below the limit, and its result is exact.
 * - Otherwise a counted one, in which PCRE2 calls back before each item of the pattern, and the
 *   work done is charged to a budget that all patterns share for the query.
 */
#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/vec.h"
#include "policy/kinds.h"
#include "policy/list.h"

#define QUICK_WORK 20000000 /* offsets * steps * bytes, of all quick searches for a query */
#define BUDGET 500000	    /* items tried and bytes scanned, of all counted searches for a query */
#define BUDGET_A_BYTE 8	    /* added per byte of the URL and pattern: lists may be long */
#define BACKREFERENCE 16    /* bytes compared by one that cost as much as an item */
#define DEPTH_LIMIT 10000   /* of nested backtracking points; interpreter only */
#define HEAP_LIMIT 4096	    /* KiB; interpreter only */
#define JIT_STACK_MIN (32 * 1024) /* bytes */
#define JIT_STACK_MAX (1024 * 1024)

struct pattern {
	pcre2_code *quick;
	pcre2_code *counted; /* the same with callouts */
	bool backreference;  /* has one, which may compare many bytes in a step */
	enum icp_opcode verdict;
};

struct regex {
	size_t count;
	struct pattern *patterns;
};

/* Per-thread memory for searches, shared by all patterns. */
struct memory {
	pcre2_match_data *found; /* output of PCRE2 */
	pcre2_jit_stack *stack;	 /* NULL: PCRE2 has no JIT, or out of memory */
	pcre2_match_context *quick, *counted;
	size_t budget; /* left for the query */
	size_t price;  /* of an item of the current pattern */
	size_t at;     /* offset in the URL at the last item */
};

static pthread_once_t once = PTHREAD_ONCE_INIT;
static pthread_key_t memory_key;
static bool has_key;

static void memory_free(void *memory_of_thread)
{
	struct memory *memory = memory_of_thread;

	pcre2_match_context_free(memory->quick);
	pcre2_match_context_free(memory->counted);
	pcre2_match_data_free(memory->found);
	pcre2_jit_stack_free(memory->stack);
	free(memory);
}

static void make_key(void)
{
	has_key = pthread_key_create(&memory_key, memory_free) == 0;
}

/* Called before each item of the pattern. */
static int charge(pcre2_callout_block *block, void *context)
{
	struct memory *memory = context;
	size_t at = block->current_position;
	size_t cost = memory->price + (at > memory->at ? at - memory->at : memory->at - at);

	if (cost > memory->budget)
		return PCRE2_ERROR_CALLOUT;
	memory->budget -= cost;
	memory->at = at;
	return 0;
}

static pcre2_match_context *make_context(const struct memory *memory)
{
	pcre2_match_context *context = pcre2_match_context_create(NULL);

	if (!context)
		return NULL;
	pcre2_set_depth_limit(context, DEPTH_LIMIT);
	pcre2_set_heap_limit(context, HEAP_LIMIT);
	/* Without a stack, compiled code uses 32 KiB of the thread's. */
	pcre2_jit_stack_assign(context, NULL, memory->stack);
	return context;
}

static struct memory *memory_new(void)
{
	struct memory *memory = calloc(1, sizeof(*memory));

	if (!memory)
		return NULL;
	memory->found = pcre2_match_data_create(1, NULL);
	memory->stack = pcre2_jit_stack_create(JIT_STACK_MIN, JIT_STACK_MAX, NULL);
	memory->quick = make_context(memory);
	memory->counted = make_context(memory);
	if (memory->found && memory->quick && memory->counted) {
		pcre2_set_callout(memory->counted, charge, memory);
		return memory;
	}
	memory_free(memory);
	return NULL;
}

/* Return this thread's memory, which is freed when the thread ends. NULL: out of memory. */
static struct memory *memory_get(void)
{
	struct memory *memory;

	pthread_once(&once, make_key);
	if (!has_key)
		return NULL;
	memory = pthread_getspecific(memory_key);
	if (memory)
		return memory;
	memory = memory_new();
	if (!memory || pthread_setspecific(memory_key, memory) == 0)
		return memory;
	memory_free(memory);
	return NULL;
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
 * The JIT of PCRE2 before 10.43 can miss matches of patterns with alternatives of different
 * lengths: x(y|)z*y in xy (PCRE2 issue 336). The interpreter finds them.
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

/* Returns NULL with an error. */
static pcre2_code *compile(const struct text_list *list, const struct text_entry *entry,
			   uint32_t options, struct error *error)
{
	pcre2_code *code;
	size_t offset;
	int number;

	code = pcre2_compile((PCRE2_SPTR)entry->text, entry->length,
			     PCRE2_NEVER_UTF | PCRE2_NEVER_UCP | options, &number, &offset, NULL);
	if (!code)
		wrong_pattern(list, entry, number, offset, error);
	/* If this fails, the interpreter runs the pattern, with the same result. */
	else if (jit_is_sound(entry->text, entry->length))
		pcre2_jit_compile(code, PCRE2_JIT_COMPLETE);
	return code;
}

static int add_pattern(void *context, const struct text_list *list, const struct text_entry *entry,
		       struct error *error)
{
	struct regex *regex = context;
	struct pattern *pattern;
	uint32_t references = 0;

	pattern = vec_append(regex->patterns, regex->count);
	if (!pattern)
		return error_set(error, "out of memory");
	*pattern = (struct pattern){ .verdict = entry->verdict };
	pattern->quick = compile(list, entry, 0, error);
	if (pattern->quick)
		pattern->counted = compile(list, entry, PCRE2_AUTO_CALLOUT, error);
	if (!pattern->counted)
		return -1;
	pcre2_pattern_info(pattern->quick, PCRE2_INFO_BACKREFMAX, &references);
	pattern->backreference = references > 0;
	return 0;
}

static void release(struct regex *regex)
{
	for (size_t i = 0; i < regex->count; i++) {
		pcre2_code_free(regex->patterns[i].quick);
		pcre2_code_free(regex->patterns[i].counted);
	}
	free(regex->patterns);
	free(regex);
}

static int create(struct policy *policy, const struct policy_spec *spec, struct error *error)
{
	struct text_list list = { spec, "patterns", "pattern", policy->verdict };
	struct regex *regex = calloc(1, sizeof(*regex));

	if (!regex)
		return error_set(error, "out of memory");
	if (text_list_read(&list, add_pattern, regex, error)) {
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

/* Return the match limit of each quick search, per offset; 0: skip it. */
static uint32_t quick_steps(const struct regex *regex, size_t length)
{
	return QUICK_WORK / (length + 1) / (length + 1) / (regex->count ? regex->count : 1);
}

/* Returns as pcre2_match(). `steps`: the match limit of the quick search, already set; 0: skip it. */
static int search(const struct pattern *pattern, const struct query *query, uint32_t steps,
		  struct memory *memory)
{
	int result = PCRE2_ERROR_MATCHLIMIT;

	if (steps > 0)
		result = pcre2_match(pattern->quick, (PCRE2_SPTR)query->url, query->length, 0, 0,
				     memory->found, memory->quick);
	if (result != PCRE2_ERROR_MATCHLIMIT)
		return result;
	memory->at = 0;
	memory->price = pattern->backreference ? 1 + query->length / BACKREFERENCE : 1;
	return pcre2_match(pattern->counted, (PCRE2_SPTR)query->url, query->length, 0, 0,
			   memory->found, memory->counted);
}

static struct policy_match match(const struct policy *policy, const struct query *query)
{
	const struct regex *regex = policy->state;
	struct policy_match match = { .verdict = ICP_OP_INVALID };
	struct memory *memory = memory_get();
	uint32_t steps = quick_steps(regex, query->length);

	match.gave_up = !memory;
	if (!memory)
		return match;
	pcre2_set_match_limit(memory->quick, steps);
	memory->budget = BUDGET + BUDGET_A_BYTE * regex->count * query->length;
	for (size_t i = 0; i < regex->count; i++) {
		int result = search(&regex->patterns[i], query, steps, memory);

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
