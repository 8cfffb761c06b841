/* main.c - certfleet, the operator's command line. */
#include "scheduler/cli/cli.h"

#include <locale.h>
#include <signal.h>

int main(int argc, char **argv)
{
	/* Widths of Unicode text need a UTF-8 locale, whatever the user's is. */
	if (setlocale(LC_CTYPE, "C.UTF-8") == NULL)
		(void)setlocale(LC_CTYPE, "");
	signal(SIGPIPE, SIG_DFL);
	return cli_main(argc, argv, stdout, stderr);
}
