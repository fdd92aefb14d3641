// SPDX-License-Identifier: GPL-2.0-or-later
#include "support/chains.h"
#include "support/images.h"

#include "match.h"

/* What a lookup sees: the image, and a query. */
struct view {
	struct image *image;
	struct scratch scratch;
};

static void *filled(size_t count)
{
	void *memory = aligned_alloc(PREFIX_LINE, (count + 1) * PREFIX_LINE);

	assert_non_null(memory);
	memset(memory, 0x55, (count + 1) * PREFIX_LINE);
	return memory;
}

void image_build(struct image *image, const struct chain *chain)
{
	struct image_place place = { 0 };
	size_t buckets;

	*image = (struct image){ .compiled = compile(chain) };
	buckets = chain_image_buckets(image->compiled->lines);
	place.buckets = image->buckets = filled(buckets);
	place.lines = image->lines = filled(image->compiled->lines);
	assert_int_equal(chain_image_write(&image->chain, image->compiled, &place), 0);
	/* Nothing is written behind what is asked for. */
	for (size_t i = 0; i < PREFIX_LINE; i++) {
		assert_int_equal(((char *)&image->buckets[buckets])[i], 0x55);
		assert_int_equal(image->lines[image->compiled->lines].text[i], 0x55);
	}
	image->chain.memory = MEMORY_NONE;
}

void image_free(struct image *image)
{
	compiled_free(image->compiled);
	free(image->buckets);
	free(image->lines);
}

static const struct prefix_bucket *bucket_at(void *maps, __u32 index)
{
	const struct view *view = maps;

	return index < chain_image_buckets(view->image->compiled->lines)
		       ? &view->image->buckets[index]
		       : NULL;
}

static const struct prefix_line *line_at(void *maps, __u32 index)
{
	const struct view *view = maps;

	return index < view->image->compiled->lines ? &view->image->lines[index] : NULL;
}

static const struct prefix_answer *answer_at(void *maps, __u32 index)
{
	const struct view *view = maps;

	return index <= view->image->compiled->answer_count
		       ? view->image->compiled->answers + index - 1
		       : NULL;
}

static const struct rule *no_rule(void *maps, const struct rule_key *key)
{
	return NULL;
}

static __u32 find(void *maps, const struct map_chain *chain, struct scratch *scratch,
		  enum url_reading reading)
{
	struct match_text text = match_text(scratch, reading);

	return prefix_find(&chain->trees[reading], text.words, text.length, bucket_at, line_at,
			   maps, &scratch->cursor);
}

static __u32 find_place(void *maps, const struct map_chain *chain, struct scratch *scratch,
			enum url_reading reading, __u32 at)
{
	return match_place(chain, scratch, reading, at, find, maps);
}

static __u32 read_reading(void *maps, const struct map_chain *chain, struct scratch *scratch,
			  enum url_reading reading)
{
	struct view *view = maps;

	view->image->turned++;
	if (reading >= URL_INSIDE)
		return match_inside(chain, scratch, reading, find_place, bucket_at, maps);
	return match_reading(chain, scratch, reading, find, maps);
}

static const struct partition_line *places_at(void *maps, __u32 index)
{
	const struct view *view = maps;

	return index < PARTITION_LINES ? &view->image->compiled->partition.lines[index] : NULL;
}

static bool walk_groups(void *maps, struct scratch *scratch, __u32 first, __u32 count);

static const struct match_lookups lookups = {
	.find = find,
	.answer = answer_at,
	.reading = read_reading,
	.key = match_key,
	.others = match_others,
	.timed = match_timed,
	.automata = match_automata,
	.groups = walk_groups,
	.places = places_at,
	.rule = no_rule,
};

static bool walk_groups(void *maps, struct scratch *scratch, __u32 first, __u32 count)
{
	const struct view *view = maps;

	for (__u32 i = 0; i < count; i++)
		if (!match_group(scratch, &view->image->compiled->groups[first + i], i, &lookups,
				 maps))
			break;
	return true;
}

struct decision image_decide(struct image *image, const char *url, size_t length)
{
	static struct view view;
	text_word *words = view.scratch.message.words + MESSAGE_URL_WORD;

	if (length > PREFIX_URL_MAX)
		return decision_pass(ICP_COUNT_PASSED_LONG);
	/* The last query has left something behind the word with the NUL. */
	memset(&view.scratch, 0x55, sizeof(view.scratch));
	view.image = image;
	view.scratch.url_length = length;
	view.scratch.form = ICP_FORM_QUERY;
	memset(words, 0, (length / ICP_WORD + 1) * ICP_WORD);
	memcpy(words, url, length);
	return match(0, &image->chain, 0, &view.scratch, &lookups, &view);
}
