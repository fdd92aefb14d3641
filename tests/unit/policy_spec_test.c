// SPDX-License-Identifier: GPL-2.0-or-later
/* Numbers with a fraction, and durations. */

#include "policy/spec.h"
#include "support/test.h"

TEST(decimals)
{
	static const struct {
		const char *text;
		double value;
	} good[] = { { "0", 0 },     { "4", 4 },   { "0.5", 0.5 },	{ "12.25", 12.25 },
		     { "100", 100 }, { "007", 7 }, { "99.999", 99.999 } };
	static const char *const bad[] = { "",	  ".5",	 "5.",	"-1",  "+1",  " 1",	"1 ",
					   "1e1", "0x1", "1,5", "nan", "inf", "100.01", "1.2.3" };
	struct error error;
	double value;

	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
		assert_int_equal(parse_decimal(good[i].text, 100, &value, &error), 0);
		assert_true(value > good[i].value - 1e-9 && value < good[i].value + 1e-9);
	}
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		value = 42;
		assert_int_equal(parse_decimal(bad[i], 100, &value, &error), -1);
		assert_string_equal(
			error.text,
			formatted("'%s' is not a number from 0 to 100, such as 0.75", bad[i]));
		assert_true(value == 42);
	}
}

TEST(durations)
{
	static const struct {
		const char *text;
		unsigned int milliseconds;
	} good[] = { { "10ms", 10 },   { "200ms", 200 },  { "5s", 5000 },
		     { "2m", 120000 }, { "1h", 3600000 }, { "3600s", 3600000 } };
	static const char *const bad[] = { "",
					   "5",
					   "s",
					   "9ms",
					   "0s",
					   "2h",
					   "3601s",
					   "1.5s",
					   "-1s",
					   " 1s",
					   "1 s",
					   "1S",
					   "1sec",
					   "1min",
					   "99999999999999999999s",
					   "18446744073709552s",
					   "1193047h",
					   "4294967297ms" };
	unsigned int value;
	struct error error;

	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
		assert_int_equal(parse_duration(good[i].text, 10, 3600000, &value, &error), 0);
		assert_int_equal(value, good[i].milliseconds);
	}
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		value = 42;
		assert_int_equal(parse_duration(bad[i], 10, 3600000, &value, &error), -1);
		assert_string_equal(error.text, formatted("'%s' is not a duration from 10ms to 1h; "
							  "write a number and ms, s, m or h",
							  bad[i]));
		assert_int_equal(value, 42);
	}
	assert_int_equal(parse_duration("x", 0, 90000, &value, &error), -1);
	assert_string_equal(error.text, "'x' is not a duration from 0s to 90s; write a number and "
					"ms, s, m or h");
}

TEST(of_a_spec)
{
	struct policy_spec *spec = policy_spec_new("p", "c:1");
	unsigned int milliseconds = 42;
	struct error error;
	double value = 42;

	assert_non_null(spec);
	assert_int_equal(policy_spec_decimal(spec, "above", 10, &value, &error), 0);
	assert_int_equal(policy_spec_duration(spec, "interval", 1, 9999, &milliseconds, &error), 0);
	assert_true(value == 42);
	assert_int_equal(milliseconds, 42);
	assert_int_equal(policy_spec_add(spec, "above", "1.5", "c:2"), 0);
	assert_int_equal(policy_spec_add(spec, "interval", "3s", "c:3"), 0);
	assert_int_equal(policy_spec_decimal(spec, "above", 10, &value, &error), 1);
	assert_int_equal(policy_spec_duration(spec, "interval", 1, 9999, &milliseconds, &error), 1);
	assert_true(value == 1.5);
	assert_int_equal(milliseconds, 3000);
	assert_int_equal(policy_spec_decimal(spec, "above", 1, &value, &error), -1);
	assert_string_equal(error.text, "c:2: policy 'p': above: '1.5' is not a number from 0 to "
					"1, such as 0.75");
	assert_int_equal(policy_spec_duration(spec, "interval", 1, 2000, &milliseconds, &error),
			 -1);
	assert_string_equal(error.text, "c:3: policy 'p': interval: '3s' is not a duration from "
					"1ms to 2s; write a number and ms, s, m or h");
	policy_spec_free(spec);
}
