// The fleet: overview, list, alerts, workers and queues.
import {h, link, badge, say, when, ago, number, tintOf} from "./dom.js";
import {get} from "./api.js";

const order = ["expired", "parked", "failing", "partial", "waiting_dns", "provisioning", "departed", "removing", "active"];
const troubled = order.slice(0, 6);

function endpointRows(endpoints) {
	return endpoints.map((e) => h("tr", {},
		h("th", {scope: "row"}, link(`/endpoints/${e.id}`, {}, e.names[0]), e.names.length > 1 ? h("span", {class: "quiet"}, ` and ${e.names.length - 1} more`) : null),
		h("td", {"data-name": "State"}, badge(e.state), e.reason ? h("span", {class: "small quiet"}, " ", e.means || say(e.reason)) : null),
		h("td", {"data-name": "Tenant"}, e.tenant),
		h("td", {"data-name": "Ends"}, e.certificate ? when(e.certificate.not_after) : h("span", {class: "quiet"}, "no certificate"))));
}

function endpointTable(endpoints, caption) {
	if (!endpoints.length) return h("p", {class: "quiet"}, "None.");
	return h("table", {class: "stack"}, h("caption", {}, caption),
		h("thead", {}, h("tr", {}, ["Name", "State", "Tenant", "Certificate ends"].map((t) => h("th", {scope: "col"}, t)))),
		h("tbody", {}, endpointRows(endpoints)));
}

function stateBar(states, total) {
	return [h("div", {class: "bar", role: "img", "aria-label": order.filter((s) => states[s]).map((s) => `${say(s)}: ${states[s]}`).join(", ") || "no endpoints"},
		order.filter((s) => states[s]).map((s) => h("span", {class: tintOf(s) || "other", style: {flexGrow: String(states[s] / total), minWidth: "3px"}}))),
		h("p", {class: "small"}, order.filter((s) => states[s]).map((s) => [link(`/endpoints?state=${s}`, {}, `${number(states[s])} ${say(s)}`), "  "]))];
}

function lifeChart(life) {
	const most = Math.max(...life, 1);
	const label = life.map((n, i) => (n ? `${i ? `${i - 1} to ${i} tenths` : "over"}: ${n}` : "")).filter(Boolean).join(", ");
	return [h("div", {class: "bars", role: "img", "aria-label": `Certificates by the part of their life that is left. ${label || "None."}`},
		life.map((n, i) => h("div", {class: i === 0 ? "b" : i <= 2 ? "w" : "", title: `${number(n)}`, style: {height: `${100 * n / most}%`}}))),
		h("div", {class: "scale", "aria-hidden": "true"}, h("span", {}, "over"), h("span", {}, "a third: renewal"), h("span", {}, "fresh"))];
}

function alertItem(a) {
	return h("div", {class: `finding ${a.severity}`},
		h("p", {}, badge(a.severity), " ", h("strong", {}, a.text || say(a.condition)), a.silenced ? h("span", {class: "quiet"}, " (silenced)") : null),
		a.fix ? h("pre", {}, a.fix) : null,
		h("p", {class: "small quiet"}, a.endpoint ? [link(`/endpoints/${a.endpoint}`, {}, a.endpoint), ". "] : "The whole fleet. ",
			`Who must act: ${say(a.actor)}. `, a.deadline ? `Until ${ago(a.deadline)}. ` : "", "Open since ", when(a.opened || a.since), a.next ? `. Then: ${a.next}` : "."));
}

