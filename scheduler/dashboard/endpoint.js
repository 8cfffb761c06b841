// One endpoint: what its owner must create, how it stands, and what has happened. A customer with a link sees the same,
// to read.
import {h, link, badge, code, say, when, deadline, copyButton, note, actButton, confirmed, several, number, dateText, tintOf, prose, apiOf} from "./dom.js";
import {call, get} from "./api.js";
import {card, facts, finding, head, observations, steps} from "./parts.js";
import {linkDialog} from "./share.js";

const purposes = {traffic: "sends the traffic to us", challenge: "lets certificates be obtained and renewed, for ever"};
const done = (records) => Boolean(records?.length) && records.every((r) => r.status === "right");
const title = (text) => text.charAt(0).toUpperCase() + text.slice(1);
const firstWords = (e) => (e.names.length === 1 ? e.names[0] : `${e.names[0]} and ${e.names.length - 1} more`);

// --- how far it is: DNS, certificate, served

function stage(text, tint, mark, detail) {
	return h("li", {class: tint}, h("span", {class: "mark", "aria-hidden": "true"}, mark), h("span", {}, h("b", {}, text), h("span", {class: "small"}, detail)));
}

function dnsStage(e) {
	const records = e.records || [];
	const right = records.filter((r) => r.status === "right").length;
	if (done(records)) return stage("DNS", "good", "✓", "as it should be");
	const wrong = records.some((r) => r.status === "wrong" || r.status === "error");
	return stage("DNS", wrong ? "bad" : "warn", wrong ? "!" : "1", e.records === null ? say(e.reason) : `${right} of ${several(records.length, "record")} right`);
}

function certificateStage(e) {
	const c = e.certificate;
	const {issuance: i} = e;
	if (c && ["valid", "due"].includes(c.status)) return stage("Certificate", "good", "✓", `valid until ${dateText(c.not_after)}`);
	if (c) return stage("Certificate", "bad", "!", say(c.status));
	if (i?.waiting_quota) return stage("Certificate", "busy", "…", "its turn at the authority will come");
	if (i?.failures) return stage("Certificate", "bad", "!", "the last attempt failed");
	if (e.state === "provisioning" || i?.order_open) return stage("Certificate", "busy", "…", "being issued");
	return stage("Certificate", "", "2", "comes by itself when DNS is right");
}

function servedStage(e) {
	const s = e.served;
	if (!s || s.status === "unknown") return stage("Served", "", "3", e.certificate ? "not seen yet" : "follows");
	const where = s.addresses ? `at ${s.right} of ${several(s.addresses, "address", "addresses")}` : say(s.status);
	return stage("Served", tintOf(s.status), s.status === "ok" ? "✓" : "!", where);
}

const progress = (e) => h("ol", {class: "stages", "aria-label": "How far it is"}, dnsStage(e), certificateStage(e), servedStage(e));

// --- the records to create

function recordStatus(r) {
	const text = r.status === "missing" ? null : r.means || (r.code ? say(r.code) : null);
	return [badge(r.status, r.code === "not_looked_at" || r.status === "unknown" ? "not seen yet" : null), text && r.status !== "right" ? h("div", {class: "small quiet"}, text) : null];
}

function aboutRecord(r, found) {
	if (r.status === "right") return null;
	if (!found) return r.observed ? h("p", {class: "small"}, "Found instead: ", code(r.observed)) : null;
	return [observations(found), steps(found.fix), found.effect ? h("p", {class: "small"}, prose(found.effect)) : null];
}

function recordRows(r, found) {
	const more = aboutRecord(r, found);
	return h("tbody", {class: more ? "with-more" : ""}, h("tr", {class: "record"},
		h("td", {"data-name": "Type"}, r.type),
		h("td", {"data-name": "Name"}, h("div", {class: "value"}, code(r.owner), copyButton(r.owner, `the name ${r.owner}`))),
		h("td", {"data-name": "Value"}, h("div", {class: "value"}, code(r.target), copyButton(r.target, `the value for ${r.owner}`)),
			h("p", {class: "small quiet"}, title(purposes[r.purpose] || ""))),
		h("td", {"data-name": "Status"}, recordStatus(r))),
	more ? h("tr", {class: "more"}, h("td", {colspan: "4"}, more)) : null);
}

const zoneText = (records) => records.map((r) => `${r.owner}. 300 IN ${r.type} ${r.target}.`).join("\n");

function zoneCopy(records) {
	return h("details", {class: "zone"}, h("summary", {}, "As lines of a zone file (BIND)"),
		h("div", {class: "value"}, h("pre", {}, zoneText(records)), copyButton(`${zoneText(records)}\n`, "the zone-file lines", "Copy all")));
}

function findingOf(record, findings) {
	return findings.find((d) => d.record === `${record.owner} ${record.type}` && d.severity !== "info");
}

