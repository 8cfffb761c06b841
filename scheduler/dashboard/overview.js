// The fleet at a glance: what is wrong, who must act, by when; then how it stands as a whole.
import {h, link, number, several, tintOf} from "./dom.js";
import {get} from "./api.js";
import {alertRows, byUrgency, card, endpointTable, grave, lifeChart, stateBar, troubled} from "./parts.js";

const SHOWN = 6;

function headline(status, alerts) {
	const loud = alerts.filter((a) => !a.silenced);
	const critical = loud.filter((a) => a.severity === "critical").length;
	const bad = grave.reduce((n, k) => n + (status.states[k] || 0), 0);
	const waiting = status.states.waiting_dns || 0;
	const parts = [];
	if (critical) parts.push(`${several(critical, "critical alert")}`);
	else if (loud.length) parts.push(several(loud.length, "open alert"));
	if (bad) parts.push(`${several(bad, "endpoint")} failing, expired or given up`);
	const tint = critical || status.states.expired ? "bad" : parts.length ? "warn" : "good";
	const text = parts.length ? `${parts.join(", ")}.` : waiting || status.states.provisioning ? "Nothing is wrong." : "All is well: every endpoint has its certificate.";
	const paused = (status.breakers || []).filter((b) => b.state === "open").map((b) => `${b.authority} (${b.way})`);
	return h("div", {class: `banner ${tint}`}, h("p", {}, h("strong", {}, text), " ", paused.length ? [link("/workers", {}, `Paused: ${paused.join(", ")}`), ". "] : null,
		waiting ? [link("/endpoints?state=waiting_dns", {}, `${several(waiting, "endpoint")} ${waiting === 1 ? "waits" : "wait"}`), " for the DNS of their owners."] : null));
}

function needsCard(alerts, more) {
	if (!alerts.length) return null;
	const loud = alerts.filter((a) => !a.silenced).sort(byUrgency);
	const quiet = alerts.length - loud.length;
	return card("needs", "Needs somebody", loud.length ? alertRows(loud.slice(0, SHOWN)) : h("p", {class: "quiet"}, "Nothing that is not silenced."),
		h("p", {class: "small"}, link("/alerts", {}, more ? "All alerts" : `All ${several(alerts.length, "alert")}`), quiet ? `, ${quiet} of them silenced` : ""));
}

function tile(path, n, text, tint) {
	return link(path, {class: `tile ${n ? tint || "" : ""}`}, h("b", {}, number(n)), text);
}

function reasonsCard(reasons) {
	if (!reasons.length) return null;
	const shown = reasons.slice(0, 8);
	return card("reasons", "Why endpoints are not active", h("table", {}, h("tbody", {}, shown.map((r) => h("tr", {},
		h("th", {scope: "row"}, link(`/endpoints?reason=${encodeURIComponent(r.reason)}`, {}, r.means || r.reason)), h("td", {class: "number"}, number(r.endpoints)))))),
		reasons.length > shown.length ? h("p", {class: "small quiet"}, `and ${several(reasons.length - shown.length, "reason")} more: `, link("/endpoints?sort=trouble", {}, "all, trouble first")) : null);
}

function fresh(context) {
	return h("section", {class: "card center"}, h("h2", {}, "Nothing here yet"),
		h("p", {}, "Add a domain: you are shown the DNS records that its owner must create, and its certificate comes by itself."),
		context.writes ? link("/add", {class: "button primary"}, "Add the first endpoint") : null);
}

export async function overviewPage(context) {
	const [status, {alerts}, trouble] = await Promise.all([
		get("/v1/status"), get("/v1/alerts?limit=200"), get(`/v1/endpoints?sort=trouble&limit=8&state=${troubled.join(",")}`)]);
	const s = status.states;
	const bad = grave.reduce((n, k) => n + (s[k] || 0), 0);
	const top = h("div", {class: "head"}, h("h1", {}, `Fleet ${status.fleet}`), status.complete ? null : h("span", {class: "state busy"}, "still reading the fleet"),
		context.writes ? h("div", {class: "actions"}, link("/add", {class: "button primary"}, "Add an endpoint")) : null);
	const body = status.endpoints === 0 ? [alerts.length ? needsCard(alerts) : null, fresh(context)] : [
		headline(status, alerts), needsCard(alerts, alerts.length >= 200),
		h("div", {class: "tiles"},
			tile("/endpoints", status.endpoints, "endpoints"),
			tile("/endpoints?state=active", s.active || 0, "active", "good"),
			tile("/endpoints?state=waiting_dns", s.waiting_dns || 0, "wait for DNS", "warn"),
			tile(`/endpoints?state=${grave.join(",")}`, bad, "in trouble", "bad"),
			tile("/alerts", alerts.length, alerts.length >= 200 ? "or more open alerts" : "open alerts", alerts.length ? tintOf([...alerts].sort(byUrgency)[0].severity) : "")),
		trouble.endpoints.length ? card("trouble", "Not active, the worst first", endpointTable(trouble.endpoints, `${number(trouble.endpoints.length)} of ${number(trouble.total)}`),
			trouble.total > trouble.endpoints.length ? h("p", {class: "small"}, link(`/endpoints?sort=trouble&state=${troubled.join(",")}`, {}, `All ${number(trouble.total)}`)) : null) : null,
		h("div", {class: "grid"}, h("div", {}, card("states", "States", stateBar(s, status.endpoints)), card("life", "Certificates by life left", lifeChart(status.life_left_tenths))),
			reasonsCard(status.reasons))];
	return {title: "Overview", live: true, body: [top, body]};
}
