// SPDX-License-Identifier: GPL-2.0-or-later
#include <stdlib.h>
#include <string.h>

#include "generator.h"
#include "oracle.h"
#include "wire.h"

int wire_script(uint64_t seed)
{
	static const struct generator_limits limits = { .rounds = 6, .asks = 20, .lively = true };
	struct script script = { 0 };

	generate(&script, seed, &limits);
	for (size_t i = 0; i < script.count; i++)
		step_write(&script.steps[i], stdout);
	script_clear(&script);
	return 0;
}

/* A query in flight, and the chain that it goes by if that was replaced. */
struct airborne {
	struct walk walk;
	struct setup *left_behind;
};

struct sky {
	struct airborne *all; /* oldest first */
	size_t count, room;
};

static struct airborne *sky_add(struct sky *sky)
{
	if (sky->count == sky->room) {
		sky->room = 2 * sky->room + 16;
		sky->all = reallocarray(sky->all, sky->room, sizeof(*sky->all));
		if (!sky->all)
			abort();
	}
	sky->all[sky->count] = (struct airborne){ .left_behind = NULL };
	return &sky->all[sky->count++];
}

static void sky_remove(struct sky *sky, struct airborne *airborne)
{
	if (airborne->left_behind)
		setup_free(airborne->left_behind);
	memmove(airborne, airborne + 1, (&sky->all[--sky->count] - airborne) * sizeof(*airborne));
}

static void change_chain(struct setup *setup, const struct step *step, struct sky *sky)
{
	struct setup *before = sky->count ? setup_copy(setup) : NULL;
	bool changed = setup_take(setup, step);

	for (size_t i = 0; changed && i < sky->count; i++)
		if (sky->all[i].walk.setup == setup)
			sky->all[i].walk.setup = sky->all[i].left_behind = setup_copy(before);
	if (before)
		setup_free(before);
}

static void print_expected(size_t step, const struct expected *expected, const char *decider)
{
	static const char *const deciders[] = { "form", "drain", "rule", "policy", "default" };

	printf("%zu %s %d %s %s ", step, verdict_name(expected->verdict), expected->cost,
	       decider ? decider : deciders[expected->decider],
	       expected->kernel_knows ? "kernel" : "any");
	text_write(expected->name.at ? expected->name : (struct text){ "", 0 }, stdout);
	putchar('\n');
}

static void ask(const struct setup *setup, struct memory *memory, struct sky *sky, size_t number,
		const struct step *step)
{
	struct airborne *airborne = sky_add(sky);
	struct walk now = oracle_ask(setup, step);
	struct expected remembered;
	size_t place = 0;
	bool decided = walk_begin(&airborne->walk, setup, step);

	if (step->kind == STEP_ASK)
		decided = true;
	print_expected(number, &now.expected, decided ? NULL : "flight");
	while (memory_next(memory, &place, setup, step, &remembered))
		print_expected(number, &remembered, "memory");
	if (!decided)
		return;
	memory_add(memory, setup, &now);
	sky_remove(sky, airborne);
}

static void reply(const struct setup *setup, struct memory *memory, struct sky *sky, size_t number,
		  const struct step *step)
{
	struct airborne *airborne;

	if (sky->count == 0)
		return;
	airborne = &sky->all[step->number % sky->count];
	if (!walk_reply(&airborne->walk, step->kind == STEP_LOSE))
		return;
	print_expected(number, &airborne->walk.expected, NULL);
	memory_add(memory, setup, &airborne->walk);
	sky_remove(sky, airborne);
}

int wire_expectations(void)
{
	static struct setup setup;
	struct script script = { 0 };
	struct memory memory = { 0 };
	struct sky sky = { 0 };
	char wrong[256];

	if (!script_read(&script, stdin, wrong)) {
		fprintf(stderr, "%s\n", wrong);
		return 2;
	}
	setup_begin(&setup);
	setup.scripts_at_once = setup.windows_pass = true;
	for (size_t i = 0; i < script.count; i++) {
		const struct step *step = &script.steps[i];

		if (step_changes_chain(step)) {
			change_chain(&setup, step, &sky);
			continue;
		}
		setup_settle(&setup);
		if (step->kind == STEP_ASK || step->kind == STEP_BEGIN)
			ask(&setup, &memory, &sky, i, step);
		else if (step->kind == STEP_REPLY || step->kind == STEP_LOSE)
			reply(&setup, &memory, &sky, i, step);
		else
			setup_take(&setup, step);
	}
	while (sky.count)
		sky_remove(&sky, sky.all);
	free(sky.all);
	setup_end(&setup);
	memory_clear(&memory);
	script_clear(&script);
	return 0;
}
