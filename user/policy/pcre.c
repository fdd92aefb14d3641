// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Nested repetitions can run for hours on a text of a hundred bytes. PCRE2's own limit does not bound
 * a search, as it restarts at zero for each offset of the text at which a match is tried, and in
 * compiled code a single step may scan the whole text. So there are two searches:
 *
 * - A quick one, with that limit so low that even the product of offsets, steps and bytes per step
 *   is small. Usually it ends below the limit, and its result is exact.
 * - Otherwise a counted one, in which PCRE2 calls back before each item of the pattern, and the
 * work is charged to a budget that all patterns share for the text.
 */
#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "policy/list.h"
#include "policy/pcre.h"

#define QUICK_WORK 20000000 /* offsets * steps * bytes, of all quick searches in a text */
#define BUDGET 500000	    /* items tried and bytes scanned, of all counted searches in a text */
#define BUDGET_A_BYTE 8	    /* added per byte of the text and pattern: lists may be long */
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

struct pcre {
	size_t count;
	struct pattern patterns[];
};

/* Per-thread memory for searches, shared by all patterns. */
struct memory {
	pcre2_match_data *found; /* output of PCRE2 */
	pcre2_jit_stack *stack;	 /* NULL: PCRE2 has no JIT, or out of memory */
	pcre2_match_context *quick, *counted;
	size_t budget; /* left for the text */
	size_t price;  /* of an item of the current pattern */
	size_t at;     /* offset in the text at the last item */
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

/*
 * Text is bytes, and only LF ends a line, however PCRE2 was built. NULL: see `*number`, an error of
 * PCRE2 at `*offset` of the pattern.
 */
static pcre2_code *compile(const char *pattern, size_t length, uint32_t options, int *number,
			   size_t *offset)
{
	pcre2_compile_context *context = pcre2_compile_context_create(NULL);
	pcre2_code *code = NULL;

	*number = PCRE2_ERROR_NOMEMORY;
	*offset = 0;
	if (context) {
		pcre2_set_newline(context, PCRE2_NEWLINE_LF);
		code = pcre2_compile((PCRE2_SPTR)pattern, length,
				     PCRE2_NEVER_UTF | PCRE2_NEVER_UCP | options, number, offset,
				     context);
	}
	pcre2_compile_context_free(context);
	return code;
}

static void tell(int number, struct error *error)
{
	pcre2_get_error_message(number, (PCRE2_UCHAR *)error->text, sizeof(error->text));
}

int pcre_check(const char *pattern, size_t length, size_t *offset, struct error *error)
{
	pcre2_code *code;
	int number;

	code = compile(pattern, length, 0, &number, offset);
	if (!code)
		tell(number, error);
	pcre2_code_free(code);
	return code ? 0 : -1;
}

/* NULL with an error, although the pattern has been checked: callouts may make it too large. */
static pcre2_code *compile_for_search(const struct automaton_pattern *pattern, uint32_t options,
				      struct error *error)
{
	struct error reason;
	pcre2_code *code;
	size_t offset;
	int number;

	code = compile(pattern->text, pattern->length, options, &number, &offset);
	if (!code) {
		tell(number, &reason);
		error_write(error,
			    "pattern '%.*s': %s with what bounds its searches; write several",
			    TEXT_SHOWN, pattern->text, reason.text);
	}
	/* If this fails, the interpreter runs the pattern, with the same result. */
	if (code && jit_is_sound(pattern->text, pattern->length))
		pcre2_jit_compile(code, PCRE2_JIT_COMPLETE);
	return code;
}

struct pcre *pcre_new(const struct automaton_pattern *list, size_t count, struct error *error)
{
	struct pcre *pcre = calloc(1, sizeof(*pcre) + count * sizeof(pcre->patterns[0]));
	uint32_t references;

	if (!pcre)
		error_write(error, "out of memory");
	for (; pcre && pcre->count < count; list++) {
		struct pattern *pattern = &pcre->patterns[pcre->count++];

		pattern->verdict = list->answer;
		pattern->quick = compile_for_search(list, 0, error);
		if (pattern->quick)
			pattern->counted = compile_for_search(list, PCRE2_AUTO_CALLOUT, error);
		if (!pattern->counted) {
			pcre_free(pcre);
			return NULL;
		}
		references = 0;
		pcre2_pattern_info(pattern->quick, PCRE2_INFO_BACKREFMAX, &references);
		pattern->backreference = references > 0;
	}
	return pcre;
}

void pcre_free(struct pcre *pcre)
{
	if (!pcre)
		return;
	for (size_t i = 0; i < pcre->count; i++) {
		pcre2_code_free(pcre->patterns[i].quick);
		pcre2_code_free(pcre->patterns[i].counted);
	}
	free(pcre);
}

/* Return the match limit of each quick search, per offset; 0: skip it. */
static uint32_t quick_steps(const struct pcre *pcre, size_t length)
{
	return QUICK_WORK / (length + 1) / (length + 1) / (pcre->count ? pcre->count : 1);
}

/* Returns as pcre2_match(). `steps`: the match limit of the quick search, already set; 0: skip it. */
static int search(const struct pattern *pattern, const char *text, size_t length, uint32_t steps,
		  struct memory *memory)
{
	int result = PCRE2_ERROR_MATCHLIMIT;

	if (steps > 0)
		result = pcre2_match(pattern->quick, (PCRE2_SPTR)text, length, 0, 0, memory->found,
				     memory->quick);
	if (result != PCRE2_ERROR_MATCHLIMIT)
		return result;
	memory->at = 0;
	memory->price = pattern->backreference ? 1 + length / BACKREFERENCE : 1;
	return pcre2_match(pattern->counted, (PCRE2_SPTR)text, length, 0, 0, memory->found,
			   memory->counted);
}

struct policy_match pcre_match(const struct pcre *pcre, const char *text, size_t length)
{
	struct policy_match match = { .verdict = ICP_OP_INVALID };
	struct memory *memory = memory_get();
	uint32_t steps = quick_steps(pcre, length);

	match.gave_up = !memory;
	if (!memory)
		return match;
	pcre2_set_match_limit(memory->quick, steps);
	memory->budget = BUDGET + BUDGET_A_BYTE * pcre->count * length;
	for (size_t i = 0; i < pcre->count; i++) {
		int result = search(&pcre->patterns[i], text, length, steps, memory);

		if (result >= 0) {
			match.verdict = pcre->patterns[i].verdict;
			break;
		}
		if (result != PCRE2_ERROR_NOMATCH)
			match.gave_up = true;
	}
	return match;
}
