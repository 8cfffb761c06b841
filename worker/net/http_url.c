#include "worker/net/http_url.h"

#include "common/addr.h"

#include <ctype.h>
#include <curl/curl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static bool is_printable(const char *s)
{
	for (; *s; s++)
		if ((unsigned char)*s <= ' ' || (unsigned char)*s >= 0x7f)
			return false;
	return true;
}

/* A part into out; what does not fit, or would not be seen as it is, is refused. */
static bool take(CURLU *u, CURLUPart part, unsigned flags, char *out, size_t size)
{
	char *value = NULL;
	bool fits = curl_url_get(u, part, &value, flags) == CURLUE_OK && value &&
		    strlen(value) < size && is_printable(value);

	if (fits)
		snprintf(out, size, "%s", value);
	curl_free(value);
	return fits;
}

static void trim_host(char *host)
{
	size_t n = strlen(host);

	for (char *p = host; *p; p++)
		*p = (char)tolower((unsigned char)*p);
	if (n > 1 && host[n - 1] == '.')
		host[n - 1] = '\0';
}

static int take_all(CURLU *u, struct http_url *out, struct why *why)
{
	char scheme[16], port[8];
	struct addr a;

	if (!take(u, CURLUPART_SCHEME, 0, scheme, sizeof scheme) ||
		(strcmp(scheme, "http") != 0 && strcmp(scheme, "https") != 0))
		return why_set(why, CF_EINVAL, "neither http nor https");
	curl_url_set(u, CURLUPART_USER, NULL, 0);
	curl_url_set(u, CURLUPART_PASSWORD, NULL, 0);
	curl_url_set(u, CURLUPART_FRAGMENT, NULL, 0);
	if (!take(u, CURLUPART_HOST, 0, out->host, sizeof out->host) || !out->host[0])
		return why_set(why, CF_EINVAL, "no host name");
	if (!take(u, CURLUPART_PORT, CURLU_DEFAULT_PORT, port, sizeof port))
		return why_set(why, CF_EINVAL, "no port");
	if (!take(u, CURLUPART_PATH, 0, out->path, sizeof out->path) ||
		!take(u, CURLUPART_URL, 0, out->text, sizeof out->text))
		return why_set(why, CF_EINVAL, "no URL of at most %d characters", HTTP_URL_MAX);
	trim_host(out->host);
	out->https = !strcmp(scheme, "https");
	out->port = (uint16_t)strtoul(port, NULL, 10);
	out->literal = out->host[0] == '[' || !addr_parse(out->host, 80, &a, NULL);
	return 0;
}

int http_url_join(const char *base, const char *location, struct http_url *out, struct why *why)
{
	struct http_url url = {.port = 0};
	CURLU *u = curl_url();
	int err = 0;

	if (!u)
		abort();
	if (strlen(location) > HTTP_URL_MAX)
		err = why_set(why, CF_EINVAL, "no URL of at most %d characters", HTTP_URL_MAX);
	else if ((base && curl_url_set(u, CURLUPART_URL, base, 0) != CURLUE_OK) ||
		 curl_url_set(u, CURLUPART_URL, location, 0) != CURLUE_OK)
		err = why_set(why, CF_EINVAL, "no URL");
	if (!err)
		err = take_all(u, &url, why);
	curl_url_cleanup(u);
	if (!err)
		*out = url;
	return err;
}