function recordsCard(e, context, findings) {
	const all = e.records || [];
	const right = done(all);
	const these = all.length === 1 ? "this record" : `these ${all.length} records`;
	const check = () => call("POST", `${apiOf(e.id)}/verify`).then(() => note("DNS is being looked at now."));
	return h("section", {class: "card", "aria-labelledby": "records"},
		h("div", {class: "head"}, h("h2", {id: "records"}, right ? "DNS is right" : `Create ${these} at the domain’s DNS provider, once`),
			h("div", {class: "actions"}, context.writes ? actButton("Check now", {}, check) : null)),
		e.records === null ? h("p", {}, "The records cannot be told here: the label key is not on this machine (challenges.label_key_file).") :
		h("table", {class: "stack records"}, head("Type", "Name", "Value", "Status"), all.map((r) => recordRows(r, findingOf(r, findings)))),
		all.length ? zoneCopy(all) : null,
		h("p", {class: "small quiet"}, e.dns?.looked ? ["Last looked at ", when(e.dns.looked), ". "] : "Not looked at yet. ",
			right ? "It is looked at again all the time. Leave the records in place: each renewal needs them." : "This page turns green by itself once the records are there; that takes as long as the DNS provider does, minutes as a rule."));
}

// --- what else was found

function findingsCard(findings) {
	if (!findings.length) return null;
	const sentence = (d) => (d.record && d.text?.startsWith(`${d.record}: `) ? `${d.record}: ${d.text.slice(d.record.length + 2).split(";")[0]}` : d.text);
	return card("findings", findings.length === 1 ? "What was found" : `What was found (${findings.length})`, findings.map((d) => finding(d, sentence(d))));
}

// --- the certificate, and how names are proven

function lifeBar(c) {
	const [from, to, renew] = [c.not_before, c.not_after, c.renew_at].map((t) => (t ? new Date(t).getTime() : 0));
	const part = (t) => `${Math.min(100, Math.max(0, 100 * (t - from) / (to - from)))}%`;
	return h("div", {class: "life", role: "img", "aria-label": `Valid from ${dateText(from)} to ${dateText(to)}${renew ? `, renewed ${dateText(renew)}` : ""}`},
		h("span", {class: "spent", style: {width: part(Date.now())}}), renew ? h("span", {class: "renew", style: {left: part(renew)}}) : null);
}

function attemptRows(i) {
	return [i?.waiting_quota && ["Waits for", `${say(i.waiting_quota.limit) || "a limit of the authority"}, until `, when(i.waiting_quota.until)],
		i?.failures && ["Last attempt", `failed (${number(i.failures)} in a row): ${i.detail || say(i.code)}`],
		i?.failures && i.next && ["Next attempt", when(i.next)]];
}

function certificateCard(e) {
	const c = e.certificate;
	const rows = c ? [["Status", badge(c.status)], ["Valid until", deadline(c.not_after)],
		["Renewed", c.renew_at ? deadline(c.renew_at) : "-", c.ari?.start ? ", when the authority suggests" : c.renew_at ? ", by its lifetime" : ""],
		["Issued", when(c.issued), ` by ${c.issuer || c.authority}`], ["Serial", code(c.serial)], ["Key", c.key_type],
		c.renewals && ["So far", several(c.renewals, "renewal")], c.partial && ["Partial", "some names are left out, since they cannot be validated now"]] : [];
	return card("certificate", "Certificate", c ? lifeBar(c) : h("p", {class: "quiet"}, "There is none yet. It is obtained by itself as soon as DNS is right."), facts([...rows, ...attemptRows(e.issuance)]));
}

function proofText(n) {
	if (n.claim === "held_elsewhere") return "another tenant holds this name";
	const why = n.uses?.why || "";
	return [n.uses?.challenge ? h("b", {}, n.uses.challenge) : "not yet", n.uses?.authority ? ` at ${n.uses.authority}` : "", why ? `: ${why}` : ""];
}

function proofCard(e) {
	const names = e.dns?.names || [];
	return names.length ? card("proof", "How the authority is convinced", facts(names.map((n) => [n.name, proofText(n)]), "tall")) : null;
}

function servedCard(e) {
	const s = e.served;
	if (!s || !e.certificate) return null;
	const behind = s.behind || [];
	return card("served", "What is served",
		s.status === "unknown" ? h("p", {class: "quiet"}, s.means ? [`Not seen: ${s.means}; tried `, when(s.looked), "."] : "Not seen yet. After each certificate every address is connected to, as a browser would.") :
		h("p", {}, badge(s.status), ` The certificate was seen at ${number(s.right ?? 0)} of ${several(s.addresses ?? 0, "address", "addresses")}, `, when(s.looked), "."),
		behind.length ? h("table", {class: "stack observed"}, head("Address", "Found"), h("tbody", {}, behind.map((b) => h("tr", {}, h("td", {"data-name": "Address"}, code(b.address)),
			h("td", {"data-name": "Found"}, h("span", {class: "differs"}, b.means), b.what ? [": ", b.what] : null))))) : null);
}

// --- what has happened, and the rest

