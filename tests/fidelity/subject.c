// SPDX-License-Identifier: GPL-2.0-or-later
#include <dirent.h>
#include <fcntl.h>
#include <limits.h>
#include <unistd.h>

#include "configuration.h"
#include "policy/gate.h"
#include "lib/log.h"
#include "xdp/rules.h"
#include "policy/kinds/load.h"
#include "policy/kinds/recent.h"
#include "policy/kinds/schedule.h"
#include "subject_state.h"

#define NO_VERDICT 77 /* that a hand may put into the rules */

uint64_t tally_sum(const struct tally *tally)
{
	return tally->kernel + tally->warm + tally->daemon + tally->flights + tally->check;
}

/* As the daemon does it, but for its limit to so many a second. */
static void remember(void *context, const struct query *query,
		     const struct chain_decision *decision)
{
	struct subject *subject = context;

	if (!decision->cacheable || decision->chain != subject->chain ||
	    decision->rank < subject->compiled->horizon)
		return;
	kernel_remember(
		subject->kernel, query->url, query->length, &query->source,
		candidate_of(decision->rank, decision->verdict.opcode, decision->verdict.cost),
		decision->expires);
	subject->remembered = query->length <= PREFIX_URL_MAX;
}

struct subject *subject_open(const char **reason)
{
	static const uint8_t local[2][16] = { { [10] = 0xff, 0xff, 127, 0, 0, 1 }, { [15] = 1 } };
	struct subject *subject = calloc(1, sizeof(*subject));
	const char *temporary = getenv("TMPDIR");

	log_open("fidelity", LOG_ERR);
	program_open(&subject->program, PROGRAM_VERDICTS);
	*reason = subject->program.reason;
	if (subject->program.fd < 0) {
		free(subject);
		return NULL;
	}
	program_clear(&subject->program);
	for (int i = 0; i < 2; i++)
		program_put_destination(&subject->program, local[i], 3130, NULL);
	subject->kernel = program_kernel(&subject->program);
	subject->rules = rules_pinned(kernel_rules(subject->kernel));
	subject->responder = (struct responder){ .rules = subject->rules,
						 .on_decision = remember,
						 .context = subject };
	TAILQ_INIT(&subject->flights);
	snprintf(subject->directory, sizeof(subject->directory), "%s/xdp-icp-fidelity-XXXXXX",
		 temporary ? temporary : "/tmp");
	if (!subject->rules || !mkdtemp(subject->directory)) {
		perror(subject->directory);
		exit(2);
	}
	seams_open(subject->directory, (uint64_t *)&subject->program.skeleton->bss->fidelity_now);
	return subject;
}

static void remove_files(const struct subject *subject)
{
	DIR *directory = opendir(subject->directory);
	struct dirent *entry;

	while (directory && (entry = readdir(directory)))
		if (entry->d_type != DT_DIR)
			unlinkat(dirfd(directory), entry->d_name, 0);
	if (directory)
		closedir(directory);
}

static void end_chain(struct subject *subject)
{
	compiled_free(subject->compiled);
	chain_unref(subject->chain);
	subject->compiled = NULL;
	subject->responder.chain = subject->chain = NULL;
}

/* --- queries in flight */

bool subject_in_flight(const struct subject *subject, const struct setup *setup)
{
	const struct flight *flight;

	TAILQ_FOREACH (flight, &subject->flights, link)
		if (flight->walk.setup == setup)
			return true;
	return false;
}

void subject_leave_behind(struct subject *subject, const struct setup *setup,
			  const struct setup *before)
{
	struct flight *flight;

	TAILQ_FOREACH (flight, &subject->flights, link)
		if (flight->walk.setup == setup)
			flight->walk.setup = flight->left_behind = setup_copy(before);
}

/* --- a run */

void subject_close(struct subject *subject)
{
	seams_close();
	remove_files(subject);
	rmdir(subject->directory);
	rules_free(subject->rules);
	kernel_close(subject->kernel);
	program_close(&subject->program);
	memory_clear(&subject->memory);
	free(subject);
}

void subject_begin(struct subject *subject, bool thorough, struct tally *tally)
{
	struct error error;

	remove_files(subject);
	seams_begin();
	subject->memory.count = 0;
	program_empty_map(subject->program.skeleton->maps.rules);
	if (kernel_drain(subject->kernel, 0, &error))
		fail_msg("%s", error.text);
	subject->responder.drain = 0;
	subject->refused = false;
	subject->watched = true;
	subject->asked = 0;
	subject->thorough = thorough;
	subject->tally = tally;
}

void subject_end(struct subject *subject)
{
	while (!TAILQ_EMPTY(&subject->flights))
		flight_end(&subject->flights, TAILQ_FIRST(&subject->flights));
	end_chain(subject);
}

/* --- steps */

/* Tells the kernel what the gates are, unless the daemon is silent. */
static void watch(struct subject *subject)
{
	if (subject->watched && subject->chain)
		kernel_renew_lease(subject->kernel, chain_gate(subject->chain));
}

/* The gates look: those of that kind, and, with a name, those that watch the thing of that name. */
static void look(struct subject *subject, const struct setup *setup, enum kind kind,
		 const struct step *step)
{
	for (size_t i = 0; !subject->refused && i < setup->policy_count; i++) {
		const struct policy *policy = chain_policy(subject->chain, i);

		if (setup->policies[i].kind != kind)
			continue;
		if (kind == KIND_LOAD)
			policy_load_update(policy);
		else if (kind == KIND_SCHEDULE)
			policy_schedule_update(policy, seams_wall());
		else if (text_equal(gate_text(&setup->policies[i]), step->name))
			gate_set(policy->state, step->on);
	}
	watch(subject);
}

