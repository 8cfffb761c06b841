// What several pages show: endpoints in a table, alerts, findings, and the fleet's shape in a bar.
import {h, link, badge, code, say, when, deadline, number, several, tintOf, actor, prose, pathOf} from "./dom.js";

export const states = ["expired", "parked", "failing", "partial", "waiting_dns", "provisioning", "departed", "removing", "active"];
export const troubled = states.slice(0, 6);
export const grave = states.slice(0, 4);

export const head = (...names) => h("thead", {}, h("tr", {}, names.map((t) => h("th", {scope: "col"}, t))));
export const card = (id, title, ...body) => h("section", {class: "card", "aria-labelledby": id}, h("h2", {id}, title), body);

// --- endpoints

export function endpointRows(endpoints) {
	return endpoints.map((e) => h("tr", {},
		h("th", {scope: "row"}, link(pathOf(e.id), {}, e.names[0]), e.names.length > 1 ? h("span", {class: "quiet"}, ` and ${e.names.length - 1} more`) : null),
		h("td", {"data-name": "State"}, badge(e.state), e.reason ? h("span", {class: "small quiet"}, " ", e.means || say(e.reason)) : null),
		h("td", {"data-name": "Tenant"}, e.tenant),
		h("td", {"data-name": "Certificate ends"}, e.certificate ? when(e.certificate.not_after) : h("span", {class: "quiet"}, "no certificate"))));
}

export function endpointTable(endpoints, caption) {
	return h("table", {class: "stack"}, h("caption", {}, caption), head("Name", "State", "Tenant", "Certificate ends"), h("tbody", {}, endpointRows(endpoints)));
}

export function stateBar(counts, total) {
	const there = states.filter((s) => counts[s]);
	return [h("div", {class: "bar", role: "img", "aria-label": there.map((s) => `${say(s)}: ${counts[s]}`).join(", ") || "no endpoints"},
		there.map((s) => h("span", {class: tintOf(s) || "other", style: {flexGrow: String(counts[s] / total), minWidth: "4px"}}))),
		h("ul", {class: "legend"}, there.map((s) => h("li", {}, h("span", {class: `dot ${tintOf(s) || "other"}`, "aria-hidden": "true"}),
			link(`/endpoints?state=${s}`, {}, `${number(counts[s])} ${say(s)}`))))];
}

export function lifeChart(life) {
	const most = Math.max(...life, 1);
	const label = life.map((n, i) => (n ? `${i ? `${i - 1} to ${i} tenths` : "over"}: ${n}` : "")).filter(Boolean).join(", ");
	return [h("div", {class: "bars", role: "img", "aria-label": `Certificates by the part of their life that is left. ${label || "None."}`},
		life.map((n, i) => h("div", {class: i === 0 ? "b" : i <= 3 ? "w" : "", style: {height: `${n ? Math.max(6, 100 * n / most) : 0}%`}}, n ? h("span", {}, number(n)) : null))),
		h("div", {class: "scale", "aria-hidden": "true"}, h("span", {}, "over"), h("span", {}, "under a third: being renewed"), h("span", {}, "fresh"))];
}

// --- alerts

const weight = {critical: 2, warning: 1, info: 0};

// The gravest first, then what ends first, then what is open for longest.
export function byUrgency(a, b) {
	return (weight[b.severity] ?? 0) - (weight[a.severity] ?? 0) || (a.deadline || Infinity) - (b.deadline || Infinity) || (a.opened || 0) - (b.opened || 0);
}

export const alertPath = (a) => `/alerts?key=${encodeURIComponent(a.key)}`;
export const alertTitle = (a) => {
	const [condition, one] = String(a.condition || "").split(/:(.*)/s);
	const means = a.means || (a.condition ? say(condition) : "an incident");
	return means.charAt(0).toUpperCase() + means.slice(1) + (one && !a.endpoints ? ` (${one})` : "");
};