function timelineCard(e, context) {
	const entries = [...(e.timeline || [])].reverse();
	const text = (t) => (context.customer && t.what === "added" ? "" : prose(t.text));
	return card("timeline", "What has happened", entries.length ? h("ul", {class: "timeline"}, entries.map((t) =>
		h("li", {}, h("span", {class: "quiet"}, when(t.time)), h("b", {}, title(t.what === "dns" ? "DNS" : say(t.what))), h("span", {}, text(t))))) : h("p", {class: "quiet"}, "Nothing yet."));
}

function jobLine(j) {
	const state = j.where === "due" ? ["due ", when(j.due)] : [say(j.where), " since ", when(j.since)];
	return h("li", {}, `${j.queue}: ${j.intent}, `, state, j.worker ? ` at ${j.worker}` : "");
}

function settingsCard(e) {
	return card("settings", "Settings", facts([["Id", code(e.id)], ["Tenant", e.tenant], ["Type", e.type === "external" ? "external: reachable from the internet" : "internal: not reachable from the internet"],
		e.target && ["Traffic to", code(e.target)], ["Authority", e.authority || "the first of the configuration"], e.profile && ["Profile", e.profile], ["Key", e.key_type],
		["Names", h("ul", {class: "plainlist"}, e.names.map((n) => h("li", {}, n)))], ["Added", when(e.created)],
		e.jobs?.length && ["Jobs", h("ul", {class: "plainlist"}, e.jobs.map(jobLine))]]));
}

// --- the head

function parkedBanner(e, context) {
	if (!e.jobs?.some((j) => j.where === "parked")) return null;
	const retry = () => call("POST", `${apiOf(e.id)}/retry`).then(() => note("It is tried again."));
	return h("div", {class: "banner bad"}, h("p", {}, h("strong", {}, "certfleet gave this endpoint up."), " Its job was lost several times in a row: look at the workers’ logs, then try again."),
		context.writes ? actButton("Try again", {}, retry) : null);
}

function customerBanner(e) {
	const n = e.records?.length || 0;
	if (done(e.records)) return h("div", {class: "banner good"}, h("p", {}, h("strong", {}, e.certificate ? "All is done." : "DNS is right. The certificate comes within minutes."),
		" Please leave the records in place: they let the certificate be renewed for ever. You can close this page."));
	return h("div", {class: "banner warn"}, h("p", {}, h("strong", {}, `You were sent this page to set up DNS for ${firstWords(e)}.`)),
		h("ol", {}, h("li", {}, "Log in where the domain’s DNS is managed (the registrar, a hosting company, or your own name servers)."),
			h("li", {}, n === 1 ? "Create the record below; the buttons copy its name and value." : `Create the ${n} records below; the buttons copy each name and value.`),
			h("li", {}, "That is all. This page shows by itself when they are seen, and what is wrong if one is not as it should be.")));
}

function actions(e, context) {
	if (!context.writes) return null;
	const path = apiOf(e.id);
	const renew = () => call("POST", `${path}/renew`).then(() => note("It is being renewed."));
	const remove = async () => {
		if (!await confirmed(`Remove ${firstWords(e)}?`, "Its certificate will no longer be renewed, and the proofs that were given for its names are withdrawn at the authority. What its owner created in DNS can be deleted afterwards.", "Remove it")) return;
		await call("DELETE", path);
		note("It is being removed.");
		context.go("/endpoints");
	};
	return h("div", {class: "actions"}, h("button", {type: "button", onclick: () => linkDialog(e, context)}, "Send to whoever runs your DNS …"),
		e.certificate ? actButton("Renew now", {}, renew) : null, actButton("Remove …", {class: "danger"}, remove));
}

function announce(e, context) {
	const was = context.seen;
	context.seen = {id: e.id, state: e.state, right: done(e.records)};
	if (was?.id !== e.id) return;
	if (!was.right && done(e.records)) note("DNS is right.", "good");
	if (was.state !== e.state) note(`${e.names[0]} is now: ${say(e.state)}.`, tintOf(e.state));
}

export async function endpointPage(id, context) {
	const e = await get(apiOf(id));
	const all = e.findings || [];
	const atRecords = new Set((e.records || []).filter((r) => r.status !== "right").map((r) => findingOf(r, all)).filter(Boolean));
	const others = all.filter((d) => !atRecords.has(d));
	const records = recordsCard(e, context, all);
	const right = done(e.records);
	announce(e, context);
	return {
		title: `${e.state === "active" ? "✓ " : ""}${firstWords(e)}`,
		watches: id,
		body: [context.customer ? null : h("nav", {class: "crumbs", "aria-label": "Breadcrumb"}, link("/endpoints", {}, "Endpoints"), ` / ${e.id}`),
			h("div", {class: "head"}, h("h1", {}, firstWords(e)), badge(e.state), actions(e, context)),
			e.reason && e.state !== "active" && !context.customer ? h("p", {class: "lead"}, `${title(e.means || say(e.reason))}.`) : null,
			context.customer ? customerBanner(e) : parkedBanner(e, context), progress(e),
			right ? [findingsCard(others), records] : [records, findingsCard(others)],
			h("div", {class: "grid"}, certificateCard(e), servedCard(e), context.customer ? null : proofCard(e)),
			timelineCard(e, context), context.customer ? null : settingsCard(e)],
	};
}
