// SPDX-License-Identifier: GPL-2.0-or-later
/* The kind schedule, and the times of the week that it is made of. */
#include "support/policies.h"
#include "policy/kinds/schedule.h"
#include "policy/kinds/schedule_time.h"

/* Does the range hold a time of a day (0: Sunday)? */
static bool holds(const char *text, int day, int hour, int minute)
{
	struct tm local = { .tm_wday = day, .tm_hour = hour, .tm_min = minute, .tm_sec = 59 };
	struct schedule_range range;
	struct error error;

	if (schedule_parse(text, &range, &error))
		fail_msg("%s", error.text);
	return schedule_matches(&range, 1, &local);
}

TEST(ranges)
{
	assert_false(holds("Mon-Fri 02:00-04:00", 1, 1, 59));
	assert_true(holds("Mon-Fri 02:00-04:00", 1, 2, 0));
	assert_true(holds("Mon-Fri 02:00-04:00", 5, 3, 59));
	assert_false(holds("Mon-Fri 02:00-04:00", 5, 4, 0));
	assert_false(holds("Mon-Fri 02:00-04:00", 6, 3, 0));
	assert_false(holds("Mon-Fri 02:00-04:00", 0, 3, 0));
	assert_true(holds("Sat,Sun 00:00-24:00", 0, 0, 0));
	assert_true(holds("Sat, sun  00:00-24:00", 6, 23, 59));
	assert_false(holds("Sat,Sun 00:00-24:00", 1, 0, 0));
	for (int day = 0; day < 7; day++)
		assert_true(holds("02:00-04:00", day, 3, 0));
	assert_true(holds("SAT-mon 12:00-12:01", 6, 12, 0));
	assert_true(holds("SAT-mon 12:00-12:01", 0, 12, 0));
	assert_true(holds("SAT-mon 12:00-12:01", 1, 12, 0));
	assert_false(holds("SAT-mon 12:00-12:01", 2, 12, 0));
	assert_true(holds("Mon,Wed-Thu 12:00-13:00", 4, 12, 0));
	assert_false(holds("Mon,Wed-Thu 12:00-13:00", 2, 12, 0));
	assert_true(holds("Wed-Wed 12:00-13:00", 3, 12, 0));
	assert_false(holds("Wed-Wed 12:00-13:00", 4, 12, 0));
}

TEST(over_midnight)
{
	assert_true(holds("Fri 22:00-06:00", 5, 22, 0));
	assert_true(holds("Fri 22:00-06:00", 5, 23, 59));
	assert_true(holds("Fri 22:00-06:00", 6, 0, 0));
	assert_true(holds("Fri 22:00-06:00", 6, 5, 59));
	assert_false(holds("Fri 22:00-06:00", 6, 6, 0));
	assert_false(holds("Fri 22:00-06:00", 5, 5, 59));
	assert_false(holds("Fri 22:00-06:00", 5, 21, 59));
	assert_false(holds("Fri 22:00-06:00", 6, 22, 0));
	assert_true(holds("Sat 22:00-06:00", 0, 3, 0));
	assert_true(holds("Sun 22:00-06:00", 1, 3, 0));
	assert_true(holds("Fri 22:00-00:00", 5, 23, 59));
	assert_false(holds("Fri 22:00-00:00", 6, 0, 0));
	assert_true(holds("22:00-06:00", 2, 3, 0));
}

/* The policy must notice the change by itself. */
static void set_zone(const char *zone)
{
	if (zone)
		setenv("TZ", zone, 1);
	else
		unsetenv("TZ");
}

/* Match a policy at a time in 2026, UTC. */
static enum icp_opcode say(const struct policy *policy, int month, int day, int hour, int minute)
{
	struct tm moment = { .tm_year = 126,
			     .tm_mon = month - 1,
			     .tm_mday = day,
			     .tm_hour = hour,
			     .tm_min = minute };

	policy_schedule_update(policy, timegm(&moment));
	return ask_host(policy);
}

/* Central Europe, written out so that no database is needed. */
#define BERLIN "CET-1CEST,M3.5.0,M10.5.0/3"

TEST(time_zones)
{
	struct policy *policy =
		make_policy("kind = schedule verdict = miss times = 'Mon 02:00-04:00'");

	/* 2026-06-01 is a Monday. */
	set_zone("UTC0");
	assert_int_equal(say(policy, 6, 1, 2, 0), ICP_OP_MISS);
	assert_int_equal(say(policy, 6, 1, 4, 0), NOTHING);
	/* The zone of a process may change while it runs. */
	set_zone(BERLIN);
	assert_int_equal(say(policy, 6, 1, 0, 0), ICP_OP_MISS);
	assert_int_equal(say(policy, 6, 1, 2, 0), NOTHING);
	set_zone("XXX12");
	assert_int_equal(say(policy, 6, 1, 15, 59), ICP_OP_MISS);
	set_zone("XXX-14");
	assert_int_equal(say(policy, 5, 31, 12, 0), ICP_OP_MISS);
	assert_int_equal(say(policy, 5, 31, 11, 59), NOTHING);
	set_zone("XXX-05:45");
	assert_int_equal(say(policy, 5, 31, 20, 15), ICP_OP_MISS);
	assert_int_equal(say(policy, 5, 31, 20, 14), NOTHING);
	set_zone(NULL);
	policy_free(policy);
}

