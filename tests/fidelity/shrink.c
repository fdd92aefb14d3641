// SPDX-License-Identifier: GPL-2.0-or-later
#include <stdlib.h>
#include <string.h>

#include "shrink.h"

struct shrinking {
	struct script *script;
	struct step *trial; /* as many as the script has */
	still_fails fails;
	void *context;
};

/* Takes the trial in the place of the script if it fails as well. */
static bool try(struct shrinking *shrinking, size_t count)
{
	if (!shrinking->fails(shrinking->context, shrinking->trial, count))
		return false;
	memcpy(shrinking->script->steps, shrinking->trial, count * sizeof(struct step));
	shrinking->script->count = count;
	return true;
}

/* Leaves out runs of steps, long ones first. */
static bool leave_out(struct shrinking *shrinking)
{
	struct script *script = shrinking->script;
	bool better = false;

	for (size_t size = script->count / 2; size; size /= 2)
		for (size_t from = 0; from + size < script->count;) {
			size_t rest = script->count - from - size;

			memcpy(shrinking->trial, script->steps, from * sizeof(struct step));
			memcpy(shrinking->trial + from, script->steps + from + size,
			       rest * sizeof(struct step));
			if (try(shrinking, from + rest))
				better = true;
			else
				from += size;
		}
	return better;
}

/* Cuts `size` bytes at a place out of a text that begins as `like` does up to behind them. */
static bool cut(struct script *script, struct text *text, struct text like, size_t from,
		size_t size)
{
	char bytes[text->length + 1];

	if (text->length < from + size || memcmp(text->at, like.at, from + size) != 0 ||
	    text->length == size)
		return false;
	memcpy(bytes, text->at, from);
	memcpy(bytes + from, text->at + from + size, text->length - from - size);
	*text = script_text(script, bytes, text->length - size);
	return true;
}

static bool is_shortened(enum step_kind kind)
{
	return kind == STEP_TEXT || kind == STEP_LINE || kind == STEP_SAYS || kind == STEP_RULE ||
	       kind == STEP_ASK || kind == STEP_BEGIN;
}

/* Shortens the texts that begin alike together, or one step's alone. */
static bool shorten(struct shrinking *shrinking, size_t number, bool alone)
{
	struct script *script = shrinking->script;
	bool better = false;

	if (is_shortened(script->steps[number].kind))
		for (size_t size = script->steps[number].text.length; size; size /= 2)
			for (size_t from = 0; from + size <= script->steps[number].text.length;) {
				struct text like = script->steps[number].text;

				memcpy(shrinking->trial, script->steps,
				       script->count * sizeof(struct step));
				for (size_t i = 0; i < script->count; i++)
					if (!alone || i == number)
						cut(script, &shrinking->trial[i].text, like, from,
						    size);
				if (memcmp(&shrinking->trial[number].text,
					   &script->steps[number].text, sizeof(struct text)) &&
				    try(shrinking, script->count))
					better = true;
				else
					from += size;
			}
	return better;
}

void shrink(struct script *script, still_fails fails, void *context)
{
	struct shrinking shrinking = { script, calloc(script->count, sizeof(struct step)), fails,
				       context };
	bool better = true;

	while (shrinking.trial && better) {
		better = leave_out(&shrinking);
		if (shorten(&shrinking, script->count - 1, false))
			better = true;
		for (size_t i = 0; script->count < 100 && i < script->count; i++)
			if (shorten(&shrinking, i, true))
				better = true;
	}
	free(shrinking.trial);
}
