#include "worker/jobs/again.h"

#include "common/clock.h"
#include "common/mem.h"
#include "worker/worker.h"

struct again {
	struct worker *w;
	struct again *next, **at; /* in w->agains */
	uv_timer_t pause;
	again_try_fn *try;
	void (*release)(void *arg);
	void *arg;
	acme_done_fn *done;
	void *done_arg;
	int64_t until_mono_ms;
	bool asking,
		over; /* over while asking: the answer that is still to come is not waited for */
};

static void on_closed(uv_handle_t *h)
{
	struct again *a = h->data;

	a->release(a->arg);
	free(a);
}

static void end(struct again *a, int err)
{
	acme_done_fn *done = a->done;
	void *done_arg = a->done_arg;

	*a->at = a->next;
	if (a->next)
		a->next->at = a->at;
	a->over = true;
	again_note(a->w, err);
	if (!a->asking)
		uv_close((uv_handle_t *)&a->pause, on_closed);
	done(done_arg, err);
}

static void try_now(struct again *a)
{
	a->asking = true;
	a->try(a, a->arg);
}

static void on_pause(uv_timer_t *t)
{
	try_now(t->data);
}

bool again_is_passing(int err)
{
	return err == CF_ECONN || err == CF_ETIMEDOUT || err == CF_EREDIS || err == CF_EAGAIN;
}

void again_note(struct worker *w, int err)
{
	if (again_is_passing(err))
		w->redis_failed_ms = clock_wall_ms();
}

void again_answer(struct again *a, int err)
{
	a->asking = false;
	if (a->over)
		uv_close((uv_handle_t *)&a->pause, on_closed);
	else if (again_is_passing(err) && clock_mono_ms() < a->until_mono_ms)
		uv_timer_start(&a->pause, on_pause, AGAIN_PAUSE_MS, 0);
	else
		end(a, err);
}

void again_start(struct worker *w, again_try_fn *try, void (*release)(void *arg), void *arg,
	acme_done_fn *done, void *done_arg)
{
	struct again *a = mem_zalloc(sizeof(*a));

	*a = (struct again){.w = w,
		.next = w->agains,
		.at = &w->agains,
		.try = try,
		.release = release,
		.arg = arg,
		.done = done,
		.done_arg = done_arg,
		.until_mono_ms = clock_mono_ms() + AGAIN_LEASES * w->config->worker.lease_ms};
	if (a->next)
		a->next->at = &a->next;
	w->agains = a;
	uv_timer_init(&w->loop, &a->pause);
	a->pause.data = a;
	try_now(a);
}

void again_cancel_all(struct worker *w)
{
	while (w->agains)
		end(w->agains, CF_ECANCELED);
}
