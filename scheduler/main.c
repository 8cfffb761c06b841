/* certfleet-scheduler: the control plane. See scheduler/README.md. */
#include "common/log.h"
#include "common/secret.h"
#include "scheduler/options.h"
#include "scheduler/scheduler.h"

#include <signal.h>
#include <stdio.h>

static void on_signal(uv_signal_t *handle, int number)
{
	LOG(INFO, "signal", LF_INT("number", number));
	scheduler_stop(handle->data);
}

static void watch(uv_loop_t *loop, uv_signal_t *handle, int number, struct scheduler *s)
{
	uv_signal_init(loop, handle);
	handle->data = s;
	uv_unref((uv_handle_t *)handle);
	uv_signal_start(handle, on_signal, number);
}

static int run(struct config *config)
{
	uv_signal_t terminate, interrupt;
	struct scheduler *s;
	struct why why;
	uv_loop_t loop;
	int status;

	uv_loop_init(&loop);
	if (scheduler_new(&loop, config, &s, &why)) {
		LOG(ERROR, "cannot_start", LF("why", why.text));
		uv_run(&loop, UV_RUN_DEFAULT);
		uv_loop_close(&loop);
		return 1;
	}
	watch(&loop, &terminate, SIGTERM, s);
	watch(&loop, &interrupt, SIGINT, s);
	uv_run(&loop, UV_RUN_DEFAULT);
	uv_close((uv_handle_t *)&terminate, NULL);
	uv_close((uv_handle_t *)&interrupt, NULL);
	uv_run(&loop, UV_RUN_DEFAULT);
	status = scheduler_free(s);
	uv_loop_close(&loop);
	return status;
}

int main(int argc, char **argv)
{
	struct config *config;
	int status = options_read(argc, argv, &config);

	if (!config)
		return status;
	signal(SIGPIPE, SIG_IGN);
	process_harden();
	log_setup((enum log_level)config->log.level, (enum log_format)config->log.format,
		"scheduler");
	status = run(config);
	config_free(config);
	return status;
}
