// Who works, what waits, what was given up, and what the authorities still take.
import {h, link, actButton, note, number, pathOf, say, several, span, when, apiOf} from "./dom.js";
import {call, get} from "./api.js";
import {card, head} from "./parts.js";

const LATE_MS = 300000; // when the fleet opens an alert

function workerRow(w) {
	const busy = (running, slots) => (slots ? `${number(running ?? 0)} of ${number(slots)}` : "-");
	return h("tr", {}, h("th", {scope: "row"}, w.name, h("div", {class: "small quiet plain"}, w.host)),
		h("td", {"data-name": "State"}, h("span", {class: `state ${w.alive ? "good" : "bad"}`}, w.alive ? w.state || "alive" : "silent"), w.trouble ? h("div", {class: "small"}, say(w.trouble)) : null,
			w.alive ? null : h("div", {class: "small quiet"}, "last seen ", when(w.beat))),
		h("td", {"data-name": "Looks"}, busy(w.verify_running, w.verify_slots)), h("td", {"data-name": "Orders"}, busy(w.issue_running, w.issue_slots)),
		h("td", {"data-name": "Roles"}, (w.roles || "").trim().replaceAll(" ", ", ")), h("td", {"data-name": "Up since"}, when(w.started)), h("td", {"data-name": "Version"}, w.version || "-"));
}

function queueCard(q) {
	const what = q.queue === "verify" ? "Looks at DNS and endpoints" : "Orders and renewals";
	const late = q.late_ms > 1000;
	return h("section", {class: "card", "aria-label": what}, h("h2", {}, what),
		h("p", {}, h("span", {class: `state ${q.late_ms > LATE_MS ? "bad" : late ? "warn" : "good"}`}, late ? `the oldest waits for ${span(q.late_ms)}` : "nothing waits")),
		h("p", {class: "quiet"}, `${several(q.running, "job")} running, ${number(q.parked)} parked`));
}

function jobRow(j, context) {
	const retry = () => call("POST", `${apiOf(j.endpoint)}/retry`).then(() => { note(`${j.endpoint} is tried again.`); context.again(); });
	return h("tr", {}, h("th", {scope: "row"}, link(pathOf(j.endpoint), {}, j.endpoint)), h("td", {"data-name": "Job"}, `${j.queue}: ${j.intent}`),
		h("td", {"data-name": "Worker"}, j.worker || "-"), h("td", {"data-name": "Since"}, when(j.since)), h("td", {"data-name": "Why"}, say(j.why)),
		j.where === "parked" && context.writes ? h("td", {}, actButton("Try again", {"aria-label": `Try ${j.endpoint} again`}, retry)) : null);
}

function jobsCard(id, title, jobs, context, hint) {
	const parked = jobs.some((j) => j.where === "parked") && context.writes;
	return card(id, `${title} (${jobs.length})`, jobs.length ? [hint ? h("p", {}, hint) : null,
		h("table", {class: "stack"}, head("Endpoint", "Job", "Worker", "Since", "Why", ...(parked ? ["Actions"] : [])), h("tbody", {}, jobs.map((j) => jobRow(j, context))))] :
		h("p", {class: "quiet"}, "None."));
}

function quotaRow(q) {
	const part = q.burst ? q.left / q.burst : 1;
	return h("tr", {}, h("th", {scope: "row"}, q.authority), h("td", {"data-name": "Limit"}, `${number(q.burst)} ${say(q.limit)} in ${span(q.window_seconds * 1000)}`),
		h("td", {"data-name": "Left now"}, h("div", {class: "meter", role: "img", "aria-label": `${Math.round(part * 100)} % left`},
			h("span", {class: part < 0.05 ? "bad" : part < 0.25 ? "warn" : "good", style: {width: `${part * 100}%`}})), number(q.left)),
		h("td", {"data-name": "Wholly free again"}, q.free_at ? when(q.free_at) : "now"));
}

// An order at the authority, or one way of proving names, that pauses since our own canary fails there too.
const breakerWords = {closed: ["good", "all is well"], half_open: ["warn", "being tried"], open: ["bad", "paused"]};
const ways = {orders: "orders", "http-01": "proofs by http-01", "dns-01": "proofs by dns-01"};

function breakerRow(b) {
	const [tint, text] = breakerWords[b.state] || ["", say(b.state)];
	return h("tr", {}, h("th", {scope: "row"}, b.authority), h("td", {"data-name": "What"}, ways[b.way] || b.way),
		h("td", {"data-name": "State"}, h("span", {class: `state ${tint}`}, text), b.since && b.state !== "closed" ? [" since ", when(b.since)] : null),
		h("td", {"data-name": "What the canary found"}, b.why || (b.armed ? "it passes" : "not tried of late"), b.state !== "closed" && b.canary_next ? h("div", {class: "small quiet"}, "tried again ", when(b.canary_next)) : null));
}

function breakersCard(breakers) {
	if (!breakers?.length) return null;
	return card("breakers", "Circuit breakers", h("table", {class: "stack"}, head("Authority", "What", "State", "What the canary found"), h("tbody", {}, breakers.map(breakerRow))));
}

export async function workersPage(context) {
	const [{workers}, {jobs}, {quotas}, {queues}, {breakers}] = await Promise.all([
		get("/v1/workers"), get("/v1/jobs?limit=100"), get("/v1/quotas"), get("/v1/queues"), get("/v1/status")]);
	const running = jobs.filter((j) => j.where === "running");
	const alive = workers.filter((w) => w.alive).length;
	return {
		title: "Workers", live: true, slow: true,
		body: [h("div", {class: "head"}, h("h1", {}, "Workers and queues")),
			alive ? null : h("div", {class: "banner bad"}, h("p", {}, h("strong", {}, "No worker gives a sign of life."), " Nothing is looked at, issued or renewed: start ", h("code", {}, "certfleet-worker"), ".")),
			h("div", {class: "grid"}, queues.map(queueCard)),
			jobsCard("parked", "Parked jobs", jobs.filter((j) => j.where === "parked"), context, "certfleet gave these up. Look at the workers’ logs for these endpoints; then try again."),
			card("workers", `Workers (${alive} of ${workers.length} alive)`, workers.length ? h("table", {class: "stack"}, head("Worker", "State", "Looks", "Orders", "Roles", "Up since", "Version"),
				h("tbody", {}, [...workers].sort((a, b) => a.alive - b.alive || a.name.localeCompare(b.name)).map(workerRow))) : h("p", {class: "quiet"}, "None has ever run.")),
			card("quotas", "What the authorities still take", quotas.length ? h("table", {class: "stack"}, head("Authority", "Limit", "Left now", "Wholly free again"), h("tbody", {}, quotas.map(quotaRow))) :
				h("p", {class: "quiet"}, "The configuration sets no limits of new orders.")),
			breakersCard(breakers),
			jobsCard("running", "Running jobs", running, context)],
	};
}
