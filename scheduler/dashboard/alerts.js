// Alerts: what is open, one of them whole, and what is kept quiet.
import {h, link, badge, code, actButton, actor, confirmed, deadline, dialog, field, minuteText, note, pathOf, prose, say, several, when} from "./dom.js";
import {call, get} from "./api.js";
import {alertAbout, alertPath, alertTitle, byUrgency, card, facts, head, steps} from "./parts.js";

const MOST = 500;
const lengths = [["3600", "1 hour"], ["14400", "4 hours"], ["86400", "1 day"], ["604800", "7 days"], ["2592000", "30 days"]];

// --- silences

// Characters of a pattern that stand for others are not in keys of ours, and would only make it wider.
export function silenceDialog(a, done) {
	const scopes = [["key", a.key, "This alert"], a.endpoint && ["endpoint", a.endpoint, `All about ${a.endpoint}`],
		a.condition && ["condition", a.condition, `All like it: ${alertTitle(a)}`], a.tenant && ["tenant", a.tenant, `All of the tenant ${a.tenant}`]].filter(Boolean);
	const reason = h("input", {required: true, maxlength: "250", autocomplete: "off", autofocus: true});
	const scope = h("select", {}, scopes.map(([f, , text]) => h("option", {value: f}, text)));
	const until = h("select", {}, lengths.map(([s, text]) => h("option", {value: s, selected: s === "14400"}, text)));
	const error = h("p", {class: "error", role: "alert", hidden: true});
	const form = h("form", {onsubmit: async (event) => {
		event.preventDefault();
		const [f, pattern] = scopes.find(([name]) => name === scope.value);
		try {
			await call("POST", "/v1/silences", {field: f, pattern, reason: reason.value.trim(), expires_in: Number(until.value)});
			box.close();
			note("It is silenced.");
			done();
		} catch (problem) {
			error.textContent = problem.message;
			error.hidden = false;
		}
	}}, field("silence-scope", "What", scope), field("silence-until", "For how long", until),
		field("silence-reason", "Why", reason, "Others read it: who works on it, and until when."), error,
		h("div", {class: "actions"}, h("button", {type: "button", onclick: () => box.close()}, "Cancel"), h("button", {class: "primary"}, "Silence")));
	const box = dialog("Silence", [h("p", {}, "Nobody is told of it while it is silenced; it stays open, and is said again when the silence is over."), form], []);
}

async function endSilence(s, again) {
	if (!await confirmed("End the silence?", `What it keeps quiet (${silenceAbout(s)}) is said at once if it is still open.`, "End it")) return;
	await call("DELETE", `/v1/silences/${encodeURIComponent(s.id)}`);
	note("The silence has ended.");
	again();
}

const silenceAbout = (s) => `${s.field ? `${say(s.field)} ` : ""}${s.pattern}`;

const lasts = (s) => new Date(s.until) > Date.now();

function silenceTable(silences, context) {
	return h("table", {class: "stack"}, head("What", "Why", "By", "Ends", ...(context.writes ? ["Actions"] : [])),
		h("tbody", {}, silences.map((s) => h("tr", {}, h("th", {scope: "row"}, silenceAbout(s)), h("td", {"data-name": "Why"}, s.reason), h("td", {"data-name": "By"}, s.by),
			h("td", {"data-name": "Ends"}, lasts(s) ? when(s.until) : "over"),
			context.writes ? h("td", {}, lasts(s) ? actButton("End it", {"aria-label": `End the silence of ${s.pattern}`}, () => endSilence(s, context.again)) : null) : null))));
}

export async function silencesPage(context) {
	const {silences} = await get("/v1/silences");
	return {
		title: "Silences", live: true,
		body: [h("nav", {class: "crumbs", "aria-label": "Breadcrumb"}, link("/alerts", {}, "Alerts"), " / Silences"), h("div", {class: "head"}, h("h1", {}, "Silences")),
			h("section", {class: "card", "aria-label": "Silences"}, silences.length ? silenceTable(silences, context) :
				h("p", {class: "quiet"}, "Nothing is silenced. An alert’s page has a button for it."))],
	};
}

// --- one

async function membersCard(a) {
	const members = a.members || [];
	if (!members.length) return null;
	return card("members", `What is in it: ${several(a.endpoints || members.length, "endpoint")}`,
		h("ul", {class: "columns"}, members.map((key) => { const id = key.split("/")[0]; return h("li", {}, link(pathOf(id), {}, id)); })),
		a.endpoints > members.length ? h("p", {class: "small quiet"}, `The first ${members.length} are shown.`) : null);
}