export function alertAbout(a, plain) {
	if (a.endpoint) return plain ? a.endpoint : link(pathOf(a.endpoint), {}, a.endpoint);
	return a.endpoints ? several(a.endpoints, "endpoint") : "the whole fleet";
}

export function alertRows(alerts) {
	return h("table", {class: "stack"}, head("What is wrong", "Who must act", "By when"),
		h("tbody", {}, alerts.map((a) => h("tr", {},
			h("th", {scope: "row"}, badge(a.severity), " ", link(alertPath(a), {}, alertTitle(a)), h("div", {class: "small quiet plain"}, alertAbout(a))),
			h("td", {"data-name": "Who must act"}, actor(a.actor)),
			h("td", {"data-name": "By when"}, a.deadline ? deadline(a.deadline) : h("span", {class: "quiet"}, "as soon as it can be"))))));
}

export function facts(rows, shape) {
	return h("dl", {class: shape}, rows.filter(Boolean).map(([k, ...v]) => h("div", {}, h("dt", {}, k), h("dd", {}, v))));
}

// Where the command line would be told to show an endpoint, its page is one click away.
function stepText(line) {
	const shown = line.match(/^certfleet endpoint show (\S+)$/);
	return shown ? [link(pathOf(shown[1]), {}, `Open the page of ${shown[1]}`), ": it says what was found and what to do."] : prose(line);
}

// One edit a step: what says how to type a record stands with it, and what a line announces below it.
function grouped(lines) {
	const groups = [];
	let open = false;
	for (const line of lines) {
		if (groups.length && (open || line.startsWith("Where the form"))) groups.at(-1).push(line);
		else groups.push([line]);
		open = line.endsWith(":");
	}
	return groups;
}

export function steps(lines) {
	const all = grouped((Array.isArray(lines) ? lines : String(lines || "").split("\n")).filter((l) => l.trim()));
	if (!all.length) return null;
	const items = all.map((group) => h("li", {}, group.map((l) => h("p", {}, stepText(l)))));
	return h("div", {class: "fix"}, h("h3", {}, "What to do"), h(all.length === 1 ? "ul" : "ol", {class: all.length === 1 ? "plainlist" : null}, items));
}

// --- findings: what was expected beside what each server says

export function observations(d) {
	if (!d.observed?.length) return null;
	return h("table", {class: "stack observed"}, head("Where", "Expected", "Found"),
		h("tbody", {}, d.observed.map((o) => {
			const fits = d.expected && (o.what === d.expected || d.expected.startsWith(`${o.what} at each`));
			return h("tr", {}, h("td", {"data-name": "Where"}, code(o.server)),
				h("td", {"data-name": "Expected"}, d.expected ? code(d.expected.replace(/ at each server$/, "")) : h("span", {class: "quiet"}, "-")),
				h("td", {"data-name": "Found"}, code(o.what, {class: fits ? "fits" : "differs"}), fits ? h("span", {class: "small"}, " right") : null,
					o.ttl > 5 ? h("div", {class: "small quiet"}, `may be kept by resolvers for ${o.ttl} s`) : null));
		})),
		d.observed_more ? h("caption", {}, `and at ${several(d.observed_more, "server")} more`) : null);
}

export function finding(d, means) {
	const title = means || d.text || say(d.code);
	return h("div", {class: `finding ${d.severity}`},
		h("p", {}, badge(d.severity, d.severity === "info" ? "to know" : null), " ", h("strong", {}, title.charAt(0).toUpperCase() + title.slice(1))),
		observations(d), steps(d.fix),
		d.effect ? h("p", {}, prose(d.effect), d.effect_at ? [" ", deadline(d.effect_at), "."] : null) : null,
		h("p", {class: "small quiet"}, "Who must act: ", actor(d.actor), ". Seen since ", when(d.since), d.next_check ? ["; looked at again ", when(d.next_check)] : null, "."));
}
