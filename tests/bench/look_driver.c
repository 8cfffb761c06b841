/* look_driver.c - looks at names in DNS as a worker does, as fast as it goes: what look_bench.py
 * runs.
 *
 * usage: look_driver ROOT RESOLVER ZONES SECONDS IN_FLIGHT
 *
 * The names are www.z00000.test and so on, of an external endpoint whose records are right. Each
 * look is the real one (worker/diagnose/), deep: what it asks, by the survey, and what it means.
 * First every zone is looked at once, so that delegations are warm; then SECONDS long. Prints
 * key=value.
 */
#include "common/clock.h"
#include "common/label.h"
#include "common/mem.h"
#include "worker/diagnose/diagnose.h"
#include "worker/dns/survey.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

struct bench {
	uv_loop_t loop;
	struct dns_exchanger *x;
	struct resolver *resolver;
	struct survey *survey;
	struct diagnose_policy policy;
	struct endpoint_config config;
	unsigned zones, next, under_way;
	uint64_t end_ns; /* 0: until every zone had its turn */
	uint64_t looks, bad, exchanges;
	size_t rss_most;
};

struct look {
	struct bench *b;
	char name[1][NAME_SIZE];
	struct endpoint_config config;
	struct facts *facts;
	struct survey_look *look;
};

static void die(const char *what)
{
	fprintf(stderr, "look_driver: %s\n", what);
	exit(1);
}

static size_t rss(void)
{
	long pages = 0;
	FILE *f = fopen("/proc/self/statm", "re");

	if (!f || fscanf(f, "%*s %ld", &pages) != 1)
		die("no /proc/self/statm");
	fclose(f);
	return (size_t)pages * (size_t)sysconf(_SC_PAGESIZE);
}

static bool on_loopback(void *arg, const struct addr *a)
{
	(void)arg;
	return addr_unsafe(a) != NULL;
}

static void look_begin(struct bench *b);

static struct diagnose_case case_of(const struct look *l)
{
	return (struct diagnose_case){.config = &l->config,
		.name = l->name[0],
		.policy = &l->b->policy,
		.deep = true,
		.now_ms = 1800000000000};
}

static void look_end(struct look *l)
{
	static struct diagnose_result result;
	struct bench *b = l->b;
	struct diagnose_case c = case_of(l);

	diagnose_judge(&c, l->facts, &result);
	b->bad += result.verdict.dns01 != VERDICT_CAN || result.diagnoses_n || !result.deep;
	b->looks++;
	b->exchanges += 100 - survey_queries_left(l->look);
	survey_look_free(l->look);
	facts_free(l->facts);
	free(l);
	b->under_way--;
	if (b->end_ns ? uv_hrtime() < b->end_ns : b->next < b->zones)
		look_begin(b);
}

static void look_step(void *arg)
{
	struct look *l = arg;
	struct diagnose_case c = case_of(l);
	struct ask asks[DIAGNOSE_ASKS_MAX];
	size_t n = diagnose_next(&c, l->facts, asks);

	if (n)
		survey_ask(l->look, asks, n, look_step, l);
	else
		look_end(l);
}

static void look_begin(struct bench *b)
{
	struct look *l = mem_zalloc(sizeof(*l));

	l->b = b;
	snprintf(l->name[0], NAME_SIZE, "www.z%05u.test", b->next++ % b->zones);
	l->config = b->config;
	l->config.names = l->name;
	l->config.names_n = 1;
	l->facts = facts_new();
	l->look = survey_look_new(b->survey, l->facts, &(struct survey_budget){0});
	b->under_way++;
	look_step(l);
}

static void run(struct bench *b, unsigned in_flight)
{
	b->looks = b->bad = b->exchanges = 0;
	for (unsigned i = 0; i < in_flight; i++)
		look_begin(b);
	for (unsigned turns = 0; b->under_way; turns++) {
		uv_run(&b->loop, UV_RUN_ONCE);
		if (turns % 1024 == 0 && rss() > b->rss_most)
			b->rss_most = rss();
	}
}

static double cpu_s(void)
{
	struct rusage u;

	getrusage(RUSAGE_SELF, &u);
	return (double)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) +
	       (double)(u.ru_utime.tv_usec + u.ru_stime.tv_usec) / 1e6;
}

static void make(struct bench *b, const char *root, const char *resolver)
{
	static const char *const zones[] = {"acme.platform.test"};
	static uint8_t key[LABEL_KEY_BYTES];
	struct addr r, a;
	struct why why;

	memset(key, 'k', sizeof(key));
	if (addr_parse(root, 53, &r, &why) || addr_parse(resolver, 53, &a, &why))
		die(why.text);
	uv_loop_init(&b->loop);
	b->x = dns_exchanger_new(&b->loop, 0);
	b->resolver = resolver_new(
		&b->loop, b->x, &(struct resolver_options){.servers = &a, .n_servers = 1});
	b->survey = survey_new(&b->loop, b->x, b->resolver,
		&(struct survey_options){.roots = &r,
			.n_roots = 1,
			.port = addr_port(&r),
			.allowed = on_loopback,
			.per_second = 10000000});
	b->policy = (struct diagnose_policy){
		.zones = zones, .zones_n = 1, .label_key = key, .confirm_ms = 5 * CLOCK_MINUTE_MS};
	b->config.type = ENDPOINT_EXTERNAL;
	snprintf(b->config.tenant, sizeof(b->config.tenant), "default");
	snprintf(b->config.target, sizeof(b->config.target), "ingress.platform.test");
}

int main(int argc, char **argv)
{
	static struct bench b;

	if (argc != 6)
		die("usage: look_driver ROOT RESOLVER ZONES SECONDS IN_FLIGHT");
	b.zones = (unsigned)atoi(argv[3]);
	unsigned in_flight = (unsigned)atoi(argv[5]);
	signal(SIGPIPE, SIG_IGN);
	make(&b, argv[1], argv[2]);
	size_t idle = rss();
	run(&b, in_flight < b.zones ? in_flight : b.zones);
	printf("cold_looks=%llu\ncold_bad=%llu\ncold_exchanges=%llu\nzones_cached=%zu\nrss_idle=%"
	       "zu\n"
	       "rss_warm=%zu\n",
		(unsigned long long)b.looks, (unsigned long long)b.bad,
		(unsigned long long)b.exchanges, survey_zones(b.survey), idle, rss());
	double cpu = cpu_s();
	uint64_t began = uv_hrtime();
	b.end_ns = began + (uint64_t)(atof(argv[4]) * 1e9);
	run(&b, in_flight);
	printf("seconds=%.3f\ncpu=%.3f\nlooks=%llu\nbad=%llu\nexchanges=%llu\nrss_most=%zu\n",
		(double)(uv_hrtime() - began) / 1e9, cpu_s() - cpu, (unsigned long long)b.looks,
		(unsigned long long)b.bad, (unsigned long long)b.exchanges, b.rss_most);
	survey_free(b.survey);
	resolver_free(b.resolver);
	dns_exchanger_free(b.x);
	uv_run(&b.loop, UV_RUN_DEFAULT);
	return b.looks && !b.bad ? 0 : 1;
}