export async function overviewPage(context) {
	const status = await get("/v1/status");
	const [trouble, alerts] = await Promise.all([
		get(`/v1/endpoints?sort=trouble&limit=8&state=${troubled.join(",")}`), get("/v1/alerts?limit=5")]);
	const s = status.states;
	const needs = troubled.reduce((n, k) => n + (s[k] || 0), 0);
	return {
		title: "Overview", live: true,
		body: [h("div", {class: "head"}, h("h1", {}, `Fleet ${status.fleet}`),
			status.complete ? null : h("span", {class: "state busy"}, "still reading the fleet"),
			context.who.scope === "write" ? h("div", {class: "actions"}, link("/add", {class: "button primary"}, "Add an endpoint")) : null),
			h("div", {class: "tiles"},
				link("/endpoints", {class: "tile"}, h("b", {}, number(status.endpoints)), "endpoints"),
				link("/endpoints?state=active", {class: "tile"}, h("b", {}, number(s.active)), "active"),
				link(`/endpoints?sort=trouble&state=${troubled.join(",")}`, {class: "tile"}, h("b", {}, number(needs)), "not (yet) active"),
				link("/alerts", {class: "tile"}, h("b", {}, alerts.alerts.length >= 5 ? "5+" : String(alerts.alerts.length)), "open alerts")),
			status.endpoints === 0 ? h("section", {class: "card center"}, h("h2", {}, "Nothing here yet"),
				h("p", {}, "Add a domain: you are shown the DNS records that its owner must create, and its certificate comes by itself."),
				context.who.scope === "write" ? link("/add", {class: "button primary"}, "Add the first endpoint") : null) :
			[h("div", {class: "grid"},
				h("section", {class: "card"}, h("h2", {}, "States"), stateBar(s, status.endpoints)),
				h("section", {class: "card"}, h("h2", {}, "Certificates by life left"), lifeChart(status.life_left_tenths))), h("br"),
			h("div", {class: "grid"},
				h("section", {class: "card"}, h("h2", {}, "Alerts"), alerts.alerts.length ? alerts.alerts.map(alertItem) : h("p", {class: "quiet"}, "None is open.")),
				h("section", {class: "card"}, h("h2", {}, "What is wrong, by frequency"), status.reasons.length ?
					h("table", {}, h("tbody", {}, status.reasons.map((r) => h("tr", {}, h("th", {scope: "row"}, link(`/endpoints?reason=${r.reason}`, {}, say(r.reason))), h("td", {class: "number"}, number(r.endpoints)))))) :
					h("p", {class: "quiet"}, "Nothing."))), h("br"),
			h("section", {class: "card"}, h("h2", {}, "Trouble first"), endpointTable(trouble.endpoints, `${number(trouble.total)} in all`))]],
	};
}

export async function listPage(context, query) {
	const results = h("div", {"aria-live": "polite"});
	const controls = {};
	let latest = 0;
	const parameters = () => {
		const p = new URLSearchParams();
		for (const [name, control] of Object.entries(controls)) if (control.value.trim()) p.set(name, control.value.trim());
		return p;
	};
	const load = async (after) => {
		const turn = ++latest;
		const p = parameters();
		if (!after) history.replaceState(null, "", `/endpoints${p.size ? `?${p}` : ""}`);
		p.set("limit", "50");
		if (after) p.set("after", after);
		const page = await get(`/v1/endpoints?${p}`);
		if (turn !== latest) return; // an answer to what was typed before
		const more = page.next ? h("p", {}, h("button", {type: "button", onclick: (e) => { e.currentTarget.parentElement.remove(); load(page.next); }}, "Show more")) : null;
		if (!after) results.replaceChildren(endpointTable(page.endpoints, `${number(page.total)} fit`));
		else results.querySelector("tbody")?.append(...endpointRows(page.endpoints));
		if (more) results.append(more);
	};
	let timer;
	const soon = () => { clearTimeout(timer); timer = setTimeout(() => load(), 150); };
	const field = (name, text, control, wide) => { controls[name] = control; control.id = `f-${name}`; control.name = name; control.addEventListener("input", soon); return h("div", {class: wide}, h("label", {for: control.id}, text), control); };
	const options = (list, value) => list.map(([v, t]) => h("option", {value: v, selected: v === value}, t));
	const state = query.get("state") || "";
	const states = [["", "any"], [troubled.join(","), "not (yet) active"], ...order.map((s) => [s, say(s)])];
	const filters = h("form", {class: "filters", role: "search", onsubmit: (e) => { e.preventDefault(); load(); }},
		field("q", "Search", h("input", {type: "search", autocomplete: "off", spellcheck: "false", placeholder: "part of a name or id", value: query.get("q") || ""}), "wide"),
		field("state", "State", h("select", {}, options(states, state))),
		field("reason", "Reason", h("input", {autocomplete: "off", spellcheck: "false", placeholder: "record_missing", value: query.get("reason") || ""})),
		context.who.tenant ? null : field("tenant", "Tenant", h("input", {autocomplete: "off", spellcheck: "false", value: query.get("tenant") || ""})),
		field("sort", "Order", h("select", {}, options([["", "by id"], ["expiry", "what ends first"], ["trouble", "trouble first"]], query.get("sort") || ""))));
	await load();
	return {
		title: "Endpoints", refresh: () => load(), live: true,
		body: [h("div", {class: "head"}, h("h1", {}, "Endpoints"), context.who.scope === "write" ? h("div", {class: "actions"}, link("/add", {class: "button primary"}, "Add an endpoint")) : null),
			filters, h("section", {class: "card"}, results)],
	};
}

