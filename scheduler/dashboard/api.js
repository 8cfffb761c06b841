// The API and its events. Problems (RFC 9457) become errors with their detail as text.

export class Problem extends Error {
	constructor(status, problem) {
		super(problem?.detail || `The server answered with status ${status}.`);
		this.status = status;
		this.code = (problem?.type || "").replace("urn:certfleet:", "");
	}
}

export async function call(method, path, body, signal) {
	const options = {method, headers: {Accept: "application/json"}, credentials: "same-origin", signal};
	if (body !== undefined) {
		options.headers["Content-Type"] = "application/json";
		options.body = JSON.stringify(body);
	}
	let answer;
	try {
		answer = await fetch(path, options);
	} catch (error) {
		if (error.name === "AbortError") throw error;
		throw new Problem(0, {detail: "The server cannot be reached. This page tries again by itself."});
	}
	const type = answer.headers.get("Content-Type") || "";
	const document = type.includes("json") ? await answer.json() : null;
	if (!answer.ok) throw new Problem(answer.status, document);
	return document;
}

export const get = (path, signal) => call("GET", path, undefined, signal);

const types = ["changed", "gap", "certfleet.alert.opened", "certfleet.alert.escalated", "certfleet.alert.resolved",
	"certfleet.alert.unsilenced", "certfleet.endpoint.removed", "certfleet.endpoint.added"];
let source = null;
let hear = () => {};

// One connection for the page; it comes back by itself with the id of the last event.
export function listen(fn) {
	hear = fn;
	if (source) return;
	source = new EventSource("/v1/events");
	for (const type of types)
		source.addEventListener(type, (event) => hear(type, JSON.parse(event.data)));
	source.addEventListener("open", () => hear("open", {}));
	source.addEventListener("error", () => {
		hear("lost", {});
		// A browser gives up for good when it is answered by a problem, as while the server starts or is overloaded.
		if (source?.readyState === EventSource.CLOSED) {
			source = null;
			setTimeout(() => { if (!source) listen(hear); }, 5000);
		}
	});
}

export function deaf() {
	const was = source;
	source = null;
	was?.close();
}