/* The file comes or goes, and who watches for it notices. */
static void set_flag(struct subject *subject, const struct setup *setup, const struct step *step)
{
	char path[PATH_MAX];

	snprintf(path, sizeof(path), "%s/%c", subject->directory, step->name.at[0]);
	if (step->on)
		close(open(path, O_CREAT | O_WRONLY, 0600));
	else
		unlink(path);
	look(subject, setup, KIND_FLAG, step);
}

static void put_rule(struct subject *subject, const struct step *step)
{
	struct error error;

	if (pinned_rules_put(kernel_rules(subject->kernel), step->text.at, step->text.length,
			     step->verdict ? step->verdict : NO_VERDICT, &error))
		fail_msg("%s", error.text);
}

static void set_drain(struct subject *subject, uint8_t verdict)
{
	uint32_t drain = verdict == VERDICT_SILENCE ? DRAIN_SILENCE : verdict;
	struct error error;

	if (drain == subject->responder.drain)
		return;
	if (kernel_drain(subject->kernel, drain, &error))
		fail_msg("%s", error.text);
	subject->responder.drain = drain;
}

static void copy_recents(const struct subject *subject)
{
	while (!kernel_step_recents(subject->kernel, 1000))
		;
}

static void flush_recent(struct subject *subject, struct policy *policy)
{
	struct error error;

	if (policy_recent_flush(policy, &error))
		fail_msg("%s", error.text);
	kernel_refresh_recents(subject->kernel, subject->chain);
	copy_recents(subject);
}

/* A recent is told of a URL, or that it is to forget it. */
static void tell_recent(struct subject *subject, const struct setup *setup, const struct step *step)
{
	struct error error;

	for (size_t i = 0; !subject->refused && i < setup->policy_count; i++) {
		struct policy *policy = chain_policy(subject->chain, i);

		if (!text_equal(setup->policies[i].name, step->name) || !policy_is_recent(policy))
			continue;
		if (step->text.length == 0)
			flush_recent(subject, policy);
		else if (!step->on)
			policy_recent_remove(policy, step->text.at, step->text.length);
		else if (policy_recent_add(policy, step->text.at, step->text.length, &error))
			fail_msg("%s", error.text);
	}
}

void subject_take(struct subject *subject, const struct setup *setup, const struct step *step)
{
	struct error error;

	seams_time(setup);
	switch (step->kind) {
	case STEP_HASH:
		seams_seed(step->number);
		break;
	case STEP_SAYS:
		seams_say(step);
		break;
	case STEP_FLAG:
		set_flag(subject, setup, step);
		break;
	case STEP_LOAD:
		seams_load(step->name.at, step->number);
		look(subject, setup, KIND_LOAD, step);
		break;
	case STEP_ORIGIN:
		look(subject, setup, KIND_HEALTH, step);
		break;
	case STEP_RECENT:
		tell_recent(subject, setup, step);
		break;
	case STEP_CLOCK:
		look(subject, setup, KIND_SCHEDULE, step);
		break;
	case STEP_TIME:
		watch(subject);
		break;
	case STEP_WATCH:
		subject->watched = step->on;
		watch(subject);
		break;
	case STEP_RULE:
		put_rule(subject, step);
		break;
	case STEP_UNRULE:
		pinned_rules_remove(kernel_rules(subject->kernel), step->text.at, step->text.length,
				    &error);
		break;
	case STEP_DRAIN:
		set_drain(subject, step->verdict);
		break;
	default:
		break;
	}
}

/* What serves is started, as far as it is asked something; what watches is told what it sees. */
static int start(struct chain *chain, struct error *error)
{
	for (size_t i = 0; i < chain_count(chain); i++) {
		struct policy *policy = (struct policy *)chain_policy(chain, i);

		if (policy->kind->ask && policy->kind->start(policy, NULL, NULL, NULL, error))
			return -1;
	}
	return 0;
}

static int make(const struct subject *subject, const struct setup *setup, struct chain **chain,
		struct compiled **compiled, struct error *error)
{
	struct config *config = NULL;
	char *text = NULL;
	size_t size;
	FILE *out = open_memstream(&text, &size);
	int result;

	seams_chain(setup);
	configuration_write(setup, subject->directory, out);
	fclose(out);
	*chain = NULL;
	result = config_parse_text(text, size, "c", &config, error);
	if (!result)
		result = chain_create(config, chain, error);
	if (!result)
		result = chain_compile(*chain, compiled, error);
	if (!result && subject->chain)
		chain_inherit(*chain, subject->chain);
	if (!result)
		result = start(*chain, error);
	free(text);
	config_free(config);
	return result;
}

/* Put the chain into the kernel, with what its recents know. */
static int set_kernel_chain(const struct subject *subject, const struct chain *chain,
			    const struct compiled *compiled, struct error *error)
{
	const struct candidate gate = chain_gate(chain);
	struct kernel_chain prepared;

	if (kernel_prepare_chain(subject->kernel, compiled, false, LEASE, &prepared, error))
		return -1;
	prepared.recents_of = chain;
	if (kernel_switch_chain(subject->kernel, &prepared, subject->watched ? &gate : NULL, error))
		return -1;
	copy_recents(subject);
	return 0;
}

/* A chain that is refused leaves the former in place, as in the daemon. */
void subject_renew(struct subject *subject, const struct setup *setup)
{
	struct compiled *compiled;
	struct chain *chain;

	subject->refused = make(subject, setup, &chain, &compiled, &subject->error);
	if (!subject->refused) {
		seams_begin_chain();
		subject->refused = set_kernel_chain(subject, chain, compiled, &subject->error);
	}
	if (subject->refused)
		return;
	subject->tally->chains++;
	end_chain(subject);
	subject->compiled = compiled;
	subject->chain = chain;
	subject->responder.chain = chain;
}