// An alert names the silence that keeps it quiet; what it says stands in the list of them, which is the whole fleet's.
const readSilences = (context) => (context.who.tenant ? [] : get("/v1/silences").then((answer) => answer.silences));

function silenceRow(a, silences) {
	if (!a.silenced) return null;
	const s = silences.find((one) => one.id === a.silence?.id);
	return ["Silenced", s ? [s.reason, ", until ", minuteText(s.until), " (", when(s.until), ")"] : "for a while"];
}

export async function alertPage(context, key) {
	const [{alerts: [a]}, silences] = await Promise.all([get(`/v1/alerts?key=${encodeURIComponent(key)}`), readSilences(context)]);
	if (!a) throw Object.assign(new Error("No alert of this name is remembered. It may be over for long."), {status: 404});
	const open = a.state !== "resolved";
	return {
		title: alertTitle(a), live: true,
		body: [h("nav", {class: "crumbs", "aria-label": "Breadcrumb"}, link("/alerts", {}, "Alerts"), ` / ${a.key}`),
			h("div", {class: "head"}, h("h1", {}, alertTitle(a)), open ? badge(a.severity) : badge("right", "over"), a.silenced && open ? badge("unknown", "silenced") : null,
				open && context.runs && !a.silenced ? h("div", {class: "actions"}, h("button", {type: "button", onclick: () => silenceDialog(a, context.again)}, "Silence …")) : null),
			h("section", {class: `card finding ${open ? a.severity : "over"}`, "aria-label": "What it is"}, h("p", {}, prose(a.text)), open ? steps(a.fix) : null,
				facts([["About", alertAbout(a)], open && ["Who must act", actor(a.actor)], open && ["By when", a.deadline ? deadline(a.deadline) : "as soon as it can be"],
					["Open since", when(a.opened || a.since)], a.resolved && ["Over since", when(a.resolved)], open && a.next && ["What happens next", prose(a.next)],
					a.cause && ["Its cause", code(a.cause)], open && silenceRow(a, silences)])),
			open && a.runbook ? h("section", {class: "card", "aria-label": "In general"}, h("h2", {}, "In general"), h("p", {}, prose(a.runbook))) : null,
			await membersCard(a)],
	};
}

// --- all

function alertItem(a, context, silences) {
	return h("article", {class: `finding ${a.severity}`},
		h("div", {class: "head"}, h("h3", {}, badge(a.severity), " ", link(alertPath(a), {}, alertTitle(a))),
			context.runs && !a.silenced ? h("div", {class: "actions"}, h("button", {type: "button", class: "copy", "aria-label": `Silence: ${alertTitle(a)}, ${alertAbout(a, true)}`,
				onclick: () => silenceDialog(a, context.again)}, "Silence …")) : null),
		facts([["About", alertAbout(a)], ["Who must act", actor(a.actor)], ["By when", a.deadline ? deadline(a.deadline) : "as soon as it can be"], ["Open since", when(a.opened || a.since)],
			silenceRow(a, silences)], "wide"),
		h("details", {}, h("summary", {}, "What was seen, and what to do"), h("p", {}, prose(a.text)), steps(a.fix)));
}

export async function alertsPage(context) {
	const [{alerts}, silences] = await Promise.all([get(`/v1/alerts?limit=${MOST}`), readSilences(context)]);
	const loud = alerts.filter((a) => !a.silenced).sort(byUrgency);
	const quiet = alerts.filter((a) => a.silenced).sort(byUrgency);
	return {
		title: `Alerts (${loud.length})`, live: true,
		body: [h("div", {class: "head"}, h("h1", {}, "Alerts"), h("span", {class: "quiet"}, alerts.length >= MOST ? `the newest ${MOST}` : `${alerts.length} open`),
			context.who.tenant ? null : h("div", {class: "actions"}, link("/silences", {class: "button"}, `Silences (${silences.filter(lasts).length})`))),
		h("section", {class: "card", "aria-label": "Open alerts"}, loud.length ? loud.map((a) => alertItem(a, context, silences)) :
			h("p", {class: "quiet center"}, "None is open. An alert opens once, is said to be graver as its deadline nears, and ends when its reason does.")),
		quiet.length ? card("silenced", `Silenced (${quiet.length})`, quiet.map((a) => alertItem(a, context, silences))) : null],
	};
}