TEST(summer_time)
{
	struct policy *policy = make_policy("kind = schedule verdict = miss times = '02:30-03:30'");

	set_zone(BERLIN);
	/* 2026-03-29 01:00 UTC: from 01:59 to 03:00 on the wall */
	assert_int_equal(say(policy, 3, 29, 0, 59), NOTHING);
	assert_int_equal(say(policy, 3, 29, 1, 0), ICP_OP_MISS);
	assert_int_equal(say(policy, 3, 29, 1, 29), ICP_OP_MISS);
	assert_int_equal(say(policy, 3, 29, 1, 30), NOTHING);
	/* 2026-10-25 01:00 UTC: from 02:59 to 02:00 */
	assert_int_equal(say(policy, 10, 25, 0, 29), NOTHING);
	assert_int_equal(say(policy, 10, 25, 0, 30), ICP_OP_MISS);
	assert_int_equal(say(policy, 10, 25, 1, 0), NOTHING);
	assert_int_equal(say(policy, 10, 25, 1, 30), ICP_OP_MISS);
	assert_int_equal(say(policy, 10, 25, 2, 29), ICP_OP_MISS);
	assert_int_equal(say(policy, 10, 25, 2, 30), NOTHING);
	set_zone(NULL);
	policy_free(policy);
}

TEST(one_of_many)
{
	struct policy *policy = make_policy("kind = schedule verdict = miss not = true times = { "
					    "'Mon 01:00-02:00', 'Tue 23:00-01:00' }");

	set_zone("UTC0");
	assert_int_equal(say(policy, 6, 1, 1, 30), NOTHING);
	assert_int_equal(say(policy, 6, 2, 1, 30), ICP_OP_MISS);
	assert_int_equal(say(policy, 6, 3, 0, 30), NOTHING);
	set_zone(NULL);
	policy_free(policy);
}

TEST(always_and_at_once)
{
	struct policy *policy = make_policy("kind = schedule verdict = miss times = '00:00-24:00'");

	assert_int_equal(policy->kind->basis, POLICY_BASIS_HOST);
	assert_int_equal(ask_host(policy), ICP_OP_MISS);
	policy_free(policy);
}

/* start() updates the gate, which may be stale by then. */
TEST(changes_are_reported)
{
	struct policy *policy;
	struct witness witness;
	time_t now = time(NULL);
	int hour;

	set_zone("UTC0");
	hour = now / 3600 % 24;
	policy = make_policy(formatted("kind = schedule verdict = miss times = '%02d:00-%02d:00'",
				       (hour + 23) % 24, (hour + 2) % 24));
	assert_int_equal(ask_host(policy), ICP_OP_MISS);
	policy_schedule_update(policy, now + 12 * 3600);
	assert_int_equal(ask_host(policy), NOTHING);
	witness_start(&witness, policy);
	assert_int_equal(witness.told, 1);
	assert_ptr_equal(witness.policy, policy);
	assert_int_equal(witness.said, ICP_OP_MISS);
	assert_state(policy, "within its times", "");
	policy_schedule_update(policy, now + 12 * 3600);
	assert_int_equal(witness.told, 2);
	assert_int_equal(witness.said, NOTHING);
	assert_state(policy, "outside its times", "");
	policy_schedule_update(policy, now + 12 * 3600);
	assert_int_equal(witness.told, 2);
	set_zone(NULL);
	policy_free(policy);
	event_base_free(witness.base);
}

TEST(configuration_errors)
{
#define EXAMPLES "write it as 02:00-04:00, Mon-Fri 22:00-06:00 or Sat,Sun 00:00-24:00"
#define DAYS ": expected days of the week at "
#define BEGIN ": expected a time of day and a minus at "
#define END ": expected a time of day and the end at "
	static const struct {
		const char *text, *error;
	} cases[] = {
		{ "", "''" DAYS "''; " EXAMPLES },
		{ "Mo 02:00-04:00", "'Mo 02:00-04:00'" DAYS "'Mo 02:00-04:00'; " EXAMPLES },
		{ "Mon-02:00-04:00", "'Mon-02:00-04:00'" DAYS "'02:00-04:00'; " EXAMPLES },
		{ "Mon,02:00-04:00", "'Mon,02:00-04:00'" DAYS "'02:00-04:00'; " EXAMPLES },
		{ "Monday 02:00-04:00",
		  "'Monday 02:00-04:00'" DAYS "'day 02:00-04:00'; " EXAMPLES },
		{ "Mon", "'Mon'" DAYS "''; " EXAMPLES },
		{ "Mon ", "'Mon '" BEGIN "''; " EXAMPLES },
		{ "2:00-04:00", "'2:00-04:00'" BEGIN "'2:00-04:00'; " EXAMPLES },
		{ "02:60-04:00", "'02:60-04:00'" BEGIN "'02:60-04:00'; " EXAMPLES },
		{ "02:00 - 04:00", "'02:00 - 04:00'" BEGIN "' - 04:00'; " EXAMPLES },
		{ "02:00-24:01", "'02:00-24:01'" END "'24:01'; " EXAMPLES },
		{ "02:00-04:00 Mon", "'02:00-04:00 Mon'" END "' Mon'; " EXAMPLES },
		{ "02:00-02:00", "'02:00-02:00' is empty; a whole day is 00:00-24:00" },
		{ "24:00-04:00", "'24:00-04:00' is empty; a whole day is 00:00-24:00" },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		assert_policy_error(
			formatted("kind = schedule verdict = hit times = { '00:00-01:00',\n'%s' }",
				  cases[i].text),
			formatted("c:2: policy 'p': times: %s", cases[i].error));
	}
	assert_policy_error("kind = schedule verdict = hit",
			    "c:1: policy 'p': 'times' is missing (local times, as 02:00-04:00 or "
			    "Mon-Fri 22:00-06:00)");
	assert_policy_error("kind = schedule times = '00:00-01:00'",
			    "c:1: policy 'p': 'verdict' is missing; it can be hit, miss, "
			    "miss_nofetch, denied or err");
}