export async function alertsPage() {
	const {alerts} = await get("/v1/alerts?limit=500");
	const by = (s) => alerts.filter((a) => a.severity === s);
	return {
		title: "Alerts", live: true,
		body: [h("div", {class: "head"}, h("h1", {}, "Open alerts"), h("span", {class: "quiet"}, String(alerts.length))),
			h("section", {class: "card"}, alerts.length ? [...by("critical"), ...by("warning"), ...by("info")].map(alertItem) :
				h("p", {class: "quiet"}, "None is open. An alert opens once, is said to be graver as its deadline nears, and ends when its reason does."))],
	};
}

export async function workersPage() {
	const [{workers}, {jobs}, {quotas}] = await Promise.all([get("/v1/workers"), get("/v1/jobs?limit=100"), get("/v1/quotas")]);
	const parked = jobs.filter((j) => j.where === "parked");
	const running = jobs.filter((j) => j.where === "running");
	const head = (...names) => h("thead", {}, h("tr", {}, names.map((t) => h("th", {scope: "col"}, t))));
	const jobRow = (j) => h("tr", {}, h("th", {scope: "row"}, link(`/endpoints/${j.endpoint}`, {}, j.endpoint)), h("td", {"data-name": "Job"}, `${j.queue}: ${j.intent}`),
		h("td", {"data-name": "Worker"}, j.worker || "-"), h("td", {"data-name": "Since"}, when(j.since)), h("td", {"data-name": "Why"}, say(j.why)));
	return {
		title: "Workers", live: true, slow: true,
		body: [h("div", {class: "head"}, h("h1", {}, "Workers and queues")),
			h("section", {class: "card"}, h("h2", {}, "Workers"), workers.length ? h("table", {class: "stack"}, head("Worker", "State", "Looks", "Orders", "Roles", "Up since"),
				h("tbody", {}, workers.map((w) => h("tr", {}, h("th", {scope: "row"}, w.name), h("td", {"data-name": "State"}, h("span", {class: `state ${w.alive ? "good" : "bad"}`}, w.alive ? (w.state || "alive") : "silent")),
					h("td", {"data-name": "Looks"}, `${w.verify_running ?? 0} of ${w.verify_slots ?? 0}`), h("td", {"data-name": "Orders"}, `${w.issue_running ?? 0} of ${w.issue_slots ?? 0}`),
					h("td", {"data-name": "Roles"}, w.roles || ""), h("td", {"data-name": "Up since"}, when(w.started)))))) : h("p", {}, "No worker has said that it lives: start certfleet-worker.")),
			h("section", {class: "card"}, h("h2", {}, `Parked jobs (${parked.length})`), parked.length ? [h("p", {}, "certfleet gave these up: look at the workers’ logs, then ", h("code", {}, "certfleet jobs retry ID"), "."),
				h("table", {class: "stack"}, head("Endpoint", "Job", "Worker", "Since", "Why"), h("tbody", {}, parked.map(jobRow)))] : h("p", {class: "quiet"}, "None.")),
			h("section", {class: "card"}, h("h2", {}, `Running jobs (${running.length})`), running.length ? h("table", {class: "stack"}, head("Endpoint", "Job", "Worker", "Since", "Why"), h("tbody", {}, running.map(jobRow))) : h("p", {class: "quiet"}, "None at this moment.")),
			h("section", {class: "card"}, h("h2", {}, "What the authorities still take"), quotas.length ? h("table", {class: "stack"}, head("Authority", "Limit", "Left now", "Wholly free again"),
				h("tbody", {}, quotas.map((q) => h("tr", {}, h("th", {scope: "row"}, q.authority), h("td", {"data-name": "Limit"}, `${number(q.burst)} ${say(q.limit)} in ${q.window_seconds / 3600} h`), h("td", {"data-name": "Left now"}, number(q.left)), h("td", {"data-name": "Wholly free again"}, q.free_at ? when(q.free_at) : "now"))))) :
				h("p", {class: "quiet"}, "The configuration sets no limits of new orders."))],
	};
}
